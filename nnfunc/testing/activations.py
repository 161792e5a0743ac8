"""Check an activation against the laws: ``(f, df)``, or one of the library's own."""

from __future__ import annotations

from functools import partial

import numpy as np

from nnfunc.pieces.activations import as_pair, log_softmax, softmax
from nnfunc.pieces.layers import activation
from nnfunc.testing.gradients import Subject, gradient_law
from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged, not_applicable
from nnfunc.testing.layers import check_layer
from nnfunc.testing.purity import purity_laws
from nnfunc.testing.samples import check_close, dtype_law, layout_law, precision_law, reordered, stable_law
from nnfunc.values.arrays import locked
from nnfunc.values.checks import as_flag, base_function, problem
from nnfunc.values.types import Activation, Array, DType, ElementwiseFn

# Values on and around the usual corners (0, +-1), and in the tails.
_POINTS = (-20.0, -6.0, -3.0, -2.2, -1.5, -1.0, -0.6, -0.1, 0.0, 0.1, 0.6, 1.0, 1.5, 2.7, 3.0, 6.0, 20.0)
# Where slopes are measured as well, as a formula may be right near 0 and in the tails only.
_BETWEEN = tuple(tuple(n / 2 + 0.3 for n in part) for part in (range(-40, 0), range(40)))


def check_activation(
    f: Activation, df: ElementwiseFn | None = None, *, surrogate: bool = False, report: bool = False
) -> list[LawResult]:
    """Check that an activation keeps the laws: ``check_activation(f, df)``, or ``check_activation(relu)``.

    Laws:
        form; purity of f and df; elementwise; df against slopes by differences
        half a unit apart from -20 to 20, and denser around 0 (a corner, as
        relu's at 0, has none and is left out); float32 gives
        float32 and float64 gives float64, with the same results and no
        float32 on the way; finite at large inputs; the same whatever the memory layout. The library's own
        `softmax` and `log_softmax` are checked as layers.

    Args:
        f: the function, or a pair ``(f, df)``, or one of the library's activations.
        df: its elementwise derivative.
        surrogate: True declares that df is another slope than that of f on purpose.
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
        AssertionError: check_activation: the gradient of z[0] must be -0.8415,
        the slope of sum(y) that differences measure, got 0.8415
          usual cause: the sign is the opposite
          smallest input found: z = [1.0]
          if it is meant, declare it: surrogate=True
          law: gradient
    """
    if df is None and base_function(f) in (softmax, log_softmax):
        return check_layer(activation(f), np.array(_POINTS[:15]).reshape(5, 3), report=report)
    if df is not None:
        if isinstance(f, tuple):
            raise TypeError(problem("check_activation", "f", "be a function where df is given too", f))
        f = f, df
    f, slope = as_pair("check_activation", f)
    both = partial(_values, f, slope)
    z = locked(np.array(_POINTS))
    grid = z[:15].reshape(5, 3)
    cause = "a float64 array or NumPy scalar in the arithmetic; make it a Python float"
    subject: Subject = {
        "forward": lambda case: f(case["z"]), "back": lambda case, r: {"z": r * slope(locked(case["z"]))},
        "rows": ("z",), "moved": ("z",),
    }

    def compute(dtype: DType) -> dict[str, Array]:
        return both(np.array(_POINTS, np.float32).astype(dtype))

    laws: list[Law] = [
        ("form", partial(_form, f, slope)), *purity_laws(f, (np.array(_POINTS),), ("z",), "f"),
        *purity_laws(slope, (np.array(_POINTS),), ("z",), "df"),
        ("elementwise", partial(_elementwise, f, slope)),
        ("gradient", partial(not_applicable, "declared") if as_flag("check_activation", "surrogate", surrogate)
         else partial(gradient_law, subject, *({"z": locked(np.array(each))} for each in (_POINTS, *_BETWEEN)),
                 declare={"z": "surrogate=True"})),
        ("dtype", partial(dtype_law, compute, "{name}", "keep the dtype {dtype} of z", cause)),
        ("stable", partial(stable_law, lambda x: {"f": f(locked(x)), "df": slope(locked(x))}, z)),
        ("precision", partial(precision_law, lambda given: both(given["z"]), {"z": z})),
        ("memory layout", lambda: layout_law(both(grid), both(reordered(grid)), "z")),
    ]
    return judged("check_activation", laws, report)


def _values(f: ElementwiseFn, df: ElementwiseFn, z: Array) -> dict[str, Array]:
    """Return by name what both functions give."""
    return {"f(z)": f(locked(z)), "df(z)": df(locked(z))}


def _form(f: ElementwiseFn, df: ElementwiseFn) -> Verdict:
    """Check that both functions give finite arrays of the shape of z."""
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
    """Check that a value by itself gives what it gives among others."""
    z = np.array(_POINTS)
    for name, function in (("f", f), ("df", df)):
        whole = function(locked(z))
        alone = np.array([function(locked(z[i : i + 1]))[0] for i in range(len(z))])
        cause = "a sum, mean or maximum over the array"
        check_close(f"{name} of a value by itself", "be what it is among others", alone, whole, cause)
    return "pass", f"{len(z)} values"
