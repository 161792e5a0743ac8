"""Layers: pairs of pure functions ``(init, forward)``.

    init(key, dtype)        -> params
    forward(params, x, key) -> (y, pullback)
    pullback(dy)            -> (grads, dx)

`y` is the output; `pullback` takes the gradient with respect to it and returns
the gradients of the params, by name, and a function ``dx()`` that computes the
gradient with respect to `x` if anybody asks (nobody asks for the first layer's).
No key means inference. Nothing given may be changed, and what is returned are
new arrays, not views of what was given. These laws, and more, are what
`nnfunc.testing.check_layer` tries.

A layer is made by `functools.partial` over two functions of its file, so it
pickles and can be walked. Its row in `nnfunc.network.kinds` tells
`summary`, `calibrate` and the check of keys about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import SupportsIndex

import numpy as np

from nnfunc.pieces import initializers
from nnfunc.pieces.activations import Rule, as_rule, relu, relu_in_place
from nnfunc.values.arrays import ones
from nnfunc.values.checks import as_flag, as_size, describe, problem, require
from nnfunc.values.keys import split
from nnfunc.values.types import Activation, Array, DType, Initializer, InputGradient, Key, Layer, Params, Pullback


def dense(
    n_in: SupportsIndex, n_out: SupportsIndex, activation: Activation | None = None, *,
    w_init: Initializer | None = None, b_init: Initializer = initializers.zeros, bias: bool = True,
) -> Layer:
    """Return the layer y = f(x W + b).

    Args:
        n_in: columns of `x`, at least 1.
        n_out: columns of `y`, at least 1.
        activation: f, one of the library's activations or a pair ``(f, df)``;
            none is the identity.
        w_init: initialiser of W; `glorot_uniform` if none, for relu too (`examples/README.md`,
            "Where the article and this library differ", has the figures).
        b_init: initialiser of b; one made by `by_fans` knows n_in.
        bias: whether there is a b; a norm that follows has one of its own. W is drawn the same either way.

    Shapes:
        x (n, n_in), W (n_in, n_out), b (n_out,), y (n, n_out).

    Gradients:
        dz = dy * f'(z), dW = x^T dz, db = sum of dz over rows, dx = dz W^T.

    Raises:
        TypeError: a size is no integer, the activation none that is known, or `bias` no bool.
        ValueError: a size is below 1; in use, `x`, `W` or `b` of another shape.

    Example:
        >>> init, forward = dense(2, 3)
        >>> params = {"W": np.ones((2, 3)), "b": np.zeros(3)}
        >>> y, pullback = forward(params, np.array([[1.0, 2.0]]), None)
        >>> y
        array([[3., 3., 3.]])
        >>> grads, dx = pullback(np.ones((1, 3)))
        >>> grads["W"]
        array([[1., 1., 1.],
               [2., 2., 2.]])
        >>> dx()
        array([[3., 3.]])
    """
    rows, columns = as_size("dense", "n_in", n_in), as_size("dense", "n_out", n_out)
    rule = None if activation is None else as_rule("dense", activation)
    w_init = initializers.glorot_uniform if w_init is None else w_init
    w_init = initializers.made_for("dense", "w_init", w_init, rows, columns)
    b_init = initializers.made_for("dense", "b_init", b_init, rows, columns)
    has_bias = as_flag("dense", "bias", bias)
    unused = not has_bias and b_init is not initializers.zeros
    require(not unused, "dense", "b_init", "be left out, as bias=False leaves b out", value=b_init)
    begin = partial(_dense_init, rows, columns, w_init, b_init if has_bias else None)
    return begin, partial(dense_forward, rows, columns, rule, has_bias)


def _dense_init(
    n_in: int, n_out: int, w_init: Initializer, b_init: Initializer | None, key: Key, dtype: DType
) -> dict[str, Array]:
    """Draw W and b, if there is one."""
    w_key, b_key = split(key, 2)
    params = {"W": initializers.drawn("dense", "w_init", w_init, w_key, (n_in, n_out), dtype)}
    if b_init is not None:
        params["b"] = initializers.drawn("dense", "b_init", b_init, b_key, (n_out,), dtype)
    return params


def dense_forward(
    n_in: int, n_out: int, rule: Rule | None, bias: bool, params: Params, x: Array, key: Key | None
) -> tuple[Array, Pullback]:
    """Compute y = f(x W + b) and the way back; see `dense`.

    Example:
        >>> dense_forward(1, 1, None, True, {"W": np.eye(1), "b": np.ones(1)}, np.eye(1), None)[0]
        array([[2.]])
    """
    if len(params) != 1 + bias or "W" not in params or ("b" in params) is not bias:
        check_fields("dense", dense_shapes(n_in, n_out, bias), params)
    W = params["W"]
    z, y = dense_outputs(n_in, n_out, rule, W, params.get("b"), x)

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        dz = dy if rule is None else rule[1](dy, z, y)
        grads = {"W": product(x.T, dz)}
        return (grads | {"b": column_sums(dz)} if bias else grads), lambda: product(dz, W.T)

    return y, pullback


def dense_shapes(n_in: int, n_out: int, bias: bool) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a dense layer's params.

    Example:
        >>> dense_shapes(2, 3, False)
        {'W': (2, 3)}
    """
    return {"W": (n_in, n_out), "b": (n_out,)} if bias else {"W": (n_in, n_out)}


def dense_outputs(n_in: int, n_out: int, rule: Rule | None, W: Array, b: Array | None, x: Array) -> tuple[Array, Array]:
    """Return z = x W + b, or x W without b, and y = f(z); the two may be one array.

    Example:
        >>> dense_outputs(1, 1, None, np.eye(1), np.ones(1), np.eye(1))[1]
        array([[2.]])
    """
    if W.shape != (n_in, n_out) or (b is not None and b.shape != (n_out,)) or x.shape != (len(x), n_in):
        check_fields("dense", dense_shapes(n_in, n_out, b is not None), {"W": W} if b is None else {"W": W, "b": b})
        check_columns("dense", n_in, x)
    z = product(x, W)
    if b is not None:
        z += b
    return z, z if rule is None else relu_in_place(z) if rule[0] is relu else rule[0](z)


def product(a: Array, b: Array) -> Array:
    """Return the matrix product of `a` and `b`.

    ndarray.dot is called in half the time of the ``@`` operator, which counts in small
    products, but it clears its result first, which counts in large ones.

    Example:
        >>> product(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
        array([[11.]])
    """
    c: Array = a.dot(b) if len(a) * b.shape[1] < 8192 else a @ b
    return c


def column_sums(a: Array) -> Array:
    """Return the sums over the rows of `a`, as a product with ones, which takes a third of the time.

    Example:
        >>> column_sums(np.array([[1.0, 2.0], [3.0, 4.0]]))
        array([4., 6.])
    """
    sums: Array = ones(len(a), a.dtype).dot(a)
    return sums


def check_fields(
    function: str, shapes: Mapping[str, tuple[int, ...]], params: Params, optional: Iterable[str] = ()
) -> None:
    """Raise ValueError unless params have just these names and shapes; the `optional` names may be missing.

    Example:
        >>> check_fields("dense", {"W": (2, 3), "b": (3,)}, {"W": np.zeros((2, 3))})
        Traceback (most recent call last):
        ...
        ValueError: dense: b must be in params, got only ['W']
    """
    for name, shape in shapes.items():
        if name not in params:
            if name not in optional:
                raise ValueError(problem(function, name, "be in params", f"only {describe(sorted(params))}"))
        elif params[name].shape != shape:
            raise ValueError(problem(function, name, f"have shape {shape}", params[name].shape))
    for name, array in params.items():
        if name not in shapes:
            constraint = f"not be in params, which are {', '.join(shapes) or 'none'}"
            raise ValueError(problem(function, name, constraint, f"shape {array.shape}"))


def check_columns(function: str, n: int, x: Array) -> None:
    """Raise ValueError unless `x` has rows of n columns.

    Example:
        >>> check_columns("dense", 2, np.zeros((4, 2)))
    """
    if x.ndim != 2 or x.shape[1] != n:
        hint = "; one row is x[None, :]" if x.ndim == 1 else ""
        raise ValueError(problem(function, "x", f"have shape (rows, {n}){hint}", x.shape))


def activation(f: Activation) -> Layer:
    """Return the layer y = f(x), without params.

    Args:
        f: one of the library's activations, or a pair ``(f, df)`` with ``df(z)``
            the elementwise derivative.

    Shapes:
        Any; `y` has the shape of `x`.

    Raises:
        TypeError: `f` is neither.

    Example:
        >>> square = (lambda z: z * z, lambda z: 2 * z)
        >>> init, forward = activation(square)
        >>> y, pullback = forward({}, np.array([[3.0]]), None)
        >>> grads, dx = pullback(np.ones((1, 1)))
        >>> y, dx()
        (array([[9.]]), array([[6.]]))
    """
    return no_params, partial(activation_forward, as_rule("activation", f))


def columns(start: SupportsIndex, stop: SupportsIndex) -> Layer:
    """Return the layer y = x[:, start:stop], some columns of x, without params.

    It begins a branch of `concatenate` that is to see a part of x only.

    Args:
        start: the first column, from 0.
        stop: the first column that is left out, above `start`.

    Shapes:
        x (n, k) with k at least `stop`, y (n, stop - start).

    Gradients:
        dx = dy in these columns, and 0 in the others.

    Raises:
        TypeError, ValueError: not integers from 0 up; in use, `x` has fewer columns.

    Example:
        >>> init, forward = columns(1, 3)
        >>> y, pullback = forward({}, np.array([[1.0, 2.0, 3.0, 4.0]]), None)
        >>> y, pullback(np.array([[5.0, 6.0]]))[1]()
        (array([[2., 3.]]), array([[0., 5., 6., 0.]]))
    """
    first = as_size("columns", "start", start, least=0)
    return no_params, partial(columns_forward, first, as_size("columns", "stop", stop, least=first + 1))


def columns_forward(start: int, stop: int, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Take some columns of x, and the way back; see `columns`.

    Example:
        >>> columns_forward(1, 2, {}, np.array([[1.0, 2.0]]), None)[0]
        array([[2.]])
    """
    if params:
        check_fields("columns", {}, params)
    if x.ndim != 2 or x.shape[1] < stop:
        raise ValueError(problem("columns", "x", f"have shape (rows, {stop} or more)", x.shape))

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        def dx() -> Array:
            g = np.zeros_like(x)
            g[:, start:stop] = dy
            return g

        return {}, dx

    return x[:, start:stop].copy(), pullback


def no_params(key: Key, dtype: DType) -> Params:
    """Return no params: the `init` of a layer that has none.

    Example:
        >>> no_params(0, np.dtype(np.float32))
        {}
    """
    return {}


def activation_forward(rule: Rule, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Compute y = f(x) and the way back; see `activation`.

    Example:
        >>> init, forward = activation((np.sin, np.cos))
        >>> forward({}, np.zeros((1, 1)), None)[0]
        array([[0.]])
    """
    if params:
        check_fields("activation", {}, params)
    value, back = rule
    y = value(x)

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {}, lambda: back(dy, x, y)

    return y, pullback


def identity_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Return x itself: what is left of a final softmax once a loss works from its logits.

    Example:
        >>> y, pullback = identity_forward({}, np.ones((1, 2)), None)
        >>> y
        array([[1., 1.]])
    """

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {}, lambda: dy

    return x, pullback
