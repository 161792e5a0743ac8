"""Gradient checking: is `grads` the derivative of `loss`? Central differences tell.

Everything is computed in float64, whatever the dtype of the params: in float32
the rounding of the loss would drown the slope. Under `check_grads` stands the
arithmetic of every gradient check: a *value* is a function of named arrays to
one number; a *direction* names some of these arrays and says how far each of
their elements moves. Where there are too many elements to move each by itself,
random directions see all of them, and a fixed sample is moved by itself too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Literal, SupportsFloat, SupportsIndex, TypeAlias, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.network.guard import check_layer
from nnfunc.network.verbs import grads, loss
from nnfunc.values.arrays import as_inputs
from nnfunc.values.checks import FLOAT64, above_zero, as_flag, as_size, check_callable, require
from nnfunc.values.keys import fold_in, generator
from nnfunc.values.params import checked_params, mapped
from nnfunc.values.types import Array, Key, Layer, LossFn, Params, Penalty, Rows

_RIGHT_BELOW = 1e-7
WRONG_ABOVE = 1e-4
TIGHT = 1e-6

# Directions through all parameters together, where there are too many elements to move each.
_TOGETHER = 4

Comparison = TypedDict(
    "Comparison",
    {
        "name": str, "index": tuple[int, ...], "analytic": float, "numeric": float, "noise": float, "gap": float,
        "kink": bool,
    },
)
"""A gradient and a slope along one direction: ``noise`` is what rounding can do
to the slope, ``gap`` their relative difference beyond that, ``kink`` whether the
point is on a corner or a jump, where there is no derivative."""

Value: TypeAlias = Callable[[Params], float]
Compare: TypeAlias = Callable[[str, tuple[int, ...], Params | None], Comparison]

GradCheck = TypedDict(
    "GradCheck",
    {
        "verdict": Literal["right", "doubtful", "wrong"], "relative_error": float, "worst": str,
        "index": tuple[int, ...], "analytic": float, "numeric": float, "compared": int, "kinks": int, "unmeasured": int,
        "tried": int, "elements": int,
    },
)


def check_grads(
    net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None,
    penalty: Penalty | None = None, key: Key | None = None, eps: SupportsFloat = 1e-5,
    directions: SupportsIndex | None = None, direction_key: Key = 0, every: bool = False,
    on_step: Callable[[Mapping[str, float]], object] | None = None,
) -> GradCheck:
    """Compare `grads` with the numerical slope (L(p + eps) - L(p - eps)) / (2 eps) of `loss`.

    Every element is moved by itself, which costs two losses each. In a large
    network, where that would take more than a second or so, random directions
    take the place of most: some move all elements together, some those of one
    parameter, and as many elements as there is time for, always the same, are
    still moved by themselves. If a direction disagrees, halving finds an
    element that is to blame.

    Args:
        net, loss_fn, params, x, y, weight, penalty, key: as for `loss`.
        eps: the step; 1e-5 suits params of the size that initialisers give.
        directions: number of random directions that move all elements together,
            in place of single elements: two losses each.
        direction_key: draws the directions.
        every: True moves every element by itself, however long it takes.
        on_step: called after each comparison, with a dict of ``step``, how many are done, and ``steps``, of how
            many (the search for an element that is to blame comes after these). `step_bar` is one that shows it.

    Returns:
        A dict:

        - ``verdict``: "wrong" if somewhere gradient and slope differ by more
          than 1e-4 of their size and by more than rounding explains, or if a
          gradient is not finite; "right" if
          the relative error is below 1e-7; else "doubtful";
        - ``relative_error``: ||a - n|| / (||a|| + ||n||) over all comparisons;
        - ``worst``, ``index``: the parameter and element that disagree most,
          with ``analytic`` and ``numeric`` slopes there;
        - ``compared``: number of comparisons; ``kinks``: how many were left
          out, as the loss has a corner there (relu at 0) and no derivative;
        - ``unmeasured``: how many slopes were smaller than what rounding does to
          them, so that nothing but a large mistake would show;
        - ``tried``, ``elements``: how many elements were moved by themselves, of
          how many.

    Raises:
        TypeError, ValueError, FloatingPointError: as `loss`.

    Example:
        >>> from nnfunc import init, mlp, mse, tanh
        >>> net = mlp([2, 3, 1], tanh)
        >>> report = check_grads(net, mse, init(net, key=0), [[0.5, -1.0]], [[1.0]])
        >>> report["verdict"], report["compared"]
        ('right', 13)

    Reference:
        Bengio (2012), section 4.2, on finite differences. A step of 1e-5 is near the
        cube root of the rounding unit, where truncation and rounding balance.
    """
    step = above_zero("check_grads", "eps", eps)
    check_layer("check_grads", "net", net)
    check_callable("check_grads", "loss_fn", loss_fn, "(outputs, targets) -> (per_example, d_outputs)", 2)
    if on_step is not None:
        check_callable("check_grads", "on_step", on_step, "of one argument", 1)
    held, _ = checked_params("check_grads", params)
    require(held, "check_grads", "params", "hold at least one parameter", "none")
    theta = mapped(lambda array: array.astype(np.float64, order="C"), held)
    inputs = as_inputs("check_grads", "x", x, FLOAT64)
    given = grads(net, loss_fn, theta, inputs, y, weight=weight, penalty=penalty, key=key)
    gradient = {name: given.get(name, np.zeros_like(array)) for name, array in theta.items()}

    def value(moved: Params) -> float:
        return loss(net, loss_fn, moved, inputs, y, weight=weight, penalty=penalty, key=key)

    centre = value(theta)
    compare = partial(compare_slope, value, theta, centre, abs(centre), gradient, step)
    total = sum(array.size for array in theta.values())
    bad = [name for name in theta if not np.isfinite(gradient[name]).all()]
    if bad:
        at = np.unravel_index(int(np.argmin(np.isfinite(gradient[bad[0]]))), theta[bad[0]].shape)
        return _report([compare(bad[0], tuple(int(i) for i in at), None)], 1, total)
    count = affordable(theta, inputs)
    if directions is not None:
        along = [((), random_direction(theta, fold_in(direction_key, i)))
                 for i in range(as_size("check_grads", "directions", directions))]
        single: list[tuple[str, tuple[int, ...]]] = []
    elif as_flag("check_grads", "every", every) or total <= count:
        along, single = [], list(elements(theta))
    else:
        parts = [theta] * min(_TOGETHER, max(1, count // 6))
        parts += [{name: array} for name, array in theta.items() if 2 * len(theta) <= count]
        along = [((), random_direction(part, fold_in(direction_key, i))) for i, part in enumerate(parts)]
        single = list(sampled(theta, max(1, count - len(along))))
    found: list[Comparison] = []
    moves = [*(("", *each) for each in along), *((*each, None) for each in single)]
    for move in moves:
        found.append(compare(*move))
        if on_step is not None:
            on_step({"step": len(found), "steps": len(moves)})
    # One wrong element among many hardly shows in a direction: the least that shows is worth a search.
    suspect = any(c["gap"] > _RIGHT_BELOW and not c["kink"] for c in found[: len(along)])
    if suspect:
        found.append(find_culprit(compare, theta, direction_key))
    return _report(found, len(single) + suspect, total)


def affordable(theta: Params, x: Array) -> int:
    """Return how many slopes take about a second, by the number of arrays, elements and rows.

    It is an estimate, not a measurement: the same check must try the same.

    Example:
        >>> affordable({"W": np.zeros((3, 2))}, np.zeros((5, 3))) > 1000
        True
        >>> affordable({"W": np.zeros((2048, 2048))}, np.zeros((8, 2048))) < 50
        True
    """
    size = sum(array.size for array in theta.values())
    # Arrays beyond the cache cost several times as much an element.
    one = 3e-5 + 1e-5 * len(theta) + 1e-9 * size * (1 + min(size, 1e6) / 2e5) + 4e-11 * size * len(x) + 5e-9 * x.size
    return max(2, int(1 / (3 * one)))


def sampled(theta: Params, count: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the names and indices of some elements, always the same, of each array as many as can be.

    Example:
        >>> len(list(sampled({"W": np.zeros((9, 9)), "b": np.zeros(2)}, 8)))
        8
    """
    left = count
    for i, (name, array) in enumerate(sorted(theta.items(), key=lambda item: item[1].size)):
        share = min(array.size, -(-left // (len(theta) - i)))
        left -= share
        for flat in generator((1, array.size, i)).choice(array.size, share, replace=False):
            yield name, tuple(int(k) for k in np.unravel_index(int(flat), array.shape))


def _report(comparisons: list[Comparison], tried: int, total: int) -> GradCheck:
    """Sum the comparisons up in a verdict."""
    smooth = [c for c in comparisons if not c["kink"]]
    worst = max(smooth or comparisons, key=lambda c: c["gap"])
    if not worst["name"]:  # a single element says more than a direction
        worst = max((c for c in smooth or comparisons if c["name"]), key=lambda c: c["gap"], default=worst)
    analytic = np.array([c["analytic"] for c in smooth])
    numeric = np.array([c["numeric"] for c in smooth])
    scale = float(np.linalg.norm(analytic) + np.linalg.norm(numeric))
    error = float(np.linalg.norm(analytic - numeric)) / scale if scale else 0.0
    verdict: Literal["right", "doubtful", "wrong"] = "doubtful"
    if any(c["gap"] > WRONG_ABOVE for c in smooth):
        verdict = "wrong"
    elif error < _RIGHT_BELOW and any(map(_measured, smooth)):
        verdict = "right"
    return {
        "verdict": verdict, "relative_error": error if math.isfinite(error) else math.inf,
        "worst": worst["name"], "index": worst["index"], "analytic": worst["analytic"], "numeric": worst["numeric"],
        "compared": len(smooth), "kinks": len(comparisons) - len(smooth),
        "unmeasured": sum(not _measured(c) for c in smooth), "tried": tried, "elements": total,
    }


def _measured(c: Comparison) -> bool:
    """Say whether a slope stands out of what rounding does to it."""
    return max(abs(c["analytic"]), abs(c["numeric"])) > c["noise"] or c["analytic"] == c["numeric"]


def compare_slope(
    value: Value, theta: Params, centre: float, magnitude: float, gradient: Params, step: float, name: str,
    index: tuple[int, ...], direction: Params | None,
) -> Comparison:
    """Compare the gradient along one direction, or at one element if there is none, with the slope of the value.

    `centre` is the value at theta, `magnitude` the size of the terms that it
    adds up: their rounding is the slope's noise. Where slope and gradient
    disagree and the slopes on either side of the point are apart, a corner lies
    within the step, and a smaller step may not reach it. If they stay apart, or
    the slope depends on the step, the point is on a corner or a jump, or in
    rounding noise: there is nothing to compare with. A gradient that is not
    finite is wrong everywhere.

    Example:
        >>> def square(arrays):
        ...     return float(arrays["p"][0] ** 2)
        >>> theta, gradient = {"p": np.array([3.0])}, {"p": np.array([6.0])}
        >>> found = compare_slope(square, theta, 9.0, 9.0, gradient, 1e-5, "p", (0,), None)
        >>> round(found["numeric"], 6), found["gap"] < 1e-7
        (6.0, True)
    """
    moving = {name: theta[name]} if direction is None else direction
    if direction is None:
        analytic, span = float(gradient[name][index]), abs(float(theta[name][index]))
    else:
        analytic = sum(float(np.sum(gradient[each] * along)) for each, along in direction.items())
        span = max(float(np.max(np.abs(theta[each]), initial=0)) for each in direction)
    # An element is judged against the larger ones of its own parameter, so that
    # a slope which is nearly 0 need not match to seven digits.
    size = math.sqrt(sum(gradient[each].size for each in moving))
    floor = 1e-2 * _length({each: gradient[each] for each in moving}) / size

    def central(h: float) -> tuple[float, float, float]:
        up, down = (value(_moved(theta, name, index, direction, sign * h)) for sign in (1.0, -1.0))
        return (up - down) / (2 * h), (up - centre) / h, (centre - down) / h

    if not math.isfinite(analytic):
        return {"name": name, "index": index, "analytic": analytic, "numeric": central(step)[0], "noise": 0.0,
                "gap": math.inf, "kink": False}
    numeric, gap, apart, noise = math.nan, math.inf, False, 0.0
    for h in (step, step / 10, step / 100):
        numeric, right, left = central(h)
        # What rounding can do to a slope, that of the value and that of theta, is not held against the gradient.
        rounding = float(np.finfo(np.float64).eps) / h
        noise = rounding * (8 * magnitude + span * (abs(right) + abs(left)))
        scale = abs(analytic) + abs(numeric) + floor
        gap = max(0.0, abs(analytic - numeric) - noise) / scale if scale else 0.0
        # On a smooth stretch the two slopes differ by h times the curvature, far less than either of these.
        apart = abs(right - left) - 2 * noise > min(1e-3 * scale, 0.5 * abs(analytic - numeric))
        if gap < _RIGHT_BELOW or (not apart and gap <= TIGHT):
            break
        if not apart or TIGHT < gap <= WRONG_ABOVE:
            # A slope that changes with the step as much as it differs is no measurement: a jump, or rounding.
            # Of a curve, the slopes on either side come together with the step; those of a corner do not.
            near, far = central(0.3 * h), central(3 * h)
            spread = max(numeric, near[0], far[0]) - min(numeric, near[0], far[0])
            bent = apart and abs(near[1] - near[2]) > 0.5 * abs(far[1] - far[2]) + 8 * noise
            unsteady = spread > max(0.2 * abs(analytic - numeric), 8 * noise)
            if not (apart and (bent or unsteady)):
                apart = unsteady
                break
    return {
        "name": name, "index": index, "analytic": analytic, "numeric": numeric, "noise": noise, "gap": gap,
        "kink": gap >= _RIGHT_BELOW and apart,
    }


def is_wrong(c: Comparison) -> bool:
    """Say whether a gradient is wrong: a little, where that was measured well, or more than a little.

    Example:
        >>> found: Comparison = {"name": "p", "index": (0,), "analytic": 1.00001, "numeric": 1.0, "noise": 1e-9,
        ...                      "gap": 5e-6, "kink": False}
        >>> is_wrong(found), is_wrong({**found, "noise": 5e-6})
        (True, False)
    """
    clear = c["gap"] > TIGHT and not abs(c["analytic"] - c["numeric"]) <= 8 * c["noise"]
    return not c["kink"] and (clear or c["gap"] > WRONG_ABOVE)


def find_culprit(compare: Compare, theta: Params, key: Key) -> Comparison:
    """Find an element where gradient and slope disagree, by halving along random directions.

    Example:
        >>> from functools import partial
        >>> theta, wrong = {"p": np.ones(5)}, {"p": np.array([1.0, 1.0, 1.0, 9.0, 1.0])}
        >>> compare = partial(compare_slope, lambda p: float(p["p"].sum()), theta, 5.0, 5.0, wrong, 1e-5)
        >>> find_culprit(compare, theta, 0)["index"]
        (3,)
    """
    whole = random_direction(theta, key)
    worst = max((compare(name, (), {name: along}) for name, along in whole.items()), key=lambda c: c["gap"])
    name, cells = worst["name"], np.arange(theta[worst["name"]].size)
    off = worst["numeric"] - worst["analytic"]
    while cells.size > 1:
        first, second = np.array_split(cells, 2)
        found = compare(name, (), {name: _only(whole[name], first)})
        part = found["numeric"] - found["analytic"]
        # What is off along the whole is off along one half, or partly along both.
        cells, off = (first, part) if abs(part) >= abs(off - part) else (second, off - part)
    return compare(name, tuple(int(i) for i in np.unravel_index(int(cells[0]), theta[name].shape)), None)


def elements(theta: Params) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield each element's name and index.

    Example:
        >>> list(elements({"W": np.zeros((1, 2)), "b": np.zeros(1)}))
        [('W', (0, 0)), ('W', (0, 1)), ('b', (0,))]
    """
    for name, array in theta.items():
        for index in np.ndindex(array.shape):
            yield name, index


def random_direction(theta: Params, key: Key) -> dict[str, Array]:
    """Return a random direction of length 1 over all arrays together.

    Example:
        >>> round(_length(random_direction({"W": np.zeros((3, 2)), "b": np.zeros(2)}, 0)), 12)
        1.0
    """
    draw = generator(key)
    along: dict[str, Array] = {name: draw.standard_normal(array.shape) for name, array in theta.items()}
    whole = _length(along)
    return {name: np.asarray(array / whole) for name, array in along.items()}


def _length(arrays: Params) -> float:
    """Return the Euclidean length of all arrays together."""
    return math.sqrt(sum(float(np.vdot(a, a)) for a in arrays.values()))


def _moved(
    theta: Params, name: str, index: tuple[int, ...], direction: Params | None, size: float
) -> dict[str, Array]:
    """Return theta moved along a direction, or at one element if there is none."""
    if direction is not None:
        return {each: a + size * direction[each] if each in direction else a for each, a in theta.items()}
    moved = np.array(theta[name])
    moved[index] += size
    return {**theta, name: moved}


def _only(array: Array, cells: Rows) -> Array:
    """Return the array with zeros for all but some elements, counted flat."""
    kept = np.zeros_like(array)
    kept.flat[cells] = array.flat[cells]
    return kept
