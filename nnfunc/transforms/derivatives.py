"""Second derivatives: the Hessian of the loss times a vector."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import SupportsFloat

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.network.boundary import prepared, value_and_grads_pass
from nnfunc.network.guard import check_layer
from nnfunc.values.arrays import check_finite, sum_of_squares
from nnfunc.values.checks import FLOAT64, listed, require
from nnfunc.values.params import checked_params, sealed
from nnfunc.values.types import Array, Key, Layer, LossFn, Params, Penalty

# The error of a central difference is least where that of its two halves is: the third derivative times h^2, and
# the rounding of the gradients over h. That is near the cube root of the rounding, about 6e-6 of what is moved.
_STEP = float(np.finfo(np.float64).eps) ** (1 / 3)


def hvp(
    net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, vector: Params, *,
    weight: ArrayLike | None = None, mean_weight: SupportsFloat | None = None, penalty: Penalty | None = None,
    key: Key | None = None,
) -> Params:
    """Return the Hessian of `loss` times a vector, (grads(p + h v) - grads(p - h v)) / 2h, for all params at once.

    Two calls of `grads`, whatever the number of params. They are made in
    float64 for float32 params too, and h moves the params by 6e-6 of their
    length (of 1, if they are shorter): the cube root of float64's rounding,
    where the error of a central difference is least. For smooth networks it is
    then some 1e-10 of the result, but for params of very different sizes: one
    of 1e6 beside others near 1 leaves some 1e-6. A corner of relu that is nearer
    than h to one of the rows shows as a jump of its gradient.

    Args:
        net, loss_fn, params, x, y, weight, mean_weight, penalty, key: as for `grads`.
        vector: of the shapes of the params; names that are missing are zeros.

    Returns:
        The product under the names of the gradients, in the params' dtype.

    Raises:
        ValueError: the vector has other names or shapes than the params; or as `grads`.
        TypeError, FloatingPointError: as `grads`, or the vector is not finite.

    Example:
        >>> from nnfunc import dense, mse
        >>> params = {"W": np.array([[2.0]]), "b": np.zeros(1)}
        >>> product = hvp(dense(1, 1), mse, params, [[3.0]], [[1.0]], {"W": [[1.0]]})  # of (3 W + b - 1)^2
        >>> product["W"].round(6), product["b"].round(6)  # 2 * 3 * 3, and 2 * 3
        (array([[18.]]), array([6.]))

    Reference:
        Pearlmutter (1994), "Fast exact multiplication by the Hessian", equation 1; Nocedal & Wright (2006), section 8.1.
    """
    check_layer("hvp", "net", net)
    held, dtype = checked_params("hvp", params)
    given, _ = checked_params("hvp", vector, "vector", FLOAT64)
    along = {name: array.astype(np.float64) for name, array in given.items()}
    unknown = [name for name in along if name not in held]
    require(not unknown, "hvp", "vector", f"have names that are in params ({listed(held)})", listed(unknown))
    for name, array in along.items():
        shape = held[name].shape
        require(array.shape == shape, "hvp", f"vector[{name!r}]", f"have shape {shape}", array.shape)
        check_finite("hvp", f"vector[{name!r}]", array)
    length = _length(along) or 1.0  # of a vector of zeros the product is zeros
    h = _STEP * max(1.0, _length({name: array for name, array in held.items() if name in along})) / length
    rows = prepared("hvp", net, held, x, key)[2]
    ahead, behind = (
        value_and_grads_pass(
            "hvp", net, loss_fn, _moved(held, along, step), rows.astype(np.float64), y, weight, mean_weight, penalty, key
        )[1]
        for step in (h, -h)
    )
    with np.errstate(all="ignore"):
        return sealed({name: np.asarray((g - behind[name]) / (2 * h), dtype) for name, g in ahead.items()})


def _length(arrays: Mapping[str, Array]) -> float:
    """Return the Euclidean length of all arrays together."""
    size, squares = sum_of_squares(arrays.values())
    return size * math.sqrt(squares)


def _moved(params: Params, along: Params, step: float) -> Params:
    """Return params in float64, moved by a step along a vector."""
    with np.errstate(all="ignore"):
        return {
            name: array.astype(np.float64) + step * along[name] if name in along else array.astype(np.float64)
            for name, array in params.items()
        }
