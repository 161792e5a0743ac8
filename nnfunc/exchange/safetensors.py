"""safetensors: params in one file that other libraries read, written and read by the package that owns the format."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnfunc.exchange.foreign import needed
from nnfunc.inspection.comparison import refuse_misfits
from nnfunc.network.guard import check_layer
from nnfunc.values.arrays import as_real
from nnfunc.values.checks import FLOAT32, problem, require
from nnfunc.values.files import FileName, plain_file, replace_file, shown
from nnfunc.values.params import check_names, refuse_nested, sealed
from nnfunc.values.types import AnyArray, Layer, Params, State


def save_safetensors(path: FileName, params: State, metadata: Mapping[str, str] | None = None) -> None:
    """Write params, or any flat mapping of numbers, to a safetensors file, all or nothing as `save`.

    Args:
        path: of the file; its directory must be there.
        params: a flat mapping of names to arrays of floats, integers or booleans.
        metadata: text beside them; ``safetensors.safe_open(path, "numpy").metadata()`` reads it.

    Raises:
        ModuleNotFoundError: there is no safetensors (``pip install safetensors``).
        TypeError: `params` are no such mapping, or `metadata` is no mapping of text to text.
        ValueError: a name is one that the format cannot hold.
        OSError: the file cannot be written.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from safetensors import safe_open
        >>> with TemporaryDirectory() as directory:
        ...     path = Path(directory) / "net.safetensors"
        ...     save_safetensors(path, {"out/b": np.zeros(2)}, {"epochs": "20"})
        ...     with safe_open(path, "numpy") as file:
        ...         print(file.metadata(), file.get_tensor("out/b"))
        {'epochs': '20'} [0. 0.]
    """
    check_names("save_safetensors", "params", params)
    refuse_nested("save_safetensors", "params", params)
    for name in params:
        readable = name != "__metadata__" and name == name.encode(errors="ignore").decode()
        require(readable, "save_safetensors", "params", "have names that the format can hold", repr(name))
    # Its NumPy side writes memory as it lies, so that a transposed array would come out as garbage.
    arrays = {name: np.array(as_real("save_safetensors", name, array), order="C") for name, array in params.items()}
    for name, array in arrays.items():
        fits = array.dtype.itemsize <= 8
        require(fits, "save_safetensors", name, "hold numbers of at most 64 bits", array, TypeError)
    text = dict(metadata) if isinstance(metadata, Mapping) else metadata
    is_text = text is None or isinstance(text, dict) and all(isinstance(each, str) for pair in text.items() for each in pair)
    require(is_text, "save_safetensors", "metadata", "be a mapping of text to text", kind=TypeError, value=metadata)
    package = needed("save_safetensors", "safetensors.numpy")
    replace_file("save_safetensors", path, package.save(arrays, text))


def load_safetensors(path: FileName, net: Layer | None = None) -> Params:
    """Return the arrays of a safetensors file, frozen; with a network its params, in the order of `init`.

    The format keeps no order of arrays. Without a network they come by name.

    Args:
        path: of the file.
        net: the network whose params they must be.

    Laws:
        ``load_safetensors(path, net)`` after ``save_safetensors(path, params)`` = params, the same bytes.

    Raises:
        ModuleNotFoundError: there is no safetensors (``pip install safetensors``).
        FileNotFoundError, OSError: the file is not there, or cannot be read.
        ValueError: it is no whole safetensors file, or not of the network; the message says what differs.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from nnfunc import dense
        >>> with TemporaryDirectory() as directory:
        ...     path = Path(directory) / "net.safetensors"
        ...     save_safetensors(path, {"b": np.ones(1), "W": np.eye(1)})
        ...     print(list(load_safetensors(path)), list(load_safetensors(path, dense(1, 1))))  # by name; as init has them
        ['W', 'b'] ['W', 'b']
    """
    if net is not None:
        check_layer("load_safetensors", "net", net)
    package = needed("load_safetensors", "safetensors.numpy")
    with plain_file("load_safetensors", path) as (name, file):
        data = file.read()
    try:
        arrays: dict[str, AnyArray] = {each: np.array(array) for each, array in sorted(package.load(data).items())}
    except MemoryError:
        raise  # of a file that may be good
    except Exception as error:
        fault = f"{type(error).__name__} while reading it: {error}"
        constraint = "be a whole safetensors file of types that NumPy has"
        raise ValueError(problem("load_safetensors", shown(name), constraint, fault)) from error
    if net is not None:
        refuse_misfits("load_safetensors", net, arrays)
        arrays = {each: arrays[each] for each in _order(net, arrays)}
    return sealed(arrays)


def _order(net: Layer, arrays: Params) -> list[str]:
    """Return names in the order of `init`, and a batch norm's statistics behind its other params."""
    names = list(net[0](0, FLOAT32))
    rank = {name.rpartition("/")[0]: i for i, name in enumerate(names)}  # a layer's is that of its last
    rank |= {name: i for i, name in enumerate(names)}
    return sorted(sorted(arrays), key=lambda name: (rank.get(name, rank[name.rpartition("/")[0]]), name not in names))
