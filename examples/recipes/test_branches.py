"""Each way to combine branches proved by one line, and what sharing means.

    python -m pytest examples/recipes/test_branches.py
"""

from functools import partial

import numpy as np
from recipes.branches import difference, product, shared

from nnfunc import Layer, chain, columns, combine, dense, forward, init, summary, tanh
from nnfunc.testing import check_layer

X = np.random.default_rng(0).normal(size=(5, 6))


def tower(start: int) -> Layer:
    return chain(columns(start, start + 3), dense(3, 4, tanh))


def test_product() -> None:
    check_layer(combine(product, user=tower(0), item=tower(3)), X)


def test_difference() -> None:
    check_layer(combine(difference, tower(0), tower(3)), X)


def test_shared() -> None:
    check_layer(combine(partial(shared, 3), tower=dense(2, 4, tanh)), X)


def test_a_pair_of_equal_inputs_has_no_distance() -> None:
    net = combine(difference, tower(0), tower(3))
    siamese = combine(partial(shared, 2), tower=chain(dense(3, 4, tanh), dense(4, 2)))
    twins = np.hstack([X[:, :3], X[:, :3]])
    left, right = np.hsplit(forward(siamese, init(siamese, 0), twins), 2)
    assert np.array_equal(left, right)
    assert forward(net, init(net, 0), twins).any()  # two towers of their own are not one
    assert summary(siamese)[-1]["parameters"] == (3 * 4 + 4) + (4 * 2 + 2)
