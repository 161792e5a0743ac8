"""Dropout: its share, its mean, its masks by key, and none at inference."""

import math

import numpy as np
import pytest

from nnfunc import chain, dense, dropout, forward, grads, init, mse, tanh
from tests.numeric import same_bits
from tests.samples import ROWS, P, X
from tests.sentences import Cases, assert_sentence


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(rate: float) -> None:
    ones = np.ones((400, 500))
    y = forward(dropout(rate), {}, ones, key=5)
    assert set(np.unique(y)) == {0.0, 1 / (1 - rate)}
    spread = math.sqrt(rate * (1 - rate) / y.size)
    assert abs(float((y == 0).mean()) - rate) < 5 * spread
    assert float(y.mean()) == pytest.approx(1, abs=5 * spread / (1 - rate))


@pytest.mark.parametrize("rate", [2.0**-19, 0.3 + 2.0**-18, 1 - 2.0**-18])
def test_a_rate_is_finer_than_the_bits_that_are_drawn_first(rate: float) -> None:
    x = np.ones((2048, 2048), np.float32)
    dropped, coarse = (forward(dropout(r), {}, x, key=0) == 0 for r in (rate, math.floor(rate * 2**16) / 2**16))
    assert not (coarse & ~dropped).any()  # one stream: what a lower rate drops, a higher one does
    fine = rate - math.floor(rate * 2**16) / 2**16
    assert abs(float((dropped & ~coarse).mean()) - fine) < 5 * math.sqrt(fine / x.size)


def test_the_mean_over_keys_is_inference() -> None:
    net = chain(dense(3, 4, tanh), dropout(0.3))
    params = init(net, 0, np.float64)
    mean = sum(forward(net, params, ROWS, key=(1, i)) for i in range(4000)) / 4000
    assert np.allclose(mean, forward(net, params, ROWS), atol=0.05)


def test_keys_decide_the_mask() -> None:
    net = chain(dropout(0.5), dropout(0.5))
    x = np.ones((20, 20), np.float32)
    a, b, c = (forward(net, {}, x, key=key) for key in (1, 1, 2))
    assert same_bits(a, b)
    assert not same_bits(a, c)
    assert set(np.unique(a)) == {0.0, 2.0, 4.0} - {2.0}  # two masks in a row, independent ones
    assert 0.15 < float((a != 0).mean()) < 0.35
    assert same_bits(a.astype(np.float64), forward(net, {}, x.astype(np.float64), key=1))  # whatever the dtype


def test_without_a_key_and_without_a_rate_dropout_is_the_identity() -> None:
    assert same_bits(forward(dropout(0.9), {}, ROWS), ROWS)
    assert same_bits(forward(dropout(0.0), {}, ROWS, key=1), ROWS)


def test_dropout_of_nothing_needs_no_key() -> None:
    assert not grads(dropout(0.0), mse, {}, ROWS, ROWS)


BAD: Cases = {
    "rate of 1": (lambda: dropout(1), ValueError, r"dropout: rate must lie in \[0, 1\), got 1.0"),
    "rate below 0": (lambda: dropout(-0.1), ValueError, r"dropout: rate must lie in \[0, 1\), got -0.1"),
    "params for dropout": (
        lambda: forward(dropout(0.1), P, X),
        ValueError,
        r"dropout: hidden/W must not be in params, which are none, got shape .*",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
