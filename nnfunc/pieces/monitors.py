"""Monitors: pure state machines that watch one number per epoch, the lower the better.

    init()                -> state
    update(state, metric) -> state

The number is most often the validation loss; of a metric that should rise, give
the negative. NaN never improves. A state is a flat immutable dict of arrays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import SupportsFloat, SupportsIndex

import numpy as np

from nnfunc.values.checks import as_float, as_number, as_share, as_size, require
from nnfunc.values.params import sealed
from nnfunc.values.types import Monitor, State


def early_stopping(patience: SupportsIndex = 10, min_delta: SupportsFloat = 0.0) -> Monitor:
    """Return the monitor that says when to stop: after `patience` updates in a row without improvement.

    State:
        ``best`` the metric of the last improvement (up to `min_delta` above the
        lowest so far), ``wait`` the updates since, ``improved`` whether the last
        update was one, ``stop`` whether to stop.

    Args:
        patience: at least 1.
        min_delta: at least 0; a metric improves if it is below the best by more than this.

    Raises:
        TypeError, ValueError: an argument is out of range; in use, a state of another monitor.

    Example:
        >>> init, update = early_stopping(patience=2)
        >>> state = init()
        >>> for metric in (1.0, 0.5, 0.7, float("nan")):
        ...     state = update(state, metric)
        ...     print(float(state["best"]), bool(state["stop"]))
        1.0 False
        0.5 False
        0.5 False
        0.5 True

    Reference:
        Prechelt (1998), "Early stopping, but when?", criterion UP.
    """
    limit = as_size("early_stopping", "patience", patience, bits=62)
    least = as_number("early_stopping", "min_delta", min_delta, 0)
    return _stopping_init, partial(_stopping_update, limit, least)


def _stopping_init() -> State:
    return _STOPPING


def _stopping_update(patience: int, min_delta: float, state: State, metric: SupportsFloat) -> State:
    _check("early_stopping", state, _STOPPING)
    value, best = as_float("early_stopping", "metric", metric), float(state["best"])
    improved = value < best - min_delta or (math.isinf(best) and value < best)
    wait = 0 if improved else int(state["wait"]) + 1
    stop = bool(state["stop"]) or wait >= patience
    return _state(best=value if improved else best, wait=wait, improved=improved, stop=stop)


def reduce_on_plateau(
    factor: SupportsFloat = 0.1, patience: SupportsIndex = 10, rtol: SupportsFloat = 1e-4, atol: SupportsFloat = 0.0,
    cooldown: SupportsIndex = 0, min_scale: SupportsFloat = 0.0,
) -> Monitor:
    """Return the monitor that lowers a learning rate when the metric stops falling.

    After more than `patience` updates in a row without improvement the scale is
    multiplied by `factor`, and the learning rate is to be multiplied by the scale.

    State:
        ``scale`` the factor so far, ``best`` the metric of the last
        improvement, ``wait`` the updates without one that were counted since,
        ``cooldown`` the coming updates of which none is counted.

    Args:
        factor: in [0, 1).
        patience: at least 0.
        rtol, atol: at least 0, rtol below 1; a metric improves if it is below
            the best by more than ``rtol * |best| + atol``.
        cooldown: updates after a reduction in which bad ones are not counted.
        min_scale: at least 0.

    Raises:
        TypeError, ValueError: an argument is out of range; in use, a state of another monitor.

    Example:
        >>> init, update = reduce_on_plateau(factor=0.5, patience=1)
        >>> state = init()
        >>> for metric in (1.0, 1.0, 1.0, 0.5):
        ...     state = update(state, metric)
        ...     print(float(state["scale"]))
        1.0
        1.0
        0.5
        0.5

    Reference:
        PyTorch's ReduceLROnPlateau, whose defaults these are.
    """
    name = "reduce_on_plateau"
    return _plateau_init, partial(
        _plateau_update, as_share(name, "factor", factor), as_size(name, "patience", patience, least=0, bits=62),
        as_share(name, "rtol", rtol), as_number(name, "atol", atol, least=0),
        as_size(name, "cooldown", cooldown, least=0, bits=62), as_number(name, "min_scale", min_scale, least=0),
    )


def _plateau_init() -> State:
    return _PLATEAU


def _plateau_update(
    factor: float, patience: int, rtol: float, atol: float, cooldown: int, min_scale: float, state: State,
    metric: SupportsFloat,
) -> State:
    _check("reduce_on_plateau", state, _PLATEAU)
    value = as_float("reduce_on_plateau", "metric", metric)
    scale, best, resting = float(state["scale"]), float(state["best"]), int(state["cooldown"])
    improved = value < (best if math.isinf(best) else best - rtol * abs(best) - atol)
    best = value if improved else best
    wait = 0 if improved or resting else int(state["wait"]) + 1
    resting = max(resting - 1, 0)
    if wait > patience:
        scale, wait, resting = max(scale * factor, min(scale, min_scale)), 0, cooldown
    return _state(scale=scale, best=best, wait=wait, cooldown=resting)


def _state(**values: float) -> State:
    """Return numbers as a state."""
    return sealed({name: np.asarray(value) for name, value in values.items()})


def _check(function: str, state: State, own: State) -> None:
    """Raise unless a state has the names and kinds of numbers of the monitor's own."""
    is_mapping = isinstance(state, Mapping)
    require(is_mapping, function, "state", "be a mapping that the monitor's init made", kind=TypeError, value=state)
    require(state.keys() == own.keys(), function, "state", f"hold {', '.join(own)}", list(state))
    for name, array in own.items():
        held, is_number = np.asarray(state[name]), array.dtype.kind == "f"
        fits = not held.shape and held.dtype.kind in ("fiub" if is_number else "iub")
        constraint = f"be a single {'number' if is_number else 'integer'}"
        require(fits, function, f"state[{name!r}]", constraint, kind=TypeError, value=state[name])


# The states that the two begin with, made once, as nobody can change them.
_STOPPING = _state(best=math.inf, wait=0, improved=False, stop=False)
_PLATEAU = _state(scale=1.0, best=math.inf, wait=0, cooldown=0)
