"""Numbers of any size give finite results, or infinite ones, and no warnings."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import DTypeLike

from nnfunc import Array, activation, sigmoid_cross_entropy, softmax_cross_entropy, vjp
from tests.laws.calls import ACTIVATIONS

EXTREMES: dict[str, Array] = {
    "float32": np.array([0.0, 1e-45, -1e-45, 1.0, -1.0, 90, -90, 1e4, -1e4, 3.4e38, -3.4e38], np.float32),
    "float64": np.array([0.0, 5e-324, -5e-324, 1, -1, 710, -710, 1e4, -1e4, 1e300, -1e300, 1.7e308, -1.7e308]),
}


@pytest.mark.parametrize("dtype", EXTREMES)
@pytest.mark.parametrize("f", ACTIVATIONS)
def test_activations_are_stable(f: Callable[[Array], Array], dtype: str) -> None:
    for z in (EXTREMES[dtype][:, None], EXTREMES[dtype][None, :-2]):
        y = f(z)  # a warning would be an error here
        assert not np.isnan(y).any()
        assert np.isfinite(y).all()
        _, pullback = vjp(activation(f), {}, z)
        assert np.isfinite(pullback(np.ones_like(z))[1]()).all()


def test_activations_let_nan_through() -> None:
    for f in ACTIVATIONS:
        assert np.isnan(f(np.array([np.nan, 1.0]))[0])


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e4), (np.float64, 1e300)])
def test_cross_entropies_are_stable(dtype: DTypeLike, size: float) -> None:
    z = np.array([[size, -size, 0], [-size, size, size], [0, 0, -size]], dtype)
    for y in (0, 1, 2):
        per_example, d = softmax_cross_entropy(z, np.full(3, y))
        assert np.isfinite(per_example).all()
        assert np.isfinite(d).all()
    for t in (0.0, 0.5, 1.0):
        per_example, d = sigmoid_cross_entropy(z, np.full_like(z, t))
        assert np.isfinite(per_example).all()
        assert np.isfinite(d).all()
