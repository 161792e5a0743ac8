"""Initialisers: what they refuse. Their spreads and streams are tried by the checkers and by the article."""

import numpy as np
import pytest

from nnfunc import constant, glorot_uniform, normal
from tests.sentences import Cases, assert_sentence

BAD: Cases = {
    "shape of one axis": (
        lambda: glorot_uniform(0, (3,), np.dtype(np.float32)),
        ValueError,
        r"glorot_uniform: shape must be \(n_in, n_out\), got \(3,\)",
    ),
    "stddev below 0": (lambda: normal(-1), ValueError, r"normal: stddev must be finite and at least 0, got -1.0"),
    "constant infinite": (lambda: constant(np.inf), ValueError, r"constant: value must be finite, got inf"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
