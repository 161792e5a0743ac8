"""Compare a gradient with slopes by differences, and say what is wrong: where, the usual cause, the smallest input.

A *subject* is a function from named float64 arrays to an array ``y``, together
with its way back: for weights r of the shape of y, the gradient of sum(r * y).
Layers, losses, activations and penalties are all subjects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TypeAlias, TypedDict

import numpy as np

from nnfunc.inspection.gradcheck import (
    Compare, Comparison, affordable, compare_slope, elements, find_culprit, is_wrong, random_direction, sampled,
)
from nnfunc.testing.laws import Verdict, breach, not_applicable
from nnfunc.values.keys import generator
from nnfunc.values.types import Array, Params

Forward: TypeAlias = Callable[[Params], Array]
Back: TypeAlias = Callable[[Params, Array], Params]

Subject = TypedDict("Subject", {"forward": Forward, "back": Back, "rows": tuple[str, ...], "moved": tuple[str, ...]})
"""``rows`` names the arrays with one row per example, which go together;
``moved`` names the arrays with respect to which there is a gradient."""

# Arrays of up to this many elements are moved one by one, larger ones along random directions. A law tries
# several points, in one or two modes: each gets a share of the slopes that there is time for.
_EACH = 48
_DIRECTIONS = 3
_SAMPLED = 8
_SHARE = 6
_LARGE = 100_000
_STEP = 1e-5


def gradient_law(subject: Subject, *cases: Params, declare: Mapping[str, str] = MappingProxyType({})) -> Verdict:
    """Check that the way back is the derivative at some points, or say what is wrong with it.

    `declare` gives the argument by which somebody declares that an array's
    gradient is another on purpose; the message names it.

    Example:
        >>> square: Subject = {"forward": lambda c: c["z"] ** 2, "back": lambda c, r: {"z": 2 * c["z"] * r},
        ...                    "rows": ("z",), "moved": ("z",)}
        >>> gradient_law(square, {"z": np.array([1.0, 2.0, 3.0])})
        ('pass', '3 slopes')
        >>> double: Subject = {**square, "back": lambda c, r: {"z": 4 * c["z"] * r}}
        >>> gradient_law(double, {"z": np.array([1.0, 2.0, 3.0])})
        Traceback (most recent call last):
        ...
        AssertionError: the gradient of z[0] must be 2, the slope of sum(y) that differences measure, got 4
          usual cause: 2 times the slope everywhere: a factor of 2
          smallest input found: z = [1.0]
    """
    found: list[Comparison] = []
    for case in cases:
        here = _comparisons(subject, case, subject["moved"])
        wrong = [c for c in here if is_wrong(c)]
        if wrong:
            _complain(subject, case, max(wrong, key=lambda c: c["gap"]), declare)
        found += here
    if not found:
        return not_applicable("0 compared: nothing has a slope")
    scale = max(max(abs(c["analytic"]), abs(c["numeric"])) for c in found)
    kinks = sum(c["kink"] for c in found)
    for name in subject["moved"]:
        own = [c for c in found if c["name"] == name]
        if own and not any(_solid(c, scale) for c in own):
            reason = "every point tried is on a corner, or the values jump" if own[0]["kink"] else "rounding hides them"
            told = f"the slopes with respect to {name} must be measurable, got none that is: {reason}"
            return "undecided", told + (f"\n  if it is meant, declare it: {declare[name]}" if name in declare else "")
    total = sum(case[name].size for case in cases for name in subject["moved"])
    told = f"{len(found) - kinks} slopes" + (f", {kinks} on corners left out" if kinks else "")
    return "pass", told + (f", some along directions, for {total} elements" if total > len(found) else "")


def _comparisons(subject: Subject, case: Params, names: Sequence[str], plain: bool = False) -> list[Comparison]:
    """Compare gradient and slope element by element, or along directions where there are many."""
    compare = _comparer(subject, case, plain)
    found: list[Comparison] = []
    count = affordable(case, case[subject["rows"][0]] if subject["rows"] else np.zeros(1)) // (_SHARE * len(names) or 1)
    for name in names:
        own = {name: case[name]}
        if case[name].size <= min(_EACH, max(1, count)):
            found += [compare(*element, None) for element in elements(own)]
            continue
        along = []
        for i in range(_DIRECTIONS):
            along.append(compare(name, (), random_direction(own, (1, i))))
            if i + 1 >= count and not along[-1]["kink"]:
                break
        if any(map(is_wrong, along)):
            culprit = find_culprit(compare, own, (1, _DIRECTIONS))
            along = [culprit] if is_wrong(culprit) else along
        found += along
        found += [compare(*element, None) for element in sampled(own, min(_SAMPLED, max(0, count - len(along))))]
    return found


def _comparer(subject: Subject, case: Params, plain: bool = False) -> Compare:
    """Return the comparison for sum(r * y), where r holds random weights, or ones if `plain`."""
    y = subject["forward"](case)
    r = np.ones_like(y) if plain else weights_for(y)
    given = subject["back"](case, r)
    gradient = {name: np.asarray(given.get(name, np.zeros_like(case[name])), np.float64) for name in subject["moved"]}

    def value(moved: Params) -> float:
        return float(np.vdot(r, subject["forward"](moved)))

    size = float(np.vdot(np.abs(r), np.abs(y)))
    return partial(compare_slope, value, case, value(case), size, gradient, _STEP)


def weights_for(y: Array) -> Array:
    """Return fixed random weights of both signs for the elements of `y`, none of them small.

    Example:
        >>> bool((abs(weights_for(np.zeros((3, 2)))) >= 0.5).all())
        True
    """
    draw = generator((2, y.size))
    weights: Array = draw.uniform(0.5, 1.5, y.shape) * np.where(draw.random(y.shape) < 0.5, -1.0, 1.0)
    return weights


def _solid(c: Comparison, scale: float) -> bool:
    """Say whether a slope was measured well enough for a mistake to show."""
    size = max(abs(c["analytic"]), abs(c["numeric"]))
    exact = c["noise"] < 1e-3 * size or c["analytic"] == c["numeric"]
    # A slope of nothing, beside others that are something, is a measurement too.
    return not c["kink"] and (exact or (size <= 2 * c["noise"] and c["noise"] < 1e-5 * scale))


def _complain(subject: Subject, case: Params, worst: Comparison, declare: Mapping[str, str]) -> None:
    """Find the smallest case that shows the mistake, and the usual cause, and raise."""
    name = worst["name"]

    def mistakes(smaller: Params, plain: bool) -> list[Comparison]:
        try:
            with np.errstate(all="ignore"):
                found = _comparisons(subject, smaller, (name,), plain)
        except (ValueError, IndexError, ArithmeticError):
            return []
        return [c for c in found if is_wrong(c) and c["index"] and _solid(c, math.inf)]

    cause = _usual_cause(subject, case, name)
    if case[name].size > _LARGE:  # each trial of a smaller case would take as long as the law
        smallest, plain, shown = case, [], worst
    else:
        smallest = _shrunk(lambda smaller: bool(mistakes(smaller, False)), case, subject["rows"])
        plain = mistakes(smallest, True)
        shown = max(plain or mistakes(smallest, False), key=lambda c: c["gap"], default=worst)
    of = "sum(y)" if plain else "a weighted sum of y"
    inputs = ", ".join(f"{each} = {listed(smallest[each])}" for each in subject["rows"])
    where = f"{name}{list(shown['index'])}" if shown["index"] else name
    slope, given = _told_apart(shown["numeric"], shown["analytic"])
    constraint = f"be {slope}, the slope of {of} that differences measure"
    breach(
        f"the gradient of {where}", constraint, given, cause, shown_by=inputs or "the params given",
        declared_by=declare.get(name, ""),
    )


def listed(array: Array) -> str:
    """Write an array as a list, cut short where it is long.

    Example:
        >>> listed(np.ones((1, 2))), listed(np.ones((1, 784)))[-21:]
        ('[[1.0, 1.0]]', '... of shape (1, 784)')
    """
    text = str(np.round(array, 6).tolist())
    return text if len(text) <= 300 else f"{text[:120]} ... of shape {array.shape}"


def _told_apart(a: float, b: float) -> tuple[str, str]:
    """Write two numbers with as many digits as it takes to see the difference.

    Example:
        >>> _told_apart(1.0, 1.00001), _told_apart(-5e-12, 0.25)
        (('1', '1.00001'), ('0', '0.25'))
    """
    size = max(abs(a), abs(b))
    a, b = (0.0 if abs(each) < 1e-9 * size else each for each in (a, b))
    digits = next((d for d in (4, 6, 8, 12) if f"{a:.{d}g}" != f"{b:.{d}g}"), 17)
    return f"{a:.{digits}g}", f"{b:.{digits}g}"


def _shrunk(is_wrong: Callable[[Params], bool], case: Params, rows: tuple[str, ...]) -> Params:
    """Return the case with as few rows and as simple values as still show the mistake."""
    if not rows:
        return case
    n, best = len(case[rows[0]]), case
    for kept in [*([i] for i in range(min(n, 4))), *([i, j] for i in range(min(n, 3)) for j in range(i))]:
        smaller = {name: array[kept] if name in rows else array for name, array in case.items()}
        if is_wrong(smaller):
            best = smaller
            break
    for simpler in _simpler(best, rows[0]):
        if is_wrong(simpler):
            best = simpler
            break
    return best


def _simpler(case: Params, name: str) -> Iterator[Params]:
    """Yield the case with one array made simpler: ones, whole numbers, tenths."""
    array = case[name]
    for values in (np.ones_like(array), np.round(array), np.round(array, 1)):
        if not np.array_equal(values, array):
            yield {**case, name: values}


def _usual_cause(subject: Subject, case: Params, name: str) -> str:
    """Compare the whole gradient of one array with its slopes, and say what mistake most often looks like that."""
    array = case[name]
    if array.size > 400:
        return ""
    compare = _comparer(subject, case)
    found = [c for c in (compare(*element, None) for element in elements({name: array})) if not c["kink"]]
    analytic, numeric = np.array([c["analytic"] for c in found]), np.array([c["numeric"] for c in found])
    floor = 1e-6 * max(float(np.abs(numeric).max(initial=0)), float(np.abs(analytic).max(initial=0)))
    if not analytic.any():
        return "it is 0 or missing, though the value depends on it: is its gradient returned, under its own name?"
    if not (np.abs(numeric) > floor).any():
        return "the value does not depend on it at all: is it used, and is a value computed before kept?"
    told = np.abs(numeric) > floor
    ratios = analytic[told] / numeric[told]
    alike = np.allclose(ratios, ratios[0], rtol=1e-3) and np.abs(analytic[~told]).max(initial=0) < 1e3 * floor
    if alike and abs(ratios[0] - 1) > 1e-4:
        return _about_factor(float(ratios[0]), subject, case)
    if array.ndim == 2 and array.shape[0] == array.shape[1] and len(found) == array.size:
        square = analytic.reshape(array.shape)
        if np.allclose(square, numeric.reshape(array.shape).T, rtol=1e-3, atol=floor):
            return "it is the transpose of the slopes"
    y = subject["forward"](case)
    if y.shape == array.shape and len(found) == array.size:
        rest = (numeric - analytic).reshape(array.shape)
        if np.allclose(rest, weights_for(y), rtol=1e-3, atol=floor):
            return "dy itself is missing in it: the skip term"
    if np.allclose(analytic, numeric, rtol=1e-3, atol=floor):
        return "it is nearly right: a small number (an eps) stands elsewhere on the way back, or float32 is on the way"
    if np.allclose(np.abs(analytic), np.abs(numeric), rtol=1e-3, atol=floor):
        return "some signs are the opposite"
    return "the formula of the gradient is another function's than that of the value"


def _about_factor(ratio: float, subject: Subject, case: Params) -> str:
    """Say what mistake most often makes a gradient a multiple of the slopes."""
    rows = len(case[subject["rows"][0]]) if subject["rows"] else 1
    y = subject["forward"](case)
    width = y.size // rows
    if math.isclose(ratio, -1, rel_tol=1e-3):
        return "the sign is the opposite"
    for count, what, outer in (
        (rows, "rows in the batch", "the mean over rows"), (width, "outputs in a row", "the mean"),
    ):
        if count > 2 and math.isclose(abs(ratio), count, rel_tol=1e-3):
            return f"too large by a factor of {count:.1f} = the number of {what}: a sum where the value has a mean?"
        if count > 2 and math.isclose(abs(ratio), 1 / count, rel_tol=1e-3):
            return f"too small by a factor of {count:.1f} = the number of {what}: {outer} is taken twice?"
    for factor in (2.0, 0.5):
        if math.isclose(abs(ratio), factor, rel_tol=1e-3):
            return f"{ratio:.3g} times the slope everywhere: a factor of 2"
    return f"{ratio:.4g} times the slope everywhere: a constant factor"
