"""Batches, splits, folds, scaling, classes: counted and worked by hand."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, DTypeLike

from nnfunc import batches, class_weight, fit_scaler, fold_in, folds, one_hot, split_rows, standardize
from tests.numeric import bad
from tests.samples import P, X, Y
from tests.sentences import Cases, assert_sentence

BATCHES: dict[str, tuple[int, int, list[int]]] = {
    "with a rest": (10, 4, [4, 4, 2]),
    "without a rest": (8, 4, [4, 4]),
    "fewer rows than a batch": (3, 5, [3]),
    "one row": (1, 1, [1]),
}


@pytest.mark.parametrize("name", BATCHES)
def test_batches_hold_every_row_once(name: str) -> None:
    n, size, lengths = BATCHES[name]
    found = list(batches(3, n, size))
    assert [len(rows) for rows in found] == lengths
    assert sorted(np.concatenate(found).tolist()) == list(range(n))


def test_batches_are_fresh_per_key_and_the_same_for_the_same() -> None:
    orders = [np.concatenate(list(batches(fold_in(0, epoch), 50, 8))).tolist() for epoch in range(4)]
    assert len({tuple(order) for order in orders}) == 4
    assert orders[2] == np.concatenate(list(batches(fold_in(0, 2), 50, 8))).tolist()
    assert all(order != sorted(order) for order in orders)


def test_every_row_is_as_likely_to_come_first() -> None:
    first = [int(next(batches(key, 4, 1))[0]) for key in range(4000)]
    counts = np.bincount(first, minlength=4)
    assert np.abs(counts - 1000).max() < 4 * np.sqrt(4000 * 0.25 * 0.75)


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.9])
def test_split_rows_parts_rows(fraction: float) -> None:
    train, held = split_rows(1, 50, fraction)
    assert len(held) == round(50 * fraction)
    assert sorted([*train.tolist(), *held.tolist()]) == list(range(50))


def test_stratified_split_keeps_shares() -> None:
    labels = np.repeat([5, 2, 7], [70, 20, 10])
    train, held = split_rows(4, 100, 0.3, labels=labels)
    assert [int(np.sum(labels[held] == c)) for c in (5, 2, 7)] == [21, 6, 3]
    assert sorted([*train.tolist(), *held.tolist()]) == list(range(100))
    odd = np.repeat([0, 1, 2], [7, 7, 7])
    _, held = split_rows(4, 21, 0.5, labels=odd)
    assert len(held) == 10
    assert sorted(np.bincount(odd[held]).tolist()) == [3, 3, 4]


def test_stratified_split_differs_by_key() -> None:
    labels = np.repeat([0, 1], 20)
    splits = {tuple(sorted(split_rows(key, 40, 0.25, labels=labels)[1].tolist())) for key in range(10)}
    assert len(splits) == 10


FOLDS: dict[str, tuple[int, int, list[int] | None]] = {
    "plain": (10, 3, None),
    "one row each": (7, 7, None),
    "as many of each class": (30, 5, [10, 20]),
    "classes that do not part": (23, 4, [9, 3, 11]),
    "a class of fewer rows than folds": (20, 6, [2, 1, 17]),
    "classes of one row": (6, 2, [1] * 6),
}


@pytest.mark.parametrize("name", FOLDS)
def test_every_row_is_held_out_once_and_classes_are_spread_evenly(name: str) -> None:
    n, k, sizes = FOLDS[name]
    labels = None if sizes is None else np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)) * 7 - 3, sizes))
    found = folds(2, n, k, labels)
    assert len(found) == k
    assert sorted(np.concatenate([held for _, held in found]).tolist()) == list(range(n))
    for rows, held in found:
        assert sorted([*rows.tolist(), *held.tolist()]) == list(range(n))
    lengths = [len(held) for _, held in found]
    assert max(lengths) - min(lengths) <= 1
    if labels is not None:
        for each in np.unique(labels):
            counts = [int(np.sum(labels[held] == each)) for _, held in found]
            assert max(counts) - min(counts) <= 1


def test_folds_count_classes_as_those_of_scikit_learn() -> None:
    labels = np.repeat([0, 1, 2, 3], [9, 3, 11, 4])  # StratifiedKFold(4), classes by fold
    expected = [[3, 0, 3, 1], [2, 1, 3, 1], [2, 1, 3, 1], [2, 1, 2, 1]]
    assert [np.bincount(labels[held], minlength=4).tolist() for _, held in folds(1, 27, 4, labels)] == expected


def test_folds_are_in_random_order_and_differ_by_key() -> None:
    found = [folds(key, 40, 4, np.repeat(["a", "b"], 20)) for key in range(10)]
    assert len({tuple(sorted(held.tolist())) for pairs in found for _, held in pairs}) == 40
    assert all(np.any(np.diff(rows) < 0) for pairs in found for pair in pairs for rows in pair)
    first = [int(folds(key, 4, 2)[0][1][0]) for key in range(2000)]
    assert np.abs(np.bincount(first, minlength=4) - 500).max() < 4 * np.sqrt(2000 * 0.25 * 0.75)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scaling(dtype: DTypeLike) -> None:
    x = np.random.default_rng(0).normal(1e4, 3.0, (1000, 3)).astype(dtype)
    z = standardize(x, fit_scaler(x))
    assert z.dtype == np.dtype(dtype)
    assert np.abs(z.mean(axis=0)).max() < 1e-3
    assert np.abs(z.std(axis=0) - 1).max() < 1e-3


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e20, 0.0, -7.3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_column_becomes_zero(value: float, dtype: DTypeLike) -> None:
    x = np.full((997, 1), value, dtype)  # the rounded mean of 997 times 0.1 is not 0.1
    assert np.array_equal(standardize(x, fit_scaler(x)), np.zeros((997, 1), dtype))


def test_scaling_takes_pixels() -> None:
    pixels = np.array([[0, 255], [10, 255]], np.uint8)
    z = standardize(pixels, fit_scaler(pixels))
    assert z.dtype == np.float32
    assert z.tolist() == [[-1, 0], [1, 0]]


def test_classes() -> None:
    assert one_hot([2, 0], 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert class_weight(np.array([0, 2]), np.array([1, 2, 4])).tolist() == [1, 4]
    assert class_weight([1, 1, 1, 3], "balanced").tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])


SPREADS: dict[str, tuple[ArrayLike, float, float]] = {
    "milliseconds": ((1_700_000_000_000 + np.arange(0, 60_000, 1000))[:, None], 1_700_000_029_500.0, 17318.10228247),
    "a list beyond float32": ([[16777217], [16777219]], 16777218.0, 1.0),
    "a list beyond float64": ([[2**62], [2**62 + 2]], 2.0**62, 1.0),
    "all of int64": (np.array([[-(2**63)], [2**63 - 1]]), 0.0, 2.0**63),
    "all of uint64": (np.array([[0], [2**64 - 1]], np.uint64), 2.0**63, 2.0**63),
    "bytes": (np.array([[0], [255]], np.uint8), 127.5, 127.5),
    "booleans": (np.array([[True], [False]]), 0.5, 0.5),
    "objects": (np.array([[1.5], [True], [2]], object), 1.5, np.sqrt(1 / 6)),
    "the ends of float32": (np.array([[3e38], [-3e38]], np.float32), 0.0, float(np.float32(3e38))),
    "squares beyond float64": ([[1e300], [-1e300]], 0.0, 1e300),
    "squares below float64": ([[1e-200], [3e-200]], 2e-200, 1e-200),
    "a sum beyond float64": ([[1.7e308], [1.7e308], [1.6e308], [1.6e308]], 1.65e308, 5e306),
}


@pytest.mark.parametrize("name", SPREADS)
def test_mean_and_deviation_are_taken_before_anything_is_rounded(name: str) -> None:
    x, mean, scale = SPREADS[name]
    scaler = fit_scaler(x)
    assert scaler["mean"].dtype == scaler["scale"].dtype == np.float64
    assert scaler["mean"][0] == pytest.approx(mean, rel=1e-12)
    assert scaler["scale"][0] == pytest.approx(scale, rel=1e-9)
    assert np.ptp(standardize(x, scaler)) == pytest.approx(float(np.ptp(np.asarray(x, np.longdouble)) / scale), rel=1e-6)


@pytest.mark.parametrize("x", [np.full((7, 1), 2**63 - 1), np.full((7, 1), 10**12), np.full((7, 1), 1e12), [[True]] * 3])
def test_a_constant_column_of_any_kind_becomes_zero(x: ArrayLike) -> None:
    assert not standardize(x, fit_scaler(x)).any()


def test_scaling_reads_a_file_in_blocks(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(1e6, 3.0, (60_000, 5)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    held = np.load(tmp_path / "x.npy", mmap_mode="r")
    tracemalloc.start()
    scaler = fit_scaler(held)
    peak = tracemalloc.get_traced_memory()[1]
    z = standardize(held, scaler)
    both = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 << 20 and both < z.nbytes + (3 << 20)
    wide = x.astype(np.float64)
    assert np.allclose(scaler["mean"], wide.mean(axis=0), rtol=1e-14)
    assert np.allclose(scaler["scale"], wide.std(axis=0), rtol=1e-12)
    assert np.allclose(z, (wide - wide.mean(axis=0)) / wide.std(axis=0), atol=1e-6)
    assert z.dtype == np.float32


def test_weights_of_classes_by_name() -> None:
    assert class_weight([0, 1, 1], {0: 1.0, 1: 5.0}).tolist() == [1, 5, 5]
    assert class_weight(np.array([3, 8]), {8: 2.0, 3: 1.0, 5: 9.0}).tolist() == [1, 2]
    for text in (["cat", "dog"], bad(np.array(["cat", "dog"], object))):
        assert class_weight(text, {"cat": 1.0, "dog": 5.0}).tolist() == [1, 5]


def test_labels_of_a_split_may_be_text() -> None:
    labels = np.array(["a", "b"] * 5)
    _, held = split_rows(0, 10, 0.4, labels=labels.tolist())
    assert sorted(labels[held].tolist()) == ["a", "a", "b", "b"]


BAD: Cases = {
    "one fold": (lambda: folds(0, 10, 1), ValueError, r"folds: k must be at least 2, got 1"),
    "more folds than rows": (lambda: folds(0, 3, 4), ValueError, r"folds: k must be at most 3, the number of rows, got 4"),
    "folds of one row": (lambda: folds(0, 1, 2), ValueError, r"folds: n must be at least 2, got 1"),
    "folds by a float": (lambda: folds(0, 10, bad(2.0)), TypeError, r"folds: k must be an integer, got 2.0"),
    "folds with a key below 0": (lambda: folds(-1, 10, 2), ValueError, r"folds: key must be at least 0, got -1"),
    "too few labels for folds": (
        lambda: folds(0, 10, 2, Y), ValueError, r"folds: labels must have shape \(10,\), one per row, got \(5,\)",
    ),
    "labels of two kinds for folds": (
        lambda: folds(0, 2, 2, bad(["a", None])), TypeError, r"folds: labels must be of one kind .*, got NoneType, str",
    ),
    "labels of two kinds": (
        lambda: split_rows(0, 4, 0.5, labels=bad(["a", None, "b", "a"])), TypeError,
        r"split_rows: labels must be of one kind that can be sorted .*, got NoneType, str",
    ),
    "a class that the weights do not name": (
        lambda: class_weight([0, 2], {0: 1.0, 1: 2.0}), ValueError, r"class_weight: weights must hold .*, got none for 2",
    ),
    "text without weights by name": (
        lambda: class_weight(bad(["a"]), "balanced"), TypeError, r"class_weight: y must hold numbers, .* np.unique\(.*",
    ),
    "a row with a gap to scale": (
        lambda: standardize([[1.0], [np.nan]], fit_scaler([[1.0], [2.0]])), FloatingPointError,
        r"standardize: x must be finite, got nan at \[1, 0\] .*",
    ),
    "a result beyond float32": (
        lambda: standardize(np.array([[1.0], [1e38]], np.float32), fit_scaler([[1e-30], [2e-30]])), FloatingPointError,
        r"standardize: x must hold numbers whose results float32 can hold, got .* at \[1, 0\]",
    ),
    "a scale of 0": (
        lambda: standardize([[1.0]], {"mean": np.zeros(1), "scale": np.zeros(1)}), ValueError,
        r"standardize: scaler must hold finite means and a scale above 0 for each, got scale \[0.0\]",
    ),
    "spread that overflows": (
        lambda: fit_scaler([[1.7e308], [-1.7e308]]),
        FloatingPointError,
        r"fit_scaler: x must have a finite spread, got column 0.*",
    ),
    "batches of no rows": (lambda: batches(0, 0, 1), ValueError, r"batches: n must be at least 1, got 0"),
    "batch size below 0": (lambda: batches(0, 5, -1), ValueError, r"batches: size must be at least 1, got -1"),
    "key below 0": (lambda: batches(-1, 5, 1), ValueError, r"batches: key must be at least 0, got -1"),
    "fraction of 1": (
        lambda: split_rows(0, 10, 1.0),
        ValueError,
        r"split_rows: fraction must lie in \(0, 1\), got 1.0",
    ),
    "fraction that leaves no rows": (
        lambda: split_rows(0, 10, 0.01),
        ValueError,
        r"split_rows: fraction must leave rows of 10 in both parts, got 0.01",
    ),
    "too few labels": (
        lambda: split_rows(0, 10, 0.5, labels=Y),
        ValueError,
        r"split_rows: labels must have shape \(10,\).*, got \(5,\)",
    ),
    "class too high": (lambda: one_hot(Y, 1), ValueError, r"one_hot: y must be classes from 0 to 0, got 1 at row 1"),
    "classes with halves": (
        lambda: one_hot([0.5], 2),
        TypeError,
        r"one_hot: y must be integers.*, got 0.5 at row 0 of a float64 array.*",
    ),
    "too few class weights": (
        lambda: class_weight(Y, [1.0]),
        ValueError,
        r"class_weight: y must be classes from 0 to 0, got 1 at row 1",
    ),
    "class weight below 0": (
        lambda: class_weight(Y, [1.0, -1.0]),
        ValueError,
        r"class_weight: weights must be finite and at least 0, .*",
    ),
    "unknown class weight": (
        lambda: class_weight(Y, bad("even")),
        ValueError,
        r"class_weight: weights must be one per class.*, got 'even'",
    ),
    "class below 0": (
        lambda: class_weight([0, -1], "balanced"),
        ValueError,
        r"class_weight: y must be classes from 0 on \(classes, y = np.unique\(.*\), got -1 at row 1",
    ),
    "scaler of nan": (
        lambda: fit_scaler([[np.nan]]),
        FloatingPointError,
        r"fit_scaler: x must be finite, got nan at \[0, 0\].*",
    ),
    "scaler of one axis": (
        lambda: fit_scaler([1.0]),
        ValueError,
        r"fit_scaler: x must have shape \(n, k\).*, got \(1,\)",
    ),
    "scaler of fewer columns": (
        lambda: standardize(X, fit_scaler(X[:, :2])),
        ValueError,
        r"standardize: x must have the 2 columns .*, got \(5, 4\)",
    ),
    "scaler of another kind": (lambda: standardize(X, P), ValueError, r"standardize: scaler must hold 'mean', .*"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
