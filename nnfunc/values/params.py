"""Params: immutable flat mappings of arrays, how they stay immutable, and verbs over them.

A frozen mapping is a `types.MappingProxyType` over a dict that nobody else
holds, with locked arrays in it. That type does not pickle by itself; the
reducer at the end of this file makes pickle, deepcopy and process pools give
back frozen mappings.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from math import prod
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.values.arrays import as_real, in_dtype, lasting
from nnfunc.values.checks import FLOAT32, FLOAT64, arguments_of, describe, listed, problem, require, shortened
from nnfunc.values.types import AnyArray, Array, DType, Params, State

# Of the library's own params. An ensemble's have an axis more, and a penalty of a table is another model.
_NO_WEIGHTS = frozenset(("b", "beta", "gamma", "mean", "var", "table"))


def freeze(mapping: Mapping[str, ArrayLike]) -> Params:
    """Return an immutable copy of a mapping of names to arrays, in the same order.

    Neither the mapping nor its arrays can be changed, also after pickle,
    `copy.deepcopy` or a trip through a process pool, and no memory is shared
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
    refuse_nested("freeze", "mapping", mapping)
    return sealed({name: np.array(as_real("freeze", name, value)) for name, value in mapping.items()})


def map_params(f: Callable[..., Array], *params: Params) -> Params:
    """Return ``f(a)`` for every array of the params, or ``f(a, b, ...)`` for arrays of one name in several.

    The result has the names and the order of the first, and is frozen like all params.

    Args:
        f: takes as many arrays as there are params, and returns one.
        params: one mapping of names to arrays, or several with the same names.

    Raises:
        TypeError: there are no params, or one is no mapping of names to arrays.
        ValueError: their names differ.

    Example:
        >>> a, b = {"W": np.array([1.0]), "b": np.array([2.0])}, {"b": np.array([0.5]), "W": np.array([3.0])}
        >>> dict(map_params(np.subtract, a, b))
        {'W': array([-2.]), 'b': array([1.5])}
        >>> dict(map_params(lambda p: 0 * p, a))
        {'W': array([0.]), 'b': array([0.])}
    """
    require(params, "map_params", "params", "be at least one mapping of names to arrays", "none", TypeError)
    takes = f"be a function of {len(params)} array{'s' * (len(params) > 1)}"
    require(callable(f), "map_params", "f", takes, kind=TypeError, value=f)
    for each in params:
        check_names("map_params", "params", each)
        same = each.keys() == params[0].keys()
        require(same, "map_params", "params", f"have the same names ({listed(params[0])})", list(each))
    held = [
        {n: a if isinstance(a, np.ndarray) else as_real("map_params", n, a) for n, a in each.items()} for each in params
    ]
    try:
        # A copy, as nobody can know whether f keeps what it returns.
        return mapped(lambda *arrays: np.array(as_real("map_params", "f(array)", f(*arrays))), *held)
    except TypeError as error:
        others = arguments_of(f, len(params))
        if others:
            raise TypeError(problem("map_params", "f", takes, f"{describe(f)}, which takes {others}")) from error
        raise


def select(params: Params, path: str) -> Params:
    """Return the params below a path, under their short names, in the same order: those of one layer of a network.

    It takes any flat mapping of arrays apart: gradients, an optimiser's state, a training state.

    Raises:
        TypeError: the params are no mapping of names to arrays, or the path is no string.
        ValueError: there is nothing below the path; the message lists the paths there are.

    Example:
        >>> params = {"enc/0/W": np.array([1.0]), "enc/0/b": np.array([2.0]), "out/W": np.array([3.0])}
        >>> dict(select(params, "enc/0"))
        {'W': array([1.]), 'b': array([2.])}
    """
    check_names("select", "params", params)
    require(isinstance(path, str), "select", "path", "be a string", kind=TypeError, value=path)
    found = section(params, path)
    if not found:
        paths = dict.fromkeys(path for name in params for path in paths_above(name))
        require(False, "select", "path", f"be one with params below it ({listed(paths)})", value=path)
    return mapped(lasting, {name: as_real("select", joined(path, name), array) for name, array in found.items()})


def ravel(params: Params) -> tuple[Array, Callable[[ArrayLike], Params]]:
    """Return ``(vector, unravel)``: all params in one flat array, and the way back.

    The vector is new, in the params' dtype and in their order; ``unravel(v)``
    takes a vector in any dtype, and gives params in theirs. Gradients come in the
    order of the params, so ``ravel(g)[0]`` of those of `grads` stands beside it,
    element by element (but for a batch norm's statistics, which have none).

    Laws:
        ``unravel(ravel(params)[0])`` = params. It pickles.

    Raises:
        TypeError: as `freeze`, or the params differ in dtype.
        ValueError: in `unravel`, the vector has not as many elements.
        FloatingPointError: in `unravel`, a number becomes infinite in the params' dtype.

    Example:
        >>> vector, unravel = ravel({"W": np.array([[1.0, 2.0]]), "b": np.array([3.0])})
        >>> vector, dict(unravel(2 * vector))
        (array([1., 2., 3.]), {'W': array([[2., 4.]]), 'b': array([6.])})
    """
    held, dtype = checked_params("ravel", params)
    vector = np.concatenate([np.zeros(0, dtype), *(array.ravel() for array in held.values())])
    return vector, partial(_unravelled, tuple((name, array.shape) for name, array in held.items()), dtype)


def _unravelled(shapes: tuple[tuple[str, tuple[int, ...]], ...], dtype: DType, vector: ArrayLike) -> Params:
    """Return params of these names and shapes, views of one copy of the vector."""
    flat, sizes = as_real("unravel", "vector", vector), [prod(shape) for _, shape in shapes]
    require(flat.shape == (sum(sizes),), "unravel", "vector", f"have shape ({sum(sizes)},)", value=flat)
    rest, params = np.array(in_dtype("unravel", "vector", flat, dtype)), {}
    rest.setflags(write=False)
    for (name, shape), size in zip(shapes, sizes, strict=True):
        params[name], rest = rest[:size].reshape(shape), rest[size:]
    return sealed(params)


def mapped(f: Callable[..., Array], *params: Params) -> Params:
    """Do as `map_params` with a function that returns new arrays, which nobody else holds.

    Example:
        >>> mapped(np.negative, {"b": np.ones(2)})["b"]
        array([-1., -1.])
    """
    if len(params) == 1:
        return sealed({name: np.asarray(f(array)) for name, array in params[0].items()})
    return sealed({name: np.asarray(f(*(each[name] for each in params))) for name in params[0]})


def check_names(function: str, argument: str, mapping: Mapping[str, ArrayLike]) -> None:
    """Raise TypeError unless `mapping` is a mapping whose names are strings.

    Example:
        >>> check_names("freeze", "mapping", [1])
        Traceback (most recent call last):
        ...
        TypeError: freeze: mapping must be a mapping of names to arrays, got [1]
    """
    is_mapping = hasattr(mapping, "items") and not isinstance(mapping, type)
    require(is_mapping, function, argument, "be a mapping of names to arrays", kind=TypeError, value=mapping)
    for name in mapping:
        require(isinstance(name, str), function, argument, "have strings as names", name, TypeError)


def sealed(arrays: dict[str, Array]) -> MappingProxyType[str, Array]:
    """Lock a dict and its arrays, which the caller has just made and gives away.

    Example:
        >>> sealed({"b": np.zeros(2)})["b"].flags.writeable
        False
    """
    for array in arrays.values():
        array.setflags(write=False)
    return MappingProxyType(arrays)


def checked_params(
    function: str, params: Params, argument: str = "params", like: DType | None = None
) -> tuple[Params, DType]:
    """Return params whose arrays are all of one dtype, with that dtype; what is no array is converted.

    Lists and scalars take the dtype of the arrays beside them, or `like`; where there is neither, float64.

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
            if type(array) is not np.ndarray:
                break
            if dtype is None and array.dtype in (FLOAT32, FLOAT64):
                dtype = array.dtype
            elif array.dtype != dtype:
                break
        else:
            # Of another mapping it is not known what get and len and items do: a defaultdict makes names up.
            return (params if type(params) in (MappingProxyType, dict) else dict(params.items())), dtype or FLOAT32
    except (AttributeError, TypeError):
        pass
    return _converted_params(function, params, argument, like)


def _converted_params(function: str, params: Params, argument: str, like: DType | None) -> tuple[Params, DType]:
    """Convert what is no array, and say what is wrong with params that are not as they should be."""
    check_names(function, argument, params)
    refuse_state(function, argument, params)
    called = {name: name if argument == "params" else f"{argument}[{name!r}]" for name in params}
    arrays = {name: as_real(function, called[name], value) for name, value in params.items()}
    dtypes = {a.dtype for name, a in arrays.items() if isinstance(params[name], np.ndarray)}
    for name, array in arrays.items():
        fits = array.dtype in (FLOAT32, FLOAT64) or not isinstance(params[name], np.ndarray)
        require(fits, function, called[name], "be a float32 or float64 array", array, TypeError)
    if not dtypes:
        dtypes = {FLOAT32 if all(array.dtype == FLOAT32 for array in arrays.values()) else FLOAT64}
    kinds = [f"{name} {array.dtype}" for name, array in arrays.items()]
    require(len(dtypes) == 1, function, argument, "share one dtype", listed(kinds), TypeError)
    dtype = like or dtypes.pop()
    return {name: in_dtype(function, called[name], array, dtype) for name, array in arrays.items()}, dtype


def refuse_nested(function: str, argument: str, values: Mapping[str, object]) -> None:
    """Raise TypeError if there is a mapping among the values, and say how its values are given flat.

    Example:
        >>> refuse_nested("save", "values", {"scaler": {"mean": np.zeros(2)}})
        Traceback (most recent call last):
        ...
        TypeError: save: values['scaler'] must be an array, as nothing is nested
        (in its place give {'scaler/' + str(k): a for k, a in values['scaler'].items()}), got a mapping of ['mean']
    """
    for name, value in values.items():
        if isinstance(value, Mapping):
            short = shortened(name, 100)
            flat = f"{{{short + '/'!r} + str(k): a for k, a in {argument}[{short!r}].items()}}"
            constraint, got = f"be an array, as nothing is nested (in its place give {flat})", describe(list(value))
            raise TypeError(problem(function, f"{argument}[{short!r}]", constraint, f"a mapping of {got}"))


def refuse_state(function: str, argument: str, params: Mapping[str, ArrayLike]) -> None:
    """Raise TypeError for what is nested, or lies beside params in a file or a state, and say how to get at the params.

    Example:
        >>> refuse_state("forward", "params", {"classes": np.array(["no", "yes"])})
        Traceback (most recent call last):
        ...
        TypeError: forward: classes must be floats; take it out: params = dict(params); text = params.pop('classes'),
        got <U3 array of shape (2,)
    """
    if "train/epoch" in params and "train/step" in params:
        got = "a training state (current_params(state) takes its params out)"
        raise TypeError(problem(function, argument, "be a mapping of names to arrays of floats", got))
    refuse_nested(function, argument, params)
    for name, value in params.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "U":
            take = f"params = dict(params); text = params.pop({name!r})"
            constraint = f"be floats; take it out: {take}" if len(name) < 100 else "be floats"
            raise TypeError(problem(function, shortened(name, 100), constraint, value))


def unknown_names(function: str, argument: str, grads: Params, params: Params) -> str:
    """Write the message for gradients under names that are not in params.

    Example:
        >>> unknown_names("sgd_step", "grads", {"V": np.ones(1)}, {"W": np.ones(1)})
        'sgd_step: grads must have names that are in params (W), got V'
    """
    unknown = listed([name for name in grads if name not in params])
    return problem(function, argument, f"have names that are in params ({listed(params)})", unknown)


def section(state: State, path: str) -> dict[str, Array]:
    """Return what a mapping holds below a path, under short names.

    Example:
        >>> section({"params/a/W": np.ones(1), "train/epoch": np.asarray(0)}, "params")
        {'a/W': array([1.])}
    """
    return {full[len(path) + 1 :]: array for full, array in state.items() if full.startswith(path + "/")}


@lru_cache(maxsize=256)
def grouped(
    function: str, argument: str, patterns: tuple[str, ...], names: tuple[str, ...]
) -> tuple[tuple[str, ...], ...]:
    """Return the names that each pattern takes: a name goes to the first that it matches, or to none.

    A pattern that takes nothing is an error, as it may be a mistyped one, but for ``*``.

    Example:
        >>> grouped("by_name", "optimizers", ("out/*", "*/W"), ("in/W", "out/W", "out/b"))
        (('out/W', 'out/b'), ('in/W',))
    """
    groups: list[list[str]] = [[] for _ in patterns]
    for name in names:
        first = next((i for i, pattern in enumerate(patterns) if fnmatchcase(name, pattern)), None)
        if first is not None:
            groups[first].append(name)
    for pattern, group in zip(patterns, groups, strict=True):
        if names and not group and pattern != "*":
            taken = [name for name in names if fnmatchcase(name, pattern)]
            why = f"of whose names earlier ones leave none ({listed(taken)})" if taken else "which none matches"
            constraint = f"have patterns that names of params match ({listed(names)})"
            raise ValueError(problem(function, argument, constraint, f"{pattern!r}, {why}"))
    return tuple(map(tuple, groups))


def is_weight(name: str, array: Array) -> bool:
    """Say whether a parameter is a weight, which penalties and weight decay count.

    Its name decides: W is one; b, beta, gamma, mean, var and table are none,
    however many axes they have. Under any other name it is one if it has two or more axes.

    Example:
        >>> is_weight("hidden/W", np.zeros(3)), is_weight("filter", np.zeros((3, 3))), is_weight("b", np.zeros((5, 3)))
        (True, True, False)
    """
    last = name.rpartition("/")[2]
    return last == "W" or (array.ndim > 1 and last not in _NO_WEIGHTS)


def paths_above(name: str) -> Iterator[str]:
    """Yield the paths of all that a name lies in, the outermost first.

    Example:
        >>> list(paths_above("enc/0/W"))
        ['enc', 'enc/0']
    """
    return (name[:i] for i, letter in enumerate(name) if letter == "/")


def joined(path: str, name: str) -> str:
    """Join a path and a name with ``/``.

    Example:
        >>> joined("", "a"), joined("a", "W"), joined("a", "")
        ('a', 'a/W', 'a')
    """
    return f"{path}/{name}" if path and name else path or name


def _restored(values: dict[str, AnyArray], frozen: bool) -> MappingProxyType[str, AnyArray]:
    """Make a mapping again of what pickle brought."""
    return sealed(values) if frozen else MappingProxyType(values)


def _reduced(
    mapping: MappingProxyType[str, AnyArray],
) -> tuple[Callable[[dict[str, AnyArray], bool], MappingProxyType[str, AnyArray]], tuple[dict[str, AnyArray], bool]]:
    """Take a mapping apart for pickle."""
    # NumPy forgets the lock on the way through pickle, so it is noted here. A
    # mapping proxy that is not ours travels as it is, nothing in it locked.
    frozen = all(isinstance(a, np.ndarray) and not a.flags.writeable for a in mapping.values())
    return _restored, (dict(mapping), frozen)


copyreg.pickle(MappingProxyType, _reduced)
