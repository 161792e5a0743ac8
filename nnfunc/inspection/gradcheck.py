"""Gradient checking: is `grads` the derivative of `loss`? Central differences tell.

Everything is computed in float64, whatever the dtype of the params: in float32
the rounding of the loss would drown the slope. Under `check_grads` stands the
arithmetic of every gradient check: a *value* is a function of named arrays to
one number; a *direction* names some of these arrays and says how far each of
their elements moves.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, SupportsFloat, SupportsIndex, TypeAlias, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.network.guard import check_layer
from nnfunc.network.verbs import grads, loss
from nnfunc.values.arrays import as_inputs
from nnfunc.values.checks import FLOAT64, above_zero, as_size, check_callable, require
from nnfunc.values.keys import fold_in, generator
from nnfunc.values.params import checked_params, mapped
from nnfunc.values.types import Array, Key, Layer, LossFn, Params, Penalty, Rows

_RIGHT_BELOW = 1e-7
WRONG_ABOVE = 1e-4

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
Compare: TypeAlias = Callable[[str, tuple[int, ...], Params], Comparison]

GradCheck = TypedDict(
    "GradCheck",
    {
        "verdict": Literal["right", "doubtful", "wrong"], "relative_error": float, "worst": str,
        "index": tuple[int, ...], "analytic": float, "numeric": float, "compared": int, "kinks": int, "unmeasured": int,
    },
)


def check_grads(
    net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None,
    penalty: Penalty | None = None, key: Key | None = None, eps: SupportsFloat = 1e-5,
    directions: SupportsIndex | None = None, direction_key: Key = 0,
) -> GradCheck:
    """Compare `grads` with the numerical slope (L(p + eps) - L(p - eps)) / (2 eps) of `loss`.

    Every element of every parameter is moved by itself, which costs two losses
    each; or, with `directions`, all elements together along that many random
    directions, two losses each however large the network. If a direction
    disagrees, halving finds an element that is to blame.

    Args:
        net, loss_fn, params, x, y, weight, penalty, key: as for `loss`.
        eps: the step; 1e-5 suits params of the size that initialisers give.
        directions: number of random directions, none for every element.
        direction_key: draws the directions.

    Returns:
        A dict:

        - ``verdict``: "wrong" if somewhere gradient and slope differ by more
          than 1e-4 of their size and by more than rounding explains; "right" if
          the relative error is below 1e-7; else "doubtful";
        - ``relative_error``: ||a - n|| / (||a|| + ||n||) over all comparisons;
        - ``worst``, ``index``: the parameter and element that disagree most,
          with ``analytic`` and ``numeric`` slopes there;
        - ``compared``: number of comparisons; ``kinks``: how many were left
          out, as the loss has a corner there (relu at 0) and no derivative;
        - ``unmeasured``: how many slopes were smaller than what rounding does to
          them, so that nothing but a large mistake would show.

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
    if directions is None:
        return _report([compare(*element) for element in elements(theta)])
    count = as_size("check_grads", "directions", directions)
    found = [compare("", (), random_direction(theta, fold_in(direction_key, i))) for i in range(count)]
    report = _report(found)
    if report["verdict"] == "wrong":
        culprit = find_culprit(compare, theta, direction_key)
        report["worst"], report["index"] = culprit["name"], culprit["index"]
        report["analytic"], report["numeric"] = culprit["analytic"], culprit["numeric"]
    return report


def _report(comparisons: list[Comparison]) -> GradCheck:
    """Sum the comparisons up in a verdict."""
    smooth = [c for c in comparisons if not c["kink"]]
    worst = max(smooth or comparisons, key=lambda c: c["gap"])
    analytic = np.array([c["analytic"] for c in smooth])
    numeric = np.array([c["numeric"] for c in smooth])
    scale = float(np.linalg.norm(analytic) + np.linalg.norm(numeric))
    error = float(np.linalg.norm(analytic - numeric)) / scale if scale else 0.0
    verdict: Literal["right", "doubtful", "wrong"] = "doubtful"
    if worst["gap"] > WRONG_ABOVE and not worst["kink"]:
        verdict = "wrong"
    elif error < _RIGHT_BELOW and any(map(_measured, smooth)):
        verdict = "right"
    return {
        "verdict": verdict,
        "relative_error": error,
        "worst": worst["name"],
        "index": worst["index"],
        "analytic": worst["analytic"],
        "numeric": worst["numeric"],
        "compared": len(smooth),
        "kinks": len(comparisons) - len(smooth),
        "unmeasured": sum(not _measured(c) for c in smooth),
    }


def _measured(c: Comparison) -> bool:
    """Say whether a slope stands out of what rounding does to it."""
    return max(abs(c["analytic"]), abs(c["numeric"])) > c["noise"] or c["analytic"] == c["numeric"]


def compare_slope(
    value: Value, theta: Params, centre: float, magnitude: float, gradient: Params, step: float, name: str,
    index: tuple[int, ...], direction: Params,
) -> Comparison:
    """Compare the gradient along one direction with the slope of the value.

    `centre` is the value at theta, `magnitude` the size of the terms that it
    adds up: their rounding is the slope's noise. Where slope and gradient
    disagree and the slopes on either side of the point are apart, a corner lies
    within the step, and a smaller step may not reach it. If they stay apart, or
    the slope depends on the step, the point is on a corner or a jump, or in
    rounding noise: there is nothing to compare with.

    Example:
        >>> def square(arrays):
        ...     return float(arrays["p"][0] ** 2)
        >>> theta, gradient = {"p": np.array([3.0])}, {"p": np.array([6.0])}
        >>> found = compare_slope(square, theta, 9.0, 9.0, gradient, 1e-5, "p", (0,), {"p": np.ones(1)})
        >>> round(found["numeric"], 6), found["gap"] < 1e-7
        (6.0, True)
    """
    analytic = sum(float(np.sum(gradient[each] * along)) for each, along in direction.items())
    # An element is judged against the larger ones of its own parameter, so that
    # a slope which is nearly 0 need not match to seven digits.
    size = math.sqrt(sum(gradient[each].size for each in direction))
    floor = 1e-2 * _length({each: gradient[each] for each in direction}) / size
    span = max(float(np.max(np.abs(theta[each]), initial=0)) for each in direction)
    numeric, gap, apart, noise = math.nan, math.inf, False, 0.0
    for h in (step, step / 10, step / 100):
        up, down = (value(_moved(theta, direction, sign * h)) for sign in (1.0, -1.0))
        numeric, right, left = (up - down) / (2 * h), (up - centre) / h, (centre - down) / h
        # What rounding can do to a slope, that of the value and that of theta, is not held against the gradient.
        rounding = float(np.finfo(np.float64).eps) / h
        noise = rounding * (8 * magnitude + span * (abs(right) + abs(left)))
        scale = abs(analytic) + abs(numeric) + floor
        gap = max(0.0, abs(analytic - numeric) - noise) / scale if scale else 0.0
        # On a smooth stretch the two slopes differ by h times the curvature, far less than either of these.
        apart = abs(right - left) - 2 * noise > min(1e-3 * scale, 0.5 * abs(analytic - numeric))
        if gap < _RIGHT_BELOW or not apart:
            break
    if gap > WRONG_ABOVE and not apart:
        # A slope that changes with the step as much as it differs is no measurement: a jump, or rounding.
        others = [
            (value(_moved(theta, direction, other)) - value(_moved(theta, direction, -other))) / (2 * other)
            for other in (0.3 * h, 3 * h)
        ]
        spread = max(numeric, *others) - min(numeric, *others)
        apart = spread > max(0.2 * abs(analytic - numeric), 8 * noise)
    return {
        "name": name, "index": index, "analytic": analytic, "numeric": numeric, "noise": noise, "gap": gap,
        "kink": gap >= _RIGHT_BELOW and apart,
    }


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
    while cells.size > 1:
        halves = np.array_split(cells, 2)
        found = [compare(name, (), {name: _only(whole[name], half)}) for half in halves]
        cells = halves[0] if found[0]["gap"] >= found[1]["gap"] else halves[1]
    index = tuple(int(i) for i in np.unravel_index(int(cells[0]), theta[name].shape))
    return compare(name, index, {name: _only(np.ones_like(theta[name]), cells)})


def elements(theta: Params) -> Iterator[tuple[str, tuple[int, ...], Params]]:
    """Yield each element's name and index, and the direction along it alone.

    Example:
        >>> [(name, index) for name, index, _ in elements({"W": np.zeros((1, 2)), "b": np.zeros(1)})]
        [('W', (0, 0)), ('W', (0, 1)), ('b', (0,))]
    """
    for name, array in theta.items():
        for index in np.ndindex(array.shape):
            one = np.zeros_like(array)
            one[index] = 1
            yield name, index, {name: one}


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
    return math.sqrt(sum(float(np.sum(a * a)) for a in arrays.values()))


def _moved(theta: Params, direction: Params, size: float) -> dict[str, Array]:
    """Return theta moved along a direction."""
    return {name: array + size * direction[name] if name in direction else array for name, array in theta.items()}


def _only(array: Array, cells: Rows) -> Array:
    """Return the array with zeros for all but some elements, counted flat."""
    kept = np.zeros_like(array)
    kept.flat[cells] = array.flat[cells]
    return kept
