"""Second-order fits against closed forms, another way to the same minimum, and their own promises."""

from itertools import product

import numpy as np
import pytest

from nnfunc import (
    Array, batch_norm, chain, dense, dropout, finish, forward, init, layer_norm, loss, mse, relu, residual, sigmoid,
    tanh,
)  # fmt: skip
from nnfunc.transforms import jacobian, levenberg_marquardt
from tests.layers import elementwise, scaling
from tests.numeric import bad, same_bits
from tests.sentences import Cases, assert_sentence

DRAW = np.random.default_rng(0)
X: Array = DRAW.normal(size=(40, 3))
Y: Array = DRAW.normal(size=(40, 2))
WAVE: Array = np.linspace(-1, 1, 21).reshape(21, 1)
NET = chain(h=dense(1, 5, tanh), o=dense(5, 1))


def test_linear_least_squares_takes_one_step() -> None:
    net, design = dense(3, 2), np.hstack([X, np.ones((40, 1))])
    params, reports = finish(levenberg_marquardt(net, init(net, 0, np.float64), X, Y, damping=0))
    expected = np.linalg.lstsq(design, Y, rcond=None)[0]
    assert [report["step"] for report in reports] == [0, 1]
    np.testing.assert_allclose(np.vstack([params["W"], params["b"]]), expected, rtol=1e-9, atol=1e-12)
    weight = DRAW.random(40) * 1e200
    params, _ = finish(levenberg_marquardt(net, init(net, 0, np.float64), X, Y, damping=0, weight=weight))
    root = np.sqrt(weight / weight.max())[:, None]
    expected = np.linalg.lstsq(design * root, Y * root, rcond=None)[0]
    np.testing.assert_allclose(np.vstack([params["W"], params["b"]]), expected, rtol=1e-9, atol=1e-12)


def test_the_first_step_by_hand() -> None:
    """One parameter, y = tanh(w x): w - J r / (J^2 (1 + damping)) for one row."""
    net = dense(1, 1, tanh, bias=False)
    (_, first), (params, _) = list(levenberg_marquardt(net, {"W": np.array([[0.5]])}, [[1.0]], [[0.9]], damping=0.25, steps=1))
    slope, residual_ = 1 - np.tanh(0.5) ** 2, np.tanh(0.5) - 0.9
    assert params["W"][0, 0] == pytest.approx(0.5 - residual_ / (slope * 1.25), rel=1e-12)
    assert first["loss"] == pytest.approx(residual_**2, rel=1e-12)
    assert first["grad_norm"] == pytest.approx(abs(2 * slope * residual_), rel=1e-12)


def test_toy_sets_are_fitted_in_a_handful_of_steps() -> None:
    """Sine by five hidden units, and the parity of four bits: what first-order methods need thousands of steps for."""
    _, reports = finish(levenberg_marquardt(NET, init(NET, 0, np.float64), WAVE, np.sin(np.pi * WAVE), steps=100))
    assert reports[-1]["loss"] < 1e-4 < 1e-2 < reports[0]["loss"]
    bits = np.array(list(product([-1.0, 1.0], repeat=4)))
    net = chain(h=dense(4, 5, tanh), o=dense(5, 1))
    _, reports = finish(levenberg_marquardt(net, init(net, 0, np.float64), bits, np.prod(bits, axis=1, keepdims=True)))
    assert reports[-1]["loss"] < 1e-9 and len(reports) < 100 and reports[-1]["grad_norm"] <= 1e-7


def test_more_params_than_rows_are_fitted_from_every_start() -> None:
    """Nothing but damping keeps the first steps short there; with 1e-3 a quarter of the starts end with units at -1 and 1."""
    bits = np.array(list(product([-1.0, 1.0], repeat=4)))
    net = chain(h=dense(4, 6, tanh), o=dense(6, 1))
    for key in range(8):
        run = levenberg_marquardt(net, init(net, key, np.float64), bits, np.prod(bits, axis=1, keepdims=True), steps=200)
        assert finish(run)[1][-1]["loss"] < 1e-10, key


def test_what_is_reported_is_what_loss_and_gradient_are() -> None:
    weight = DRAW.random(21)
    losses = []
    for params, report in levenberg_marquardt(NET, init(NET, 1, np.float64), WAVE, WAVE**2, steps=5, weight=weight):
        assert report["loss"] == pytest.approx(loss(NET, mse, params, WAVE, WAVE**2, weight=weight), rel=1e-12)
        losses.append(report["loss"])
    assert losses == sorted(losses, reverse=True) and len(losses) == 6


def test_rows_in_blocks_are_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    y = np.sin(np.pi * WAVE)
    whole = finish(levenberg_marquardt(NET, init(NET, 0, np.float64), WAVE, y, steps=3))[0]
    monkeypatch.setattr("nnfunc.transforms.least_squares._BLOCK", 64)  # four rows of 16 params
    parts = finish(levenberg_marquardt(NET, init(NET, 0, np.float64), WAVE, y, steps=3))[0]
    for name, array in whole.items():
        np.testing.assert_allclose(parts[name], array, rtol=1e-6, atol=1e-12)


def test_rows_of_weight_0_are_gone_and_weight_2_is_the_row_twice() -> None:
    y = np.sin(np.pi * WAVE)
    weight = np.array([0.0, 1, 2] * 7)
    rows = np.repeat(np.arange(21), weight.astype(int))
    x = WAVE.copy()
    x[0] = np.nan
    one = finish(levenberg_marquardt(NET, init(NET, 0, np.float64), x, y, steps=4, weight=weight))[0]
    other = finish(levenberg_marquardt(NET, init(NET, 0, np.float64), WAVE[rows], y[rows], steps=4))[0]
    for name, array in one.items():
        np.testing.assert_allclose(array, other[name], rtol=1e-6)


def test_params_of_float32_stay_so_and_going_on_is_exact_but_for_the_scale() -> None:
    params = init(NET, 0)
    run = levenberg_marquardt(NET, params, WAVE.astype(np.float32), np.sin(np.pi * WAVE).astype(np.float32), steps=50)
    fitted, reports = finish(run)
    assert {a.dtype for a in fitted.values()} == {np.dtype(np.float32)}
    assert all(not a.flags.writeable for a in fitted.values())
    assert reports[-1]["loss"] < 1e-3


def test_the_same_bits_every_time() -> None:
    runs = [list(levenberg_marquardt(NET, init(NET, 0, np.float64), WAVE, WAVE**3, steps=5)) for _ in range(2)]
    assert same_bits(tuple(runs[0]), tuple(runs[1]))


def test_at_the_minimum_the_params_come_back() -> None:
    params = {"W": np.array([[2.0]]), "b": np.array([3.0])}
    found, reports = finish(levenberg_marquardt(dense(1, 1), params, [[1.0], [2.0]], [[5.0], [7.0]]))
    assert same_bits(dict(found), params) and [report["step"] for report in reports] == [0]


def test_units_that_do_nothing_and_units_that_do_the_same_do_no_harm() -> None:
    net = chain(h=dense(1, 2, relu), o=dense(2, 1))
    dead = {"h/W": np.ones((1, 2)), "h/b": np.full(2, -9.0), "o/W": np.ones((2, 1)), "o/b": np.zeros(1)}
    params, _ = finish(levenberg_marquardt(net, dead, WAVE, WAVE + 1, damping=0))
    assert params["o/b"] == pytest.approx(1) and same_bits(params["h/W"], dead["h/W"])
    equal = {"h/W": np.ones((1, 2)), "h/b": np.zeros(2), "o/W": np.ones((2, 1)), "o/b": np.zeros(1)}
    _, reports = finish(levenberg_marquardt(net, equal, WAVE + 2, 3 * WAVE, damping=0))
    assert reports[-1]["loss"] < 1e-12 < reports[0]["loss"]


EXPLODING = elementwise(lambda x, key: np.exp(100 * x), lambda dy, x: 100 * dy * np.exp(100 * x))


def test_a_step_out_of_the_domain_is_not_taken() -> None:
    net = chain(dense(1, 1, bias=False), EXPLODING, dense(1, 1, bias=False))
    params = {"0/W": np.array([[1.0]]), "2/W": np.array([[1.0]])}
    fitted, reports = finish(levenberg_marquardt(net, params, [[1.0], [2.0]], [[1e-3], [1e3]], steps=30))
    assert np.isfinite(reports[-1]["loss"]) and reports[-1]["loss"] < reports[0]["loss"]
    assert all(np.isfinite(a).all() for a in fitted.values())


def test_other_layers_of_the_library_are_fitted_as_well() -> None:
    net = chain(a=dense(3, 6, tanh), n=layer_norm(6), r=residual(dense(6, 6, sigmoid)), o=dense(6, 2))
    params = init(net, 0, np.float64)
    fitted, reports = finish(levenberg_marquardt(net, params, X, Y, steps=60))
    assert reports[-1]["loss"] < reports[0]["loss"] / 5
    assert jacobian(net, fitted, X).shape == (40, 2, 3)
    assert forward(net, fitted, X).shape == Y.shape


P = init(NET, 0, np.float64)
WIDE = dense(1000, 10)
BAD: Cases = {
    "too many params": (
        lambda: levenberg_marquardt(WIDE, init(WIDE, 0), np.ones((2, 1000)), np.ones((2, 10))), ValueError,
        r"levenberg_marquardt: params must hold at most 10,000 numbers, .*, got 10,010",
    ),
    "no params": (
        lambda: levenberg_marquardt(scaling(2, 2), {}, WAVE, WAVE), ValueError, r"levenberg_marquardt: params must hold a number at least, .*, got none"
    ),
    "dropout": (
        lambda: levenberg_marquardt(chain(NET, dropout(0.5)), {f"0/{n}": a for n, a in P.items()}, WAVE, WAVE), ValueError,
        r"levenberg_marquardt: net must compute in training what it does in inference, got one whose layer 1 is dropout",
    ),
    "batch norm": (
        lambda: levenberg_marquardt(chain(batch_norm(1)), init(chain(batch_norm(1)), 0), WAVE, WAVE), ValueError,
        r"levenberg_marquardt: net must compute in training what it does in inference, got one whose layer 0 is batch norm",
    ),
    "targets of another shape": (
        lambda: levenberg_marquardt(NET, P, WAVE, WAVE[:, 0]), ValueError, r"mse: targets must have the shape \(21, 1\) of the .*"
    ),
    "damping below 0": (
        lambda: levenberg_marquardt(NET, P, WAVE, WAVE, damping=-1), ValueError, r"levenberg_marquardt: damping must be finite and at least 0, got -1.*"
    ),
    "no steps": (lambda: levenberg_marquardt(NET, P, WAVE, WAVE, steps=0), ValueError, r"levenberg_marquardt: steps must be at least 1, got 0"),
    "steps a float": (
        lambda: levenberg_marquardt(NET, P, WAVE, WAVE, steps=bad(2.5)), TypeError, r"levenberg_marquardt: steps must be an integer, got 2.5"
    ),
    "weights all 0": (
        lambda: levenberg_marquardt(NET, P, WAVE, WAVE, weight=np.zeros(21)), ValueError, r"levenberg_marquardt: weight must be .* not all 0.*"
    ),
    "a NaN target": (
        lambda: levenberg_marquardt(NET, P, WAVE, WAVE * np.nan), FloatingPointError, r"levenberg_marquardt: y must be finite, got nan at .*"
    ),
    "no network": (lambda: levenberg_marquardt(bad(relu), P, WAVE, WAVE), TypeError, r"levenberg_marquardt: net must be a pair .*"),
    "another network's params": (
        lambda: levenberg_marquardt(NET, {"W": np.ones((1, 1))}, WAVE, WAVE), ValueError, r"chain: W must belong to one of its layers.*"
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
