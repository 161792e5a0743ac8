"""What a network is made of: a row for each layer."""

from __future__ import annotations

from typing import TypedDict

from nnfunc.network.guard import check_layer
from nnfunc.network.kinds import facts, made_by, walk
from nnfunc.network.loop import reraise, residual_forward
from nnfunc.pieces.layers import check_fields
from nnfunc.values.checks import label, listed, problem
from nnfunc.values.params import checked_params
from nnfunc.values.types import Array, Layer, Params

LayerSummary = TypedDict(
    "LayerSummary",
    {
        "layer": str, "kind": str, "in": int | None, "out": int | None, "shapes": str, "parameters": int, "bytes": int,
        "operations": int | None,
    },
)


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
    check_layer("summary", "net", net)
    held, _ = checked_params("summary", params)
    owners = _params_of(net, held)
    rows: list[LayerSummary] = []
    width: int | None = None
    for path, layer in walk(net):
        known = facts(layer)
        columns, width = (known and known["columns"]) or (width, None if known is None else width)
        own = owners.get(path, {}) if made_by(layer) is not residual_forward else {}
        if known is not None:
            try:
                check_fields(known["word"].replace(" ", "_"), known["shapes"], own, known["statistics"])
            except ValueError as error:
                if not path:
                    raise
                reraise(error, path)
        rows.append(
            {
                "layer": path or "net",
                "kind": kind_of(layer),
                "in": columns,
                "out": width,
                "shapes": ", ".join(f"{name} ({', '.join(map(str, a.shape))})" for name, a in own.items()),
                "parameters": sum(a.size for a in own.values()),
                "bytes": sum(a.nbytes for a in own.values()),
                "operations": None if known is None or width is None else known["operations"] * width,
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


def kind_of(layer: Layer) -> str:
    """Say in a word or two what a layer is; of a user's own, the name of its function.

    Example:
        >>> from nnfunc import dense, dropout, tanh
        >>> kind_of(dense(2, 3, tanh)), kind_of(dropout(0.5))
        ('dense tanh', 'dropout 0.5')
    """
    own = facts(layer)
    return label(made_by(layer)) if own is None else own["kind"]


def _params_of(net: Layer, params: Params) -> dict[str, dict[str, Array]]:
    """Deal the params out to the paths of the layers, under their short names."""
    owners: dict[str, dict[str, Array]] = {
        path: {} for path, layer in walk(net) if made_by(layer) is not residual_forward
    }
    for name, array in params.items():
        path = name
        while path and path not in owners:
            path = path.rpartition("/")[0]
        if path not in owners:
            raise ValueError(problem("summary", name, "belong to one of the network's layers", listed(owners)))
        owners[path][name.removeprefix(f"{path}/")] = array
    return owners
