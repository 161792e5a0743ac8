"""Metrics: worked by hand, and figures of scikit-learn 1.9."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, DTypeLike

from nnfunc import (
    AnyArray, accuracy, confusion_matrix, current_params, dense, forward, init, masked, mse, one_hot, r2,
    softmax_cross_entropy, train,
)  # fmt: skip
from tests.numeric import bad
from tests.samples import X, Y
from tests.sentences import Cases, assert_sentence


def test_accuracy() -> None:
    scores = np.array([[0.1, 0.9], [2, 1], [-3, -1], [0.2, 0.1]])
    assert accuracy(scores, [1, 0, 1, 1]) == 0.75
    assert accuracy(scores, np.eye(2)[[1, 0, 1, 1]]) == 0.75
    assert accuracy([[0.4], [0.6]], [[0], [0]], threshold=0.5) == 0.5
    assert accuracy([-0.4, 0.6], [0, 1], threshold=0) == 1


def test_a_threshold_tells_every_answer_by_itself() -> None:
    p = np.array([[0.6, 0.4], [0.8, 0.2], [0.2, 0.8]])
    assert accuracy(p, [[1, 0], [1, 1], [0, 0]], threshold=0.5) == pytest.approx(4 / 6)
    assert accuracy(p, [[1, 0], [1, 1], [0, 0]], threshold=0.9) == pytest.approx(3 / 6)
    assert accuracy(p[:, 1], [1, 0, 1], threshold=0.3) == 1


def test_confusion() -> None:
    scores = np.array([[0.1, 0.9, 0], [2, 1, 0], [-3, -1, -2], [0.2, 0.1, 0]])
    expected = [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    for y in ([1, 0, 0, 1], np.array([1, 0, 0, 1], np.uint8), np.eye(3)[[1, 0, 0, 1]]):
        assert confusion_matrix(scores, y).tolist() == expected
    p = np.array([0.2, 0.7, 0.6, 0.1])
    assert confusion_matrix(p, [0, 0, 1, 1], threshold=0.5).tolist() == [[1, 1], [1, 1]]
    assert confusion_matrix(p[:, None], [[0.0], [0.0], [1.0], [1.0]], threshold=0.65).tolist() == [[1, 1], [2, 0]]
    assert confusion_matrix([0.5, 0.6], np.array([True, True]), threshold=0.5).tolist() == [[0, 0], [1, 1]]


def test_the_trace_of_the_confusion_is_the_accuracy() -> None:
    draw = np.random.default_rng(0)
    scores, y = draw.normal(size=(500, 20)), draw.integers(0, 20, 500).astype(np.uint8)  # 20 * 20 is beyond 255
    counts = confusion_matrix(scores, y)
    assert counts.sum(axis=1).tolist() == np.bincount(y, minlength=20).tolist()
    assert counts.sum(axis=0).tolist() == np.bincount(scores.argmax(axis=1), minlength=20).tolist()
    assert np.trace(counts) / counts.sum() == accuracy(scores, y)


# Outputs, targets, and scikit-learn's r2_score(targets, outputs).
EXPLAINED: dict[str, tuple[ArrayLike, ArrayLike, float]] = {
    "a column": ([[2.5], [0.0], [2.0], [8.0]], [[3.0], [-0.5], [2.0], [7.0]], 0.9486081370449679),
    "no columns": ([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0], 0.9486081370449679),
    "columns": ([[0, 2], [-1, 2], [8, -5]], [[0.5, 1.0], [-1.0, 1.0], [7.0, -6.0]], 0.9368005266622779),
    "worse than the mean": ([[3], [2], [1]], [[1], [2], [3]], -3.0),
    "equal targets that are met": ([[2.0], [2.0]], [[2.0], [2.0]], 1.0),
    "equal targets that are missed": ([[2.0], [2.5]], [[2.0], [2.0]], 0.0),
    "one of two columns equal": ([[1.0, 0.1], [2.0, 0.1], [4.0, 0.1]], [[1.0, 0.1], [3.0, 0.1], [5.0, 0.1]], (0.75 + 1) / 2),
    "bytes": (np.array([[0], [255]], np.uint8), np.array([[255], [0]], np.uint8), -3.0),
    "booleans": ([True, False], [True, False], 1.0),
}


@pytest.mark.parametrize("name", EXPLAINED)
def test_variance_explained(name: str) -> None:
    outputs, targets, expected = EXPLAINED[name]
    assert r2(outputs, targets) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("offset", [0.0, 1e6, -(2.0**40)])
@pytest.mark.parametrize("scale", [1.0, 2.0**-900, 2.0**1000, 2.0**1022])
def test_variance_explained_keeps_its_digits_at_any_offset_and_size(offset: float, scale: float) -> None:
    y = np.array([[0.0, 1.0], [-1.0, 0.5], [0.25, -1.0], [0.5, 0.75]])
    outputs = y + np.array([[0.125, 0.0], [0.25, 0.125], [0.0, -0.25], [-0.125, 0.5]])
    shift = offset if scale == 1 else 0.0
    errors, spread = ((outputs - y) ** 2).sum(axis=0), ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    assert r2(scale * outputs + shift, scale * y + shift) == pytest.approx((1 - errors / spread).mean(), rel=1e-13)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_column_of_equal_targets_is_told_in_every_dtype(dtype: DTypeLike) -> None:
    y: AnyArray = np.full((997, 1), 0.1, dtype)  # the rounded mean of 997 times 0.1 is not 0.1
    assert r2(y, y) == 1
    assert r2(y + np.eye(997, 1, dtype=dtype), y) == 0
    assert r2(np.array([1e300, 0]), np.array([0, 1e-300])) == -np.inf


def test_least_squares_explains_the_square_of_the_correlation() -> None:
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=50), draw.normal(size=50)
    fitted = np.polyval(np.polyfit(x, y + x, 1), x)
    assert r2(fitted, y + x) == pytest.approx(np.corrcoef(x, y + x)[0, 1] ** 2, rel=1e-12)


def test_variance_explained_is_a_metric_of_a_run() -> None:
    net, x = dense(1, 2), np.linspace(-1, 1, 32)[:, None]
    y = np.hstack([3 * x + 2, -x])
    params = init(net, 0, np.float64)
    reports = [report for _, report in train(net, mse, params, x, y, epochs=40, lr=0.3, validation=(x, y), metrics={"r2": r2})]
    assert reports[0]["metrics"]["r2"] < reports[-1]["metrics"]["r2"] == pytest.approx(1, abs=1e-3)
    assert r2(forward(net, params, x), y) < 0.9


def test_other_metrics_of_scikit_learn_take_the_line_that_is_shown() -> None:
    f1_score = pytest.importorskip("sklearn.metrics").f1_score
    text = (Path(__file__).parents[2] / "examples" / "README.md").read_text()
    shown = re.findall(r"`metrics=({\"f1\".*})`", text)
    assert len(shown) == 1
    net, draw = dense(3, 4), np.random.default_rng(2)
    x, y = draw.normal(size=(60, 3)), draw.integers(0, 4, 60)
    params, metrics = init(net, 0, np.float64), eval(shown[0], {"f1_score": f1_score})
    state, report = next(train(net, softmax_cross_entropy, params, x, y, epochs=1, lr=0.1, validation=(x, y), metrics=metrics))
    counts = confusion_matrix(forward(net, current_params(state), x), y)
    f1 = 2 * np.diag(counts) / (counts.sum(axis=0) + counts.sum(axis=1))
    assert report["metrics"]["f1"] == pytest.approx(f1.mean(), rel=1e-12)


def test_predicted_classes_become_scores_by_the_line_that_is_advised() -> None:
    predicted, y = [0, 2, 1, 1], [0, 1, 2, 1]
    with pytest.raises(ValueError, match="one column for each class") as caught:
        confusion_matrix(predicted, y)
    line = re.findall(r"\((one_hot\(.*?\))", str(caught.value))[0]
    scores = eval(line, {"one_hot": one_hot, "outputs": predicted})
    assert confusion_matrix(scores, y).tolist() == [[1, 0, 0], [0, 1, 1], [0, 1, 0]]


@pytest.mark.parametrize("metric", [r2, partial(accuracy, threshold=3)], ids=["r2", "accuracy"])
def test_gaps_in_targets_are_left_out_by_the_line_that_is_advised(metric: Callable[[ArrayLike, ArrayLike], float]) -> None:
    outputs = np.array([[1.0, 4.0], [3.0, 5.0], [9.0, 7.0], [4.0, 8.0]])
    y = np.array([[1.0, 4.0], [2.0, 5.0], [np.nan, np.nan], [5.0, 7.0]])
    y = y if metric is r2 else np.where(np.isnan(y), y, y > 2)
    with pytest.raises((FloatingPointError, ValueError), match="leaves NaN out") as caught:
        metric(outputs, y)
    line = re.findall(r"\((lambda .*) leaves NaN out\)", str(caught.value))[0]
    own = eval(line, {"np": np, "r2": r2, "accuracy": accuracy})
    there = ~np.isnan(y)
    expected = metric(outputs[there], y[there])
    if metric is r2:  # a mean over columns
        expected = sum(r2(outputs[there[:, j], j], y[there[:, j], j]) for j in range(2)) / 2
        assert f"{own(outputs, y):.6f}" == f"{r2(outputs[[0, 1, 3]], y[[0, 1, 3]]):.6f}"
        column = "np.extract(~np.isnan(y), y)"
        with pytest.raises(FloatingPointError, match=re.escape(column)):
            r2(outputs[:, :1], y[:, :1])
        with pytest.raises(FloatingPointError, match="targets must be finite, got"):  # a column without two numbers
            r2(outputs, [[1.0, np.nan], [2.0, np.nan], [3.0, np.nan], [4.0, 1.0]])
    assert own(outputs, y) == own(outputs.tolist(), y.tolist()) == expected
    net, params = dense(2, 2), {"W": np.eye(2), "b": np.zeros(2)}
    run = train(net, masked(mse), params, outputs, y, epochs=1, lr=0.0, validation=(outputs, y), metrics={"own": own})
    assert next(run)[1]["metrics"]["own"] == own(outputs, y)


BAD: Cases = {
    "threshold for the confusion of several columns": (
        lambda: confusion_matrix([[0.6, 0.4]], [[1, 0]], threshold=0.3), ValueError,
        r"confusion_matrix: outputs must have one column where a threshold tells yes from no .*, got \(1, 2\)",
    ),
    "a class too high to count": (
        lambda: confusion_matrix([[0.6, 0.4]], [2]), ValueError, r"confusion_matrix: y must be classes from 0 to 1.*, got 2 at row 0",
    ),
    "confusion of one column without a threshold": (
        lambda: confusion_matrix([[0.6]], [1]), ValueError, r"confusion_matrix: threshold must be given for one column .*, got None",
    ),
    "targets of one axis to explain": (
        lambda: r2([[1.0], [2.0]], [1.0, 2.0]), ValueError,
        r"r2: targets must have the shape \(2, 1\) of the outputs \(np.reshape\(targets, \(-1, 1\)\) has it\), got \(2,\)",
    ),
    "an infinite target to explain": (
        lambda: r2([1.0, 2.0], [1.0, np.inf]), FloatingPointError, r"r2: targets must be finite, got inf at \[1\] .*",
    ),
    "classes for scores": (
        lambda: confusion_matrix([0, 1, 2], [0, 1, 3]), ValueError,
        r"confusion_matrix: outputs must be scores, .* \(one_hot\(outputs, 4\) makes them of predicted classes\), got int64 .* \(3,\)",
    ),
    "answers for scores": (
        lambda: accuracy([0, 1, 1], [0, 1, 1]), ValueError,
        r"accuracy: outputs must be scores, .* \(one_hot\(outputs, 2\) .*, or give a threshold for answers of yes or no: 0.5\), got .*",
    ),
    "classes before scores": (
        lambda: accuracy(Y, np.zeros((5, 3))), ValueError,
        r"accuracy: outputs must be scores, .*, and come first, before the classes, got shape \(5,\), and y of shape \(5, 3\)",
    ),
    "rows of classes before scores": (
        lambda: confusion_matrix(np.eye(3), np.full((3, 3), 0.3)), ValueError,
        r"confusion_matrix: y must have one 1 and .* \(outputs come first, then y\), got float64 .*",
    ),
    "answers before probabilities": (
        lambda: accuracy([0, 1], [0.2, 0.9], threshold=0.5), ValueError,
        r"accuracy: y must be 0 or 1 for yes-or-no answers \(outputs come first, then y\), got .*",
    ),
    "one row to explain": (lambda: r2([[1.0]], [[1.0]]), ValueError, r"r2: targets must have at least two rows, .*, got \(1, 1\)"),
    "no axis to explain": (lambda: r2(1.0, 1.0), ValueError, r"r2: targets must have at least two rows, .*, got \(\)"),
    "a gap to explain": (
        lambda: r2([1.0, 2.0], [1.0, np.nan]), FloatingPointError, r"r2: targets must be finite \(lambda .* leaves NaN out\), got nan at \[1\] .*",
    ),
    "text to explain": (lambda: r2([1.0, 2.0], bad(["a", "b"])), TypeError, r"r2: targets must hold numbers, got .*"),
    "threshold for the second of two columns": (
        lambda: accuracy([[0.6, 0.4]], [1], threshold=0.3), ValueError,
        r"accuracy: y must have the shape \(1, 2\) .* \(np.asarray\(outputs\)\[:, 1\] is the second class alone\), got \(1,\)",
    ),
    "yes-or-no columns without a threshold": (
        lambda: accuracy([[2.0, 1.0]], [[1, 1]]), ValueError, r"accuracy: y must .* \(for yes-or-no answers give a threshold: .*",
    ),
    "accuracy with a text as threshold": (
        lambda: accuracy([[0.5]], [[1]], threshold=bad("")), TypeError, r"accuracy: threshold must be a number, got ''",
    ),
    "accuracy with an array as threshold": (
        lambda: accuracy([[0.5]], [[1]], threshold=bad(np.ones(2))), TypeError, r"accuracy: threshold must be a number, got float64 array.*",
    ),
    "targets that are no classes": (
        lambda: accuracy(Y[:, None] + X, np.full((5, 4), 7)),
        ValueError,
        r"accuracy: y must have one 1 and else 0 .*",
    ),
    "too few targets": (lambda: accuracy(X, Y[:2]), ValueError, r"accuracy: y must have shape \(5,\).*, got \(2,\)"),
    "no threshold for one column": (
        lambda: accuracy(X[:, :1], Y[:, None]),
        ValueError,
        r"accuracy: threshold must be given .*, got None",
    ),
    "targets above 1": (
        lambda: accuracy(X[:, :1], Y[:, None] * 2, threshold=0),
        ValueError,
        r"accuracy: y must be 0 or 1 .*",
    ),
    "outputs of nan": (
        lambda: accuracy(X * np.nan, Y),
        FloatingPointError,
        r"accuracy: outputs must be finite, got nan at \[0, 0\].*",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
