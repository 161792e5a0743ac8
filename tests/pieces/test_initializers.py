"""Initialisers: what they refuse. Their spreads and streams are tried by the checkers and by the article."""

from functools import partial

import numpy as np
import pytest

from nnfunc import DType, constant, glorot_normal, glorot_uniform, he_normal, he_uniform, lecun_normal, normal, zeros
from tests.numeric import bad
from tests.sentences import Cases, assert_sentence

F32: DType = np.dtype(np.float32)
BAD: Cases = {
    "shape of one axis": (
        lambda: glorot_uniform(0, (3,), np.dtype(np.float32)),
        ValueError,
        r"glorot_uniform: shape must be \(n_in, n_out\), got \(3,\)",
    ),
    **{
        f"{f.__name__} {what}": (partial(f, 0, shape, dtype), kind, f"{f.__name__}: {sentence}")
        for f in (glorot_uniform, glorot_normal, he_uniform, he_normal, lecun_normal)
        for what, shape, dtype, kind, sentence in (
            ("shape a number", bad(3), F32, ValueError, r"shape must be \(n_in, n_out\), got 3"),
            ("no inputs", (0, 0), F32, ValueError, r"shape must be \(n_in, n_out\), got \(0, 0\)"),
            ("inputs below 0", (-1, 2), F32, ValueError, r"shape must be at least 0, got -1"),
            ("no shape", bad(None), F32, TypeError, r"shape must be a sequence of integers, got None"),
            ("no whole number", bad((1.5, 2)), F32, TypeError, r"shape must be an integer, got 1.5"),
            ("whole numbers", (3, 2), bad(int), TypeError, r"dtype must be float32 or float64, got the type int"),
            ("no dtype", (3, 2), bad("words"), TypeError, r"dtype must be float32 or float64, got 'words'"),
            ("an axis too many", (3, 2, 2), F32, ValueError, r"shape must be \(n_in, n_out\), got \(3, 2, 2\)"),
        )
    },
    "zeros of whole numbers": (lambda: zeros(0, (3,), bad(int)), TypeError, r"zeros: dtype must be .*"),
    "normal in no dtype": (lambda: normal(0.1)(0, (3,), bad(None)), TypeError, r"normal: dtype must be .*, got None"),
    "constant of a shape too large": (
        lambda: constant(1)(0, (1 << 29, 1 << 29), F32),
        ValueError,
        r"constant: shape must be that of .*, got \(536870912, 536870912\)",
    ),
    "normal of a word as key": (
        lambda: normal(0.1)(bad("a"), (3,), F32),
        TypeError,
        r"normal: key must be an integer, got 'a'",
    ),
    "stddev below 0": (lambda: normal(-1), ValueError, r"normal: stddev must be finite and at least 0, got -1.0"),
    "constant infinite": (lambda: constant(np.inf), ValueError, r"constant: value must be finite, got inf"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
