"""PyTorch: params out of a module's state dict, and a state dict out of params. Arrays on both sides, PyTorch on neither."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.exchange.foreign import Place, fitting, placed, with_params
from nnfunc.network.kinds import Facts, children, facts, walk
from nnfunc.values.arrays import as_real
from nnfunc.values.checks import listed, problem, require
from nnfunc.values.params import check_names, joined
from nnfunc.values.types import AnyArray, Layer, Params

# Names there and here, in the order of a state dict.
_FIELDS: dict[str, dict[str, str]] = {
    "dense": {"weight": "W", "bias": "b"},
    "layer norm": {"weight": "gamma", "bias": "beta"},
    "batch norm": {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "var"},
    "embedding": {"weight": "table"},
}
_COUNT = "num_batches_tracked"  # of a batch norm, and no params
_KNOWN = {_COUNT, *(field for fields in _FIELDS.values() for field in fields)}


def from_torch(net: Layer, arrays: Mapping[str, ArrayLike]) -> Params:
    """Return params for the network from a module's state dict: ``from_torch(net, module.state_dict())``.

    The modules that have params, Linear, LayerNorm, BatchNorm1d and Embedding, and the network's layers that have some
    go together by name, where the names are the same ("enc.hidden" there, "enc/hidden" here); else in order, numbered
    modules by their numbers. The order is that in which a module's attributes were registered, which need not be that
    in which they run, and which a safetensors file does not keep. Everything is copied, a Linear's weight transposed. What a module
    computes is not in a state dict: `relu` or `gelu`, and a norm's eps (1e-5 there and here), are as the network says.
    BatchNorm1d's running variance is an average of unbiased ones of batches, and is taken as it is;
    ``calibrate(net, params, x)`` computes it of all rows, divided by their number.

    Args:
        net: a network of the same layers.
        arrays: the state dict, on the CPU, of tensors or arrays: ``{n: t.numpy() for n, t in module.state_dict().items()}``.
            Of float16 or bfloat16 take ``module.float().state_dict()``.

    Raises:
        TypeError: `arrays` is no mapping, or holds another dtype than float32 or float64, or both.
        ValueError: an array is missing, one too many or of another shape, or there are other modules; the
            message says what was expected where.

    Example:
        >>> from nnfunc import chain, dense, relu
        >>> net = chain(hidden=dense(2, 1, relu), out=dense(1, 1))  # Sequential(Linear(2, 1), ReLU(), Linear(1, 1))
        >>> state = {"0.weight": np.array([[1.0, 2.0]]), "0.bias": np.zeros(1), "2.weight": np.eye(1), "2.bias": np.ones(1)}
        >>> dict(from_torch(net, state))
        {'hidden/W': array([[1.],
               [2.]]), 'hidden/b': array([0.]), 'out/W': array([[1.]]), 'out/b': array([1.])}
    """
    layers, given = with_params("from_torch", net), _state("from_torch", "arrays", arrays)
    return placed("from_torch", "arrays", _places("from_torch", "arrays", layers, given), given)


def to_torch(net: Layer, params: Params, like: Mapping[str, ArrayLike] | None = None) -> dict[str, AnyArray]:
    """Return a state dict of new arrays, for ``module.load_state_dict({n: torch.from_numpy(a) for n, a in ....items()})``.

    Without `like`, names are those of ``torch.nn.Sequential``, where a layer is a module, as dropout is, an activation
    inside `dense` one of its own, and an embedding an Embedding and a Flatten.

    Args:
        net: the network.
        params: its params, with the statistics of its batch norms.
        like: the state dict of a module with the same layers in order, whose names and order are taken.

    Laws:
        ``from_torch(net, to_torch(net, params))`` = params, the same bytes.

    Raises:
        TypeError: `params` or `like` are no mapping of arrays.
        ValueError: `params` are not those of the network, `like` is not of such a module, or there is no `like` where
            the network is no plain chain.

    Example:
        >>> from nnfunc import chain, dense, dropout, relu
        >>> net = chain(a=dense(2, 1, relu), drop=dropout(0.5), out=dense(1, 1, bias=False))
        >>> to_torch(net, {"a/W": np.array([[1.0], [2.0]]), "a/b": np.zeros(1), "out/W": np.eye(1)})
        {'0.weight': array([[1., 2.]]), '0.bias': array([0.]), '3.weight': array([[1.]])}
    """
    if like is None:
        held, places = fitting("to_torch", net, params), _numbered(net)
    else:
        given = _state("to_torch", "like", like)
        places = _places("to_torch", "like", with_params("to_torch", net), given)
        placed("to_torch", "like", places, given)
        held = fitting("to_torch", net, params, statistics=any(name.endswith("running_mean") for name in given))
    state: dict[str, AnyArray] = {}
    for name, own, _, turned in places:
        state[name] = np.array(held[own].T if turned else held[own], order="C")
        if name.endswith("running_var"):
            state[name.removesuffix("running_var") + _COUNT] = np.asarray(0)
    return state if like is None else {name: state[name] for name in like if name in state}


def _state(function: str, argument: str, arrays: Mapping[str, ArrayLike]) -> dict[str, AnyArray]:
    """Return the arrays of a state dict that are params here, if all are of modules that are known here."""
    constraint = "be a mapping of names to arrays (module.state_dict() is one)"
    require(hasattr(arrays, "items"), function, argument, constraint, kind=TypeError, value=arrays)
    check_names(function, argument, arrays)
    values: Mapping[str, object] = arrays
    inside = {name: value for name, value in values.items() if isinstance(value, Mapping)}
    named = [name for name, value in inside.items() if value and all(isinstance(each, str) for each in value)]
    which = f"be one state dict (take {argument}[{named[0]!r}])" if named else "be the state dict of a module, and not of an optimiser"
    require(not inside, function, argument, which, f"a mapping of {listed(arrays)}", TypeError)
    given = {name: _held(function, f"{argument}[{name!r}]", array) for name, array in arrays.items()}
    strange = [f"{name} {a.shape}" for name, a in given.items() if name.rpartition(".")[2] not in _KNOWN or a.ndim > 2]
    modules = "be those of Linear, LayerNorm, BatchNorm1d and Embedding modules"
    require(not strange, function, argument, modules, f"{listed(strange)} as well")
    return {name: array for name, array in given.items() if name.rpartition(".")[2] != _COUNT}


def _held(function: str, argument: str, value: ArrayLike) -> AnyArray:
    """Return an array, or a tensor with its gradients left behind, as an array."""
    detach = getattr(value, "detach", None)
    try:
        return as_real(function, argument, detach() if callable(detach) else value)
    except TypeError as error:
        if detach is None:
            raise
        constraint = "be a tensor that NumPy can hold (those of module.cpu().float().state_dict() are)"
        raise TypeError(problem(function, argument, constraint, f"a {type(value).__name__}")) from error


def _places(function: str, argument: str, layers: list[tuple[str, Facts]], given: Mapping[str, AnyArray]) -> list[Place]:
    """Return where params stand in a state dict: layer i's in the i-th of its modules."""
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in given))
    named = [path.replace("/", ".") for path, _ in layers]
    if set(modules) == set(named):
        modules = named
    elif all(module.rpartition(".")[2].isdigit() for module in modules) and len({m.rpartition(".")[0] for m in modules}) == 1:
        modules.sort(key=lambda module: int(module.rpartition(".")[2]))
    shown = listed([path or known["word"] for path, known in layers])
    got = f"{len(modules)} ({listed(modules)})"
    require(len(modules) == len(layers), function, argument, f"hold {len(layers)} modules, for {shown}", got)
    places: list[Place] = []
    for module, (path, known) in zip(modules, layers, strict=True):
        optional = [] if f"{module}.running_mean".lstrip(".") in given else known["statistics"]
        places += [place for place in _of(module, path, known) if place.own.rpartition("/")[2] not in optional]
    return places


def _of(module: str, path: str, known: Facts) -> list[Place]:
    """Return where the params of a layer stand in the module of this name."""
    fields = ((field, own) for field, own in _FIELDS[known["word"]].items() if own in known["shapes"])
    return [Place(f"{module}.{f}" if module else f, joined(path, own), known["shapes"][own], own == "W") for f, own in fields]


def _numbered(net: Layer) -> list[Place]:
    """Return where params stand in a `Sequential` of the network's layers."""
    places: list[Place] = []
    number = 0
    for path, layer in walk(net):
        known = facts(layer)
        if children(layer):
            constraint = "be given, as torch.nn.Sequential has nothing"
            word = known["word"] if known else "combination"
            raise ValueError(problem("to_torch", "like", f"{constraint} like the {word}{path and f' at {path}'}", None))
        if known is not None:
            places += _of(str(number), path, known) if known["shapes"] else []
            number += (known["word"] == "dense" and known["rule"] is not None) + (known["word"] == "embedding")
        number += 1
    return places
