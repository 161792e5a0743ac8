"""`grads` is the derivative of the `loss` called with the same arguments: the whole cross-product."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from nnfunc import (
    Activation,
    AnyArray,
    Array,
    InputGradient,
    Key,
    Layer,
    LossFn,
    Params,
    Pullback,
    activation,
    binary_cross_entropy,
    calibrate,
    chain,
    check_grads,
    cross_entropy,
    dense,
    elu,
    forward,
    gelu,
    grads,
    huber,
    init,
    leaky_relu,
    log_softmax,
    loss,
    mae,
    mse,
    poisson_nll,
    relu,
    residual,
    sigmoid,
    sigmoid_cross_entropy,
    silu,
    softmax,
    softmax_cross_entropy,
    softplus,
    tanh,
    vjp,
)
from tests.numeric import relative_error, slopes
from tests.samples import REGULARISED, ROWS, TARGETS

# Under these names for the test's id: the activations, options and a user's own pair among them.
ACTIVATIONS: dict[str, Activation | None] = {
    "identity": None,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "leaky_relu_0.3": partial(leaky_relu, negative_slope=0.3),
    "elu": elu,
    "elu_0.5": partial(elu, alpha=0.5),
    "sigmoid": sigmoid,
    "tanh": tanh,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "softplus": softplus,
    "silu": silu,
    "gelu": gelu,
    "custom": (np.sin, np.cos),
}


def _wrapped(outputs: Array, y: AnyArray, label_smoothing: float = 0.0) -> tuple[Array, Array]:
    return cross_entropy(outputs, y, label_smoothing)


# Each loss with the final activations that suit it; a custom sigmoid, and a loss inside a function, are not fused.
_custom_sigmoid: Activation = (sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z)))
LOSSES: dict[str, tuple[LossFn, Activation | None]] = {
    "mse": (mse, None),
    "mae": (mae, None),
    "huber": (huber, None),
    "huber_0.1": (partial(huber, delta=0.1), None),
    "poisson_nll": (poisson_nll, None),
    "softmax_cross_entropy": (softmax_cross_entropy, None),
    "smoothed": (partial(softmax_cross_entropy, label_smoothing=0.2), None),
    "sigmoid_cross_entropy": (sigmoid_cross_entropy, None),
    "pos_weight": (partial(sigmoid_cross_entropy, pos_weight=3), None),
    "cross_entropy": (cross_entropy, softmax),
    "cross_entropy_unfused": (_wrapped, softmax),
    "cross_entropy_smoothed": (partial(_wrapped, label_smoothing=0.2), softmax),
    "binary_cross_entropy": (binary_cross_entropy, sigmoid),
    "binary_cross_entropy_unfused": (partial(binary_cross_entropy, pos_weight=3), _custom_sigmoid),
}


def targets(loss_name: str, n: int, k: int, soft: bool = False) -> AnyArray:
    draw = np.random.default_rng([n, k])
    if "mse" in loss_name or "mae" in loss_name or "huber" in loss_name:
        return draw.normal(size=(n, k))
    if "sigmoid" in loss_name or "binary" in loss_name or "pos" in loss_name:
        return draw.random((n, k)) if soft else draw.integers(0, 2, (n, k))
    if "poisson" in loss_name:
        return draw.integers(0, 5, (n, k))
    if soft:
        return softmax(draw.normal(size=(n, k)))
    return draw.integers(0, k, n)


def slope_gap(net: Layer, loss_fn: LossFn, x: Array, y: AnyArray, weight: Array | None = None) -> float:
    """Return the relative error of `grads` against differences of `loss`, in float64."""
    params = {name: a + 0.05 for name, a in init(net, key=1, dtype=np.float64).items()}
    g = grads(net, loss_fn, params, x, y, weight=weight)
    return relative_error(g, slopes(lambda p: loss(net, loss_fn, p, x, y, weight=weight), params))


@pytest.mark.parametrize("loss_name", LOSSES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradient_of_this_loss(name: str, loss_name: str) -> None:
    loss_fn, final = LOSSES[loss_name]
    for n in (1, 5):
        x = np.random.default_rng(n).normal(size=(n, 3))
        for k in (1, 3):
            net = chain(hidden=dense(3, 4, ACTIVATIONS[name]), out=dense(4, k, final))
            for weight in (None, np.arange(1.0, n + 1)):
                assert slope_gap(net, loss_fn, x, targets(loss_name, n, k), weight) < 1e-7


@pytest.mark.parametrize("loss_name", [name for name in LOSSES if "entropy" in name or "smooth" in name])
def test_gradient_with_soft_targets(loss_name: str) -> None:
    loss_fn, final = LOSSES[loss_name]
    x = np.random.default_rng(2).normal(size=(4, 3))
    assert slope_gap(dense(3, 3, final), loss_fn, x, targets(loss_name, 4, 3, soft=True)) < 1e-7


NETWORKS: dict[str, Layer] = {
    "residual": chain(residual(dense(3, 3, tanh)), dense(3, 2)),
    "residual of a chain": chain(residual(chain(dense(3, 5, tanh), dense(5, 3))), dense(3, 2)),
    "nested residual": residual(residual(chain(residual(dense(3, 3, tanh)), activation(gelu)))),
    "nested chains": chain(a=chain(b=dense(3, 4), c=chain(activation(tanh))), d=dense(4, 2)),
    "activation alone between": chain(dense(3, 4), activation(elu), dense(4, 2)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_of_composed_networks(name: str) -> None:
    x = np.random.default_rng(3).normal(size=(5, 3))
    k = forward(NETWORKS[name], init(NETWORKS[name], 0, np.float64), x).shape[1]
    assert slope_gap(NETWORKS[name], mse, x, targets("mse", 5, k)) < 1e-7


@pytest.mark.parametrize("name", [*ACTIVATIONS])
def test_input_gradient(name: str) -> None:
    net = residual(dense(3, 3, ACTIVATIONS[name]))
    params = init(net, 0, np.float64)
    x, dy = np.random.default_rng(4).normal(size=(2, 5, 3))
    _, pullback = vjp(net, params, x)
    _, dx = pullback(dy)
    numeric = slopes(lambda p: float(np.sum(forward(net, params, p["x"]) * dy)), {"x": x})
    assert relative_error({"x": dx()}, numeric) < 1e-7


def _penalty(params: Params) -> tuple[float, dict[str, Array]]:
    """Return 0.3 * sum(W^4) over the weights."""
    weights = {name: a for name, a in params.items() if name.endswith("W")}
    value = 0.3 * sum(float(np.sum(a**4)) for a in weights.values())
    return value, {name: 1.2 * a**3 for name, a in weights.items()}


def test_gradient_with_a_penalty() -> None:
    net = chain(dense(3, 4, tanh), dense(4, 2))
    params = init(net, 0, np.float64)
    x, y = np.random.default_rng(5).normal(size=(5, 3)), np.array([0, 1, 1, 0, 1])

    def value(p: Params) -> float:
        return loss(net, softmax_cross_entropy, p, x, y, penalty=_penalty)

    g = grads(net, softmax_cross_entropy, params, x, y, penalty=_penalty)
    assert relative_error(g, slopes(value, params)) < 1e-7
    assert value(params) == pytest.approx(loss(net, softmax_cross_entropy, params, x, y) + _penalty(params)[0])


# Pieces that act otherwise in training: the slope with the key held fixed


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("rows", [2, 7], ids=["2 rows", "7 rows"])
@pytest.mark.parametrize("name", REGULARISED)
def test_training_gradients_against_differences(name: str, rows: int, weighted: bool) -> None:
    draw = np.random.default_rng(9)
    net, x, y = REGULARISED[name], ROWS[:rows], TARGETS[:rows]
    weight = np.arange(1.0, rows + 1) if weighted else None
    params = {n: a + 0.1 * draw.normal(size=a.shape) for n, a in init(net, 1, np.float64).items()}
    g = grads(net, mse, params, x, y, weight=weight, key=9)
    # Two rows through a batch norm come out as +-1 whatever they were: the slopes are eps-sized there.
    numeric = slopes(lambda p: loss(net, mse, p, x, y, weight=weight, key=9), params)
    assert relative_error(g, numeric) < 1e-7
    check_grads(net, mse, params, x, y, weight=weight, key=9, directions=3)


@pytest.mark.parametrize("key", [None, 4], ids=["inference", "training"])
@pytest.mark.parametrize("name", REGULARISED)
def test_input_gradients_against_differences(name: str, key: int | None) -> None:
    net = REGULARISED[name]
    params = calibrate(net, init(net, 1, np.float64), ROWS)
    _, pullback = vjp(net, params, ROWS, key)
    g, dx = pullback(TARGETS)

    def value(p: Params) -> float:
        rest = {n: p[n] for n in params}
        return float(np.sum(forward(net, rest, p["x"], key) * TARGETS))

    numeric = slopes(value, {"x": ROWS, **params})
    statistics = [n for n in params if n.endswith(("mean", "var"))]
    assert relative_error({"x": dx()}, {"x": numeric.pop("x")}) < 1e-7
    assert relative_error(g, {n: a for n, a in numeric.items() if n not in statistics}) < 1e-7


# The test of the test: pieces with a mistake in them, each of which must fail it


def wrong_layer(wrong: Callable[[Params, Array, Array], tuple[Params, InputGradient]]) -> Layer:
    """Return a dense layer with another way back."""
    right = dense(3, 3)

    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        y, _ = right[1](params, x, key)

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return wrong(params, x, dy)

        return y, pullback

    return right[0], layer_forward


def wrong_loss(factor: Callable[[Array], float]) -> LossFn:
    def loss_fn(outputs: Array, y: AnyArray) -> tuple[Array, Array]:
        per_example, d = mse(outputs, y)
        return per_example, d * factor(outputs)

    return loss_fn


def residual_without_skip(layer: Layer) -> Layer:
    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        y, pullback = layer[1](params, x, key)
        return x + y, pullback

    return layer[0], layer_forward


def chain_swapped(a: Layer, b: Layer) -> Layer:
    """Return a then b, gone back through in the same order."""

    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        own = [{n[2:]: p for n, p in params.items() if n.startswith(start)} for start in ("a/", "b/")]
        h, back_a = a[1](own[0], x, key)
        y, back_b = b[1](own[1], h, key)

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            g_a, dh = back_a(dy)
            g_b, dx = back_b(dh())
            return {**{f"a/{n}": g for n, g in g_a.items()}, **{f"b/{n}": g for n, g in g_b.items()}}, dx

        return y, pullback

    return chain(a=a, b=b)[0], layer_forward


def _missing_bias(params: Params, x: Array, dy: Array) -> tuple[Params, InputGradient]:
    return {"W": x.T @ dy, "b": np.zeros(3)}, lambda: dy @ params["W"].T


def _transposed(params: Params, x: Array, dy: Array) -> tuple[Params, InputGradient]:
    return {"W": dy.T @ x, "b": np.add.reduce(dy, axis=0)}, lambda: dy @ params["W"].T


def _input_not_transposed(params: Params, x: Array, dy: Array) -> tuple[Params, InputGradient]:
    return {"W": x.T @ dy, "b": np.add.reduce(dy, axis=0)}, lambda: dy @ params["W"]


def _other_slope(z: Array) -> Array:
    return np.cos(z) * np.cos(z)


MISTAKES: dict[str, tuple[Layer, LossFn]] = {
    "factor 1/2": (dense(3, 3), wrong_loss(lambda outputs: 0.5)),
    "sign": (dense(3, 3), wrong_loss(lambda outputs: -1.0)),
    "one part in a thousand": (dense(3, 3), wrong_loss(lambda outputs: 1.001)),
    "mean over outputs missing": (dense(3, 3), wrong_loss(lambda outputs: outputs.shape[1])),
    "mean over rows missing": (dense(3, 3), wrong_loss(len)),
    "mean over rows taken twice": (dense(3, 3), wrong_loss(lambda outputs: 1 / len(outputs))),
    "skip term dropped": (chain(dense(3, 3), residual_without_skip(dense(3, 3, tanh))), mse),
    "order swapped": (chain_swapped(dense(3, 3, tanh), dense(3, 3, sigmoid)), mse),
    "bias gradient missing": (wrong_layer(_missing_bias), mse),
    "weight gradient transposed": (wrong_layer(_transposed), mse),
    "input gradient not transposed": (chain(dense(3, 3, tanh), wrong_layer(_input_not_transposed)), mse),
    "slope of another activation": (dense(3, 3, (np.sin, _other_slope)), mse),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_found(name: str) -> None:
    net, loss_fn = MISTAKES[name]
    x = np.random.default_rng(6).normal(size=(5, 3))
    y = targets("mse", 5, 3)
    assert slope_gap(net, loss_fn, x, y) > 1e-4
    params = init(net, 1)
    assert check_grads(net, loss_fn, params, x, y)["verdict"] == "wrong"
    assert check_grads(net, loss_fn, params, x, y, directions=5)["verdict"] == "wrong"
