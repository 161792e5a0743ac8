"""A network at inference as a list of plain operations: what every exporter reads, and the only place that knows layers.

Values are numbered: 0 is the network's input, i + 1 what operation i puts out,
and the last is the network's output. Dropout is no operation, and a batch norm
is y = (x - mean) * scale + shift: that keeps the digits that x * scale + (shift - mean * scale)
loses where x is far from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypedDict

import numpy as np

from nnfunc.network.guard import check_layer
from nnfunc.network.kinds import Facts, children, facts, made_by, own_function, walk
from nnfunc.network.loop import chain_forward, reraise
from nnfunc.network.verbs import forward
from nnfunc.pieces.activations import Rule, elu, is_custom, leaky_relu, rule_name
from nnfunc.pieces.layers import check_fields
from nnfunc.values.arrays import all_finite, check_finite
from nnfunc.values.checks import base_function, listed, require
from nnfunc.values.params import checked_params, joined, section
from nnfunc.values.types import Array, Layer, Params

Node = TypedDict(
    "Node",
    {
        "op": str,  # affine, scale_shift, layer_norm, lookup, columns, add, concatenate, own, or an activation's name
        "inputs": tuple[int, ...],
        "arrays": Mapping[str, Array],
        "numbers": Mapping[str, float],
        "path": str,  # of the layer
        "function": object,  # of a user's own, with what it was fixed with: a forward, an activation's f, the f of `combine`
    },
)
"""One operation."""

_DEFAULTS: dict[object, dict[str, float]] = {leaky_relu: {"negative_slope": 0.01}, elu: {"alpha": 1.0}}
"""The options of activations that have some."""


def graph(function: str, net: Layer, params: Params) -> list[Node]:
    """Return the operations of a network at inference, each after those that it takes values of.

    Raises:
        ValueError: a layer lacks params, statistics of a batch norm among them; or params are no layer's; or layers do not fit.
        FloatingPointError: params are not finite.

    Example:
        >>> from nnfunc import chain, dense, relu, residual
        >>> net = chain(a=dense(1, 2, relu, bias=False), b=residual(dense(2, 2)))
        >>> params = {"a/W": np.ones((1, 2)), "b/W": np.eye(2), "b/b": np.zeros(2)}
        >>> [(node["op"], node["inputs"], list(node["arrays"])) for node in graph("to_onnx", net, params)]
        [('affine', (0,), ['W']), ('relu', (1,), []), ('affine', (2,), ['W', 'b']), ('add', (2, 3), [])]
    """
    check_layer(function, "net", net)
    held, dtype = checked_params(function, params)
    for name, array in held.items():
        check_finite(function, name, array)
    paths = [path for path, layer in walk(net) if facts(layer) is None or not children(layer)]
    strange = [name for name in held if not any(name.startswith(f"{path}/") or not path for path in paths)]
    require(not strange, function, "params", f"belong to a layer of the network ({listed(paths)})", listed(strange))
    nodes: list[Node] = []
    _visit(function, net, held, "", 0, nodes)
    width = columns_in(nodes)
    if width is not None and all(node["op"] != "own" for node in nodes):
        forward(net, held, np.zeros((1, width), dtype))  # refuses layers that do not fit, which others let through
    return nodes


def _visit(function: str, layer: Layer, params: Params, path: str, value: int, nodes: list[Node]) -> int:
    """Append the operations of a layer that takes a value, and return the number of what it puts out."""
    inside = children(layer)
    if made_by(layer) is chain_forward:
        for name, child in inside:
            value = _visit(function, child, params, joined(path, name), value, nodes)
        return value
    known = facts(layer)
    own = section(params, path) if path else params
    if known is None:
        _add(nodes, "own", (value,), own, {}, path, own_function(layer))
        return len(nodes)
    if inside:
        values = tuple(_visit(function, child, params, joined(path, name), value, nodes) for name, child in inside)
        is_sum = known["word"] == "residual"
        _add(nodes, "add" if is_sum else "concatenate", (value, *values) if is_sum else values, {}, {}, path, None)
        return len(nodes)
    missing = [name for name in known["statistics"] if name not in own]
    constraint = f"hold the statistics of layer {path or known['word']} (params = calibrate(net, params, x) puts them there)"
    require(not missing, function, "params", constraint, f"no {' and '.join(missing)}")
    try:
        check_fields(function, known["shapes"], own)
        steps = _STEPS[known["word"]](known, own)
    except (ValueError, FloatingPointError) as error:
        if path:
            reraise(error, path)
        raise
    for op, arrays, numbers in steps:
        _add(nodes, op, (value,), arrays, numbers, path, None)
        value = len(nodes)
    return _activated(known, path, value, nodes)


def _activated(known: Facts, path: str, value: int, nodes: list[Node]) -> int:
    """Append the activation of a layer, if it has one, and return the number of what comes out."""
    rule = known["rule"]
    if rule is None:
        return value
    if is_custom(rule):
        f = rule[0].args[0] if isinstance(rule[0], partial) else rule[0]
        _add(nodes, "own", (value,), {}, {}, path, f)
    else:
        _add(nodes, rule_name(rule), (value,), {}, options_of(rule), path, None)
    return len(nodes)


def options_of(rule: Rule) -> dict[str, float]:
    """Return the options of one of the library's activations, also those that nobody gave.

    Example:
        >>> from nnfunc.pieces.activations import as_rule
        >>> options_of(as_rule("dense", elu)), options_of(as_rule("dense", partial(leaky_relu, negative_slope=0)))
        ({'alpha': 1.0}, {'negative_slope': 0.0})
    """
    given = rule[0].keywords if isinstance(rule[0], partial) and not is_custom(rule) else {}
    return {**_DEFAULTS.get(base_function(rule[0]), {}), **{name: float(number) for name, number in given.items()}}


def _add(
    nodes: list[Node], op: str, inputs: tuple[int, ...], arrays: Mapping[str, Array], numbers: Mapping[str, float], path: str,
    function: object,
) -> None:
    """Append one operation."""
    nodes.append({"op": op, "inputs": inputs, "arrays": arrays, "numbers": numbers, "path": path, "function": function})


def _scale_shift(known: Facts, own: Params) -> list[Step]:
    """Return a batch norm as y = (x - mean) * scale + shift, its scale computed in float64."""
    gamma, var = own["gamma"], own["var"].astype(np.float64)
    require(var.min() >= 0, "batch_norm", "var", "be at least 0", float(var.min()))
    with np.errstate(over="ignore"):
        scale: Array = (gamma / np.sqrt(var + known["numbers"]["eps"])).astype(gamma.dtype)
    check_finite("batch_norm", "gamma / sqrt(var + eps)", scale)
    return [("scale_shift", {"mean": own["mean"], "scale": scale, "shift": own["beta"]}, {})]


Step = tuple[str, Mapping[str, Array], Mapping[str, float]]
"""An operation's name, its arrays and its numbers."""

# By the word of a layer in the table of `nnfunc.network.kinds`; its activation, if it has one, comes behind.
_STEPS: dict[str, Callable[[Facts, Params], list[Step]]] = {
    "dense": lambda known, own: [("affine", own, {})],
    "activation": lambda known, own: [],
    "identity": lambda known, own: [],
    "dropout": lambda known, own: [],
    "columns": lambda known, own: [("columns", {}, known["numbers"])],
    "embedding": lambda known, own: [("lookup", own, {})],
    "layer norm": lambda known, own: [("layer_norm", own, known["numbers"])],
    "batch norm": _scale_shift,
}


def folded(nodes: list[Node]) -> list[Node]:
    """Return the operations with every scale and shift taken into the affine operation it follows, if nothing else does.

    Example:
        >>> from nnfunc import batch_norm, chain, dense
        >>> norm = {f"1/{name}": np.full(1, value) for name, value in (("gamma", 2.0), ("beta", 1.0), ("mean", 3.0), ("var", 1.0))}
        >>> net = chain(dense(1, 1), batch_norm(1, 1e-12))
        >>> only = folded(graph("to_c", net, {"0/W": np.ones((1, 1)), "0/b": np.zeros(1), **norm}))[0]["arrays"]
        >>> only["W"].round(6), only["b"].round(6)
        (array([[2.]]), array([-5.]))
    """
    uses = [used for node in nodes for used in node["inputs"]]
    kept: list[Node] = []
    number = [0]
    for node in nodes:
        inputs = tuple(number[used] for used in node["inputs"])
        alone = inputs[0] and node["op"] == "scale_shift" and uses.count(node["inputs"][0]) == 1
        before = kept[inputs[0] - 1] if alone else None
        arrays = _rescaled(before["arrays"], node["arrays"]) if before and before["op"] == "affine" else {}
        if before and arrays and all_finite(*arrays.values()):
            kept[inputs[0] - 1] = {**before, "arrays": arrays}
            number.append(inputs[0])
        else:
            kept.append({**node, "inputs": inputs})
            number.append(len(kept))
    return kept


def _rescaled(affine: Mapping[str, Array], norm: Mapping[str, Array]) -> dict[str, Array]:
    """Return W and b of an affine operation with a scale and shift behind it, computed in float64.

    Example:
        >>> affine, norm = {"W": np.eye(1), "b": np.ones(1)}, {"mean": np.ones(1), "scale": np.full(1, 3.0), "shift": np.ones(1)}
        >>> _rescaled(affine, norm)
        {'W': array([[3.]]), 'b': array([1.])}
    """
    mean, scale, shift = (norm[name].astype(np.float64) for name in ("mean", "scale", "shift"))
    with np.errstate(all="ignore"):
        arrays = {"W": affine["W"] * scale, "b": (affine.get("b", 0) - mean) * scale + shift}
        return {name: array.astype(affine["W"].dtype) for name, array in arrays.items()}


def columns_in(nodes: Sequence[Node]) -> int | None:
    """Return how many columns the input has, if the first operations tell.

    Example:
        >>> from nnfunc import chain, columns, dense, embedding
        >>> nets = chain(embedding(5, 2), dense(6, 1)), chain(columns(0, 2), dense(2, 1))
        >>> arrays = {"0/table": np.ones((5, 2)), "1/W": np.ones((6, 1)), "1/b": np.ones(1)}, {"1/W": np.ones((2, 1)), "1/b": np.ones(1)}
        >>> [columns_in(graph("to_c", net, params)) for net, params in zip(nets, arrays)]
        [3, None]
    """
    known: dict[int, int | None] = {}
    for number in range(len(nodes), 0, -1):
        op, arrays, width = nodes[number - 1]["op"], nodes[number - 1]["arrays"], known.get(number)
        if op in ("columns", "concatenate", "own"):
            continue
        if op == "lookup":
            width = None if width is None else width // arrays["table"].shape[1]
        elif arrays:
            width = len(arrays.get("W", next(iter(arrays.values()))))
        known |= {used: width for used in nodes[number - 1]["inputs"] if known.get(used) is None}
    return known.get(0)
