"""Row by row: gradients of each example's own loss, their norms and variance, and Jacobians.

One mechanism: a pass that keeps, for every parameter, what its gradient is made
of before the sum over the rows. Of a dense layer that is x and dz, whose outer
product is the gradient of W, row by row; so norms and variances need no gradient
of every row. A layer of a user's own is run on single rows. What mixes the
rows of a batch has no gradient by row, and is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.network.boundary import in_order, loss_pass, prepared, which_count
from nnfunc.network.guard import check_layer, losses_of, run
from nnfunc.network.kinds import children, facts, guarded, map_layers, unwrapped
from nnfunc.network.logits import of_given_loss, on_logits
from nnfunc.pieces.activations import Rule
from nnfunc.pieces.embedding import embedding_forward
from nnfunc.pieces.layers import dense_forward
from nnfunc.values.arrays import all_finite, as_targets, check_finite
from nnfunc.values.checks import FLOAT32, problem, require
from nnfunc.values.params import joined
from nnfunc.values.types import Array, ForwardFn, InputGradient, Key, Layer, LossFn, OwnForward, Params, Pullback, Rows

T = TypeVar("T")

Factor: TypeAlias = Array | tuple[Array, Array]
"""Gradients by row, (n, ...), or x (n, k) and dz (n, m), whose outer products by row they are."""

Kept: TypeAlias = dict[str, list[Factor]]
"""What the gradient of each parameter is the sum of; there is more than one where a layer runs more than once."""


def per_example_grads(
    net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, *, key: Key | None = None
) -> Params:
    """Return the gradient of each row's own loss: for a parameter of shape s an array (n, *s).

    Their mean over the rows is `grads`. It takes n times the memory of the params. A row without a
    target, under a `masked` loss, has the gradient 0, and is none of those that the mean is taken of.

    Args:
        net, loss_fn, params, x, y: as for `grads`.
        key: none for the gradients of inference, a key for those of a training pass, with its noise.

    Raises:
        ValueError: a layer mixes the rows of a batch, as a batch norm does in a training pass; or as `loss`.
        TypeError, FloatingPointError: as `loss`.

    Example:
        >>> from nnfunc import dense, mse
        >>> params = {"W": np.array([[2.0]]), "b": np.zeros(1)}
        >>> g = per_example_grads(dense(1, 1), mse, params, [[1.0], [2.0]], [[2.0], [3.0]])
        >>> g["W"].ravel(), g["b"].ravel()  # errors 0 and 1: 2 e x, and 2 e
        (array([0., 4.]), array([0., 2.]))
    """
    held, kept, rows, n = _kept_by_row("per_example_grads", net, loss_fn, params, x, y, key)
    return in_order({name: _placed(_expanded(factors), rows, n) for name, factors in kept.items()}, held)


def per_example_grad_norms(
    net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, *, key: Key | None = None
) -> Array:
    """Return the length of the gradient of each row's own loss, over all params, at about the price of one backward pass.

    The gradient of a dense layer's W for one row is the outer product of x and
    dz, and its length the product of theirs, so no gradient of a row is made. A
    layer of one's own that has params is run row by row, which takes far longer.
    ``weight=limit / np.maximum(norms, limit)`` with ``mean_weight=1`` in `grads`
    then clips every row's gradient, as differential privacy wants it.

    Args and Raises:
        As `per_example_grads`.

    Shapes:
        Result (n,), float64.

    Example:
        >>> from nnfunc import dense, mse
        >>> params = {"W": np.array([[2.0]]), "b": np.zeros(1)}
        >>> per_example_grad_norms(dense(1, 1), mse, params, [[1.0], [0.75]], [[2.0], [-0.5]])  # 0 and 0; 3 and 4
        array([0., 5.])

    Reference:
        Goodfellow (2015), "Efficient per-example gradient computations".
    """
    _, kept, rows, n = _kept_by_row("per_example_grad_norms", net, loss_fn, params, x, y, key)
    with np.errstate(all="ignore"):
        norms: Array = np.hypot.reduce([np.zeros(len(rows)), *map(_norms, kept.values())])
    return _placed(norms, rows, n)


def grad_variance(
    net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, *, key: Key | None = None
) -> Params:
    """Return the variance over the rows of every element of the gradient, mean of (g_i - g)^2.

    A batch of b rows drawn at random has gradients of this variance over b. Of
    dense layers it takes no more memory than the params.

    Args and Raises:
        As `per_example_grads`; FloatingPointError also for a variance that the dtype cannot hold.

    Example:
        >>> from nnfunc import dense, mse
        >>> params = {"W": np.array([[2.0]]), "b": np.zeros(1)}
        >>> v = grad_variance(dense(1, 1), mse, params, [[1.0], [2.0]], [[2.0], [3.0]])
        >>> v["W"], v["b"]  # of 0 and 4, and of 0 and 2
        (array([[4.]]), array([1.]))

    Reference:
        McCandlish, Kaplan, Amodei et al. (2018), "An empirical model of large-batch training", section 2.
    """
    held, kept, _, _ = _kept_by_row("grad_variance", net, loss_fn, params, x, y, key)
    with np.errstate(all="ignore"):
        found: dict[str, Array] = {name: _variance(own).astype(held[name].dtype) for name, own in kept.items()}
    for name, variance in found.items():
        check_finite("grad_variance", f"the variance of {name}", variance)
    return in_order(found, held)


def params_jacobian(net: Layer, params: Params, x: ArrayLike, key: Key | None = None) -> Params:
    """Return the slope of every output of every row with respect to every parameter: (n, k, *s) for one of shape s.

    Args and Raises:
        As `jacobian`.

    Example:
        >>> from nnfunc import dense
        >>> params = {"W": np.array([[2.0]]), "b": np.zeros(1)}
        >>> j = params_jacobian(dense(1, 1), params, [[3.0], [4.0]])
        >>> j["W"].ravel(), j["b"].ravel()
        (array([3., 4.]), array([1., 1.]))
    """

    held, _, columns = outputs_pulled("params_jacobian", net, params, x, key, by_row)
    return in_order({name: np.stack([column[name] for column in columns], axis=1) for name in columns[0]}, held)


def jacobian(net: Layer, params: Params, x: ArrayLike, key: Key | None = None) -> Array:
    """Return the slope of every output with respect to every input of its row.

    Args:
        net, params, x, key: as for `forward`; the network puts out (n, k).

    Shapes:
        For x (n, m) the result is (n, k, m).

    Raises:
        ValueError: a layer mixes the rows of a batch, as a batch norm does in a training pass; or as `forward`.
        TypeError: as `forward`.

    Example:
        >>> from nnfunc import dense
        >>> params = {"W": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": np.zeros(2)}
        >>> jacobian(dense(2, 2), params, [[5.0, 6.0]])  # W transposed
        array([[[1., 3.],
                [2., 4.]]])
    """
    _, _, columns = outputs_pulled("jacobian", net, params, x, key, lambda kept, dx: dx())
    return np.stack(columns, axis=1)


def by_row(kept: Kept, dx: InputGradient) -> dict[str, Array]:
    """Return gradients by row, of everything that was kept.

    Example:
        >>> by_row({"W": [(np.array([[2.0]]), np.array([[3.0]]))], "b": [np.array([[3.0]])]}, lambda: np.ones(1))
        {'W': array([[[6.]]]), 'b': array([[3.]])}
    """
    return {name: _expanded(factors) for name, factors in kept.items()}


def outputs_pulled(
    function: str, net: Layer, params: Params, x: ArrayLike, key: Key | None, each: Callable[[Kept, InputGradient], T]
) -> tuple[Params, Array, list[T]]:
    """Return the params as they are used, the outputs, and what is made of the way back from each of their columns.

    Example:
        >>> from nnfunc import dense
        >>> params = {"W": np.array([[2.0]]), "b": np.zeros(1)}
        >>> outputs_pulled("jacobian", dense(1, 1), params, [[3.0]], None, by_row)[1:]
        (array([[6.]]), [{'W': array([[[3.]]]), 'b': array([[1.]])}])
    """
    check_layer(function, "net", net)
    net, held, inputs = prepared(function, net, params, x, key)
    kept: Kept = {}
    with np.errstate(all="ignore"):
        outputs, pullback = run(function, _by_row(function, net, kept)[1], held, inputs, key)
        require(outputs.ndim == 2, function, "net", "put out rows of columns", outputs.shape)
        made: list[T] = []
        for column in range(outputs.shape[1]):
            dy = np.zeros_like(outputs)
            dy[:, column] = 1
            kept.clear()
            made.append(each(kept, pullback(dy)[1]))
    return held, outputs, made


def _kept_by_row(
    function: str, net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, key: Key | None
) -> tuple[Params, Kept, Rows, int]:
    """Return the params as they are used, what the gradients of the rows' own losses are made of, and which rows of n have one."""
    check_layer(function, "net", net)
    net, held, inputs = prepared(function, net, params, x, key)
    given, (net, loss_fn) = loss_fn, on_logits(net, loss_fn)
    targets, n = as_targets(function, "y", y, inputs.dtype, len(inputs)), len(inputs)
    there, _, _ = which_count(function, loss_fn, targets, None)
    if there is not None:
        inputs, targets = inputs[there], targets[there]
    kept: Kept = {}
    with np.errstate(all="ignore"):
        outputs, pullback = run(function, _by_row(function, net, kept)[1], held, inputs, key)
        try:
            per_example, dy = losses_of(function, loss_fn, outputs, targets)
        except (TypeError, ValueError) as error:
            told = of_given_loss(error, loss_fn, given)
            if told is error:
                raise
            raise told from error
        if not all_finite(per_example):
            loss_pass(function, net, loss_fn, held, inputs, targets, None, None, key)  # which finds out why, and says it
        pullback(dy)
    return held, kept, np.arange(n) if there is None else there, n


def _placed(array: Array, rows: Rows, n: int) -> Array:
    """Return an array of n rows, of which these are given, and the others are zeros."""
    if len(rows) == n:
        return array
    whole = np.zeros((n, *array.shape[1:]), array.dtype)
    whole[rows] = array
    return whole


def _by_row(function: str, net: Layer, kept: Kept) -> Layer:
    """Return the network as one that keeps by row what its gradients are made of, on the way back."""

    def note(name: str, factor: Factor) -> None:
        kept.setdefault(name, []).append(factor)

    return map_layers(net, partial(_kept_layer, function, note))


Note: TypeAlias = Callable[[str, Factor], None]


def _kept_layer(function: str, note: Note, path: str, layer: Layer) -> OwnForward:
    """Return the forward of one layer that keeps its part."""
    own, forward, bare = facts(layer), layer[1], unwrapped(layer[1])
    if own is None:
        return partial(_kept_own, function, note, path, bool(children(layer)), forward)
    if isinstance(bare, partial) and bare.func is dense_forward:
        return partial(_kept_dense, note, path, *bare.args)
    if isinstance(bare, partial) and bare.func is embedding_forward:
        return partial(_kept_embedding, note, path, *bare.args)
    if own["shapes"]:
        return partial(_kept_norm, function, note, path, own["word"], bool(own["statistics"]), forward)
    return guarded(forward)  # without params of its own


def _kept_dense(
    note: Note, path: str, n_in: int, n_out: int, rule: Rule | None, bias: bool, params: Params, x: Array, key: Key | None
) -> tuple[Array, Pullback]:
    """Run a dense layer, and keep x and dz."""
    z, linear_pullback = dense_forward(n_in, n_out, None, bias, params, x, key)
    y = z if rule is None else rule[0](z)

    def pull(dy: Array) -> tuple[Params, InputGradient]:
        dz = dy if rule is None else rule[1](dy, z, y)
        note(joined(path, "W"), (x, dz))
        if bias:
            note(joined(path, "b"), dz)
        return linear_pullback(dz)

    return y, pull


def _kept_embedding(
    note: Note, path: str, n: int, width: int, params: Params, x: Array, key: Key | None
) -> tuple[Array, Pullback]:
    """Run an embedding, and keep a 1 in the place of each code beside its part of dy."""
    y, pullback = embedding_forward(n, width, params, x, key)

    def pull(dy: Array) -> tuple[Params, InputGradient]:
        for column, part in enumerate(np.split(dy, x.shape[1], axis=1)):
            note(joined(path, "table"), (np.asarray(x[:, column, None] == np.arange(n), dy.dtype), part))
        return pullback(dy)

    return y, pull


def _kept_norm(
    function: str, note: Note, path: str, word: str, has_statistics: bool, forward: ForwardFn, params: Params, x: Array,
    key: Key | None,
) -> tuple[Array, Pullback]:
    """Run a norm, y = gamma xhat + beta, and keep dy xhat and dy."""
    if has_statistics and key is not None:
        raise _mixes(function, f"{word} in a training pass, which a key makes")
    y, pullback = forward(params, x, key)
    plain = {**params, "gamma": np.ones_like(params["gamma"]), "beta": np.zeros_like(params["beta"])}
    xhat = forward(plain, x, key)[0]

    def pull(dy: Array) -> tuple[Params, InputGradient]:
        note(joined(path, "gamma"), dy * xhat)
        note(joined(path, "beta"), dy)
        return pullback(dy)

    return y, pull


def _kept_own(
    function: str, note: Note, path: str, is_made_of_layers: bool, forward: ForwardFn, params: Params, x: Array,
    key: Key | None,
) -> tuple[Array, Pullback]:
    """Run a layer of a user's own, and keep what it gives for each row alone, which must be what it gives in the batch.

    Where it has no params of its own, every other row alone shows whether rows touch, without the noise of a key.
    """
    y, pullback = forward(params, x, key)
    keeps = params and not is_made_of_layers
    own_key = key if keeps else None
    whole = y if own_key == key else forward(params, x, None)[0]
    parts = [slice(i, i + 1) for i in range(len(x))] if keeps else [slice(0, None, 2), slice(1, None, 2)][: len(x)]
    alone = [forward(params, x[part], own_key) for part in parts]
    close = float(np.finfo(x.dtype).eps ** 0.5)
    for part, (rows, _) in zip(parts, alone, strict=True):
        if not np.allclose(rows, whole[part], close, close * float(np.max(np.abs(whole), initial=0)), equal_nan=True):
            raise _mixes(function, "one of your own that puts out something else for some of them")
    if not keeps:
        return y, pullback

    def pull(dy: Array) -> tuple[Params, InputGradient]:
        grads = [back(dy[i : i + 1])[0] for i, (_, back) in enumerate(alone)]
        for name in grads[0]:
            note(joined(path, name), np.stack([own[name] for own in grads]))
        return pullback(dy)

    return y, pull


def _mixes(function: str, what: str) -> ValueError:
    """Return the error for a layer that mixes the rows of a batch; its path comes in front of `net` on the way up."""
    return ValueError(problem(function, "layer", "leave the rows of a batch apart", what))


def _expanded(factors: list[Factor]) -> Array:
    """Return gradients by row."""
    total: Array | None = None
    for factor in factors:
        one: Array = factor[0][:, :, None] * factor[1][:, None, :] if isinstance(factor, tuple) else factor
        total = one if total is None else total + one
    return np.array(total)


def _norms(factors: list[Factor]) -> Array:
    """Return the length of each row's gradient, in float64; of outer products, without making them."""
    pairs = [factor for factor in factors if isinstance(factor, tuple)]
    if len(pairs) < len(factors):
        return _lengths(_expanded(factors))
    if len(pairs) == 1:
        return _lengths(pairs[0][0]) * _lengths(pairs[0][1])
    (x_size, dz_size), squares = (_size([pair[i] for pair in pairs]) for i in (0, 1)), np.zeros(len(pairs[0][0]))
    for x, dz in pairs:
        for other_x, other_dz in pairs:
            along: Array = np.einsum("ni,ni->n", x / x_size, other_x / x_size, dtype=np.float64)
            squares += along * np.einsum("ni,ni->n", dz / dz_size, other_dz / dz_size, dtype=np.float64)
    return np.sqrt(np.maximum(squares, 0)) * x_size * dz_size


def _lengths(array: Array) -> Array:
    """Return the length of each row in float64, whose squares are taken where they neither overflow nor vanish."""
    size, rows = _size([array]), array.reshape(len(array), -1)
    scaled = rows if size == 1 else rows / size
    squares: Array = np.einsum("ni,ni->n", scaled, scaled, dtype=np.float64)
    return np.sqrt(squares) * size


def _size(arrays: list[Array]) -> float:
    """Return what to divide by before squares are taken: 1 for float32, whose squares float64 holds, else the largest value."""
    if arrays[0].dtype == FLOAT32:
        return 1.0
    largest = max(float(np.max(np.abs(array), initial=0)) for array in arrays)
    return largest if 0 < largest < np.inf else 1.0


def _variance(factors: list[Factor]) -> Array:
    """Return the variance over the rows, in float64.

    Of outer products (a + x)(b + z), whose means a and b are taken out of x and z, it is the mean of
    (a z + b x + x z)^2 less the square of the mean of x z, so that large means cancel before squares are taken.
    """
    only = factors[0]
    if len(factors) > 1 or not isinstance(only, tuple):
        return np.asarray(np.var(_expanded(factors), axis=0, dtype=np.float64))
    n, (x, z) = len(only[0]), (factor.astype(np.float64) for factor in only)
    a, b = np.mean(x, axis=0)[:, None], np.mean(z, axis=0)
    x, z = x - a[:, 0], z - b
    xz = x.T @ z / n
    squares = a * a * np.mean(z * z, axis=0) + np.mean(x * x, axis=0)[:, None] * (b * b) + (x * x).T @ (z * z) / n
    squares += 2 * (a * b * xz + a * (x.T @ (z * z) / n) + b * ((x * x).T @ z / n))
    variance: Array = np.maximum(squares - xz * xz, 0)
    return variance
