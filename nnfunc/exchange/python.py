"""A network as one Python file, which predicts with NumPy alone, or with the standard library alone."""

from __future__ import annotations

import textwrap
from base64 import b64encode
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.exchange.graph import Node
from nnfunc.exchange.predictor import predictor
from nnfunc.values.params import joined
from nnfunc.values.types import Array, Layer, Params


def to_python(
    net: Layer, params: Params, *, numpy: bool = True, scaler: Params | None = None, x: ArrayLike | None = None
) -> str:
    """Return the text of a Python file that computes `forward` of a network, and needs no nnfunc.

    Written to ``predict.py``, ``from predict import predict`` gives a function of rows, ``python predict.py
    1.0 2.0`` predicts one, and ``python predict.py`` tries a row that the file carries with its
    outputs, and exits with 1 if they do not agree. Params stand in it as base64 of their bytes, which keeps every
    bit in 5.4 characters a float32.

    Args:
        net: of the library's own layers and activations. Around one of your own, write what is before it and what is
            behind it, and call it between the two.
        params: as for `forward`, with the statistics of a batch norm, which is taken into the dense layer before it.
        numpy: False for lists of floats and the standard library alone, computed in float64.
        scaler: of `fit_scaler`; rows are then as they were before `standardize`.
        x: the row to carry, or rows, of which the first is; needed where the network begins with `columns`
            and does not say how many it takes. One is drawn otherwise, and tells nobody about your data.

    Raises:
        FloatingPointError: params, or the outputs of the row, are not finite.
        TypeError, ValueError: as `forward`; or a layer is not the library's own, or `x` is needed and not there.

    Example:
        >>> from nnfunc import dense, relu
        >>> text = to_python(dense(1, 2, relu), {"W": [[1.0, -1.0]], "b": [0.0, 1.0]}, x=[3.0])
        >>> space: dict[str, object] = {"__name__": "predict"}
        >>> exec(text, space)
        >>> space["predict"]([[2.0], [0.5]])
        array([[2. , 0. ],
               [0.5, 0.5]])
    """
    made = predictor("to_python", net, params, scaler, x)
    nodes, dtype = made["nodes"], made["dtype"].name
    ops = dict.fromkeys(node["op"] for node in nodes)
    head, functions = (_NUMPY_HEAD, _NUMPY) if numpy else (_LISTS_HEAD, _LISTS)
    arrays = {joined(node["path"], name): array for node in nodes for name, array in node["arrays"].items()}
    columns = () if numpy else [joined(node["path"], "W") for node in nodes if node["op"] == "affine"]
    facts = {"n": made["widths"][0], "k": made["widths"][-1], "dtype": "float64" if "standardize" in ops else dtype}
    parts = [
        _HEAD.format(needs="NumPy" if numpy else "the standard library", **facts), head.format(**facts),
        *_lines(nodes), *(_function(op, *functions[op]).replace("DTYPE", dtype) for op in ops), _CHECK, "PARAMS = {",
        *(f"    {_quoted(name)}: {_array(array, numpy, name in columns)}," for name, array in arrays.items()), "}",
        f"ROW = {_numbers(made['row'])}", f"OUTPUTS = {_numbers(made['outputs'])}",
        f"TOLERANCE = {made['tolerance']:.1e}", _MAIN,
    ]
    return "\n".join(parts)


_ORDER = "W", "b", "gamma", "beta", "input_mean", "input_scale", "mean", "scale", "shift", "table"  # in a call


def _lines(nodes: Sequence[Node]) -> list[str]:
    """Return a line for each operation; an activation of what has params stands in the line of that."""
    values, uses = {0: "x"}, [used for node in nodes for used in node["inputs"]]
    for number, node in enumerate(nodes, 1):
        op, given, before = node["op"], [f"h{used}" if used else "x" for used in node["inputs"]], node["inputs"][0]
        own = sorted(node["arrays"], key=_ORDER.index)
        if not own and op not in ("columns", "add", "concatenate") and before == number - 1 and uses.count(before) == 1:
            given = [values.pop(before)] if before and nodes[before - 1]["arrays"] else given
        given += [f"PARAMS[{_quoted(joined(node['path'], name))}]" for name in own]
        values[number] = f"{op}({', '.join([*given, *(f'{name}={value!r}' for name, value in node['numbers'].items())])})"
    *lines, (_, last) = values.items()
    return [*(f"    h{number} = {value}" for number, value in lines if number), f"    return {last}"]


def _function(name: str, arguments: str, *lines: str) -> str:
    """Return the text of a function, whose last line is what it returns."""
    return "\n    ".join((f"\n\ndef {name}({arguments}):", *lines[:-1], f"return {lines[-1]}"))


def _array(array: Array, numpy: bool, columns: bool) -> str:
    """Return an array as a call with its bytes in base64."""
    little = array.astype(array.dtype.newbyteorder("<"))
    text = b64encode(little.T.tobytes() if columns else little.tobytes()).decode()
    lines = "".join(f"\n{text[start : start + 110]}" for start in range(0, len(text), 110))
    shape = array.shape[::-1] if columns else array.shape
    kind = little.dtype.str if numpy else "f" if array.dtype == np.float32 else "d"
    return f'array("{kind}", {shape}, """{lines}\n""")'


def _quoted(name: str) -> str:
    """Return a name as Python writes it, in ASCII, as whoever saves the text may have any encoding."""
    text = ascii(name)
    return text if '"' in text or "\\" in text else f'"{text[1:-1]}"'


def _numbers(array: Array) -> str:
    """Return numbers as a list in lines that are not too long; each reads back as it was."""
    lines = textwrap.wrap(", ".join(map(repr, array.tolist())), 110, break_on_hyphens=False)
    return f"[{lines[0]}]" if len(lines) == 1 else "[\n    " + "\n    ".join(lines) + "\n]"


_HEAD = '''"""Predict with a neural network of {n} inputs and {k} outputs. Needs {needs} alone.

    python predict.py                try the row that is carried along, and exit with 1 if the outputs do not agree
    python predict.py 0.5 -1.0 ...   print the outputs of a row of {n}
    from predict import predict      predict(rows) returns the outputs of each row

nnfunc.exchange.to_python wrote it.
"""
'''

_NUMPY_HEAD = '''import sys
from base64 import b64decode

import numpy as np


def array(dtype, shape, text):
    return np.frombuffer(b64decode(text), dtype).reshape(shape)


def predict(rows):
    """Return the outputs (n, {k}) of rows (n, {n})."""
    x = np.asarray(rows, np.{dtype})
    if x.ndim != 2 or x.shape[1] != {n}:
        raise ValueError(f"rows must have shape (n, {n}), got {{x.shape}}")'''

_LISTS_HEAD = '''import math
import struct
import sys
from base64 import b64decode
from operator import mul


def array(kind, shape, text):
    numbers = struct.unpack(f"<{{math.prod(shape)}}{{kind}}", b64decode(text))
    return numbers if len(shape) == 1 else [numbers[i : i + shape[1]] for i in range(0, len(numbers), shape[1])]


def predict(rows):
    """Return the outputs of rows of {n} numbers, {k} for each."""
    return [predict_row([float(number) for number in row]) for row in rows]


def predict_row(x):
    if len(x) != {n}:
        raise ValueError(f"a row must have {n} numbers, got {{len(x)}}")'''

_CHECK = '''

def agrees():
    """Say whether the row that is carried along gives the outputs that nnfunc gave."""
    return all(abs(y - expected) <= TOLERANCE for y, expected in zip(predict([ROW])[0], OUTPUTS))

'''

_MAIN = '''
if __name__ == "__main__":
    if len(sys.argv) > 1:
        try:
            print(*predict([[float(each) for each in sys.argv[1:]]])[0])
        except ValueError as error:
            sys.exit(str(error))
    elif agrees():
        print("agrees with nnfunc")
    else:
        sys.exit(f"does not agree with nnfunc: got {predict([ROW])[0]}, expected {OUTPUTS}")
'''

# Each operation as its arguments, what is done first, and what is returned; in NumPy, of all rows at once.
_NUMPY: Mapping[str, tuple[str, ...]] = {
    "standardize": ("x, mean, scale", "((x - mean) / scale).astype(np.DTYPE)"),
    "affine": ("x, W, b=0.0", "x @ W + b"),
    "scale_shift": ("x, mean, scale, shift", "(x - mean) * scale + shift"),
    "layer_norm": (
        "x, gamma, beta, eps",
        "x = x - x.mean(axis=1, keepdims=True)",
        "x -= x.mean(axis=1, keepdims=True)  # what rounding left of a large mean",
        "x / np.sqrt((x * x).mean(axis=1, keepdims=True) + eps) * gamma + beta",
    ),
    "lookup": (
        "x, table",
        "if not ((x >= 0) & (x < len(table)) & (x == np.floor(x))).all():",
        '    raise ValueError(f"codes must be whole numbers from 0 to {len(table) - 1}")',
        "table[x.astype(int)].reshape(len(x), x.shape[1] * table.shape[1])",
    ),
    "columns": ("x, start, stop", "x[:, start:stop]"),
    "add": ("x, y", "x + y"),
    "concatenate": ("*parts", "np.concatenate(parts, axis=1)"),
    "relu": ("z", "np.maximum(z, 0)"),
    "leaky_relu": ("z, negative_slope", "np.maximum(z, negative_slope * z)"),
    "elu": ("z, alpha", "np.maximum(z, 0) + alpha * np.expm1(np.minimum(z, 0))"),
    "sigmoid": ("z", "np.exp(np.minimum(z, 0)) / (1 + np.exp(-np.abs(z)))"),
    "tanh": ("z", "np.tanh(z)"),
    "softplus": ("z", "np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))"),
    "silu": ("z", "z * np.exp(np.minimum(z, 0)) / (1 + np.exp(-np.abs(z)))"),
    "gelu": (
        "z",
        "from math import erfc  # which NumPy does not have\n",
        "z * np.vectorize(lambda v: 0.5 * erfc(-v * 0.5**0.5), otypes=[z.dtype])(z)",
    ),
    "softmax": (
        "z", "powers = np.exp(z - z.max(axis=1, keepdims=True))", "powers / powers.sum(axis=1, keepdims=True)",
    ),
    "log_softmax": (
        "z",
        "z = z - z.max(axis=1, keepdims=True)",
        "others = np.exp(z)",
        "others[np.arange(len(z)), z.argmax(axis=1)] = 0",
        "z - np.log1p(others.sum(axis=1, keepdims=True))",
    ),
}

# The same of one row, a list.
_LISTS: Mapping[str, tuple[str, ...]] = {
    "standardize": ("x, mean, scale", "[(v - m) / s for v, m, s in zip(x, mean, scale)]"),
    "affine": (
        "x, columns, b=None",
        "y = [sum(map(mul, x, column)) for column in columns]",
        "y if b is None else [v + c for v, c in zip(y, b)]",
    ),
    "scale_shift": ("x, mean, scale, shift", "[(v - m) * a + b for v, m, a, b in zip(x, mean, scale, shift)]"),
    "layer_norm": (
        "x, gamma, beta, eps",
        "for _ in range(2):  # the second takes what rounding left of a large mean",
        "    mean = sum(x) / len(x)",
        "    x = [v - mean for v in x]",
        "scale = 1.0 / math.sqrt(sum(map(mul, x, x)) / len(x) + eps)",
        "[v * scale * g + b for v, g, b in zip(x, gamma, beta)]",
    ),
    "lookup": (
        "x, table",
        "if not all(0 <= code < len(table) and code == int(code) for code in x):",
        '    raise ValueError(f"codes must be whole numbers from 0 to {len(table) - 1}")',
        "[v for code in x for v in table[int(code)]]",
    ),
    "columns": ("x, start, stop", "x[start:stop]"),
    "add": ("x, y", "[a + b for a, b in zip(x, y)]"),
    "concatenate": ("*parts", "[v for part in parts for v in part]"),
    "relu": ("z", "[max(v, 0.0) for v in z]"),
    "leaky_relu": ("z, negative_slope", "[max(v, negative_slope * v) for v in z]"),
    "elu": ("z, alpha", "[v if v > 0 else alpha * math.expm1(v) for v in z]"),
    "sigmoid": ("z", "[math.exp(min(v, 0.0)) / (1.0 + math.exp(-abs(v))) for v in z]"),
    "tanh": ("z", "[math.tanh(v) for v in z]"),
    "softplus": ("z", "[max(v, 0.0) + math.log1p(math.exp(-abs(v))) for v in z]"),
    "silu": ("z", "[v * math.exp(min(v, 0.0)) / (1.0 + math.exp(-abs(v))) for v in z]"),
    "gelu": ("z", "[v * 0.5 * math.erfc(-v * 0.5**0.5) for v in z]"),
    "softmax": (
        "z", "top = max(z)", "powers = [math.exp(v - top) for v in z]", "total = sum(powers)", "[p / total for p in powers]",
    ),
    "log_softmax": (
        "z",
        "top = z.index(max(z))",
        "others = math.log1p(sum(math.exp(v - z[top]) for i, v in enumerate(z) if i != top))",
        "[v - z[top] - others for v in z]",
    ),
}
