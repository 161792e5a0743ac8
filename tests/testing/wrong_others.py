"""Seeded bugs in schedules, initialisers, metrics, monitors and other functions, each with the law that catches it."""

from collections.abc import Callable
from typing import Any, SupportsFloat

import numpy as np

from nnfunc import AnyArray, Array, Monitor, State, generator
from nnfunc.testing import (
    check_initializer,
    check_metric,
    check_monitor,
    check_pure,
    check_schedule,
)
from tests.numeric import bad
from tests.testing.makers import TARGETS, VALUES, X, drawing


def every_call() -> Callable[[int], float]:
    calls: list[int] = []

    def schedule(step: int) -> float:
        calls.append(step)
        return 1 / len(calls)

    return schedule


ONE_GENERATOR = np.random.default_rng(0)
ZEROS: dict[tuple[tuple[int, ...], str], AnyArray] = {
    (shape, dtype): np.zeros(shape, dtype) for shape in ((40, 30), (30, 40)) for dtype in ("float32", "float64")
}
ZERO_STATE: State = {"best": np.asarray(np.inf)}


def nan_improves(state: State, metric: SupportsFloat) -> State:
    return state if float(metric) >= float(state["best"]) else {"best": np.asarray(float(metric))}


def less_the_last() -> Callable[[Array], float]:
    last = [0.0]

    def f(a: Array) -> float:
        now = float(a.sum())
        found, last[0] = now - last[0], now
        return found

    return f


def error(outputs: Array, targets: AnyArray) -> float:
    return float(np.abs(outputs - targets).mean())


def patient(limit: int) -> Monitor:
    """Early stopping whose count is in a closure."""
    worse = [0]

    def update(state: State, metric: SupportsFloat) -> State:
        if float(metric) < float(state["best"]):
            return {"best": np.asarray(float(metric)), "stop": np.asarray(False)}
        worse[0] += 1
        return {**state, "stop": np.asarray(worse[0] >= limit)}

    return (lambda: {"best": np.asarray(np.inf), "stop": np.asarray(False)}), update


def told(best: float, rule: Callable[[State, float], dict[str, object]]) -> Monitor:
    """A monitor of one number, the best, and of a flag."""

    def update(state: State, metric: SupportsFloat) -> State:
        return {name: np.asarray(value) for name, value in rule(state, float(metric)).items()}

    return (lambda: {"best": np.asarray(best), "improved": np.asarray(False)}), update


def kept_up() -> Callable[[int], float]:
    state = [1.0, 0.0]

    def schedule(step: int) -> float:
        if step > state[1]:
            state[0], state[1] = state[0] * 0.99 ** (step - state[1]), step
        return state[0]

    return schedule


OTHERS: dict[str, tuple[Callable[[], object], str]] = {
    "less the last sum": (lambda: check_pure(less_the_last(), X), "same bits"),
    "adds to a set": (lambda: check_pure(lambda s: s.add(9), {1, 2}), "arguments unchanged"),
    "schedule kept up step by step": (lambda: check_schedule(kept_up()), "same bits|order of calls"),
    "negative half forgotten": (
        lambda: check_initializer(
            drawing(lambda k, s: generator(k).uniform(0, (6 / s[0]) ** 0.5, s)), std=(2 / 40) ** 0.5
        ),
        "spread",
    ),
    "metric of neighbours": (
        lambda: check_metric(lambda o, t: float(np.abs(np.diff(o, axis=0)).mean()), VALUES, TARGETS),
        "with the rows in another order",
    ),
    "NumPy float": (lambda: check_schedule(lambda step: np.float64(0.9) ** step), "form"),
    "a step late": (lambda: check_schedule(lambda step: 0.5 ** (step + 1), {0: 1.0, 1: 0.5}), "values"),
    "a step early": (lambda: check_schedule(lambda step: 1.0 if step < 10 else 0.1, {9: 0.1, 10: 0.1}), "values"),
    "counts its calls": (lambda: check_schedule(every_call()), "same bits|order of calls"),
    "end not held": (lambda: check_schedule(lambda step: 1 - step / 50), "form"),
    "divides by step": (lambda: check_schedule(lambda step: 1 / step), "form"),
    "array": (lambda: check_schedule(lambda step: bad(np.asarray(0.5))), "form"),
    "key ignored": (lambda: check_initializer(drawing(lambda k, s: np.random.default_rng(0).normal(size=s))), "keys"),
    "path ignored": (
        lambda: check_initializer(
            drawing(lambda k, s: np.random.default_rng(k if isinstance(k, int) else k[0]).normal(size=s))
        ),
        "keys",
    ),
    "global draws": (lambda: check_initializer(drawing(lambda k, s: np.random.normal(size=s))), "global random state"),
    "one generator": (lambda: check_initializer(drawing(lambda k, s: ONE_GENERATOR.normal(size=s))), "same bits"),
    "transposed": (lambda: check_initializer(drawing(lambda k, s: generator(k).normal(size=s[::-1]))), "form"),
    "always float64": (lambda: check_initializer(lambda key, shape, dtype: generator(key).normal(size=shape)), "form"),
    "kept array": (lambda: check_initializer(lambda key, shape, dtype: ZEROS[shape, dtype.name]), "no aliasing"),
    "variance for deviation": (
        lambda: check_initializer(drawing(lambda k, s: generator(k).normal(0, 2 / s[0], s)), std=(2 / 40) ** 0.5),
        "spread",
    ),
    "metric of the order": (
        lambda: check_metric(lambda o, t: float((o[:, 0] * np.arange(len(o))).sum()), VALUES, TARGETS),
        "with the rows in another order",
    ),
    "metric an array": (lambda: check_metric(lambda o, t: bad((o - t).mean(axis=0)), VALUES, TARGETS), "form"),
    "metric sorts in place": (lambda: check_metric(sorting, VALUES, TARGETS), "arguments unchanged"),
    "n by n differences": (lambda: check_metric(error, VALUES[:, :1], TARGETS[:, 0]), "equal shapes"),
    "column and vector": (lambda: check_metric(error, VALUES[:, :1], TARGETS[:, :1]), "equal shapes"),
    "metric of the last row": (
        lambda: check_metric(lambda o, t: float(o[-1, 0]), VALUES[:2], TARGETS[:2]),
        "with the rows",
    ),
    "metric by memory": (
        lambda: check_metric(lambda o, t: float(o.ravel("A")[0] + o.max()), VALUES, TARGETS),
        "with |in another",
    ),
    "counts in a closure": (lambda: check_monitor(patient(3)), "same bits|sequences"),
    "counts in a closure for long": (lambda: check_monitor(patient(90)), "sequences"),
    "the higher the better": (
        lambda: check_monitor(told(-np.inf, lambda s, m: {"best": np.fmax(s["best"], m), "improved": m > s["best"]})),
        "best",
    ),
    "equal improves": (
        lambda: check_monitor(told(np.inf, lambda s, m: {"best": np.fmin(s["best"], m), "improved": m <= s["best"]})),
        "best",
    ),
    "state of objects": (
        lambda: check_monitor(((lambda: {"seen": np.array(None)}), lambda s, m: {"seen": np.array(m, object)})),
        "form",
    ),
    "grows without end": (lambda: check_schedule(lambda step: 1e-4 * 1.1**step), "form"),
    "NaN improves": (lambda: check_monitor(((lambda: ZERO_STATE), nan_improves)), "NaN"),
    "returns its argument": (lambda: check_pure(lambda a: a, X), "no aliasing"),
    "sorts in place": (lambda: check_pure(lambda a: a.sort(), X), "arguments unchanged"),
    "appends": (lambda: check_pure(lambda a: a.append(1), [1, 2]), "arguments unchanged"),
    "seeds": (lambda: check_pure(lambda a: np.random.seed(0), X), "global random state"),
}


def sorting(outputs: Array, targets: AnyArray) -> float:
    held: Any = outputs
    held.sort(axis=0)
    return float(held[0, 0])
