"""Each layer of `convolution.py` proved by one line, and beside the definition written as loops.

    python -m pytest examples/recipes/test_convolution.py
"""

from itertools import product

import numpy as np
import pytest
from recipes.convolution import convolution, max_pool, mean_pool

from nnfunc import chain, dense, forward, init
from nnfunc.testing import check_layer

IMAGE = (6, 4, 2)
X = np.random.default_rng(0).normal(size=(5, 48))


def test_convolution() -> None:
    check_layer(convolution(IMAGE, filters=3, size=3), X)


def test_max_pool() -> None:
    check_layer(max_pool(IMAGE, 2), X)


def test_mean_pool() -> None:
    check_layer(mean_pool(IMAGE, 2), X)


def test_a_stack_of_them() -> None:
    check_layer(chain(convolution(IMAGE, 3, 3), max_pool((4, 2, 3), 2), dense(6, 2)), X)


def test_they_are_what_their_definitions_say() -> None:
    net = convolution(IMAGE, filters=3, size=3)
    params = init(net, 0, np.float64)
    y, largest, mean = (forward(*given, X) for given in ((net, params), (max_pool(IMAGE, 2), {}), (mean_pool(IMAGE, 2), {})))
    images, W = X.reshape(5, *IMAGE), params["W"].reshape(3, 3, 2, 3)
    for n, i, j, k in product(range(5), range(4), range(2), range(3)):
        assert y.reshape(5, 4, 2, 3)[n, i, j, k] == pytest.approx(np.sum(images[n, i : i + 3, j : j + 3] * W[..., k]))
    for n, i, j, k in product(range(5), range(3), range(2), range(2)):
        square = images[n, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, k]
        assert largest.reshape(5, 3, 2, 2)[n, i, j, k] == square.max()
        assert mean.reshape(5, 3, 2, 2)[n, i, j, k] == pytest.approx(square.mean())


def test_equal_pixels_share_the_gradient() -> None:
    _, pullback = max_pool((2, 2, 1), 2)[1]({}, np.array([[1.0, 3.0, 3.0, 0.0]]), None)
    assert pullback(np.array([[4.0]]))[1]().tolist() == [[0.0, 2.0, 2.0, 0.0]]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="convolution: size must fit into the image, got 5"):
        convolution(IMAGE, 3, 5)
    with pytest.raises(ValueError, match="reshape"):
        forward(mean_pool(IMAGE, 2), {}, X.reshape(10, 24))
    with pytest.raises(ValueError, match="reshape"):
        forward(mean_pool((3, 4, 2), 1), {}, X)
    with pytest.raises(ValueError, match="max_pool: size must divide the image's 6 x 4, got 4"):
        max_pool(IMAGE, 4)
