"""Where a non-finite loss came from: the first non-finite tensor, by name.

Nothing here runs in a healthy step. When a loss is not finite, the pass is
repeated layer by layer with the same key, and the first array that is not
finite is named.
"""

import numpy as np

from nnfunc.checks import describe, locked, problem
from nnfunc.combinators import chain_parts, inner_of_residual, layer_keys, layer_names
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
    for name, array in (("x", x), ("y", y), *params.items()):
        found = where_not_finite(array)
        if found:
            return problem(function, name, "be finite", found)
    path, found, outputs = _first_bad_output(net, params, x, key, "")
    if found:
        argument = f"the output of layer {path}" if path else "the network's output"
        return problem(function, argument, "be finite, as its input and params are", found)
    per_example, d_outputs = loss_fn(outputs, y)
    name = getattr(loss_fn, "__name__", None) or describe(loss_fn)
    found = where_not_finite(per_example) or where_not_finite(d_outputs) or "an overflow in the mean"
    size = f"outputs of up to {np.max(np.abs(outputs)):.3g}"
    return problem(function, f"the loss {name}", "be finite", f"{found} from finite {size}")


def where_not_finite(array: AnyArray) -> str:
    """Say what is not finite and where, or nothing.

    Example:
        >>> where_not_finite(np.array([[0.0, np.inf], [np.nan, 1.0]]))
        'inf at [0, 1] (2 of 4 values)'
        >>> where_not_finite(np.zeros(3))
        ''
    """
    if array.dtype.kind != "f":
        return ""
    bad = ~np.isfinite(array)
    count = int(np.count_nonzero(bad))
    if not count:
        return ""
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"{array[first]} at {list(first)} ({count} of {array.size} values)"


def _first_bad_output(
    net: Layer, params: Params, x: Array, key: Key | None, path: str
) -> tuple[str, str, Array]:
    """Return the path of the first layer with a non-finite output, what is in it, and the output."""
    parts = chain_parts(net)
    if not parts:
        return _bad_output_of_one(net, params, x, key, path)
    names = tuple(name for name, _ in parts)
    keys = (None,) * len(parts) if key is None else layer_keys(key, len(parts))
    y = x
    for (name, part), fields, part_key in zip(parts, layer_names(names, tuple(params)), keys, strict=True):
        own = {short: params[full] for short, full in fields.items()}
        bad, found, y = _first_bad_output(part, own, locked(y), part_key, f"{path}/{name}" if path else name)
        if found:
            return bad, found, y
    return path, "", y


def _bad_output_of_one(
    net: Layer, params: Params, x: Array, key: Key | None, path: str
) -> tuple[str, str, Array]:
    """The same for a layer that is no chain: what is inside a residual comes before its sum."""
    inner = inner_of_residual(net)
    if inner is not None:
        bad, found, y = _first_bad_output(inner, params, x, key, path)
        if found:
            return bad, found, y
    y, _ = net[1](params, x, key)
    return path, where_not_finite(y), y
