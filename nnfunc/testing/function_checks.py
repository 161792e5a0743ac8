"""Checking functions of arrays: activations and metrics."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.activations import log_softmax, softmax
from nnfunc.checks import (
    FLOAT32,
    FLOAT64,
    as_inputs,
    as_targets,
    check_callable,
    locked,
    problem,
)
from nnfunc.keys import generator
from nnfunc.layers import activation
from nnfunc.rules import as_pair, base_function
from nnfunc.testing.gradients import Subject, gradient_law
from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged
from nnfunc.testing.layers import check_layer
from nnfunc.testing.purity import purity_laws
from nnfunc.testing.samples import check_same_in_float32, close, first_difference, reordered, stable_law
from nnfunc.types import Activation, AnyArray, Array, ElementwiseFn, Metric

# Values on and around the usual corners (0, +-1), and in the tails.
_POINTS = (-20.0, -6.0, -3.0, -2.2, -1.5, -1.0, -0.6, -0.1, 0.0, 0.1, 0.6, 1.0, 1.5, 2.7, 3.0, 6.0, 20.0)


def check_activation(f: Activation, df: ElementwiseFn | None = None, *, report: bool = False) -> list[LawResult]:
    """Check that an activation keeps the laws: ``check_activation(f, df)``, or of the library's own ``check_activation(relu)``.

    Laws:
        form; purity of f and df; elementwise; df against slopes by differences
        (a corner, as relu's at 0, has none and is left out); dtypes closed;
        finite at large inputs; the same whatever the memory layout. Of the
        library's own, `softmax` and `log_softmax` are checked as layers.

    Args:
        f: the function, or a pair ``(f, df)``, or one of the library's activations.
        df: its elementwise derivative.
        report: print a table of all laws, and raise nothing.

    Returns, Raises:
        As `check_layer`.

    Example:
        >>> results = check_activation(np.sin, np.cos)
        >>> {result["status"] for result in results}
        {'pass'}
        >>> check_activation(np.cos, np.sin)
        Traceback (most recent call last):
        ...
        AssertionError: check_activation: the gradient of z[0] must be -0.8415, the slope of sum(y) that differences measure, got 0.8415
          usual cause: the sign is the opposite
          smallest input found: z = [1.0]
          law: gradient
    """
    if df is None and base_function(f) in (softmax, log_softmax):
        return check_layer(activation(f), np.array(_POINTS[:15]).reshape(5, 3), report=report)
    given: Activation = f if df is None else (_function("f", f), df)
    f, slope = as_pair("check_activation", given)
    z = locked(np.array(_POINTS))
    subject: Subject = {
        "forward": lambda case: f(case["z"]),
        "back": lambda case, r: {"z": r * slope(locked(case["z"]))},
        "rows": ("z",),
        "moved": ("z",),
    }
    laws: list[Law] = [("form", partial(_activation_form, f, slope))]
    for name, function in (("f", f), ("df", slope)):
        laws += [(f"{law}, {name}", tried) for law, tried in purity_laws(function, (np.array(_POINTS),), ("z",))]
    laws += [
        ("gradient", partial(gradient_law, subject, {"z": z})),
        ("elementwise", partial(_elementwise, f, slope)),
        ("dtype", partial(_activation_dtype, f, slope)),
        ("stable", partial(stable_law, lambda x: {"f": f(locked(x)), "df": slope(locked(x))}, z)),
        ("memory layout", partial(_activation_layout, f, slope)),
    ]
    return judged("check_activation", laws, report)


def _function(name: str, f: Activation) -> ElementwiseFn:
    if isinstance(f, tuple):
        raise TypeError(problem("check_activation", name, "be a function where df is given too", f))
    return f


def _activation_form(f: ElementwiseFn, df: ElementwiseFn) -> Verdict:
    for name, function in (("f", f), ("df", df)):
        for shape in ((17,), (5, 3), (1, 1), (5, 3, 1)):
            z = np.resize(np.array(_POINTS), shape)
            y = function(z)
            if not isinstance(y, np.ndarray) or y.shape != z.shape:
                breach(f"{name}(z)", f"be an array of the shape {z.shape} of z", y)
            if not np.isfinite(y).all():
                at = int(np.flatnonzero(~np.isfinite(y))[0])
                breach(f"{name}(z)", "be finite", f"{y.flat[at]} at z = {z.flat[at]}")
    return "pass", "shapes of 1 to 3 axes"


def _elementwise(f: ElementwiseFn, df: ElementwiseFn) -> Verdict:
    z = np.array(_POINTS)
    for name, function in (("f", f), ("df", df)):
        whole = function(locked(z))
        alone = np.array([function(locked(z[i : i + 1]))[0] for i in range(len(z))])
        if not close(alone, whole):
            got = first_difference(alone, whole)
            breach(
                f"{name} of a value by itself",
                "be what it is among others",
                got,
                "a sum, mean or maximum over the array",
            )
    return "pass", f"{len(z)} values"


def _activation_dtype(f: ElementwiseFn, df: ElementwiseFn) -> Verdict:
    found: list[dict[str, Array]] = []
    for dtype in (FLOAT32, FLOAT64):
        z = locked(np.array(_POINTS, np.float32).astype(dtype))
        found.append({"f(z)": f(z), "df(z)": df(z)})
        for name, array in found[-1].items():
            if array.dtype != dtype:
                cause = "a float64 array or NumPy scalar in the arithmetic; make it a Python float"
                breach(name, f"keep the dtype {dtype} of z", str(array.dtype), cause)
    check_same_in_float32(*found)
    return "pass", "float32, float64"


def _activation_layout(f: ElementwiseFn, df: ElementwiseFn) -> Verdict:
    z = locked(np.array(_POINTS[:15]).reshape(5, 3))
    for name, function in (("f", f), ("df", df)):
        if not close(function(reordered(z)), function(z)):
            got = first_difference(function(reordered(z)), function(z))
            breach(
                f"{name}(z)",
                "not depend on the memory layout of z",
                got,
                "ravel, reshape or a flat index in another order",
            )
    return "pass", "columns first, strides of two"


def check_metric(metric: Metric, outputs: ArrayLike, targets: ArrayLike, *, report: bool = False) -> list[LawResult]:
    """Check that a metric ``(outputs, targets) -> float`` keeps the laws.

    Laws:
        form; purity; the order of the rows is nothing; float32 and float64
        agree; the same whatever the memory layout.

    Args:
        metric: the function.
        outputs: (n, ...) that it is meant for, no two of them nearly equal where it ranks.
        targets: (n, ...).
        report: print a table of all laws, and raise nothing.

    Returns, Raises:
        As `check_layer`.

    Example:
        >>> from nnfunc import accuracy
        >>> results = check_metric(accuracy, [[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], [1, 1, 0])
        >>> {result["status"] for result in results}
        {'pass'}
    """
    check_callable("check_metric", "metric", metric, "(outputs, targets) -> float")
    given, y = (
        as_inputs("check_metric", "outputs", outputs, FLOAT64),
        as_targets("check_metric", "targets", targets, FLOAT64),
    )

    def number() -> Verdict:
        value = metric(np.array(given), np.array(y))
        if isinstance(value, np.ndarray) or not isinstance(value, (float, int, np.floating)):
            breach("metric", "return one number", repr(value))
        return ("pass", f"{float(value):g}") if np.isfinite(value) else breach("metric", "be finite", float(value))

    def same(name: str, change: Callable[[AnyArray], AnyArray], tolerance: float, cause: str) -> Law:
        def law() -> Verdict:
            value, other = float(metric(given, y)), float(metric(change(given), change(y)))
            if not np.isclose(value, other, rtol=tolerance, atol=tolerance):
                breach("metric", f"be the same {name}", f"{other:g} for {value:g}", cause)
            return "pass", ""

        return name, law

    def single(array: AnyArray) -> AnyArray:
        return locked(array.astype(np.float32)) if array.dtype.kind == "f" else array

    def mixed(array: AnyArray) -> AnyArray:
        return locked(array[generator((7, len(array))).permutation(len(array))])

    laws: list[Law] = [
        ("form", number),
        *purity_laws(metric, (given, y), ("outputs", "targets")),
        same(
            "with the rows in another order", mixed, 1e-9, "it goes by the order of the rows, or matches them wrongly"
        ),
        same("in float32", single, 1e-4, ""),
        same("in another memory layout", reordered, 1e-9, "ravel, reshape or a flat index in another order"),
    ]
    return judged("check_metric", laws, report)
