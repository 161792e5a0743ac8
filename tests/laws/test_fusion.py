"""A loss on probabilities after its activation is the loss on logits, bit for bit."""

from functools import partial

import pytest

from nnfunc import (
    ElementwiseFn,
    LossFn,
    activation,
    binary_cross_entropy,
    chain,
    cross_entropy,
    dense,
    forward,
    init,
    one_hot,
    relu,
    sigmoid,
    sigmoid_cross_entropy,
    softmax,
    softmax_cross_entropy,
    value_and_grads,
)
from tests.laws.data import X, Y
from tests.numeric import same_bits

FUSED: dict[str, tuple[ElementwiseFn, LossFn, LossFn]] = {
    "softmax": (softmax, cross_entropy, softmax_cross_entropy),
    "softmax, smoothed": (
        softmax,
        partial(cross_entropy, label_smoothing=0.1),
        partial(softmax_cross_entropy, label_smoothing=0.1),
    ),
    "sigmoid": (sigmoid, binary_cross_entropy, sigmoid_cross_entropy),
    "sigmoid, pos_weight": (
        sigmoid,
        partial(binary_cross_entropy, pos_weight=2),
        partial(sigmoid_cross_entropy, pos_weight=2),
    ),
}


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("scale", [1.0, 3e3])
def test_fused_is_unfused(name: str, scale: float) -> None:
    final, on_probabilities, on_logits = FUSED[name]
    y = Y if final is softmax else one_hot(Y, 2)
    logits = chain(hidden=dense(3, 4, relu), out=dense(4, 2))
    params = {name: a * scale for name, a in init(logits, 0).items()}
    expected = value_and_grads(logits, on_logits, params, X, y)
    for net in (
        chain(hidden=dense(3, 4, relu), out=dense(4, 2, final)),
        chain(hidden=dense(3, 4, relu), out=dense(4, 2), last=activation(final)),
    ):
        assert same_bits(value_and_grads(net, on_probabilities, params, X, y), expected)
    if scale == 1:  # unfused, the same values to rounding
        per_example, _ = on_probabilities(final(forward(logits, params, X)), y)
        assert float(per_example.mean()) == pytest.approx(expected[0], rel=1e-5)
