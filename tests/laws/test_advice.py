"""Advice in messages: each expression that is advised is evaluated on the very value that caused it, and loses nothing."""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta

import numpy as np
import numpy.lib.recfunctions  # as the advice says
import pytest
from numpy.typing import ArrayLike

from nnfunc import (
    AnyArray, LossFn, accuracy, class_weight, dense, fit_scaler, forward, freeze, gaussian_nll, init, loss, masked, mse, one_hot,
    poisson_nll, softmax_cross_entropy, split_rows, standardize,
)
from tests.numeric import bad

NET = dense(2, 2)
PARAMS = init(NET, 0)
ROWS = np.eye(2, dtype=np.float32)
IDS = np.array([[16777217, 1], [16777219, 3]])


class Sparse:
    """A matrix as scipy.sparse has them: NumPy would make one object of it."""

    def toarray(self) -> AnyArray:
        return np.eye(2)


class Frame:
    """A table as pandas has them."""

    def __init__(self, held: ArrayLike) -> None:
        self.held = held

    def __array__(self, dtype: object = None, copy: bool | None = None) -> AnyArray:
        return np.asarray(self.held)


class Table(Frame):
    """One that makes numbers of everything, of dates nanoseconds."""

    def __array__(self, dtype: object = None, copy: bool | None = None) -> AnyArray:
        return np.array(self.held, object)

    def to_numpy(self, dtype: type, na_value: float) -> AnyArray:
        def number(item: object) -> float:
            return item.timestamp() * 1e9 if isinstance(item, datetime) else na_value if item is None else float(str(item))

        return np.array([[number(item) for item in row] for row in np.array(self.held, object)], dtype)


class Gap:
    """A gap among dates as pandas has it: text makes it one of NumPy's, and nothing else does."""

    year = np.nan

    def __str__(self) -> str:
        return "NaT"

    def isoformat(self) -> str:
        return "NaT"


CODES = "np.where(np.isin(x, names), np.searchsorted(names, x), len(names)).astype(float)"
KINDS = "np.where(np.isin(kinds, names), np.searchsorted(names, kinds), len(names))"
STAMPS = [datetime(2020, 1, 3), datetime(2020, 1, 1, 12)]
INPUTS: dict[str, tuple[ArrayLike, str, list[list[float]]]] = {
    "integers": (np.array([[1, 2]]), "x.astype(np.float32)", [[1, 2]]),
    "half precision": (np.array([[1, 2]], np.float16), "x.astype(np.float32)", [[1, 2]]),
    "identifiers": (IDS, CODES, [[2, 0], [3, 1]]),
    "a list of identifiers": (IDS.tolist(), CODES, [[2, 0], [3, 1]]),
    "quantities": (IDS, "standardize(x, scaler)", [[-1, -1], [1, 1]]),
    "numbers as text": (bad(np.array([["1.5", "2"]])), "x.astype(float)", [[1.5, 2]]),
    "a list of text": (bad([["1.5", "2"]]), "np.asarray(x).astype(float)", [[1.5, 2]]),
    "bytes": (bad(np.array([[b"1", b"2"]])), "x.astype(int)", [[1, 2]]),
    "gaps": (bad(np.array([[1.5, None]], object)), "x.astype(float)", [[1.5, np.nan]]),
    "kinds": (bad(np.array([[1.5, "red"], [2.5, "blue"]], object)), KINDS, bad([1, 0])),
    "a list of kinds": (bad([["red"], ["blue"]]), KINDS, bad([1, 0])),
    "kinds and a gap": (bad(np.array([[1.5, "red"], [2.5, None], [0.5, np.nan], [1.0, "blue"]], object)), KINDS, bad([3, 0, 2, 1])),
    "kinds beside a gap": (bad(np.array([[None, "red"], [2.5, "blue"]], object)), KINDS, bad([1, 0])),
    "dates beside numbers": (
        bad(np.array([[1.5, STAMPS[0]], [2.5, STAMPS[1]]], object)),
        '(x[:, 1].astype("datetime64[us]") - np.datetime64("2020-01-01")) / np.timedelta64(1, "D")', bad([2, 0.5]),
    ),
    "a table of dates beside numbers": (
        bad(Table(bad([[1.5, STAMPS[0]], [2.5, STAMPS[1]]]))),
        '(np.asarray(x)[:, 1].astype("datetime64[us]") - np.datetime64("2020-01-01")) / np.timedelta64(1, "D")', bad([2, 0.5]),
    ),
    "durations beside numbers": (
        bad(np.array([[1.5, timedelta(1)], [2.5, timedelta(0, 3)]], object)),
        'x[:, 1].astype("timedelta64[us]") / np.timedelta64(1, "s")', bad([86400, 3]),
    ),
    "dates with a gap beside numbers": (
        bad(np.array([[1.5, date(2020, 1, 1)], [2.5, None]], object)),
        '(x[:, 1].astype("datetime64[us]") - np.datetime64("2020-01-01")) / np.timedelta64(1, "D")', bad([0, np.nan]),
    ),
    "dates with a gap of pandas beside numbers": (
        bad(np.array([[1.5, datetime(2020, 1, 1, 12)], [2.5, Gap()]], object)),
        '(x[:, 1].astype(str).astype("datetime64[us]") - np.datetime64("2020-01-01")) / np.timedelta64(1, "D")', bad([0.5, np.nan]),
    ),
    "a table with gaps": (
        bad(Table(bad([[1.5, None], [2.5, 1.0]]))),
        "x.to_numpy(dtype=float, na_value=np.nan) makes the gaps NaN", [[1.5, np.nan], [2.5, 1.0]],
    ),
    "a table of numbers as text": (
        bad(Table([["1.5"], ["2"]])), "x.to_numpy(dtype=float, na_value=np.nan) reads the numbers in the text", [[1.5], [2.0]],
    ),
    "complex": (bad(np.array([[1 + 0j, 2]])), "x.real", [[1, 2]]),
    "truly complex": (bad(np.array([1 + 1j, 2])), "np.stack([x.real, x.imag], axis=-1)", [[1, 1], [2, 0]]),
    "dates": (
        bad(np.array([["2020-01-02T12", "2020-01-01", "NaT"]], "M8[ms]")),
        '(x - np.datetime64("2020-01-01")) / np.timedelta64(1, "D")', [[1.5, 0, np.nan]],
    ),
    "years": (bad(np.array([["2021", "2020"]], "M8[Y]")), '(x - np.datetime64("2020-01-01")) / np.timedelta64(1, "D")', [[366, 0]]),
    "Python's dates": (
        bad([[date(2020, 1, 3), date(2020, 1, 1)]]),
        '(np.asarray(x, "datetime64[us]") - np.datetime64("2020-01-01")) / np.timedelta64(1, "D")', [[2, 0]],
    ),
    "durations": (bad(np.array([[1500, 0]], "m8[ms]")), 'x / np.timedelta64(1, "s")', [[1.5, 0]]),
    "durations in months": (bad(np.array([[3, 0]], "m8[M]")), 'x / np.timedelta64(1, "M")', [[3, 0]]),
    "named columns": (
        bad(np.array([(1.5, 2), (3.5, 4)], [("age", "f4"), ("pay", "i8")])),
        "np.lib.recfunctions.structured_to_unstructured(x, dtype=float)", [[1.5, 2], [3.5, 4]],
    ),
    "masked": (np.ma.masked_array([[1, 2]], [[False, True]]), "x.astype(float).filled(np.nan)", [[1, np.nan]]),
    "sparse": (bad(Sparse()), "x.toarray()", [[1, 0], [0, 1]]),
    "a table of text": (bad(Frame([["1", "2"]])), "np.asarray(x).astype(int)", [[1, 2]]),
}


@pytest.mark.parametrize("name", INPUTS)
def test_what_is_advised_for_inputs_works_on_them(name: str) -> None:
    x, line, expected = INPUTS[name]
    with pytest.raises(TypeError) as caught:
        forward(NET, PARAMS, x)
    assert line in str(caught.value)
    known: dict[str, object] = {"np": np, "x": x, "standardize": standardize}
    if "scaler)" in line:
        known["scaler"] = fit_scaler(x)
    if line == KINDS:
        known["kinds"] = eval(re.findall(r"after kinds = (.*?), np\.where", str(caught.value))[0], known)
    if "names" in line:
        known["names"] = np.unique(bad(known.get("kinds", x)))
    found = np.asarray(eval(re.sub(r" (makes|reads) .*", "", line), known))
    assert np.array_equal(found.astype(float), np.asarray(expected, float), equal_nan=True)
    if found.dtype.kind == "f" and found.ndim == 2 and found.shape[1] == 2:
        assert forward(NET, PARAMS, found).shape == found.shape


def test_codes_advised_for_text_are_those_of_training() -> None:
    """Also of a single row, and of a kind or a gap that training had not; unlike names of classes, which y alone decides."""
    training = np.array([["blue"], ["red"], ["green"], ["red"]], object)
    later = np.array([["red"], ["grey"], ["zebra"], ["a"], [None], [np.nan]], object)
    for column, expected in ((training, [0, 2, 1, 2]), (training[1:2], [2]), (later, [2, 3, 3, 3, 3, 3]), (later[:3], [2, 3, 3])):
        for x in (bad(column), bad(column.astype(str))):
            with pytest.raises(TypeError, match="with names = np.unique.kinds. of training, and len.names. for what is new") as caught:
                forward(NET, PARAMS, x)
            before, line = re.findall(r"after kinds = (.*?), (np\.where.*?\)) numbers", str(caught.value))[0]
            known: dict[str, object] = {"np": np, "names": np.unique(training[:, 0].astype(str)), "x": x}
            known["kinds"] = eval(before, known)
            assert eval(line, known).tolist() == expected


def test_identifiers_that_training_had_not_get_a_code_of_their_own() -> None:
    with pytest.raises(TypeError, match="for identifiers"):
        forward(NET, PARAMS, IDS + 2)
    assert eval(CODES, {"np": np, "x": IDS + 2, "names": np.unique(IDS)}).tolist() == [[3, 1], [4, 4]]


def test_labels_with_a_gap_are_told_how_the_others_are_found() -> None:
    y = bad(np.array(["dog", None, "cat", np.nan], object))
    with pytest.raises(TypeError) as caught:
        one_hot(y, 2)
    line = "np.flatnonzero([isinstance(label, str) for label in y])"
    assert f"{line} gives the rows that have one" in str(caught.value).replace("labels", "y").replace("targets", "y")
    assert eval(line, {"np": np, "y": y}).tolist() == [0, 2]


UNIQUE = "np.unique(y, return_inverse=True)[1]"
LABELS: dict[str, tuple[ArrayLike, str, list[int]]] = {
    "text": (bad(["dog", "cat"]), UNIQUE, [1, 0]),
    "text in objects": (bad(np.array(["dog", "cat"], object)), UNIQUE, [1, 0]),
    "numbers as text": (bad(["1", "0"]), "np.asarray(y).astype(int)", [1, 0]),
    "whole floats": ([1.0, 0.0], "np.asarray(y).astype(int)", [1, 0]),
    "booleans": (np.array([True, False]), "np.asarray(y).astype(int)", [1, 0]),
    "halves": ([3.5, 0.5], UNIQUE, [1, 0]),
    "from 1": ([2, 1], UNIQUE, [1, 0]),
    "with gaps": (np.array([8, 3]), UNIQUE, [1, 0]),
    "signs": ([1, -1], UNIQUE, [1, 0]),
}
TAKERS: dict[str, Callable[[ArrayLike], object]] = {
    "loss": lambda y: loss(NET, softmax_cross_entropy, PARAMS, ROWS, y),
    "one_hot": lambda y: one_hot(y, 2),
    "accuracy": lambda y: accuracy(ROWS, y),
    "class_weight": lambda y: class_weight(y, [1.0, 2.0]),
}


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("name", LABELS)
def test_what_is_advised_for_labels_works_on_them(name: str, taker: str) -> None:
    y, line, expected = LABELS[name]
    with pytest.raises((TypeError, ValueError)) as caught:
        TAKERS[taker](y)
    message = re.sub(r"\btargets\b", "y", str(caught.value))
    assert (f"classes, y = {line.removesuffix('[1]')}" if line == UNIQUE else line) in message
    assert ("astype(int)" in message) == ("astype(int)" in line)
    found = eval(line, {"np": np, "y": y})
    assert found.tolist() == expected
    TAKERS[taker](found)


def test_rows_with_a_gap_for_a_class_are_told_how_the_others_are_found() -> None:
    y = np.array([1.0, np.nan])
    with pytest.raises(TypeError, match=r"np.flatnonzero\(np.isfinite\(y\)\).*got nan at row 1"):
        one_hot(y, 2)
    assert np.flatnonzero(np.isfinite(y)).tolist() == [0]


GAPS: dict[str, tuple[LossFn, ArrayLike]] = {
    "classes": (softmax_cross_entropy, [np.nan, 1.0]),
    "numbers": (mse, [[0.5, np.nan], [np.nan, np.nan]]),
    "counts": (poisson_nll, [[0.0, 2.0], [np.nan, 1.0]]),
    "means": (gaussian_nll, [[np.nan], [1.0]]),
}


@pytest.mark.parametrize("name", GAPS)
def test_gaps_among_targets_are_told_how_they_are_left_out(name: str) -> None:
    loss_fn, y = GAPS[name]
    with pytest.raises((TypeError, FloatingPointError), match=r"must be .*masked\(loss_fn\) leaves .*out.*, got nan at") as caught:
        loss(NET, loss_fn, PARAMS, ROWS, y)
    assert "masked(loss_fn)" in str(caught.value)
    assert np.isfinite(loss(NET, eval("masked(loss_fn)", {"masked": masked, "loss_fn": loss_fn}), PARAMS, ROWS, y))


@pytest.mark.parametrize("y", [[[np.nan, np.inf], [1, 1]], [[np.nan, np.nan]] * 2, [[np.inf, 1], [1, 1]]])
def test_masking_is_not_advised_where_it_would_not_help(y: ArrayLike) -> None:
    with pytest.raises(FloatingPointError, match="loss: y must be finite, got (nan|inf) at"):
        loss(NET, mse, PARAMS, ROWS, y)
    for targets in ([np.nan, 0.5], [np.nan, np.inf], [np.nan, np.nan]):
        with pytest.raises(TypeError, match="must be integers") as caught:
            loss(NET, softmax_cross_entropy, PARAMS, ROWS, targets)
        assert "masked" not in str(caught.value)


def test_labels_of_two_kinds_are_told_how_they_are_sorted() -> None:
    labels = ["a", None, "b", "a"]
    with pytest.raises(TypeError, match=r"labels=\[repr\(label\) for label in labels\]"):
        split_rows(0, 4, 0.5, labels=bad(labels))
    assert len(split_rows(0, 4, 0.5, labels=[repr(label) for label in labels])[1]) == 2


TABLE = np.array([[1.5, True], [2.5, False]], object)


@pytest.mark.parametrize("x", [TABLE, Frame(TABLE), Frame([[1.5, 1.0], [2.5, 0.0]]), [[1.5, True], [2.5, False]]])
def test_numbers_and_booleans_side_by_side_are_numbers_in_every_function(x: ArrayLike) -> None:
    plain = np.array([[1.5, 1.0], [2.5, 0.0]])
    assert fit_scaler(x)["mean"].tolist() == [2.0, 0.5]
    assert standardize(x, fit_scaler(x)).tolist() == [[-1.0, 1.0], [1.0, -1.0]]
    assert np.array_equal(forward(NET, PARAMS, x), forward(NET, PARAMS, plain))
    assert loss(NET, mse, PARAMS, plain, x) == loss(NET, mse, PARAMS, plain, plain)
    assert freeze({"W": x})["W"].tolist() == plain.tolist()
    assert forward(NET, PARAMS, np.array([[True, False]])).tolist() == forward(NET, PARAMS, [[1, 0]]).tolist()


@pytest.mark.parametrize("argument", ["x", "y", "W"])
def test_no_number_becomes_infinite_in_silence(argument: str) -> None:
    huge = np.array([[1.0, 1e300], [0.0, 0.0]])
    x, y, W = (huge if argument == name else ROWS for name in "xyW")
    with pytest.raises(FloatingPointError, match=rf"loss: {argument} must hold numbers .* got 1e\+300 at \[0, 1\] \(1 of 4"):
        loss(NET, mse, bad({"W": W.tolist() if argument == "W" else W, "b": np.zeros(2, np.float32)}), x, y)


def test_whole_numbers_that_float32_holds_pass() -> None:
    assert forward(NET, {"W": ROWS, "b": ROWS[0] * 0}, [[2**24, 2**30]]).tolist() == [[2.0**24, 2.0**30]]
    wide = {"W": np.eye(2), "b": np.zeros(2)}
    assert forward(NET, wide, IDS.tolist()).tolist() == IDS.tolist()
