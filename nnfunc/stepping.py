"""What optimisers share: a state with slots for every parameter, and one checked step through the names."""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import SupportsFloat, TypeAlias

import numpy as np

from nnfunc.blame import where_not_finite
from nnfunc.bounds import check_held
from nnfunc.checks import as_number, describe, lasting, locked, problem
from nnfunc.params import checked_params, sealed
from nnfunc.passes import unknown_name
from nnfunc.types import AnyArray, Array, Params, State

Slots: TypeAlias = dict[str, AnyArray]

Rule: TypeAlias = Callable[[str, Array, Array, Slots, float], tuple[Array, Slots]]
"""``rule(name, p, g, slots, lr) -> (p, slots)``: one parameter's update, in new arrays."""

# Slots of squared gradients. One that overflowed would stay infinite, and stop its parameter for good without a word.
_SQUARES = ("v", "mean_square", "square_sum")


def initial(
    function: str, fills: Mapping[str, float], params: Params, numbers: Mapping[str, float] = MappingProxyType({})
) -> State:
    """Return a state with each slot filled for each parameter; an int fill is a count.

    `numbers` are options by name that the params' dtype must be able to hold:
    an eps that vanishes in it would be a division of 0 by 0 at the first zero gradient.

    Example:
        >>> state = initial("adam", {"t": 0, "m": 0.0}, {"W": np.ones(2)})
        >>> state["t/W"], state["m/W"]
        (array(0), array([0., 0.]))
    """
    held, dtype = checked_params(function, params)
    for argument, number in numbers.items():
        check_held(function, argument, number, dtype)
    return sealed(
        {
            f"{slot}/{name}": np.asarray(fill) if type(fill) is int else np.full_like(array, fill, order="C")
            for slot, fill in fills.items()
            for name, array in held.items()
        }
    )


def stepped(
    function: str,
    fills: Mapping[str, float],
    rule: Rule,
    params: Params,
    grads: Params,
    state: State,
    lr: SupportsFloat,
) -> tuple[Params, State]:
    """Apply a rule to every parameter that has a gradient; the rest, and its state, passes through.

    Example:
        >>> def plain(name, p, g, slots, lr):
        ...     return p - lr * g, {}
        >>> params, state = stepped("plain", {}, plain, {"W": np.ones(1)}, {"W": np.ones(1)}, {}, 0.5)
        >>> params["W"]
        array([0.5])
    """
    rate = as_number(function, "lr", lr, least=0)
    params, dtype = checked_params(function, params)
    grads, _ = checked_params(function, grads, "grads")
    check_state(function, fills, state, params)
    if not grads.keys() <= params.keys():
        raise ValueError(unknown_name(function, "grads", grads, params))
    square = next((slot for slot in fills if slot in _SQUARES), "")
    new_params: dict[str, Array] = {}
    new_state = {name: lasting(array) for name, array in state.items()}
    with np.errstate(all="ignore"):
        for name, array in params.items():
            gradient = grads.get(name)
            if gradient is None:
                new_params[name] = lasting(array)
                continue
            if gradient.shape != array.shape:
                raise ValueError(problem(function, f"grads[{name!r}]", f"have shape {array.shape}", gradient.shape))
            slots = {slot: _slot(function, fill, f"{slot}/{name}", state, array) for slot, fill in fills.items()}
            new_params[name], changed = rule(name, array, gradient.astype(dtype, copy=False), slots, rate)
            # A product overflows before its factors do, so the exact test is left for then.
            if square and not float(np.vdot(changed[square], changed[square])) < math.inf:
                _check_square(function, name, gradient, square, changed[square])
            new_state.update((f"{slot}/{name}", value) for slot, value in changed.items())
    return sealed(new_params), sealed(new_state)


def check_state(function: str, fills: Mapping[str, float], state: State, params: Params) -> None:
    """Raise unless every name in the state is a slot of this optimiser for one of these params.

    Example:
        >>> check_state("sgd", {}, {"m/W": np.zeros(1)}, {"W": np.zeros(1)})
        Traceback (most recent call last):
        ...
        ValueError: sgd: state must be empty, as sgd remembers nothing, got 'm/W'
    """
    if not hasattr(state, "keys"):
        raise TypeError(problem(function, "state", "be a mapping that the optimiser's init made", describe(state)))
    _check_names(function, tuple(fills), tuple(state), tuple(params))


def _slot(function: str, fill: float, full: str, state: State, array: Array) -> AnyArray:
    """Return one slot of one parameter, locked, if the state has it in the right form."""
    if full not in state:
        raise ValueError(problem(function, "state", f"hold {full!r} (it is of another network)", list(state)))
    held = state[full]
    shape, dtype = ((), np.asarray(fill).dtype) if type(fill) is int else (array.shape, array.dtype)
    if not isinstance(held, np.ndarray) or held.shape != shape:
        raise ValueError(problem(function, f"state[{full!r}]", f"have shape {shape}", describe(held)))
    if held.dtype != dtype:
        raise TypeError(problem(function, f"state[{full!r}]", f"be {dtype}", held))
    if not shape and type(fill) is int and int(held) < 0:
        raise ValueError(problem(function, f"state[{full!r}]", "be at least 0", int(held)))
    return locked(held)


def _check_square(function: str, name: str, gradient: Array, slot: str, squares: AnyArray) -> None:
    """Raise FloatingPointError if the gradient is not finite, or its square is not."""
    constraint = f"stay finite (clip the gradients, whose squares {squares.dtype} cannot hold)"
    for argument, must, array in (
        (f"grads[{name!r}]", "be finite", gradient),
        (f"state['{slot}/{name}']", constraint, squares),
    ):
        found = where_not_finite(array)
        if found:
            raise FloatingPointError(problem(function, argument, must, found))


@lru_cache(maxsize=256)
def _check_names(function: str, slots: tuple[str, ...], state: tuple[str, ...], params: tuple[str, ...]) -> None:
    """Raise ValueError if the state holds what this optimiser would not have made for these params."""
    known = {f"{slot}/{name}" for slot in slots for name in params}
    for name in state:
        if name not in known:
            own = f"hold only {', '.join(slots)} of each parameter of these"
            constraint = own if slots else f"be empty, as {function} remembers nothing"
            raise ValueError(problem(function, "state", constraint, repr(name)))
