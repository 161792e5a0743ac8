"""Gradient checking: is `grads` the derivative of `loss`? Central differences tell.

Everything is computed in float64, whatever the dtype of the params: in float32
the rounding of the loss would drown the slope.
"""

from functools import partial
from typing import Literal, SupportsFloat, SupportsIndex, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.bounds import above_zero
from nnfunc.checks import FLOAT64, as_inputs, as_size, problem
from nnfunc.keys import fold_in
from nnfunc.params import checked_params
from nnfunc.slopes import RIGHT_BELOW, WRONG_ABOVE, Comparison, compare_slope, elements, find_culprit, random_direction
from nnfunc.types import Key, Layer, LossFn, Params, Penalty
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
    step = above_zero("check_grads", "eps", eps)
    held, _ = checked_params("check_grads", params)
    if not held:
        raise ValueError(problem("check_grads", "params", "hold at least one parameter", "none"))
    theta = {name: array.astype(np.float64, order="C") for name, array in held.items()}
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
    elif error < RIGHT_BELOW and any(map(_measured, smooth)):
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
