"""Ensembles: M networks of one form as one, in batched products; their params are stacked, each array (M, ...)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.network.boundary import blocks, by_blocks, in_order, means_of, value_and_grads_pass
from nnfunc.network.guard import check_is_pair, losses_of, penalty_of, run
from nnfunc.network.kinds import check_needs_no_key, children, guarded, trained, with_forwards
from nnfunc.network.logits import on_logits
from nnfunc.network.loop import chain_forward, combined_forward, residual_forward
from nnfunc.network.verbs import forward as forward_of_one
from nnfunc.pieces.activations import Rule, relu, relu_in_place
from nnfunc.pieces.layers import activation_forward, check_columns, check_fields, columns_forward, dense_forward
from nnfunc.pieces.layers import dense_shapes, identity_forward
from nnfunc.pieces.masking import is_masked
from nnfunc.pieces.penalties import own_penalties
from nnfunc.values.arrays import as_inputs, as_real, as_targets, check_finite, ones
from nnfunc.values.checks import above_zero, as_tuple, listed, noted, problem, require
from nnfunc.values.keys import key_path
from nnfunc.values.params import checked_params, mapped, sealed
from nnfunc.values.types import AnyArray, Array, DType, ForwardFn, InputGradient, Key, Layer, LossFn, OwnForward, Params
from nnfunc.values.types import Penalty, Pullback

Paths: TypeAlias = list[tuple[int, ...] | None]
"""The members' keys, each a tuple, or none."""


def stack_params(members: Sequence[Params]) -> Params:
    """Return the params of M networks of one form as one: each array has a first axis more, of length M.

    Optimisers step them as they step any params, element by element. What takes all arrays together takes all
    members together: `clip_by_global_norm` clips by the norm of them all. For each its own, and for what
    a network's params are given to, such as `calibrate`, there is `unstack_params`.

    Args:
        members: params, with the same names, shapes and dtype; the order of names is that of the first.

    Laws:
        ``unstack_params(stack_params(members))`` is the members, byte for byte.

    Raises:
        TypeError: a member is no mapping of names to arrays, or of another dtype.
        ValueError: there is no member, or one has other names or shapes.

    Example:
        >>> stacked = stack_params([{"b": np.zeros(2)}, {"b": np.ones(2)}])
        >>> stacked["b"]
        array([[0., 0.],
               [1., 1.]])
    """
    function = "stack_params"
    given = as_tuple(function, "members", members, "params")
    require(given, function, "members", "hold the params of one network at least", "none")
    held = [checked_params(function, each, f"members[{i}]") for i, each in enumerate(given)]
    first, dtype = held[0]
    require(first, function, "members[0]", "hold an array at least, whose first axis the members will be", "none")
    for i, (each, own_dtype) in enumerate(held):
        names = f"have the names that members[0] has ({listed(first)})"
        require(each.keys() == first.keys(), function, f"members[{i}]", names, list(each))
        for name, array in each.items():
            if array.shape != first[name].shape:
                constraint = f"have shape {first[name].shape}, as in members[0]"
                raise ValueError(problem(function, f"members[{i}][{name!r}]", constraint, array))
        require(own_dtype == dtype, function, f"members[{i}]", f"be {dtype}, as members[0]", str(own_dtype), TypeError)
    return mapped(lambda *arrays: np.array(arrays), *(each for each, _ in held))


def unstack_params(stacked: Params) -> tuple[Params, ...]:
    """Return the params of each member of an ensemble.

    Raises:
        TypeError: `stacked` is no mapping of names to arrays.
        ValueError: it holds none, or they differ in the length of their first axis.

    Example:
        >>> [dict(member) for member in unstack_params({"b": np.array([[0.0], [1.0]])})]
        [{'b': array([0.])}, {'b': array([1.])}]
    """
    held, _, members = _checked_stack("unstack_params", stacked)
    return tuple(sealed({name: np.array(array[i], order="C") for name, array in held.items()}) for i in range(members))


@np.errstate(all="ignore")
def ensemble_forward(net: Layer, stacked: Params, x: ArrayLike, keys: Sequence[Key] | None = None) -> Array:
    """Return the outputs of M networks of one form, each as `forward` gives of it alone, to rounding.

    Dense layers and activations run for all members at once, in whatever `chain`, `residual` and `concatenate`
    make of them. Any other layer runs member by member.

    Args:
        net: the form of all members.
        stacked: their params, as `stack_params` makes them.
        x: rows for all members, or each its own.
        keys: none for inference; for a training pass one key for each member, as ``split(key, M)`` makes them.

    Shapes:
        x (n, k), for all, or (M, n, k); rows that have more axes are given to each, by
        ``np.broadcast_to(x, (M, *x.shape))``, which copies nothing. Result (M, n, outputs).

    Raises:
        TypeError, ValueError: as `forward`; or `stacked`, `x` and `keys` are of different numbers of members.

    Example:
        >>> from nnfunc import dense
        >>> stacked = {"W": np.array([[[2.0]], [[3.0]]]), "b": np.array([[0.0], [1.0]])}
        >>> ensemble_forward(dense(1, 1), stacked, [[1.0], [10.0]]).tolist()
        [[[2.0], [20.0]], [[4.0], [31.0]]]
    """
    function = "ensemble_forward"
    held, inputs, paths = _given(function, net, stacked, x, keys)
    top = None if keys is None else ()
    try:
        batched, (_, parts) = _batched(net, paths, None), blocks(function, net, held, inputs[0], None, top)
        found = by_blocks(parts, lambda part: run(function, batched, held, inputs[:, part], top)[0])
    except (TypeError, ValueError, FloatingPointError):
        _tell_of_one(lambda i: forward_of_one(net, _member(held, i), inputs[i], paths[i]), len(inputs))
        raise
    return np.concatenate(found, axis=1)


@np.errstate(all="ignore")
def ensemble_value_and_grads(
    net: Layer, loss_fn: LossFn, stacked: Params, x: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None,
    mean_weight: ArrayLike | None = None, penalty: Penalty | None = None, keys: Sequence[Key] | None = None,
) -> tuple[Array, Params]:
    """Return losses and gradients of M networks of one form, each as `value_and_grads` gives of it alone, to rounding.

    A member's loss is the mean over its own rows, plus its own penalty. Any optimiser steps stacked params by
    stacked gradients. A bootstrap gives each member its own rows, or how often each was drawn as weights.

    Args:
        net, loss_fn, penalty: as for `value_and_grads`; the loss is called once, on the rows of all members.
        stacked, x, keys: as for `ensemble_forward`.
        y: targets for all members, or each its own; of shape (M, M), for M rows, they are each its own if `x` is.
        weight: row weights for all members, or each its own. Rows of weight 0 are as if they were not there:
            a member with fewer is filled up by copies of its first, which no loss counts and no layer mixes in.
        mean_weight: the mean weight of all training rows, as for `grads`, or that of each member, (M,); with it all
            weights of a member in a batch may be 0, and its rows then count for nothing.

    Shapes:
        y (n, ...) or (M, n, ...), weight (n,) or (M, n); values (M,) in float64, gradients as `stacked`.

    Raises:
        FloatingPointError: a member's loss is not finite; the message is that of `value_and_grads`, and says whose.
        TypeError, ValueError: as `value_and_grads` and `ensemble_forward`.

    Example:
        >>> from nnfunc import dense, mse
        >>> stacked = {"W": np.array([[[2.0]], [[3.0]]]), "b": np.zeros((2, 1))}
        >>> values, g = ensemble_value_and_grads(dense(1, 1), mse, stacked, [[1.0], [2.0]], [[2.0], [3.0]])
        >>> values, g["b"].tolist()  # errors 0 and 1, and 1 and 3: the mean of e^2, and of 2 e
        (array([0.5, 5. ]), [[1.0], [4.0]])
    """
    function = "ensemble_value_and_grads"
    held, inputs, paths = _given(function, net, stacked, x, keys)
    if keys is None:
        check_needs_no_key(function, net, "keys")
    form, loss_on_form = on_logits(net, loss_fn)
    targets = _targets(function, y, inputs, own_x=np.ndim(x) > 2)
    weights, means = _weights(function, weight, mean_weight, inputs)

    def alone(i: int) -> object:
        own_weights = None if weights is None else weights[i], None if means is None else means[i]
        own = _member(held, i), inputs[i], targets[i], *own_weights
        return value_and_grads_pass(function, net, loss_fn, *own, penalty, paths[i])

    try:
        x_rows, y_rows, w_rows, counts, wholes = _rows_that_count(function, loss_fn, inputs, targets, weights, means)
        batched = _batched(form, paths, counts)
        outputs, pullback = run(function, batched, held, x_rows, None if keys is None else ())
        losses, dy = losses_of(function, loss_on_form, _flat(outputs), _flat(y_rows))
        values, dy = means_of(losses.reshape(outputs.shape[:2]), dy.reshape(outputs.shape), w_rows, wholes)
        grads = dict(pullback(dy)[0])
        penalised = held if penalty is None else trained(net, held)
        own = None if penalty is None else own_penalties(penalty, penalised)
        if own is not None:
            values += own[0]
            for name, g in own[1].items():
                grads[name] = grads[name] + g if name in grads else g
        elif penalty is not None:
            for i in range(len(values)):
                value, added = penalty_of(function, penalty, _member(penalised, i))
                values[i] += value
                for name, g in added.items():
                    grads.setdefault(name, np.zeros(held[name].shape, g.dtype))[i] += g
        check_finite(function, "the members' losses", values)
    except (TypeError, ValueError, FloatingPointError):
        _tell_of_one(alone, len(inputs))
        raise
    return values, in_order(grads, held)


def _checked_stack(function: str, stacked: Params) -> tuple[Params, DType, int]:
    """Return stacked params, their dtype, and of how many members they are."""
    held, dtype = checked_params(function, stacked, "stacked")
    counts = {len(array) if array.ndim else 0 for array in held.values()}
    if len(counts) != 1 or 0 in counts:
        constraint = "hold arrays with a first axis of one length, that of the members (stack_params makes them)"
        raise ValueError(problem(function, "stacked", constraint, listed([f"{n} {a.shape}" for n, a in held.items()])))
    return held, dtype, counts.pop()


def _given(
    function: str, net: Layer, stacked: Params, x: ArrayLike, keys: Sequence[Key] | None
) -> tuple[Params, Array, Paths]:
    """Return stacked params, the inputs of each member, (M, n, ...), and its key."""
    check_is_pair(function, "net", net)
    held, dtype, members = _checked_stack(function, stacked)
    inputs = as_inputs(function, "x", x, dtype)
    if inputs.ndim < 3:
        inputs = np.broadcast_to(inputs, (members, *inputs.shape))
    elif len(inputs) != members or not inputs.shape[1]:
        constraint = f"have shape (rows, columns), for all members, or ({members}, rows, columns), each its own"
        raise ValueError(problem(function, "x", constraint, inputs.shape))
    if keys is None:
        return held, inputs, [None] * members
    given = as_tuple(function, "keys", keys, "keys, one for each member")
    require(len(given) == members, function, "keys", f"hold one key for each of {members} members", given)
    return held, inputs, [key_path(function, key) for key in given]


def _targets(function: str, y: ArrayLike, x: Array, own_x: bool) -> AnyArray:
    """Return the targets of each member, (M, n, ...)."""
    targets, (members, n) = as_targets(function, "y", y, x.dtype), x.shape[:2]
    own = targets.ndim > 2 or (targets.shape == (members, n) and (members != n or own_x))
    if targets.shape[: 1 + own] != ((members, n) if own else (n,)):
        constraint = f"have shape ({n}, ...), one target for each row of x, or ({members}, {n}, ...), each its own"
        if members == n:
            constraint += f" (shape ({n}, {n}) is each its own if x is, else for all)"
        raise ValueError(problem(function, "y", constraint, targets))
    return targets if own else np.broadcast_to(targets, (members, *targets.shape))


def _weights(
    function: str, weight: ArrayLike | None, mean_weight: ArrayLike | None, x: Array
) -> tuple[Array | None, Array | None]:
    """Return the row weights of each member, (M, n), if there are any, and the mean weight, (M,), if it is given."""
    if weight is None:
        constraint = "come with weight, the weights of these rows"
        require(mean_weight is None, function, "mean_weight", constraint, value=mean_weight)
        return None, None
    array, (members, n) = as_real(function, "weight", weight), x.shape[:2]
    constraint = f"have shape ({n},), one weight per row, or ({members}, {n}), each its own"
    require(array.shape in ((n,), (members, n)), function, "weight", constraint, array.shape)
    weights = np.broadcast_to(array.astype(np.float64), (members, n))
    if mean_weight is None:
        return weights, None
    given = as_real(function, "mean_weight", mean_weight)
    constraint = f"be a number, or one for each of {members} members"
    require(given.shape in ((), (members,)), function, "mean_weight", constraint, given)
    return weights, np.array([above_zero(function, "mean_weight", mean) for mean in np.broadcast_to(given, members)])


def _rows_that_count(
    function: str, loss_fn: LossFn, x: Array, y: AnyArray, weights: Array | None, means: Array | None
) -> tuple[Array, AnyArray, Array | None, list[int] | None, Array | None]:
    """Return inputs, targets and weights of the rows that count, how many each member has, and what its sum is a share of.

    Those of weight 0 do not, unless all are, and those without a target under a masked loss. A member with fewer than
    another is filled up by copies of its first, of weight 0: they are finite where the member's rows are.
    """
    there = np.ones(x.shape[:2], bool)
    if is_masked(loss_fn) and y.dtype.kind == "f":
        there = ~np.logical_and.reduce(np.isnan(y).reshape(*y.shape[:2], -1), axis=2)
        weights = there * (np.ones(1) if weights is None else weights)
    wholes = None if means is None else means * np.count_nonzero(there, axis=1)
    if weights is None or (weights.min() > 0 and weights.max() < math.inf):
        return x, y, weights, None, wholes
    kept = weights > 0
    if means is not None:
        kept |= there & ~kept.any(axis=1, keepdims=True)
    sound = weights.min() >= 0 and weights.max() < math.inf and kept.any(axis=1).all()
    require(sound, function, "weight", "be finite, at least 0 and for no member all 0", weights)
    counts = np.count_nonzero(kept, axis=1)
    numbers = np.argsort(~kept, axis=1, kind="stable")[:, : counts.max()]
    fills = np.arange(numbers.shape[1]) >= counts[:, None]
    numbers = np.where(fills, numbers[:, :1], numbers)
    members = np.arange(len(x))[:, None]
    own = np.where(fills, 0, weights[members, numbers])
    return x[members, numbers], y[members, numbers], own, counts.tolist(), wholes


def _member(stacked: Params, i: int) -> Params:
    """Return the params of one member, in the same memory."""
    return {name: array[i, ...] for name, array in stacked.items()}


def _flat(array: AnyArray) -> AnyArray:
    """Return the rows of all members one after another."""
    return array.reshape(-1, *array.shape[2:])


def _tell_of_one(alone: Callable[[int], object], members: int) -> None:
    """Run each member alone, and raise what is wrong with the first that fails, by number unless all fail alike."""
    faults: list[Exception | None] = [None] * members
    for i in range(members):
        try:
            alone(i)
        except (TypeError, ValueError, FloatingPointError) as error:
            faults[i] = error
    for i, fault in enumerate(faults):
        if fault is not None:
            alike = all(str(each) == str(fault) for each in faults)
            raise fault if alike else noted(fault, f"in member {i}") from fault


def _batched(layer: Layer, paths: Paths, counts: list[int] | None) -> OwnForward:
    """Return the forward of a layer for all members: of params (M, ...) and x (M, n, ...).

    Its key is what comes behind each member's own: the loop deals out `()`, and a layer that draws puts them together.
    What a user's own function makes of branches has the guard around it, and may count on two axes.
    """
    forward = layer[1]
    if isinstance(forward, partial):
        if forward.func is dense_forward:
            return partial(_dense_forward, *forward.args)
        if forward.func in (activation_forward, columns_forward, identity_forward):
            return partial(_by_rows, forward)
        if forward.func in (chain_forward, residual_forward, combined_forward):
            return with_forwards(layer, [_batched(inner, paths, counts) for _, inner in children(layer)])
    return partial(_by_member, guarded(forward), paths, counts)


def _dense_forward(
    n_in: int, n_out: int, rule: Rule | None, bias: bool, params: Params, x: Array, key: Key | None
) -> tuple[Array, Pullback]:
    """Compute y = f(x W + b) of each member, and the way back."""
    shapes = dense_shapes(n_in, n_out, bias)
    check_fields("dense", {name: (len(x), *shape) for name, shape in shapes.items()}, params)
    check_columns("dense", n_in, x[0])
    W = params["W"]
    z: Array = np.matmul(x, W)
    if bias:
        z += params["b"][:, None]
    rows = _flat(z)
    y = rows if rule is None else relu_in_place(rows) if rule[0] is relu else rule[0](rows)

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        dz = dy if rule is None else rule[1](_flat(dy), rows, y).reshape(z.shape)
        grads: dict[str, Array] = {"W": np.matmul(x.swapaxes(1, 2), dz)}
        if bias:
            grads["b"] = np.matmul(ones(dz.shape[1], dz.dtype), dz)
        return grads, lambda: np.matmul(dz, W.swapaxes(1, 2))

    return y.reshape(z.shape), pullback


def _by_rows(forward: ForwardFn, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Run a layer without params, whose rows do not touch, on the rows of all members at once."""
    y, back = forward(params, _flat(x), None)

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        grads, dx = back(_flat(dy))
        return grads, lambda: dx().reshape(x.shape)

    return y.reshape(*x.shape[:2], *y.shape[1:]), pullback


def _by_member(
    forward: ForwardFn, paths: Paths, counts: list[int] | None, params: Params, x: Array, key: Key | None
) -> tuple[Array, Pullback]:
    """Run a layer member by member, each on those rows that are its own."""
    n, suffix = x.shape[1], key if isinstance(key, tuple) else ()
    rows = [slice(count) for count in counts or [n] * len(x)]
    keys = [path and (*path, *suffix) for path in paths]
    done = [forward(_member(params, i), x[i, own], keys[i]) for i, own in enumerate(rows)]
    ys = [np.concatenate([y, np.repeat(y[:1], n - len(y), axis=0)]) if len(y) < n else y for y, _ in done]
    shapes = {y.shape for y in ys}
    require(len(shapes) == 1, "forward", "y", "have one shape for all members", value=sorted(shapes))

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        back = [pull(dy[i, own]) for i, (own, (_, pull)) in enumerate(zip(rows, done, strict=True))]
        names = {tuple(grads) for grads, _ in back}
        require(len(names) == 1, "pullback", "the grads", "have the same names for all members", value=sorted(names))

        def dx() -> Array:
            g = np.zeros(x.shape, x.dtype)
            for i, (own, (_, own_dx)) in enumerate(zip(rows, back, strict=True)):
                g[i, own] = own_dx()
            return g

        return {name: np.array([grads[name] for grads, _ in back]) for name in back[0][0]}, dx

    return np.array(ys), pullback
