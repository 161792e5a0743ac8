"""What the files for other libraries share: which layers have params, and others' arrays put in their places."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

import numpy as np

from nnfunc.inspection.comparison import refuse_misfits
from nnfunc.network.guard import check_layer
from nnfunc.network.kinds import Facts, children, facts, walk
from nnfunc.values.checks import FLOAT32, FLOAT64, listed, problem, require
from nnfunc.values.params import checked_params, joined, sealed
from nnfunc.values.types import AnyArray, Layer, Params

Place = NamedTuple("Place", [("name", str), ("own", str), ("shape", tuple[int, ...]), ("turned", bool)])
"""Where an array stands: its name there, its name here, its shape here, and whether it stands there transposed."""


def needed(function: str, module: str) -> ModuleType:
    """Import a module of another library's; if it is not there, the message says what installs it.

    Example:
        >>> needed("to_onnx", "json").__name__
        'json'
        >>> needed("to_onnx", "no_such_module")
        Traceback (most recent call last):
        ...
        ModuleNotFoundError: to_onnx: no_such_module must be installed (pip install no_such_module), got no such module
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        whole = module.partition(".")[0]
        raise ModuleNotFoundError(problem(function, whole, f"be installed (pip install {whole})", "no such module")) from error


def with_params(function: str, net: Layer) -> list[tuple[str, Facts]]:
    """Return path and facts of a network's layers that have params, in order.

    Raises:
        TypeError: `net` is no layer.
        ValueError: a layer of a user's own has params.

    Example:
        >>> from nnfunc import chain, dense, relu, residual
        >>> net = chain(a=dense(2, 3, relu), b=residual(dense(3, 3)))
        >>> [(path, known["word"]) for path, known in with_params("to_torch", net)]
        [('a', 'dense'), ('b', 'dense')]
    """
    check_layer(function, "net", net)
    found: list[tuple[str, Facts]] = []
    for path, layer in walk(net):
        known = facts(layer)
        if known is not None and known["shapes"]:
            found.append((path, known))
        elif known is None and not children(layer) and layer[0](0, FLOAT32):
            constraint = "have params in the library's own layers only"
            raise ValueError(problem(function, "net", constraint, f"a layer of your own{path and f' at {path}'}"))
    return found


def fitting(function: str, net: Layer, params: Params, statistics: bool = True) -> Params:
    """Return params of the network, and unless they are not wanted, with the statistics of its batch norms.

    Example:
        >>> from nnfunc import batch_norm, init
        >>> fitting("to_torch", batch_norm(1), init(batch_norm(1), 0))
        Traceback (most recent call last):
        ...
        ValueError: to_torch: params must hold the statistics of the batch norms
        (params = calibrate(net, params, x) puts them there), got no mean and no var
    """
    layers = with_params(function, net)
    refuse_misfits(function, net, params)
    held, _ = checked_params(function, params)
    missing = [name for path, known in layers for name in known["statistics"] if joined(path, name) not in held]
    constraint = "hold the statistics of the batch norms (params = calibrate(net, params, x) puts them there)"
    require(not (missing and statistics), function, "params", constraint, f"no {' and no '.join(dict.fromkeys(missing))}")
    return held


def placed(function: str, argument: str, places: list[Place], given: Mapping[str, AnyArray]) -> Params:
    """Return copies of others' arrays as params, each in its place.

    Raises:
        ValueError: an array is missing, one too many, or of another shape.
        TypeError: an array is neither float32 nor float64, or they differ in dtype.

    Example:
        >>> places = [Place("0.weight", "out/W", (2, 1), True)]
        >>> placed("from_torch", "arrays", places, {"0.weight": np.array([[1.0, 2.0]])})["out/W"]
        array([[1.],
               [2.]])
        >>> placed("from_torch", "arrays", places, {"0.weight": np.zeros((2, 2))})
        Traceback (most recent call last):
        ...
        ValueError: from_torch: arrays['0.weight'] must have shape (1, 2), as out/W has (2, 1) here, got (2, 2)
    """
    missing = [f"{place.name} for {place.own} {place.shape}" for place in places if place.name not in given]
    require(not missing, function, argument, f"hold {listed(missing)}", f"only {listed(given)}")
    extra = [f"{name} {given[name].shape}" for name in given if name not in {place.name for place in places}]
    require(not extra, function, argument, f"hold no more than {listed([p.name for p in places])}", listed(extra))
    params: dict[str, AnyArray] = {}
    for name, own, shape, turned in places:
        array, called = given[name], f"{argument}[{name if name.isdigit() else repr(name)}]"
        wanted = shape[::-1] if turned else shape
        note = f", as {own} has {shape} here" if turned else f", as {own} has here"
        require(array.shape == wanted, function, called, f"have shape {wanted}{note}", array.shape)
        constraint = "be a float32 or float64 array (array.astype(np.float32) makes one)"
        require(array.dtype in (FLOAT32, FLOAT64), function, called, constraint, array, TypeError)
        params[own] = np.array(array.T if turned else array, order="C", subok=False)
    kinds = {str(array.dtype) for array in params.values()}
    require(len(kinds) < 2, function, argument, "share one dtype", " and ".join(sorted(kinds)), TypeError)
    return sealed(params)
