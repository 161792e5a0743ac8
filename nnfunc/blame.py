"""Where a non-finite loss came from: the first non-finite tensor, in one sentence.

Nothing here runs in a healthy step. When a loss is not finite, the pass is
replayed with the same key, and the first array that is not finite is named.
"""

import numpy as np

from nnfunc.checks import problem
from nnfunc.replay import Stage, first_bad, replay, stage
from nnfunc.types import AnyArray, Array, Key, Layer, LossFn, Params


def explain(
    function: str, net: Layer, loss_fn: LossFn, params: Params, x: Array, y: AnyArray, key: Key | None
) -> str:
    """Say which was the first non-finite thing: x, y, a parameter, a layer's output, or the loss.

    Example:
        >>> from nnfunc import dense, mse
        >>> x = np.array([[1.0, np.nan]])
        >>> explain("loss", dense(2, 1), mse, {"W": np.ones((2, 1)), "b": np.zeros(1)}, x, x[:, :1], None)
        'loss: x must be finite, got nan at [0, 1] (1 of 2 values)'
    """
    stages: list[Stage] = []
    replay(net, loss_fn, params, x, y, key, stages)
    found = first_bad(stages)
    if found is None:
        return problem(function, "the mean loss", "be finite", "an overflow in the mean of finite losses")
    if found["tensor"] in ("input", "target", "parameter"):
        return problem(function, found["name"], "be finite", where(found))
    if found["tensor"] == "loss":
        widest = max(abs(end) for end in (stages[-2]["lowest"], stages[-2]["highest"]) if end is not None)
        got = f"{where(found)} from finite outputs of up to {widest:.3g}"
        return problem(function, f"the loss {found['name']}", "be finite", got)
    argument = f"the output of layer {found['name']}" if found["name"] else "the network's output"
    return problem(function, argument, "be finite, as its input and params are", where(found))


def where(found: Stage) -> str:
    """Say what is not finite in a stage, where, and how many.

    Example:
        >>> from nnfunc.replay import stage
        >>> where(stage("x", "input", np.array([[0.0, np.inf], [np.nan, 1.0]]), False))
        'inf at [0, 1] (2 of 4 values)'
    """
    return f"{found['value']} at {list(found['index'] or ())} ({found['bad']} of {found['size']} values)"


def where_not_finite(array: AnyArray) -> str:
    """Say what is not finite and where, or nothing.

    Example:
        >>> where_not_finite(np.array([[0.0, np.inf], [np.nan, 1.0]]))
        'inf at [0, 1] (2 of 4 values)'
        >>> where_not_finite(np.zeros(3))
        ''
    """
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return ""
    return where(stage("", "input", array, False))
