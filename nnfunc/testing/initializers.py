"""Check an initialiser against the laws of ``(key, shape, dtype) -> array``."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged
from nnfunc.testing.purity import purity_laws
from nnfunc.testing.samples import check_finite, key_law
from nnfunc.values.checks import FLOAT32, FLOAT64, check_callable
from nnfunc.values.types import Initializer

_LARGE = 50_000
_SIDE = 64


def check_initializer(
    initializer: Initializer, shape: tuple[int, ...] = (40, 30), *, std: float | None = None, report: bool = False,
) -> list[LawResult]:
    """Check that an initialiser ``(key, shape, dtype) -> array`` keeps the laws.

    Laws:
        form: the shape and dtype asked for, and finite; purity; a new array at
        each call; what is drawn differs from key to key, whatever part of the
        key differs, and if their order does; float32 and float64 start at the
        same point; the standard deviation that is expected. Where the shape is
        large, form and deviation are tried with it and the others with at most
        64 along each axis.

    Args:
        initializer: the function.
        shape: to try it with.
        std: what the standard deviation must be; None if nothing is expected.
        report: print a table of all laws, and raise nothing.

    Returns, Raises:
        As `check_layer`.

    Example:
        >>> from nnfunc import he_normal
        >>> results = check_initializer(he_normal, std=(2 / 40) ** 0.5)
        >>> {result["status"] for result in results}
        {'pass'}
    """
    check_callable("check_initializer", "initializer", initializer, "(key, shape, dtype) -> array")
    small = _tried_shape(initializer, shape)
    laws: list[Law] = [
        ("form", partial(_form, initializer, shape)),
        *purity_laws(initializer, ((0, 1), small, FLOAT32), ("key", "shape", "dtype")),
        ("keys", lambda: key_law(lambda key: {"result": initializer(key, small, FLOAT64)}, "the {name}")),
        ("dtype", partial(_same_point, initializer, small)), ("spread", partial(_spread, initializer, shape, std)),
    ]
    return judged("check_initializer", laws, report)


def _tried_shape(initializer: Initializer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape that takes no long time to draw: the one given or, where that is large, a smaller one."""
    smaller = tuple(min(n, _SIDE) for n in shape)
    if math.prod(shape) <= _LARGE:
        return shape
    try:
        return smaller if initializer(0, smaller, FLOAT32).shape == smaller else shape
    except Exception:
        return shape


def _form(initializer: Initializer, shape: tuple[int, ...]) -> Verdict:
    """Check that the array has the shape and dtype asked for, also with the shape reversed."""
    for dtype in (FLOAT32, FLOAT64):
        for asked in (shape, tuple(reversed(shape))):
            for key in ((0, 7, (0, 1)) if math.prod(shape) <= _LARGE else (0,)):
                array = initializer(key, asked, dtype)
                if not isinstance(array, np.ndarray) or array.shape != asked:
                    cause = "fan-in and fan-out the wrong way round"
                    breach("the result", f"have the shape {asked} asked for", array, cause)
                if array.dtype != dtype:
                    cause = "end with .astype(dtype)"
                    breach("the result", f"have the dtype {dtype} asked for", str(array.dtype), cause)
                check_finite("the result", "be finite", array)
    return "pass", f"{shape}, float32 and float64"


def _same_point(initializer: Initializer, shape: tuple[int, ...]) -> Verdict:
    """Check that float32 numbers are the float64 ones, rounded."""
    single, double = initializer(0, shape, FLOAT32), initializer(0, shape, FLOAT64)
    if not np.allclose(single, double, rtol=1e-5, atol=1e-6 * float(np.max(np.abs(double), initial=0))):
        breach("float32 numbers", "be the float64 ones, rounded", "others", "draw in float64, then astype(dtype)")
    return "pass", "float32 is float64, rounded"


def _spread(initializer: Initializer, shape: tuple[int, ...], std: float | None) -> Verdict:
    """Check the standard deviation, give or take six times its standard error."""
    if std is None:
        return "not applicable", "no standard deviation given"
    keys = max(1, min(20, _LARGE // math.prod(shape)))
    values = np.concatenate([initializer(key, shape, FLOAT64).ravel() for key in range(keys)])
    centred = values - values.mean()
    centred *= centred
    found, far = math.sqrt(float(np.mean(centred))), float(np.vdot(centred, centred)) / values.size
    error = math.sqrt(max(far - found**4, 0.0) / values.size) / (2 * max(found, 1e-300))
    if abs(found - std) > 6 * error + 1e-9 * std:
        cause = "fan-in in place of fan-out, a variance in place of a deviation, or a factor left out"
        breach("the standard deviation", f"be {std:.4g}", f"{found:.4g}", cause)
    return "pass", f"{found:.4g}"
