"""What a network is made of: a row for each layer."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.inspection.statistics import run_layers
from nnfunc.network.guard import check_layer
from nnfunc.network.kinds import Width, children, facts, kind_of, made_by, statistics, walk
from nnfunc.network.loop import chain_forward, combined_forward, reraise
from nnfunc.network.verbs import init
from nnfunc.pieces.layers import check_fields
from nnfunc.values.checks import listed, require
from nnfunc.values.params import checked_params, joined
from nnfunc.values.types import Array, Layer, Params

LayerSummary = TypedDict(
    "LayerSummary",
    {
        "layer": str, "kind": str, "in": int | None, "out": int | None, "shapes": str, "parameters": int, "bytes": int,
        "operations": int | None,
    },
)


def summary(net: Layer, params: Params | None = None, x: ArrayLike | None = None) -> list[LayerSummary]:
    """Return what each layer of a network is, one row per layer and a last one of totals.

    ``print(table(summary(net)))`` shows it. Columns: ``layer`` its path;
    ``kind``; ``in`` and ``out`` columns; ``shapes`` of its params; number of
    ``parameters`` and their ``bytes``; ``operations``, the arithmetic for one
    row in inference (a multiplication and an addition are two, a function of a
    value one). What cannot be known of a layer of one's own is None. A
    residual, and what is made of branches, comes after the layers inside, and
    counts only its own part.

    Args:
        net: a network.
        params: its params; fresh ones, in float32, if none.
        x: rows to run it on, one is enough, which tells the columns of every layer.

    Raises:
        TypeError, ValueError: `net` is no layer, or `params` are not its params: what
            the library's layers miss, do not know, or have in another shape; with `x`, as `forward`.

    Example:
        >>> from nnfunc import chain, dense, relu, table
        >>> net = chain(hidden=dense(64, 32, relu), out=dense(32, 10))
        >>> print(table(summary(net)))
        layer   kind        in  out  shapes              parameters   bytes  operations
        hidden  dense relu  64   32  W (64, 32), b (32)       2,080   8,320       4,128
        out     dense       32   10  W (32, 10), b (10)         330   1,320         640
        total               64   10                           2,410   9,640       4,768
    """
    check_layer("summary", "net", net)
    held, _ = checked_params("summary", init(net, 0) if params is None else params)
    owners = _params_of(net, held)
    found = {} if x is None else _columns_found(net, held, x)
    rows: list[LayerSummary] = []
    for path, layer, n_in, n_out in _columns_known(net, "", None):
        n_in, n_out = found.get(path, (n_in, n_out))
        known, own = facts(layer), {} if children(layer) else owners[path]
        if known is not None:
            try:
                check_fields(known["word"].replace(" ", "_"), known["shapes"], own, known["statistics"])
            except ValueError as error:
                if not path:
                    raise
                reraise(error, path)
        shapes = ", ".join(f"{name} ({', '.join(map(str, a.shape))})" for name, a in own.items())
        rows.append({
            "layer": path or "net", "kind": kind_of(layer), "in": n_in, "out": n_out, "shapes": shapes,
            "parameters": sum(a.size for a in own.values()), "bytes": sum(a.nbytes for a in own.values()),
            "operations": None if known is None or n_out is None else known["operations"] * n_out,
        })
    costs = [row["operations"] for row in rows]
    total: LayerSummary = {
        "layer": "total", "kind": "", "in": _columns_in(net) if x is None else math.prod(np.shape(x)[1:]),
        "out": rows[-1]["out"], "shapes": "", "parameters": sum(row["parameters"] for row in rows),
        "bytes": sum(row["bytes"] for row in rows),
        "operations": None if None in costs else sum(cost or 0 for cost in costs),
    }
    return [*rows, total]


def _columns_known(net: Layer, path: str, width: Width) -> Generator[tuple[str, Layer, Width, Width], None, Width]:
    """Yield path, layer, columns in and columns out in the order of `walk`, and return the columns that come out."""
    known, runs_on = facts(net), made_by(net) is chain_forward
    into = width if runs_on or known is not None else None
    inside: list[Width] = []
    for name, layer in children(net):
        inside.append((yield from _columns_known(layer, joined(path, name), into)))
        into = inside[-1] if runs_on else into
    if runs_on:
        return into
    n_in, n_out = (width, None) if known is None else known["columns"](width)
    if known is not None and made_by(net) is combined_forward:
        n_out = None if None in inside else sum(each or 0 for each in inside)
    yield path, net, n_in, n_out
    return n_out


def _columns_in(net: Layer) -> Width:
    """Return the columns that a network takes, if a layer that sees them all knows."""
    known, inside = facts(net), [layer for _, layer in children(net)]
    if made_by(net) is chain_forward:
        return _columns_in(inside[0])
    if known is None or not inside:
        return None if known is None else known["columns"](None)[0]
    return next((width for width in map(_columns_in, inside) if width is not None), None)


def _columns_found(net: Layer, params: Params, x: ArrayLike) -> dict[str, tuple[int, int]]:
    """Return the columns in and out of every layer, by its path, as a run on x shows them."""
    found: dict[str, tuple[int, int]] = {}

    def note(path: str, layer: Layer, given: Array, z: Array, y: Array) -> None:
        found[path] = math.prod(given.shape[1:]), math.prod(y.shape[1:])

    held, dtype = checked_params("summary", params)
    # Params that were never calibrated do as well, as only shapes count.
    blank = {name: np.ones(shape, dtype) for name, shape in statistics(net).items()}
    run_layers("summary", net, {**blank, **held}, x, None, note)
    return found


def _params_of(net: Layer, params: Params) -> dict[str, dict[str, Array]]:
    """Deal the params out to the paths of the layers, under their short names."""
    owners: dict[str, dict[str, Array]] = {path: {} for path, layer in walk(net) if not children(layer)}
    for name, array in params.items():
        path = name
        while path and path not in owners:
            path = path.rpartition("/")[0]
        require(path in owners, "summary", name, "belong to one of the network's layers", listed(owners))
        owners[path][name.removeprefix(f"{path}/")] = array
    return owners
