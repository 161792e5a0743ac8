"""What mypy --strict must refuse; each line that ends in a comment is one error."""

import numpy as np

from nnfunc import AnyArray, Array, Key, Layer, LossFn, Params, Pullback, chain, dense, forward, init, loss, mse, relu

net = dense(2, 1)
own_init, own_forward = net
params = init(net, 0)
x: Array = np.ones((3, 2))


def only_value(outputs: Array, targets: AnyArray) -> Array:
    return outputs[:, 0]


def only_output(params: Params, x: Array, key: Key | None) -> Array:
    return x


def eager(dy: Array) -> tuple[Params, Array]:
    return {}, dy


params["W"] = x  # error
del params["W"]  # error
swapped: Layer = (own_forward, own_init)  # error
chain((own_forward, own_init))  # error
reduced: LossFn = only_value  # error
loss(net, only_value, params, x, x)  # error
half: Layer = (own_init, only_output)  # error
pullback: Pullback = eager  # error
chain(relu)  # error
forward(params, net, x)  # error
init(net, "seed")  # error
dense(2, 1, "relu")  # error
loss(net, mse, params, x, x, 0.5)  # error
