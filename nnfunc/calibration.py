"""Batch norm's statistics as values: computed from data in one pass, kept in the params."""

from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.blame import where_not_finite
from nnfunc.checks import as_inputs, as_size, lasting, locked, problem
from nnfunc.combinators import chain_parts, inner_of_residual, layer_names
from nnfunc.dropout import dropout_forward
from nnfunc.norms import batch_norm_forward
from nnfunc.params import checked_params, sealed
from nnfunc.pieces import check_pair, checked_output, missing_param, reraise
from nnfunc.types import Array, Layer, Params
from nnfunc.walk import made_by, options, walk

Chunks = list[Array]


def calibrate(net: Layer, params: Params, x: ArrayLike, *, size: SupportsIndex = 1024) -> Params:
    """Return the params with the mean and variance of every batch norm's inputs over all rows of `x`.

    One pass: layer by layer, all rows through each, so a batch norm sees its
    inputs as inference will compute them. They are ``mean`` and ``var`` beside
    its ``gamma`` and ``beta``; other params stay as they are. Batch norms are
    found inside `chain` and `residual`, not inside a layer of one's own.

    Args:
        net: a network, with batch norms or without.
        params: as `init` or a step made them.
        x: (rows, n_in) the training inputs, or enough of them.
        size: rows that go through a layer at a time. It bounds the working
            memory beyond one layer's outputs for all rows, and changes results
            by rounding only.

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
    check_pair("calibrate", "net", net)
    held, dtype = checked_params("calibrate", params)
    rows, step = as_inputs("calibrate", "x", x, dtype), as_size("calibrate", "size", size)
    chunks = [rows[start : start + step] for start in range(0, len(rows), step)]
    with np.errstate(all="ignore"):
        try:
            found, _ = _through(net, held, chunks)
        except KeyError as error:
            raise ValueError(missing_param("calibrate", error, held)) from error
        except FloatingPointError as error:
            for name, array in {"x": rows, **held}.items():
                bad = where_not_finite(array)
                if bad:
                    raise FloatingPointError(problem("calibrate", name, "be finite", bad)) from error
            raise
    return sealed({name: lasting(array) for name, array in found.items()})


def has_batch_norm(net: Layer) -> bool:
    """Say whether there is a batch norm to calibrate.

    Example:
        >>> from nnfunc import batch_norm, chain, dense
        >>> has_batch_norm(chain(dense(2, 3), batch_norm(3))), has_batch_norm(dense(2, 3))
        (True, False)
    """
    return any(made_by(layer) is batch_norm_forward for _, layer in walk(net))


def check_needs_no_key(function: str, net: Layer) -> None:
    """Raise ValueError if training without a key would train another network than was meant.

    Example:
        >>> from nnfunc import chain, dropout
        >>> check_needs_no_key("grads", chain(noise=dropout(0.5)))
        Traceback (most recent call last):
        ...
        ValueError: grads: key must be given, as layer noise is dropout
        (for the gradients of inference, use vjp), got None
    """
    for path, layer in walk(net):
        kind = made_by(layer)
        if kind is batch_norm_forward or (kind is dropout_forward and options(layer)[0]):
            what = "batch norm" if kind is batch_norm_forward else "dropout"
            which = f"layer {path}" if path else "the network"
            constraint = f"be given, as {which} is {what} (for the gradients of inference, use vjp)"
            raise ValueError(problem(function, "key", constraint, None))


def _through(layer: Layer, params: Params, chunks: Chunks) -> tuple[dict[str, Array], Chunks]:
    """Return a layer's calibrated params and its outputs, chunk by chunk."""
    parts, inner = chain_parts(layer), inner_of_residual(layer)
    if parts:
        return _through_chain(parts, params, chunks)
    if inner is not None:
        found, outputs = _through(inner, params, chunks)
        if any(fx.shape != x.shape for x, fx in zip(chunks, outputs, strict=True)):
            layer[1](found, chunks[0], None)  # to raise residual's own complaint
        return found, [x + fx for x, fx in zip(chunks, outputs, strict=True)]
    found = dict(params)
    if made_by(layer) is batch_norm_forward:
        found.update(_statistics(chunks))
    return found, [locked(checked_output(layer[1](found, x, None), x.dtype)[0]) for x in chunks]


def _through_chain(
    parts: tuple[tuple[str, Layer], ...], params: Params, chunks: Chunks
) -> tuple[dict[str, Array], Chunks]:
    found: dict[str, Array] = {}
    fields = layer_names(tuple(name for name, _ in parts), tuple(params))
    for (name, part), own in zip(parts, fields, strict=True):
        try:
            calibrated, chunks = _through(part, {short: params[full] for short, full in own.items()}, chunks)
        except Exception as error:
            reraise(error, name)
        found.update((f"{name}/{short}", array) for short, array in calibrated.items())
    return found, chunks


def _statistics(chunks: Chunks) -> dict[str, Array]:
    """Return mean and variance over the rows of all chunks: two passes, in float64."""
    n = sum(len(x) for x in chunks)
    if n < 2:
        raise ValueError(problem("batch_norm", "x", "hold at least two rows to take statistics of", "one row"))
    mean: Array = np.asarray(sum(np.add.reduce(x, axis=0, dtype=np.float64) for x in chunks)) / n
    var: Array = np.asarray(sum(np.add.reduce((x - mean) ** 2, axis=0) for x in chunks)) / n
    found: dict[str, Array] = {"mean": mean.astype(chunks[0].dtype), "var": var.astype(chunks[0].dtype)}
    for name, array in found.items():
        bad = np.flatnonzero(~np.isfinite(array))
        if bad.size:
            raise FloatingPointError(problem("batch_norm", f"the {name} of x", "be finite", f"column {bad[0]}"))
    return found
