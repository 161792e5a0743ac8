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

from nnfunc.network.boundary import counted_rows, in_order, loss_pass, on_logits, prepared
from nnfunc.network.guard import check_layer, losses_of, run
from nnfunc.network.kinds import children, facts, guarded, map_layers, unwrapped
from nnfunc.pieces.activations import Rule
from nnfunc.pieces.embedding import embedding_forward
from nnfunc.pieces.layers import dense_forward
from nnfunc.values.arrays import all_finite, as_targets
from nnfunc.values.checks import problem, require
from nnfunc.values.params import joined
from nnfunc.values.types import Array, ForwardFn, InputGradient, Key, Layer, LossFn, OwnForward, Params, Pullback

T = TypeVar("T")

Factor: TypeAlias = Array | tuple[Array, Array]
"""Gradients by row, (n, ...), or x (n, k) and dz (n, m), whose outer products by row they are."""

Kept: TypeAlias = dict[str, list[Factor]]
"""What the gradient of each parameter is the sum of; there is more than one where a layer runs more than once."""


def per_example_grads(
    net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, *, key: Key | None = None
) -> Params:
    """Return the gradient of each row's own loss: for a parameter of shape s an array (n, *s).

    Their mean over the rows is `grads`. It takes n times the memory of the params.

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
    held, kept = _kept_by_row("per_example_grads", net, loss_fn, params, x, y, key)
    return in_order({name: _expanded(factors) for name, factors in kept.items()}, held)


def per_example_grad_norms(
    net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, *, key: Key | None = None
) -> Array:
    """Return the length of the gradient of each row's own loss, over all params, at about the price of one backward pass.

    The gradient of a dense layer's W for one row is the outer product of x and
    dz, and its length the product of theirs, so no gradient of a row is made.
    ``weight=np.minimum(1, limit / norms)`` with ``mean_weight=1`` in `grads`
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
    _, kept = _kept_by_row("per_example_grad_norms", net, loss_fn, params, x, y, key)
    with np.errstate(all="ignore"):
        return np.sqrt(sum((_squared_norms(factors) for factors in kept.values()), np.zeros(len(np.asarray(x)))))


def grad_variance(
    net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, *, key: Key | None = None
) -> Params:
    """Return the variance over the rows of every element of the gradient, mean of (g_i - g)^2.

    A batch of b rows drawn at random has gradients of this variance over b. Of
    dense layers it takes no more memory than the params.

    Args and Raises:
        As `per_example_grads`.

    Example:
        >>> from nnfunc import dense, mse
        >>> params = {"W": np.array([[2.0]]), "b": np.zeros(1)}
        >>> v = grad_variance(dense(1, 1), mse, params, [[1.0], [2.0]], [[2.0], [3.0]])
        >>> v["W"], v["b"]  # of 0 and 4, and of 0 and 2
        (array([[4.]]), array([1.]))

    Reference:
        McCandlish, Kaplan, Amodei et al. (2018), "An empirical model of large-batch training", section 2.
    """
    held, kept = _kept_by_row("grad_variance", net, loss_fn, params, x, y, key, blank=False)
    with np.errstate(all="ignore"):
        return in_order({name: _variance(factors).astype(held[name].dtype) for name, factors in kept.items()}, held)


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
    function: str, net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, key: Key | None, *,
    blank: bool = True,
) -> tuple[Params, Kept]:
    """Return the params as they are used, and what the gradients of the rows' own losses are made of.

    Rows without a target under a masked loss have the gradient 0; unless `blank`, they are left out.
    """
    check_layer(function, "net", net)
    net, held, inputs = prepared(function, net, params, x, key)
    net, loss_fn = on_logits(net, loss_fn)
    targets = as_targets(function, "y", y, inputs.dtype, len(inputs))
    if not blank:
        inputs, targets, _, _ = counted_rows(function, loss_fn, inputs, targets, None)
    kept: Kept = {}
    with np.errstate(all="ignore"):
        outputs, pullback = run(function, _by_row(function, net, kept)[1], held, inputs, key)
        per_example, dy = losses_of(function, loss_fn, outputs, targets)
        if not all_finite(per_example):
            loss_pass(function, net, loss_fn, held, inputs, targets, None, None, key)  # which finds out why, and says it
        pullback(dy)
    return held, kept


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
        return partial(_kept_own, function, None if children(layer) else note, path, forward)
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
        raise _mixes(function, f"{word}, whose training pass does (without a key it does not)")
    y, pullback = forward(params, x, key)
    plain = {**params, "gamma": np.ones_like(params["gamma"]), "beta": np.zeros_like(params["beta"])}
    xhat = forward(plain, x, key)[0]

    def pull(dy: Array) -> tuple[Params, InputGradient]:
        note(joined(path, "gamma"), dy * xhat)
        note(joined(path, "beta"), dy)
        return pullback(dy)

    return y, pull


def _kept_own(
    function: str, note: Note | None, path: str, forward: ForwardFn, params: Params, x: Array, key: Key | None
) -> tuple[Array, Pullback]:
    """Run a layer of a user's own, and keep what it gives for each row alone, which must be what it gives in the batch.

    Without a note it is made of layers, which keep their parts themselves, and may draw.
    """
    y, pullback = forward(params, x, key)
    alone_key = key if note else None
    alone = [forward(params, x[i : i + 1], alone_key) for i in range(len(x))]
    rows, whole = np.concatenate([row for row, _ in alone]), y if alone_key == key else forward(params, x, None)[0]
    close = float(np.finfo(x.dtype).eps ** 0.5)
    if not np.allclose(rows, whole, close, close * float(np.max(np.abs(whole), initial=0)), equal_nan=True):
        raise _mixes(function, "one of your own that gives another output for a row alone")
    if note is None:
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


def _squared_norms(factors: list[Factor]) -> Array:
    """Return the squared length of each row's gradient, in float64; of outer products, without making them."""
    norms: Array
    pairs = [factor for factor in factors if isinstance(factor, tuple)]
    if len(pairs) < len(factors):
        whole = _expanded(factors).reshape(len(factors[0]), -1)
        norms = np.einsum("ni,ni->n", whole, whole, dtype=np.float64)
        return norms
    norms = np.zeros(len(pairs[0][0]))
    for x, dz in pairs:
        for other_x, other_dz in pairs:
            along: Array = np.einsum("ni,ni->n", x, other_x, dtype=np.float64)
            along *= np.einsum("ni,ni->n", dz, other_dz, dtype=np.float64)
            norms += along
    return np.maximum(norms, 0)


def _variance(factors: list[Factor]) -> Array:
    """Return the variance over the rows, in float64."""
    only = factors[0]
    if len(factors) > 1 or not isinstance(only, tuple):
        return np.asarray(np.var(_expanded(factors), axis=0, dtype=np.float64))
    x, dz = (factor.astype(np.float64) for factor in only)
    mean = x.T @ dz / len(x)
    return np.maximum((x * x).T @ (dz * dz) / len(x) - mean * mean, 0)
