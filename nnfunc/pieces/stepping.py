"""One step: gradients matched with params, plain gradient descent, and what optimisers with a memory share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, SupportsFloat, TypeAlias

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

Slotted: TypeAlias = tuple[tuple[str, bool], ...]
"""An optimiser's slots, each with whether it is a count."""

Forms: TypeAlias = tuple[int, list[str], list[tuple[int, ...]], list[np.dtype[np.generic]]]
"""How many counts some slots begin with, and the full name, shape and dtype of each array."""

Layout: TypeAlias = np.dtype[np.void] | tuple[int, ...]
"""A structure of small arrays that stand end to end, or the shape of the only one."""

Group: TypeAlias = tuple[tuple[str, ...], dict[str, list[str]], bool, list[int], list[int], Layout]
"""Params that are stepped together: their names, those of their slots, whether they are weights, and where among all
arrays their counts stand, which they share, and all others, and how these are cut apart again."""

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
    params, grads, dtype = matched(function, params, grads)
    slots = check_state(function, fills, state, params)
    given = tuple(params) if len(grads) == len(params) else tuple([name for name in params if name in grads])
    own = [params[name] for name in given]
    shapes = tuple([array.shape for array in own])
    held, counts = _checked_slots(function, _forms(slots, given, shapes, dtype), state)
    if len(given) < len(params):
        for name, array in params.items():
            if name not in grads:  # its slots need not be there, but must fit if they are
                there = tuple([slot for slot in slots if f"{slot[0]}/{name}" in state])
                _checked_slots(function, _forms(there, (name,), (array.shape,), dtype), state)
    arrays = [*held, *own, *[grads[name] for name in given]]
    seen: dict[int, int] = {}
    ages = tuple([seen.setdefault(count, i) for i, count in enumerate(counts)])  # the same in every step, as a rule
    weights = tuple([is_weight(name, array) for name, array in zip(given, own, strict=True)]) if decays else ()
    new_params: dict[str, AnyArray] = {}
    new_state: dict[str, AnyArray] = {}
    with np.errstate(all="ignore"):
        for names, full, weight, shared, places, layout in _groups(slots, given, shapes, dtype, ages, weights):
            *numbers, p, g = _joined([arrays[i] for i in places], len(names))
            old = dict(zip(full, [*[arrays[i] for i in shared], *numbers], strict=True))
            p, changed = rule(weight, p, g, old, rate)
            # A product overflows before its factors do, so the exact test is left for then.
            if squares and not float(np.vdot(changed[squares], changed[squares])) < math.inf:
                _check_squares(function, squares, names, _parted(g.view(), layout), _parted(changed[squares], layout))
            new_params.update(zip(names, _parted(p, layout), strict=True))
            for slot, array in changed.items():
                new_state.update(zip(full[slot], _parted(array, layout), strict=True))
    return _completed(params, new_params), _completed(state, new_state)


@lru_cache(maxsize=64)
def _groups(
    slots: Slotted, names: tuple[str, ...], shapes: Shapes, dtype: DType, ages: tuple[int, ...], weights: tuple[bool, ...]
) -> list[Group]:
    """Return which params are stepped together: the large each by itself, the small with those of one age and kind."""
    n, first = len(names), sum(is_count for _, is_count in slots)
    alike: dict[object, list[int]] = {}
    for i, shape in enumerate(shapes):
        # No structure holds 2 GiB, which more than so many small ones might.
        kind = (ages[i::n], weights[i : i + 1], i >> 15) if math.prod(shape) <= _SMALL else i
        alike.setdefault(kind, []).append(i)
    return [
        (
            tuple(names[i] for i in group),
            {slot: [f"{slot}/{names[i]}" for i in group] for slot, _ in slots},
            bool(weights) and weights[group[0]],
            [row * n + group[0] for row in range(first)],
            [row * n + i for row in range(first, len(slots) + 2) for i in group],
            np.dtype([(str(i), dtype, shapes[i]) for i in group]) if len(group) > 1 else shapes[group[0]],
        )
        for group in alike.values()
    ]


def _completed(old: Mapping[str, AnyArray], new: dict[str, AnyArray]) -> Mapping[str, AnyArray]:
    """Return the new arrays, and the old ones where nothing is new, in the order of the old."""
    if list(new) == list(old):
        return MappingProxyType(new)
    return MappingProxyType({name: new[name] if name in new else lasting(array) for name, array in old.items()})


def _joined(arrays: list[AnyArray], n: int) -> list[AnyArray]:
    """Return rows of n small arrays each, put end to end, so that one call steps them all, or of one array as it is."""
    if n == 1 and arrays[-1].ndim > 0:  # arithmetic on an array without axes gives no array
        return arrays
    buffers: list[Any] = arrays  # of which the types of NumPy do not tell before Python 3.12
    try:
        memory = bytearray().join(buffers)  # in a quarter of the time of numpy.concatenate
    except TypeError:  # one of them has gaps, or stands by columns
        memory = bytearray().join([array.tobytes() for array in arrays])
    rows = np.frombuffer(memory, arrays[-1].dtype).reshape(len(arrays) // n, -1)
    return [rows[i] for i in range(len(rows))]


def _parted(array: AnyArray, layout: Layout) -> list[AnyArray]:
    """Undo `_joined`: return views of one array, all of which are locked; of a count, itself again and again."""
    if isinstance(layout, tuple):
        array.setflags(write=False)
        return [array.reshape(layout) if array.ndim else array]
    fields = layout.names or ()
    # A structure is cut in less time than slices are shaped, unless it is made of what is locked.
    whole: AnyArray = np.ndarray((), layout, array) if array.ndim else array
    whole.setflags(write=False)
    array.setflags(write=False)
    return [whole[field] for field in fields] if array.ndim else [array] * len(fields)


def check_state(function: str, fills: Mapping[str, float], state: State, params: Params) -> Slotted:
    """Return each slot with whether it is a count, counts first, unless the state holds what is no slot of these params.

    Example:
        >>> check_state("adam", {"m": 0.0, "t": 0}, {}, {"W": np.zeros(1)})
        (('t', True), ('m', False))
        >>> check_state("sgd", {}, {"m/W": np.zeros(1)}, {"W": np.zeros(1)})
        Traceback (most recent call last):
        ...
        ValueError: sgd: state must be empty, as sgd remembers nothing, got 'm/W'
    """
    if not hasattr(state, "keys"):
        raise TypeError(problem(function, "state", "be a mapping that the optimiser's init made", describe(state)))
    slots = tuple([(slot, type(fill) is int) for slot, fill in fills.items()])
    return _known_slots(function, slots, tuple(state), tuple(params))


@lru_cache(maxsize=256)
def _known_slots(function: str, slots: Slotted, state: tuple[str, ...], params: tuple[str, ...]) -> Slotted:
    """Return the slots, counts first, if the state's names are all names of theirs."""
    # An init that was given statistics made slots for them, which no step uses.
    known = {f"{slot}/{name}" for slot, _ in slots for each in params for name in (each, *statistics_beside(each))}
    own = f"hold only {', '.join(slot for slot, _ in slots)} of each parameter of these"
    for name in state:
        constraint = own if slots else f"be empty, as {function} remembers nothing"
        require(name in known, function, "state", constraint, repr(name))
    return tuple(sorted(slots, key=lambda slot: not slot[1]))


@lru_cache(maxsize=256)
def _forms(slots: Slotted, names: tuple[str, ...], shapes: Shapes, dtype: DType) -> Forms:
    """Return the forms of these slots of these params, slot by slot."""
    full = [f"{slot}/{name}" for slot, _ in slots for name in names]
    wanted = [() if is_count else shape for _, is_count in slots for shape in shapes]
    dtypes = [_COUNT if is_count else dtype for _, is_count in slots for _ in names]
    return dtypes.count(_COUNT), full, wanted, dtypes


def _checked_slots(function: str, forms: Forms, state: State) -> tuple[list[AnyArray], list[int]]:
    """Return the arrays of some slots, all of which must be there in the right form, and what their counts are."""
    many, full, shapes, dtypes = forms
    held = [state[name] for name in full if name in state]
    fits = set(map(type, held)) <= {np.ndarray} and [array.shape for array in held] == shapes
    fits = fits and [array.dtype for array in held] == dtypes
    counts = [int(count) for count in held[:many]] if fits else []
    if not fits or (many and not 0 <= min(counts) <= max(counts) < _MOST):
        for name, shape, dtype in zip(full, shapes, dtypes, strict=True):
            _check_slot(function, name, state, shape, dtype)
    return held, counts


def _check_slot(function: str, full: str, state: State, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> None:
    """Raise for a slot that is missing, or is not as it should be."""
    require(full in state, function, "state", f"hold {full!r} (it is of another network)", list(state))
    held, argument = state[full], f"state[{full!r}]"
    fits = isinstance(held, np.ndarray) and held.shape == shape
    require(fits, function, argument, f"have shape {shape}", value=held)
    if type(held) is not np.ndarray:
        raise TypeError(problem(function, argument, "be a plain array (numpy.array makes one)", f"a {type(held).__name__}"))
    require(held.dtype == dtype, function, argument, f"be {dtype}", held, TypeError)
    if dtype == _COUNT:
        bound = "be at least 0" if held < 0 else "be below 2**62"
        require(0 <= held < _MOST, function, argument, bound, int(held))


def _check_squares(function: str, slot: str, names: tuple[str, ...], grads: list[Array], squares: list[Array]) -> None:
    """Raise FloatingPointError if a gradient, or its square, is not finite."""
    for name, gradient, square in zip(names, grads, squares, strict=True):
        check_finite(function, f"grads[{name!r}]", gradient)
        found = where_not_finite(square)
        constraint = f"stay finite (clip the gradients, whose squares {gradient.dtype} cannot hold)"
        require(not found, function, f"state['{slot}/{name}']", constraint, found, FloatingPointError)
