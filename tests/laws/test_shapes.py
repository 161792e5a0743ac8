"""Outputs and targets are of one shape: nothing is broadcast."""

import numpy as np
import pytest

from nnfunc import (
    AnyArray,
    LossFn,
    binary_cross_entropy,
    cross_entropy,
    huber,
    mae,
    mse,
    poisson_nll,
    sigmoid_cross_entropy,
    softmax,
    softmax_cross_entropy,
)
from tests.laws.data import Z

SHAPED: list[LossFn] = [mse, mae, huber, sigmoid_cross_entropy, binary_cross_entropy, poisson_nll]
UNEQUAL: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "one axis, two axes": ((5,), (5, 1)),
    "two axes, one axis": ((5, 1), (5,)),
    "one row": ((5, 1), (1, 1)),
    "one column": ((5, 3), (5, 1)),
    "one output": ((1,), (5,)),
}
CLASS_TARGETS: dict[str, AnyArray] = {
    "classes in a column": np.zeros((5, 1), int),
    "an axis too many": np.zeros((5, 2, 1)),
    "one row": np.zeros((1, 2)),
    "a class too few": np.zeros(4, int),
}


@pytest.mark.parametrize("loss_fn", SHAPED)
@pytest.mark.parametrize("name", UNEQUAL)
def test_shapes_are_never_broadcast(loss_fn: LossFn, name: str) -> None:
    outputs, targets = UNEQUAL[name]
    with pytest.raises(ValueError, match="targets must have the shape"):
        loss_fn(np.full(outputs, 0.5), np.full(targets, 0.5))


@pytest.mark.parametrize("loss_fn", [softmax_cross_entropy, cross_entropy])
@pytest.mark.parametrize("name", CLASS_TARGETS)
def test_class_targets_are_never_broadcast(loss_fn: LossFn, name: str) -> None:
    with pytest.raises(ValueError, match="targets must have shape"):
        loss_fn(softmax(Z), CLASS_TARGETS[name])
