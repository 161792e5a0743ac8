"""One step down the gradient: the ordinary case in one pass over the names, and all others."""

from types import MappingProxyType

import numpy as np

from nnfunc.checks import FLOAT32, FLOAT64, lasting, problem
from nnfunc.params import ORDINARY, checked_params, sealed
from nnfunc.passes import unknown_name
from nnfunc.types import Array, DType, Params


@np.errstate(all="ignore")
def descended(params: Params, grads: Params, rate: float) -> Params | None:
    """Return params - rate * grads if each parameter has a gradient of its own dtype and shape, else nothing.

    Example:
        >>> descended({"b": np.ones(1)}, {"b": np.ones(1)}, 0.5)["b"]
        array([0.5])
        >>> descended({"b": np.ones(1)}, {}, 0.5) is None
        True
    """
    stepped: dict[str, Array] = {}
    dtype: DType | None = None
    try:
        "".join(params)  # the fastest way to meet a name that is no string
        if len(params) != len(grads) or type(params) not in ORDINARY or type(grads) not in ORDINARY:
            return None
        for name, array in params.items():
            gradient = grads.get(name)
            if type(array) is not np.ndarray or type(gradient) is not np.ndarray or gradient.shape != array.shape:
                return None
            if dtype is None or array.dtype != dtype:
                if dtype is not None or array.dtype not in (FLOAT32, FLOAT64):
                    return None
                dtype = array.dtype
                lr = np.asarray(rate, dtype)  # of few values, NumPy computes with it in half the time of a float
            if gradient.dtype != dtype:
                return None
            change = np.asarray(gradient * lr)
            np.subtract(array, change, out=change)
            change.setflags(write=False)
            stepped[name] = change
    except TypeError:
        return None
    return MappingProxyType(stepped)


def descended_of_any_kind(params: Params, grads: Params, rate: float) -> Params:
    """Check and convert what `descended` declines, and step the params that have a gradient.

    Example:
        >>> dict(descended_of_any_kind({"W": [1.0], "b": np.ones(1)}, {"W": [1.0]}, 0.5))
        {'W': array([0.5]), 'b': array([1.])}
    """
    params, dtype = checked_params("sgd_step", params)
    grads, _ = checked_params("sgd_step", grads, "grads")
    if not grads.keys() <= params.keys():
        raise ValueError(unknown_name("sgd_step", "grads", grads, params))
    for name, gradient in grads.items():
        if gradient.shape != params[name].shape:
            constraint = f"have shape {params[name].shape}"
            raise ValueError(problem("sgd_step", f"grads[{name!r}]", constraint, gradient.shape))
    with np.errstate(all="ignore"):
        lr = np.asarray(rate, dtype)
        return sealed(
            {
                name: np.asarray(array - grads[name].astype(dtype) * lr, dtype) if name in grads else lasting(array)
                for name, array in params.items()
            }
        )
