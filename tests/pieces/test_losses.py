"""Losses: values of PyTorch 2.13 and optax 0.2.8 in float64, targets of every kind, what is refused."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from nnfunc import (
    AnyArray,
    Array,
    LossFn,
    accuracy,
    binary_cross_entropy,
    class_weight,
    cross_entropy,
    dense,
    freeze,
    huber,
    loss,
    mae,
    mse,
    require_same_shape,
    sigmoid,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
)
from tests.numeric import bad
from tests.samples import CE, NET, P, X, Y
from tests.sentences import Cases, assert_sentence


def mean(result: tuple[Array, Array]) -> float:
    return float(result[0].mean())


def test_softmax_cross_entropy() -> None:
    z, y = np.array([[2, -1, 0.5], [0.1, 0.2, -0.3]]), np.array([0, 2])
    assert mean(softmax_cross_entropy(z, y)) == pytest.approx(0.8310694761052082, abs=1e-15)
    assert mean(softmax_cross_entropy(z, y, label_smoothing=0.1)) == pytest.approx(0.8910694761052081, abs=1e-15)
    net, params = dense(3, 3), freeze({"W": np.eye(3), "b": np.zeros(3)})
    weight = class_weight(y, [1, 2, 4])
    weighted = loss(net, softmax_cross_entropy, params, z, y, weight=weight)
    assert weighted == pytest.approx(1.1849243837740389, abs=1e-15)


def test_sigmoid_cross_entropy() -> None:
    z, y = np.array([[0.3], [-2], [4]]), np.array([[1], [0], [1]])
    assert mean(sigmoid_cross_entropy(z, y)) == pytest.approx(0.23314439447643653, abs=1e-15)
    assert mean(sigmoid_cross_entropy(z, y, pos_weight=3)) == pytest.approx(0.6148145094006611, abs=1e-15)


ERRORS: Array = np.array([[0.2], [-1.5], [3]])
REGRESSION: dict[str, tuple[LossFn, float]] = {
    "mse": (mse, 3.763333333333333),
    "mae": (mae, 1.5666666666666667),
    "huber": (huber, 1.1733333333333333),
    "huber with a delta of 2": (partial(huber, delta=2), 1.715),
}


@pytest.mark.parametrize("name", REGRESSION)
def test_regression_losses(name: str) -> None:
    loss_fn, expected = REGRESSION[name]
    assert mean(loss_fn(ERRORS, np.zeros_like(ERRORS))) == pytest.approx(expected, abs=1e-15)


def test_mean_is_over_outputs_and_rows() -> None:
    e = np.array([[1.0, 3.0], [2.0, 0.0]])
    assert mean(mse(e, np.zeros_like(e))) == 14 / 4
    assert mean(mae(e, np.zeros_like(e))) == 6 / 4


SUMMED: dict[str, Callable[..., tuple[Array, Array]]] = {
    "mse": mse,
    "mae": mae,
    "huber": partial(huber, delta=0.7),
    "sigmoid_cross_entropy": partial(sigmoid_cross_entropy, pos_weight=3),
    "binary_cross_entropy": binary_cross_entropy,
}


@pytest.mark.parametrize("name", SUMMED)
def test_outputs_can_be_summed(name: str) -> None:
    draw = np.random.default_rng(0)
    z, t = draw.uniform(0.1, 0.9, (5, 3)), draw.uniform(0, 1, (5, 3))
    summed = partial(SUMMED[name], sum_outputs=True)
    columns = [SUMMED[name](z[:, j : j + 1], t[:, j : j + 1]) for j in range(3)]
    per_example, d = summed(z, t)
    assert per_example == pytest.approx(sum(value for value, _ in columns))
    assert d == pytest.approx(np.hstack([slope for _, slope in columns]))
    assert SUMMED[name](z, t)[0] * 3 == pytest.approx(per_example)
    assert SUMMED[name](z, t)[1] * 3 == pytest.approx(d)
    assert all(map(np.array_equal, summed(z[:, 0], t[:, 0]), SUMMED[name](z[:, 0], t[:, 0])))


def test_a_sum_over_outputs_meets_the_logits_too() -> None:
    x, y = np.random.default_rng(1).normal(size=(4, 3)), np.eye(4, 2)
    params = freeze({"W": np.full((3, 2), 40.0), "b": np.zeros(2)})
    fused = loss(dense(3, 2, sigmoid), partial(binary_cross_entropy, sum_outputs=True), params, x, y)
    assert fused == loss(dense(3, 2), partial(sigmoid_cross_entropy, sum_outputs=True), params, x, y)
    assert fused == pytest.approx(2 * loss(dense(3, 2), sigmoid_cross_entropy, params, x, y))


@pytest.mark.parametrize("shapes", [((3, 1), (3,)), ((3,), (3, 1)), ((2, 3, 1), (2, 3)), ((1, 1), (1,))])
def test_the_reshape_that_is_advised_works(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    outputs, targets = np.zeros(shapes[0]), np.ones(shapes[1])
    with pytest.raises(ValueError, match=r"targets\.reshape\(") as caught:
        mse(outputs, targets)
    advised = str(caught.value).split("targets.reshape(")[1].split(")")[0]
    assert mse(outputs, targets.reshape(*map(int, advised.split(","))))[0] == pytest.approx(1)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, bool, np.float16, np.float64])
def test_targets_of_0_and_1_may_be_of_any_kind(kind: type) -> None:
    z: Array = np.array([[0.3, -1.0], [2.0, 0.1]], np.float32)
    t = np.array([[0, 1], [1, 1]])
    targets: AnyArray = t.astype(kind)
    for loss_fn in (sigmoid_cross_entropy, mse, mae, huber):
        expected, got = loss_fn(z, t.astype(np.float32)), loss_fn(z, targets)
        assert all(map(np.array_equal, expected, got))
        assert got[0].dtype == got[1].dtype == np.float32


def test_cross_entropies_keep_small_losses() -> None:
    # log(1 + e^-30) and log(1 + 2 e^-30): a form that loses digits gives 0 or 1e-14 here
    assert sigmoid_cross_entropy(np.array([[-30.0]]), np.array([[0.0]]))[0][0] == pytest.approx(np.exp(-30), rel=1e-12)
    assert sigmoid_cross_entropy(np.array([[30.0]]), np.array([[1.0]]))[0][0] == pytest.approx(np.exp(-30), rel=1e-12)


# Targets at the edges


@pytest.mark.parametrize(("dtype", "k"), [(np.int8, 200), (np.int16, 40_000), (np.int64, 200), (np.uint8, 100)])
def test_a_class_out_of_range_is_met_whatever_the_integers(dtype: type, k: int) -> None:
    outputs = np.zeros((2, k), np.float32)
    wrong: AnyArray = np.array([0, 255 if dtype is np.uint8 else -100]).astype(dtype)
    calls: list[Callable[[], object]] = [
        lambda: softmax_cross_entropy(outputs, wrong),
        lambda: cross_entropy(outputs, wrong),
        lambda: accuracy(outputs, wrong),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=rf"must be classes from 0 to {k - 1} .*, got (-100|255) at row 1"):
            call()
    right: AnyArray = np.array([0, 99]).astype(dtype)
    assert softmax_cross_entropy(outputs, right)[0] == pytest.approx(math.log(k))


@pytest.mark.parametrize("n", [1, 64, 65, 1000])
@pytest.mark.parametrize("target", [-0.0, 1 + 1e-7])
def test_a_target_of_0_or_1_to_rounding_is_fine_at_every_size(n: int, target: float) -> None:
    outputs, targets = np.zeros((n, 1)), np.ones((n, 1))
    targets[-1] = target
    assert np.isfinite(sigmoid_cross_entropy(outputs, targets)[0]).all()


@pytest.mark.parametrize("n", [1, 64, 65, 1000])
@pytest.mark.parametrize("target", [1.5, -0.5])
def test_a_target_outside_0_and_1_is_met_at_every_size(n: int, target: float) -> None:
    outputs, targets = np.zeros((n, 1)), np.ones((n, 1))
    targets[-1] = target
    with pytest.raises(ValueError, match=rf"targets must lie in \[0, 1\], got {target}"):
        sigmoid_cross_entropy(outputs, targets)


@pytest.mark.parametrize("n", [1, 64, 65])
def test_a_target_that_is_nan_makes_the_loss_nan_and_hides_no_other(n: int) -> None:
    outputs, targets = np.zeros((n + 1, 1)), np.ones((n + 1, 1))
    targets[0] = np.nan
    assert np.isnan(sigmoid_cross_entropy(outputs, targets)[0][0])


BAD: Cases = {
    "delta that becomes 0 in float32": (
        lambda: huber(np.ones((2, 1), np.float32), np.zeros((2, 1)), 1e-50),
        ValueError,
        r"huber: delta must be a number that float32, the dtype of outputs, can hold, got 1e-50",
    ),
    "class too high": (
        lambda: loss(NET, CE, P, X, Y + 1),
        ValueError,
        r"softmax_cross_entropy: targets must be classes from 0 to 1 \(.*\), got 2 at row 1",
    ),
    "class below 0": (
        lambda: loss(NET, CE, P, X, Y - 1),
        ValueError,
        r"softmax_cross_entropy: targets must be classes .*, got -1 at row 0",
    ),
    "classes with halves": (
        lambda: loss(NET, CE, P, X, Y + 0.5),
        TypeError,
        r"softmax_cross_entropy: targets must be integers.*, got 0.5 at row 0 of a float32 .*",
    ),
    "classes of bools": (
        lambda: loss(NET, CE, P, X, Y > 0),
        TypeError,
        r"softmax_cross_entropy: targets must be integers.*, got bool .*",
    ),
    "probabilities that sum to 2": (
        lambda: loss(NET, CE, P, X, np.ones((5, 2))),
        ValueError,
        r"softmax_cross_entropy: targets must be prob.*sum to 1.*",
    ),
    "targets of another shape": (
        lambda: loss(NET, mse, P, X, Y),
        ValueError,
        r"mse: targets must have the shape \(5, 2\) of the outputs, got \(5,\)",
    ),
    "no rows": (lambda: mse(np.zeros(0), np.zeros(0)), ValueError, r"mse: outputs must hold at least one row .*"),
    "sigmoid target below 0": (
        lambda: sigmoid_cross_entropy(np.zeros((2, 1)), np.array([[-1], [1]])),
        ValueError,
        r"sigmoid_cross_entropy: targets must lie in \[0, 1\], got -1.0",
    ),
    "probability below 0": (
        lambda: cross_entropy(np.array([[0.5, 0.5], [-2.0, 3]]), np.array([1, 0])),
        ValueError,
        r"cross_entropy: outputs must be prob.* sum to 1 .*, got \[-2.0, 3.0\] at row 1",
    ),
    "outputs that are yes or no each": (
        lambda: cross_entropy(np.array([[0.9, 0.9, 0.9]]), np.array([0])),
        ValueError,
        r"cross_entropy: outputs must be prob.* sum to 1 .*binary_cross_entropy\), got \[0.9, 0.9, 0.9\] at row 0",
    ),
    "probability above 1": (
        lambda: binary_cross_entropy(np.array([[3.0]]), np.array([[1]])),
        ValueError,
        r"binary_cross_entropy: outputs must be probabilities .*, got 3.0",
    ),
    "sum_outputs a number": (
        lambda: mse(X, X, sum_outputs=bad(1)),
        TypeError,
        r"mse: sum_outputs must be True or False, got 1",
    ),
    "one shape of another rank": (
        lambda: require_same_shape("brier", np.zeros((3, 1)), np.zeros(3)),
        ValueError,
        r"brier: targets must have the shape \(3, 1\) of the outputs \(as targets.reshape\(3, 1\) has\), got \(3,\)",
    ),
    "shapes that NumPy would broadcast": (
        lambda: require_same_shape("brier", np.zeros((3, 2)), np.zeros((1, 2))),
        ValueError,
        r"brier: targets must have the shape \(3, 2\) of the outputs, got \(1, 2\)",
    ),
    "a list in place of an array": (
        lambda: require_same_shape("brier", np.zeros(2), bad([0.0, 1.0])),
        TypeError,
        r"brier: targets must be an array, got \[0.0, 1.0\]",
    ),
    "probabilities of one axis": (
        lambda: cross_entropy(np.array([0.5]), np.array([0])),
        ValueError,
        r"cross_entropy: outputs must have shape \(n, k\).*",
    ),
    "label_smoothing of 1": (
        lambda: CE(X, Y, label_smoothing=1),
        ValueError,
        r"softmax_cross_entropy: label_smoothing must lie in \[0, 1\), got 1.0",
    ),
    "label_smoothing below 0": (
        lambda: CE(X, Y, label_smoothing=-0.1),
        ValueError,
        r"softmax_cross_entropy: label_smoothing must lie in \[0, 1\), got .*",
    ),
    "delta below 0": (
        lambda: huber(X, X, delta=-1),
        ValueError,
        r"huber: delta must be finite and at least 0, got -1.0",
    ),
    "delta a text": (lambda: huber(X, X, delta=bad("a")), TypeError, r"huber: delta must be a number, got 'a'"),
    "class too high among rows of weight 0": (
        lambda: loss(NET, CE, P, X, Y * 2, weight=[0, 0, 1, 1, 0]),
        ValueError,
        r"softmax_cross_entropy: targets must be .*, got 2 at row 0 \(rows of weight 0 not counted\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
