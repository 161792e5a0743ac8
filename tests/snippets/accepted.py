"""Pieces of one's own, as a user writes them in a typed script: mypy --strict accepts all."""

from functools import partial

import numpy as np

from nnfunc import (
    AnyArray,
    Array,
    DType,
    Initializer,
    InputGradient,
    Key,
    Layer,
    LossFn,
    Params,
    Penalty,
    Pullback,
    chain,
    dense,
    forward,
    grads,
    huber,
    init,
    leaky_relu,
    loss,
    mse,
    relu,
    sgd_step,
)


def doubled() -> Layer:
    def own_init(key: Key, dtype: DType) -> Params:
        return {}

    def own_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {}, lambda: 2 * dy

        return 2 * x, pullback

    return own_init, own_forward


def cubic(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    e = outputs - targets
    return np.abs(e[:, 0]) ** 3, 3 * e * np.abs(e)


def ridge(params: Params) -> tuple[float, Params]:
    return sum(float(np.sum(a * a)) for a in params.values()), {name: 2 * a for name, a in params.items()}


def all_ones(key: Key, shape: tuple[int, ...], dtype: DType) -> Array:
    return np.ones(shape, dtype)


penalty: Penalty = ridge
initializer: Initializer = all_ones
losses: list[LossFn] = [cubic, mse, partial(huber, delta=2.0)]
net = chain(
    dense(2, 3, (np.sin, np.cos)),
    doubled(),
    dense(3, 3, partial(leaky_relu, negative_slope=0.2), w_init=initializer),
    out=dense(3, 1, relu),
)
params: Params = init(net, key=(0, 1), dtype=np.float64)
predict = partial(forward, net)
objective = partial(loss, net, mse)
outputs: Array = predict(params, [[1.0, 2.0]])
value: float = objective(params, [[1.0, 2.0]], [[1.0]])
params = sgd_step(params, grads(net, cubic, params, [[1.0, 2.0]], [[1.0]], penalty=penalty), lr=0.1)
