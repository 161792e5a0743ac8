"""The normal distribution in gelu, of whatever shape and length, beside the standard library's."""

import math

import numpy as np
import pytest

from nnfunc import Array
from nnfunc.pieces.normal import power, times_normal


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0), (7,), (32767,), (32768,), (32769,), (3, 32768)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_value_does_not_depend_on_its_neighbours(shape: tuple[int, ...], dtype: type) -> None:
    z: Array = np.asarray(np.random.default_rng(0).uniform(-9, 9, shape), dtype)
    kept = z.copy()
    found = times_normal(z)
    assert found.shape == shape
    assert found.dtype == dtype
    assert np.array_equal(z, kept)
    if z.size:
        assert found.ravel()[-1] == times_normal(z.ravel()[-1:])[0]


def test_values_of_the_standard_library() -> None:
    z = np.random.default_rng(0).uniform(-37, 9, 4000)
    assert np.allclose(times_normal(z), [v * math.erfc(-v / math.sqrt(2)) / 2 for v in z], rtol=1e-12, atol=0)
    assert np.allclose(power(z), [math.exp(-v * v / 2) for v in z], rtol=1e-12, atol=0)
