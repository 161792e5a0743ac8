"""Losses: ``loss_fn(outputs, targets) -> (per_example, d_outputs)``.

`per_example` has shape (n,); ``d_outputs[i]`` is the derivative of
``per_example[i]`` with respect to ``outputs[i]``. Nothing is averaged over the
rows here: `loss` and `grads` take the (weighted) mean, in one place. A row
with k outputs counts the mean over them, so the batch loss of `mse` is the
mean over all n * k elements, as in PyTorch and Keras; it counts their sum,
value and gradient k times as large, with `sum_outputs`, an option of every
loss that takes the mean over outputs.

Outputs and targets must have equal shapes; nothing is broadcast. Class targets
are ints (n,), or one-hot or soft rows (n, k). Losses with several outputs for a
target take them side by side. A loss on logits refuses a network that ends in
softmax or sigmoid, and one on probabilities what are none. What both must look like
is in `targets`, and what is done where targets are missing in `masking`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import SupportsFloat

import numpy as np

from nnfunc.pieces.activations import log_softmax, relu, sigmoid, softmax, softplus
from nnfunc.pieces.targets import check_distributions, check_interval, class_targets, in_groups, same_shape
from nnfunc.values.arrays import as_real, number, ones, row_starts
from nnfunc.values.checks import as_flag, as_number, require
from nnfunc.values.types import AnyArray, Array, LossFn


@np.errstate(all="ignore")
def mse(outputs: Array, targets: AnyArray, *, sum_outputs: bool = False) -> tuple[Array, Array]:
    """Return the squared error e^2, e = outputs - targets, without a factor 1/2.

    Args:
        outputs, targets: of the same shape.
        sum_outputs: True for the sum over the k outputs of a row in place of their mean, in value and
            gradients: ``functools.partial(mse, sum_outputs=True)``.

    Shapes:
        outputs and targets (n,) or (n, k); per_example (n,), d_outputs as outputs.

    Gradients:
        2 e / k.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> per_example, d = mse(np.array([[0.9], [0.1]]), np.array([[1.0], [1.0]]))
        >>> per_example
        array([0.01, 0.81])
        >>> d
        array([[-0.2],
               [-1.8]])
    """
    e = _errors("mse", outputs, targets)
    width = _width("mse", e, sum_outputs)
    share = e if width == 1 else e / width  # first, as the sum of large squares could overflow
    return _row_sums(e * share), 2 * share


@np.errstate(all="ignore")
def mae(outputs: Array, targets: AnyArray, *, sum_outputs: bool = False) -> tuple[Array, Array]:
    """Return the absolute error |e|, e = outputs - targets; the slope at 0 is 0.

    Args:
        sum_outputs: as for `mse`.

    Shapes:
        outputs and targets (n,) or (n, k); per_example (n,), d_outputs as outputs.

    Gradients:
        sign(e) / k.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> mae(np.array([[0.5], [3.0]]), np.array([[1.0], [1.0]]))[0]
        array([0.5, 2. ])
    """
    e = _errors("mae", outputs, targets)
    return _by_row("mae", sum_outputs, np.abs(e), np.sign(e))


@np.errstate(all="ignore")
def huber(
    outputs: Array, targets: AnyArray, delta: SupportsFloat = 1.0, *, sum_outputs: bool = False
) -> tuple[Array, Array]:
    """Return e^2 / 2 where |e| <= delta and delta (|e| - delta / 2) beyond, e = outputs - targets.

    Args:
        outputs: as the network gives them.
        targets: of the same shape.
        delta: at least 0; ``functools.partial(huber, delta=2.0)`` sets another.
        sum_outputs: as for `mse`.

    Shapes:
        outputs and targets (n,) or (n, k); per_example (n,), d_outputs as outputs.

    Gradients:
        e clipped to [-delta, delta], over k.

    Raises:
        ValueError: the shapes differ, or `delta` is negative.

    Example:
        >>> huber(np.array([[0.2], [-1.5], [3.0]]), np.zeros((3, 1)))[0]
        array([0.02, 1.  , 2.5 ])

    Reference:
        Huber (1964); PyTorch's HuberLoss, optax's huber_loss.
    """
    limit = as_number("huber", "delta", delta, least=0)
    e = _errors("huber", outputs, targets)
    held = limit == 0 or limit > 1 or float(e.dtype.type(limit)) > 0
    require(held, "huber", "delta", f"be a number that {e.dtype}, the dtype of outputs, can hold", limit)
    size = np.abs(e)
    near = np.minimum(size, limit)
    return _by_row("huber", sum_outputs, near * (size - 0.5 * near), np.clip(e, -limit, limit))


@np.errstate(all="ignore")
def quantile_loss(
    outputs: Array, targets: AnyArray, levels: float | Sequence[float] | Array = (0.1, 0.5, 0.9), *,
    sum_outputs: bool = False,
) -> tuple[Array, Array]:
    """Return a e where e >= 0 and (a - 1) e below, e = targets - outputs, for each level a; the slope at 0 is 0.

    Its mean is least where a share a of the targets lies below the output. The levels that are set
    here ask for the median and for an interval around it that holds 80 % of the targets: of those that are trained on.
    Count on held-out rows how many it holds, on small tables 70 to 86 %; ``intervals`` of ``examples/tabular.py``
    moves the ends as far as rows need that were not trained on.

    Args:
        outputs: the k columns of targets once for each level, all columns of the first level first.
        targets: one column or several.
        levels: in (0, 1), one or several; ``functools.partial(quantile_loss, levels=(0.05, 0.95))`` sets others.
        sum_outputs: as for `mse`.

    Shapes:
        outputs (n, q k) for q levels, targets (n, k); per_example (n,), d_outputs as outputs.

    Gradients:
        -a where e > 0 and 1 - a where e < 0, over q k.

    Raises:
        ValueError: the shapes do not fit, or a level is outside (0, 1).

    Example:
        >>> per_example, d = quantile_loss(np.array([[1.0, 2.0], [1.0, 2.0]]), np.array([[4.0], [0.0]]), (0.5, 0.75))
        >>> per_example  # (1.5 + 1.5) / 2 and (0.5 + 0.5) / 2
        array([1.5, 0.5])
        >>> d
        array([[-0.25 , -0.375],
               [ 0.25 ,  0.125]])

    Reference:
        Koenker & Bassett (1978); scikit-learn's mean_pinball_loss.
    """
    shares: Array = as_real("quantile_loss", "levels", levels).astype(np.float64)
    inside = shares.ndim < 2 and shares.size and 0 < np.min(shares) and np.max(shares) < 1
    require(inside, "quantile_loss", "levels", "be a number in (0, 1) or several", value=levels)
    z, t = in_groups("quantile_loss", outputs, targets, shares.size, "levels", "the outputs of each level")
    shares = shares.reshape(-1, 1)
    below, above = -shares.astype(z.dtype), (1 - shares).astype(z.dtype)
    e = z - t[:, None]
    d = _over(_width("quantile_loss", z, sum_outputs), np.where(e > 0, above, np.where(e < 0, below, 0)))
    return _row_sums(d * e), d.reshape(outputs.shape)


@np.errstate(all="ignore")
def gaussian_nll(outputs: Array, targets: AnyArray, *, sum_outputs: bool = False) -> tuple[Array, Array]:
    """Return log(2 pi v) / 2 + e^2 / (2 v), e = targets - means, of variances v = softplus(s) + 1e-6.

    The outputs are the means and then, as many, the raw spreads s. With
    ``mean, s = np.hsplit(outputs, 2)`` the standard deviation is ``np.sqrt(softplus(s) + 1e-6)``.
    It is that of the rows that are trained on: count on held-out rows how many lie within an interval, on small tables
    70 to 86 % of those that should be 80 %. ``intervals`` of ``examples/tabular.py`` shows how the ends of any interval
    are moved as far as rows need that were not trained on.

    Args:
        sum_outputs: as for `mse`.

    Shapes:
        outputs (n, 2 k), targets (n, k); per_example (n,), d_outputs as outputs.

    Gradients:
        -e / (v k) for a mean, sigmoid(s) (1 - e^2 / v) / (2 v k) for a spread.

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> outputs = np.array([[3.0, np.log(np.expm1(4.0 - 1e-6))]])  # the mean 3 and the variance 4
        >>> per_example, d = gaussian_nll(outputs, np.array([[5.0]]))
        >>> per_example - np.log(2 * np.pi * 4) / 2, d.round(12) + 0.0
        (array([0.5]), array([[-0.5,  0. ]]))

    Reference:
        Nix & Weigend (1994); Lakshminarayanan, Pritzel & Blundell (2017), section 2.2.1.
    """
    z, t = in_groups("gaussian_nll", outputs, targets, 2, "of means and spreads", "the means, half the outputs")
    mean, s = z[:, 0], z[:, 1]
    v = softplus(s)
    v += number(1e-6, v.dtype)
    e = mean - t
    slope = e / v
    fit = e * slope
    d = np.stack([slope, sigmoid(s) * (1 - fit) / (2 * v)], axis=1)
    per_element = 0.5 * (math.log(2 * math.pi) + np.log(v) + fit)
    per_example, d_outputs = _by_row("gaussian_nll", sum_outputs, per_element, d)
    return per_example, d_outputs.reshape(outputs.shape)


@np.errstate(all="ignore")
def poisson_nll(outputs: Array, targets: AnyArray, *, sum_outputs: bool = False) -> tuple[Array, Array]:
    """Return exp(z) - y z for counts y, from outputs z that are the logarithms of rates.

    The term log(y!), which no output changes, is left out, as by PyTorch.

    Args:
        sum_outputs: as for `mse`.

    Shapes:
        outputs and targets (n,) or (n, k); per_example (n,), d_outputs as outputs.

    Gradients:
        (exp(z) - y) / k.

    Raises:
        ValueError: the shapes differ, or a target is negative or infinite.

    Example:
        >>> per_example, d = poisson_nll(np.log([[2.0], [2.0]]), np.array([[2], [5]]))
        >>> per_example.round(6), d.round(12)  # 2 - 2 log 2 and 2 - 5 log 2
        (array([ 0.613706, -1.465736]), array([[ 0.],
               [-3.]]))

    Reference:
        PyTorch's PoissonNLLLoss.
    """
    z, y = same_shape("poisson_nll", outputs, targets)
    check_interval("poisson_nll", "targets", y, "be finite and at least 0", float(np.finfo(y.dtype).max))
    rates = np.exp(z)
    return _by_row("poisson_nll", sum_outputs, rates - y * z, rates - y)


@np.errstate(all="ignore")
def softmax_cross_entropy(
    outputs: Array, targets: AnyArray, label_smoothing: SupportsFloat = 0.0
) -> tuple[Array, Array]:
    """Return -sum_j t_j log softmax(z)_j from logits z, as log(sum_j exp(z_j)) - z_t.

    Args:
        outputs: logits, one column per class.
        targets: classes as ints 0 to k - 1, or rows of probabilities.
        label_smoothing: in [0, 1); targets become (1 - a) t + a / k.

    Shapes:
        outputs (n, k); targets (n,) ints or (n, k); per_example (n,), d_outputs (n, k).

    Gradients:
        softmax(z) - t.

    Raises:
        TypeError: targets of shape (n,) are not integers.
        ValueError: the shapes do not fit, a class is out of range, rows of
            probabilities do not sum to 1, or the smoothing is outside [0, 1).

    Example:
        >>> z = np.array([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3]])
        >>> per_example, d = softmax_cross_entropy(z, np.array([0, 2]))
        >>> round(float(per_example.mean()), 12)
        0.831069476105

    Reference:
        Bridle (1990); label smoothing as Szegedy et al. (2016), section 7.
    """
    z, classes, soft = class_targets("softmax_cross_entropy", outputs, targets, label_smoothing)
    n, k = z.shape
    # Class by class, as a maximum along short rows takes five times as long.
    below = np.subtract(z, np.maximum.reduce(z.T.copy(), axis=0)[:, None], order="C")
    powers = np.exp(below)
    # One class of each row stands apart, its own or the likeliest: of a probability near 1, what is lacking to 1, and
    # its logarithm, come from the sum of the others, as 1 less that probability has no digits left.
    apart = row_starts(n, k) + (classes if soft is None else np.argmax(below, axis=1)).astype(np.intp, copy=False)
    flat = powers.reshape(-1)
    own = flat.take(apart)
    flat[apart] = number(0, z.dtype)
    others: Array = powers.dot(ones(k, z.dtype))
    total = own + others
    powers /= total[:, None]
    own -= ones(n, z.dtype)
    own += others
    log_total: Array = np.log1p(own, out=own)
    others /= total  # 1 less the probability of the class that stands apart
    if soft is None:
        flat[apart] = np.negative(others, out=others)
        log_total -= below.reshape(-1).take(apart)
        return log_total, powers
    mass = np.add.reduce(soft, axis=1)  # 1 to rounding; kept, so that the gradient is exact
    powers *= mass[:, None]
    powers -= soft
    flat[apart] = (mass - soft.reshape(-1).take(apart)) - mass * others
    terms = np.multiply(soft, below, where=soft != 0, out=np.zeros_like(below))
    return log_total * mass - np.add.reduce(terms, axis=1), powers


@np.errstate(all="ignore")
def cross_entropy(outputs: Array, targets: AnyArray, label_smoothing: SupportsFloat = 0.0) -> tuple[Array, Array]:
    """Return -sum_j t_j log(p_j) from probabilities p.

    In `loss` and `grads`, a network that ends in `softmax` is computed from its
    logits instead: as stable as `softmax_cross_entropy`, and the same bits.

    Args:
        outputs: probabilities, one column per class.
        targets: classes as ints 0 to k - 1, or rows of probabilities.
        label_smoothing: in [0, 1); targets become (1 - a) t + a / k.

    Shapes:
        outputs (n, k); targets (n,) ints or (n, k); per_example (n,), d_outputs (n, k).

    Gradients:
        -t / p.

    Raises:
        TypeError: targets of shape (n,) are not integers.
        ValueError: outputs are negative or do not sum to 1 in each row, or as
            in `softmax_cross_entropy`.

    Example:
        >>> cross_entropy(np.array([[0.25, 0.75]]), np.array([1]))[0]
        array([0.28768207])
    """
    name = "cross_entropy"
    p, classes, soft = class_targets(name, outputs, targets, label_smoothing)
    ways = "(for logits, use softmax_cross_entropy; for columns that are yes or no each, binary_cross_entropy)"
    check_distributions(name, "outputs", p, ways)
    if soft is None:
        soft = np.zeros_like(p)
        soft[np.arange(len(p)), classes] = 1
    return np.add.reduce(_if_any(soft, -soft * np.log(p)), axis=1), _if_any(soft, -soft / p)


@np.errstate(all="ignore")
def sigmoid_cross_entropy(
    outputs: Array, targets: AnyArray, pos_weight: SupportsFloat = 1.0, *, sum_outputs: bool = False
) -> tuple[Array, Array]:
    """Return -[t log sigmoid(z) + (1 - t) log(1 - sigmoid(z))] from logits z, as (1 - t) z + log(1 + exp(-z)).

    Args:
        outputs: logits; each column is a yes-or-no question of its own.
        targets: in [0, 1], of the same shape.
        pos_weight: at least 0; multiplies the first term, as in PyTorch.
        sum_outputs: as for `mse`.

    Shapes:
        outputs and targets (n,) or (n, k); per_example (n,), d_outputs as outputs.

    Gradients:
        (sigmoid(z) - t) / k.

    Raises:
        ValueError: the shapes differ, a target is outside [0, 1], or
            `pos_weight` is negative.

    Example:
        >>> z = np.array([[0.3], [-2.0], [4.0]])
        >>> per_example, d = sigmoid_cross_entropy(z, np.array([[1.0], [0.0], [1.0]]))
        >>> round(float(per_example.mean()), 12)
        0.233144394476
    """
    z, t = same_shape("sigmoid_cross_entropy", outputs, targets)
    check_interval("sigmoid_cross_entropy", "targets", t, "lie in [0, 1]")
    weight = as_number("sigmoid_cross_entropy", "pos_weight", pos_weight, least=0)
    # On the side of yes, 1 - t is paid for each unit of z, on that of no, t: nothing is a difference of large numbers.
    sign = np.copysign(number(1, z.dtype), z)
    d = np.maximum(sign, number(0, z.dtype))
    d -= t
    q = np.exp(np.copysign(z, number(-1, z.dtype)))
    tail = np.log1p(q)
    q /= q + number(1, z.dtype)  # sigmoid(-|z|)
    if weight != 1:
        scale = 1 + (weight - 1) * t  # of both terms together
        d = np.where(sign < 0, weight * d, d)
        tail *= scale
        q *= scale
    per_element = z * d
    per_element += tail
    q *= sign
    d -= q
    return _by_row("sigmoid_cross_entropy", sum_outputs, per_element, d)


@np.errstate(all="ignore")
def binary_cross_entropy(
    outputs: Array, targets: AnyArray, pos_weight: SupportsFloat = 1.0, *, sum_outputs: bool = False
) -> tuple[Array, Array]:
    """Return -[t log(p) + (1 - t) log(1 - p)] from probabilities p.

    In `loss` and `grads`, a network that ends in `sigmoid` is computed from its
    logits instead: as stable as `sigmoid_cross_entropy`, and the same bits.

    Args:
        outputs: probabilities.
        targets: in [0, 1], of the same shape.
        pos_weight: at least 0; multiplies the first term, as in PyTorch.
        sum_outputs: as for `mse`.

    Shapes:
        outputs and targets (n,) or (n, k); per_example (n,), d_outputs as outputs.

    Gradients:
        [(1 - t) / (1 - p) - t / p] / k.

    Raises:
        ValueError: the shapes differ, an output or target is outside [0, 1],
            or `pos_weight` is negative.

    Example:
        >>> per_example, d = binary_cross_entropy(np.array([[0.9], [0.1]]), np.array([[1.0], [1.0]]))
        >>> per_example.round(3)
        array([0.105, 2.303])
    """
    name = "binary_cross_entropy"
    p, t = same_shape(name, outputs, targets)
    check_interval(name, "targets", t, "lie in [0, 1]")
    check_interval(name, "outputs", p, "be probabilities in [0, 1] (for logits, use sigmoid_cross_entropy)")
    yes, no = t * as_number(name, "pos_weight", pos_weight, least=0), 1 - t
    per_element = _if_any(yes, -yes * np.log(p)) + _if_any(no, -no * np.log1p(-p))
    return _by_row(name, sum_outputs, per_element, _if_any(yes, -yes / p) - _if_any(no, -no / (1 - p)))


def _errors(function: str, outputs: Array, targets: AnyArray) -> Array:
    """Return outputs - targets."""
    outputs, targets = same_shape(function, outputs, targets)
    e: Array = outputs - targets
    return e


def _width(function: str, outputs: Array, sum_outputs: bool) -> int:
    """Return by what the outputs of a row are divided: their number, as the mean over them wants, or 1 for the sum."""
    if sum_outputs is not False and as_flag(function, "sum_outputs", sum_outputs):
        return 1
    return outputs.size // len(outputs)


def _over(width: int, a: Array) -> Array:
    """Divide, in the memory of `a`, before anything is added up."""
    if width != 1:
        a /= width
    return a


def _by_row(function: str, sum_outputs: bool, per_element: Array, d: Array) -> tuple[Array, Array]:
    """Return the mean over the outputs of each row, or their sum, and the gradient of that, in the memory of both."""
    width = _width(function, per_element, sum_outputs)
    return _row_sums(_over(width, per_element)), _over(width, d)


def _row_sums(a: Array) -> Array:
    """Return the sum over the outputs of each row."""
    if a.size == len(a):
        return a.reshape(len(a))
    sums: Array = np.add.reduce(a.reshape(len(a), -1), axis=1)
    return sums


def _if_any(t: Array, terms: Array) -> Array:
    """Return the terms of targets, which are 0 where a target is 0."""
    counted: Array = np.where(t == 0, 0, terms)
    return counted


# Where a network's last activation does not belong to the loss: what the network must do, and the ways out.
_INSIST = "a function of your own around the loss takes it as it is"
_TWICE = "end in logits (leave the last activation out, or use {}; " + _INSIST + ")"
_COLUMNS = "end in {} (use {}; " + _INSIST + ")"
_BARE = "end in {} (leave the last activation out; " + _INSIST + ")"
_POSITIVE = (relu, softplus, sigmoid, softmax, log_softmax)
OWN_LOSSES: dict[object, Mapping[object, LossFn | str]] = {
    mse: {}, mae: {}, huber: {}, quantile_loss: {},
    gaussian_nll: {f: _BARE.format("means and raw spreads") for f in _POSITIVE},
    poisson_nll: {f: _BARE.format("logarithms of rates") for f in _POSITIVE},
    softmax_cross_entropy: {
        softmax: _TWICE.format("cross_entropy"), sigmoid: _TWICE.format("binary_cross_entropy"),
    },
    cross_entropy: {
        softmax: softmax_cross_entropy,
        sigmoid: _COLUMNS.format("softmax", "that, or binary_cross_entropy where each column is yes or no"),
        log_softmax: _COLUMNS.format("softmax", "that, or softmax_cross_entropy"),
    },
    sigmoid_cross_entropy: {
        softmax: _TWICE.format("cross_entropy"), log_softmax: _TWICE.format("softmax_cross_entropy"),
        sigmoid: _TWICE.format("binary_cross_entropy"),
    },
    binary_cross_entropy: {
        sigmoid: sigmoid_cross_entropy,
        softmax: _COLUMNS.format("sigmoid", "that, or cross_entropy where one class of each row is right"),
        log_softmax: _COLUMNS.format("sigmoid", "that, or softmax_cross_entropy where one class of each row is right"),
    },
}
"""The losses of the library, and what they say of the activation that a network ends in: where it makes the
probabilities that the loss takes, the loss on its logits; where it does not belong there, what must be instead."""
