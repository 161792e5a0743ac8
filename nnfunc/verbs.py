"""The verbs: what is done with a network.

Arguments stand in one order everywhere: what is fixed for a run (network,
loss), then params, then data. A verb returns new values and changes nothing.
A key means a training pass, no key an inference pass; `grads` is exactly the
derivative of the `loss` called with the same arguments.
"""

import math
from collections.abc import Callable
from typing import SupportsFloat

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from nnfunc.blame import explain
from nnfunc.checks import (
    FLOAT64,
    as_dtype,
    as_inputs,
    as_number,
    as_real,
    as_targets,
    check_callable,
    checked_params,
    describe,
    locked,
    owned,
    problem,
)
from nnfunc.combinators import check_layer, check_pair, checked_output
from nnfunc.fusion import on_logits
from nnfunc.params import freeze, sealed
from nnfunc.types import Array, InputGradient, Key, Layer, LossFn, Params, Penalty, Pullback

def init(net: Layer, key: Key, dtype: DTypeLike = np.float32) -> Params:
    """Return fresh params for a network, drawn from `key`.

    Args:
        net: a layer, or a chain of them.
        key: an int, or a tuple of ints; the same key gives the same params.
        dtype: float32 or float64; the network then computes in it throughout.

    Raises:
        TypeError: `dtype` is another, or a layer's init returns no mapping of arrays.
        ValueError: `key` is not a key.

    Example:
        >>> from nnfunc import chain, dense, relu
        >>> params = init(chain(hidden=dense(64, 32, relu), out=dense(32, 10)), key=0)
        >>> {name: array.shape for name, array in params.items()}
        {'hidden/W': (64, 32), 'hidden/b': (32,), 'out/W': (32, 10), 'out/b': (10,)}
    """
    check_layer("init", "net", net)
    real = as_dtype("init", dtype)
    params = net[0](key, real)
    if not hasattr(params, "items"):
        raise TypeError(problem("init", "net", "give a mapping of names to arrays", params))
    return freeze({name: as_real("init", name, array).astype(real) for name, array in params.items()})


def forward(net: Layer, params: Params, x: ArrayLike, key: Key | None = None) -> Array:
    """Return the network's outputs for a batch.

    Args:
        net: a layer, or a chain of them.
        params: as `init` made them, or any mapping of the same names.
        x: one row per example, float32 or float64 or a list; computed in the dtype of `params`.
        key: none for inference; a key for a training pass.

    Shapes:
        For a dense network x (n, n_in), result (n, n_out).

    Raises:
        TypeError: `x` is an array of another dtype, or params differ in dtype.
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
    with np.errstate(all="ignore"):
        y, _ = _run("forward", net, *_prepared("forward", net, params, x), key)
        return owned(y)


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
    held, inputs = _prepared("vjp", net, params, x)
    with np.errstate(all="ignore"):
        y, layer_pullback = _run("vjp", net, held, inputs, key)

    def pullback(dy: ArrayLike) -> tuple[Params, InputGradient]:
        gradient = as_inputs("vjp", "dy", dy, y.dtype)
        if gradient.shape != y.shape:
            raise ValueError(problem("vjp", "dy", f"have the shape {y.shape} of y", gradient.shape))
        with np.errstate(all="ignore"):
            grads, dx = layer_pullback(gradient)

        def input_gradient() -> Array:
            with np.errstate(all="ignore"):
                return owned(dx())

        return _sealed_grads("vjp", "the layer's grads", held, grads), input_gradient

    return y.copy(), pullback


def loss(
    net: Layer,
    loss_fn: LossFn,
    params: Params,
    x: ArrayLike,
    y: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    penalty: Penalty | None = None,
    key: Key | None = None,
) -> float:
    """Return the mean loss over a batch, plus the penalty.

    sum_i w_i l_i / sum_i w_i + penalty(params); without weights all w_i are 1.

    Args:
        net: a layer, or a chain of them.
        loss_fn: ``(outputs, targets) -> (per_example, d_outputs)``.
        params: as `init` made them, or any mapping of the same names.
        x: inputs, one row per example.
        y: targets, one per row.
        weight: (n,), at least 0 and not all 0. Weight 2 is the row twice, weight 0 the row gone.
        penalty: ``params -> (value, grads)``.
        key: a key for a training pass, none for inference.

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
        held, inputs = _prepared("loss", net, params, x)
        value, _, _ = _loss_pass("loss", net, loss_fn, held, inputs, y, weight, key)
        return value if penalty is None else value + _penalty("loss", penalty, held)[0]


def grads(
    net: Layer,
    loss_fn: LossFn,
    params: Params,
    x: ArrayLike,
    y: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    penalty: Penalty | None = None,
    key: Key | None = None,
) -> Params:
    """Return the gradient of `loss` with the same arguments, under the names of the params.

    Args and Raises:
        As `loss`.

    Example:
        >>> from nnfunc import dense, mse
        >>> params = {"W": np.array([[2.0]]), "b": np.zeros(1)}
        >>> g = grads(dense(1, 1), mse, params, [[1.0], [2.0]], [[2.0], [3.0]])
        >>> g["W"], g["b"]  # errors 0 and 1; the mean of 2 e x, and of 2 e
        (array([[2.]]), array([1.]))
    """
    return _value_and_grads("grads", net, loss_fn, params, x, y, weight, penalty, key)[1]


def value_and_grads(
    net: Layer,
    loss_fn: LossFn,
    params: Params,
    x: ArrayLike,
    y: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    penalty: Penalty | None = None,
    key: Key | None = None,
) -> tuple[float, Params]:
    """Return `loss` and `grads` from one pass.

    Args and Raises:
        As `loss`.

    Example:
        >>> from nnfunc import dense, mse
        >>> params = {"W": np.array([[2.0]]), "b": np.zeros(1)}
        >>> value, g = value_and_grads(dense(1, 1), mse, params, [[1.0], [2.0]], [[2.0], [3.0]])
        >>> value, g["b"]
        (0.5, array([1.]))
    """
    return _value_and_grads("value_and_grads", net, loss_fn, params, x, y, weight, penalty, key)


def sgd_step(params: Params, grads: Params, lr: SupportsFloat) -> Params:
    """Return params - lr * grads, a new mapping.

    A name in `params` and not in `grads` passes through untouched: to freeze a
    layer, drop its gradients.

    Args:
        params: any mapping of names to arrays.
        grads: gradients under some or all of these names.
        lr: learning rate, at least 0.

    Raises:
        TypeError: arrays that are not floats, or `lr` is not a number.
        ValueError: a gradient's name is not in `params` or its shape differs,
            or `lr` is negative or not finite.

    Example:
        >>> params = {"W": np.array([1.0, 2.0]), "b": np.array([3.0])}
        >>> sgd_step(params, {"W": np.array([1.0, -1.0])}, lr=0.5)["W"]
        array([0.5, 2.5])
    """
    rate = as_number("sgd_step", "lr", lr, least=0)
    params, dtype = checked_params("sgd_step", params)
    grads, grads_dtype = checked_params("sgd_step", grads)
    stepped: dict[str, Array] = {}
    with np.errstate(all="ignore"):
        for name, array in params.items():
            gradient = grads.get(name)
            if gradient is None:
                stepped[name] = array if array.flags.owndata else array.copy()
                continue
            if gradient.shape != array.shape:
                raise ValueError(problem("sgd_step", f"grads[{name!r}]", f"have shape {array.shape}", gradient.shape))
            change = np.asarray(gradient * rate, dtype)
            stepped[name] = np.subtract(array, change, out=change)
    if not grads.keys() <= params.keys():
        raise ValueError(_unknown_name("sgd_step", "grads", grads, params))
    return sealed(stepped)


def _prepared(function: str, net: Layer, params: Params, x: ArrayLike) -> tuple[Params, Array]:
    """Return params and inputs checked, locked and of one dtype."""
    check_pair(function, "net", net)
    params, dtype = checked_params(function, params)
    if not params and isinstance(x, np.ndarray) and x.dtype == FLOAT64:
        dtype = FLOAT64  # without params the inputs decide
    return params, as_inputs(function, "x", x, dtype)


def _run(function: str, net: Layer, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    try:
        return checked_output(net[1](params, x, key), x.dtype)
    except KeyError as error:
        raise ValueError(problem(function, f"params[{error}]", "be there", f"only {', '.join(params)}")) from error


def _loss_pass(
    function: str,
    net: Layer,
    loss_fn: LossFn,
    params: Params,
    x: Array,
    y: ArrayLike,
    weight: ArrayLike | None,
    key: Key | None,
) -> tuple[float, Array, Pullback]:
    """Return the mean loss, its gradient with respect to the outputs, and the way back from there.

    This is the one place where the mean over the batch is taken.
    """
    check_callable(function, "loss_fn", loss_fn, "(outputs, targets) -> (per_example, d_outputs)")
    net, loss_fn = on_logits(net, loss_fn)
    targets = as_targets(function, "y", y, x.dtype)
    if targets.ndim == 0 or len(targets) != len(x):
        raise ValueError(problem(function, "y", f"have one target for each of the {len(x)} rows of x", targets))
    shares = None
    if weight is not None:
        shares = _shares(function, weight, len(x))
        if not shares.all():
            kept = shares > 0
            x, targets, shares = locked(x[kept]), locked(targets[kept]), shares[kept]
    outputs, pullback = _run(function, net, params, x, key)
    per_example, d_outputs = _checked_loss(function, loss_fn(outputs, targets), outputs)
    dy: Array
    if shares is None:
        value = float(np.add.reduce(per_example, dtype=np.float64)) / len(x)
        dy = d_outputs / len(x)
    else:
        value = float(shares.dot(per_example))
        dy = d_outputs * shares.astype(x.dtype).reshape(-1, *[1] * (d_outputs.ndim - 1))
    if not math.isfinite(value):
        raise FloatingPointError(explain(function, net, loss_fn, params, x, targets, key))
    return value, dy, pullback


def _shares(function: str, weight: ArrayLike, n: int) -> Array:
    """Return each row's share in the mean, in float64: weights over their sum."""
    weights = as_real(function, "weight", weight).astype(np.float64)
    if weights.shape != (n,):
        raise ValueError(problem(function, "weight", f"have shape ({n},), one weight per row", weights.shape))
    least, most = float(weights.min()), float(weights.max())
    if not (least >= 0 and 0 < most < math.inf):
        got = f"weights from {least:g} to {most:g}"
        raise ValueError(problem(function, "weight", "be finite, at least 0 and not all 0", got))
    weights /= most  # first, as the sum of large weights could overflow
    weights /= weights.sum()
    return weights


def _checked_loss(function: str, result: tuple[Array, Array], outputs: Array) -> tuple[Array, Array]:
    """Return what a loss function returned, if it is unreduced and fits the outputs."""
    if type(result) is not tuple or len(result) != 2:
        raise TypeError(problem(function, "loss_fn", "return a pair (per_example, d_outputs)", result))
    per_example, d_outputs = result
    if not isinstance(per_example, np.ndarray) or per_example.shape != (len(outputs),):
        constraint = f"return per-example losses of shape ({len(outputs)},), not yet averaged"
        raise ValueError(problem(function, "loss_fn", constraint, describe(per_example)))
    if not isinstance(d_outputs, np.ndarray) or d_outputs.shape != outputs.shape:
        constraint = f"return a gradient of shape {outputs.shape}, that of the outputs"
        raise ValueError(problem(function, "loss_fn", constraint, d_outputs))
    if d_outputs.dtype != outputs.dtype:
        raise TypeError(problem(function, "loss_fn", f"keep the dtype {outputs.dtype} of the outputs", d_outputs))
    return result


def _value_and_grads(
    function: str,
    net: Layer,
    loss_fn: LossFn,
    params: Params,
    x: ArrayLike,
    y: ArrayLike,
    weight: ArrayLike | None,
    penalty: Penalty | None,
    key: Key | None,
) -> tuple[float, Params]:
    with np.errstate(all="ignore"):
        held, inputs = _prepared(function, net, params, x)
        value, dy, pullback = _loss_pass(function, net, loss_fn, held, inputs, y, weight, key)
        layer_grads, _ = pullback(locked(dy))
        grads = _sealed_grads(function, "the network's grads", held, layer_grads)
        if penalty is None:
            return value, grads
        penalty_value, penalty_grads = _penalty(function, penalty, held)
        both = {
            name: grads[name] + penalty_grads[name] if name in grads and name in penalty_grads else array
            for name, array in {**penalty_grads, **grads}.items()
        }
        return value + penalty_value, _sealed_grads(function, "grads", held, both)


def _penalty(function: str, penalty: Penalty, params: Params) -> tuple[float, Params]:
    """Return a penalty's value, which must be finite, and its gradients, which must fit the params."""
    check_callable(function, "penalty", penalty, "params -> (value, grads)")
    result = penalty(params)
    if type(result) is not tuple or len(result) != 2:
        raise TypeError(problem(function, "penalty", "return a pair (value, grads)", result))
    value = float(result[0])
    if not math.isfinite(value):
        raise FloatingPointError(problem(function, "penalty", "be finite", value))
    return value, _sealed_grads(function, "the penalty's grads", params, result[1])


def _sealed_grads(function: str, argument: str, params: Params, grads: Params) -> Params:
    """Return gradients frozen, in the order of the params; each must fit the one of its name."""
    fitting: dict[str, Array] = {}
    for name, array in params.items():
        gradient = grads.get(name)
        if gradient is None:
            continue
        gradient = np.asarray(gradient)
        if gradient.shape != array.shape or gradient.dtype != array.dtype:
            constraint = f"be a {array.dtype} array of shape {array.shape}"
            kind = ValueError if gradient.shape != array.shape else TypeError
            raise kind(problem(function, f"{argument} of {name}", constraint, gradient))
        fitting[name] = owned(gradient)
    if len(fitting) != len(grads):
        raise ValueError(_unknown_name(function, argument, grads, params))
    return sealed(fitting)


def _unknown_name(function: str, argument: str, grads: Params, params: Params) -> str:
    unknown = ", ".join(name for name in grads if name not in params)
    return problem(function, argument, f"have names that are in params ({', '.join(params)})", unknown)
