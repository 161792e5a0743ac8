"""Looking inside: what a network is made of, what its layers put out, how long a step is."""

import math
from functools import partial
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.activations import BACK_RULES, BackRule, log_softmax, softmax
from nnfunc.checks import problem
from nnfunc.clipping import check_finite
from nnfunc.combinators import residual_forward
from nnfunc.dropout import dropout_forward
from nnfunc.layers import activation_forward, dense_forward, product
from nnfunc.norms import batch_norm_forward, layer_norm_forward
from nnfunc.params import checked_params
from nnfunc.passes import prepared, run
from nnfunc.pieces import check_pair, reraise
from nnfunc.replay import label
from nnfunc.squares import sum_of_squares
from nnfunc.types import Array, DType, ElementwiseFn, Key, Layer, Params, Pullback
from nnfunc.walk import made_by, map_layers, options, walk

LayerSummary = TypedDict(
    "LayerSummary",
    {
        "layer": str,
        "kind": str,
        "in": int | None,
        "out": int | None,
        "shapes": str,
        "parameters": int,
        "bytes": int,
        "operations": int | None,
    },
)

LayerStats = TypedDict(
    "LayerStats",
    {
        "layer": str,
        "kind": str,
        "mean": float,
        "variance": float,
        "zero": float,
        "dead": float,
        "saturated": float | None,
    },
)

# Operations per value, in inference: each addition, multiplication, division, root or function is one.
_PER_VALUE = {activation_forward: 1, dropout_forward: 0, residual_forward: 1, batch_norm_forward: 4, layer_norm_forward: 8}
_KINDS = {
    dense_forward: "dense",
    activation_forward: "activation",
    dropout_forward: "dropout",
    residual_forward: "residual",
    batch_norm_forward: "batch norm",
    layer_norm_forward: "layer norm",
}
_FLAT = 0.01


def summary(net: Layer, params: Params) -> list[LayerSummary]:
    """Return what each layer of a network is, one row per layer and a last one of totals.

    ``print(table(summary(net, params)))`` shows it. Columns: ``layer`` its path;
    ``kind``; ``in`` and ``out`` columns; ``shapes`` of its params; number of
    ``parameters`` and their ``bytes``; ``operations``, the arithmetic for one
    row in inference (a multiplication and an addition are two, a function of a
    value one). What cannot be known of a layer of one's own is None. A
    residual comes after the layers inside, and counts only its sum.

    Raises:
        TypeError, ValueError: `net` is no layer, or `params` are not its params: what
            the library's layers miss, do not know, or have in another shape.

    Example:
        >>> from nnfunc import chain, dense, init, relu, table
        >>> net = chain(hidden=dense(64, 32, relu), out=dense(32, 10))
        >>> print(table(summary(net, init(net, key=0))))
        layer   kind        in  out  shapes              parameters   bytes  operations
        hidden  dense relu  64   32  W (64, 32), b (32)       2,080   8,320       4,128
        out     dense       32   10  W (32, 10), b (10)         330   1,320         640
        total               64   10                           2,410   9,640       4,768
    """
    check_pair("summary", "net", net)
    held, dtype = checked_params("summary", params)
    owners = _params_of(net, held)
    rows: list[LayerSummary] = []
    width: int | None = None
    for path, layer in walk(net):
        known = made_by(layer) in (dense_forward, batch_norm_forward, layer_norm_forward)
        fixed = [n for n in options(layer)[:2] if isinstance(n, int)] if known else []
        columns = fixed[0] if fixed else width
        is_custom = made_by(layer) not in _KINDS
        width = fixed[-1] if fixed else None if is_custom else width
        own = owners[path] if made_by(layer) is not residual_forward else {}
        if own or known:
            _check_own(path, layer, own, columns or 1, dtype)
        rows.append(
            {
                "layer": path or "net",
                "kind": kind_of(layer),
                "in": columns,
                "out": width,
                "shapes": ", ".join(f"{name} ({', '.join(map(str, a.shape))})" for name, a in own.items()),
                "parameters": sum(a.size for a in own.values()),
                "bytes": sum(a.nbytes for a in own.values()),
                "operations": _operations(layer, columns, width),
            }
        )
    costs = [row["operations"] for row in rows]
    total: LayerSummary = {
        "layer": "total",
        "kind": "",
        "in": rows[0]["in"],
        "out": rows[-1]["out"],
        "shapes": "",
        "parameters": sum(row["parameters"] for row in rows),
        "bytes": sum(row["bytes"] for row in rows),
        "operations": None if None in costs else sum(cost or 0 for cost in costs),
    }
    return [*rows, total]


def _check_own(path: str, layer: Layer, own: Params, columns: int, dtype: DType) -> None:
    """Let a layer of the library say of its params what it would say in a forward pass."""
    if made_by(layer) not in _KINDS:
        return
    try:
        with np.errstate(all="ignore"):
            layer[1](own, np.zeros((2, columns), dtype), 0)
    except Exception as error:
        if not path:
            raise
        reraise(error, path)


def kind_of(layer: Layer) -> str:
    """Say in a word or two what a layer is; of a user's own, the name of its function.

    Example:
        >>> from nnfunc import dense, dropout, tanh
        >>> kind_of(dense(2, 3, tanh)), kind_of(dropout(0.5))
        ('dense tanh', 'dropout 0.5')
    """
    base = made_by(layer)
    word = next((word for known, word in _KINDS.items() if known is base), None)
    if word is None:
        return label(base)
    rule = _rule(layer)
    if base is activation_forward:
        return _function_name(rule)
    if base is dropout_forward:
        return f"dropout {options(layer)[0]}"
    return f"{word} {_function_name(rule)}" if rule is not None else word


def activation_stats(net: Layer, params: Params, x: ArrayLike, key: Key | None = None) -> list[LayerStats]:
    """Return what each layer puts out for a batch, one row per layer.

    ``print(table(activation_stats(net, params, x)))`` shows it. Columns: ``mean``
    and ``variance`` of all values; the share of them that is exactly ``zero``;
    the share of units (columns) that are ``dead``, zero for every row; the
    share of values that are ``saturated``, where the activation's slope is
    below 0.01, so that hardly any gradient passes (None where there is no
    elementwise activation). Healthy layers have variances of one size; zeros
    everywhere, or one constant, say that something is broken.

    Args:
        net, params, x, key: as for `forward`.

    Raises:
        TypeError, ValueError: as `forward`.

    Example:
        >>> from nnfunc import dense, relu
        >>> params = {"W": np.array([[1.0, -1.0]]), "b": np.zeros(2)}
        >>> stats = activation_stats(dense(1, 2, relu), params, [[1.0], [3.0]])[0]
        >>> stats["mean"], stats["zero"], stats["dead"], stats["saturated"]
        (1.0, 0.5, 0.5, 0.5)

    Reference:
        Glorot & Bengio (2010), section 3, who look at networks this way.
    """
    rows: list[LayerStats] = []

    def noted(path: str, layer: Layer) -> Layer:
        def noting_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
            y, pullback = layer[1](params, x, key)
            rows.append(_stats(path or "net", layer, params, x, y))
            return y, pullback

        return layer[0], noting_forward

    check_pair("activation_stats", "net", net)
    with np.errstate(all="ignore"):
        run("activation_stats", map_layers(net, noted), *prepared("activation_stats", net, params, x), key)
    return rows


def update_ratio(before: Params, after: Params) -> dict[str, float]:
    """Return ||after - before|| / ||before|| per name: how long a step was beside its parameter.

    About 1e-3 is usual; 1e-1 is too long a step, 1e-6 hardly any. A parameter
    that was all zeros has the ratio inf, or 0 if it still is.

    Args:
        before: params before a step.
        after: params after it, under the same names.

    Raises:
        ValueError: names or shapes differ.
        TypeError: as `sgd_step`.
        FloatingPointError: a value is not finite.

    Example:
        >>> update_ratio({"W": np.array([3.0, 4.0])}, {"W": np.array([3.0, 4.5])})
        {'W': 0.1}
    """
    old, _ = checked_params("update_ratio", before, "before")
    new, _ = checked_params("update_ratio", after, "after")
    if old.keys() != new.keys():
        raise ValueError(problem("update_ratio", "after", f"have the names of before ({', '.join(old)})", list(new)))
    for name, array in old.items():
        if new[name].shape != array.shape:
            raise ValueError(problem("update_ratio", f"after[{name!r}]", f"have shape {array.shape}", new[name].shape))
    for argument, held in (("before", old), ("after", new)):
        check_finite("update_ratio", argument, held)
    return {name: _ratio(array, new[name]) for name, array in old.items()}


def _ratio(before: Array, after: Array) -> float:
    start, end = before.astype(np.float64) / 2, after.astype(np.float64) / 2  # so that no difference overflows
    (change_scale, change), (scale, size) = sum_of_squares([end - start]), sum_of_squares([start])
    return change_scale / scale * math.sqrt(change / size) if size else (math.inf if change else 0.0)


def _stats(path: str, layer: Layer, params: Params, x: Array, y: Array) -> LayerStats:
    wide, zeros = y.astype(np.float64), y == 0
    return {
        "layer": path,
        "kind": kind_of(layer),
        "mean": float(wide.mean()),
        "variance": float(wide.var()),
        "zero": float(zeros.mean()),
        "dead": float(zeros.all(axis=0).mean()),
        "saturated": _saturated(layer, params, x, y),
    }


def _saturated(layer: Layer, params: Params, x: Array, y: Array) -> float | None:
    rule = _rule(layer)
    if rule is None or rule[0] in (softmax, log_softmax):
        return None
    z = product(x, params["W"]) + params["b"] if made_by(layer) is dense_forward else x
    return float((np.abs(rule[1](np.ones_like(y), z, y)) < _FLAT).mean())


def _rule(layer: Layer) -> tuple[ElementwiseFn, BackRule] | None:
    """Return the activation inside a layer with its back rule, if it has one."""
    forward = layer[1]
    found: tuple[ElementwiseFn, BackRule] | None = None
    if isinstance(forward, partial) and forward.func in (dense_forward, activation_forward):
        found = forward.args[2 if forward.func is dense_forward else 0]
    return found


def _function_name(rule: tuple[ElementwiseFn, BackRule] | None) -> str:
    """Return the name of the activation in a rule; a user's own pair is held in a partial."""
    value = None if rule is None else rule[0]
    own = isinstance(value, partial) and value.func not in BACK_RULES
    return label(value.args[0] if own and isinstance(value, partial) else value)


def _params_of(net: Layer, params: Params) -> dict[str, dict[str, Array]]:
    """Deal the params out to the paths of the layers, under their short names."""
    paths = sorted((path for path, layer in walk(net) if made_by(layer) is not residual_forward), key=len, reverse=True)
    owners: dict[str, dict[str, Array]] = {path: {} for path in paths}
    for name, array in params.items():
        path = next((path for path in paths if not path or name.startswith(path + "/")), None)
        if path is None:
            raise ValueError(problem("summary", name, "belong to one of the network's layers", ", ".join(owners)))
        owners[path][name[len(path) + 1 :] if path else name] = array
    return owners


def _operations(layer: Layer, n_in: int | None, n_out: int | None) -> int | None:
    """Count the arithmetic for one row."""
    if n_in is None or n_out is None:
        return None
    if made_by(layer) is dense_forward:
        return 2 * n_in * n_out + (n_out if _rule(layer) is not None else 0)
    return next((per * n_out for known, per in _PER_VALUE.items() if known is made_by(layer)), None)
