"""Keras: params out of a model's arrays or files, and arrays for a model. Keras is not imported, and nothing is unpickled."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.exchange.foreign import Place, fitting, needed, placed, with_params
from nnfunc.exchange.graph import options_of
from nnfunc.network.kinds import children, facts, walk
from nnfunc.pieces.activations import BACK_RULES, rule_name
from nnfunc.values.arrays import as_real
from nnfunc.values.checks import as_tuple, label, listed, problem, require
from nnfunc.values.files import FileName, plain_file, shown
from nnfunc.values.params import joined
from nnfunc.values.types import AnyArray, Layer, Params

Step = tuple[str, dict[str, float]]
"""An activation or a norm by its name here, and its numbers."""

# The names of layers' groups in a file, without their numbers. The arrays in them stand in our order.
_GROUPS = {"dense": "dense", "batch norm": "batch_normalization", "layer norm": "layer_normalization", "embedding": "embedding"}
# Layers of which a configuration has no more to say than their arrays, or than the network.
_PLAIN = ("InputLayer", "Dense", "Embedding", "Dropout", "Flatten")
_ACTIVATIONS = {"linear": "", "swish": "silu"}
_OPTIONS = {"leaky_relu": {"negative_slope": 0.2}, "elu": {"alpha": 1.0}}  # which an activation given by its name has there
_CONFIG_SIZE = 10_000_000


def from_keras(net: Layer, source: FileName | Sequence[ArrayLike]) -> Params:
    """Return params for the network from ``model.get_weights()``, or from a ``.keras`` or ``.weights.h5`` file of Keras 3.

    Layers that have params, Dense, BatchNormalization, LayerNormalization and Embedding, and the network's go
    together in order; in a file, the i-th Dense and the i-th `dense`. Everything is copied. The order of a model with
    branches is Keras's own, by depth: two towers give a1, b1, a2, b2, and the network's layers may stand in another.

    A norm's epsilon is 1e-3 there and 1e-5 here, the slope of LeakyReLU 0.3 (of the activation ``"leaky_relu"`` 0.2)
    and 0.01: say ``layer_norm(n, eps=1e-3)``. A ``.keras`` file holds these numbers, and what does not fit, or
    does not run one after another, is refused; arrays and ``.weights.h5`` files do not, so nobody can tell.

    Args:
        net: a network of the same layers.
        source: the arrays, or the file's path.

    Raises:
        ModuleNotFoundError: there is no h5py, for a file (``pip install h5py``).
        TypeError: `source` is neither, or holds another dtype than float32 or float64, or both.
        ValueError: an array is missing, one too many or of another shape; there are other layers, or branches; an activation,
            or a norm's epsilon, is another; the file is damaged, not theirs, or larger than the network's can be.
        OSError: the file cannot be read.

    Example:
        >>> from nnfunc import dense
        >>> dict(from_keras(dense(2, 1), [np.array([[1.0], [2.0]]), np.zeros(1)]))
        {'W': array([[1.],
               [2.]]), 'b': array([0.])}
    """
    places = _places(net)
    if isinstance(source, (str, os.PathLike)):
        return _from_file(net, source)
    arrays = [as_real("from_keras", f"source[{i}]", a) for i, a in enumerate(as_tuple("from_keras", "source", source, "arrays, or a path"))]
    wanted = listed([f"{place.own} {place.shape}" for place in places])
    constraint = f"hold {len(places)} arrays ({wanted})"
    require(len(arrays) == len(places), "from_keras", "source", constraint, f"{len(arrays)} ({listed([a.shape for a in arrays])})")
    return placed("from_keras", "source", places, {str(i): array for i, array in enumerate(arrays)})


def to_keras(net: Layer, params: Params) -> list[AnyArray]:
    """Return new arrays for ``model.set_weights(...)`` of a Keras model whose ``model.layers`` stand in the same order.

    Its norms want this network's epsilon: ``LayerNormalization(epsilon=1e-5)``; and leaky relu its slope.

    Laws:
        ``from_keras(net, to_keras(net, params))`` = params, the same bytes.

    Raises:
        TypeError: `params` are no mapping of arrays.
        ValueError: they are not those of the network, or lack the statistics of batch norms.

    Example:
        >>> from nnfunc import dense
        >>> to_keras(dense(1, 1), {"W": np.array([[2.0]]), "b": np.zeros(1)})
        [array([[2.]]), array([0.])]
    """
    held = fitting("to_keras", net, params)
    return [np.array(held[place.own], order="C") for place in _places(net, "to_keras")]


def _places(net: Layer, function: str = "from_keras") -> list[Place]:
    """Return where params stand in the arrays of a model."""
    fields = [(joined(path, own), shape) for path, known in with_params(function, net) for own, shape in known["shapes"].items()]
    return [Place(str(i), own, shape, False) for i, (own, shape) in enumerate(fields)]


def _places_in_file(net: Layer) -> list[Place]:
    """Return where params stand in a file, which numbers the layers of a kind."""
    places: list[Place] = []
    count: Counter[str] = Counter()
    for path, known in with_params("from_keras", net):
        group = _GROUPS[known["word"]]
        numbered = f"{group}_{count[group]}" if count[group] else group
        count[group] += 1
        fields = enumerate(known["shapes"].items())
        places += [Place(f"layers/{numbered}/vars/{i}", joined(path, own), shape, False) for i, (own, shape) in fields]
    return places


def _from_file(net: Layer, path: FileName) -> Params:
    """Return params from a file, of whose faults one sentence tells."""
    h5py = needed("from_keras", "h5py")
    places = _places_in_file(net)
    with plain_file("from_keras", path) as (name, file):
        try:
            start = file.read(4)
            file.seek(0)
            if start == b"PK\3\4":
                size = sum(int(np.prod(place.shape)) for place in places)
                # As float64, with all that an optimiser may keep, and what HDF5 adds.
                most = 64 * size + 65536 * (16 + sum(1 for _ in walk(net)))
                with zipfile.ZipFile(file) as archive:
                    _compare(net, json.loads(_member(archive, "config.json", _CONFIG_SIZE)))
                    file = io.BytesIO(_member(archive, "model.weights.h5", most))
            with h5py.File(file, "r") as opened:
                return placed("from_keras", "source", places, dict(_datasets(h5py, opened)))
        except (MemoryError, OSError) as error:
            if isinstance(error, MemoryError) or error.errno:
                raise
            fault = str(error)
        except Exception as error:
            if str(error).startswith("from_keras: "):
                raise
            # A hostile file can raise nearly anything on its way through zipfile and h5py; all of it means the same.
            fault = f"{type(error).__name__} while reading it: {error}"
    raise ValueError(problem("from_keras", shown(name), "be a whole .keras or .weights.h5 file of Keras 3", fault))


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return a member of an archive, if it is no longer than it may be."""
    data = archive.open(name).read(most + 1)
    constraint = f"have a {name} of at most {most:,} bytes, for a network of this size"
    require(len(data) <= most, "from_keras", "source", constraint, f"{archive.getinfo(name).file_size:,}")
    return data


def _datasets(h5py: Any, file: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and dataset of every array of a layer, none of them read yet."""
    layers = dict(_members(h5py, file)).get("layers")
    constraint = "be a file of Keras 3 (of others take model.get_weights())"
    require(isinstance(layers, h5py.Group), "from_keras", "source", constraint, f"one of {listed(list(file))}")
    others: list[str] = []
    for name, layer in _members(h5py, layers):
        base, _, number = name.rpartition("_")
        known = (base if number.isdigit() else name) in _GROUPS.values()
        for inner, group in _members(h5py, layer):
            arrays = list(_members(h5py, group)) if inner == "vars" else []
            if known:
                yield from ((f"layers/{name}/vars/{i}", array) for i, array in arrays)
            others += [name] if inner not in ("vars", "seed_generator") or arrays and not known else []
    layers = "hold Dense, BatchNormalization, LayerNormalization and Embedding layers side by side"
    require(not others, "from_keras", "source", layers, f"{listed(list(dict.fromkeys(others)))} as well")


def _members(h5py: Any, group: Any) -> Iterator[tuple[str, Any]]:
    """Yield what is in a group of a file, if it is in the file."""
    for name in group:
        inside = isinstance(group.get(name, getlink=True), h5py.HardLink)
        member = group[name] if inside else None
        inside = inside and not (isinstance(member, h5py.Dataset) and (member.external or member.is_virtual))
        require(inside, "from_keras", "source", "hold its arrays itself", f"{name} elsewhere")
        yield name, member


def _compare(net: Layer, config: Any) -> None:
    """Raise ValueError unless activations and norms are the network's, in order and with the same numbers."""
    _check_line(config["config"]["layers"])
    ours, theirs = list(_steps_here(net)), [step for layer in config["config"]["layers"] for step in _steps_there(layer)]
    for i in range(max(len(ours), len(theirs))):
        (where, here), (there, wanted) = (steps[i] if i < len(steps) else ("the end", ("nothing", {})) for steps in (ours, theirs))
        if here != wanted:
            constraint = f"have {_told(wanted)} at {where}, as the file has at {there}"
            raise ValueError(problem("from_keras", "net", constraint, _told(here)))


def _check_line(layers: Any) -> None:
    """Raise ValueError unless each layer of a model takes what the one before it puts out, once."""
    before = None
    for layer in layers:
        name, nodes = layer["config"].get("name"), layer.get("inbound_nodes") or []
        taken = [each["config"]["keras_history"] for node in nodes for each in _tensors(node)]
        in_line = layer["class_name"] == "InputLayer" and before is None or not nodes or taken == [[before, 0, 0]]
        constraint = "be a model whose layers run one after another (of others take model.get_weights(), in Keras's order)"
        require(in_line, "from_keras", "source", constraint, f"{layer['class_name']} {name} after others")
        before = name


def _tensors(value: Any) -> Iterator[Any]:
    """Yield the tensors in what a layer of theirs is called with."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        yield value
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _tensors(each)


def _told(step: Step) -> str:
    """Say what a step is, with its numbers."""
    return step[0] + "".join(f" with {name} {number}" for name, number in step[1].items())


def _steps_here(net: Layer) -> Iterator[tuple[str, Step]]:
    """Yield the path, and the activation or norm there, of every layer that has one."""
    for path, layer in walk(net):
        known = facts(layer)
        where = f"layer {path}" if path else "the network"
        if known is None:
            if not children(layer):
                yield where, ("a layer of your own", {})
        elif known["rule"] is not None:
            yield where, (rule_name(known["rule"]), options_of(known["rule"]))
        elif "eps" in known["numbers"]:
            yield where, (known["word"], {"eps": known["numbers"]["eps"]})


def _steps_there(layer: Any) -> Iterator[tuple[str, Step]]:
    """Yield the activation or norm of a layer of theirs, if it has one."""
    kind, config = layer["class_name"], layer["config"]
    where = config.get("name", kind)
    if kind in ("BatchNormalization", "LayerNormalization"):
        yield where, ("batch norm" if kind.startswith("Batch") else "layer norm", {"eps": config["epsilon"]})
    elif kind in ("LeakyReLU", "ELU"):
        name = "leaky_relu" if kind == "LeakyReLU" else "elu"
        yield where, (name, {option: config[option] for option in _OPTIONS[name]})
    elif kind in ("Softmax", "ReLU"):
        plain = kind == "Softmax" or (config.get("max_value"), config.get("negative_slope"), config.get("threshold")) == (None, 0, 0)
        yield where, (kind.lower() if plain else "a ReLU with options", {})
    elif kind == "Activation" or kind in _PLAIN:
        given = config.get("activation") or "linear"
        name = _ACTIVATIONS.get(given, given) if isinstance(given, str) else "an activation of one's own"
        if name and name not in map(label, BACK_RULES):
            raise _unknown(name, where)
        if name:
            yield where, (name, _OPTIONS.get(name, {}))
    else:
        raise _unknown(f"a {kind}", where)


def _unknown(what: str, where: str) -> ValueError:
    """Return the error for what a network here cannot have."""
    constraint = "be a model of layers and activations that are known here (of others take model.get_weights())"
    return ValueError(problem("from_keras", "source", constraint, f"{what} at {where}"))
