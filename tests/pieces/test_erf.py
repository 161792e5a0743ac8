"""The error function to the last digits, for which gelu alone would be too coarse a test."""

import math

import numpy as np

from nnfunc.pieces.erf import erf


def test_values_of_the_standard_library() -> None:
    x = np.random.default_rng(0).uniform(-8, 8, 4000)
    assert np.allclose(erf(x), [math.erf(v) for v in x], rtol=0, atol=3e-16)
