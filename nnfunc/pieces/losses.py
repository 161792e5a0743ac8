"""Losses: ``loss_fn(outputs, targets) -> (per_example, d_outputs)``.

`per_example` has shape (n,); ``d_outputs[i]`` is the derivative of
``per_example[i]`` with respect to ``outputs[i]``. Nothing is averaged over the
rows here: `loss` and `grads` take the (weighted) mean, in one place. A row
with k outputs counts the mean over them, so the batch loss of `mse` is the
mean over all n * k elements, as in PyTorch and Keras.

Outputs and targets must have equal shapes; nothing is broadcast. Class targets
are ints (n,), or one-hot or soft rows (n, k).
"""

from typing import SupportsFloat

import numpy as np

from nnfunc.pieces.activations import sigmoid, softmax
from nnfunc.values.arrays import as_floats, as_real, number, ones, row_starts
from nnfunc.values.checks import as_number, as_share, problem, require
from nnfunc.values.types import AnyArray, Array, ElementwiseFn, LossFn


@np.errstate(all="ignore")
def mse(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    """Return the squared error e^2, e = outputs - targets, without a factor 1/2.

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
    return _row_means(e * e), _over_width(2 * e)


@np.errstate(all="ignore")
def mae(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    """Return the absolute error |e|, e = outputs - targets; the slope at 0 is 0.

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
    return _row_means(np.abs(e)), _over_width(np.sign(e))


@np.errstate(all="ignore")
def huber(outputs: Array, targets: AnyArray, delta: SupportsFloat = 1.0) -> tuple[Array, Array]:
    """Return e^2 / 2 where |e| <= delta and delta (|e| - delta / 2) beyond, e = outputs - targets.

    Args:
        outputs: as the network gives them.
        targets: of the same shape.
        delta: at least 0; ``functools.partial(huber, delta=2.0)`` sets another.

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
    size = np.abs(e)
    near = np.minimum(size, limit)
    return _row_means(near * (size - 0.5 * near)), _over_width(np.clip(e, -limit, limit))


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
    z, classes, soft = _class_targets("softmax_cross_entropy", outputs, targets, label_smoothing)
    n, k = z.shape
    # Class by class, as a maximum along short rows takes five times as long.
    below = np.subtract(z, np.maximum.reduce(z.T.copy(), axis=0)[:, None], order="C")
    powers = np.exp(below)
    total: Array = powers.dot(ones(k, z.dtype))
    powers /= total[:, None]
    log_total = np.log(total)
    if soft is None:
        own = row_starts(n, k) + classes.astype(np.intp, copy=False)  # the flat index of each row's class
        flat = powers.reshape(-1)
        flat[own] -= ones(n, z.dtype)
        return log_total - below.reshape(-1).take(own), powers
    mass = np.add.reduce(soft, axis=1)  # 1 to rounding; kept, so that the gradient is exact
    powers *= mass[:, None]
    powers -= soft
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
        ValueError: outputs are outside [0, 1], or as in `softmax_cross_entropy`.

    Example:
        >>> cross_entropy(np.array([[0.25, 0.75]]), np.array([1]))[0]
        array([0.28768207])
    """
    name = "cross_entropy"
    p, classes, soft = _class_targets(name, outputs, targets, label_smoothing)
    _check_unit_interval(name, "outputs", p, "be probabilities in [0, 1] (for logits, use softmax_cross_entropy)")
    if soft is None:
        soft = np.zeros_like(p)
        soft[np.arange(len(p)), classes] = 1
    return np.add.reduce(_minus_t_log_p(soft, p), axis=1), _minus_t_over_p(soft, p)


@np.errstate(all="ignore")
def sigmoid_cross_entropy(outputs: Array, targets: AnyArray, pos_weight: SupportsFloat = 1.0) -> tuple[Array, Array]:
    """Return -[t log sigmoid(z) + (1 - t) log(1 - sigmoid(z))] from logits z, without computing sigmoid.

    Args:
        outputs: logits; each column is a yes-or-no question of its own.
        targets: in [0, 1], of the same shape.
        pos_weight: at least 0; multiplies the first term, as in PyTorch.

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
    z, t = _binary_targets("sigmoid_cross_entropy", outputs, targets)
    weight = as_number("sigmoid_cross_entropy", "pos_weight", pos_weight, least=0)
    positive = np.maximum(z, number(0, z.dtype))
    powers = np.exp(np.copysign(z, number(-1, z.dtype)))  # exp(-|z|)
    tail = np.log1p(powers)  # -log sigmoid(z) is max(-z, 0) + tail
    powers += number(1, z.dtype)
    p: Array = np.exp(z - positive)
    p /= powers
    if weight == 1:
        positive -= z * t
        positive += tail
        p -= t
        return _row_means(positive), _over_width(p)
    yes, no = weight * t, 1 - t
    per_element = yes * (positive - z + tail) + no * (positive + tail)
    return _row_means(per_element), _over_width((yes + no) * p - yes)


@np.errstate(all="ignore")
def binary_cross_entropy(outputs: Array, targets: AnyArray, pos_weight: SupportsFloat = 1.0) -> tuple[Array, Array]:
    """Return -[t log(p) + (1 - t) log(1 - p)] from probabilities p.

    In `loss` and `grads`, a network that ends in `sigmoid` is computed from its
    logits instead: as stable as `sigmoid_cross_entropy`, and the same bits.

    Args:
        outputs: probabilities.
        targets: in [0, 1], of the same shape.
        pos_weight: at least 0; multiplies the first term, as in PyTorch.

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
    p, t = _binary_targets(name, outputs, targets)
    _check_unit_interval(name, "outputs", p, "be probabilities in [0, 1] (for logits, use sigmoid_cross_entropy)")
    yes, no = t * as_number(name, "pos_weight", pos_weight, least=0), 1 - t
    per_element = _minus_t_log_p(yes, p) + _minus_t_log_p(no, 1 - p)
    return _row_means(per_element), _over_width(_minus_t_over_p(yes, p) - _minus_t_over_p(no, 1 - p))


def _errors(function: str, outputs: Array, targets: AnyArray) -> Array:
    """Return outputs - targets."""
    outputs, targets = _same_shape(function, outputs, targets)
    e: Array = outputs - targets
    return e


def _row_means(a: Array) -> Array:
    """Return the mean over the outputs of each row."""
    if a.size == len(a):
        return a.reshape(len(a))
    return _over_width(np.add.reduce(a.reshape(len(a), -1), axis=1), a.size)


def _over_width(a: Array, size: int | None = None) -> Array:
    """Divide by the number of outputs in a row, as the mean over them wants."""
    width = (a.size if size is None else size) // len(a)
    return a if width == 1 else a / width


def _minus_t_log_p(t: Array, p: Array) -> Array:
    """Return -t log(p), which is 0 where t is 0."""
    terms: Array = np.where(t == 0, 0, -t * np.log(p))
    return terms


def _minus_t_over_p(t: Array, p: Array) -> Array:
    """Return -t / p, which is 0 where t is 0."""
    terms: Array = np.where(t == 0, 0, -t / p)
    return terms


def _same_shape(function: str, outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    """Return both as float arrays of one dtype, if their shapes are equal."""
    outputs, targets = _as_arrays(function, outputs, targets)
    if targets.shape != outputs.shape:
        constraint = f"have the shape {outputs.shape} of the outputs"
        raise ValueError(problem(function, "targets", constraint, targets.shape))
    return outputs, targets if targets.dtype == outputs.dtype else targets.astype(outputs.dtype)


def _as_arrays(function: str, outputs: Array, targets: AnyArray) -> tuple[Array, AnyArray]:
    """Return outputs as floats, with at least one row and one column, and targets as numbers."""
    if type(outputs) is not np.ndarray or outputs.dtype.kind != "f" or not outputs.ndim or not outputs.size:
        outputs = as_floats(function, "outputs", outputs)
        require(outputs.ndim and outputs.size, function, "outputs", "hold at least one row and one column", outputs)
    if type(targets) is not np.ndarray or targets.dtype.kind not in "fiub":
        targets = as_real(function, "targets", targets)
    return outputs, targets


def _class_targets(
    function: str, outputs: Array, targets: AnyArray, label_smoothing: SupportsFloat
) -> tuple[Array, AnyArray, Array | None]:
    """Return the outputs, the targets as given and, unless they are plain ints, as probabilities.

    Example:
        >>> _class_targets("cross_entropy", np.zeros((1, 2)), np.array([1]), 0.5)[2]
        array([[0.25, 0.75]])
    """
    outputs, targets = _as_arrays(function, outputs, targets)
    if outputs.ndim != 2:
        raise ValueError(problem(function, "outputs", "have shape (n, k), one column per class", outputs.shape))
    n, k = outputs.shape
    smoothing = as_share(function, "label_smoothing", label_smoothing)
    soft: Array
    if targets.ndim == 1:
        check_classes(function, "targets", targets, k, n)
        if not smoothing:
            return outputs, targets, None
        soft = (targets[:, None] == np.arange(k)).astype(outputs.dtype)
    elif targets.shape == outputs.shape:
        soft = targets.astype(outputs.dtype, copy=False)
        sums = np.add.reduce(soft, axis=1)
        wrong = np.flatnonzero((np.minimum.reduce(soft, axis=1) < 0) | (np.abs(sums - 1) > 1e-3))
        if wrong.size:
            row = f"{soft[wrong[0]].tolist()} at row {wrong[0]}"
            raise ValueError(problem(function, "targets", "be probabilities that sum to 1 in each row", row))
    else:
        constraint = f"have shape ({n},) as class numbers or {(n, k)} as probabilities"
        raise ValueError(problem(function, "targets", constraint, targets.shape))
    if smoothing:
        soft = (1 - smoothing) * soft + smoothing / k
    return outputs, targets, soft


def check_classes(function: str, argument: str, labels: AnyArray, k: int | None, n: int) -> None:
    """Raise unless `labels` are n integers from 0 to k - 1, or from 0 on if k is none.

    Example:
        >>> check_classes("accuracy", "y", np.array([0, 3]), 3, 2)
        Traceback (most recent call last):
        ...
        ValueError: accuracy: y must be classes from 0 to 2, got 3 at row 1
    """
    if labels.shape != (n,):
        raise ValueError(problem(function, argument, f"have shape ({n},), one class per row", labels.shape))
    if labels.dtype.kind not in "iu":
        constraint = f"be integers, as class numbers are (convert with {argument}.astype(int))"
        raise TypeError(problem(function, argument, constraint, labels))
    low, high = _ends(labels)
    if low < 0 or (k is not None and high >= k):
        row = int(np.flatnonzero((labels < 0) if k is None else (labels < 0) | (labels >= k))[0])
        constraint = "be classes from 0 on" if k is None else f"be classes from 0 to {k - 1}"
        raise ValueError(problem(function, argument, constraint, f"{labels[row]} at row {row}"))


def _ends(a: AnyArray) -> tuple[float, float]:
    """Return the least and the greatest value."""
    if a.size <= 64:  # of few numbers, Python is faster than a call of NumPy
        values = a.tolist() if a.ndim == 1 else a.ravel().tolist()
        return min(values), max(values)
    return np.minimum.reduce(a, axis=None), np.maximum.reduce(a, axis=None)


def _binary_targets(function: str, outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    """Return outputs and targets of equal shape, the targets in [0, 1]."""
    outputs, targets = _same_shape(function, outputs, targets)
    _check_unit_interval(function, "targets", targets, "lie in [0, 1]")
    return outputs, targets


def _check_unit_interval(function: str, argument: str, a: Array, constraint: str) -> None:
    """Raise ValueError if an element lies outside [0, 1], but for rounding."""
    low, high = _ends(a)
    if low >= 0 and high <= 1:
        return
    # A NaN is no error here: it makes the loss NaN, and `loss` says where it came from.
    outside = a[(a < 0) | (a > 1 + 1e-6)]
    if outside.size:
        raise ValueError(problem(function, argument, constraint, str(outside[0])))


OWN_LOSSES: dict[object, tuple[()] | tuple[ElementwiseFn, LossFn]] = {
    mse: (), mae: (), huber: (), softmax_cross_entropy: (), cross_entropy: (softmax, softmax_cross_entropy),
    sigmoid_cross_entropy: (), binary_cross_entropy: (sigmoid, sigmoid_cross_entropy),
}
"""The losses of the library; of those on probabilities, the activation that makes them and the loss on its logits."""
