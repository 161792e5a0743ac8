"""Right optimisers, some written in unusual ways."""

import math
from typing import SupportsFloat

import numpy as np

from nnfunc import (
    AnyArray,
    Array,
    Optimizer,
    Params,
    State,
    freeze,
)
from tests.testing.makers import (
    each,
)


def nadam(p: Array, g: Array, s: dict[str, AnyArray], lr: float, t: int) -> tuple[AnyArray, dict[str, AnyArray]]:
    m, v = 0.9 * s["m"] + 0.1 * g, 0.999 * s["v"] + 0.001 * g * g
    look = 0.9 * m / (1 - 0.9 ** (t + 1)) + 0.1 * g / (1 - 0.9**t)
    return p - lr * look / (np.sqrt(v / (1 - 0.999**t)) + 1e-8), {"m": m, "v": v}


def sign_agreement(
    p: Array, g: Array, s: dict[str, AnyArray], lr: float, t: int
) -> tuple[AnyArray, dict[str, AnyArray]]:
    """Halve the step where the sign has turned."""
    return p - lr * g * np.where(g * s["s"] < 0, 0.5, 1).astype(g.dtype), {"s": np.sign(g)}


def amsgrad(p: Array, g: Array, s: dict[str, AnyArray], lr: float, t: int) -> tuple[AnyArray, dict[str, AnyArray]]:
    m, v = 0.9 * s["m"] + 0.1 * g, 0.999 * s["v"] + 0.001 * g * g
    most = np.maximum(s["most"], v)
    return p - lr * m / (np.sqrt(most) + 1e-8), {"m": m, "v": v, "most": most}


def adamax(p: Array, g: Array, s: dict[str, AnyArray], lr: float, t: int) -> tuple[AnyArray, dict[str, AnyArray]]:
    m, u = 0.9 * s["m"] + 0.1 * g, np.maximum(0.999 * s["u"], np.abs(g) + 1e-8)
    return p - lr / (1 - 0.9**t) * m / u, {"m": m, "u": u}


def radam(p: Array, g: Array, s: dict[str, AnyArray], lr: float, t: int) -> tuple[AnyArray, dict[str, AnyArray]]:
    m, v = 0.9 * s["m"] + 0.1 * g, 0.999 * s["v"] + 0.001 * g * g
    most, m_hat = 1999.0, m / (1 - 0.9**t)
    rho = most - 2 * t * 0.999**t / (1 - 0.999**t)
    if rho <= 5:
        return p - lr * m_hat, {"m": m, "v": v}
    r = math.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
    return p - lr * r * m_hat / (np.sqrt(v / (1 - 0.999**t)) + 1e-8), {"m": m, "v": v}


def adadelta(p: Array, g: Array, s: dict[str, AnyArray], lr: float, t: int) -> tuple[AnyArray, dict[str, AnyArray]]:
    e = 0.9 * s["e"] + 0.1 * g * g
    step = g * np.sqrt(s["d"] + 1e-6) / np.sqrt(e + 1e-6)
    return p - lr * step, {"e": e, "d": 0.9 * s["d"] + 0.1 * step * step}


def lion(p: Array, g: Array, s: dict[str, AnyArray], lr: float, t: int) -> tuple[AnyArray, dict[str, AnyArray]]:
    return p - lr * np.sign(0.9 * s["m"] + 0.1 * g), {"m": 0.99 * s["m"] + 0.01 * g}


def averaging(p: Array, g: Array, s: dict[str, AnyArray], lr: float, t: int) -> tuple[AnyArray, dict[str, AnyArray]]:
    """SGD that keeps a moving average of the params on the side."""
    new = p - lr * g
    return new, {"ema": 0.99 * s["ema"] + 0.01 * new}


def rmsprop_momentum(
    p: Array, g: Array, s: dict[str, AnyArray], lr: float, t: int
) -> tuple[AnyArray, dict[str, AnyArray]]:
    v = 0.99 * s["v"] + 0.01 * g * g
    b = 0.9 * s["b"] + g / (np.sqrt(v) + 1e-8)
    return p - lr * b, {"v": v, "b": b}


def adagrad_momentum(
    p: Array, g: Array, s: dict[str, AnyArray], lr: float, t: int
) -> tuple[AnyArray, dict[str, AnyArray]]:
    a = s["a"] + g * g
    b = 0.9 * s["b"] + g / (np.sqrt(a) + 1e-10)
    return p - lr * b, {"a": a, "b": b}


def warmed_up(p: Array, g: Array, s: dict[str, AnyArray], lr: float, t: int) -> tuple[AnyArray, dict[str, AnyArray]]:
    return p - lr * min(1.0, t / 10) * g, {}


def one_vector() -> Optimizer:
    """Momentum whose whole state is one vector, in sorted order of names."""

    def init(params: Params) -> State:
        dtype = next(iter(params.values())).dtype
        return {"v": np.zeros(sum(p.size for p in params.values()), dtype)}

    def step(params: Params, grads: Params, state: State, lr: SupportsFloat) -> tuple[Params, State]:
        v, at = state["v"].copy(), 0
        new: dict[str, Array] = {}
        for name in sorted(params):
            here = slice(at, at + params[name].size)
            at += params[name].size
            if name in grads:
                v[here] = 0.9 * v[here] + grads[name].ravel()
                new[name] = params[name] - float(lr) * v[here].reshape(params[name].shape)
            else:
                new[name] = params[name]
        return freeze({name: new[name] for name in params}), freeze({"v": v})

    return init, step


def lookahead(every: int = 5) -> Optimizer:
    def init(params: Params) -> State:
        return {"k": np.asarray(0), **{f"slow/{name}": p.copy() for name, p in params.items()}}

    def step(params: Params, grads: Params, state: State, lr: SupportsFloat) -> tuple[Params, State]:
        if not grads:
            return params, state
        k, new, after = int(state["k"]) + 1, dict(params), dict(state)
        for name, g in grads.items():
            new[name] = params[name] - float(lr) * g
            if k % every == 0:
                new[name] = after[f"slow/{name}"] = state[f"slow/{name}"] + 0.5 * (new[name] - state[f"slow/{name}"])
        return freeze(new), freeze({**after, "k": np.asarray(k)})

    return init, step


def simple_sgd(params: Params, grads: Params, state: State, lr: SupportsFloat) -> tuple[Params, State]:
    return {name: p - float(lr) * grads[name] if name in grads else p for name, p in params.items()}, {}


def normalised(params: Params, grads: Params, state: State, lr: SupportsFloat) -> tuple[Params, State]:
    size = math.sqrt(sum(float(np.vdot(g, g)) for g in grads.values())) or 1.0
    return {n: p - float(lr) / size * grads[n] if n in grads else p for n, p in params.items()}, {}


def averaged() -> Optimizer:
    """SGD with an average of all params, which moves in every step."""

    def init(params: Params) -> State:
        return {f"mean/{name}": p.copy() for name, p in params.items()}

    def step(params: Params, grads: Params, state: State, lr: SupportsFloat) -> tuple[Params, State]:
        new = {n: p - float(lr) * grads[n] if n in grads else p for n, p in params.items()}
        return new, {f"mean/{n}": 0.9 * state[f"mean/{n}"] + 0.1 * p for n, p in new.items()}

    return init, step


def accumulating(every: int = 4) -> Optimizer:
    """SGD along the mean of a few gradients; in between, the params are handed back."""

    def init(params: Params) -> State:
        return {"count": np.asarray(0), **{f"sum/{name}": np.zeros_like(p) for name, p in params.items()}}

    def step(params: Params, grads: Params, state: State, lr: SupportsFloat) -> tuple[Params, State]:
        if not grads:
            return params, state
        count, new = int(state["count"]) + 1, dict(params)
        after = {**state, "count": np.asarray(count)}
        for name, g in grads.items():
            total = state[f"sum/{name}"] + g
            after[f"sum/{name}"] = total if count % every else np.zeros_like(total)
            new[name] = params[name] if count % every else params[name] - float(lr) / every * total
        return new, after

    return init, step


def trusting(p: Array, g: Array, s: dict[str, AnyArray], lr: float, t: int) -> tuple[AnyArray, dict[str, AnyArray]]:
    """LARS: a step as long as a share of the parameter, and a plain one where that is 0."""
    ratio = float(np.linalg.norm(p)) / (float(np.linalg.norm(g)) + 1e-8) if np.any(p) else 1.0
    return p - lr * ratio * g, {}


OPTIMIZERS: dict[str, Optimizer] = {
    "nadam": each({"m": 0.0, "v": 0.0}, nadam, True),
    "adamax": each({"m": 0.0, "u": 0.0}, adamax, True),
    "sign agreement": each({"s": 0.0}, sign_agreement),
    "radam": each({"m": 0.0, "v": 0.0}, radam, True),
    "adadelta": each({"e": 0.0, "d": 0.0}, adadelta),
    "lion": each({"m": 0.0}, lion),
    "averaging on the side": each({"ema": 0.0}, averaging),
    "rmsprop with momentum": each({"v": 0.0, "b": 0.0}, rmsprop_momentum),
    "adagrad with momentum": each({"a": 0.0, "b": 0.0}, adagrad_momentum),
    "warm-up inside": each({}, warmed_up, True),
    "state of one vector": one_vector(),
    "lookahead": lookahead(),
    "plain dicts": ((lambda params: {}), simple_sgd),
    "gradients accumulated": accumulating(),
    "trust ratio": each({}, trusting),
    "decay beside the gradient": each({}, lambda p, g, s, lr, t: (p - lr * (g + 0.01 * p), {})),
    "normalised by all gradients": ((lambda params: {}), normalised),
}

AVERAGED = averaged()
UNCORRECTED = each({"m": 0.0, "v": 0.0, "most": 0.0}, amsgrad)
