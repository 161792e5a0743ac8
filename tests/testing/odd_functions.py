"""Right activations, losses, penalties, transforms and the like, some written in unusual ways."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from nnfunc import (
    AnyArray,
    Array,
    Key,
    Params,
    fold_in,
    generator,
    leaky_relu,
)
from nnfunc.testing import (
    check_activation,
    check_initializer,
    check_loss,
    check_metric,
    check_monitor,
    check_penalty,
    check_pure,
    check_schedule,
    check_transform,
)
from tests.testing.makers import (
    CLASSES,
    LOGITS,
    PROBABILITIES,
    TARGETS,
    VALUES,
    X,
    drawing,
)


def quantile(outputs: Array, targets: AnyArray, q: float = 0.9) -> tuple[Array, Array]:
    if outputs.shape != targets.shape:
        raise ValueError(f"quantile: targets must have the shape {outputs.shape} of the outputs, got {targets.shape}")
    e = targets - outputs
    return np.maximum(q * e, (q - 1) * e).mean(axis=1), np.where(e > 0, -q, 1 - q).astype(outputs.dtype) / e.shape[1]


def poisson(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    if outputs.shape != targets.shape:
        raise ValueError("poisson: targets must have the shape of the outputs")
    rate = np.exp(outputs)
    return (rate - targets * outputs).sum(axis=1), rate - targets


def hinge(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    """Multi-class hinge: classes as ints."""
    rows = np.arange(len(outputs))
    own = outputs[rows, targets]
    margins = outputs - own[:, None] + 1
    margins[rows, targets] = -np.inf
    worst = margins.argmax(axis=1)
    active = margins[rows, worst] > 0
    d = np.zeros_like(outputs)
    d[rows, worst] += active
    d[rows, targets] -= active
    return np.maximum(margins[rows, worst], 0), d


def gaussian_nll(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    """Mean and log-variance in two columns, one target."""
    if targets.shape != (len(outputs), 1):
        raise ValueError("gaussian_nll: targets must have one column")
    mean, s = outputs[:, 0], outputs[:, 1]
    e, inverse = mean - targets[:, 0], np.exp(-s)
    d = np.stack([e * inverse, 0.5 - 0.5 * e * e * inverse], axis=1)
    return 0.5 * s + 0.5 * e * e * inverse, d


def brier(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    if outputs.shape != targets.shape:
        raise ValueError("brier: targets must have the shape of the outputs")
    e = outputs - targets
    return np.einsum("ij,ij->i", e, e), 2 * e


def group_lasso(params: Params) -> tuple[float, Params]:
    value, grads = 0.0, {}
    for name, W in params.items():
        if W.ndim == 2:
            norms = np.sqrt((W * W).sum(axis=1, keepdims=True))
            value += 0.1 * float(norms.sum())
            grads[name] = 0.1 * np.divide(W, norms, out=np.zeros_like(W), where=norms > 0)
    return value, grads


def nothing(params: Params) -> tuple[float, Params]:
    return 0.0, {}


def without_missing(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    if outputs.shape != targets.shape:
        raise ValueError("targets must have the shape of the outputs")
    e = np.where(np.isnan(targets), 0, outputs - targets).astype(outputs.dtype)
    return (e * e).sum(axis=1), 2 * e


def orthogonal_columns(params: Params) -> tuple[float, Params]:
    value, grads = 0.0, {}
    for name, W in params.items():
        if W.ndim == 2:
            off = W.T @ W - np.eye(W.shape[1], dtype=W.dtype)
            value, grads[name] = value + float((off * off).sum()), 4 * W @ off
    return value, grads


def centralised(grads: Params) -> Params:
    return {name: g - g.mean(axis=0) if g.ndim > 1 else g for name, g in grads.items()}


FUNCTIONS: dict[str, Callable[[], object]] = {
    "hard tanh": lambda: check_activation(lambda z: np.clip(z, -1, 1), lambda z: (np.abs(z) < 1).astype(z.dtype)),
    "sine": lambda: check_activation((np.sin, np.cos)),
    "bent identity": lambda: check_activation(
        lambda z: (np.hypot(z, 1) - 1) / 2 + z, lambda z: z / (2 * np.hypot(z, 1)) + 1
    ),
    "exp": lambda: check_activation(np.exp, np.exp),
    "steps": lambda: check_activation(np.sign, np.zeros_like),
    "a partial": lambda: check_activation(partial(leaky_relu, negative_slope=0.3)),
    "quantile": lambda: check_loss(quantile, VALUES, TARGETS),
    "poisson": lambda: check_loss(poisson, VALUES, np.abs(TARGETS).round()),
    "hinge": lambda: check_loss(hinge, LOGITS, CLASSES),
    "two columns, one target": lambda: check_loss(gaussian_nll, VALUES, TARGETS[:, :1]),
    "brier": lambda: check_loss(brier, PROBABILITIES, np.array([[0.0, 1], [1, 0], [1, 0]])),
    "group lasso": lambda: check_penalty(group_lasso),
    "all right already": lambda: check_loss(quantile, np.ones((4, 2)), np.ones((4, 2)) * [[1.0, 2.0]]),
    "no penalty": lambda: check_penalty(nothing),
    "centralised gradients": lambda: check_transform(centralised),
    "hidden layers frozen, declared": lambda: check_transform(
        lambda grads: {n: g for n, g in grads.items() if not n.startswith("hidden/")}, frozen=["hidden/*"]
    ),
    "NaN taken for 0, declared": lambda: check_transform(
        lambda grads: {n: np.nan_to_num(g) for n, g in grads.items()}, keeps_nan=False
    ),
    "sorted by name": lambda: check_transform(lambda grads: {n: grads[n] for n in sorted(grads, reverse=True)}),
    "signs": lambda: check_transform(lambda grads: {n: np.sign(g) for n, g in grads.items()}),
    "spikes skipped": lambda: check_transform(
        lambda grads: grads if max(abs(g).max() for g in grads.values()) < 1e3 else {n: 0 * g for n, g in grads.items()},
        keeps_nan=False,
    ),
    "targets missing": lambda: check_loss(without_missing, VALUES, TARGETS),
    "orthogonal columns": lambda: check_penalty(orthogonal_columns),
    "no transform": lambda: check_transform(lambda grads: grads),
    "scaled noise": lambda: check_transform(
        lambda grads: {
            n: g + 0.01 * generator((1, len(n))).standard_normal(g.shape).astype(g.dtype) for n, g in grads.items()
        }
    ),
}


def orthogonal(key: Key, shape: tuple[int, ...]) -> AnyArray:
    q: AnyArray = np.linalg.qr(generator(key).normal(size=(max(shape), min(shape))))[0]
    return q if q.shape == shape else np.ascontiguousarray(q.T)


OTHERS: dict[str, Callable[[], object]] = {
    "orthogonal": lambda: check_initializer(drawing(orthogonal)),
    "uniform from 0": lambda: check_initializer(drawing(lambda k, s: generator(k).random(s)), std=12**-0.5),
    "identity": lambda: check_initializer(drawing(lambda key, shape: np.eye(shape[0], shape[1]))),
    "ramp": lambda: check_initializer(drawing(lambda key, shape: np.linspace(-1, 1, math.prod(shape)).reshape(shape))),
    "cosines": lambda: check_initializer(
        drawing(lambda k, s: np.cos(np.pi * np.outer(np.arange(s[0]) + 0.5, np.arange(s[1])) / s[0]))
    ),
    "sparse": lambda: check_initializer(
        drawing(lambda k, s: generator(k).normal(size=s) * (generator(fold_in(k, 1)).random(s) < 0.2))
    ),
    "whole numbers": lambda: check_schedule(lambda step: 1 if step < 10 else 0),
    "a table": lambda: check_schedule(lambda step: [0.1, 0.2, 0.3][min(step, 2)], {0: 0.1, 2: 0.3, 3: 0.3}),
    "a cycle": lambda: check_schedule(lambda step: 0.1 + 0.05 * (step % 7)),
    "grows without end, declared": lambda: check_schedule(lambda step: 1e-4 * 1.1**step, bounded=False),
    "flat errors": lambda: check_metric(lambda o, t: float(np.abs(o.ravel() - t.ravel()).max()), VALUES[:, :1], TARGETS[:, 0]),
    "paired by hand": lambda: check_metric(lambda o, t: float(np.abs(o[:, 0] - t).mean()), VALUES[:, :1], TARGETS[:, 0]),
    "broadcasts, declared": lambda: check_metric(
        lambda o, t: float(np.abs(o - t).mean()), VALUES[:, :1], TARGETS[:, :1], equal_shapes=False
    ),
    "a count": lambda: check_metric(lambda o, t: np.sum(o.argmax(axis=1) != t), LOGITS, CLASSES),
    "lowest of all": lambda: check_monitor(
        (lambda: {"low": np.asarray(np.inf)}, lambda s, m: {"low": np.asarray(float(np.fmin(s["low"], float(m))))})
    ),
    "state handed back": lambda: check_monitor(
        (
            lambda: {"best": np.asarray(np.inf), "seen": np.asarray(0)},
            lambda s, m: {**s, "best": np.asarray(float(m))} if float(m) < float(s["best"]) else s,
        )
    ),
    "mean error": lambda: check_metric(lambda o, t: float(np.abs(o - t).mean()), VALUES, TARGETS),
    "a NumPy float": lambda: check_metric(lambda o, t: np.abs(o - t).max(), VALUES, TARGETS),
    "pure": lambda: check_pure(lambda a, b: {"sum": a + b, "list": [a.copy()]}, X, X),
    "an iterator": lambda: check_pure(lambda n: iter(range(n)), 3),
}
