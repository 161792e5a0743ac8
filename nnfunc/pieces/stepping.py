"""One step: gradients matched with params, plain gradient descent, and what optimisers with a memory share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import accumulate
from types import MappingProxyType
from typing import SupportsFloat, TypeAlias

import numpy as np

from nnfunc.pieces.norms import statistics_beside, without_statistics
from nnfunc.values.arrays import check_finite, in_dtype, lasting, where_not_finite
from nnfunc.values.checks import as_number, check_held, describe, problem, require
from nnfunc.values.params import checked_params, is_weight, sealed, unknown_names
from nnfunc.values.types import AnyArray, Array, DType, Params, State

Slots: TypeAlias = dict[str, AnyArray]

Rule: TypeAlias = Callable[[bool, Array, Array, Slots, float], tuple[Array, Slots]]
"""``rule(weight, p, g, slots, lr) -> (p, slots)``: an update, element by element, in new arrays."""

Shapes: TypeAlias = tuple[tuple[int, ...], ...]

Stored: TypeAlias = tuple[tuple[str, bool], ...]
"""The full names of a parameter's slots, each with whether it is a count."""

_COUNT = np.asarray(0).dtype
_MOST = 1 << 62  # so that a count plus one is an int64 still

# Parameters of up to so many elements are stepped together, as the calls take longer than the arithmetic.
_SMALL = 4096


@np.errstate(all="ignore")
def sgd_step(params: Params, grads: Params, lr: SupportsFloat) -> Params:
    """Return params - lr * grads, a new mapping.

    A name in `params` and not in `grads` passes through untouched: to freeze a
    layer, drop its gradients. Only the statistics of a batch norm do not: a step
    makes them stale, and `calibrate` puts them there again.

    Args:
        params: any mapping of names to arrays.
        grads: gradients under some or all of these names.
        lr: learning rate, at least 0.

    Raises:
        TypeError: arrays that are not floats, or `lr` is not a number.
        ValueError: a gradient's name is not in `params` or its shape differs,
            or `lr` is negative or not finite.

    Example:
        >>> params = {"W": np.array([1.0, 2.0]), "b": np.array([3.0])}
        >>> sgd_step(params, {"W": np.array([1.0, -1.0])}, lr=0.5)["W"]
        array([0.5, 2.5])
    """
    rate = as_number("sgd_step", "lr", lr, least=0)
    params, grads, dtype = matched("sgd_step", params, grads)
    factor = np.asarray(rate, dtype)  # NumPy computes with it in half the time of a float where arrays are small
    new: dict[str, Array] = {}
    for name, array in params.items():
        gradient = grads.get(name)
        if gradient is None:
            new[name] = lasting(array)
        else:
            new[name] = change = np.asarray(gradient * factor)
            np.subtract(array, change, change)
            change.setflags(write=False)
    return MappingProxyType(new)


def matched(function: str, params: Params, grads: Params) -> tuple[Params, Params, DType]:
    """Return params that are to stay and gradients in their dtype; each gradient must fit the parameter of its name.

    Example:
        >>> matched("sgd_step", {"W": np.ones(1), "b": np.ones(1)}, {"b": [2]})[1]
        {'b': array([2.])}
    """
    params, dtype = checked_params(function, params)
    if not _fit(params, grads, dtype):
        grads, grads_dtype = checked_params(function, grads, "grads", dtype)
        for name, gradient in grads.items():
            if name not in params:
                raise ValueError(unknown_names(function, "grads", grads, params))
            shape = params[name].shape
            require(gradient.shape == shape, function, f"grads[{name!r}]", f"have shape {shape}", gradient.shape)
        if grads_dtype != dtype:
            grads = {name: in_dtype(function, f"grads[{name!r}]", gradient, dtype) for name, gradient in grads.items()}
    return (params if len(params) == len(grads) else without_statistics(params, grads)), grads, dtype


def _fit(params: Params, grads: Params, dtype: DType) -> bool:
    """Say whether gradients are as they nearly always are, with nothing to convert and nothing to refuse."""
    if type(grads) is not MappingProxyType and type(grads) is not dict:
        return False
    for name, gradient in grads.items():
        array = params.get(name)
        if type(gradient) is not np.ndarray or array is None or gradient.shape != array.shape or gradient.dtype != dtype:
            return False
    return True


def initial(
    function: str, fills: Mapping[str, float], params: Params, numbers: Mapping[str, float] = MappingProxyType({})
) -> State:
    """Return a state with each slot filled for each parameter; an int fill is a count.

    `numbers` are options by name that the params' dtype must be able to hold:
    an eps that vanishes in it would be a division of 0 by 0 at the first zero
    gradient, a share that becomes 1 in it would forget nothing.

    Example:
        >>> state = initial("adam", {"t": 0, "m": 0.0}, {"W": np.ones(2)})
        >>> state["t/W"], state["m/W"]
        (array(0), array([0., 0.]))
    """
    held, dtype = checked_params(function, params)
    for argument, number in numbers.items():
        check_held(function, argument, number, dtype)
    return sealed({
        f"{slot}/{name}": np.asarray(fill) if type(fill) is int else np.full_like(array, fill, order="C")
        for slot, fill in fills.items() for name, array in held.items()
    })


def stepped(
    function: str, fills: Mapping[str, float], rule: Rule, params: Params, grads: Params, state: State,
    lr: SupportsFloat, *, decays: bool = False, squares: str = "",
) -> tuple[Params, State]:
    """Apply a rule to every parameter that has a gradient; the others, and their state, pass through.

    With `decays` the rule is told of each parameter whether it is a weight.
    `squares` names the slot of squared gradients, if there is one: one that
    overflowed would stay infinite, and stop its parameter for good without a word.

    Example:
        >>> def plain(weight, p, g, slots, lr):
        ...     return p - lr * g, {}
        >>> params, state = stepped("plain", {}, plain, {"W": np.ones(1)}, {"W": np.ones(1)}, {}, 0.5)
        >>> params["W"]
        array([0.5])
    """
    rate = as_number(function, "lr", lr, least=0)
    params, grads, _ = matched(function, params, grads)
    stored = check_state(function, fills, state, params)
    alike: dict[object, list[str]] = {}
    for name, array in params.items():
        if name in grads:
            counts = _checked_slots(function, stored[name], state, array)
            kind = (counts, decays and is_weight(name, array)) if array.size <= _SMALL else name
            alike.setdefault(kind, []).append(name)
        else:  # its slots need not be there, but must fit if they are
            _checked_slots(function, tuple(slot for slot in stored[name] if slot[0] in state), state, array)
    counted = [slot for slot, fill in fills.items() if type(fill) is int]
    numbers = [slot for slot in fills if slot not in counted]
    new_params: dict[str, AnyArray] = {}
    new_state: dict[str, AnyArray] = {}
    with np.errstate(all="ignore"):
        for names in map(tuple, alike.values()):
            full = {slot: _full_names(slot, names) for slot in fills}
            rows = [[params[name] for name in names], [grads[name] for name in names]]
            rows += [[state[name] for name in full[slot]] for slot in numbers]
            p, g, *own = _joined(rows)
            slots = dict(zip(numbers, own, strict=True))
            for slot in counted:
                slots[slot] = state[full[slot][0]]  # which all of these share
            weight = decays and is_weight(names[0], rows[0][0])
            p, changed = rule(weight, p, g, slots, rate)
            shapes = tuple([array.shape for array in rows[0]])
            # A product overflows before its factors do, so the exact test is left for then.
            if squares and not float(np.vdot(changed[squares], changed[squares])) < math.inf:
                _check_squares(function, squares, names, _parted(g, shapes), _parted(changed[squares], shapes))
            new_params.update(zip(names, _parted(p, shapes), strict=True))
            for slot, array in changed.items():
                new_state.update(zip(full[slot], _parted(array, shapes), strict=True))
    return _completed(params, new_params), _completed(state, new_state)


def _completed(old: Mapping[str, AnyArray], new: dict[str, AnyArray]) -> Mapping[str, AnyArray]:
    """Return the new arrays, and the old ones where nothing is new, in the order of the old."""
    if len(new) == len(old):
        return MappingProxyType({name: new[name] for name in old})
    return MappingProxyType({name: new[name] if name in new else lasting(array) for name, array in old.items()})


def _joined(rows: list[list[AnyArray]]) -> list[AnyArray]:
    """Return each row's small arrays end to end, so that one call steps them all, or its only one."""
    if len(rows[0]) == 1 and rows[0][0].ndim > 0:  # arithmetic on an array without axes gives no array
        return [row[0] for row in rows]
    return list(np.concatenate([array for row in rows for array in row], axis=None).reshape(len(rows), -1))


def _parted(array: AnyArray, shapes: Shapes) -> list[AnyArray]:
    """Undo `_joined`: return views of one array, which is locked first."""
    array.setflags(write=False)
    if array.ndim == 0:  # a count
        return [array] * len(shapes)
    if len(shapes) == 1:
        return [array.reshape(shapes[0])]
    return [array[cut].reshape(shape) for cut, shape in _cuts(shapes)]


@lru_cache(maxsize=64)
def _cuts(shapes: Shapes) -> list[tuple[slice, tuple[int, ...]]]:
    """Return where arrays of these shapes stand when they are put end to end."""
    ends = list(accumulate(math.prod(shape) for shape in shapes))
    return [(slice(start, end), shape) for start, end, shape in zip([0, *ends], ends, shapes, strict=False)]


def check_state(function: str, fills: Mapping[str, float], state: State, params: Params) -> Mapping[str, Stored]:
    """Return the names of each parameter's slots, unless the state holds what is no slot of this optimiser.

    Example:
        >>> check_state("adam", {"t": 0, "m": 0.0}, {}, {"W": np.zeros(1)})
        {'W': (('t/W', True), ('m/W', False))}
        >>> check_state("sgd", {}, {"m/W": np.zeros(1)}, {"W": np.zeros(1)})
        Traceback (most recent call last):
        ...
        ValueError: sgd: state must be empty, as sgd remembers nothing, got 'm/W'
    """
    if not hasattr(state, "keys"):
        raise TypeError(problem(function, "state", "be a mapping that the optimiser's init made", describe(state)))
    slots = tuple([(slot, type(fill) is int) for slot, fill in fills.items()])
    return _stored_names(function, slots, tuple(state), tuple(params))


@lru_cache(maxsize=256)
def _full_names(slot: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names under which a state holds one slot of these params."""
    return tuple(f"{slot}/{name}" for name in names)


@lru_cache(maxsize=256)
def _stored_names(function: str, slots: Stored, state: tuple[str, ...], params: tuple[str, ...]) -> dict[str, Stored]:
    """Return the names under which a state holds each parameter's slots; it may hold nothing else."""
    stored = {name: tuple((f"{slot}/{name}", is_count) for slot, is_count in slots) for name in params}
    known = {full for names in stored.values() for full, _ in names}
    # An init that was given statistics made slots for them, which no step uses.
    known |= {f"{slot}/{name}" for slot, _ in slots for each in params for name in statistics_beside(each)}
    own = f"hold only {', '.join(slot for slot, _ in slots)} of each parameter of these"
    for name in state:
        constraint = own if slots else f"be empty, as {function} remembers nothing"
        require(name in known, function, "state", constraint, repr(name))
    return stored


def _checked_slots(function: str, stored: Stored, state: State, array: Array) -> tuple[int, ...]:
    """Return the counts in one parameter's slots, all of which must be there in the right form."""
    counts: tuple[int, ...] = ()
    for full, is_count in stored:
        held = state.get(full)
        shape, dtype = ((), _COUNT) if is_count else (array.shape, array.dtype)
        if type(held) is not np.ndarray or held.shape != shape or held.dtype != dtype:
            raise _slot_problem(function, full, state, shape, dtype)
        if is_count:
            count = int(held)
            if not 0 <= count < _MOST:
                bound = "be at least 0" if count < 0 else "be below 2**62"
                raise ValueError(problem(function, f"state[{full!r}]", bound, count))
            counts += (count,)
    return counts


def _slot_problem(function: str, full: str, state: State, shape: tuple[int, ...], dtype: DType) -> Exception:
    """Return the error for a slot that is missing, or is not as it should be."""
    if full not in state:
        return ValueError(problem(function, "state", f"hold {full!r} (it is of another network)", list(state)))
    held, argument = state[full], f"state[{full!r}]"
    if not isinstance(held, np.ndarray) or held.shape != shape:
        return ValueError(problem(function, argument, f"have shape {shape}", describe(held)))
    if type(held) is not np.ndarray:
        return TypeError(problem(function, argument, "be a plain array (numpy.array makes one)", f"a {type(held).__name__}"))
    return TypeError(problem(function, argument, f"be {dtype}", held))


def _check_squares(function: str, slot: str, names: tuple[str, ...], grads: list[Array], squares: list[Array]) -> None:
    """Raise FloatingPointError if a gradient, or its square, is not finite."""
    for name, gradient, square in zip(names, grads, squares, strict=True):
        check_finite(function, f"grads[{name!r}]", gradient)
        found = where_not_finite(square)
        constraint = f"stay finite (clip the gradients, whose squares {gradient.dtype} cannot hold)"
        require(not found, function, f"state['{slot}/{name}']", constraint, found, FloatingPointError)
