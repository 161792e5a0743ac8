"""A network as one C99 header, for microcontrollers and whatever else has a C compiler."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.exchange.graph import Node
from nnfunc.exchange.predictor import Predictor, predictor
from nnfunc.values.checks import problem
from nnfunc.values.params import joined
from nnfunc.values.types import Array, Layer, Params


def to_c(net: Layer, params: Params, name: str, *, scaler: Params | None = None, x: ArrayLike | None = None) -> str:
    """Return the text of a C99 header that computes `forward` of a network, row by row.

    ``NAME_predict(x, y)`` reads NAME_INPUTS and writes NAME_OUTPUTS numbers, of floats if the params are float32
    and of doubles if they are float64. It needs ``math.h``, allocates nothing, and keeps nothing between calls;
    params are constant tables, and what comes between layers is on the stack, in buffers that are used again. The
    head of the text says how many bytes both take, and how the header tries itself.

    Args:
        net: of the library's own layers and activations.
        params: as for `forward`, with the statistics of a batch norm, which is taken into the dense layer before it.
        name: with which every name in the header begins.
        scaler: of `fit_scaler`; rows are then as they were before `standardize`. They are floats if the params are
            float32: columns that a float cannot tell apart, such as seconds since 1970, want params in float64.
        x: the row that the header tries itself with, or rows, of which the first is; needed where the network begins
            with `columns` and does not say how many it takes. One is drawn otherwise.

    Raises:
        FloatingPointError: params, or the outputs of the row, are not finite.
        TypeError, ValueError: as `forward`; or `name` is no C identifier, a layer is not the library's own, or
            `x` is needed and not there.

    Example:
        >>> from nnfunc import dense, relu
        >>> text = to_c(dense(1, 2, relu), {"W": [[1.0, -1.0]], "b": [0.0, 0.5]}, "net")
        >>> print(text[text.index("static inline void net_predict") : text.index("#ifdef NET_TEST")])
        static inline void net_predict(const double *x, double *y) {
            double h0[2];
            net_affine(x, 1, net_W, net_b, 2, h0);
            net_relu(h0, 2, y);
        }
    """
    if not isinstance(name, str):
        raise TypeError(problem("to_c", "name", "be text", name))
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise ValueError(problem("to_c", "name", "be a C identifier that begins with a letter", repr(name)))
    made = predictor("to_c", net, params, scaler, x)
    nodes, real = made["nodes"], "float" if made["dtype"] == np.float32 else "double"
    names = _names(name, nodes)
    buffers, calls = _calls(made, names)
    tables = {ident: nodes[number - 1]["arrays"][own] for (number, own), ident in names.items()}
    text = _TEXT.replace("<FUNCTIONS>", "\n".join(map(_function, _functions(nodes))))
    if real == "double":
        text = re.sub(r"\b(exp|expm1|log1p|tanh|erfc|sqrt|fabs|\d\.\d+)f\b", r"\1", re.sub(r"\bfloat\b", "double", text))
    parts = {
        "INPUTS": made["widths"][0], "OUTPUTS": made["widths"][-1],
        "BYTES": sum(array.nbytes for array in tables.values()), "STACK": sum(buffers) * made["dtype"].itemsize,
        "TABLES": "\n".join(_table(ident, array) for ident, array in tables.items()),
        "BUFFERS": "".join(f"    {real} h{i}[{width}];\n" for i, width in enumerate(buffers)),
        "CALLS": "".join(f"    {name}_{call};\n" for call in calls),
        "ROW": _numbers(made["row"]), "EXPECTED": _numbers(made["outputs"]),
        "TOLERANCE": _numbers(np.array([made["tolerance"]], made["dtype"])),
    }
    text = text.replace("NAME", name.upper()).replace("@", name)
    return re.sub(r"<([A-Z]+)>", lambda found: str(parts[found[1]]), text)


def _names(name: str, nodes: Sequence[Node]) -> dict[tuple[int, str], str]:
    """Return an identifier for each array of each operation, made of its path."""
    found: dict[tuple[int, str], str] = {}
    for number, node in enumerate(nodes, 1):
        for own in node["arrays"]:
            ident = f"{name}_{re.sub('[^A-Za-z0-9]', '_', joined(node['path'], own))}"
            while ident in found.values():
                ident += "_"
            found[number, own] = ident
    return found


def _functions(nodes: Sequence[Node]) -> dict[str, None]:
    """Return the functions that the operations need."""
    return dict.fromkeys("copy" if node["op"] in ("columns", "concatenate") else node["op"] for node in nodes) or {"copy": None}


def _function(op: str) -> str:
    """Return the text of a function, in floats."""
    if op in _WHOLE:
        return _WHOLE[op]
    arguments, value = _EACH[op]
    head = f"static inline void @_{op}(const float *x, int n, {arguments}float *y) {{"
    return f"{head}\n    for (int i = 0; i < n; i++) y[i] = {value};\n}}\n"


def _calls(made: Predictor, names: Mapping[tuple[int, str], str]) -> tuple[list[int], list[str]]:
    """Return the sizes of buffers, each used again once its value is, and the calls that fill them."""
    nodes, widths = made["nodes"], made["widths"]
    last = {used: number for number, node in enumerate(nodes, 1) for used in node["inputs"]}
    places, buffers, calls = ["x"], list[int](), list[str]()
    for number, node in enumerate(nodes, 1):
        op, inputs, width = node["op"], node["inputs"], widths[number]
        in_place = op not in ("affine", "lookup", "columns", "concatenate", "standardize")
        busy = {places[used] for used in range(1, number) if last[used] >= number + in_place}
        free = [i for i in range(len(buffers)) if f"h{i}" not in busy]
        growth = {each: (max(width - buffers[each], 0), f"h{each}" != places[inputs[0]]) for each in free}
        i = min(free, key=growth.__getitem__, default=len(buffers))
        if number < len(nodes):
            buffers[i : i + 1] = [max(width, *buffers[i : i + 1])] if i < len(buffers) else [width]
        places.append(f"h{i}" if number < len(nodes) else "y")
        x, n, y = places[inputs[0]], widths[inputs[0]], places[number]
        own = {each: names[number, each] for each in node["arrays"]}
        if op == "affine":
            calls.append(f"affine({x}, {n}, {own['W']}, {own.get('b', '0')}, {width}, {y})")
        elif op == "lookup":
            codes, each = node["arrays"]["table"].shape
            calls.append(f"lookup({x}, {n}, {own['table']}, {codes}, {each}, {y})")
        elif op == "columns":
            calls.append(f"copy({x} + {int(node['numbers']['start'])}, {width}, {y})")
        elif op == "concatenate":
            starts = accumulate([0, *(widths[used] for used in inputs)])
            calls += [f"copy({places[used]}, {widths[used]}, {y} + {at})" for used, at in zip(inputs, starts, strict=False)]
        else:
            others = [places[used] for used in inputs[1:]]
            order = "gamma", "beta", "input_mean", "input_scale", "mean", "scale", "shift"
            known = [own[each] for each in order if each in own]
            numbers = [_numbers(np.array([value], made["dtype"])) for value in node["numbers"].values()]
            calls.append(f"{op}({', '.join([x, str(n), *others, *known, *numbers, y])})")
    return buffers, calls or [f"copy(x, {widths[0]}, y)"]


def _table(ident: str, array: Array) -> str:
    """Return an array as a constant table."""
    kind = "float" if array.dtype == np.float32 else "double"
    size = " x ".join(map(str, array.shape))
    return f"static const {kind} {ident}[{array.size}] = {{ /* {size} */\n    {_numbers(array)}\n}};"


def _numbers(array: Array) -> str:
    """Return numbers as C writes them, with digits enough to read back as they were, in lines that are not too long."""
    digits, suffix = (9, "f") if array.dtype == np.float32 else (17, "")
    texts = [f"{number:.{digits}g}" for number in array.ravel().tolist()]
    whole = [f"{text}{'' if '.' in text or 'e' in text else '.0'}{suffix}" for text in texts]
    return ",\n    ".join(", ".join(whole[start : start + 8]) for start in range(0, len(whole), 8))


_TEXT = """\
/* A neural network of <INPUTS> inputs and <OUTPUTS> outputs in C99. nnfunc.exchange.to_c wrote it.

   @_predict(x, y) reads NAME_INPUTS numbers at x and writes NAME_OUTPUTS at y, which do not overlap.
   It has <BYTES> bytes of constant tables, and <STACK> of buffers on the stack. It allocates nothing and keeps nothing
   between calls. The tables are static: include it in one file.

   Try it with a row that it carries:  cc -std=c99 -DNAME_TEST -x c @.h -lm && ./a.out
*/
#ifndef NAME_H
#define NAME_H

#include <math.h>

#define NAME_INPUTS <INPUTS>
#define NAME_OUTPUTS <OUTPUTS>

<TABLES>

<FUNCTIONS>
static inline void @_predict(const float *x, float *y) {
<BUFFERS><CALLS>}

#ifdef NAME_TEST
#include <stdio.h>

int main(void) {
    static const float row[] = {
    <ROW>
    };
    static const float expected[] = {
    <EXPECTED>
    };
    float y[NAME_OUTPUTS];
    int wrong = 0;
    @_predict(row, y);
    for (int i = 0; i < NAME_OUTPUTS; i++) {
        wrong += !(fabsf(y[i] - expected[i]) <= <TOLERANCE>);
    }
    printf("%d of %d outputs agree with nnfunc\\n", NAME_OUTPUTS - wrong, NAME_OUTPUTS);
    return wrong > 0;
}
#endif

#endif
"""

# What is done number by number, y[i] = ..., with the arguments beside x, n and y; y may be x.
_EACH: Mapping[str, tuple[str, str]] = {
    "standardize": ("const double *mean, const double *scale, ", "(float)(((double)x[i] - mean[i]) / scale[i])"),
    "scale_shift": ("const float *mean, const float *scale, const float *shift, ", "(x[i] - mean[i]) * scale[i] + shift[i]"),
    "copy": ("", "x[i]"),
    "add": ("const float *other, ", "x[i] + other[i]"),
    "relu": ("", "x[i] < 0.0f ? 0.0f : x[i]"),
    "leaky_relu": ("float negative_slope, ", "x[i] < 0.0f ? negative_slope * x[i] : x[i]"),
    "elu": ("float alpha, ", "x[i] < 0.0f ? alpha * expm1f(x[i]) : x[i]"),
    "sigmoid": ("", "expf(x[i] < 0.0f ? x[i] : 0.0f) / (1.0f + expf(-fabsf(x[i])))"),
    "tanh": ("", "tanhf(x[i])"),
    "softplus": ("", "(x[i] < 0.0f ? 0.0f : x[i]) + log1pf(expf(-fabsf(x[i])))"),
    "silu": ("", "x[i] * expf(x[i] < 0.0f ? x[i] : 0.0f) / (1.0f + expf(-fabsf(x[i])))"),
    "gelu": ("", "x[i] * 0.5f * erfcf(-x[i] * 0.70710678118654752f)"),
}

_WHOLE: Mapping[str, str] = {
    "affine": """\
static inline void @_affine(const float *x, int n, const float *W, const float *b, int k, float *y) {
    for (int j = 0; j < k; j++) y[j] = b ? b[j] : 0.0f;
    for (int i = 0; i < n; i++, W += k) {
        for (int j = 0; j < k; j++) y[j] += x[i] * W[j];
    }
}
""",
    "layer_norm": """\
static inline void @_layer_norm(const float *x, int n, const float *gamma, const float *beta, float eps, float *y) {
    float mean = 0.0f, rest = 0.0f, var = 0.0f;
    for (int i = 0; i < n; i++) mean += x[i];
    mean /= (float)n;
    for (int i = 0; i < n; i++) rest += y[i] = x[i] - mean;
    rest /= (float)n; /* what rounding left of a large mean */
    for (int i = 0; i < n; i++) {
        y[i] -= rest;
        var += y[i] * y[i];
    }
    const float scale = 1.0f / sqrtf(var / (float)n + eps);
    for (int i = 0; i < n; i++) y[i] = y[i] * scale * gamma[i] + beta[i];
}
""",
    "lookup": """\
/* What is no code from 0 to codes - 1 takes the last row: reading beyond the table would be worse. */
static inline void @_lookup(const float *x, int n, const float *table, long codes, int width, float *y) {
    for (int i = 0; i < n; i++, y += width) {
        const float *row = table + (x[i] >= 0.0f && x[i] < (float)codes ? (long)x[i] : codes - 1) * width;
        for (int j = 0; j < width; j++) y[j] = row[j];
    }
}
""",
    "softmax": """\
static inline void @_softmax(const float *x, int n, float *y) {
    float top = x[0], total = 0.0f;
    for (int i = 1; i < n; i++) top = x[i] > top ? x[i] : top;
    for (int i = 0; i < n; i++) total += y[i] = expf(x[i] - top);
    for (int i = 0; i < n; i++) y[i] /= total;
}
""",
    "log_softmax": """\
static inline void @_log_softmax(const float *x, int n, float *y) {
    int at = 0;
    float others = 0.0f;
    for (int i = 1; i < n; i++) at = x[i] > x[at] ? i : at;
    const float top = x[at];
    for (int i = 0; i < n; i++) others += i == at ? 0.0f : expf(x[i] - top);
    for (int i = 0; i < n; i++) y[i] = x[i] - top - log1pf(others);
}
""",
}
