"""The one boundary: what the verbs are given is checked here once, and trusted from here on.

Here and nowhere else are rows of weight 0 and rows without a target dropped, and is the mean over the batch taken.
Every pass asks `logits` first for the form of network and loss that it runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import SupportsFloat, SupportsIndex, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.network.guard import check_is_pair, losses_of, penalty_of, run
from nnfunc.network.kinds import check_needs_no_key, facts, guarded, trained, walk
from nnfunc.network.logits import of_given_loss, on_logits
from nnfunc.network.loop import chain_forward, watched_forward
from nnfunc.network.watching import watched
from nnfunc.pieces.masking import is_masked
from nnfunc.values.arrays import as_inputs, as_real, as_targets, number, where_not_finite
from nnfunc.values.checks import (
    FLOAT64, above_zero, as_size, base_function, label, noted, problem, require, says_what_must_be,
)
from nnfunc.values.keys import key_path
from nnfunc.values.params import checked_params
from nnfunc.values.types import AnyArray, Array, Key, Layer, LossFn, Params, Penalty, Pullback, Rows

T = TypeVar("T")

# So many rows go through a network of the library at a time, where that is inference: it bounds the memory.
_BLOCK = 1024


def prepared(function: str, net: Layer, params: Params, x: ArrayLike, key: Key | None) -> tuple[Layer, Params, Array]:
    """Return a network that is safe to run, its params and its inputs, checked and of one dtype.

    Example:
        >>> from nnfunc import dense
        >>> prepared("forward", dense(1, 1), {"W": np.eye(1), "b": np.zeros(1)}, [[2]], None)[2]
        array([[2.]])
    """
    check_is_pair(function, "net", net)
    if getattr(net[1], "func", None) is not chain_forward:  # which has put the guard where it belongs
        net = net[0], guarded(net[1])
    params, dtype = checked_params(function, params)
    if not params and getattr(x, "dtype", FLOAT64) == FLOAT64:
        dtype = FLOAT64  # without params the inputs decide
    if key is not None:
        key_path(function, key)
    return net, params, as_inputs(function, "x", x, dtype)


def counted_rows(
    function: str, loss_fn: LossFn, x: Array, y: ArrayLike, weight: ArrayLike | None,
    mean_weight: SupportsFloat | None = None,
) -> tuple[Array, AnyArray, Array | None, int]:
    """Return inputs, targets and weights of the rows that count, and of how many rows they are taken.

    Example:
        >>> from nnfunc import masked, mse
        >>> x, y = np.array([[1.0], [2.0], [3.0]]), [[4.0], [5.0], [np.nan]]
        >>> counted_rows("loss", masked(mse), x, y, [0, 5, 6])
        (array([[2.]]), array([[5.]]), array([5.]), 2)
    """
    targets = as_targets(function, "y", y, x.dtype, len(x))
    rows, weights, n = which_count(function, loss_fn, targets, weight, mean_weight)
    return (x, targets, weights, n) if rows is None else (x[rows], targets[rows], weights, n)


def which_count(
    function: str, loss_fn: LossFn, targets: AnyArray, weight: ArrayLike | None,
    mean_weight: SupportsFloat | None = None, of: str = "",
) -> tuple[Rows | None, Array | None, int]:
    """Return the numbers of the rows that count, or none if all do, their weights, and of how many rows they are taken.

    Rows of weight 0 are as if they were not there. Where all weights are 0, as those of a part of
    the data may be, the rows stay, and count for nothing. Under a `masked` loss, rows without a
    target are not there at all: they are none of those that the mean weight is the mean of.
    `of` says in messages whose rows these are.

    Example:
        >>> from nnfunc import masked, mse
        >>> which_count("loss", masked(mse), np.array([[4.0], [5.0], [np.nan]]), [0, 5, 6])
        (array([1]), array([5.]), 2)
    """
    weights = _row_weights(function, weight, len(targets), mean_weight, of)
    rows, n = None, len(targets)
    if is_masked(loss_fn) and targets.dtype.kind == "f":
        blank: AnyArray = np.logical_and.reduce(np.isnan(targets).reshape(n, -1), axis=1)
        require(not blank.all(), function, of + "y", "hold a target in one row at least", f"NaN in all {n}")
        if blank.any():
            rows = np.flatnonzero(~blank)
            weights, n = None if weights is None else weights[rows], len(rows)
    if weights is None or weights.all() or (mean_weight is not None and not weights.any()):
        return rows, weights, n
    kept = np.flatnonzero(weights)
    require(kept.size, function, of + "weight", "be above 0 in a row that has a target", "0 in all of them")
    return kept if rows is None else rows[kept], weights[kept], n


def _row_weights(
    function: str, weight: ArrayLike | None, n: int, mean_weight: SupportsFloat | None, of: str
) -> Array | None:
    """Return the weights of n rows in new memory, not all 0 unless the mean weight of a whole is given."""
    if weight is None:
        alone = mean_weight is None
        require(alone, function, "mean_weight", "come with weight, the weights of these rows", value=mean_weight)
        return None
    weights: Array = as_real(function, of + "weight", weight).astype(np.float64)
    require(weights.shape == (n,), function, of + "weight", f"have shape ({n},), one weight per row", weights.shape)
    least, most = float(weights.min()), float(weights.max())
    sound = least >= 0 and (most > 0 or mean_weight is not None) and most < math.inf
    got = f"weights from {least:g} to {most:g}"
    require(sound, function, of + "weight", "be finite, at least 0 and not all 0", got)
    return weights


def mean_of(
    per_example: Array, dy: Array, weights: Array | None, mean_weight: float | None = None, n: int | None = None
) -> tuple[float, Array]:
    """Return the mean loss of a batch, added in float64, and its gradient at the outputs, in the memory of `dy`.

    The weighted sum is divided by the sum of the weights; or, given the mean
    weight of a whole of which these are `n` rows, by ``n * mean_weight``.

    Example:
        >>> mean_of(np.array([1.0, 3.0]), np.array([[1.0], [4.0]]), np.array([3.0, 1.0]))
        (1.5, array([[0.75],
               [1.  ]]))
        >>> mean_of(np.array([1.0, 3.0]), np.array([[1.0], [4.0]]), np.array([3.0, 1.0]), mean_weight=1.0, n=2)[0]
        3.0
    """
    if weights is not None:
        if mean_weight is None:
            shares = weights / weights.max()  # first, as the sum of large weights could overflow
            shares /= shares.sum()
        else:
            shares = weights / mean_weight / (n or len(weights))
        dy *= shares.astype(dy.dtype).reshape(-1, *[1] * (dy.ndim - 1))
        return float(shares.dot(per_example)), dy
    n = len(per_example)
    # Up to some tens of numbers, Python is faster than a call of NumPy.
    total = sum(per_example.tolist()) if n <= 64 else np.add.reduce(per_example, dtype=np.float64)
    dy /= number(n, dy.dtype)
    return float(total) / n, dy


def means_of(
    per_example: Array, dy: Array, weights: Array | None, wholes: Array | None = None
) -> tuple[Array, Array]:
    """Do as `mean_of` for several batches of n rows at once: losses and weights (M, n), dy (M, n, ...).

    `wholes`, (M,), are what the weighted sums are divided by, if not the sums of the weights.

    Example:
        >>> means_of(np.array([[1.0, 3.0], [2.0, 4.0]]), np.ones((2, 2)), None)
        (array([2., 3.]), array([[0.5, 0.5],
               [0.5, 0.5]]))
    """
    if weights is None:
        n = per_example.shape[1]
        dy /= number(n, dy.dtype)
        return np.add.reduce(per_example, axis=1, dtype=np.float64) / n, dy
    shares = weights / (np.max(weights, axis=1) if wholes is None else wholes)[:, None]
    if wholes is None:
        shares /= np.add.reduce(shares, axis=1, keepdims=True)
    dy *= shares.astype(dy.dtype).reshape(*shares.shape, *[1] * (dy.ndim - 2))
    return np.vecdot(shares, per_example), dy


def loss_pass(
    function: str, net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, weight: ArrayLike | None,
    mean_weight: SupportsFloat | None, key: Key | None, *, training: bool = False,
) -> tuple[Params, float, Array, Pullback]:
    """Return the params as they are used, the mean loss, its gradient at the outputs, and the way back from there.

    Example:
        >>> from nnfunc import dense, mse
        >>> params, x = {"W": np.eye(1), "b": np.zeros(1)}, np.array([[1.0], [3.0]])
        >>> _, value, dy, pullback = loss_pass("loss", dense(1, 1), mse, params, x, [[0.0], [0.0]], None, None, None)
        >>> value, dy.ravel()
        (5.0, array([1., 3.]))
    """
    net, held, inputs = prepared(function, net, params, x, key)
    if training and key is None:
        check_needs_no_key(function, net)
    given, (net, loss_fn) = loss_fn, on_logits(net, loss_fn)
    rows, targets, weights, n = counted_rows(function, loss_fn, inputs, y, weight, mean_weight)
    whole = None if mean_weight is None else above_zero(function, "mean_weight", mean_weight)
    try:
        outputs, pullback = run(function, net[1], held, rows, key)
        value, dy = mean_of(*losses_of(function, loss_fn, outputs, targets), weights, whole, n)
        if not math.isfinite(value):
            raise FloatingPointError(_explain(function, net, loss_fn, held, rows, targets, key))
    except (TypeError, ValueError, FloatingPointError) as error:
        told = of_given_loss(error, loss_fn, given)
        if len(rows) < len(inputs) and says_what_must_be(error) and not isinstance(error, TypeError):
            left_out = "of weight 0" if n == len(inputs) else "without a target or a weight"
            told = noted(told, f"rows {left_out} not counted")
        if told is error:
            raise
        raise told from error
    return held, value, dy, pullback


def blocks(
    function: str, net: Layer, params: Params, x: ArrayLike, size: SupportsIndex | None, key: Key | None
) -> tuple[ArrayLike, list[slice]]:
    """Return inputs, and which rows of them go through a network at a time: all, or blocks.

    A training pass is whole, as a layer may mix its rows. So is inference, if
    no size is given, through what is not the library's own, and under a tap.

    Example:
        >>> from nnfunc import dense, init
        >>> net = dense(1, 1)
        >>> blocks("forward", net, init(net, 0), np.ones((5, 1)), 2, None)[1]
        [slice(0, 2, None), slice(2, 4, None), slice(4, 6, None)]
        >>> blocks("forward", net, init(net, 0), np.ones((5, 1)), None, None)[1]
        [slice(None, None, None)]
    """
    if size is None and (key is not None or not isinstance(x, np.ndarray) or x.ndim == 0 or len(x) <= _BLOCK):
        return x, [slice(None)]
    check_is_pair(function, "net", net)
    step = _BLOCK if size is None else as_size(function, "size", size)
    if size is None and any(not facts(each) or base_function(each[1]) is watched_forward for _, each in walk(net)):
        return x, [slice(None)]
    require(key is None, function, "size", "be none with a key, as a training pass takes its rows at once", size)
    rows = x if isinstance(x, np.ndarray) and x.ndim else prepared(function, net, params, x, key)[2]
    return rows, [slice(start, start + step) for start in range(0, len(rows), step)] or [slice(None)]


def by_blocks(parts: list[slice], compute: Callable[[slice], T], of: str = "") -> list[T]:
    """Return what is computed of each block; an error says which it is, `of` which rows.

    Example:
        >>> by_blocks([slice(0, 2), slice(2, 4)], lambda part: part.stop)
        [2, 4]
    """
    found: list[T] = []
    for part in parts:
        try:
            found.append(compute(part))
        except (TypeError, ValueError, FloatingPointError) as error:
            if len(parts) == 1:
                raise
            raise noted(error, f"in the block that begins at row {part.start}{of}") from error
    return found


def loss_value(
    function: str, net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, weight: ArrayLike | None,
    mean_weight: SupportsFloat | None, key: Key | None, size: SupportsIndex | None,
) -> tuple[Params, float]:
    """Return the params as they are used, and the mean loss, computed block by block.

    Example:
        >>> from nnfunc import dense, mse
        >>> params, x = {"W": np.eye(1), "b": np.zeros(1)}, np.array([[1.0], [2.0], [3.0]])
        >>> loss_value("loss", dense(1, 1), mse, params, x, np.zeros((3, 1)), [1, 1, 2], None, None, 2)[1]
        5.75
    """
    rows, parts = blocks(function, net, params, x, size, key)
    if len(parts) == 1:
        return loss_pass(function, net, loss_fn, params, rows, y, weight, mean_weight, key)[:2]
    n, (held, dtype) = len(np.asarray(rows)), checked_params(function, params)
    targets = as_targets(function, "y", y, dtype, n)
    numbers, weights, n = which_count(function, loss_fn, targets, weight, mean_weight)
    if numbers is not None:
        step = parts[0].stop
        parts = [slice(start, start + step) for start in range(0, len(numbers), step)]
        if len(parts) == 1:
            return loss_pass(function, net, loss_fn, held, rows, y, weight, mean_weight, key)[:2]
    if weights is not None and mean_weight is None:
        weights /= weights.max()
        mean_weight = float(np.add.reduce(weights)) / n

    def total(part: slice) -> float:
        own = part if numbers is None else numbers[part]
        batch = np.asarray(rows)[own], targets[own], None if weights is None else weights[part]
        return loss_pass(function, net, loss_fn, held, *batch, mean_weight, key)[1] * len(batch[1])

    return held, math.fsum(by_blocks(parts, total, "" if numbers is None else " of those that count")) / n


@np.errstate(all="ignore")
def value_and_grads_pass(
    function: str, net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, weight: ArrayLike | None,
    mean_weight: SupportsFloat | None, penalty: Penalty | None, key: Key | None,
) -> tuple[float, Params]:
    """Return the loss and its gradients, for the verb called `function`.

    Example:
        >>> from nnfunc import dense, mse
        >>> params = {"W": np.eye(1), "b": np.zeros(1)}
        >>> value_and_grads_pass("grads", dense(1, 1), mse, params, [[1.0]], [[0.0]], None, None, None, None)[0]
        1.0
    """
    held, value, dy, pullback = loss_pass(function, net, loss_fn, params, x, y, weight, mean_weight, key, training=True)
    grads, _ = pullback(dy)
    if penalty is None:
        return value, in_order(grads, held)
    penalty_value, added = penalty_of(function, penalty, trained(net, held))
    both = dict(grads)
    for name, g in added.items():
        if name in both:
            both[name] += g  # which was just made
        else:
            both[name] = np.array(g)
    return value + penalty_value, in_order(both, held)


def _explain(function: str, net: Layer, loss_fn: LossFn, params: Params, x: Array, y: AnyArray, key: Key | None) -> str:
    """Run a pass again under the tap, and say which was the first thing that is not finite.

    Example:
        >>> from nnfunc import dense, mse
        >>> x = np.array([[1.0, np.nan]])
        >>> _explain("loss", dense(2, 1), mse, {"W": np.ones((2, 1)), "b": np.zeros(1)}, x, x[:, :1], None)
        'loss: x must be finite, got nan at [0, 1] (1 of 2 values)'
    """
    for name, array in (("x", x), ("y", counted_targets(loss_fn, y)), *params.items()):
        found = where_not_finite(array)
        if found:
            only_gaps = name == "y" and not (is_masked(loss_fn) or np.isinf(y).any() or np.isnan(y).all())
            return problem(function, name, f"be finite{' (masked(loss_fn) leaves NaN out)' * only_gaps}", found)
    told: list[str] = []

    def note(path: str, tensor: Array) -> None:
        layer, _, what = path.rpartition("/")
        found = where_not_finite(tensor) if what in ("y", "z") and not told else ""
        if found:
            argument = f"the output of layer {layer}" if layer else "the network's output"
            told.append(problem(function, argument, "be finite, as its input and params are", found))

    outputs, _ = run(function, watched(net, note)[1], params, x, key)
    found = where_not_finite(losses_of(function, loss_fn, outputs, y)[0])
    if found and not told:
        got = f"{found} from finite outputs of up to {float(np.max(np.abs(outputs))):.3g}"
        told.append(problem(function, f"the loss {label(loss_fn)}", "be finite", got))
    return told[0] if told else problem(function, "the mean loss", "be finite", "an overflow in the mean of finite losses")


def counted_targets(loss_fn: LossFn, targets: AnyArray) -> AnyArray:
    """Return targets, with 0 for NaN under a masked loss, where it does not count.

    Example:
        >>> from nnfunc import masked, mse
        >>> counted_targets(masked(mse), np.array([1.0, np.nan]))
        array([1., 0.])
    """
    return np.where(np.isnan(targets), 0, targets) if is_masked(loss_fn) else targets


def in_order(grads: Params, params: Params) -> Params:
    """Return gradients that were just made, frozen, in the order of the params.

    Example:
        >>> list(in_order({"b": np.ones(1), "W": np.ones(2)}, {"W": np.ones(2), "b": np.ones(1)}))
        ['W', 'b']
    """
    ordered: dict[str, Array] = {}
    for name in params:
        if name in grads:
            array = ordered[name] = grads[name]
            array.setflags(write=False)
    return MappingProxyType(ordered)
