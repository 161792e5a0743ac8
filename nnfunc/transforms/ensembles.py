"""Ensembles: M networks of one form as one, their params stacked, each array (M, ...)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnfunc.values.checks import as_tuple, listed, problem, require
from nnfunc.values.params import checked_params, mapped, sealed
from nnfunc.values.types import Params


def stack_params(members: Sequence[Params]) -> Params:
    """Return the params of M networks of one form as one: each array has a first axis more, of length M.

    An optimiser steps them as any params, element by element. What looks at all arrays at once looks at all members:
    `clip_by_global_norm` clips them by their common norm (for each its own, clip what `unstack_params` gives).

    Args:
        members: params, with the same names, shapes and dtype; the order of names is that of the first.

    Laws:
        ``unstack_params(stack_params(members))`` is the members, byte for byte.

    Raises:
        TypeError: a member is no mapping of names to arrays, or of another dtype.
        ValueError: there is no member, or one has other names or shapes.

    Example:
        >>> stacked = stack_params([{"b": np.zeros(2)}, {"b": np.ones(2)}])
        >>> stacked["b"]
        array([[0., 0.],
               [1., 1.]])
    """
    function = "stack_params"
    given = as_tuple(function, "members", members, "params")
    require(given, function, "members", "hold the params of one network at least", "none")
    held = [checked_params(function, each, f"members[{i}]") for i, each in enumerate(given)]
    first, dtype = held[0]
    require(first, function, "members[0]", "hold an array at least, whose first axis the members will be", "none")
    for i, (each, own_dtype) in enumerate(held):
        names = f"have the names that members[0] has ({listed(first)})"
        require(each.keys() == first.keys(), function, f"members[{i}]", names, list(each))
        for name, array in each.items():
            shape = first[name].shape
            if array.shape != shape:
                raise ValueError(problem(function, f"members[{i}][{name!r}]", f"have shape {shape}, as in members[0]", array))
        require(own_dtype == dtype, function, f"members[{i}]", f"be {dtype}, as members[0]", str(own_dtype), TypeError)
    return mapped(lambda *arrays: np.array(arrays), *(each for each, _ in held))


def unstack_params(stacked: Params) -> tuple[Params, ...]:
    """Return the params of each member of an ensemble.

    Raises:
        TypeError: `stacked` is no mapping of names to arrays.
        ValueError: it holds none, or they differ in the length of their first axis.

    Example:
        >>> [dict(member) for member in unstack_params({"b": np.array([[0.0], [1.0]])})]
        [{'b': array([0.])}, {'b': array([1.])}]
    """
    held, members = _checked_stack("unstack_params", stacked)
    return tuple(sealed({name: np.array(array[i]) for name, array in held.items()}) for i in range(members))


def _checked_stack(function: str, stacked: Params) -> tuple[Params, int]:
    """Return stacked params, and of how many members they are."""
    held, _ = checked_params(function, stacked, "stacked")
    counts = {name: len(array) if array.ndim else 0 for name, array in held.items()}
    members = min(counts.values(), default=0)
    constraint = "hold arrays with a first axis, one place for each member (stack_params makes them)"
    require(members, function, "stacked", constraint, f"{listed([f'{name} {held[name].shape}' for name in held])}")
    if max(counts.values()) != members:
        shapes = listed([f"{name} {array.shape}" for name, array in held.items()])
        raise ValueError(problem(function, "stacked", "hold arrays whose first axis is of one length", shapes))
    return held, members
