"""Pieces of one's own, as a user writes them in a typed script: mypy --strict accepts all."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import SupportsFloat

import numpy as np

from nnfunc import (
    Activation,
    AnyArray,
    Array,
    Branch,
    DType,
    ForwardFn,
    GradTransform,
    InitFn,
    Initializer,
    InputGradient,
    Key,
    Layer,
    LossFn,
    Metric,
    Monitor,
    Optimizer,
    OptimizerStep,
    Params,
    Penalty,
    Pullback,
    Schedule,
    State,
    accuracy,
    adam,
    averaged,
    averaged_params,
    by_name,
    chain,
    check_grads,
    clip_by_global_norm,
    columns,
    combine,
    concatenate,
    cosine_decay_schedule,
    dense,
    early_stopping,
    finish,
    forward,
    freeze,
    grads,
    huber,
    init,
    layer_outputs,
    leaky_relu,
    load,
    loss,
    map_params,
    l2,
    masked,
    mse,
    progress_bar,
    quantile_loss,
    ravel,
    relu,
    save,
    scaled,
    select,
    sgd_step,
    step_bar,
    train,
    watched,
)
from nnfunc.testing import (
    check_activation,
    check_initializer,
    check_layer,
    check_loss,
    check_metric,
    check_monitor,
    check_optimizer,
    check_penalty,
    check_pure,
    check_schedule,
    check_transform,
)
from nnfunc.transforms import (
    ensemble_value_and_grads,
    hvp,
    levenberg_marquardt,
    per_example_grad_norms,
    per_example_grads,
    stack_params,
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


# The form of the library's own layers: partials over module functions.
def gain(n: int) -> Layer:
    return partial(gain_init, n), gain_forward


def gain_init(n: int, key: Key, dtype: DType) -> Params:
    return {"s": np.ones(n, dtype)}


def gain_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {"s": np.add.reduce(dy * x, axis=0)}, lambda: dy * params["s"]

    return x * params["s"], pullback


def sign_init(params: Params) -> State:
    return {"t": np.asarray(0)}


def sign_step(params: Params, grads: Params, state: State, lr: SupportsFloat) -> tuple[Params, State]:
    new = {name: p - float(lr) * np.sign(grads[name]) if name in grads else p for name, p in params.items()}
    return freeze(new), freeze({"t": state["t"] + 1})


def inverse(step: int) -> float:
    return 0.1 / (1 + step)


def halved(grads: Params) -> Params:
    return {name: 0.5 * g for name, g in grads.items()}


def worst(outputs: Array, targets: AnyArray) -> float:
    return float(np.max(np.abs(outputs - targets)))


def watch_init() -> State:
    return freeze({"best": math.inf, "stop": False, "improved": False})


def watch_update(state: State, metric: SupportsFloat) -> State:
    return freeze({"best": min(float(metric), float(state["best"])), "stop": False, "improved": True})


# A layer made of layers, in the form that `combine` asks for.
def product(
    branches: Sequence[Branch], x: Array
) -> tuple[Array, Callable[[Array], tuple[Sequence[Params], InputGradient]]]:
    (a, back_a), (b, back_b) = (branch(x) for branch in branches)

    def pullback(dy: Array) -> tuple[Sequence[Params], InputGradient]:
        (grads_a, dx_a), (grads_b, dx_b) = back_a(dy * b), back_b(dy * a)
        return (grads_a, grads_b), lambda: dx_a() + dx_b()

    return a * b, pullback


groups: Optimizer = by_name({"hidden/*": scaled(adam(), 0.1), "out/*": (sign_init, sign_step), "*": None})
optimizers: list[Optimizer] = [(sign_init, sign_step), adam(), averaged(groups, 0.999)]
schedules: list[Schedule] = [inverse, cosine_decay_schedule(0.1, 10), lambda step: 0.1]
transforms: list[GradTransform] = [halved, partial(clip_by_global_norm, limit=1.0)]
metrics: dict[str, Metric] = {"worst": worst, "accuracy": accuracy}
monitors: list[Monitor] = [(watch_init, watch_update), early_stopping()]
activations: list[Activation] = [relu, (np.sin, np.cos), partial(leaky_relu, negative_slope=0.1)]
penalty: Penalty = ridge
initializer: Initializer = all_ones
losses: list[LossFn] = [cubic, mse, partial(huber, delta=2.0), partial(quantile_loss, levels=[0.5]), masked(cubic)]
net = chain(
    dense(2, 3, (np.sin, np.cos)),
    doubled(),
    gain(3),
    dense(3, 3, partial(leaky_relu, negative_slope=0.2), w_init=initializer),
    out=dense(3, 1, relu),
)
params: Params = init(net, key=(0, 1), dtype=np.float64)
predict = partial(forward, net)
objective = partial(loss, net, mse)
outputs: Array = predict(params, [[1.0, 2.0]])
value: float = objective(params, [[1.0, 2.0]], [[1.0]])
sizes: Params = map_params(np.abs, params)
nearer: Params = map_params(lambda a, b: (a + b) / 2, params, sizes)
seen: list[str] = []
tapped: Layer = watched(net, lambda path, tensor: seen.append(path))
params = sgd_step(params, grads(net, cubic, params, [[1.0, 2.0]], [[1.0]], penalty=penalty), lr=0.1)
for state, report in train(
    net, mse, params, [[1.0, 2.0]], [[1.0]], epochs=1, lr=inverse, optimizer=optimizers[0], transform=halved,
    penalty=ridge, validation=([[1.0, 2.0]], [[1.0]]), metrics={"worst": worst}, stopping=monitors[0],
):  # fmt: skip
    progress: float = report["loss"]
final, reports = finish(train(net, mse, params, [[1.0, 2.0]], [[1.0]], epochs=1, lr=0.1, penalty=l2(0.1, ["*/W"])))
last_loss: float = reports[-1]["loss"]
for state, report in progress_bar(train(net, mse, params, [[1.0, 2.0]], [[1.0]], epochs=1, lr=0.1)):
    progress = report["loss"]
with step_bar() as bar:
    watched_state, _ = finish(train(net, mse, params, [[1.0, 2.0]], [[1.0]], epochs=1, lr=0.1, on_step=bar))
    check_grads(net, mse, params, [[1.0, 2.0]], [[1.0]], on_step=bar)
params = {**select(final, "params"), **params}
average: Params = averaged_params(final)
vector, unravel = ravel(params)
params = unravel(vector - 0.1 * ravel(grads(net, cubic, params, [[1.0, 2.0]], [[1.0]]))[0])
made: Layer = combine(product, dense(2, 3), towers=concatenate(columns(0, 1), dense(2, 2, bias=False)))
hidden: dict[str, Array] = layer_outputs(made, init(made, 0), [[1.0, 2.0]])
norms: Array = per_example_grad_norms(net, mse, params, [[1.0, 2.0]], [[1.0]])
rows: Params = per_example_grads(net, mse, params, [[1.0, 2.0]], [[1.0]])
curved: Params = hvp(net, mse, params, [[1.0, 2.0]], [[1.0]], vector=params)
fitted, steps = finish(levenberg_marquardt(net, params, [[1.0, 2.0]], [[1.0]], steps=3))
last_step: int = steps[-1]["step"]
members: Params = stack_params([params, fitted])
values, member_grads = ensemble_value_and_grads(net, mse, members, [[1.0, 2.0]], [[1.0]])
half_of_a_layer: InitFn = gain(3)[0]
other_half: ForwardFn = gain_forward
half_of_an_optimizer: OptimizerStep = sign_step
save("file", {**params, "classes": np.array(["no", "yes"])})
loaded = dict(load("file"))
classes = loaded.pop("classes")
outputs = forward(net, loaded, [[1.0, 2.0]])
check_layer(gain(3), np.ones((2, 3)))
check_activation(np.sin, np.cos)
check_activation((np.sin, np.cos))
check_loss(partial(huber, delta=2.0), [[1.0]], [[2.0]])
check_penalty(ridge)
check_transform(halved)
check_optimizer((sign_init, sign_step), like=adam())
check_schedule(inverse, {0: 0.1})
check_initializer(all_ones, std=None)
check_metric(worst, [[1.0]], [[2.0]])
check_monitor((watch_init, watch_update))
results = check_pure(np.add, 1.0, 2.0, report=False)
law: str = results[0]["law"]
