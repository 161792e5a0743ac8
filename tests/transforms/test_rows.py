"""Gradients by row against the way back from one row after another, and Jacobians against slopes by differences."""

from functools import partial

import numpy as np
import pytest

from nnfunc import (
    Array, InputGradient, Key, Layer, LossFn, Params, Pullback, activation, batch_norm, calibrate, chain, columns, combine,
    concatenate, cross_entropy, dense, dropout, forward, gelu, generator, grads, huber, init, layer_norm, loss, masked, mlp, mse,
    relu, residual, sigmoid, softmax, softmax_cross_entropy, tanh, vjp, watched,
)  # fmt: skip
from nnfunc.transforms import grad_variance, jacobian, params_jacobian, per_example_grad_norms, per_example_grads
from recipes.branches import product
from tests.layers import bare, shared
from tests.numeric import bad, same_bits, slopes
from tests.samples import REGULARISED, ROWS, TARGETS
from tests.sentences import Cases, assert_sentence

CLASSES = np.array([0, 1, 1, 0, 1, 1, 0])


def gain_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Multiply by s, the layer of a user's own."""
    s = params["s"]

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {"s": np.add.reduce(dy * x, axis=0)}, lambda: dy * s

    return x * s, pullback


GAIN: Layer = (lambda key, dtype: {"s": np.full(3, 2.0, dtype)}), gain_forward

# A network, whether its pass is one of training, and its loss. At inference batch norm leaves rows apart.
NETS: dict[str, tuple[Layer, Key | None, LossFn]] = {
    "dense": (dense(3, 2), None, mse),
    "mlp": (mlp([3, 5, 4, 2], gelu), None, huber),
    "no bias": (chain(dense(3, 4, tanh, bias=False), dense(4, 2)), None, mse),
    "on logits": (chain(dense(3, 4, relu), dense(4, 2, softmax)), None, cross_entropy),
    "classes": (chain(dense(3, 4, relu), dense(4, 2)), None, softmax_cross_entropy),
    "dropout": (REGULARISED["dropout"], 3, mse),
    "layer norm": (REGULARISED["layer norm"], None, mse),
    "batch norm": (REGULARISED["batch norm"], None, mse),
    "residual": (chain(dense(3, 4), residual(chain(layer_norm(4), dense(4, 4, tanh), dropout(0.3))), dense(4, 2)), 4, mse),
    "branches": (chain(concatenate(columns(0, 2), chain(dense(3, 3, tanh), dropout(0.5))), dense(5, 2)), 5, mse),
    "product": (combine(product, dense(3, 2), chain(dense(3, 2), dropout(0.2), activation(sigmoid))), 6, mse),
    "shared": (chain(columns(0, 2), combine(shared, tower=chain(layer_norm(1), dense(1, 3, tanh), dense(3, 2)))), None, mse),
    "own": (chain(dense(3, 3, tanh), GAIN, dense(3, 2)), None, mse),
    "own twice": (chain(dense(3, 6), combine(shared, GAIN), dense(3, 2)), None, mse),
    "watched": (watched(chain(dense(3, 4, tanh), dense(4, 2)), lambda path, tensor: None), None, mse),
}


def case(name: str) -> tuple[Layer, Key | None, LossFn, Params, Array]:
    net, key, loss_fn = NETS[name]
    return net, key, loss_fn, calibrate(net, init(net, 1, np.float64), ROWS), CLASSES if "entropy" in loss_fn.__name__ else TARGETS


def row_by_row(name: str) -> dict[str, Array]:
    """Return the gradient of each row's loss by the ordinary way back, from one row's part of dy after another."""
    net, key, loss_fn, params, y = case(name)
    outputs, pullback = vjp(net, params, ROWS, key)
    dy = loss_fn(outputs, y)[1]
    alone = [pullback(np.where(np.arange(len(ROWS))[:, None] == row, dy, 0.0))[0] for row in range(len(ROWS))]
    return {n: np.array([each[n] for each in alone]) for n in alone[0]}


@pytest.mark.parametrize("name", NETS)
def test_gradients_by_row_are_those_of_one_row_after_another(name: str) -> None:
    net, key, loss_fn, params, y = case(name)
    found, expected = per_example_grads(net, loss_fn, params, ROWS, y, key=key), row_by_row(name)
    assert list(found) == list(expected)
    for n, g in found.items():
        np.testing.assert_allclose(g, expected[n], rtol=1e-11, atol=1e-13)
        assert not g.flags.writeable
    whole = vjp(net, params, ROWS, key)[1](loss_fn(forward(net, params, ROWS, key), y)[1] / len(ROWS))[0]
    for n, g in whole.items():
        np.testing.assert_allclose(found[n].mean(axis=0), g, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", NETS)
def test_norms_and_variances_are_those_of_the_gradients_by_row(name: str) -> None:
    net, key, loss_fn, params, y = case(name)
    expected = row_by_row(name)
    norms = per_example_grad_norms(net, loss_fn, params, ROWS, y, key=key)
    assert norms.shape == (len(ROWS),) and norms.dtype == np.float64
    lengths = np.sqrt(sum((g**2).reshape(len(ROWS), -1).sum(axis=1) for g in expected.values()))
    np.testing.assert_allclose(norms, lengths, rtol=1e-10)
    variance = grad_variance(net, loss_fn, params, ROWS, y, key=key)
    for n, v in variance.items():
        np.testing.assert_allclose(v, expected[n].var(axis=0), rtol=1e-9, atol=1e-12 * float((expected[n] ** 2).max()))


def test_a_wrong_gradient_by_row_would_be_seen() -> None:
    """The comparison above tells rows in another order, and a mean in place of a row."""
    expected = row_by_row("mlp")
    assert not np.allclose(expected["0/W"][::-1], expected["0/W"])
    assert not np.allclose(expected["0/W"].mean(axis=0), expected["0/W"][0])


@pytest.mark.parametrize("name", NETS)
def test_jacobians_are_slopes(name: str) -> None:
    net, key, _, params, _ = case(name)
    trained = vjp(net, params, ROWS, key)[1](np.zeros((7, 2)))[0]
    found = params_jacobian(net, params, ROWS, key)
    assert list(found) == list(trained)
    for row, column in ((0, 0), (6, 1)):

        def output(p: Params, row: int = row, column: int = column) -> float:
            own = {n: a for n, a in p.items() if n != "x"}
            return float(forward(net, {**params, **own}, p.get("x", ROWS), key)[row, column])

        numeric = slopes(output, {n: params[n] for n in found})
        for n, slope in numeric.items():
            assert found[n].shape == (7, 2, *params[n].shape)
            np.testing.assert_allclose(found[n][row, column], slope, rtol=1e-6, atol=1e-8)
        along = slopes(output, {"x": np.array(ROWS)})["x"]
        np.testing.assert_allclose(jacobian(net, params, ROWS, key)[row, column], along[row], rtol=1e-5, atol=1e-7)


def test_noise_of_ones_own_without_params_leaves_rows_apart() -> None:
    net = chain(dense(3, 2), NOISE)
    params = init(net, 0, np.float64)
    np.testing.assert_allclose(jacobian(net, params, ROWS, key=1), np.broadcast_to(params["0/W"].T, (7, 2, 3)))
    assert per_example_grads(net, mse, params, ROWS, TARGETS, key=1)["0/W"].shape == (7, 3, 2)


def test_variances_keep_their_digits_far_from_0_and_norms_at_any_size() -> None:
    net, params = dense(1, 1), {"W": np.array([[1.0]]), "b": np.zeros(1)}
    x = 1e6 + 1e-3 * np.random.default_rng(1).normal(size=(50, 1))
    y = x + 1 + np.random.default_rng(2).normal(size=(50, 1))
    found, rows = grad_variance(net, mse, params, x, y), per_example_grads(net, mse, params, x, y)
    for name, g in rows.items():
        np.testing.assert_allclose(found[name], np.var(g, axis=0), rtol=1e-7)
    for size in (1e-170, 1.0, 1e150):
        norms = per_example_grad_norms(net, partial(huber, delta=1e300), {**params, "b": np.array([-3.0 * size])}, [[4 * size]], [[0.0]])
        assert norms[0] == pytest.approx(size * np.hypot(4 * size, 1), rel=1e-12)


def test_norms_and_gradients_of_rows_without_targets_are_those_of_grads() -> None:
    """The rows that count draw the noise of a pass in which the others are not there."""
    net, y = chain(dense(3, 6, tanh), dropout(0.5), dense(6, 2)), TARGETS.copy()
    y[:3] = np.nan
    params = init(net, 0, np.float64)
    alone = per_example_grads(net, masked(mse), params, ROWS, y, key=7)
    for name, g in grads(net, masked(mse), params, ROWS, y, key=7).items():
        assert not alone[name][:3].any()
        np.testing.assert_allclose(alone[name][3:].mean(axis=0), g, rtol=1e-12, atol=1e-15)
    norms = per_example_grad_norms(net, masked(mse), params, ROWS, y, key=7)
    assert norms.shape == (7,) and not norms[:3].any() and norms[3:].all()


def test_clipping_by_row_through_weights_is_the_clipped_sum() -> None:
    net, _, loss_fn, params, y = case("classes")
    limit = 0.5
    norms = per_example_grad_norms(net, loss_fn, params, ROWS, y)
    clipped = grads(net, loss_fn, params, ROWS, y, weight=limit / np.maximum(norms, limit), mean_weight=1)
    by_hand = {
        n: np.mean([row * min(1, limit / norm) for row, norm in zip(g, norms, strict=True)], axis=0)
        for n, g in per_example_grads(net, loss_fn, params, ROWS, y).items()
    }
    assert (norms > limit).any() and (norms < limit).any()
    for n, g in clipped.items():
        np.testing.assert_allclose(g, by_hand[n], rtol=1e-12, atol=1e-15)


def test_a_network_without_params_has_gradients_of_no_length() -> None:
    assert not per_example_grads(activation(tanh), mse, {}, ROWS, ROWS)
    assert per_example_grad_norms(activation(tanh), mse, {}, ROWS, ROWS).tolist() == [0.0] * 7


def test_float32_stays_float32() -> None:
    net, _, loss_fn, params, y = case("mlp")
    small = {n: a.astype(np.float32) for n, a in params.items()}
    x = ROWS.astype(np.float32)
    for found in (
        per_example_grads(net, loss_fn, small, x, y), grad_variance(net, loss_fn, small, x, y), params_jacobian(net, small, x)
    ):  # fmt: skip
        assert {a.dtype for a in found.values()} == {np.dtype(np.float32)}
    assert jacobian(net, small, x).dtype == np.float32
    np.testing.assert_allclose(jacobian(net, small, x), jacobian(net, params, ROWS), rtol=1e-3, atol=1e-5)


def test_an_overflow_of_float32_squares_is_none_of_the_norm() -> None:
    params = {"W": np.full((2, 1), 1e10, np.float32), "b": np.zeros(1, np.float32)}
    x, y = np.full((1, 2), 1e8, np.float32), np.zeros((1, 1), np.float32)
    norm = per_example_grad_norms(dense(2, 1), partial(huber, delta=1e15), params, x, y)
    assert norm == pytest.approx(1e15 * (2e16 + 1) ** 0.5, rel=1e-6)


def centring_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Subtract the mean of the batch, which mixes its rows."""

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {}, lambda: dy - dy.mean(axis=0)

    return x - x.mean(axis=0), pullback


CENTRING = bare(centring_forward)
NOISE = bare(lambda params, x, key: (x if key is None else x + generator(key).normal(size=x.shape), lambda dy: ({}, lambda: dy)))
NOISY_GAIN: Layer = (GAIN[0], lambda params, x, key: gain_forward(params, NOISE[1]({}, x, key)[0], key))
BN = chain(dense(3, 3), batch_norm(3))
BN_P = calibrate(BN, init(BN, 0, np.float64), ROWS)


def centred(branches: object, x: Array) -> object:
    """Mix rows between branches."""
    y, pullback = bad(branches)[0](x)
    return y - y.mean(axis=0), lambda dy: (lambda back: ([back[0]], back[1]))(pullback(dy - dy.mean(axis=0)))


MIXES = r"must leave the rows of a batch apart, got one of your own that puts out something else for some of them"
BAD: Cases = {
    "batch norm in training": (
        lambda: per_example_grads(BN, mse, BN_P, ROWS, ROWS, key=1), ValueError,
        r"per_example_grads: 1/layer must leave the rows of a batch apart, got batch norm in a training pass, which a key makes",
    ),
    "a layer that mixes rows": (
        lambda: per_example_grad_norms(chain(own=CENTRING), mse, {}, ROWS, ROWS), ValueError,
        rf"per_example_grad_norms: own/layer {MIXES}",
    ),
    "a combination that mixes rows": (
        lambda: jacobian(chain(own=combine(bad(centred), activation(tanh))), {}, ROWS), ValueError, rf"jacobian: own/layer {MIXES}"
    ),
    "noise of one's own on params": (
        lambda: jacobian(NOISY_GAIN, {"s": np.ones(3)}, ROWS, key=1), ValueError, rf"jacobian: layer {MIXES}"
    ),
    "a variance beyond the dtype": (
        lambda: grad_variance(dense(3, 2), mse, init(dense(3, 2), 0, np.float64), ROWS * 1e100, TARGETS * 1e100), FloatingPointError,
        r"grad_variance: the variance of W must be finite, got .*",
    ),
    "no target at all": (
        lambda: per_example_grads(dense(3, 2), masked(mse), init(dense(3, 2), 0), ROWS, TARGETS * np.nan), ValueError,
        r"per_example_grads: y must hold a target in one row at least, got NaN in all 7",
    ),
    "targets of another shape": (
        lambda: per_example_grads(dense(3, 2), mse, init(dense(3, 2), 0), ROWS, TARGETS[:, :1]), ValueError,
        r"mse: targets must have the shape \(7, 2\) of the outputs.*",
    ),
    "too few targets": (
        lambda: grad_variance(dense(3, 2), mse, init(dense(3, 2), 0), ROWS, TARGETS[:5]), ValueError, r"grad_variance: y must .*"
    ),
    "a NaN": (
        lambda: per_example_grads(dense(3, 2), mse, init(dense(3, 2), 0, np.float64), ROWS * np.nan, TARGETS), FloatingPointError,
        r"per_example_grads: x must be finite, got nan at \[0, 0\] .*",
    ),
    "no network": (lambda: jacobian(bad(relu), {}, ROWS), TypeError, r"jacobian: net must be a pair of functions .*"),
    "params of another network": (
        lambda: params_jacobian(dense(3, 2), {"W": np.ones((3, 2))}, ROWS), ValueError, r"dense: b must be in params, got only \['W'\]"
    ),
    "outputs without columns": (
        lambda: jacobian(bare(lambda params, x, key: (x[:, 0], lambda dy: ({}, lambda: x))), {}, ROWS), ValueError,
        r"jacobian: net must put out rows of columns, got \(7,\)",
    ),
    "a loss that is none": (
        lambda: per_example_grads(dense(3, 2), bad(3), init(dense(3, 2), 0), ROWS, TARGETS), TypeError,
        r"per_example_grads: loss_fn must be a function .*",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])


def test_the_same_bits_every_time_and_no_argument_changed() -> None:
    net, _, loss_fn, params, y = case("own")
    before = ROWS.copy(), y.copy()
    assert same_bits(per_example_grads(net, loss_fn, params, ROWS, y), per_example_grads(net, loss_fn, params, ROWS, y))
    assert same_bits((ROWS, y), before)
    assert loss(net, loss_fn, params, ROWS, y) > 0


def test_a_row_without_a_target_has_no_gradient_of_its_own() -> None:
    net = dense(3, 2)
    params, y = init(net, 0, np.float64), TARGETS.copy()
    y[2], y[4, 1] = np.nan, np.nan
    found = per_example_grads(net, masked(mse), params, ROWS, y)["W"]
    assert not found[2].any()
    np.testing.assert_allclose(found[4, :, 0], 2 * (forward(net, params, ROWS)[4, 0] - y[4, 0]) * ROWS[4])
    assert not found[4, :, 1].any()
    expected = per_example_grads(net, mse, params, ROWS, TARGETS)["W"]
    np.testing.assert_allclose(found[[0, 1, 3, 5, 6]], expected[[0, 1, 3, 5, 6]])
