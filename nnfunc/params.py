"""Params: immutable flat mappings of arrays, and how they stay immutable.

A frozen mapping is a `types.MappingProxyType` over a dict that nobody else
holds, with locked arrays in it. That type does not pickle by itself; the
reducer at the end of this file makes pickle, deepcopy and process pools give
back frozen mappings.
"""

import copyreg
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.checks import FLOAT32, FLOAT64, as_real, describe, locked, problem
from nnfunc.types import AnyArray, Array, DType, Params

# Mappings of which it is known what get and len and items do.
ORDINARY = (MappingProxyType, dict)


def freeze(mapping: Mapping[str, ArrayLike]) -> Params:
    """Return an immutable copy of a mapping of names to arrays, in the same order.

    Neither the mapping nor its arrays can be changed, and no memory is shared
    with the argument. Lists are converted.

    Raises:
        TypeError: the argument is no mapping, a name is no string, or a value
            does not hold real numbers.
        ValueError: a value is a ragged list.

    Example:
        >>> params = freeze({"W": [[1.0, 2.0]]})
        >>> params["W"]
        array([[1., 2.]])
        >>> params["W"][0, 0] = 5.0
        Traceback (most recent call last):
        ...
        ValueError: assignment destination is read-only
        >>> params["b"] = params["W"]
        Traceback (most recent call last):
        ...
        TypeError: 'mappingproxy' object does not support item assignment
    """
    check_names("freeze", "mapping", mapping)
    return sealed({name: np.array(as_real("freeze", name, value)) for name, value in mapping.items()})


def check_names(function: str, argument: str, mapping: Mapping[str, ArrayLike]) -> None:
    """Raise TypeError unless `mapping` is a mapping whose names are strings.

    Example:
        >>> check_names("freeze", "mapping", [1])
        Traceback (most recent call last):
        ...
        TypeError: freeze: mapping must be a mapping of names to arrays, got [1]
    """
    if not hasattr(mapping, "items"):
        raise TypeError(problem(function, argument, "be a mapping of names to arrays", describe(mapping)))
    for name in mapping:
        if not isinstance(name, str):
            raise TypeError(problem(function, argument, "have strings as names", describe(name)))


def sealed(arrays: dict[str, Array]) -> MappingProxyType[str, Array]:
    """Lock a dict and its arrays, which the caller has just made and gives away.

    Example:
        >>> sealed({"b": np.zeros(2)})["b"].flags.writeable
        False
    """
    for array in arrays.values():
        array.setflags(write=False)
    return MappingProxyType(arrays)


def checked_params(function: str, params: Params, argument: str = "params") -> tuple[Params, DType]:
    """Return params whose arrays are all locked and of one dtype, with that dtype.

    What the library made passes through untouched; a user's own dict is
    viewed through a new one, its lists converted.

    Raises:
        TypeError: not a mapping with strings as names, or arrays that are not
            all float32 or all float64; the message calls them `argument`.

    Example:
        >>> checked_params("forward", {"W": np.zeros(3)})[1]
        dtype('float64')
    """
    dtype: DType | None = None
    try:
        "".join(params)  # the fastest way to meet a name that is no string
        for array in params.values():
            if type(array) is not np.ndarray or array.flags.writeable:
                break
            if dtype is None or array.dtype != dtype:
                if dtype is not None or array.dtype not in (FLOAT32, FLOAT64):
                    break
                dtype = array.dtype
        else:
            return params, dtype or FLOAT32
    except (AttributeError, TypeError):
        pass
    return _converted_params(function, params, argument)


def _converted_params(function: str, params: Params, argument: str) -> tuple[Params, DType]:
    check_names(function, argument, params)
    called = {name: name if argument == "params" else f"{argument}[{name!r}]" for name in params}
    arrays = {name: as_real(function, called[name], value) for name, value in params.items()}
    dtypes = {a.dtype for name, a in arrays.items() if isinstance(params[name], np.ndarray)} or {FLOAT32}
    for name, array in arrays.items():
        if isinstance(params[name], np.ndarray) and array.dtype not in (FLOAT32, FLOAT64):
            raise TypeError(problem(function, called[name], "be a float32 or float64 array", array))
    if len(dtypes) > 1:
        kinds = ", ".join(f"{name} {array.dtype}" for name, array in arrays.items())
        raise TypeError(problem(function, argument, "share one dtype", kinds))
    dtype = dtypes.pop()
    return {name: locked(array.astype(dtype, copy=False)) for name, array in arrays.items()}, dtype


def _restored(values: dict[str, AnyArray], frozen: bool) -> MappingProxyType[str, AnyArray]:
    return sealed(values) if frozen else MappingProxyType(values)


def _reduced(
    mapping: MappingProxyType[str, AnyArray],
) -> tuple[Callable[[dict[str, AnyArray], bool], MappingProxyType[str, AnyArray]], tuple[dict[str, AnyArray], bool]]:
    # NumPy forgets the lock on the way through pickle, so it is noted here. A
    # mapping proxy that is not ours travels as it is, nothing in it locked.
    frozen = all(isinstance(a, np.ndarray) and not a.flags.writeable for a in mapping.values())
    return _restored, (dict(mapping), frozen)


copyreg.pickle(MappingProxyType, _reduced)
