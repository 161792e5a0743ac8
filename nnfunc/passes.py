"""What the verbs share: one checked run of a network, one mean over the batch, one fit of gradients to params."""

import math
from typing import SupportsFloat

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.blame import explain
from nnfunc.calibration import check_needs_no_key
from nnfunc.checks import FLOAT64, as_inputs, as_real, as_targets, check_callable, describe, locked, owned, problem
from nnfunc.fixed import keep_freed_memory
from nnfunc.fusion import on_logits
from nnfunc.keys import key_path
from nnfunc.params import checked_params, sealed
from nnfunc.pieces import check_pair, checked_grads, checked_output, losses_of, missing_param
from nnfunc.stacks import mean_of, stack_value_and_grads
from nnfunc.types import Array, Key, Layer, LossFn, Params, Penalty, Pullback


def prepared(function: str, net: Layer, params: Params, x: ArrayLike) -> tuple[Params, Array]:
    """Return params and inputs checked, locked and of one dtype.

    Example:
        >>> from nnfunc import dense
        >>> params, x = prepared("forward", dense(1, 1), {"W": np.eye(1), "b": np.zeros(1)}, [[2]])
        >>> x, x.flags.writeable
        (array([[2.]]), False)
    """
    check_pair(function, "net", net)
    params, dtype = checked_params(function, params)
    if not params and isinstance(x, np.ndarray) and x.dtype == FLOAT64:
        dtype = FLOAT64  # without params the inputs decide
    return params, as_inputs(function, "x", x, dtype)


def run(function: str, net: Layer, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Return a network's outputs and pullback, from arguments that are `prepared`.

    Example:
        >>> from nnfunc import dense
        >>> y, pullback = run("forward", dense(1, 1), {"W": np.eye(1), "b": np.ones(1)}, np.eye(1), None)
        >>> y
        array([[2.]])
    """
    if key is not None:
        key_path(function, key)
    try:
        return checked_output(net[1](params, x, key), x.dtype)
    except KeyError as error:
        raise ValueError(missing_param(function, error, params)) from error


def loss_pass(
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

    Example:
        >>> from nnfunc import dense, mse
        >>> params, x = {"W": np.eye(1), "b": np.zeros(1)}, np.array([[1.0], [3.0]])
        >>> value, dy, pullback = loss_pass("loss", dense(1, 1), mse, params, x, [[0.0], [0.0]], None, None)
        >>> value, dy.ravel()
        (5.0, array([1., 3.]))
    """
    check_callable(function, "loss_fn", loss_fn, "(outputs, targets) -> (per_example, d_outputs)")
    net, loss_fn = on_logits(net, loss_fn)
    targets = as_targets(function, "y", y, x.dtype)
    if targets.ndim == 0 or len(targets) != len(x):
        raise ValueError(problem(function, "y", f"have one target for each of the {len(x)} rows of x", targets))
    shares = None
    if weight is not None:
        shares = row_shares(function, weight, len(x))
        if not shares.all():  # a row of weight 0 is a row that is not there
            kept = shares > 0
            try:
                return loss_pass(function, net, loss_fn, params, locked(x[kept]), targets[kept], shares[kept], key)
            except (ValueError, FloatingPointError) as error:
                kind = ValueError if isinstance(error, ValueError) else FloatingPointError
                raise kind(f"{error} (rows of weight 0 not counted)") from error
    outputs, pullback = run(function, net, params, x, key)
    per_example, d_outputs = losses_of(function, loss_fn, locked(outputs), targets)
    dy: Array
    if shares is None:
        value = mean_of(per_example)
        dy = d_outputs / len(x)
    else:
        value = float(shares.dot(per_example))
        dy = d_outputs * shares.astype(x.dtype).reshape(-1, *[1] * (d_outputs.ndim - 1))
    if not math.isfinite(value):
        raise FloatingPointError(explain(function, net, loss_fn, params, x, targets, key))
    return value, dy, pullback


def row_shares(function: str, weight: ArrayLike, n: int) -> Array:
    """Return each row's share in the mean, in float64: weights over their sum.

    Example:
        >>> row_shares("loss", [3, 1], 2)
        array([0.75, 0.25])
    """
    weights = row_weights(function, weight, n)
    weights /= weights.max()  # first, as the sum of large weights could overflow
    weights /= weights.sum()
    return weights


def row_weights(function: str, weight: ArrayLike, n: int) -> Array:
    """Return row weights as a new float64 array, if there is a sound one for each of n rows.

    Example:
        >>> row_weights("train", [3, 0], 2)
        array([3., 0.])
    """
    weights = as_real(function, "weight", weight).astype(np.float64)
    if weights.shape != (n,):
        raise ValueError(problem(function, "weight", f"have shape ({n},), one weight per row", weights.shape))
    least, most = float(weights.min()), float(weights.max())
    if not (least >= 0 and 0 < most < math.inf):
        got = f"weights from {least:g} to {most:g}"
        raise ValueError(problem(function, "weight", "be finite, at least 0 and not all 0", got))
    return weights


@np.errstate(all="ignore")
def value_and_grads_pass(
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
    """Return the loss and its gradients, for the verb called `function`.

    Example:
        >>> from nnfunc import dense, mse
        >>> params = {"W": np.eye(1), "b": np.zeros(1)}
        >>> value_and_grads_pass("grads", dense(1, 1), mse, params, [[1.0]], [[0.0]], None, None, None)[0]
        1.0
    """
    keep_freed_memory()
    found = stack_value_and_grads(function, net, loss_fn, params, x, y, key) if weight is None else None
    if found is None:
        found = _layer_by_layer(function, net, loss_fn, params, x, y, weight, key)
    if penalty is None:
        return found
    (value, grads), (held, _) = found, checked_params(function, params)
    penalty_value, penalty_grads = penalty_pass(function, penalty, held)
    both: dict[str, Array] = {}
    for name in held:
        parts = [g[name] for g in (grads, penalty_grads) if name in g]
        if parts:
            both[name] = parts[0] if len(parts) == 1 else np.asarray(parts[0] + parts[1])
    return value + penalty_value, sealed(both)


def _layer_by_layer(
    function: str,
    net: Layer,
    loss_fn: LossFn,
    params: Params,
    x: ArrayLike,
    y: ArrayLike,
    weight: ArrayLike | None,
    key: Key | None,
) -> tuple[float, Params]:
    check_pair(function, "net", net)
    if key is None:
        check_needs_no_key(function, net)
    held, inputs = prepared(function, net, params, x)
    value, dy, pullback = loss_pass(function, net, loss_fn, held, inputs, y, weight, key)
    layer_grads, _ = checked_grads(pullback(locked(dy)))
    return value, sealed_grads(function, "the network's grads", held, layer_grads)


def penalty_pass(function: str, penalty: Penalty, params: Params) -> tuple[float, Params]:
    """Return a penalty's value, which must be finite, and its gradients, which must fit the params.

    Example:
        >>> penalty_pass("loss", lambda params: (1.0, {}), {})[0]
        1.0
    """
    value, grads = checked_penalty(function, penalty, params)
    if not math.isfinite(value):
        raise FloatingPointError(problem(function, "penalty", "be finite", value))
    return value, grads


def checked_penalty(function: str, penalty: Penalty, params: Params) -> tuple[float, Params]:
    """Return a penalty's value, finite or not, and its gradients, which must fit the params.

    Example:
        >>> checked_penalty("diagnose", lambda params: (float("inf"), {}), {})[0]
        inf
    """
    check_callable(function, "penalty", penalty, "params -> (value, grads)")
    result = penalty(params)
    is_pair = type(result) is tuple and len(result) == 2
    if not (is_pair and isinstance(result[0], SupportsFloat) and hasattr(result[1], "items")):
        raise TypeError(problem(function, "penalty", "return a pair (value, grads by name)", describe(result)))
    return float(result[0]), sealed_grads(function, "the penalty's grads", params, result[1])


def sealed_grads(function: str, argument: str, params: Params, grads: Params) -> Params:
    """Return gradients frozen, in the order of the params; each must fit the one of its name.

    Example:
        >>> list(sealed_grads("grads", "grads", {"W": np.ones(2), "b": np.ones(1)}, {"b": np.zeros(1)}))
        ['b']
    """
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
        raise ValueError(unknown_name(function, argument, grads, params))
    return sealed(fitting)


def unknown_name(function: str, argument: str, grads: Params, params: Params) -> str:
    """Write the message for gradients under names that are not in params.

    Example:
        >>> unknown_name("sgd_step", "grads", {"V": np.ones(1)}, {"W": np.ones(1)})
        'sgd_step: grads must have names that are in params (W), got V'
    """
    unknown = ", ".join(name for name in grads if name not in params)
    return problem(function, argument, f"have names that are in params ({', '.join(params)})", unknown)
