"""What the tests share: slopes by differences, comparisons of values, values that have no business there."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from nnfunc import Array, Params


def slopes(f: Callable[[Params], float], params: Params, eps: float = 1e-5) -> dict[str, Array]:
    """Return the central difference of `f` in every element of float64 params."""
    result: dict[str, Array] = {}
    for name, array in params.items():
        slope = np.empty_like(array)
        for index in np.ndindex(array.shape):
            ends = []
            for sign in (1, -1):
                moved = array.copy()
                moved[index] += sign * eps
                ends.append(f({**params, name: moved}))
            slope[index] = (ends[0] - ends[1]) / (2 * eps)
        result[name] = slope
    return result


def relative_error(a: Mapping[str, Array], b: Mapping[str, Array]) -> float:
    """Return ||a - b|| / (||a|| + ||b||) over all names together."""
    assert list(a) == list(b)
    flat_a = np.concatenate([v.ravel() for v in a.values()])
    flat_b = np.concatenate([v.ravel() for v in b.values()])
    size = float(np.linalg.norm(flat_a) + np.linalg.norm(flat_b))
    return float(np.linalg.norm(flat_a - flat_b)) / size if size else 0.0


def same_bits(a: object, b: object) -> bool:
    """Say whether two results are equal to the last bit, arrays, mappings and tuples included."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return list(a) == list(b) and all(same_bits(a[k], b[k]) for k in a)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(same_bits(x, y) for x, y in zip(a, b, strict=True))
    if callable(a) and callable(b):
        return True
    return bool(a == b)


def assert_close(a: tuple[float, Params], b: tuple[float, Params]) -> None:
    """Fail unless two values with their gradients differ by float64's rounding only."""
    assert a[0] == pytest.approx(b[0], rel=1e-13)
    for name in a[1]:
        assert np.allclose(a[1][name], b[1][name], rtol=1e-12, atol=1e-15)


def with_value(array: Array, index: tuple[int, ...], value: float) -> Array:
    """Return the array with one element changed."""
    changed = array.copy()
    changed[index] = value
    return changed


def bad(value: object) -> Any:
    """Hide a value's type, to pass it where it does not belong."""
    return value
