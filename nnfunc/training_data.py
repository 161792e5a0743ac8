"""The data of a training run: inputs, targets and weights, row by row, checked once."""

from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.checks import as_inputs, as_targets, locked, problem
from nnfunc.params import checked_params
from nnfunc.passes import row_weights
from nnfunc.run_state import is_run_state, section
from nnfunc.types import AnyArray, Array, Params, Rows, State

Rowwise = TypedDict("Rowwise", {"x": Array, "y": AnyArray, "weight": AnyArray | None})


def training_rows(
    function: str, x: ArrayLike, y: ArrayLike, weight: ArrayLike | None, params: Params | State
) -> tuple[Rowwise, Params]:
    """Return training data that fit each other, without rows of weight 0, and the params in one dtype.

    Example:
        >>> rows, _ = training_rows("train", [[1.0], [2.0]], [[1.0], [2.0]], [0, 3], {"W": np.ones((1, 1))})
        >>> rows["x"], rows["weight"]
        (array([[2.]]), array([3.]))
    """
    held, dtype = checked_params(function, section(params, "params") if is_run_state(params) else params)
    inputs = as_inputs(function, "x", x, dtype)
    targets = as_targets(function, "y", y, dtype)
    if targets.ndim == 0 or len(targets) != len(inputs):
        raise ValueError(problem(function, "y", f"have one target for each of the {len(inputs)} rows of x", targets))
    if weight is None:
        return {"x": inputs, "y": targets, "weight": None}, held
    weights = row_weights(function, weight, len(inputs))
    kept = weights > 0
    return {"x": inputs[kept], "y": targets[kept], "weight": weights[kept]}, held


def row_numbers(weight: ArrayLike | None, n: int) -> Rows:
    """Return, for each row that `training_rows` kept of n, its number in the data that were given.

    Example:
        >>> row_numbers(None, 3), row_numbers([1, 0, 2], 3)
        (array([0, 1, 2]), array([0, 2]))
    """
    return np.arange(n) if weight is None else np.flatnonzero(np.asarray(weight) > 0)


def undisturbed(array: AnyArray, given: ArrayLike) -> AnyArray:
    """Return an array that was made of an argument as one that nothing done to the argument can change.

    It is copied unless it is so already: locked and the owner of its memory, or a conversion.

    Example:
        >>> given = np.zeros(2)
        >>> held = undisturbed(given, given)
        >>> given[0] = 1
        >>> held
        array([0., 0.])
    """
    if isinstance(given, np.ndarray):
        lasts = given.flags.owndata and not given.flags.writeable
        if lasts or not np.may_share_memory(array, given):
            return array
    return locked(array.copy(order="K"))
