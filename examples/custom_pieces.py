"""An activation, a loss, a layer and an optimiser of one's own, each about ten lines, each proved.

    python examples/custom_pieces.py
"""

from typing import SupportsFloat

import numpy as np

from nnfunc import (
    AnyArray,
    Array,
    DType,
    InputGradient,
    Key,
    Layer,
    Optimizer,
    Params,
    Pullback,
    State,
    chain,
    check_grads,
    current_params,
    dense,
    freeze,
    init,
    loss,
    progress_line,
    train,
)


# An activation is a pair of a function and its elementwise derivative.
def squareplus(z: Array) -> Array:
    y: Array = (z + np.sqrt(z * z + 4)) / 2
    return y


def squareplus_slope(z: Array) -> Array:
    slope: Array = (1 + z / np.sqrt(z * z + 4)) / 2
    return slope


# A loss gives each row's value, and its derivative with respect to the outputs; no mean over the rows.
def log_cosh(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    e: Array = outputs - targets
    k = e.shape[1]
    per_element: Array = np.abs(e) + np.log1p(np.exp(-2 * np.abs(e))) - np.log(2).astype(e.dtype)
    return np.add.reduce(per_element, axis=1) / k, np.tanh(e) / k


# A layer is a pair of functions; this one gives each column a gain of its own.
def gain(n: int) -> Layer:
    def own_init(key: Key, dtype: DType) -> Params:
        return {"s": np.ones(n, dtype)}

    def own_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        s = params["s"]

        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {"s": np.add.reduce(dy * x, axis=0)}, lambda: dy * s

        return x * s, pullback

    return own_init, own_forward


# An optimiser is a pair of functions; this one, Lion, steps by the sign of its momentum.
def lion(b1: float = 0.9, b2: float = 0.99) -> Optimizer:
    def own_init(params: Params) -> State:
        return freeze({f"m/{name}": np.zeros_like(p) for name, p in params.items()})

    def own_step(params: Params, grads: Params, state: State, lr: SupportsFloat) -> tuple[Params, State]:
        new, m = dict(params), dict(state)
        for name, g in grads.items():
            new[name] = params[name] - float(lr) * np.sign(b1 * state[f"m/{name}"] + (1 - b1) * g)
            m[f"m/{name}"] = b2 * state[f"m/{name}"] + (1 - b2) * g
        return freeze(new), freeze(m)

    return own_init, own_step


NET = chain(hidden=dense(2, 16, (squareplus, squareplus_slope)), gain=gain(16), out=dense(16, 1))


def main() -> tuple[float, float]:
    """Prove the gradients, train with all four, and return the loss before and after."""
    draw = np.random.default_rng(0)
    x = draw.uniform(-2, 2, (256, 2))
    y = np.sin(x[:, :1]) * x[:, 1:]
    params = init(NET, key=0)
    print(f"the gradients of activation, loss and layer are {check_grads(NET, log_cosh, params, x[:9], y[:9])['verdict']}")

    before = loss(NET, log_cosh, params, x, y)
    for state, report in train(NET, log_cosh, params, x, y, epochs=60, lr=3e-3, optimizer=lion(), size=16):
        if report["epoch"] % 20 == 0:
            print(progress_line(report))
    after = loss(NET, log_cosh, current_params(state), x, y)
    print(f"loss {before:.4f} before, {after:.4f} after")
    return before, after


if __name__ == "__main__":
    main()
