"""What a predictor in another language is made of: plain operations, the widths of their values, a row and its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.exchange.graph import Node, columns_in, folded, graph
from nnfunc.network.boundary import prepared
from nnfunc.network.guard import run
from nnfunc.pieces.data import mean_and_scale, standardize
from nnfunc.values.arrays import as_inputs, check_finite, in_dtype
from nnfunc.values.checks import FLOAT32, FLOAT64, base_function, label, problem, require
from nnfunc.values.keys import generator
from nnfunc.values.params import checked_params, joined
from nnfunc.values.types import Array, DType, Layer, Params

Predictor = TypedDict(
    "Predictor",
    {
        "nodes": list[Node],  # a scaler is the first of them: standardize, whose arrays are float64
        "widths": list[int],  # of the values, by number
        "dtype": DType,
        "row": Array,
        "outputs": Array,
        "tolerance": float,  # of the outputs, by which rounding in another order may change them
    },
)
"""A network to be written out."""


def predictor(function: str, net: Layer, params: Params, scaler: Params | None, x: ArrayLike | None) -> Predictor:
    """Return a network, checked, with a row and what `forward` makes of it.

    Raises:
        FloatingPointError: params or outputs are not finite.
        TypeError, ValueError: a layer is a user's own, params do not fit, or `x` is needed and not there.

    Example:
        >>> from nnfunc import dense
        >>> found = predictor("to_c", dense(1, 2), {"W": [[1.0, 2.0]], "b": [0.0, 1.0]}, None, [3.0])
        >>> found["widths"], found["row"], found["outputs"]
        ([1, 2], array([3.]), array([3., 7.]))
    """
    held, dtype = checked_params(function, params)
    if not held and getattr(x, "dtype", FLOAT64) == FLOAT64:
        dtype = FLOAT64  # as in forward
    with np.errstate(all="ignore"):  # what is not finite is said below
        nodes = folded(graph(function, net, held))
    for node in nodes:
        got = f"{label(base_function(node['function']))} in {node['path'] and 'layer '}{node['path'] or 'it'}"
        require(node["op"] != "own", function, "net", "be made of the library's own layers and activations", got)
    means = None if scaler is None else mean_and_scale(function, scaler)
    width = columns_in(nodes) if means is None else means[0].size
    constraint = f"have the {columns_in(nodes)} columns that net takes"
    require(columns_in(nodes) in (None, width), function, "scaler", constraint, width)
    row = _drawn(function, nodes, width, means, dtype) if x is None else _first(function, x, dtype)
    net, held, rows = prepared(function, net, held, row[None] if scaler is None else standardize(row[None], scaler), None)
    with np.errstate(all="ignore"):
        outputs = run(function, net[1], held, rows, None)[0][0]
    check_finite(function, "the outputs of the row that is carried", outputs)
    for node in nodes:
        for name, array in node["arrays"].items():
            check_finite(function, joined(node["path"], name), array)
    if means is not None:
        arrays = dict(zip(("input_mean", "input_scale"), means, strict=True))
        moved: list[Node] = [{**node, "inputs": tuple(used + 1 for used in node["inputs"])} for node in nodes]
        nodes = [{"op": "standardize", "inputs": (0,), "arrays": arrays, "numbers": {}, "path": "", "function": None}, *moved]
    tolerance = (1e-5 if dtype == FLOAT32 else 1e-12) * max(1.0, float(np.max(np.abs(outputs))))
    widths = [len(columns) for columns in _sources(nodes, len(row))[0]]
    return {"nodes": nodes, "widths": widths, "dtype": dtype, "row": row, "outputs": outputs, "tolerance": tolerance}


def _first(function: str, x: ArrayLike, dtype: DType) -> Array:
    """Return the row that was given, or the first of several."""
    rows = as_inputs(function, "x", x, dtype)
    require(rows.ndim <= 2, function, "x", "be a row (k,), or rows (n, k)", rows.shape)
    row: Array = np.atleast_2d(rows)[0]
    check_finite(function, "x", row)
    return row


def _drawn(
    function: str, nodes: Sequence[Node], width: int | None, means: tuple[Array, Array] | None, dtype: DType
) -> Array:
    """Return a row from a fixed key, with codes where an embedding takes them."""
    if width is None:
        raise ValueError(problem(function, "x", "be a row of inputs, as the network does not say how many it takes", None))
    draw = generator(0)
    row: Array = np.rint(8 * draw.standard_normal(width)) / 8  # short in decimals, and exact in any dtype
    for column, n in _sources(nodes, width)[1].items():
        row[column] = draw.integers(n)
    if means is not None:
        row = np.where(means[1] < 1e30, row * means[1], 0) + means[0]  # which is so large where only the mean is to be told
    return in_dtype(function, "x", row, dtype)


def _sources(nodes: Sequence[Node], width: int) -> tuple[list[list[int | None]], dict[int, int]]:
    """Return which input each column of each value is, if it is one, and how many codes there are in inputs that are codes.

    Example:
        >>> from nnfunc import concatenate, chain, columns, embedding
        >>> net = concatenate(columns(1, 3), chain(columns(0, 1), embedding(5, 2)))
        >>> _sources(graph("to_c", net, {"1/1/table": np.ones((5, 2))}), 3)
        ([[0, 1, 2], [1, 2], [0], [None, None], [1, 2, None, None]], {0: 5})
    """
    found: list[list[int | None]] = [list(range(width))]
    codes: dict[int, int] = {}
    for node in nodes:
        op, taken = node["op"], found[node["inputs"][0]]
        if op == "columns":
            found.append(taken[int(node["numbers"]["start"]) : int(node["numbers"]["stop"])])
        elif op == "concatenate":
            found.append([column for used in node["inputs"] for column in found[used]])
        elif op == "lookup":
            n, each = node["arrays"]["table"].shape
            codes |= {column: min(n, codes.get(column, n)) for column in taken if column is not None}
            found.append([None] * (len(taken) * each))
        else:
            found.append([None] * (node["arrays"]["W"].shape[1] if op == "affine" else len(taken)))
    return found, codes
