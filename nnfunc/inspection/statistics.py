"""What the layers of a network put out for a batch, and how long a step was."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.network.boundary import prepared
from nnfunc.network.guard import check_layer, run
from nnfunc.network.kinds import Facts, facts, kind_of, walk
from nnfunc.network.watching import watched
from nnfunc.pieces.activations import log_softmax, softmax
from nnfunc.pieces.norms import statistics_among
from nnfunc.values.arrays import check_finite, sum_of_squares
from nnfunc.values.checks import listed, require
from nnfunc.values.params import checked_params
from nnfunc.values.types import Array, Key, Layer, Params

LayerStats = TypedDict(
    "LayerStats",
    {
        "layer": str, "kind": str, "mean": float, "variance": float, "zero": float, "dead": float,
        "saturated": float | None,
    },
)

# A slope below this lets hardly any gradient pass.
_FLAT = 0.01


def activation_stats(net: Layer, params: Params, x: ArrayLike, key: Key | None = None) -> list[LayerStats]:
    """Return what each layer puts out for a batch, one row per layer.

    ``print(table(activation_stats(net, params, x)))`` shows it. Columns: ``mean``
    and ``variance`` of all values; the share of them that is exactly ``zero``;
    the share of units (columns) that are ``dead``, zero for every row; the
    share of values that are ``saturated``, where the activation's slope is
    below 0.01, so that hardly any gradient passes (None where there is no
    elementwise activation). Healthy layers have variances of one size; zeros
    everywhere, or one constant, say that something is broken.

    Args:
        net, params, x, key: as for `forward`.

    Raises:
        TypeError, ValueError: as `forward`.

    Example:
        >>> from nnfunc import dense, relu
        >>> params = {"W": np.array([[1.0, -1.0]]), "b": np.zeros(2)}
        >>> stats = activation_stats(dense(1, 2, relu), params, [[1.0], [3.0]])[0]
        >>> stats["mean"], stats["zero"], stats["dead"], stats["saturated"]
        (1.0, 0.5, 0.5, 0.5)

    Reference:
        Glorot & Bengio (2010), section 3, who look at networks this way.
    """
    rows: list[LayerStats] = []

    def note(path: str, layer: Layer, x: Array, z: Array, y: Array) -> None:
        rows.append(_stats(path or "net", layer, z, y))

    run_layers("activation_stats", net, params, x, key, note)
    return rows


def layer_outputs(net: Layer, params: Params, x: ArrayLike, key: Key | None = None) -> dict[str, Array]:
    """Return what each layer puts out for a batch, by its path: hidden activations as values.

    A network that is one layer has the path "". A residual, and what is made of
    branches, comes after the layers inside, under its own path; a branch that
    runs again has the number of the run behind it: ``"tower (2)"``.

    Args:
        net, params, x, key: as for `forward`.

    Laws:
        The last is what `forward` gives; a layer run by hand on what the layer before put out gives the same bytes.

    Raises:
        TypeError, ValueError: as `forward`.

    Example:
        >>> from nnfunc import chain, dense, relu
        >>> params = {"a/W": -np.eye(1), "a/b": np.zeros(1), "b/W": np.eye(1), "b/b": np.ones(1)}
        >>> layer_outputs(chain(a=dense(1, 1, relu), b=dense(1, 1)), params, [[2.0]])
        {'a': array([[0.]]), 'b': array([[1.]])}
    """
    outputs: dict[str, Array] = {}

    def note(path: str, layer: Layer, x: Array, z: Array, y: Array) -> None:
        outputs[path] = y.copy()

    run_layers("layer_outputs", net, params, x, key, note)
    return outputs


def run_layers(
    function: str, net: Layer, params: Params, x: ArrayLike, key: Key | None,
    note: Callable[[str, Layer, Array, Array, Array], object],
) -> None:
    """Run a network, and tell ``note(path, layer, x, z, y)`` of each layer once it has run.

    Where there is no z, x stands for it. What runs again, as a branch may, has the number of the run in its path.

    Example:
        >>> from nnfunc import dense
        >>> params = {"W": np.eye(1), "b": np.ones(1)}
        >>> run_layers("forward", dense(1, 1), params, [[1.0]], None, lambda path, layer, x, z, y: print(x, y))
        [[1.]] [[2.]]
    """
    check_layer(function, "net", net)
    net, held, inputs = prepared(function, net, params, x, key)
    owners: dict[str, list[Layer]] = {}  # a residual has the path of what is inside, if that has no name
    for path, layer in walk(net):
        owners.setdefault(path, []).append(layer)
    done = dict.fromkeys(owners, 0)
    running: list[tuple[Array, Array]] = []

    def tell(path: str, tensor: Array) -> None:
        place, _, what = path.rpartition("/")
        if what == "x":
            running.append((tensor, tensor))
        elif what == "z":
            running[-1] = running[-1][0], tensor
        elif what == "y":
            again, which = divmod(done[place], len(owners[place]))
            done[place] += 1
            note(f"{place} ({again + 1})" if again else place, owners[place][which], *running.pop(), tensor)

    with np.errstate(all="ignore"):
        run(function, watched(net, tell)[1], held, inputs, key)


def update_ratio(before: Params, after: Params) -> dict[str, float]:
    """Return ||after - before|| / ||before|| per name: how long a step was beside its parameter.

    About 1e-3 is usual; 1e-1 is too long a step, 1e-6 hardly any. A parameter
    that was all zeros has the ratio inf, or 0 if it still is.

    Args:
        before: params before a step.
        after: params after it, under the same names; statistics of a batch norm, which a step
            leaves out, may be in one of both only, and have no ratio then.

    Raises:
        ValueError: names or shapes differ.
        TypeError: as `sgd_step`.
        FloatingPointError: a value is not finite.

    Example:
        >>> update_ratio({"W": np.array([3.0, 4.0])}, {"W": np.array([3.0, 4.5])})
        {'W': 0.1}
    """
    old, _ = checked_params("update_ratio", before, "before")
    new, _ = checked_params("update_ratio", after, "after")
    gone = (statistics_among(tuple(old)) | statistics_among(tuple(new))) & (old.keys() ^ new.keys())
    old, new = ({name: array for name, array in params.items() if name not in gone} for params in (old, new))
    same = old.keys() == new.keys()
    require(same, "update_ratio", "after", f"have the names of before ({listed(old)})", list(new))
    for name, array in old.items():
        fits, called = new[name].shape == array.shape, f"after[{name!r}]"
        require(fits, "update_ratio", called, f"have shape {array.shape}", new[name].shape)
        check_finite("update_ratio", f"before[{name!r}]", array)
        check_finite("update_ratio", called, new[name])
    return {name: _ratio(array, new[name]) for name, array in old.items()}


def _ratio(before: Array, after: Array) -> float:
    """Return the length of a change over that of what changed."""
    start, end = before.astype(np.float64) / 2, after.astype(np.float64) / 2  # so that no difference overflows
    (change_scale, change), (scale, size) = sum_of_squares([end - start]), sum_of_squares([start])
    return change_scale / scale * math.sqrt(change / size) if size else (math.inf if change else 0.0)


def _stats(path: str, layer: Layer, z: Array, y: Array) -> LayerStats:
    """Return one row."""
    wide, zeros = y.astype(np.float64), y == 0
    return {
        "layer": path, "kind": kind_of(layer), "mean": float(wide.mean()), "variance": float(wide.var()),
        "zero": float(zeros.mean()), "dead": float(zeros.all(axis=0).mean()),
        "saturated": _saturated(facts(layer), z, y),
    }


def _saturated(known: Facts | None, z: Array, y: Array) -> float | None:
    """Return the share of values where the slope of the activation is flat, if there is an elementwise one."""
    rule = None if known is None else known["rule"]
    if rule is None or rule[0] in (softmax, log_softmax):
        return None
    return float((np.abs(rule[1](np.ones_like(y), z, y)) < _FLAT).mean())
