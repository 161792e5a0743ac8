"""Batch norm's statistics as values: computed from data in one pass, kept in the params."""

from __future__ import annotations

from functools import partial
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.network.boundary import prepared
from nnfunc.network.guard import run
from nnfunc.network.kinds import children, facts, guarded, map_layers, walk
from nnfunc.pieces.norms import UNCALIBRATED, without_statistics
from nnfunc.values.arrays import check_finite, lasting
from nnfunc.values.checks import as_size, problem, require
from nnfunc.values.params import joined, mapped
from nnfunc.values.types import Array, ForwardFn, InputGradient, Key, Layer, OwnForward, Params, Pullback

WHERE_FOUND = "have its batch norms in chain, residual, concatenate or combine, where calibrate finds them"

_ONCE = "run each batch norm once in a pass, as that has one mean and var (a branch that runs twice wants layer_norm)"

Found = dict[str, Array]
"""Statistics by their full names."""


def calibrate(net: Layer, params: Params, x: ArrayLike, *, size: SupportsIndex = 1024) -> Params:
    """Return the params with the mean and variance of every batch norm's inputs over all rows of `x`.

    One pass: layer by layer, all rows through each, so a batch norm sees its
    inputs as inference will compute them. They are ``mean`` and ``var`` beside
    its ``gamma`` and ``beta``; other params stay as they are. Batch norms are found
    inside `chain`, `residual`, `concatenate` and `combine`, not inside another layer of one's own.

    Args:
        net: a network, with batch norms or without.
        params: as `init` or a step made them.
        x: (rows, n_in) the training inputs, or enough of them.
        size: rows that go through a layer of the library at a time. It bounds the working
            memory beyond one layer's outputs for all rows, and changes results by
            rounding only. A layer of one's own is given all rows at once.

    Raises:
        FloatingPointError: `x`, a parameter or a batch norm's inputs are not finite.
        TypeError, ValueError: as `forward`, or a batch norm meets fewer than two rows.

    Example:
        >>> from nnfunc import batch_norm, forward, init
        >>> net = batch_norm(1)
        >>> params = calibrate(net, init(net, 0, np.float64), np.array([[1.0], [3.0], [5.0]]))
        >>> params["mean"], params["var"].round(3)
        (array([3.]), array([2.667]))

    Reference:
        Wu & Johnson (2021), "Rethinking 'Batch' in BatchNorm", section 3.
    """
    step = as_size("calibrate", "size", size)
    net, held, rows = prepared("calibrate", net, params, x, None)
    found: Found = {}
    with np.errstate(all="ignore"):
        try:
            run("calibrate", map_layers(net, partial(_in_chunks, found, step))[1], held, rows, None)
        except ValueError as error:
            if UNCALIBRATED in str(error):
                raise ValueError(problem("calibrate", "net", WHERE_FOUND, "one inside a layer of your own")) from error
            raise
        except FloatingPointError:
            for name, array in (("x", rows), *held.items()):
                check_finite("calibrate", name, array)
            raise
    last = {name.rpartition("/")[0]: name for name in held}  # of each layer, as later names replace earlier ones
    beside: dict[str, Found] = {}  # by the path of their layer
    for full, array in found.items():
        beside.setdefault(full.rpartition("/")[0], {})[full] = array
    calibrated: dict[str, Array] = {}
    for name, array in held.items():
        calibrated[name] = found.get(name, array)
        layer = name.rpartition("/")[0]
        if name == last[layer]:  # the statistics stand beside the params of their layer
            calibrated |= beside.get(layer, {})
    return mapped(lasting, calibrated)


def check_all_are_found(function: str, net: Layer, params: Params, x: Array) -> None:
    """Raise if a layer of a user's own has a batch norm inside, which calibration tells on two rows.

    Example:
        >>> from nnfunc import dense, init
        >>> check_all_are_found("train", dense(1, 1), init(dense(1, 1), 0), np.ones((1, 1), np.float32))
    """
    if all(facts(layer) for _, layer in walk(net)):
        return
    try:
        calibrate(net, without_statistics(params, {"": x}), x[:2])
    except Exception as error:
        for constraint, got in ((WHERE_FOUND, "one inside a layer of your own"), (_ONCE, "one in a branch that runs twice")):
            if constraint in str(error):
                raise ValueError(problem(function, "net", constraint, got)) from error


def _in_chunks(found: Found, size: int, path: str, layer: Layer) -> OwnForward:
    """Return a forward that takes a number of rows at a time, and statistics of all first if the layer has any."""
    own = facts(layer)
    if own is None or children(layer):
        return guarded(layer[1])  # a user's own may mix rows, and what a layer is made of runs in chunks
    return partial(_chunked_forward, found if own["statistics"] else None, size, path, layer[1])


def _chunked_forward(
    found: Found | None, size: int, path: str, forward: ForwardFn, params: Params, x: Array, key: Key | None
) -> tuple[Array, Pullback]:
    """Compute a layer's inference; there is no way back, which would keep every layer's outputs."""
    chunks = [x[start : start + size] for start in range(0, len(x), size)]
    if found is not None:
        require(joined(path, "mean") not in found, "calibrate", "net", _ONCE, "a second run")
        taken = _statistics(chunks)
        params = {**params, **taken}
        found.update({joined(path, name): array for name, array in taken.items()})
    outputs = [forward(params, chunk, key)[0] for chunk in chunks]
    return (outputs[0] if len(outputs) == 1 else np.concatenate(outputs)), _no_way_back


def _no_way_back(dy: Array) -> tuple[Params, InputGradient]:
    """Stand for the pullback that nobody calls."""
    raise NotImplementedError


def _statistics(chunks: list[Array]) -> dict[str, Array]:
    """Return mean and variance over the rows of all chunks: two passes, in float64."""
    n = sum(map(len, chunks))
    require(n > 1, "batch_norm", "x", "hold at least two rows to take statistics of", "one row")
    mean: Array = np.asarray(sum(np.add.reduce(x, axis=0, dtype=np.float64) for x in chunks)) / n
    var: Array = np.asarray(sum(np.add.reduce((x - mean) ** 2, axis=0) for x in chunks)) / n
    found: dict[str, Array] = {"mean": mean.astype(chunks[0].dtype), "var": var.astype(chunks[0].dtype)}
    for name, array in found.items():
        bad = np.flatnonzero(~np.isfinite(array))
        got = f"column {bad[0]}" if bad.size else ""
        require(not got, "batch_norm", f"the {name} of x", "be finite", got, FloatingPointError)
    return found
