"""Layers: pairs of pure functions ``(init, forward)``.

    init(key, dtype)        -> params
    forward(params, x, key) -> (y, pullback)
    pullback(dy)            -> (grads, dx)

`y` is the output; `pullback` takes the gradient with respect to it and returns
the gradients of the params, by name, and a function ``dx()`` that computes the
gradient with respect to `x` if anybody asks (the first layer's nobody does).
No key means inference. Nothing given may be changed: all arrays come locked.
What is returned are new arrays, not views of what was given. These laws, and
more, are what `nnfunc.testing.check_layer` tries.

A layer is made by `functools.partial` over two functions of this module, so it
pickles and can be walked.
"""

from functools import partial
from typing import SupportsIndex

import numpy as np

from nnfunc import initializers
from nnfunc.activations import BackRule
from nnfunc.checks import as_size, check_callable, describe, problem
from nnfunc.fixed import ones
from nnfunc.keys import split
from nnfunc.rules import RELU_FAMILY, base_function, with_back_rule
from nnfunc.types import (
    Activation,
    Array,
    DType,
    ElementwiseFn,
    Initializer,
    InputGradient,
    Key,
    Layer,
    Params,
    Pullback,
)


def dense(
    n_in: SupportsIndex,
    n_out: SupportsIndex,
    activation: Activation | None = None,
    *,
    w_init: Initializer | None = None,
    b_init: Initializer = initializers.zeros,
) -> Layer:
    """Return the layer y = f(x W + b).

    Args:
        n_in: columns of `x`, at least 1.
        n_out: columns of `y`, at least 1.
        activation: f, one of the library's activations or a pair ``(f, df)``;
            none is the identity.
        w_init: initialiser of W. Without it the activation chooses: `he_normal`
            for the relu family, `glorot_uniform` for the rest.
        b_init: initialiser of b.

    Shapes:
        x (n, n_in), W (n_in, n_out), b (n_out,), y (n, n_out).

    Gradients:
        dz = dy * f'(z), dW = x^T dz, db = sum of dz over rows, dx = dz W^T.

    Raises:
        TypeError: a size is no integer, or the activation none that is known.
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
    for name, initializer in (("w_init", w_init), ("b_init", b_init)):
        if initializer is not None or name == "b_init":
            check_callable("dense", name, initializer, "(key, shape, dtype) -> array")
    rule = None if activation is None else with_back_rule("dense", activation)
    if w_init is None:
        relu_like = not isinstance(activation, tuple) and base_function(activation) in RELU_FAMILY
        w_init = initializers.he_normal if relu_like else initializers.glorot_uniform
    init = partial(_dense_init, rows, columns, w_init, b_init)
    return init, partial(dense_forward, rows, columns, rule)


def _dense_init(
    n_in: int, n_out: int, w_init: Initializer, b_init: Initializer, key: Key, dtype: DType
) -> dict[str, Array]:
    w_key, b_key = split(key, 2)
    params = {"W": w_init(w_key, (n_in, n_out), dtype), "b": b_init(b_key, (n_out,), dtype)}
    for (name, array), shape in zip(params.items(), ((n_in, n_out), (n_out,)), strict=True):
        if np.shape(array) != shape:
            raise ValueError(problem("dense", f"{name.lower()}_init", f"return an array of shape {shape}", array))
    return params


def dense_forward(
    n_in: int,
    n_out: int,
    rule: tuple[ElementwiseFn, BackRule] | None,
    params: Params,
    x: Array,
    key: Key | None,
) -> tuple[Array, Pullback]:
    """Compute y = f(x W + b) and the way back; see `dense`.

    Example:
        >>> dense_forward(1, 1, None, {"W": np.eye(1), "b": np.ones(1)}, np.eye(1), None)[0]
        array([[2.]])
    """
    try:
        W, b = params["W"], params["b"]
    except KeyError:
        W = b = x  # of a wrong shape: the explanation below names what is missing
    if len(params) != 2 or x.shape != (len(x), n_in) or W.shape != (n_in, n_out) or b.shape != (n_out,):
        raise ValueError(_dense_problem(n_in, n_out, params, x))
    z = product(x, W)
    z += b
    y = z if rule is None else rule[0](z)

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        dz = dy if rule is None else rule[1](dy, z, y)
        return {"W": product(x.T, dz), "b": column_sums(dz)}, lambda: product(dz, W.T)

    return y, pullback


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


def _dense_problem(n_in: int, n_out: int, params: Params, x: Array) -> str:
    """Say which of the params or the input does not fit."""
    shapes = {"W": (n_in, n_out), "b": (n_out,)}
    for name, shape in shapes.items():
        if name not in params:
            return problem("dense", name, "be in params", f"only {describe(sorted(params))}")
        if params[name].shape != shape:
            return problem("dense", name, f"have shape {shape}", params[name].shape)
    for name in params:
        if name not in shapes:
            return problem("dense", name, "not be in params, which are W and b", f"shape {params[name].shape}")
    if x.ndim == 1:
        return problem("dense", "x", f"have shape (rows, {n_in}); one row is x[None, :]", x.shape)
    return problem("dense", "x", f"have shape (rows, {n_in})", x.shape)


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
    return no_params, partial(activation_forward, with_back_rule("activation", f))


def no_params(key: Key, dtype: DType) -> Params:
    """Return no params: the `init` of a layer that has none.

    Example:
        >>> no_params(0, np.dtype(np.float32))
        {}
    """
    return {}


def activation_forward(
    rule: tuple[ElementwiseFn, BackRule], params: Params, x: Array, key: Key | None
) -> tuple[Array, Pullback]:
    """Compute y = f(x) and the way back; see `activation`.

    Example:
        >>> init, forward = activation((np.sin, np.cos))
        >>> forward({}, np.zeros((1, 1)), None)[0]
        array([[0.]])
    """
    if params:
        name, array = next(iter(params.items()))
        raise ValueError(problem("activation", name, "not be in params, which are none", f"shape {array.shape}"))
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
