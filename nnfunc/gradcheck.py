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

from nnfunc.checks import FLOAT64, as_inputs, as_number, as_size, checked_params, problem
from nnfunc.keys import fold_in, generator
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
    },
)

RIGHT_BELOW = 1e-7
WRONG_ABOVE = 1e-4

Comparison = TypedDict(
    "Comparison",
    {"name": str, "index": tuple[int, ...], "analytic": float, "numeric": float, "gap": float, "kink": bool},
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
        eps: the step; 1e-5 is the best there is for float64.
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
          out, as the loss has a corner there (relu at 0) and the gradient lies
          between the slopes on either side.

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
    theta = {name: array.astype(np.float64) for name, array in held.items()}
    inputs = as_inputs("check_grads", "x", x, FLOAT64)
    given = grads(net, loss_fn, theta, inputs, y, weight=weight, penalty=penalty, key=key)
    gradient = {name: given.get(name, np.zeros_like(array)) for name, array in theta.items()}

    def value(moved: Params) -> float:
        return loss(net, loss_fn, moved, inputs, y, weight=weight, penalty=penalty, key=key)

    if directions is None:
        floor = 1e-3 * max(float(np.max(np.abs(a), initial=0)) for a in gradient.values())
        compare = partial(_compare, value, theta, value(theta), gradient, step, floor)
        return _report([compare(name, index, {name: one}) for name, index, one in _elements(theta)])
    count = as_size("check_grads", "directions", directions)
    floor = 1e-2 * _norm(gradient) / math.sqrt(sum(a.size for a in theta.values()))
    compare = partial(_compare, value, theta, value(theta), gradient, step, floor)
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
    floor: float,
    name: str,
    index: tuple[int, ...],
    direction: Params,
) -> Comparison:
    """Compare the gradient along one direction with the slope of the loss.

    Where they disagree, a smaller step may not reach across a corner of the
    loss that lies nearby; if a corner is at hand itself, the one-sided slopes
    stay apart, and a gradient between them is as good as any.
    """
    analytic = sum(float(np.vdot(gradient[name], along)) for name, along in direction.items())
    best: Comparison = {
        "name": name,
        "index": index,
        "analytic": analytic,
        "numeric": math.nan,
        "gap": math.inf,
        "kink": False,
    }
    for size in (step, step / 10, step / 100):
        up, down = (value(_moved(theta, direction, sign * size)) for sign in (1.0, -1.0))
        numeric, right, left = (up - down) / (2 * size), (up - centre) / size, (centre - down) / size
        # What the rounding of a loss can do to a slope is not counted against the gradient.
        noise = 8 * float(np.finfo(np.float64).eps) * abs(centre) / size
        scale = abs(analytic) + abs(numeric) + floor
        gap = max(0.0, abs(analytic - numeric) - noise) / scale if scale else 0.0
        if gap < best["gap"]:
            best["numeric"], best["gap"] = numeric, gap
        if gap < RIGHT_BELOW:
            break
    else:
        apart = abs(right - left) - 2 * noise > 1e-3 * scale
        best["kink"] = apart and min(left, right) - noise <= analytic <= max(left, right) + noise
    return best


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
    elif error < RIGHT_BELOW and smooth:
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
    kept.ravel()[cells] = array.ravel()[cells]
    return kept


def _norm(arrays: Params) -> float:
    return math.sqrt(sum(float(np.vdot(a, a)) for a in arrays.values()))
