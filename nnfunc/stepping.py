"""What optimisers share: a state with slots for every parameter, and one checked step through the names."""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import SupportsFloat, TypeAlias

import numpy as np

from nnfunc.blame import where_not_finite
from nnfunc.bounds import check_held
from nnfunc.checks import as_number, describe, lasting, problem
from nnfunc.params import checked_params, sealed
from nnfunc.passes import unknown_name
from nnfunc.penalties import is_weight
from nnfunc.types import AnyArray, Array, Params, State

Slots: TypeAlias = dict[str, AnyArray]

Rule: TypeAlias = Callable[[bool, Array, Array, Slots, float], tuple[Array, Slots]]
"""``rule(weight, p, g, slots, lr) -> (p, slots)``: an update, element by element, in new arrays."""

_COUNT = np.asarray(0).dtype

# Parameters of up to so many elements are stepped together: the calls take longer than the arithmetic.
_SMALL = 4096

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
    *,
    decays: bool = False,
) -> tuple[Params, State]:
    """Apply a rule to every parameter that has a gradient; the rest, and its state, passes through.

    With `decays` the rule is told of each parameter whether it is a weight.

    Example:
        >>> def plain(weight, p, g, slots, lr):
        ...     return p - lr * g, {}
        >>> params, state = stepped("plain", {}, plain, {"W": np.ones(1)}, {"W": np.ones(1)}, {}, 0.5)
        >>> params["W"]
        array([0.5])
    """
    rate = as_number(function, "lr", lr, least=0)
    params, dtype = checked_params(function, params)
    grads, _ = checked_params(function, grads, "grads")
    stored = check_state(function, fills, state, params)
    if not grads.keys() <= params.keys():
        raise ValueError(unknown_name(function, "grads", grads, params))
    alike: dict[object, list[str]] = {}
    for name, gradient in grads.items():
        array = params[name]
        if gradient.shape != array.shape:
            raise ValueError(problem(function, f"grads[{name!r}]", f"have shape {array.shape}", gradient.shape))
        counts = _check_slots(function, fills, stored[name], state, array)
        kind = (counts, decays and is_weight(name, array))
        alike.setdefault(kind if array.size <= _SMALL else name, []).append(name)
    whole = len(grads) == len(params)
    new_params = dict(params) if whole else {name: lasting(array) for name, array in params.items()}
    new_state = dict(state) if whole else {name: lasting(array) for name, array in state.items()}
    with np.errstate(all="ignore"):
        for names in alike.values():
            p = _joined([params[name] for name in names])
            g = _joined([grads[name] for name in names])
            own = {slot: _joined([state[stored[n][i]] for n in names], fills[slot]) for i, slot in enumerate(fills)}
            weight = decays and is_weight(names[0], params[names[0]])
            stepped_p, changed = rule(weight, p, g if g.dtype is dtype else g.astype(dtype), own, rate)
            shapes = [params[name].shape for name in names]
            _check_squares(function, names, shapes, g, changed)
            new_params.update(zip(names, _parted(stepped_p, shapes), strict=True))
            for i, slot in enumerate(fills):
                new_state.update(zip([stored[n][i] for n in names], _parted(changed[slot], shapes), strict=True))
    return MappingProxyType(new_params), MappingProxyType(new_state)


def _joined(arrays: list[AnyArray], fill: float = 0.0) -> AnyArray:
    """Return small arrays end to end, so that one call steps them all; or the only one, or a count that all share."""
    alone = len(arrays) == 1 and arrays[0].ndim > 0  # arithmetic on an array without axes gives no array
    return arrays[0] if alone or type(fill) is int else np.concatenate(arrays, axis=None)


def _parted(array: AnyArray, shapes: list[tuple[int, ...]]) -> list[AnyArray]:
    """Undo `_joined`: views of one array, which is locked first."""
    array.setflags(write=False)
    if array.ndim == 0:  # a count
        return [array] * len(shapes)
    if len(shapes) == 1:
        return [array.reshape(shapes[0])]
    parts: list[AnyArray] = []
    start = 0
    for shape in shapes:
        end = start + math.prod(shape)
        parts.append(array[start:end].reshape(shape))
        start = end
    return parts


def check_state(
    function: str, fills: Mapping[str, float], state: State, params: Params
) -> Mapping[str, tuple[str, ...]]:
    """Return the names of each parameter's slots, unless the state holds what is no slot of this optimiser.

    Example:
        >>> check_state("sgd", {}, {"m/W": np.zeros(1)}, {"W": np.zeros(1)})
        Traceback (most recent call last):
        ...
        ValueError: sgd: state must be empty, as sgd remembers nothing, got 'm/W'
    """
    if not hasattr(state, "keys"):
        raise TypeError(problem(function, "state", "be a mapping that the optimiser's init made", describe(state)))
    return _stored_names(function, tuple(fills), tuple(state), tuple(params))


@lru_cache(maxsize=256)
def _stored_names(
    function: str, slots: tuple[str, ...], state: tuple[str, ...], params: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """Return the names under which a state holds each parameter's slots; it may hold nothing else."""
    stored = {name: tuple(f"{slot}/{name}" for slot in slots) for name in params}
    known = {full for names in stored.values() for full in names}
    for name in state:
        if name not in known:
            own = f"hold only {', '.join(slots)} of each parameter of these"
            constraint = own if slots else f"be empty, as {function} remembers nothing"
            raise ValueError(problem(function, "state", constraint, repr(name)))
    return stored


def _check_slots(
    function: str, fills: Mapping[str, float], stored: tuple[str, ...], state: State, array: Array
) -> tuple[int, ...]:
    """Return the counts in one parameter's slots, all of which must be there in the right form."""
    counts: tuple[int, ...] = ()
    for full, fill in zip(stored, fills.values(), strict=True):
        if full not in state:
            raise ValueError(problem(function, "state", f"hold {full!r} (it is of another network)", list(state)))
        held, is_count = state[full], type(fill) is int
        shape, dtype = ((), _COUNT) if is_count else (array.shape, array.dtype)
        if not isinstance(held, np.ndarray) or held.shape != shape:
            raise ValueError(problem(function, f"state[{full!r}]", f"have shape {shape}", describe(held)))
        if held.dtype != dtype:
            raise TypeError(problem(function, f"state[{full!r}]", f"be {dtype}", held))
        if is_count:
            counts += (int(held),)
            if counts[-1] < 0:
                raise ValueError(problem(function, f"state[{full!r}]", "be at least 0", counts[-1]))
    return counts


def _check_squares(
    function: str, names: list[str], shapes: list[tuple[int, ...]], gradient: Array, changed: Slots
) -> None:
    """Raise FloatingPointError if a slot of squares is not finite, because a gradient, or its square, is not."""
    for slot in _SQUARES:
        # A product overflows before its factors do, so the exact test is left for then.
        if slot not in changed or float(np.vdot(changed[slot], changed[slot])) < math.inf:
            continue
        gradients, squares = (_parted(array, shapes) for array in (gradient, changed[slot]))
        constraint = f"stay finite (clip the gradients, whose squares {gradient.dtype} cannot hold)"
        for name, own_gradient, own_squares in zip(names, gradients, squares, strict=True):
            for argument, must, array in (
                (f"grads[{name!r}]", "be finite", own_gradient),
                (f"state['{slot}/{name}']", constraint, own_squares),
            ):
                found = where_not_finite(array)
                if found:
                    raise FloatingPointError(problem(function, argument, must, found))
