"""Optimisers: pairs of pure functions ``(init, step)``.

    init(params)                    -> state
    step(params, grads, state, lr)  -> (params, state)

A state is a flat immutable dict: per slot of the optimiser and per parameter
one array, ``"m/hidden/W"``. Each parameter is stepped by itself, so the result
for one does not depend on the others or on their order, and a name without a
gradient passes through untouched, with its part of the state.

Formulas are written with p the parameter, g its gradient, lr the learning
rate, and t the number of updates that this parameter has had, from 1.
"""

from __future__ import annotations

from functools import partial
from typing import SupportsFloat

import numpy as np

from nnfunc.pieces.stepping import Slots, check_state, initial, sgd_step, stepped
from nnfunc.values.arrays import number
from nnfunc.values.checks import above_zero, as_flag, as_number, as_share
from nnfunc.values.params import sealed
from nnfunc.values.types import Array, Optimizer, Params, State


def sgd() -> Optimizer:
    """Return gradient descent, p - lr g, as an optimiser; its state is empty.

    Example:
        >>> init, step = sgd()
        >>> params, state = step({"p": np.array([1.0])}, {"p": np.array([2.0])}, init({"p": np.array([1.0])}), 0.1)
        >>> params["p"], dict(state)
        (array([0.8]), {})
    """
    return partial(initial, "sgd", {}), _sgd_step


_NOTHING: State = sealed({})


def _sgd_step(params: Params, grads: Params, state: State, lr: SupportsFloat) -> tuple[Params, State]:
    """Step down the gradient, if the state is as empty as it must be."""
    new = sgd_step(params, grads, lr)
    if state or not hasattr(state, "keys"):
        check_state("sgd", {}, state, params)
    return new, _NOTHING


def momentum(beta: SupportsFloat = 0.9, nesterov: bool = False) -> Optimizer:
    """Return gradient descent with momentum: v = beta v + g, then p - lr v.

    With `nesterov`, p - lr (g + beta v). The learning rate stands outside of v,
    as in PyTorch and optax; Keras and scikit-learn put it inside, which differs
    when it changes.

    Args:
        beta: share of v that is kept, in [0, 1); 0 is `sgd`.
        nesterov: whether to look one step ahead.

    Raises:
        TypeError, ValueError: `beta` is not in [0, 1); in use, as `adam`.

    Example:
        >>> init, step = momentum(0.5)
        >>> params, g = {"p": np.array([1.0])}, {"p": np.array([1.0])}
        >>> params, state = step(params, g, init(params), 0.1)
        >>> params, state = step(params, g, state, 0.1)
        >>> params["p"], state["velocity/p"]
        (array([0.75]), array([1.5]))

    Reference:
        Polyak (1964); Sutskever, Martens, Dahl & Hinton (2013), section 2.
    """
    share, fills = as_share("momentum", "beta", beta), {"velocity": 0.0}
    rule = partial(_momentum_rule, share, as_flag("momentum", "nesterov", nesterov))
    return partial(initial, "momentum", fills, numbers={"beta": share}), partial(stepped, "momentum", fills, rule)


def _momentum_rule(
    beta: float, nesterov: bool, weight: bool, p: Array, g: Array, slots: Slots, lr: float
) -> tuple[Array, Slots]:
    v: Array = slots["velocity"] * beta
    v += g
    change: Array = (v * beta + g) * lr if nesterov else v * lr
    return np.subtract(p, change, out=change), {"velocity": v}


def rmsprop(
    decay: SupportsFloat = 0.9, eps: SupportsFloat = 1e-8, *, centered: bool = False, beta: SupportsFloat = 0.0,
    eps_in_sqrt: bool = False,
) -> Optimizer:
    """Return RMSProp: s = decay s + (1 - decay) g^2, then p - lr g / (sqrt(s) + eps).

    Args:
        decay: share of s that is kept, in [0, 1).
        eps: above 0.
        centered: subtract the square of the gradients' mean, kept likewise, from s.
        beta: momentum, in [0, 1): v = beta v + g / (sqrt(s) + eps), then p - lr v.
        eps_in_sqrt: sqrt(s + eps) instead, as optax and Keras have it; PyTorch has it outside.

    Raises:
        TypeError, ValueError: an option out of range; in use, as every optimiser: see `adam`.

    Example:
        >>> init, step = rmsprop(0.75)
        >>> params = {"p": np.array([1.0])}
        >>> step(params, {"p": np.array([5.0])}, init(params), 0.1)[0]["p"]  # 1 - 0.1 * 5 / 2.5
        array([0.8])

    Reference:
        Tieleman & Hinton (2012), lecture 6e; centred as in Graves (2013), equations 38-45.
    """
    held = as_share("rmsprop", "decay", decay), above_zero("rmsprop", "eps", eps), as_share("rmsprop", "beta", beta)
    inside, centred = as_flag("rmsprop", "eps_in_sqrt", eps_in_sqrt), as_flag("rmsprop", "centered", centered)
    fills = {"mean_square": 0.0} | ({"mean": 0.0} if centred else {}) | ({"velocity": 0.0} if held[2] else {})
    rule = partial(_rmsprop_rule, *held, inside)
    step = partial(stepped, "rmsprop", fills, rule, squares="mean_square")
    numbers = dict(zip(("decay", "eps", "beta"), held, strict=True))
    return partial(initial, "rmsprop", fills, numbers=numbers), step


def _rmsprop_rule(
    decay: float, eps: float, beta: float, eps_in_sqrt: bool, weight: bool, p: Array, g: Array, slots: Slots, lr: float
) -> tuple[Array, Slots]:
    s: Array = g * g
    s *= 1 - decay
    s += slots["mean_square"] * decay
    new: Slots = {"mean_square": s}
    spread: Array = s.copy()
    if "mean" in slots:
        mean: Array = slots["mean"] * decay + g * (1 - decay)
        spread -= mean * mean
        np.maximum(spread, 0, out=spread)  # which it is, but for rounding
        new["mean"] = mean
    change = np.divide(g, _root(spread, eps, eps_in_sqrt), out=spread)
    if "velocity" in slots:
        change += slots["velocity"] * beta
        new["velocity"] = change.copy()
    change *= lr
    return np.subtract(p, change, out=change), new


def adagrad(initial_accumulator: SupportsFloat = 0.0, eps: SupportsFloat = 1e-10, *, eps_in_sqrt: bool = False) -> Optimizer:
    """Return Adagrad: s = s + g^2, then p - lr g / (sqrt(s) + eps).

    Args:
        initial_accumulator: s before the first update, at least 0 (optax and Keras: 0.1).
        eps: above 0.
        eps_in_sqrt: sqrt(s + eps) instead, as optax and Keras have it; PyTorch has it outside.

    Raises:
        TypeError, ValueError: an option out of range; in use, as every optimiser: see `adam`.

    Example:
        >>> init, step = adagrad()
        >>> params = {"p": np.array([1.0])}
        >>> params, state = step(params, {"p": np.array([3.0])}, init(params), 0.1)
        >>> params, state = step(params, {"p": np.array([4.0])}, state, 0.1)
        >>> params["p"], state["square_sum/p"]  # 1 - 0.1 * 3 / 3 - 0.1 * 4 / 5
        (array([0.82]), array([25.]))

    Reference:
        Duchi, Hazan & Singer (2011), figure 1, diagonal case.
    """
    first = as_number("adagrad", "initial_accumulator", initial_accumulator, least=0)
    small = above_zero("adagrad", "eps", eps)
    fills, numbers = {"square_sum": first}, {"initial_accumulator": first, "eps": small}
    rule = partial(_adagrad_rule, small, as_flag("adagrad", "eps_in_sqrt", eps_in_sqrt))
    step = partial(stepped, "adagrad", fills, rule, squares="square_sum")
    return partial(initial, "adagrad", fills, numbers=numbers), step


def _adagrad_rule(
    eps: float, eps_in_sqrt: bool, weight: bool, p: Array, g: Array, slots: Slots, lr: float
) -> tuple[Array, Slots]:
    s: Array = g * g
    s += slots["square_sum"]
    change = np.asarray(g / _root(s.copy(), eps, eps_in_sqrt) * lr)
    return np.subtract(p, change, out=change), {"square_sum": s}


def adam(b1: SupportsFloat = 0.9, b2: SupportsFloat = 0.999, eps: SupportsFloat = 1e-8) -> Optimizer:
    """Return Adam: m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, and p - lr mhat / (sqrt(vhat) + eps).

    mhat = m / (1 - b1^t) and vhat = v / (1 - b2^t), which makes up for m and v
    starting at 0. The usual learning rate is 1e-3.

    Args:
        b1: share of m that is kept, in [0, 1).
        b2: share of v that is kept, in [0, 1).
        eps: above 0; added to the root of vhat, as in PyTorch and optax (Keras and
            scikit-learn add it to that of v: there it is eps / sqrt(1 - b2^t) of here).

    Raises:
        TypeError: in use, params or state differ in dtype (gradients are cast
            to that of params), or `lr` is no number.
        ValueError: an option is out of range, or so small or large that the
            params' dtype cannot hold it; in use, a gradient does not fit its
            parameter, a state is of another network or optimiser, or `lr` is
            negative or not finite.
        FloatingPointError: a gradient, or the mean of its squares, is not finite.

    Example:
        >>> init, step = adam()
        >>> params = {"p": np.array([1.0, 1.0])}
        >>> params, state = step(params, {"p": np.array([5.0, -1e-3])}, init(params), 0.1)
        >>> params["p"].round(4), list(state)  # the first step is lr long, whatever the gradient
        (array([0.9, 1.1]), ['t/p', 'm/p', 'v/p'])

    Reference:
        Kingma & Ba (2015), algorithm 1.
    """
    return _adam("adam", b1, b2, eps, 0.0)


def adamw(
    b1: SupportsFloat = 0.9, b2: SupportsFloat = 0.999, eps: SupportsFloat = 1e-8, weight_decay: SupportsFloat = 1e-2,
) -> Optimizer:
    """Return Adam with decoupled weight decay: from p also goes lr * weight_decay * p.

    Only weights decay: a parameter is one if it is called W, or has two or more
    axes and none of the library's names for what is no weight (b, beta, gamma,
    mean, var, table). `l2` with `adam` is another thing: there the penalty's
    gradient is rescaled like the rest.

    Args:
        b1, b2, eps: as `adam`.
        weight_decay: at least 0; 1e-2 as in PyTorch (optax 1e-4, Keras 4e-3).

    Raises:
        TypeError, ValueError: as `adam`.

    Example:
        >>> init, step = adamw(weight_decay=0.5)
        >>> params = {"W": np.array([1.0]), "b": np.array([1.0])}
        >>> params, _ = step(params, {"W": np.array([0.0]), "b": np.array([0.0])}, init(params), 0.1)
        >>> params["W"], params["b"]
        (array([0.95]), array([1.]))

    Reference:
        Loshchilov & Hutter (2019), algorithm 2.
    """
    return _adam("adamw", b1, b2, eps, as_number("adamw", "weight_decay", weight_decay, least=0))


def _adam(name: str, b1: SupportsFloat, b2: SupportsFloat, eps: SupportsFloat, decay: float) -> Optimizer:
    held = as_share(name, "b1", b1), as_share(name, "b2", b2), above_zero(name, "eps", eps)
    rule = partial(_adam_rule, *held, decay)
    fills = {"t": 0, "m": 0.0, "v": 0.0}
    numbers = dict(zip(("b1", "b2", "eps", "weight_decay"), (*held, decay), strict=True))
    begin = partial(initial, name, fills, numbers=numbers)
    return begin, partial(stepped, name, fills, rule, decays=decay > 0, squares="v")


def _adam_rule(
    b1: float, b2: float, eps: float, weight_decay: float, weight: bool, p: Array, g: Array, slots: Slots, lr: float
) -> tuple[Array, Slots]:
    t, dtype = int(slots["t"]) + 1, p.dtype
    scratch: Array = g * number(1 - b1, dtype)
    m: Array = slots["m"] * number(b1, dtype)
    m += scratch
    np.multiply(g, g, out=scratch)
    scratch *= number(1 - b2, dtype)
    v: Array = slots["v"] * number(b2, dtype)
    v += scratch
    # lr mhat / (sqrt(vhat) + eps), with both corrections taken into eps and lr: two passes fewer
    root = (1 - b2**t) ** 0.5
    change = np.sqrt(v, out=scratch)
    change += np.asarray(eps * root, dtype)
    np.divide(m, change, out=change)
    change *= np.asarray(lr * root / (1 - b1**t), dtype)
    if weight:
        change += p * (lr * weight_decay)
    return np.subtract(p, change, out=change), {"t": np.asarray(t), "m": m, "v": v}


def _root(square: Array, eps: float, inside: bool) -> Array:
    """Return sqrt(square + eps) or sqrt(square) + eps, in the memory of `square`."""
    if inside:
        square += eps
    np.sqrt(square, out=square)
    if not inside:
        square += eps
    return square
