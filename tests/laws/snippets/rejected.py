"""What mypy --strict must refuse; each line that ends in a comment is one error."""

import numpy as np

from nnfunc import (
    AnyArray,
    Array,
    GradTransform,
    Initializer,
    Key,
    Layer,
    LossFn,
    Metric,
    Monitor,
    Optimizer,
    Params,
    Penalty,
    Pullback,
    Schedule,
    State,
    adam,
    averaged,
    by_name,
    chain,
    combine,
    concatenate,
    dense,
    finish,
    forward,
    init,
    loss,
    map_params,
    masked,
    mse,
    quantile_loss,
    relu,
    scaled,
    train,
    watched,
)
from nnfunc.testing import check_layer, check_loss, check_optimizer, check_schedule

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


def stateless_step(params: Params, grads: Params, lr: float) -> Params:
    return params


def empty_state(params: Params) -> State:
    return {}


def list_state(params: Params) -> list[Array]:
    return []


def good_step(params: Params, grads: Params, state: State, lr: object) -> tuple[Params, State]:
    return params, state


def of_time(step: str) -> float:
    return 0.1


def array_valued(step: int) -> Array:
    return x


def shape_only(shape: tuple[int, ...]) -> Array:
    return x


def only_number(params: Params) -> float:
    return 0.0


def per_row(outputs: Array, targets: AnyArray) -> Array:
    return outputs[:, 0]


def two_arguments(grads: Params, limit: float) -> Params:
    return grads


def update_only(state: State) -> State:
    return state


optimizer: Optimizer = (empty_state, stateless_step)  # error
listed: Optimizer = (list_state, good_step)  # error
unbuilt: Optimizer = adam  # error
schedule: Schedule = of_time  # error
arrays: Schedule = array_valued  # error
initializer: Initializer = shape_only  # error
penalty: Penalty = only_number  # error
metric: Metric = per_row  # error
transform: GradTransform = two_arguments  # error
monitor: Monitor = (empty_state, update_only)  # error
train(net, mse, params, x, x, epochs=1, lr="0.1")  # error
train(net, mse, params, x, x, epochs=1, lr=0.1, optimizer=adam)  # error
train(net, mse, params, x, x, epochs=1, lr=0.1, penalty=only_number)  # error
check_layer(relu, x)  # error
check_loss(only_value, x, x)  # error
check_optimizer(adam)  # error
check_schedule(array_valued)  # error
params["W"] = x  # error
del params["W"]  # error
swapped: Layer = (own_forward, own_init)  # error
chain((own_forward, own_init))  # error
reduced: LossFn = only_value  # error
loss(net, only_value, params, x, x)  # error
loss(net, masked(only_value), params, x, x)  # error
quantile_loss(x, x, levels="low")  # error
half: Layer = (own_init, only_output)  # error
pullback: Pullback = eager  # error
chain(relu)  # error
forward(params, net, x)  # error
watched(net, "print")  # error
map_params(params, relu)  # error
init(net, "seed")  # error
dense(2, 1, "relu")  # error
loss(net, mse, params, x, x, 0.5)  # error
by_name({"*": adam})  # error
scaled(adam, 0.1)  # error
averaged(adam(), "0.9")  # error
finish([1])  # error
combine(only_output, net)  # error
combine(net, net)  # error
concatenate(relu)  # error
