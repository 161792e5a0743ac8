"""Gradients by shards: a batch cut by a fixed plan, its parts computed by any executor, added up in the plan's order.

An executor is anything with the ``map`` of `concurrent.futures.Executor`:
threads, processes, a Dask cluster (``client.get_executor()``), MPI
(``mpi4py.futures.MPIPoolExecutor``). The plan decides the bits; which executor
computes the parts, and in which order they are done, does not.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, SupportsFloat, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.network.boundary import prepared, value_and_grads_pass, which_count
from nnfunc.network.calibration import check_all_are_found
from nnfunc.network.guard import check_layer, penalty_of
from nnfunc.network.kinds import check_needs_no_key, statistics
from nnfunc.values.arrays import as_targets
from nnfunc.values.checks import above_zero, as_size, noted, problem, require
from nnfunc.values.keys import split
from nnfunc.values.params import sealed
from nnfunc.values.types import AnyArray, Array, Key, Layer, LossFn, Params, Penalty

if TYPE_CHECKING:  # a process without an executor need not import them
    from concurrent.futures import Executor

_NAME = "sharded_value_and_grads"
Part: TypeAlias = tuple[float, Params]


def sharded_value_and_grads(
    net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, *, shards: SupportsIndex,
    executor: "Executor | None" = None, weight: ArrayLike | None = None, mean_weight: SupportsFloat | None = None,
    penalty: Penalty | None = None, key: Key | None = None,
) -> tuple[float, Params]:
    """Return `value_and_grads` of a batch, computed shard by shard.

    The rows of weight above 0 are cut into `shards` runs of nearly equal
    length. Each gives its weighted mean loss and gradients; these are weighted
    by the shards' weights and added in float64, first shard first. The result
    is that of the whole batch but for rounding, and the same bits for the same
    number of shards under any executor.

    Args:
        net, loss_fn, params, x, y, weight, mean_weight, penalty: as for `grads`. With an
            executor of processes, what they are made of must pickle: functions
            of modules, and partials of them.
        shards: how many parts, from 1 to the number of rows.
        executor: computes the parts by its ``map``; in turn, here, if none.
        key: none, or a key for a training pass; shard i draws from ``split(key, shards)[i]``.

    Raises:
        ValueError: the network has a batch norm, which mixes the rows of a
            batch; there are fewer rows than shards; or as `grads`.
        TypeError: something does not pickle that must; or as `grads`.
        FloatingPointError: as `grads`.
        Any error of the executor, such as BrokenProcessPool where a worker has
            died: nothing has changed, and the call can be repeated.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> from nnfunc import dense, mse
        >>> params = {"W": np.array([[2.0]]), "b": np.zeros(1)}
        >>> with ThreadPoolExecutor() as threads:
        ...     value, g = sharded_value_and_grads(
        ...         dense(1, 1), mse, params, [[1.0], [2.0], [3.0]], [[2.0], [3.0], [6.0]], shards=2, executor=threads
        ...     )
        >>> round(value, 12), g["b"].round(12)  # errors 0, 1 and 0
        (0.333333333333, array([0.66666667]))
    """
    check_layer(_NAME, "net", net)
    is_executor = executor is None or (hasattr(executor, "submit") and not isinstance(executor, type))
    constraint = "be an executor, as those of concurrent.futures are, or none"
    require(is_executor, _NAME, "executor", constraint, kind=TypeError, value=executor)
    constraint = "have no batch norm, whose training pass mixes the rows of a whole batch"
    require(not statistics(net), _NAME, "net", constraint, "one")
    if key is None:
        check_needs_no_key(_NAME, net)
    _, held, inputs = prepared(_NAME, net, params, x, key)
    check_all_are_found(_NAME, net, held, inputs)
    targets = as_targets(_NAME, "y", y, inputs.dtype, len(inputs))
    numbers, weights, total = which_count(_NAME, loss_fn, targets, weight, mean_weight)
    rows, targets = (inputs, targets) if numbers is None else (inputs[numbers], targets[numbers])
    mean = None if mean_weight is None else above_zero(_NAME, "mean_weight", mean_weight)
    count, n = as_size(_NAME, "shards", shards), len(rows)
    require(count <= n, _NAME, "shards", f"be at most {n}, the number of rows that count", count)
    ends = [n * i // count for i in range(count + 1)]
    plan = [slice(start, end) for start, end in zip(ends, ends[1:], strict=False)]
    shares = np.ones(n) if weights is None or mean is not None else weights / np.max(weights)  # no sum overflows
    masses = [float(np.add.reduce(shares[part])) for part in plan]
    whole = math.fsum(masses) if mean is None else float(total)
    keys = [None] * count if key is None else split(key, count)
    job = partial(_shard, net, loss_fn, held, mean)
    parts = (
        [rows[part] for part in plan],
        [targets[part] for part in plan],
        [None if weights is None else (shares if mean is None else weights)[part] for part in plan],
        keys,
        ends[:-1] if numbers is None else numbers[ends[:-1]].tolist(),
    )
    try:
        done = list((map if executor is None else executor.map)(job, *parts))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        if executor is None or ("pickle" not in str(error) and "local object" not in str(error)):
            raise
        constraint = "be made of functions of modules, so that they can be sent to other processes"
        raise TypeError(problem(_NAME, "net, loss_fn and params", constraint, str(error))) from error
    return _added(done, [mass / whole for mass in masses], held, penalty)


def _shard(
    net: Layer, loss_fn: LossFn, params: Params, mean_weight: float | None, x: Array, y: AnyArray,
    weight: AnyArray | None, key: Key | None, first: int,
) -> Part:
    """Return the weighted mean loss and gradients of one shard, in whatever process this is.

    `first` is the number of its first row in the data that were given, for messages.
    """
    try:
        return value_and_grads_pass(_NAME, net, loss_fn, params, x, y, weight, mean_weight, None, key)
    except (ValueError, FloatingPointError) as error:
        raise noted(error, f"in the shard that begins at row {first}") from error


def _added(parts: Iterable[Part], shares: list[float], params: Params, penalty: Penalty | None) -> tuple[float, Params]:
    """Add up what the shards gave, by their shares of the whole, and the penalty."""
    value, sums = 0.0, dict[str, Array]()
    for (part, grads), of_whole in zip(parts, shares, strict=True):
        value += part * of_whole
        for name, gradient in grads.items():
            share = gradient.astype(np.float64) * of_whole
            sums[name] = sums[name] + share if name in sums else share
    if penalty is not None:
        penalty_value, penalty_grads = penalty_of(_NAME, penalty, params)
        value += penalty_value
        for name, gradient in penalty_grads.items():
            sums[name] = sums.get(name, np.zeros(gradient.shape)) + gradient
    return value, sealed({name: np.asarray(sums[name], array.dtype) for name, array in params.items() if name in sums})
