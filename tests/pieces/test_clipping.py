"""Clipping: the norm of all gradients at every size, its direction, and what is not finite."""

import math

import numpy as np
import pytest

from nnfunc import Array, clip_by_global_norm, clip_by_value, freeze, global_norm, l2
from tests.numeric import bad, same_bits
from tests.samples import P, X
from tests.sentences import Cases, assert_sentence

SLOPES = freeze({"W": np.array([[0.3, 4.0]], np.float32), "b": np.array([-2.0], np.float32)})


@pytest.mark.parametrize("n", [1000, 8000, 100_000, 3_000_001])
def test_long_sums_of_squares_keep_their_digits(n: int) -> None:
    a = np.full(n, 0.1, np.float32)
    exact = float(a[0]) ** 2 * n
    assert global_norm({"a": a}) == pytest.approx(math.sqrt(exact), rel=1e-6)
    assert l2(1)({"W": a})[0] == pytest.approx(exact, rel=1e-6)
    assert global_norm({"a": np.broadcast_to(a, (2, n)).T}) == pytest.approx(math.sqrt(2 * exact), rel=1e-6)


def test_sums_of_squares_that_overflow_together() -> None:
    assert global_norm({"a": np.array([1.2e154]), "b": np.array([1.2e154])}) == pytest.approx(1.2e154 * math.sqrt(2))
    assert l2(1e-4)({"W": np.full(5, 1e20, np.float32)})[0] == pytest.approx(5e36)


def test_a_limit_beyond_the_dtype_clips_nothing() -> None:
    assert same_bits(dict(clip_by_value(SLOPES, 1e39)), dict(SLOPES))


def test_global_norm_by_hand() -> None:
    assert global_norm({"a": np.array([3.0]), "b": np.array([[4.0, 0.0]])}) == 5
    assert global_norm({"a": np.zeros(3)}) == 0
    assert global_norm({}) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", ["largest", "large", "one", "tiny", "smallest"])
def test_clipping_holds_at_every_size(dtype: type, size: str) -> None:
    info = np.finfo(dtype)
    sizes = {"largest": info.max, "large": info.max / 4, "one": 1, "tiny": info.tiny, "smallest": info.smallest_subnormal}
    value = float(dtype(sizes[size]))
    g: dict[str, Array] = {"a": np.full((3, 3), value, dtype), "b": np.full(7, value, dtype)}
    if value < 1e307:
        assert global_norm(g) == pytest.approx(4 * value, rel=1e-6)
    clipped = clip_by_global_norm(g, 1.0)
    expected = min(0.25, value)
    assert all(np.allclose(a, expected, rtol=1e-5, atol=0) and a.dtype == dtype for a in clipped.values())
    assert global_norm(clip_by_global_norm(g, 0.5)) <= 0.5 * (1 + 1e-6)
    assert all(float(a.max()) == min(1.0, value) for a in clip_by_value(g, 1.0).values())


def test_clipping_keeps_the_direction_and_leaves_small_gradients_alone() -> None:
    clipped = clip_by_global_norm(SLOPES, 0.1)
    assert global_norm(clipped) == pytest.approx(0.1, rel=1e-6)
    ratio = [float(r) for n in SLOPES for r in (clipped[n] / SLOPES[n]).ravel()]
    assert max(ratio) == pytest.approx(min(ratio), rel=1e-6)
    assert same_bits(dict(clip_by_global_norm(SLOPES, 100.0)), dict(SLOPES))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_clipping_does_not_hide_what_is_not_finite(value: float) -> None:
    g = {"a": np.ones(2), "b": np.array([1.0, value])}
    for call in (lambda: clip_by_global_norm(g, 1.0), lambda: clip_by_value(g, 1.0), lambda: global_norm(g)):
        with pytest.raises(FloatingPointError, match=r"grads\['b'\] must be finite, got -?(nan|inf) at \[1\] \(1 of 2 values\)"):
            call()


def test_a_limit_needs_to_fit_its_own_gradients_only() -> None:
    g = {"W": np.array([3.0, 4.0])}
    for clip in (clip_by_value, clip_by_global_norm):
        assert clip(g, 1e-50)["W"].max() == pytest.approx(8e-51 if clip is clip_by_global_norm else 1e-50, rel=1e-12, abs=0)
        assert same_bits(clip(freeze({"W": np.array([3, 4], np.float32)}), 1e300), freeze({"W": np.array([3, 4], np.float32)}))


BAD: Cases = {
    "limit of clip_by_value that becomes 0 in float32": (
        lambda: clip_by_value(P, 1e-50),
        ValueError,
        r"clip_by_value: limit must be a number that float32, .*, can hold, got 1e-50",
    ),
    "limit of clip_by_global_norm that becomes 0 in float32": (
        lambda: clip_by_global_norm(P, 1e-50),
        ValueError,
        r"clip_by_global_norm: limit must be a number that float32, .*, can hold, got 1e-50",
    ),
    "limit of 0": (lambda: clip_by_value(P, 0), ValueError, r"clip_by_value: limit must be above 0, got 0.0"),
    "limit nan": (
        lambda: clip_by_global_norm(P, np.nan),
        ValueError,
        r"clip_by_global_norm: limit must be finite, got nan",
    ),
    "gradients a list": (
        lambda: global_norm(bad([X])),
        TypeError,
        r"global_norm: grads must be a mapping of names to arrays, got .*",
    ),
    "gradients None": (
        lambda: clip_by_value(bad(None), 1),
        TypeError,
        r"clip_by_value: grads must be a mapping of names to arrays, got None",
    ),
    "limit too large for a float": (
        lambda: clip_by_value(P, 10**400),
        ValueError,
        r"clip_by_value: limit must be a number that a float can hold, got 1000.*",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
