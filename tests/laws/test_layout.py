"""Results do not depend on how arrays lie in memory."""

from functools import partial

import numpy as np
import pytest

from nnfunc import (
    AnyArray,
    Array,
    InputGradient,
    Key,
    Layer,
    LossFn,
    Params,
    Pullback,
    binary_cross_entropy,
    chain,
    cross_entropy,
    dense,
    gaussian_nll,
    huber,
    init,
    mae,
    masked,
    mse,
    poisson_nll,
    quantile_loss,
    sigmoid_cross_entropy,
    softmax,
    softmax_cross_entropy,
    tanh,
    value_and_grads,
)
from tests.laws.data import X, Y, Z
from tests.numeric import assert_close, same_bits


def column_major(layer: Layer) -> Layer:
    """Return the layer with outputs and input gradients in column-major order."""

    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        y, pullback = layer[1](params, x, key)

        def pull(dy: Array) -> tuple[Params, InputGradient]:
            g, dx = pullback(np.asfortranarray(dy))
            return {name: np.asfortranarray(a) for name, a in g.items()}, lambda: np.asfortranarray(dx())

        return np.asfortranarray(y), pull

    return layer[0], layer_forward


ONE_HOT: Array = np.eye(2)[Y]
ON_LOGITS: dict[str, tuple[LossFn, AnyArray]] = {
    "softmax_cross_entropy of classes": (softmax_cross_entropy, Y),
    "softmax_cross_entropy of unsigned classes": (softmax_cross_entropy, Y.astype(np.uint64)),
    "softmax_cross_entropy of probabilities": (softmax_cross_entropy, ONE_HOT),
    "softmax_cross_entropy, smoothed": (partial(softmax_cross_entropy, label_smoothing=0.1), Y),
    "sigmoid_cross_entropy": (sigmoid_cross_entropy, ONE_HOT),
    "mse": (mse, ONE_HOT),
    "mae": (mae, ONE_HOT),
    "huber": (huber, ONE_HOT),
    "poisson_nll": (poisson_nll, ONE_HOT),
    "quantile_loss": (partial(quantile_loss, levels=(0.1, 0.7)), ONE_HOT[:, :1]),
    "gaussian_nll": (gaussian_nll, ONE_HOT[:, :1]),
    "masked": (masked(mse), np.where(np.tri(len(Y), 2) > 0, np.nan, ONE_HOT)),
}
ON_PROBABILITIES: dict[str, tuple[LossFn, AnyArray]] = {
    "cross_entropy of classes": (cross_entropy, Y),
    "cross_entropy of probabilities": (cross_entropy, ONE_HOT),
    "binary_cross_entropy": (binary_cross_entropy, ONE_HOT),
}


@pytest.mark.parametrize("name", ON_LOGITS)
def test_results_do_not_depend_on_memory_layout(name: str) -> None:
    loss_fn, y = ON_LOGITS[name]
    rows = chain(dense(3, 4, tanh), dense(4, 2))
    columns = chain(column_major(dense(3, 4, tanh)), column_major(dense(4, 2)))
    params = init(rows, 0, np.float64)
    x = X.astype(np.float64)
    expected = value_and_grads(rows, loss_fn, params, x, y)
    strided = np.repeat(x, 2, axis=0)[::2]
    for inputs in (x, np.asfortranarray(x), strided):
        held = {name: np.asfortranarray(a) for name, a in params.items()}
        assert_close(value_and_grads(columns, loss_fn, held, inputs, np.asfortranarray(y)), expected)


@pytest.mark.parametrize("name", ON_PROBABILITIES)
def test_losses_on_probabilities_do_not_depend_on_memory_layout(name: str) -> None:
    loss_fn, y = ON_PROBABILITIES[name]
    p = softmax(Z.astype(np.float64))
    assert same_bits(loss_fn(np.asfortranarray(p), np.asfortranarray(y)), loss_fn(p, y))
