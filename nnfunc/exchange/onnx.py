"""To ONNX: a network as a model that onnxruntime, browsers and phones run.

Each operation of `nnfunc.exchange.graph` is a formula of ONNX's operators. A few are written out where
an operator would not do: in float64 onnxruntime has no Elu, Erf and Softplus, ONNX keeps its operators'
numbers (a slope, an epsilon) in float32, and onnxruntime's LayerNormalization loses digits far from 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from nnfunc.exchange.foreign import needed
from nnfunc.exchange.graph import Node, columns_in, folded, graph
from nnfunc.pieces.data import mean_and_scale
from nnfunc.pieces.normal import LONG
from nnfunc.values.arrays import locked
from nnfunc.values.checks import FLOAT32, FLOAT64, as_dtype, label, listed, looked_up, problem, require
from nnfunc.values.params import checked_params, joined
from nnfunc.values.types import AnyArray, Array, DType, Layer, Params
from nnfunc.version import __version__

if TYPE_CHECKING:
    import onnx

# Opset 17 came with ONNX 1.12, whose files have this version; readers older than a file's versions refuse it.
_OPSET, _IR_VERSION = 17, 8
_FLOAT, _INT64, _DOUBLE = 1, 7, 11  # ONNX's names for dtypes

NodeMaker: TypeAlias = Callable[..., "tuple[Iterable[onnx.NodeProto], Mapping[str, AnyArray]]"]
"""``maker(*fixed, params, x, y) -> (nodes, arrays)``, as a layer's forward takes ``(*fixed, params, x, key)``."""

Formula: TypeAlias = "int | float | str | tuple[Any, ...]"
"""An input by its number, a constant, an array of the layer by its name, a vector of constants, or an operator of formulas."""


def to_onnx(
    net: Layer, params: Params, *, scaler: Params | None = None, layers: Mapping[object, NodeMaker] | None = None,
    input_dtype: DTypeLike | None = None, input_name: str = "x", output_name: str = "y",
) -> onnx.ModelProto:
    """Return a network at inference as an ONNX model of opset 17, which has passed ONNX's checker in full.

    ``onnx.save(model, "net.onnx")`` writes a file, ``model.SerializeToString()`` its bytes. Rows of any number n
    go in and come out. Names are those of params: ``hidden/W``, and ``hidden/relu`` for what a layer puts out.
    Dropout is gone, and a batch norm is in the weights of the dense layer before it, where there is one.
    What `forward` checks, codes of an embedding and numbers that are not finite, a model does not.

    Args:
        net: of the library's layers, or with functions for others in `layers`.
        params: of all layers, statistics of batch norms too; their dtype is that of the model.
        scaler: as `fit_scaler` makes it, if the model is to take rows as they were before `standardize`. As there,
            the arithmetic is in float64, and rounded last.
        layers: for a layer of your own, by its forward function, a function that makes its nodes:
            ``maker(*fixed, params, x, y) -> (nodes, arrays)``. `fixed` is what a `functools.partial` fixed in the forward,
            `params` are the layer's arrays, x and y the names of its input and output. Other names begin with y, and so
            do those of `arrays`, the nodes' constants. The same for f of a pair (f, df), and f of `combine`.
        input_dtype: of the rows, if it is not that of the params: float64 where float32 cannot tell them apart, as
            with times in seconds before a scaler.
        input_name, output_name: the names of input and output.

    Raises:
        ImportError: onnx is not installed.
        ValueError: a layer of your own is not in `layers`, or params or scaler do not fit, or ONNX's checker refuses the nodes.
        TypeError: an argument is of another kind.

    Example:
        >>> from nnfunc import chain, dense, init, relu
        >>> net = chain(hidden=dense(4, 3, relu), out=dense(3, 2))
        >>> model = to_onnx(net, init(net, key=0))
        >>> [(node.op_type, node.output[0]) for node in model.graph.node]
        [('Gemm', 'hidden/affine'), ('Relu', 'hidden/relu'), ('Gemm', 'y')]
        >>> [array.name for array in model.graph.initializer]
        ['hidden/W', 'hidden/b', 'out/W', 'out/b']

        A layer of one's own, x * factor * s:

        >>> from functools import partial
        >>> from onnx import helper
        >>> def gain_forward(factor, params, x, key):  # its way back is left out here
        ...     return x * factor * params["s"], None
        >>> def gain_nodes(factor, params, x, y):
        ...     return [helper.make_node("Mul", [x, f"{y}/scale"], [y])], {f"{y}/scale": factor * params["s"]}
        >>> gain = (lambda key, dtype: {"s": np.ones(4, dtype)}), partial(gain_forward, 2)
        >>> model = to_onnx(gain, {"s": np.ones(4)}, layers={gain_forward: gain_nodes})
        >>> [node.op_type for node in model.graph.node]
        ['Mul']
    """
    nodes, (_, dtype) = folded(graph("to_onnx", net, params)), checked_params("to_onnx", params)
    rows = dtype if input_dtype is None else as_dtype("to_onnx", input_dtype, "input_dtype")
    dtype = dtype if params else rows
    makers = {} if layers is None else layers
    require(isinstance(makers, Mapping), "to_onnx", "layers", "be a mapping of functions", kind=TypeError, value=layers)
    for name, argument in ((input_name, "input_name"), (output_name, "output_name")):
        require(isinstance(name, str) and name, "to_onnx", argument, "be a name", kind=TypeError, value=name)
    nodes = _from_rows(nodes, rows, dtype, scaler)
    made: list[onnx.NodeProto] = []
    arrays: dict[str, AnyArray] = {}
    values, taken = [input_name], {input_name, output_name}
    for i, node in enumerate(nodes):
        name = output_name if i == len(nodes) - 1 else _free(joined(node["path"], node["op"]), taken)
        inputs = [values[number] for number in node["inputs"]]
        own = _nodes_of_own(makers, node, inputs[0], name) if node["op"] == "own" else _nodes(node, dtype, inputs, name)
        made += own[0]
        clash = [each for each in own[1] if each in taken or each in arrays] + [input_name] * (input_name == output_name)
        require(not clash, "to_onnx", "names", "differ, of input and output and of the arrays of all layers", listed(clash))
        arrays |= own[1]
        taken.add(name)
        values.append(name)
    return _checked_model(made, arrays, (input_name, rows, columns_in(nodes)), (output_name, dtype))


def _from_rows(nodes: list[Node], rows: DType, dtype: DType, scaler: Params | None) -> list[Node]:
    """Return operations with the one before them that makes of rows as they are given what the network takes."""
    arrays: dict[str, Array] = {}
    if scaler is not None:
        arrays["mean"], arrays["scale"] = mean_and_scale("to_onnx", scaler)
        width, known = arrays["mean"].size, columns_in(nodes)
        require(known in (None, width), "to_onnx", "scaler", f"have the {known} columns that net takes", width)
    elif nodes and rows == dtype:
        return nodes
    op = "scaler" if arrays else "rows"
    path = _free(op, {node["path"].partition("/")[0] for node in nodes})
    first: Node = {"op": op, "inputs": (0,), "arrays": arrays, "numbers": {}, "path": path, "function": None}
    rest: list[Node] = [{**node, "inputs": tuple(number + 1 for number in node["inputs"])} for node in nodes]
    return [first, *rest]


def _op(kind: str, *inputs: Formula, **attributes: object) -> Formula:
    """Return the formula of an operator with its attributes."""
    return kind, inputs, tuple(attributes.items())


def _cast(formula: Formula, dtype: DType) -> Formula:
    """Return a formula in another dtype."""
    return _op("Cast", formula, to=_DOUBLE if dtype == FLOAT64 else _FLOAT)


def _less_mean(x: Formula) -> Formula:
    """Return x minus the means of its rows."""
    return _op("Sub", x, _op("ReduceMean", x, axes=(-1,), keepdims=1))


def _layer_norm(node: Node, dtype: DType) -> Formula:
    """Write (x - mean) / sqrt(var + eps) * gamma + beta."""
    away = _less_mean(_less_mean(0))  # a large mean is rounded: what is left of it goes in a second subtraction
    spread = _op("Sqrt", _op("Add", _op("ReduceMean", _op("Mul", away, away), axes=(-1,), keepdims=1), node["numbers"]["eps"]))
    return _op("Add", _op("Mul", _op("Div", away, spread), "gamma"), "beta")


def _softplus(node: Node, dtype: DType) -> Formula:
    """Write max(x, 0) + log1p(u) with u = exp(-|x|), and log1p(u) as log(w) + (u - (w - 1)) / w with w = 1 + u as rounded."""
    u = _op("Exp", _op("Neg", _op("Abs", 0)))
    w = _op("Add", u, 1.0)
    return _op("Add", _op("Relu", 0), _op("Add", _op("Log", w), _op("Div", _op("Sub", u, _op("Sub", w, 1.0)), w)))


def _elu(node: Node, dtype: DType) -> Formula:
    """Write max(x, 0) + alpha expm1(m) with m = min(x, 0), and expm1(m) as tanh(m / 2) (exp(m) + 1)."""
    m = _op("Min", 0, 0.0)
    below = _op("Mul", _op("Tanh", _op("Mul", m, 0.5)), _op("Add", _op("Exp", m), 1.0))
    return _op("Add", _op("Relu", 0), _op("Mul", below, node["numbers"]["alpha"]))


def _gelu(node: Node, dtype: DType) -> Formula:
    """Write x Phi(x): by Erf, and in float64 as max(x, 0) - t Phi(-t) with t = |x| and the polynomials of `normal`."""
    if dtype == FLOAT32:
        return _op("Mul", _op("Mul", 0, 0.5), _op("Add", _op("Erf", _op("Mul", 0, math.sqrt(0.5))), 1.0))
    end, above, below = LONG
    t = _op("Min", _op("Abs", 0), end)
    powers = _op("Pow", _op("Unsqueeze", t, (-1,)), tuple(float(n) for n in reversed(range(len(below) + 1))))
    ratio = _op("Div", _op("MatMul", powers, (0.0, *above)), _op("MatMul", powers, (1.0, *below)))
    tail = _op("Mul", ratio, _op("Exp", _op("Mul", _op("Mul", t, t), -0.5)))
    return _op("Sub", _op("Relu", 0), _op("Mul", t, tail))


# By the name of an operation; input 0 is what it takes.
_FORMULAS: dict[str, Callable[[Node, DType], Formula]] = {
    "affine": lambda node, dtype: _op("Gemm", 0, "W", *(("b",) if "b" in node["arrays"] else ())),
    "scale_shift": lambda node, dtype: _op("Add", _op("Mul", _op("Sub", 0, "mean"), "scale"), "shift"),
    "layer_norm": _layer_norm,
    "lookup": lambda node, dtype: _op("Flatten", _op("Gather", "table", _op("Cast", 0, to=_INT64)), axis=1),
    "columns": lambda node, dtype: _op("Slice", 0, (int(node["numbers"]["start"]),), (int(node["numbers"]["stop"]),), (1,)),
    "add": lambda node, dtype: _op("Add", 0, 1),
    "concatenate": lambda node, dtype: _op("Concat", *range(len(node["inputs"])), axis=1),
    "rows": lambda node, dtype: _cast(0, dtype),
    "scaler": lambda node, dtype: _cast(_op("Div", _op("Sub", _cast(0, FLOAT64), "mean"), "scale"), dtype),
    "relu": lambda node, dtype: _op("Relu", 0),
    "leaky_relu": lambda node, dtype: _op("Max", 0, _op("Mul", 0, node["numbers"]["negative_slope"])),
    "elu": _elu,
    "sigmoid": lambda node, dtype: _op("Sigmoid", 0),
    "tanh": lambda node, dtype: _op("Tanh", 0),
    "softmax": lambda node, dtype: _op("Softmax", 0, axis=-1),
    "log_softmax": lambda node, dtype: _op("LogSoftmax", 0, axis=-1),
    "softplus": _softplus,
    "silu": lambda node, dtype: _op("Mul", 0, _op("Sigmoid", 0)),
    "gelu": _gelu,
}


def _nodes(node: Node, dtype: DType, inputs: list[str], y: str) -> tuple[list[onnx.NodeProto], dict[str, AnyArray]]:
    """Return the nodes of an operation's formula, the last of which puts out y, and their arrays; equal parts are written once."""
    make_node = needed("to_onnx", "onnx.helper").make_node
    made: list[onnx.NodeProto] = []
    arrays: dict[str, AnyArray] = {}
    written: dict[Formula, str] = {}

    def written_out(part: Formula, name: str = "") -> str:
        """Return the name of a part's value, after writing it if it is not there yet."""
        if isinstance(part, int):
            return inputs[part]
        if part in written:
            return written[part]
        if isinstance(part, tuple) and isinstance(part[0], str):
            kind, parts, attributes = part
            taken = [written_out(each) for each in parts]
            name = name or f"{y}/{len(written)}"
            made.append(make_node(kind, taken, [name], name, **dict(attributes)))
        elif isinstance(part, str):
            name = joined(node["path"], part)
            arrays[name] = node["arrays"][part]
        else:
            name = f"{y}/{len(written)}"
            arrays[name] = np.array(part, np.int64 if isinstance(part, tuple) and isinstance(part[0], int) else dtype)
        written[part] = name
        return name

    written_out(_FORMULAS[node["op"]](node, dtype), y)
    return made, arrays


def _free(name: str, taken: Iterable[str]) -> str:
    """Return a name, with a number behind it if it is taken.

    Example:
        >>> _free("a/add", {"a/add", "a/add.2"})
        'a/add.3'
    """
    known, count, free = set(taken), 1, name
    while free in known:
        count += 1
        free = f"{name}.{count}"
    return free


def _nodes_of_own(
    makers: Mapping[object, NodeMaker], node: Node, x: str, y: str
) -> tuple[list[onnx.NodeProto], dict[str, AnyArray]]:
    """Return the nodes that a user's function makes of a layer, and their arrays."""
    function = node["function"]
    called, maker = label(function), looked_up(makers, function)
    where = f"the layer {node['path']}" if node["path"] else "the network"
    constraint = f"hold a function that makes the nodes of {called}, {where} (layers={{{called}: ...}})"
    if not callable(maker):
        raise ValueError(problem("to_onnx", "layers", constraint, f"functions for {listed([label(f) for f in makers])}"))
    if isinstance(function, partial):
        maker = partial(maker, *function.args, **function.keywords)
    result = maker({name: locked(array) for name, array in node["arrays"].items()}, x, y)
    constraint = f"return (nodes, arrays), a sequence and a mapping, from that of {called}"
    sound = isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Sequence) and isinstance(result[1], Mapping)
    require(sound, "to_onnx", "layers", constraint, kind=TypeError, value=result)
    return list(result[0]), dict(result[1])


def _checked_model(
    made: list[onnx.NodeProto], arrays: Mapping[str, AnyArray], given: tuple[str, DType, int | None], out: tuple[str, DType]
) -> onnx.ModelProto:
    """Return the model of nodes and arrays, with the shapes that ONNX finds, if its checker finds no fault."""
    onnx, numpy_helper = needed("to_onnx", "onnx"), needed("to_onnx", "onnx.numpy_helper")
    helper = onnx.helper
    (x, rows, width), (y, dtype) = given, out
    kinds = {FLOAT32: _FLOAT, FLOAT64: _DOUBLE}
    domains = {node.domain: 1 for node in made if node.domain} | {"": _OPSET}
    try:
        model = helper.make_model(
            helper.make_graph(
                made, "nnfunc",
                [helper.make_tensor_value_info(x, kinds[rows], ["n", width or "columns"])],
                [helper.make_tensor_value_info(y, kinds[dtype], ["n", None])],
                [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
            ),
            opset_imports=[helper.make_opsetid(*each) for each in domains.items()],
            ir_version=_IR_VERSION, producer_name="nnfunc", producer_version=__version__,
        )
        model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # of layers that do not fit each other, or nodes of a user's own
        raise ValueError(problem("to_onnx", "net", "be one that ONNX's checker accepts", " ".join(str(error).split()))) from error
    return model
