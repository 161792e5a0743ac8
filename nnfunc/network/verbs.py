"""The verbs: what is done with a network.

Arguments stand in one order everywhere: what is fixed for a run (network,
loss), then params, then data. A verb returns new values and changes nothing.
A key means a training pass, no key an inference pass; `grads` is exactly the
derivative of the `loss` called with the same arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import SupportsFloat, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from nnfunc.network.boundary import blocks, by_blocks, in_order, loss_value, prepared, value_and_grads_pass
from nnfunc.network.guard import check_layer, penalty_of, run
from nnfunc.network.kinds import trained
from nnfunc.values.arrays import as_inputs, as_real, check_finite, lasting, owned
from nnfunc.values.checks import as_dtype, problem, require
from nnfunc.values.keys import key_path
from nnfunc.values.params import check_names, freeze, mapped
from nnfunc.values.types import Array, InputGradient, Key, Layer, LossFn, Params, Penalty


def init(net: Layer, key: Key, dtype: DTypeLike = np.float32) -> Params:
    """Return fresh params for a network, drawn from `key`.

    Args:
        net: a layer, or a chain of them.
        key: an int, or a tuple of ints; the same key gives the same params.
        dtype: float32 or float64; the network then computes in it throughout.

    Raises:
        TypeError: `dtype` is another, or a layer's init returns no mapping of arrays.
        FloatingPointError: an initialiser gives what is not finite.
        ValueError: `key` is not a key.

    Example:
        >>> from nnfunc import chain, dense, relu
        >>> params = init(chain(hidden=dense(64, 32, relu), out=dense(32, 10)), key=0)
        >>> {name: array.shape for name, array in params.items()}
        {'hidden/W': (64, 32), 'hidden/b': (32,), 'out/W': (32, 10), 'out/b': (10,)}
    """
    check_layer("init", "net", net)
    real = as_dtype("init", dtype)
    key_path("init", key)
    params = net[0](key, real)
    require(hasattr(params, "items"), "init", "net", "give a mapping of names to arrays", params, TypeError)
    check_names("init", "params", params)
    with np.errstate(all="ignore"):
        fresh = {name: as_real("init", name, array).astype(real) for name, array in params.items()}
    for name, array in fresh.items():
        check_finite("init", name, array)
    return freeze(fresh)


@np.errstate(all="ignore")
def forward(
    net: Layer, params: Params, x: ArrayLike, key: Key | None = None, *, size: SupportsIndex | None = None
) -> Array:
    """Return the network's outputs for a batch.

    Nothing is searched for NaN here: a row with one gives NaN, which argmax would
    call class 0. `standardize` and `accuracy` refuse it, as `loss` does.

    Args:
        net: a layer, or a chain of them.
        params: as `init` made them, or any mapping of the same names.
        x: one row per example, float32, float64 or booleans, or a list; computed in the dtype of `params`.
        key: none for inference; a key for a training pass.
        size: how many rows go through the network at a time in inference, which bounds
            the memory; results change by rounding only. None is 1,024 for a network of the
            library's own layers, and all rows for any other, whose layers may mix them.

    Shapes:
        For a dense network x (n, n_in), result (n, n_out).

    Raises:
        FloatingPointError: a number becomes infinite in the dtype of `params`.
        TypeError: `x` is an array of another dtype, or holds whole numbers that
            would become others in that of `params`; or params differ in dtype.
        ValueError: `x` or a parameter has a shape that does not fit, a
            parameter is missing or unknown, or there is no row.

    Example:
        >>> from nnfunc import chain, dense, sigmoid
        >>> net = chain(hidden=dense(2, 2, sigmoid), out=dense(2, 1, sigmoid))
        >>> W = [[0.0, 0.0], [1.0, 1.0]]
        >>> params = {"hidden/W": W, "hidden/b": [0.0, 0.0], "out/W": [[0.0], [1.0]], "out/b": [0.0]}
        >>> print(f"{forward(net, params, [[2.0, 3.0]])[0, 0]:.4f}")
        0.7216
    """
    rows, parts = blocks("forward", net, params, x, size, key)
    if len(parts) > 1:
        found = by_blocks(parts, lambda part: forward(net, params, np.asarray(rows)[part]))
        return np.concatenate(found)
    net, held, inputs = prepared("forward", net, params, rows, key)
    return owned(run("forward", net[1], held, inputs, key)[0])


def vjp(
    net: Layer, params: Params, x: ArrayLike, key: Key | None = None
) -> tuple[Array, Callable[[ArrayLike], tuple[Params, InputGradient]]]:
    """Return the outputs and the way back from them (the vector-Jacobian product).

    ``y, pullback = vjp(net, params, x)``, then ``grads, dx = pullback(dy)``:
    for a gradient `dy` with respect to `y`, `grads` holds the gradients of the
    params and ``dx()`` computes that of the input, which costs nothing unless
    it is called.

    Shapes:
        dy as y, dx() as x, grads as params.

    Raises:
        TypeError, ValueError: as `forward`; in the pullback, `dy` has another
            shape than `y`.

    Example:
        >>> from nnfunc import dense
        >>> params = {"W": np.array([[3.0], [4.0]]), "b": np.zeros(1)}
        >>> y, pullback = vjp(dense(2, 1), params, [[1.0, 2.0]])
        >>> grads, dx = pullback([[1.0]])
        >>> grads["W"].ravel(), dx()
        (array([1., 2.]), array([[3., 4.]]))
    """
    net, held, inputs = prepared("vjp", net, params, x, key)
    # The pullback may run long after the caller has changed x, or a dict of arrays of his own.
    kept, held = lasting(inputs), mapped(lasting, held)
    with np.errstate(all="ignore"):
        y, layer_pullback = run("vjp", net[1], held, kept, key)

    def pullback(dy: ArrayLike) -> tuple[Params, InputGradient]:
        gradient = lasting(as_inputs("vjp", "dy", dy, y.dtype))
        if gradient.shape != y.shape:
            raise ValueError(problem("vjp", "dy", f"have the shape {y.shape} of y", gradient.shape))
        with np.errstate(all="ignore"):
            grads, dx = layer_pullback(gradient)

        def input_gradient() -> Array:
            with np.errstate(all="ignore"):
                return owned(dx())

        return in_order(grads, held), input_gradient

    return y.copy(), pullback


def loss(
    net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None,
    mean_weight: SupportsFloat | None = None, penalty: Penalty | None = None, key: Key | None = None,
    size: SupportsIndex | None = None,
) -> float:
    """Return the mean loss over a batch, plus the penalty.

    sum_i w_i l_i / sum_i w_i + penalty(params); without weights all w_i are 1.

    Args:
        net: a layer, or a chain of them.
        loss_fn: ``(outputs, targets) -> (per_example, d_outputs)``.
        params: as `init` made them, or any mapping of the same names.
        x: inputs, one row per example.
        y: targets, one per row.
        weight: (n,), at least 0 and not all 0. Weight 2 is the row twice, weight 0 the row gone;
            but a batch norm with a key takes its statistics of the rows above 0, whatever they weigh.
        mean_weight: the mean weight of all training rows, where these are a batch of them: the weighted
            sum is then divided by ``n * mean_weight``, so that a weight counts in batches of any size.
        penalty: ``params -> (value, grads)``.
        key: a key for a training pass, none for inference.
        size: how many rows at a time in inference, as for `forward`.

    Raises:
        FloatingPointError: the loss is not finite; the message names the first
            thing that is not: x, y, a parameter, a layer's output, the loss.
        TypeError, ValueError: as `forward`, and where targets or weights do not fit.

    Example:
        >>> from nnfunc import dense, mse
        >>> params = {"W": np.array([[2.0]]), "b": np.zeros(1)}
        >>> loss(dense(1, 1), mse, params, [[1.0], [2.0]], [[2.0], [3.0]])
        0.5
        >>> loss(dense(1, 1), mse, params, [[1.0], [2.0]], [[2.0], [3.0]], weight=[1, 3])
        0.75
    """
    with np.errstate(all="ignore"):
        held, value = loss_value("loss", net, loss_fn, params, x, y, weight, mean_weight, key, size)
        return value if penalty is None else value + penalty_of("loss", penalty, trained(net, held))[0]


def grads(
    net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None,
    mean_weight: SupportsFloat | None = None, penalty: Penalty | None = None, key: Key | None = None,
) -> Params:
    """Return the gradient of `loss` with the same arguments, under the names of the params and in their order.

    Of a network with dropout or batch norm it wants a key. Gradients are not searched for what is no number: one that
    overflows where the loss does not is told by the next loss, which names the parameter.

    Args and Raises:
        As `loss`, without `size`.

    Example:
        >>> from nnfunc import dense, mse
        >>> params = {"W": np.array([[2.0]]), "b": np.zeros(1)}
        >>> g = grads(dense(1, 1), mse, params, [[1.0], [2.0]], [[2.0], [3.0]])
        >>> g["W"], g["b"]  # errors 0 and 1; the mean of 2 e x, and of 2 e
        (array([[2.]]), array([1.]))
    """
    return value_and_grads_pass("grads", net, loss_fn, params, x, y, weight, mean_weight, penalty, key)[1]


def value_and_grads(
    net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None,
    mean_weight: SupportsFloat | None = None, penalty: Penalty | None = None, key: Key | None = None,
) -> tuple[float, Params]:
    """Return `loss` and `grads` from one pass.

    Args and Raises:
        As `loss`, without `size`.

    Example:
        >>> from nnfunc import dense, mse
        >>> params = {"W": np.array([[2.0]]), "b": np.zeros(1)}
        >>> value, g = value_and_grads(dense(1, 1), mse, params, [[1.0], [2.0]], [[2.0], [3.0]])
        >>> value, g["b"]
        (0.5, array([1.]))
    """
    return value_and_grads_pass("value_and_grads", net, loss_fn, params, x, y, weight, mean_weight, penalty, key)
