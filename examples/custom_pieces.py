"""One piece of one's own of every kind, each about ten lines, put together and trained.

`test_custom_pieces.py` beside this file proves each by one line.

    python examples/custom_pieces.py
"""

# %%
import math
from functools import partial
from typing import SupportsFloat

import numpy as np

from nnfunc import (
    AnyArray,
    Array,
    DType,
    InputGradient,
    Key,
    Layer,
    Monitor,
    Optimizer,
    Params,
    Pullback,
    State,
    chain,
    check_grads,
    current_params,
    dense,
    freeze,
    generator,
    init,
    loss,
    progress_line,
    train,
)


# %%
# An activation is a function and its elementwise derivative.
def squareplus(z: Array) -> Array:
    y: Array = (z + np.hypot(z, 2)) / 2
    return y


def squareplus_slope(z: Array) -> Array:
    slope: Array = (1 + z / np.hypot(z, 2)) / 2
    return slope


# %%
# A loss gives each row's value, and its derivative with respect to the outputs; no mean over the rows.
def log_cosh(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    if targets.shape != outputs.shape:
        raise ValueError(f"log_cosh: targets must have the shape {outputs.shape} of the outputs, got {targets.shape}")
    e, k = outputs - targets, outputs.shape[1]
    per_element: Array = np.abs(e) + np.log1p(np.exp(-2 * np.abs(e))) - math.log(2)
    return np.add.reduce(per_element, axis=1) / k, np.tanh(e) / k


# %%
# A layer is a pair of functions; this one gives each column a gain of its own.
def gain(n: int) -> Layer:
    return partial(gain_init, n), gain_forward


def gain_init(n: int, key: Key, dtype: DType) -> Params:
    return {"s": np.ones(n, dtype)}


def gain_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    s = params["s"]

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {"s": np.add.reduce(dy * x, axis=0)}, lambda: dy * s

    return x * s, pullback


# %%
# An initialiser draws from its key; this one makes every other weight or so zero.
def sparse(key: Key, shape: tuple[int, ...], dtype: DType) -> Array:
    draw = generator(key)
    values: Array = draw.normal(0, math.sqrt(2 / shape[0]), shape) * (draw.random(shape) < 0.5)
    return values.astype(dtype)


# %%
# A penalty gives its value and its gradients by name; this one pulls each gain towards 1.
def near_one(params: Params, rate: float = 1e-3) -> tuple[float, Params]:
    gains = {name: s for name, s in params.items() if name.endswith("/s")}
    value = sum(float(np.sum((s - 1) ** 2)) for s in gains.values())
    return rate * value, {name: 2 * rate * (s - 1) for name, s in gains.items()}


# %%
# A gradient transform takes gradients and gives gradients; this one centres those of the weights.
def centralised(grads: Params) -> Params:
    return {name: g - np.mean(g, axis=0) if g.ndim > 1 else g for name, g in grads.items()}


# %%
# An optimiser is a pair of functions; this one, Lion, steps by the sign of its momentum.
def lion(b1: float = 0.9, b2: float = 0.99) -> Optimizer:
    return lion_init, partial(lion_step, b1, b2)


def lion_init(params: Params) -> State:
    return freeze({f"m/{name}": np.zeros_like(p) for name, p in params.items()})


def lion_step(
    b1: float, b2: float, params: Params, grads: Params, state: State, lr: SupportsFloat
) -> tuple[Params, State]:
    new, m = dict(params), dict(state)
    for name, g in grads.items():
        new[name] = params[name] - float(lr) * np.sign(b1 * state[f"m/{name}"] + (1 - b1) * g)
        m[f"m/{name}"] = b2 * state[f"m/{name}"] + (1 - b2) * g
    return freeze(new), freeze(m)


# %%
# A schedule is a function of the step, 0 being the first update.
def inverse_root(step: int) -> float:
    return 1e-2 / math.sqrt(1 + step / 100)


# %%
# A metric is one number for outputs and targets.
def worst_error(outputs: Array, targets: AnyArray) -> float:
    return float(np.max(np.abs(outputs - targets)))


# %%
# A monitor is a pair of functions and watches one number per epoch; this one stops at a goal.
def until(target: float) -> Monitor:
    return until_init, partial(until_update, target)


def until_init() -> State:
    return freeze({"best": math.inf, "stop": False, "improved": False})


def until_update(target: float, state: State, metric: SupportsFloat) -> State:
    value, best = float(metric), float(state["best"])
    return freeze({"best": value if value < best else best, "stop": value <= target, "improved": value < best})


# %%
NET = chain(
    hidden=dense(2, 16, (squareplus, squareplus_slope), w_init=sparse),
    gain=gain(16),
    out=dense(16, 1),
)


# %%
def main() -> tuple[float, float]:
    """Prove the gradients, train with all of them, and return the loss before and after."""
    draw = np.random.default_rng(0)
    x = draw.uniform(-2, 2, (256, 2))
    y = np.sin(x[:, :1]) * x[:, 1:]
    params = init(NET, key=0)
    verdict = check_grads(NET, log_cosh, params, x[:9], y[:9], penalty=near_one)["verdict"]
    print(f"the gradients of activation, loss, layer and penalty are {verdict}")

    before = loss(NET, log_cosh, params, x, y)
    for state, report in train(
        NET, log_cosh, params, x, y, epochs=80, size=16, lr=inverse_root, optimizer=lion(),
        penalty=near_one, transform=centralised, validation=(x, y), metrics={"worst": worst_error}, stopping=until(2e-3),
    ):  # fmt: skip
        if report["epoch"] % 20 == 0:
            print(progress_line(report))
    after = loss(NET, log_cosh, current_params(state), x, y)
    print(f"loss {before:.4f} before, {after:.4f} after")
    return before, after


# %%
if __name__ == "__main__":
    main()
