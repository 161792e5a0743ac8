"""What optimisers share: a state with slots for every parameter, and one checked step through the names."""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import accumulate
from types import MappingProxyType
from typing import SupportsFloat, TypeAlias

import numpy as np

from nnfunc.blame import where_not_finite
from nnfunc.bounds import check_held
from nnfunc.checks import as_number, describe, lasting, problem
from nnfunc.params import checked_params, sealed
from nnfunc.passes import unknown_name
from nnfunc.penalties import is_weight
from nnfunc.types import AnyArray, Array, DType, Params, State

Slots: TypeAlias = dict[str, AnyArray]

Rule: TypeAlias = Callable[[bool, Array, Array, Slots, float], tuple[Array, Slots]]
"""``rule(weight, p, g, slots, lr) -> (p, slots)``: an update, element by element, in new arrays."""

Shapes: TypeAlias = tuple[tuple[int, ...], ...]

Stored: TypeAlias = tuple[tuple[str, bool], ...]
"""The full names of a parameter's slots, each with whether it is a count."""

_COUNT = np.asarray(0).dtype
_MOST = 1 << 62

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
    grads, grads_dtype = checked_params(function, grads, "grads")
    stored = check_state(function, fills, state, params)
    if len(grads) < len(params):
        _check_idle(function, stored, params, grads, state)
    alike: dict[object, list[str]] = {}
    for name, gradient in grads.items():
        array = params.get(name)
        if array is None:
            raise ValueError(unknown_name(function, "grads", grads, params))
        if gradient.shape != array.shape:
            raise ValueError(problem(function, f"grads[{name!r}]", f"have shape {array.shape}", gradient.shape))
        counts = _checked_slots(function, stored[name], state, array)
        kind = (counts, decays and is_weight(name, array)) if array.size <= _SMALL else name
        alike.setdefault(kind, []).append(name)
    counted = [slot for slot, fill in fills.items() if type(fill) is int]
    numbers = [slot for slot in fills if slot not in counted]
    new_params: dict[str, AnyArray] = {}
    new_state: dict[str, AnyArray] = {}
    with np.errstate(all="ignore"):
        if grads_dtype != dtype:
            grads = {name: gradient.astype(dtype) for name, gradient in grads.items()}
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
            _check_squares(function, names, shapes, g, changed)
            new_params.update(zip(names, _parted(p, shapes), strict=True))
            for slot, array in changed.items():
                new_state.update(zip(full[slot], _parted(array, shapes), strict=True))
    return _completed(params, new_params), _completed(state, new_state)


def _completed(old: Mapping[str, AnyArray], new: dict[str, AnyArray]) -> Mapping[str, AnyArray]:
    """Return the new arrays, and the old where there is none, in the order of the old."""
    if len(new) == len(old):
        return MappingProxyType({name: new[name] for name in old})
    return MappingProxyType({name: new[name] if name in new else lasting(array) for name, array in old.items()})


def _joined(rows: list[list[AnyArray]]) -> list[AnyArray]:
    """Return each row's small arrays end to end, so that one call steps them all, or its only one."""
    if len(rows[0]) == 1 and rows[0][0].ndim > 0:  # arithmetic on an array without axes gives no array
        return [row[0] for row in rows]
    return list(np.concatenate([array for row in rows for array in row], axis=None).reshape(len(rows), -1))


def _parted(array: AnyArray, shapes: Shapes) -> list[AnyArray]:
    """Undo `_joined`: views of one array, which is locked first."""
    array.setflags(write=False)
    if array.ndim == 0:  # a count
        return [array] * len(shapes)
    if len(shapes) == 1:
        return [array.reshape(shapes[0])]
    return [array[cut].reshape(shape) for cut, shape in _cuts(shapes)]


@lru_cache(maxsize=64)
def _cuts(shapes: Shapes) -> list[tuple[slice, tuple[int, ...]]]:
    """Return where arrays of these shapes, put end to end, stand."""
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
    return tuple(f"{slot}/{name}" for name in names)


@lru_cache(maxsize=256)
def _stored_names(function: str, slots: Stored, state: tuple[str, ...], params: tuple[str, ...]) -> dict[str, Stored]:
    """Return the names under which a state holds each parameter's slots; it may hold nothing else."""
    stored = {name: tuple((f"{slot}/{name}", is_count) for slot, is_count in slots) for name in params}
    known = {full for names in stored.values() for full, _ in names}
    for name in state:
        if name not in known:
            own = f"hold only {', '.join(slot for slot, _ in slots)} of each parameter of these"
            constraint = own if slots else f"be empty, as {function} remembers nothing"
            raise ValueError(problem(function, "state", constraint, repr(name)))
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


def _check_idle(function: str, stored: Mapping[str, Stored], params: Params, grads: Params, state: State) -> None:
    """Check the slots of params without a gradient, as far as they are there."""
    for name, array in params.items():
        if name not in grads:
            _checked_slots(function, tuple(slot for slot in stored[name] if slot[0] in state), state, array)


def _slot_problem(function: str, full: str, state: State, shape: tuple[int, ...], dtype: DType) -> Exception:
    if full not in state:
        return ValueError(problem(function, "state", f"hold {full!r} (it is of another network)", list(state)))
    held = state[full]
    if not isinstance(held, np.ndarray) or held.shape != shape:
        return ValueError(problem(function, f"state[{full!r}]", f"have shape {shape}", describe(held)))
    if type(held) is not np.ndarray:
        return TypeError(
            problem(
                function, f"state[{full!r}]", "be a plain array (numpy.array makes one)", f"a {type(held).__name__}"
            )
        )
    return TypeError(problem(function, f"state[{full!r}]", f"be {dtype}", held))


def _check_squares(function: str, names: tuple[str, ...], shapes: Shapes, gradient: Array, changed: Slots) -> None:
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
