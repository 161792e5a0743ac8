"""Losses: values of PyTorch 2.13 and optax 0.2.8 in float64, targets of every kind, what is refused."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from nnfunc import (
    AnyArray,
    Array,
    Layer,
    LossFn,
    accuracy,
    binary_cross_entropy,
    class_weight,
    cross_entropy,
    dense,
    diagnose,
    freeze,
    gaussian_nll,
    huber,
    init,
    loss,
    mae,
    masked,
    mse,
    poisson_nll,
    quantile_loss,
    require_same_shape,
    sigmoid,
    sigmoid_cross_entropy,
    softmax,
    softmax_cross_entropy,
    softplus,
    train,
    value_and_grads,
)
from nnfunc.transforms.ensembles import ensemble_value_and_grads, stack_params
from nnfunc.transforms.rows import per_example_grads
from tests.numeric import bad, relative_error, same_bits, slopes
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


# Quantiles, spreads and counts: by hand, by differences, and where they are least

DRAWN: Array = np.random.default_rng(5).gamma(2.0, 3.0, (999, 1))
GROUPED: dict[str, tuple[Callable[..., tuple[Array, Array]], int]] = {
    "quantile_loss": (quantile_loss, 3),
    "quantile_loss of two levels": (partial(quantile_loss, levels=[0.2, 0.95]), 2),
    "quantile_loss of one": (partial(quantile_loss, levels=0.3), 1),
    "gaussian_nll": (gaussian_nll, 2),
    "poisson_nll": (poisson_nll, 1),
}


@pytest.mark.parametrize("name", GROUPED)
@pytest.mark.parametrize("sum_outputs", [False, True])
def test_slopes_of_losses_with_several_outputs_for_a_target(name: str, sum_outputs: bool) -> None:
    loss_fn, each = GROUPED[name]
    draw = np.random.default_rng(6)
    z, t = draw.normal(size=(4, 2 * each)), draw.poisson(2, (4, 2)).astype(float)
    by_hand = slopes(lambda p: float(loss_fn(p["z"], t, sum_outputs=sum_outputs)[0].sum()), {"z": z})
    assert relative_error({"z": loss_fn(z, t, sum_outputs=sum_outputs)[1]}, by_hand) < 1e-9


@pytest.mark.parametrize("name", GROUPED)
def test_columns_of_targets_are_those_of_each_group_of_outputs(name: str) -> None:
    loss_fn, each = GROUPED[name]
    draw = np.random.default_rng(7)
    z, t = draw.normal(size=(5, 3 * each)), draw.poisson(2, (5, 3)).astype(float)
    per_example, d = loss_fn(z, t)
    columns = [loss_fn(z[:, j::3], t[:, j : j + 1]) for j in range(3)]
    assert per_example == pytest.approx(sum(value for value, _ in columns) / 3, rel=1e-13)
    for j, (_, slope) in enumerate(columns):
        assert d[:, j::3] == pytest.approx(slope / 3, rel=1e-13)
    width = z.shape[1] if "quantile" in name else 3
    assert loss_fn(z, t, sum_outputs=True)[0] == pytest.approx(width * per_example, rel=1e-13)


@pytest.mark.parametrize("level", [0.05, 0.5, 0.731])
def test_the_quantile_loss_is_least_at_the_quantile_of_the_sample(level: float) -> None:
    tried = np.sort(DRAWN[:, 0])
    values = [quantile_loss(np.full_like(DRAWN, q), DRAWN, level)[0].sum() for q in tried]
    assert tried[np.argmin(values)] == np.quantile(DRAWN, level, method="inverted_cdf")


def test_the_median_loss_is_half_the_absolute_error() -> None:
    t = ERRORS * 0.3
    assert same_bits(quantile_loss(ERRORS, t, 0.5), tuple(0.5 * a for a in mae(ERRORS, t)))
    assert quantile_loss(ERRORS, ERRORS, 0.9)[1].tolist() == [[0], [0], [0]]


def test_the_gaussian_loss_is_least_at_the_mean_and_variance_of_the_sample() -> None:
    mean, variance = float(DRAWN.mean()), float(DRAWN.var())
    best = np.array([mean, math.log(math.expm1(variance - 1e-6))])
    per_example, d = gaussian_nll(np.tile(best, (len(DRAWN), 1)), DRAWN)
    assert per_example.mean() == pytest.approx(0.5 * math.log(2 * math.pi * variance) + 0.5, rel=1e-12)
    assert np.abs(d.mean(axis=0)).max() < 1e-12
    for away in ([0.1, 0], [-0.1, 0], [0, 0.1], [0, -0.1]):
        assert gaussian_nll(np.tile(best + away, (len(DRAWN), 1)), DRAWN)[0].mean() > per_example.mean() + 1e-6
    _, s = np.hsplit(best[None], 2)  # as the docstring says
    assert np.sqrt(softplus(s) + 1e-6) == pytest.approx(DRAWN.std(), rel=1e-12)


def test_the_poisson_loss_is_least_at_the_logarithm_of_the_mean() -> None:
    counts = np.array([[0], [3], [7], [2]])
    per_example, d = poisson_nll(np.full((4, 1), math.log(3)), counts)
    assert per_example.tolist() == pytest.approx([3 - y * math.log(3) for y in (0, 3, 7, 2)], rel=1e-15)
    assert d[:, 0].tolist() == pytest.approx([3, 0, -4, 1], abs=1e-14)


# PyTorch 2.13, in float64: GaussianNLLLoss(full=True, eps=1e-12) of softplus(s) + 1e-6, PoissonNLLLoss(); and
# scikit-learn 1.9's mean_pinball_loss, the mean over the levels.
Z6: Array = np.array([[0.3, -1.2, 2.0, 0.5, -0.7, 1.1], [1.5, 0.2, -0.4, -2.0, 3.0, 0.0]])
PEERS: dict[str, tuple[LossFn, Array, Array, float]] = {
    "gaussian_nll": (gaussian_nll, Z6, np.array([[1.0, 0.0, 2.5], [0.0, 1.0, -1.0]]), 2.6512167027648683),
    "poisson_nll": (poisson_nll, Z6[:, :3], np.array([[1.0, 0.0, 4.0], [2.0, 1.0, 0.0]]), 0.6522534988254549),
    "quantile_loss": (quantile_loss, Z6, np.array([[1.0, 0.0], [0.0, 1.0]]), 0.5758333333333333),
}


@pytest.mark.parametrize("name", PEERS)
def test_values_of_other_libraries(name: str) -> None:
    loss_fn, z, t, expected = PEERS[name]
    assert mean(loss_fn(z, t)) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_spreads_of_any_size_give_finite_losses_in_float32(size: float) -> None:
    for z in ([size, size], [0, size], [size, -size], [-size, 0]):
        per_example, d = gaussian_nll(np.array([z], np.float32), np.array([[1.0]]))
        exact, slope = gaussian_nll(np.array([z]), np.array([[1.0]]))
        assert per_example == pytest.approx(exact, rel=1e-5) and d == pytest.approx(slope, rel=1e-4)


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


def test_a_loss_that_meets_the_logits_is_told_of_by_its_own_name() -> None:
    x = np.random.default_rng(1).normal(size=(4, 3))
    cases: list[tuple[Layer, Any, AnyArray]] = [
        (dense(3, 1, sigmoid), binary_cross_entropy, np.array([[0.0], [1.0], [7.0], [0.0]])),
        (dense(3, 2, softmax), cross_entropy, np.array([0, 1, 7, 0])),
    ]
    for net, loss_fn, y in cases:
        params = init(net, 0, np.float64)
        for given in (loss_fn, partial(loss_fn), masked(loss_fn)):
            calls: list[Callable[[], object]] = [
                partial(loss, net, given, params, x, y),
                partial(loss, net, given, params, x, y, weight=[1, 1, 1, 0]),
                partial(value_and_grads, net, given, params, x, y),
                partial(per_example_grads, net, given, params, x, y),
                partial(ensemble_value_and_grads, net, given, stack_params([params, params]), x, y),
                partial(diagnose, net, given, params, x, y),
                partial(next, train(net, given, params, x, y, epochs=1, lr=0.1)),
            ]
            for call in calls:
                with pytest.raises(ValueError, match=f"^{loss_fn.__name__}: targets must "):
                    call()
        with pytest.raises(TypeError, match=f"^loss: loss_fn must have the options given, got {loss_fn.__name__}"):
            loss(net, partial(loss_fn, odd=1), params, x, y)


@pytest.mark.parametrize("shapes", [((3, 1), (3,)), ((3,), (3, 1)), ((2, 3, 1), (2, 3)), ((1, 1), (1,))])
def test_the_reshape_that_is_advised_works(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    outputs, targets = np.zeros(shapes[0]), np.ones(shapes[1])
    with pytest.raises(ValueError, match=r"np\.reshape\(") as caught:
        mse(outputs, targets)
    advised = str(caught.value).split("outputs (")[1].split(" has it")[0]
    for given in (targets, targets.tolist()):
        assert mse(outputs, eval(advised, {"np": np, "targets": given}))[0] == pytest.approx(1)


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
    "a level of 1": (lambda: quantile_loss(X, X, 1.0), ValueError, r"quantile_loss: levels must be a number in \(0, 1\) or several, got 1.0"),
    "a level of nan": (lambda: quantile_loss(X, X, (0.5, math.nan)), ValueError, r"quantile_loss: levels must be .*, got \(0.5, nan\)"),
    "no level": (lambda: quantile_loss(X, X, ()), ValueError, r"quantile_loss: levels must be a number .*, got \(\)"),
    "levels of text": (lambda: quantile_loss(X, X, bad("low")), TypeError, r"quantile_loss: levels must hold numbers, got .*"),
    "one column for three levels": (
        lambda: quantile_loss(np.zeros((5, 1)), np.zeros((5, 1))), ValueError,
        r"quantile_loss: outputs must have shape \(5, 3\), 3 \(levels\) times 1 \(columns of targets\), got \(5, 1\)",
    ),
    "two columns for one level": (
        lambda: quantile_loss(np.zeros((5, 2)), np.zeros((5, 1)), 0.5), ValueError,
        r"quantile_loss: outputs must have shape \(5, 1\), 1 \(levels\) times 1 \(columns of targets\), got \(5, 2\)",
    ),
    "levels beside targets of another number of rows": (
        lambda: quantile_loss(np.zeros((4, 18)), np.zeros((3, 6))), ValueError,
        r"quantile_loss: targets must have the shape \(4, 6\) of the outputs of each level, got \(3, 6\)",
    ),
    "one axis for means and spreads": (
        lambda: gaussian_nll(np.zeros(4), np.zeros(2)), ValueError,
        r"gaussian_nll: outputs must have shape \(n, 2 k\), for targets of k columns, got \(4,\)",
    ),
    "levels beside targets of one axis": (
        lambda: quantile_loss(np.zeros((5, 3)), np.zeros(5)), ValueError,
        r"quantile_loss: targets must have the shape \(5, 1\) of the outputs of each level \(np.reshape\(targets, \(-1, 1\)\) has it\), got \(5,\)",
    ),
    "as many targets as outputs of levels": (
        lambda: quantile_loss(np.zeros((5, 3)), np.zeros((5, 3))), ValueError,
        r"quantile_loss: outputs must have shape \(5, 9\), 3 \(levels\) times 3 \(columns of targets\), got \(5, 3\)",
    ),
    "means without spreads": (
        lambda: gaussian_nll(np.zeros((5, 3)), np.zeros((5, 3))), ValueError,
        r"gaussian_nll: outputs must have shape \(5, 6\), 2 \(of means and spreads\) times 3 \(columns of targets\), got \(5, 3\)",
    ),
    "targets for means and spreads": (
        lambda: gaussian_nll(np.zeros((5, 2)), np.zeros((5, 2))), ValueError,
        r"gaussian_nll: outputs must have shape \(5, 4\), 2 \(of means and spreads\) times 2 \(columns of targets\), got \(5, 2\)",
    ),
    "targets of one axis for means": (
        lambda: gaussian_nll(np.zeros((5, 2)), np.zeros(5)), ValueError,
        r"gaussian_nll: targets must have the shape \(5, 1\) of the means, half the outputs \(np.reshape\(targets, \(-1, 1\)\) has it\), got \(5,\)",
    ),
    "a count below 0": (
        lambda: poisson_nll(np.zeros((2, 1)), np.array([[1.0], [-1.0]])), ValueError,
        r"poisson_nll: targets must be finite and at least 0, got -1.0 at \[1, 0\] \(1 of 2 values\)",
    ),
    "a count without end": (
        lambda: poisson_nll(np.zeros((2, 1), np.float32), np.array([[np.inf], [1.0]])), ValueError,
        r"poisson_nll: targets must be finite and at least 0, got inf at \[0, 0\] \(1 of 2 values\)",
    ),
    "masked is no loss": (
        lambda: masked(bad(softplus)), TypeError,
        r"masked: loss_fn must be a function \(outputs, targets\) -> \(per_example, d_outputs\), got the function softplus, which takes \(z\)",
    ),
    "gaps in columns that outputs have no multiple of": (
        lambda: masked(mse)(np.zeros((2, 3)), np.array([[1.0, math.nan], [math.nan, 2.0]])), ValueError,
        r"masked: outputs must have shape \(n, 2\), or a multiple of these columns, where a row lacks some .*, got \(2, 3\)",
    ),
    "gaps along three axes": (
        lambda: masked(mse)(np.zeros((2, 2, 1)), np.array([[[1.0], [math.nan]]] * 2)), ValueError, r"masked: outputs must .*, got \(2, 2, 1\)",
    ),
    "too few rows with gaps": (
        lambda: masked(mse)(np.zeros((2, 1)), np.array([[math.nan]])), ValueError,
        r"masked: targets must have one row for each of the 2 of outputs, got \(1, 1\)",
    ),
    "class too high beside a gap": (
        lambda: masked(CE)(np.zeros((3, 2)), np.array([math.nan, 1.0, 2.0])), ValueError,
        r"softmax_cross_entropy: targets must be classes from 0 to 1.*, got 2 at row 1 \(of the 2 rows from row 1 on that lack the same targets\)",
    ),
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
        r"sigmoid_cross_entropy: targets must lie in \[0, 1\], got -1.0 at \[0, 0\] \(1 of 2 values\)",
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
        r"binary_cross_entropy: outputs must be probabilities .*, got 3.0 at \[0, 0\] \(1 of 1 values\)",
    ),
    "sum_outputs a number": (
        lambda: mse(X, X, sum_outputs=bad(1)),
        TypeError,
        r"mse: sum_outputs must be True or False, got 1",
    ),
    "one shape of another rank": (
        lambda: require_same_shape("brier", np.zeros((3, 1)), np.zeros(3)),
        ValueError,
        r"brier: targets must have the shape \(3, 1\) of the outputs \(np.reshape\(targets, \(-1, 1\)\) has it\), got \(3,\)",
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
