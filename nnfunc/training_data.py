"""The data of a training run: inputs, targets and weights, row by row, checked once."""

from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.checks import as_inputs, as_real, as_targets, describe, problem
from nnfunc.params import checked_params
from nnfunc.run_state import is_run_state, section
from nnfunc.types import AnyArray, Array, Params, State

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
    weights = as_real(function, "weight", weight).astype(np.float64)
    if weights.shape != (len(inputs),):
        raise ValueError(problem(function, "weight", f"have shape ({len(inputs)},), one weight per row", weights.shape))
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        got = f"weights from {weights.min():g} to {weights.max():g}"
        raise ValueError(problem(function, "weight", "be finite, at least 0 and not all 0", got))
    kept = weights > 0
    return {"x": inputs[kept], "y": targets[kept], "weight": weights[kept]}, held


def check_validation(validation: tuple[ArrayLike, ArrayLike], data: Rowwise) -> Rowwise:
    """Return validation data, which must look like the training data.

    Example:
        >>> rows, _ = training_rows("train", [[1.0]], [[1.0]], None, {"W": np.ones((1, 1))})
        >>> check_validation(([[1.0, 2.0]], [[1.0]]), rows)
        Traceback (most recent call last):
        ...
        ValueError: train: validation x must have rows of shape (1,), as the training data, got (2,)
    """
    if not isinstance(validation, tuple) or len(validation) != 2:
        raise TypeError(problem("train", "validation", "be a pair (x, y)", describe(validation)))
    x = as_inputs("train", "validation x", validation[0], data["x"].dtype)
    y = as_targets("train", "validation y", validation[1], data["x"].dtype)
    if y.ndim == 0 or len(y) != len(x):
        raise ValueError(problem("train", "validation y", f"have one target for each of the {len(x)} rows of x", y))
    for name, given, own in (("validation x", x, data["x"]), ("validation y", y, data["y"])):
        if given.shape[1:] != own.shape[1:]:
            constraint = f"have rows of shape {own.shape[1:]}, as the training data"
            raise ValueError(problem("train", name, constraint, given.shape[1:]))
    return {"x": x, "y": y, "weight": None}
