"""Seeded bugs in activations, losses, penalties and transforms, each with the law that must catch it."""

from collections.abc import Callable
from typing import Any, SupportsFloat

import numpy as np

from nnfunc import AnyArray, Array, LossFn, Params
from nnfunc.testing import check_activation

# Activations


def raw_sigmoid(z: Array) -> Array:
    y: Array = np.exp(z) / (1 + np.exp(z))
    return y


def sigmoid_slope(z: Array) -> Array:
    e = np.exp(-np.abs(z))
    slope: Array = e / (1 + e) ** 2
    return slope


def in_place_relu(z: Array) -> Array:
    return np.maximum(z, 0, out=z)


def first_kept() -> Callable[[Array], Array]:
    kept: list[float] = []

    def f(z: Array) -> Array:
        kept.append(float(z.flat[0]))
        return np.sin(z) + len(kept)

    return f


ACTIVATIONS: dict[str, tuple[Callable[[], object], str]] = {
    "another's slope": (lambda: check_activation(np.tanh, sigmoid_slope), "gradient"),
    "slope of y for z": (lambda: check_activation(np.tanh, lambda z: 1 - z * z), "gradient"),
    "sign": (lambda: check_activation(np.cos, np.sin), "gradient"),
    "wrong between 7 and 13": (lambda: check_activation(np.sin, lambda z: np.cos(z) * (np.abs(z - 10) > 3)), "gradient"),
    "exp overflows": (lambda: check_activation(raw_sigmoid, sigmoid_slope), "stable"),
    "in place": (lambda: check_activation(in_place_relu, lambda z: (z > 0) * np.ones_like(z)), "arguments unchanged"),
    "normalised": (
        lambda: check_activation(lambda z: z / (1 + np.abs(z).max()), lambda z: 1 / (1 + np.abs(z).max()) + 0 * z),
        "elementwise",
    ),
    "upcast": (lambda: check_activation(lambda z: z * np.float64(2), lambda z: np.full_like(z, 2)), "dtype"),
    "slope upcast": (lambda: check_activation(lambda z: 2 * z, lambda z: np.full(z.shape, 2.0)), "dtype"),
    "identity by reference": (lambda: check_activation(lambda z: z, np.ones_like), "no aliasing"),
    "scalar slope": (lambda: check_activation(lambda z: 2 * z, lambda z: np.asarray(2.0, z.dtype)), "form"),
    "counts calls": (lambda: check_activation(first_kept(), np.cos), "same bits"),
    "slope halved in float32": (
        lambda: check_activation(np.sin, lambda z: np.cos(z) * (1 if z.dtype == np.float64 else 0.5)),
        "dtype",
    ),
    "right of 0 only": (lambda: check_activation(np.abs, lambda z: np.ones_like(z)), "gradient"),
}

# Losses


def squares(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    if outputs.shape != targets.shape:
        raise ValueError("shapes differ")
    e = outputs - targets.astype(outputs.dtype)
    k = e.size // len(e)
    return (e * e).reshape(len(e), -1).sum(axis=1) / k, 2 * e / k


def changed_loss(value: Callable[[Array, Array], AnyArray], gradient: Callable[[Array, Array], AnyArray]) -> LossFn:
    def loss_fn(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
        per_example, d = squares(outputs, targets)
        return value(per_example, outputs), gradient(d, outputs)

    return loss_fn


def broadcast(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    e = outputs - targets
    return (e * e).mean(axis=1), 2 * e / e.shape[1]


def softmax_of(z: Array) -> Array:
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    y: Array = powers / powers.sum(axis=1, keepdims=True)
    return y


def log_of_zero(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    rows, p = np.arange(len(outputs)), softmax_of(outputs)
    value = -np.log(p[rows, targets])
    p[rows, targets] -= 1
    return value, p


def clipped(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    rows, p = np.arange(len(outputs)), softmax_of(outputs)
    value = -np.log(np.maximum(p[rows, targets], 1e-3))
    p[rows, targets] -= 1
    return value, p


def no_shift(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    rows, powers = np.arange(len(outputs)), np.exp(outputs)
    total = powers.sum(axis=1)
    d = powers / total[:, None]
    d[rows, targets] -= 1
    return np.log(total) - outputs[rows, targets], d


def zero_times_log_zero(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    if outputs.shape != targets.shape:
        raise ValueError("shapes differ")
    return -(targets * np.log(outputs)).sum(axis=1), -targets / outputs


def in_place_loss(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    changed: Any = outputs
    changed -= targets
    return (changed**2).mean(axis=1), 2 * changed / changed.shape[1]


def aliasing_loss(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    if outputs.shape != targets.shape:
        raise ValueError("shapes differ")
    return (outputs * outputs).sum(axis=1) / 2, outputs


def euclidean(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    if outputs.shape != targets.shape:
        raise ValueError("shapes differ")
    e = outputs - targets
    size = np.sqrt((e * e).sum(axis=1))
    return size, e / size[:, None]


def own_buffer() -> LossFn:
    buffers: dict[object, Array] = {}

    def loss_fn(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
        per_example, d = squares(outputs, targets)
        kept = buffers.setdefault((d.shape, d.dtype), np.empty_like(d))
        kept[...] = d
        return per_example, kept

    return loss_fn


def of_any_length(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    classes = targets[: len(outputs)]
    rows, p = np.arange(len(classes)), softmax_of(outputs)
    below = outputs - outputs.max(axis=1, keepdims=True)
    p[rows, classes] -= 1
    return np.log(np.exp(below).sum(axis=1)) - below[rows, classes], p


def neighbours(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    per_example, d = squares(outputs, targets)
    return per_example - per_example.mean(), d


def missing_left_out(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    per_example, d = squares(outputs, targets)
    left_out: Array = np.where(np.isnan(targets), 0, d * d).sum(axis=1) * d.shape[1] / 4
    return left_out, d


def wrapping(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    """The logistic loss, whose 2 t - 1 is 255 for the 0 of an unsigned byte."""
    if outputs.shape != targets.shape:
        raise ValueError("shapes differ")
    signs = (2 * targets - 1).astype(outputs.dtype)
    return np.logaddexp(0, -signs * outputs).mean(axis=1), -signs * np.exp(-np.logaddexp(0, signs * outputs)) / 2


LOSSES: dict[str, tuple[LossFn, str]] = {
    "gradient halved": (changed_loss(lambda v, o: v, lambda d, o: d / 2), "gradient"),
    "gradient averaged over rows": (changed_loss(lambda v, o: v, lambda d, o: d / len(o)), "gradient"),
    "value averaged over rows too": (
        changed_loss(lambda v, o: v / len(o), lambda d, o: d / len(o)),
        "rows independent",
    ),
    "gradient not divided by the width": (changed_loss(lambda v, o: v, lambda d, o: d * o.shape[1]), "gradient"),
    "value half, gradient whole": (changed_loss(lambda v, o: v / 2, lambda d, o: d), "gradient"),
    "sign": (changed_loss(lambda v, o: v, lambda d, o: -d), "gradient"),
    "already a mean": (changed_loss(lambda v, o: np.asarray(v.mean()), lambda d, o: d), "form"),
    "value of shape (n, 1)": (changed_loss(lambda v, o: v[:, None], lambda d, o: d), "form"),
    "upcast": (changed_loss(lambda v, o: v.astype(np.float64), lambda d, o: d), "dtype"),
    "gradient upcast": (changed_loss(lambda v, o: v, lambda d, o: d * np.float64(1)), "dtype"),
    "broadcast": (broadcast, "equal shapes"),
    "in place": (in_place_loss, "arguments unchanged"),
    "gradient is the outputs": (aliasing_loss, "no aliasing"),
    "rows compared with their mean": (neighbours, "gradient"),
    "0 / 0 where all is right": (euclidean, "exact outputs"),
    "gradient in a kept buffer": (own_buffer(), "same bits"),
    "NaN left out of the value alone": (missing_left_out, "NaN targets"),
    "NaN taken for no error": (changed_loss(lambda v, o: np.nan_to_num(v), lambda d, o: d), "NaN outputs"),
    "value by float32": (changed_loss(lambda v, o: v.astype(np.float32).astype(o.dtype), lambda d, o: d), "gradient|precision"),
    "gradient by float32": (changed_loss(lambda v, o: v, lambda d, o: d.astype(np.float32).astype(o.dtype)), "precision"),
}
CLASS_LOSSES: dict[str, tuple[LossFn, str]] = {
    "log of zero": (log_of_zero, "stable"),
    "exp overflows": (no_shift, "stable"),
    "targets of any length": (of_any_length, "equal shapes"),
}

# Penalties and transforms


def penalty_of(value: Callable[[Array], SupportsFloat], gradient: Callable[[Array], AnyArray]) -> Any:
    def penalty(params: Params) -> tuple[float, Params]:
        found: Any = sum(
            value(a) for name, a in params.items() if name.endswith("W")
        )  # type checks are not the point here
        return found, {name: gradient(a) for name, a in params.items() if name.endswith("W")}

    return penalty


def shrinking(params: Params) -> tuple[float, Params]:
    held: Any = params
    for name in held:
        held[name] *= 0.9
    return 0.0, {}


def clipped_to(limit: float, grads: Params) -> Params:
    norm = float(np.sqrt(sum((a * a).sum() for a in grads.values())))
    return {name: a * (min(1.0, limit / norm) if norm else 1.0) for name, a in grads.items()}


def first_only(params: Params) -> tuple[float, Params]:
    name, array = next(iter(params.items()))
    return float((array**2).sum()), {name: 2 * array}


PENALTIES: dict[str, tuple[Any, str]] = {
    "factor 2 forgotten": (penalty_of(lambda a: float((a**2).sum()), lambda a: 1 * a), "gradient"),
    "gradient is the params": (penalty_of(lambda a: float((a**2).sum()) / 2, lambda a: a), "no aliasing"),
    "mean for sum": (penalty_of(lambda a: float((a**2).mean()), lambda a: 2 * a), "gradient"),
    "upcast": (penalty_of(lambda a: float((a**2).sum()), lambda a: 2 * a.astype(np.float64)), "dtype"),
    "value an array": (penalty_of(lambda a: (a**2).sum(axis=0), lambda a: 2 * a), "form"),
    "norm at 0": (penalty_of(lambda a: float(np.linalg.norm(a)), lambda a: a / np.linalg.norm(a)), "zero params"),
    "changes the params": (shrinking, "arguments unchanged"),
    "of the first name": (first_only, "order of names"),
    "short names": (lambda params: (0.0, {"W": params["hidden/W"]}), "form"),
    "another gradient at 0": (
        penalty_of(lambda a: float((a**2).sum()), lambda a: np.where(a == 0, 1, 2 * a).astype(a.dtype)),
        "gradient",
    ),
    "gradient by float32": (
        penalty_of(lambda a: float((a**2).sum()), lambda a: (2 * a).astype(np.float32).astype(a.dtype)),
        "precision",
    ),
    "a mean over no params": (
        lambda p: (float(sum((a**2).sum() for a in p.values()) / np.float64(len(p))), {n: 2 * a / len(p) for n, a in p.items()}),
        "no params",
    ),
    "gradients left out": (lambda params: (sum(float((a**2).sum()) for a in params.values()), {}), "gradient"),
}

TRANSFORMS: dict[str, tuple[Any, str]] = {
    "upcast": (lambda g: {name: a * np.float64(0.5) for name, a in g.items()}, "dtype"),
    "0 / 0": (lambda g: {name: a / np.linalg.norm(a) for name, a in g.items()}, "zero gradients"),
    "a name lost": (lambda g: dict(list(g.items())[1:]), "form"),
    "in place": (lambda g: {name: np.clip(a, -0.1, 0.1, out=a) for name, a in g.items()}, "arguments unchanged"),
    "norm overflows": (lambda g: clipped_to(1.0, g), "large gradients"),
    "norm of each overflows": (lambda g: {n: clipped_to(1.0, {n: a})[n] for n, a in g.items()}, "large gradients"),
    "NaN taken for 0": (lambda g: {name: np.nan_to_num(a) for name, a in g.items()}, "NaN"),
    "NaN compared": (lambda g: {name: np.fmin(a, 1) for name, a in g.items()}, "NaN"),
    "float32 on the way": (lambda g: {n: a.astype(np.float32).astype(a.dtype) for n, a in g.items()}, "precision"),
    "float16 on the way": (lambda g: {n: a.astype(np.float16).astype(a.dtype) for n, a in g.items()}, "precision"),
    "a name more": (lambda g: {**g, "norm": np.asarray(1.0)}, "form"),
}
