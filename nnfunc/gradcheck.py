"""Gradient checking: is `grads` the derivative of `loss`? Central differences tell.

Everything is computed in float64, whatever the dtype of the params: in float32
the rounding of the loss would drown the slope.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, SupportsFloat, SupportsIndex, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.checks import FLOAT64, as_inputs, as_number, as_size, problem
from nnfunc.keys import fold_in, generator
from nnfunc.params import checked_params
from nnfunc.types import Array, Key, Layer, LossFn, Params, Penalty, Rows
from nnfunc.verbs import grads, loss

GradCheck = TypedDict(
    "GradCheck",
    {
        "verdict": Literal["right", "doubtful", "wrong"],
        "relative_error": float,
        "worst": str,
        "index": tuple[int, ...],
        "analytic": float,
        "numeric": float,
        "compared": int,
        "kinks": int,
        "unmeasured": int,
    },
)

RIGHT_BELOW = 1e-7
WRONG_ABOVE = 1e-4

Comparison = TypedDict(
    "Comparison",
    {
        "name": str,
        "index": tuple[int, ...],
        "analytic": float,
        "numeric": float,
        "gap": float,
        "kink": bool,
        "measured": bool,
    },
)


def check_grads(
    net: Layer,
    loss_fn: LossFn,
    params: Params,
    x: ArrayLike,
    y: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    penalty: Penalty | None = None,
    key: Key | None = None,
    eps: SupportsFloat = 1e-5,
    directions: SupportsIndex | None = None,
    direction_key: Key = 0,
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
    step = as_number("check_grads", "eps", eps)
    if step <= 0:
        raise ValueError(problem("check_grads", "eps", "be above 0", step))
    held, _ = checked_params("check_grads", params)
    if not held:
        raise ValueError(problem("check_grads", "params", "hold at least one parameter", "none"))
    theta = {name: array.astype(np.float64, order="C") for name, array in held.items()}
    inputs = as_inputs("check_grads", "x", x, FLOAT64)
    given = grads(net, loss_fn, theta, inputs, y, weight=weight, penalty=penalty, key=key)
    gradient = {name: given.get(name, np.zeros_like(array)) for name, array in theta.items()}

    def value(moved: Params) -> float:
        return loss(net, loss_fn, moved, inputs, y, weight=weight, penalty=penalty, key=key)

    compare = partial(_compare, value, theta, value(theta), gradient, step)
    if directions is None:
        return _report([compare(name, index, {name: one}) for name, index, one in _elements(theta)])
    count = as_size("check_grads", "directions", directions)
    found = [compare("", (), _direction(theta, fold_in(direction_key, i))) for i in range(count)]
    report = _report(found)
    if report["verdict"] == "wrong":
        culprit = _culprit(compare, theta, direction_key)
        report["worst"], report["index"] = culprit["name"], culprit["index"]
        report["analytic"], report["numeric"] = culprit["analytic"], culprit["numeric"]
    return report


def _compare(
    value: Callable[[Params], float],
    theta: Params,
    centre: float,
    gradient: Params,
    step: float,
    name: str,
    index: tuple[int, ...],
    direction: Params,
) -> Comparison:
    """Compare the gradient along one direction with the slope of the loss.

    Where the two disagree and the slopes on either side of the point are apart,
    a corner of the loss lies within the step, and a smaller step may not reach
    it. If they stay apart, the point is on a corner: there is no derivative.
    """
    analytic = sum(float(np.vdot(gradient[name], along)) for name, along in direction.items())
    # An element is judged against the larger ones of its own parameter, so that
    # a slope which is nearly 0 need not match to seven digits.
    size = math.sqrt(sum(gradient[name].size for name in direction))
    floor = 1e-2 * _norm({name: gradient[name] for name in direction}) / size
    numeric, gap, apart, noise = math.nan, math.inf, False, 0.0
    for h in (step, step / 10, step / 100):
        up, down = (value(_moved(theta, direction, sign * h)) for sign in (1.0, -1.0))
        numeric, right, left = (up - down) / (2 * h), (up - centre) / h, (centre - down) / h
        # What the rounding of a few losses can do to a slope is not held against the gradient.
        noise = 8 * float(np.finfo(np.float64).eps) * abs(centre) / h
        scale = abs(analytic) + abs(numeric) + floor
        gap = max(0.0, abs(analytic - numeric) - noise) / scale if scale else 0.0
        # On a smooth stretch the two slopes differ by h times the curvature, far less than this.
        apart = abs(right - left) - 2 * noise > 1e-3 * scale
        if gap < RIGHT_BELOW or not apart:
            break
    return {
        "name": name,
        "index": index,
        "analytic": analytic,
        "numeric": numeric,
        "gap": gap,
        "kink": gap >= RIGHT_BELOW and apart,
        "measured": max(abs(analytic), abs(numeric)) > noise or analytic == numeric,
    }


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
    elif error < RIGHT_BELOW and any(c["measured"] for c in smooth):
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
        "unmeasured": sum(not c["measured"] for c in smooth),
    }


def _culprit(compare: Callable[[str, tuple[int, ...], Params], Comparison], theta: Params, key: Key) -> Comparison:
    """Find an element where gradient and slope disagree, by halving along random directions."""
    whole = _direction(theta, key)
    worst = max((compare(name, (), {name: along}) for name, along in whole.items()), key=lambda c: c["gap"])
    name, cells = worst["name"], np.arange(theta[worst["name"]].size)
    while cells.size > 1:
        halves = np.array_split(cells, 2)
        found = [compare(name, (), {name: _only(whole[name], half)}) for half in halves]
        cells = halves[0] if found[0]["gap"] >= found[1]["gap"] else halves[1]
    index = tuple(int(i) for i in np.unravel_index(int(cells[0]), theta[name].shape))
    return compare(name, index, {name: _only(np.ones_like(theta[name]), cells)})


def _elements(theta: Params) -> Iterator[tuple[str, tuple[int, ...], Array]]:
    """Yield each element's name and index, and the direction along it alone."""
    for name, array in theta.items():
        for index in np.ndindex(array.shape):
            one = np.zeros_like(array)
            one[index] = 1
            yield name, index, one


def _direction(theta: Params, key: Key) -> dict[str, Array]:
    """Return a random direction of length 1 over all parameters together."""
    draw = generator(key)
    along: dict[str, Array] = {name: draw.standard_normal(array.shape) for name, array in theta.items()}
    length = _norm(along)
    return {name: np.asarray(array / length) for name, array in along.items()}


def _moved(theta: Params, direction: Params, size: float) -> dict[str, Array]:
    return {name: array + size * direction[name] if name in direction else array for name, array in theta.items()}


def _only(array: Array, cells: Rows) -> Array:
    kept = np.zeros_like(array)
    kept.flat[cells] = array.flat[cells]
    return kept


def _norm(arrays: Params) -> float:
    return math.sqrt(sum(float(np.vdot(a, a)) for a in arrays.values()))
