"""Keys name independent streams, each by its path from a root."""

from typing import Any

import numpy as np
import pytest

from nnfunc import Key, fold_in, generator, split
from tests.numeric import same_bits
from tests.sentences import Cases, assert_sentence


def test_keys_that_differ_give_different_streams() -> None:
    roots: list[Key] = [0, 1, 2**32, 2**32 + 1, 2**127, 2**64]
    paths: list[Key] = [(0, 0), (0, 0, 0), (0, 1), (1, 0), (0, 2**32 - 1), (2**32, 0), (0, 1, 0), (2**127, 1), (2**64, 0)]
    draws = {generator(key).bytes(16) for key in roots + paths}
    assert len(draws) == len(roots) + len(paths)


def test_streams_are_uncorrelated() -> None:
    draws = np.array([generator(key).standard_normal(20_000) for key in (0, (0, 0), (0, 1), (0, 0, 0), 1)])
    off_diagonal = np.corrcoef(draws)[~np.eye(len(draws), dtype=bool)]
    assert np.abs(off_diagonal).max() < 0.03


def test_keys_are_paths() -> None:
    assert fold_in(7, 2) == (7, 2)
    assert fold_in((7, 2), np.int64(3)) == (7, 2, 3)
    assert split((7,), 2) == ((7, 0), (7, 1))
    assert same_bits(generator(7).bytes(8), generator((7,)).bytes(8))


OUT_OF_RANGE: dict[str, Any] = {
    "below 0": -1,
    "step below 0": (0, -1),
    "no steps": (),
    "a fraction": 1.5,
    "a text": "0",
    "a bool": True,
    "step beyond 32 bits": (0, 2**32),
    "root beyond 128 bits": 2**128,
    "None": None,
    "a list": [0],
}


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_keys_out_of_range_are_refused(name: str) -> None:
    with pytest.raises((TypeError, ValueError), match="key must"):
        generator(OUT_OF_RANGE[name])


BAD: Cases = {
    "i below 0": (lambda: fold_in(0, -1), ValueError, r"fold_in: i must be at least 0, got -1"),
    "i beyond 32 bits": (lambda: fold_in(0, 2**32), ValueError, r"fold_in: key must hold ints below 2\*\*32, got .*"),
    "split into nothing": (lambda: split(0, 0), ValueError, r"split: n must be at least 1, got 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
