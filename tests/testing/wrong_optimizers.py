"""Seeded bugs in optimisers, each with the law, or the laws any of which, must catch it."""

from collections.abc import Callable
from functools import partial
from typing import Any, SupportsFloat

import numpy as np

from nnfunc import AnyArray, Array, Optimizer, Params, State, adam, by_name, freeze
from tests.testing.makers import each


def adam_rule(
    p: Array,
    g: Array,
    s: dict[str, AnyArray],
    lr: float,
    t: int,
    b1: float = 0.9,
    b2: float = 0.999,
    corrected: str = "mv",
) -> tuple[AnyArray, dict[str, AnyArray]]:
    m, v = b1 * s["m"] + (1 - b1) * g, b2 * s["v"] + (1 - b2) * g * g
    m_hat = m / (1 - b1**t) if "m" in corrected else m
    v_hat = v / (1 - b2**t) if "v" in corrected else v
    return p - lr * m_hat / (np.sqrt(v_hat) + 1e-8), {"m": m, "v": v}


def swapped_roles(
    p: Array, g: Array, s: dict[str, AnyArray], lr: float, t: int
) -> tuple[AnyArray, dict[str, AnyArray]]:
    m, v = 0.9 * s["m"] + 0.1 * g, 0.999 * s["v"] + 0.001 * g * g
    return p - lr * (v / (1 - 0.999**t)) / (np.sqrt(np.abs(m / (1 - 0.9**t))) + 1e-8), {"m": m, "v": v}


def swapped_slots(
    p: Array, g: Array, s: dict[str, AnyArray], lr: float, t: int
) -> tuple[AnyArray, dict[str, AnyArray]]:
    new, found = adam_rule(p, g, s, lr, t)
    return new, {"m": found["v"], "v": found["m"]}


def short_names(beta: float = 0.9) -> Optimizer:
    def init(params: Params) -> State:
        return {name.rpartition("/")[2]: np.zeros_like(p) for name, p in params.items()}

    def step(params: Params, grads: Params, state: State, lr: SupportsFloat) -> tuple[Params, State]:
        new, after = dict(params), dict(state)
        for name, g in grads.items():
            short = name.rpartition("/")[2]
            after[short] = beta * after[short] + g
            new[name] = params[name] - float(lr) * after[short]
        return freeze(new), freeze(after)

    return init, step


def counting_outside() -> Optimizer:
    count = [0]

    def step(params: Params, grads: Params, state: State, lr: SupportsFloat) -> tuple[Params, State]:
        count[0] += 1
        return freeze({**params, **{n: params[n] - float(lr) / count[0] * g for n, g in grads.items()}}), {}

    return (lambda params: {}), step


def in_place_step(params: Params, grads: Params, state: State, lr: SupportsFloat) -> tuple[Params, State]:
    held: Any = params
    for name, g in grads.items():
        held[name] -= float(lr) * g
    return held, state


def plain(step: Callable[..., object]) -> Any:
    def stepped(params: Params, grads: Params, state: State, lr: SupportsFloat) -> object:
        return step(params, grads, lr)

    return (lambda params: {}), stepped


def zipped(params: Params, grads: Params, lr: SupportsFloat) -> object:
    new = {name: p - float(lr) * g for (name, p), g in zip(params.items(), grads.values(), strict=False)}
    return freeze({**params, **new}), {}


def decaying_all(params: Params, grads: Params, lr: SupportsFloat) -> object:
    whole = {**{name: np.zeros_like(p) for name, p in params.items()}, **grads}
    return freeze({n: p - float(lr) * (whole[n] + 0.01 * p) for n, p in params.items()}), {}


def momentum_rule(
    p: Array, g: Array, s: dict[str, AnyArray], lr: float, t: int
) -> tuple[AnyArray, dict[str, AnyArray]]:
    v = 0.9 * s["v"] + g
    return p - lr * v, {"v": v}


def lars(p: Array, g: Array, s: dict[str, AnyArray], lr: float, t: int) -> tuple[AnyArray, dict[str, AnyArray]]:
    return p - lr * np.linalg.norm(p) / np.linalg.norm(g) * g, {}


def frozen_count(p: Array, g: Array, s: dict[str, AnyArray], lr: float, t: int) -> tuple[AnyArray, dict[str, AnyArray]]:
    return adam_rule(p, g, s, lr, 1)


ADAM = {"m": 0.0, "v": 0.0}
OPTIMIZERS: dict[str, tuple[Any, str]] = {
    "0 / 0 at zero gradients": (each({}, lars), "zero gradients"),
    "corrections stay those of the first step": (each(ADAM, frozen_count, True), "first steps"),
    "another step in float32": (
        plain(
            lambda p, g, lr: (
                freeze({**p, **{n: p[n] - (float(lr) if p[n].dtype == np.float64 else 0) * g[n] for n in g}}),
                {},
            )
        ),
        "dtype",
    ),
    "uphill": (plain(lambda p, g, lr: (freeze({**p, **{n: p[n] + float(lr) * g[n] for n in g}}), {})), "descent"),
    "moments swapped in their roles": (each(ADAM, swapped_roles, True), "descent"),
    "moments swapped in the state": (each(ADAM, swapped_slots, True), "form|descent|memory|first steps|zero gradients"),
    "b1 and b2 swapped": (each(ADAM, partial(adam_rule, b1=0.999, b2=0.9), True), "descent"),
    "no bias correction": (each(ADAM, partial(adam_rule, corrected=""), True), "first steps"),
    "no bias correction of v": (each(ADAM, partial(adam_rule, corrected="m"), True), "first steps"),
    "no bias correction in one group": (
        by_name({"hidden/*": each(ADAM, partial(adam_rule, corrected=""), True), "*": adam()}),
        "first steps",
    ),
    "leaves a layer as it is": (by_name({"hidden/*": adam(), "*": None}), "zero params"),
    "momentum that forgets": (each({"v": 0.0}, lambda p, g, s, lr, t: (p - lr * g, {"v": g})), "memory"),
    "momentum never stored": (each({"v": 0.0}, lambda p, g, s, lr, t: (p - lr * (0.9 * s["v"] + g), {})), "memory"),
    "short names": (short_names(), "form|order of names"),
    "counts outside of the state": (counting_outside(), "same bits"),
    "in place": (((lambda params: {}), in_place_step), "arguments unchanged"),
    "upcast": (plain(lambda p, g, lr: (freeze({**p, **{n: p[n] - np.float64(lr) * g[n] for n in g}}), {})), "dtype"),
    "learning rate as it comes": (
        plain(lambda p, g, lr: (freeze({**p, **{n: p[n] - lr * g[n] for n in g}}), {})),
        "dtype",
    ),
    "names zipped": (plain(zipped), "unmentioned names|order of names"),
    "decays what has no gradient": (plain(decaying_all), "unmentioned names"),
    "loses what has no gradient": (
        plain(lambda p, g, lr: (freeze({n: p[n] - float(lr) * g[n] for n in g}), {})),
        "unmentioned names",
    ),
    "decay outside of the learning rate": (
        plain(lambda p, g, lr: (freeze({**p, **{n: 0.99 * p[n] - float(lr) * g[n] for n in g}}), {})),
        "learning rate of 0",
    ),
    "state is a list": (((lambda params: []), lambda p, g, s, lr: (p, s)), "form"),
    "state holds a number": (((lambda params: {"t": 0}), lambda p, g, s, lr: (p, s)), "form"),
    "stuck at 0": (
        each({}, lambda p, g, s, lr, t: (p - lr * np.linalg.norm(p) / (np.linalg.norm(g) + 1e-8) * g, {})),
        "zero params",
    ),
    "float32 on the way": (
        plain(lambda p, g, lr: (freeze({**p, **{n: (p[n] - float(lr) * g[n].astype(np.float32)).astype(p[n].dtype) for n in g}}), {})),
        "precision",
    ),
    "learning rate of the first step": (
        (
            lambda params: {"lr": np.asarray(0.0)},
            lambda p, g, s, lr: (
                {n: p[n] - (float(s["lr"]) or float(lr)) * g[n] if n in g else p[n] for n in p},
                {"lr": np.asarray(float(s["lr"]) or float(lr))},
            ),
        ),
        "learning rate",
    ),
    "moments of half the precision": (
        (
            lambda params: {n: np.zeros(p.shape, np.float32) for n, p in params.items()},
            lambda p, g, s, lr: (
                {n: (p[n] - float(lr) * (s[n] + g[n])).astype(p[n].dtype) if n in g else p[n] for n in p},
                {n: (0.9 * (s[n] + g[n])).astype(np.float32) if n in g else s[n] for n in p},
            ),
        ),
        "dtype",
    ),
    "makes params of unknown gradients": (
        plain(lambda p, g, lr: ({**p, **{n: p.get(n, 0) - float(lr) * g[n] for n in g}}, {})),
        "unknown names",
    ),
    "a difference of squares": (
        each(
            {"v": 0.0, "m": 0.0},
            lambda p, g, s, lr, t: (
                p - lr * g / (np.sqrt(0.9 * s["v"] + 0.1 * g * g - (0.9 * s["m"] + 0.1 * g) ** 2) + 1e-8),
                {"v": 0.9 * s["v"] + 0.1 * g * g, "m": 0.9 * s["m"] + 0.1 * g},
            ),
        ),
        "zero gradients|huge",
    ),
    "keeps the gradient itself": (
        (
            lambda params: {n: np.zeros_like(p) for n, p in params.items()},
            lambda p, g, s, lr: (
                {n: p[n] - float(lr) * (g[n] + 0.5 * s[n]) if n in g else p[n] for n in p},
                {**s, **g},
            ),
        ),
        "no aliasing",
    ),
}
