"""Where a network meets its loss: an output layer that does not belong to it is told, with a way out that works."""

from functools import partial

import numpy as np
import pytest

from nnfunc import (
    Activation,
    AnyArray,
    Array,
    ElementwiseFn,
    Layer,
    LossFn,
    activation,
    binary_cross_entropy,
    chain,
    check_grads,
    cross_entropy,
    dense,
    diagnose,
    dropout,
    forward,
    gaussian_nll,
    grads,
    init,
    log_softmax,
    loss,
    mae,
    mse,
    one_hot,
    overfit_check,
    poisson_nll,
    relu,
    residual,
    sharded_value_and_grads,
    sigmoid,
    sigmoid_cross_entropy,
    softmax,
    softmax_cross_entropy,
    softplus,
    tanh,
    train,
    value_and_grads,
    watched,
)
from nnfunc.values.checks import label

X: Array = np.random.default_rng(0).normal(size=(40, 4))
Y: AnyArray = (X[:, 0] > 0).astype(int)
ROWS: AnyArray = one_hot(Y, 2)
# The last activation, the loss, its targets, and the loss that the message offers for the network as it is.
MISFITS: dict[str, tuple[Activation, LossFn, AnyArray, LossFn]] = {
    "softmax twice": (softmax, softmax_cross_entropy, Y, cross_entropy),
    "softmax twice, rows": (softmax, partial(softmax_cross_entropy, label_smoothing=0.1), ROWS, cross_entropy),
    "sigmoid twice": (sigmoid, sigmoid_cross_entropy, ROWS, binary_cross_entropy),
    "sigmoid twice, an option": (sigmoid, partial(sigmoid_cross_entropy, pos_weight=2), ROWS, binary_cross_entropy),
    "sigmoid under softmax": (sigmoid, softmax_cross_entropy, ROWS, binary_cross_entropy),
    "softmax under sigmoid": (softmax, sigmoid_cross_entropy, ROWS, cross_entropy),
    "sigmoid under cross_entropy": (sigmoid, cross_entropy, ROWS, binary_cross_entropy),
    "softmax under binary_cross_entropy": (softmax, binary_cross_entropy, ROWS, cross_entropy),
    "log_softmax under cross_entropy": (log_softmax, cross_entropy, Y, softmax_cross_entropy),
    "log_softmax under binary_cross_entropy": (log_softmax, binary_cross_entropy, ROWS, softmax_cross_entropy),
    "log_softmax under sigmoid_cross_entropy": (log_softmax, sigmoid_cross_entropy, ROWS, softmax_cross_entropy),
}


def nets(f: Activation) -> list[Layer]:
    """Return the ways in which a network can end in an activation."""
    return [
        chain(h=dense(4, 8, relu), o=dense(8, 2, f)),
        chain(h=dense(4, 8, relu), o=chain(dense(8, 2), chain(last=activation(f)))),
        chain(residual(dense(4, 4, tanh)), dense(4, 2, f), dropout(0)),
        dense(4, 2, f),
        chain(dense(4, 2), dense(2, 2, partial(f) if not isinstance(f, tuple) else f)),
        watched(chain(dense(4, 2, f)), lambda path, tensor: None),
    ]


@pytest.mark.parametrize("name", MISFITS)
def test_a_misfit_is_told_with_a_way_out(name: str) -> None:
    f, loss_fn, y, offered = MISFITS[name]
    words = rf"{getattr(loss_fn, 'func', loss_fn).__name__}: the network must end in .*{offered.__name__}.*got .* at its end"
    for net in nets(f):
        params = init(net, 0, np.float64)
        for call in (
            lambda net=net, params=params: loss(net, loss_fn, params, X, y),
            lambda net=net, params=params: grads(net, loss_fn, params, X, y),
            lambda net=net, params=params: value_and_grads(net, loss_fn, params, X, y, key=1),
            lambda net=net, params=params: sharded_value_and_grads(net, loss_fn, params, X, y, shards=2),
            lambda net=net, params=params: check_grads(net, loss_fn, params, X, y),
            lambda net=net, params=params: next(train(net, loss_fn, params, X, y, epochs=1, lr=0.1)),
        ):
            with pytest.raises(ValueError, match=words):
                call()
        assert np.isfinite(loss(net, offered, params, X, y))


@pytest.mark.parametrize("f", [relu, softplus, sigmoid, softmax, log_softmax])
@pytest.mark.parametrize("loss_fn", [gaussian_nll, poisson_nll])
def test_means_spreads_and_logarithms_of_rates_are_of_any_sign(f: ElementwiseFn, loss_fn: LossFn) -> None:
    y = X[:, :1] ** 2 if loss_fn is gaussian_nll else ROWS
    for net in nets(f):
        params = init(net, 0, np.float64)
        with pytest.raises(ValueError, match=f"{label(loss_fn)}: the network must end in .*, got {label(f)} at its end"):
            grads(net, loss_fn, params, X, y, key=1)
        insisted = partial(_as_it_is, loss_fn)
        assert np.isfinite(loss(net, insisted, params, X, y))
    bare = chain(h=dense(4, 8, relu), o=dense(8, 2))
    assert np.isfinite(loss(bare, loss_fn, init(bare, 0), X, y))


def _as_it_is(loss_fn: LossFn, outputs: Array, y: AnyArray) -> tuple[Array, Array]:
    return loss_fn(outputs, y)


def test_a_loss_in_a_function_of_ones_own_takes_it_as_it_is() -> None:
    net = dense(4, 2, softmax)
    params = init(net, 0, np.float64)

    def insisted(outputs: Array, y: AnyArray) -> tuple[Array, Array]:
        return softmax_cross_entropy(outputs, y)

    expected = softmax_cross_entropy(forward(net, params, X), Y)[0].mean()
    assert loss(net, insisted, params, X, Y) == pytest.approx(expected)
    assert check_grads(net, insisted, params, X, Y)["verdict"] == "right"


FITS: dict[str, tuple[Activation | None, LossFn, AnyArray]] = {
    "logits": (None, softmax_cross_entropy, Y),
    "log_softmax, which softmax leaves as it is": (log_softmax, softmax_cross_entropy, Y),
    "bounded logits": (tanh, softmax_cross_entropy, Y),
    "a sigmoid regression": (sigmoid, mse, ROWS),
    "a softmax regression": (softmax, mae, ROWS),
    "softmax": (softmax, cross_entropy, Y),
    "sigmoid": (sigmoid, partial(binary_cross_entropy, pos_weight=2), ROWS),
}


@pytest.mark.parametrize("name", FITS)
def test_what_belongs_together_passes(name: str) -> None:
    f, loss_fn, y = FITS[name]
    net = dense(4, 2, f)
    assert np.isfinite(loss(net, loss_fn, init(net, 0, np.float64), X, y))
    inner = chain(dense(4, 4, sigmoid), dense(4, 2, f))  # an activation that is not the last is nobody's business
    assert np.isfinite(loss(inner, loss_fn, init(inner, 0, np.float64), X, y))


def test_a_misfit_is_named_by_what_looks_inside() -> None:
    net = chain(h=dense(4, 8, relu), o=dense(8, 2, softmax))
    params = init(net, 0, np.float64)
    found = overfit_check(net, softmax_cross_entropy, params, X, Y)
    assert found["verdict"] == "does not fit"
    assert "must end in logits" in found["text"]
    assert "check_grads" not in found["text"]
    told = diagnose(net, softmax_cross_entropy, params, X, Y)
    assert (told["finite"], "must end in logits" in told["cause"]) == (True, True)
    yes_or_no = chain(h=dense(4, 8, relu), o=dense(8, 3, sigmoid))
    for call in (overfit_check, diagnose):
        with pytest.raises(ValueError, match="cross_entropy: the network must end in softmax"):
            call(yes_or_no, cross_entropy, init(yes_or_no, 0), X, Y)


def test_outputs_that_cannot_fit_are_named_by_overfit_check() -> None:
    one = dense(4, 1)
    found = overfit_check(one, softmax_cross_entropy, init(one, 0), X, 0 * Y)
    assert "one column of outputs" in found["text"]
    assert "sigmoid_cross_entropy" in found["text"]
    bounded = dense(4, 2, tanh)
    found = overfit_check(bounded, softmax_cross_entropy, init(bounded, 0), X, Y)
    assert (found["verdict"], "ends in tanh" in found["text"]) == ("does not fit", True)
