"""The normal distribution to the last digits, for which gelu alone would be too coarse a test."""

import math

import numpy as np
import pytest

from nnfunc import Array
from nnfunc.pieces.normal import normal


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0), (7,), (8191,), (8192,), (8193,), (3, 8192)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_value_does_not_depend_on_its_neighbours(shape: tuple[int, ...], dtype: type) -> None:
    z: Array = np.asarray(np.random.default_rng(0).uniform(-9, 9, shape), dtype)
    cdf, power = normal(z)
    assert cdf.shape == power.shape == shape
    assert cdf.dtype == power.dtype == dtype
    if z.size:
        assert cdf.ravel()[-1] == normal(z.ravel()[-1:])[0][0]


def test_values_of_the_standard_library() -> None:
    z = np.random.default_rng(0).uniform(-37, 9, 4000)
    cdf, power = normal(z)
    assert np.allclose(cdf, [math.erfc(-v / math.sqrt(2)) / 2 for v in z], rtol=1e-12, atol=0)
    assert np.allclose(power, [math.exp(-v * v / 2) for v in z], rtol=1e-12, atol=0)
