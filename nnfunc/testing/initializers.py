"""Check an initialiser against the laws of ``(key, shape, dtype) -> array``."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged
from nnfunc.testing.purity import bits, purity_laws
from nnfunc.testing.samples import check_finite, looks_drawn
from nnfunc.values.checks import FLOAT32, FLOAT64, check_callable
from nnfunc.values.types import Initializer, Key


def check_initializer(
    initializer: Initializer, shape: tuple[int, ...] = (40, 30), *, std: float | None = None, report: bool = False,
) -> list[LawResult]:
    """Check that an initialiser ``(key, shape, dtype) -> array`` keeps the laws.

    Laws:
        form: the shape and dtype asked for, and finite; purity; a new array at
        each call; what looks drawn differs from key to key, whatever part of
        the key differs; float32 and float64 start at the same point; the
        standard deviation that is expected.

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
    laws: list[Law] = [
        ("form", partial(_form, initializer, shape)),
        *purity_laws(initializer, ((0, 1), shape, FLOAT32), ("key", "shape", "dtype")),
        ("new arrays", partial(_new_arrays, initializer, shape)), ("keys", partial(_keys, initializer, shape)),
        ("dtype", partial(_same_point, initializer, shape)), ("spread", partial(_spread, initializer, shape, std)),
    ]
    return judged("check_initializer", laws, report)


def _form(initializer: Initializer, shape: tuple[int, ...]) -> Verdict:
    """Check that the array has the shape and dtype asked for, also with the shape reversed."""
    for dtype in (FLOAT32, FLOAT64):
        for asked in (shape, tuple(reversed(shape))):
            for key in (0, 7, (0, 1)):
                array = initializer(key, asked, dtype)
                if not isinstance(array, np.ndarray) or array.shape != asked:
                    cause = "fan-in and fan-out the wrong way round"
                    breach("the result", f"have the shape {asked} asked for", array, cause)
                if array.dtype != dtype:
                    cause = "end with .astype(dtype)"
                    breach("the result", f"have the dtype {dtype} asked for", str(array.dtype), cause)
                check_finite("the result", "be finite", array)
    return "pass", f"{shape}, float32 and float64"


def _new_arrays(initializer: Initializer, shape: tuple[int, ...]) -> Verdict:
    """Check that no array is kept and returned again."""
    first, second = initializer(0, shape, FLOAT64), initializer(0, shape, FLOAT64)
    if np.shares_memory(first, second):
        breach("the result", "be a new array at each call", "the same memory twice", "a kept array is returned")
    return "pass", ""


def _keys(initializer: Initializer, shape: tuple[int, ...]) -> Verdict:
    """Check that every part of a key matters to what is drawn."""
    if not looks_drawn(initializer(0, shape, FLOAT64)):
        return "pass", "draws nothing"
    groups: tuple[tuple[Key, ...], ...] = (
        (0, 1, 2), ((0, 0), (0, 1), (0, 2)), ((0, 1, 0), (0, 1, 1)), ((1, 5), (2, 5)),
    )
    for keys in groups:
        found = {bits(initializer(key, shape, FLOAT64)) for key in keys}
        if len(found) < len(keys):
            got = f"the same for two of {', '.join(map(str, keys))}"
            breach("the result", "differ from key to key", got, "the key, or a part of it, is ignored")
    return "pass", "differs from key to key"


def _same_point(initializer: Initializer, shape: tuple[int, ...]) -> Verdict:
    """Check that float32 numbers are the float64 ones, rounded."""
    single, double = initializer(0, shape, FLOAT32), initializer(0, shape, FLOAT64)
    if not np.allclose(single, double, rtol=1e-5, atol=1e-6 * float(np.max(np.abs(double), initial=0))):
        breach("float32 numbers", "be the float64 ones, rounded", "others", "draw in float64, then astype(dtype)")
    return "pass", "float32 is float64, rounded"


def _spread(initializer: Initializer, shape: tuple[int, ...], std: float | None) -> Verdict:
    """Check the standard deviation, give or take six times its standard error."""
    if std is None:
        return "pass", "no standard deviation given"
    values = np.concatenate([initializer(key, shape, FLOAT64).ravel() for key in range(20)])
    found, far = float(np.std(values)), float(np.mean((values - values.mean()) ** 4))
    error = math.sqrt(max(far - found**4, 0.0) / values.size) / (2 * max(found, 1e-300))
    if abs(found - std) > 6 * error + 1e-9 * std:
        cause = "fan-in in place of fan-out, a variance in place of a deviation, or a factor left out"
        breach("the standard deviation", f"be {std:.4g}", f"{found:.4g}", cause)
    return "pass", f"{found:.4g}"
