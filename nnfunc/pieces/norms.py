"""Normalisation: layer norm over the columns of each row, batch norm over the rows of each column.

Both compute xhat = (x - mean) / sqrt(var + eps) and y = gamma * xhat + beta.
The variance is the mean of the squared differences from the mean (two passes),
never E[x^2] - E[x]^2, which loses all its digits when the mean is large.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import SupportsFloat, SupportsIndex

import numpy as np

from nnfunc.pieces.layers import check_columns, check_fields, column_sums
from nnfunc.values.arrays import number, ones
from nnfunc.values.checks import above_zero, as_size, check_held, describe, problem, require
from nnfunc.values.types import Array, DType, InputGradient, Key, Layer, Params, Pullback

_NormForward = Callable[[int, float, Params, Array, Key | None], tuple[Array, Pullback]]

STATISTICS = ("mean", "var")
"""What `calibrate` puts beside a batch norm's gamma and beta: no parameters, as no gradient moves them."""

UNCALIBRATED = "be in params for inference (calibrate(net, params, x) puts it there after training; a training pass takes a key)"


def layer_norm(n: SupportsIndex, eps: SupportsFloat = 1e-5) -> Layer:
    """Return the layer that gives each row mean 0 and variance 1, then gamma * xhat + beta.

    Rows do not touch each other, so training and inference are the same.

    Args:
        n: columns of `x`, at least 1.
        eps: added to the variance, above 0.

    Shapes:
        x and y (rows, n), gamma and beta (n,).

    Gradients:
        With g = gamma * dy: dx = (g - mean(g) - xhat * mean(g * xhat)) / sqrt(var + eps),
        means over the columns.

    Raises:
        TypeError, ValueError: `n` or `eps` is out of range; in use, a shape that does not fit.

    Example:
        >>> init, forward = layer_norm(2)
        >>> y, _ = forward(init(0, np.dtype(np.float64)), np.array([[1.0, 3.0], [10.0, 10.0]]), None)
        >>> y.round(3)
        array([[-1.,  1.],
               [ 0.,  0.]])

    Reference:
        Ba, Kiros & Hinton (2016); eps as in PyTorch.
    """
    return _norm("layer_norm", layer_norm_forward, n, eps)


def batch_norm(n: SupportsIndex, eps: SupportsFloat = 1e-5) -> Layer:
    """Return the layer that gives each column mean 0 and variance 1, then gamma * xhat + beta.

    With a key, mean and variance are those of the batch. Without one they are
    ``mean`` and ``var`` in the params, where ``calibrate(net, params, x)`` puts
    them; there is no running average. A step changes what they are statistics
    of, so `sgd_step` and the optimisers return params without them, and
    `calibrate` follows training. An update of your own that copies what has no
    gradient keeps them, and so does editing or averaging params: calibrate
    after it. They are told by these four names side by side, which a layer of
    your own therefore leaves alone. With row weights the batch counts all rows of weight above 0 alike.

    Args:
        n: columns of `x`, at least 1.
        eps: added to the variance, above 0.

    Shapes:
        x and y (rows, n); gamma, beta and, once calibrated, mean and var (n,).

    Gradients:
        With g = gamma * dy: dx = (g - mean(g) - xhat * mean(g * xhat)) / sqrt(var + eps),
        means over the rows; without a key, dx = g / sqrt(var + eps).

    Raises:
        TypeError, ValueError: `n` or `eps` is out of range; in use, a shape
            that does not fit, a training batch of one row, or inference before
            `calibrate`.

    Example:
        >>> init, forward = batch_norm(2)
        >>> y, _ = forward(init(0, np.dtype(np.float64)), np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 60.0]]), 0)
        >>> y[0].round(4)
        array([-1.069 , -0.9258])

    Reference:
        Ioffe & Szegedy (2015), with the population statistics of Wu & Johnson
        (2021), "Rethinking 'Batch' in BatchNorm", section 3, in place of a running average.
    """
    return _norm("batch_norm", batch_norm_forward, n, eps)


def fields(n: int, statistics: tuple[str, ...] = ()) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of a norm's params.

    Example:
        >>> fields(2)
        {'gamma': (2,), 'beta': (2,)}
    """
    return dict.fromkeys(("gamma", "beta", *statistics), (n,))


def without_statistics(params: Params, grads: Params) -> Params:
    """Return params without the statistics of batch norms, which a step along these gradients makes stale.

    They are told by their names: ``mean`` and ``var`` beside a ``gamma`` and a
    ``beta``, that have no gradient.

    Example:
        >>> ones = np.ones(1)
        >>> params = {"n/gamma": ones, "n/beta": ones, "n/mean": ones, "n/var": ones, "mean": ones}
        >>> list(without_statistics(params, {"n/gamma": ones, "n/beta": ones}))
        ['n/gamma', 'n/beta', 'mean']
    """
    found = statistics_among(tuple(params))
    return {name: a for name, a in params.items() if name not in found or name in grads} if found and grads else params


@lru_cache(maxsize=64)
def statistics_among(names: tuple[str, ...]) -> frozenset[str]:
    """Return those names of params that are of a batch norm's statistics.

    Example:
        >>> sorted(statistics_among(("gamma", "beta", "mean", "var")))
        ['mean', 'var']
    """
    known = frozenset(names)
    paths = [name.removesuffix("gamma") for name in names if statistics_beside(name)]
    whole = [path for path in paths if known.issuperset(path + name for name in fields(1, STATISTICS))]
    return frozenset(path + name for path in whole for name in STATISTICS)


def statistics_beside(name: str) -> tuple[str, ...]:
    """Return the names of the statistics beside a parameter that is, by its name, a norm's gamma, and none beside any other.

    Example:
        >>> statistics_beside("n/gamma"), statistics_beside("n/W")
        (('n/mean', 'n/var'), ())
    """
    path, slash, last = name.rpartition("/")
    return tuple(path + slash + each for each in STATISTICS) if last == "gamma" else ()


def _norm(function: str, forward: _NormForward, n: SupportsIndex, eps: SupportsFloat) -> Layer:
    """Return the layer with this forward, if size and eps are in range."""
    columns, small = as_size(function, "n", n), above_zero(function, "eps", eps)
    return partial(_norm_init, function, columns, small), partial(forward, columns, small)


def _norm_init(function: str, n: int, eps: float, key: Key, dtype: DType) -> dict[str, Array]:
    """Start as the plain normalisation, without scale and shift, if `eps` is above 0 in the params' dtype."""
    check_held(function, "eps", eps, dtype)
    return {"gamma": np.ones(n, dtype), "beta": np.zeros(n, dtype)}


def layer_norm_forward(n: int, eps: float, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Compute y over the columns of each row and the way back; see `layer_norm`.

    Example:
        >>> params = {"gamma": np.ones(2), "beta": np.ones(2)}
        >>> layer_norm_forward(2, 1e-5, params, np.array([[1.0, 3.0]]), None)[0].round(3)
        array([[0., 2.]])
    """
    check_columns("layer_norm", n, x)
    check_fields("layer_norm", fields(n), params)
    return _normalised(x, params["gamma"], params["beta"], eps, axis=1)


def batch_norm_forward(n: int, eps: float, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Compute y over the rows of each column and the way back; see `batch_norm`.

    Example:
        >>> params = {"gamma": np.ones(1), "beta": np.zeros(1), "mean": np.ones(1), "var": np.full(1, 4.0)}
        >>> batch_norm_forward(1, 1e-9, params, np.array([[5.0]]), None)[0].round(6)
        array([[2.]])
    """
    check_columns("batch_norm", n, x)
    check_fields("batch_norm", fields(n, STATISTICS), params, optional=STATISTICS)
    gamma, beta = params["gamma"], params["beta"]
    if key is not None:
        constraint = "hold at least two rows in a training pass, whose statistics are the batch's"
        require(len(x) > 1, "batch_norm", "x", constraint, "one row")
        return _normalised(x, gamma, beta, eps, axis=0)
    for name in STATISTICS:
        if name not in params:
            raise ValueError(problem("batch_norm", name, UNCALIBRATED, f"only {describe(list(params))}"))
    if not (params["var"] >= 0).all():
        raise ValueError(problem("batch_norm", "var", "be at least 0", float(params["var"].min())))
    mean, inverse = params["mean"], 1 / np.sqrt(params["var"] + eps)
    scale = gamma * inverse
    d: Array = x - mean  # first, so that a large mean costs no digits
    y = d * scale
    y += beta

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {"gamma": inverse * column_sums(dy * d), "beta": column_sums(dy)}, lambda: dy * scale

    return y, pullback


def _normalised(x: Array, gamma: Array, beta: Array, eps: float, axis: int) -> tuple[Array, Pullback]:
    """Normalise by statistics along an axis of x itself, which the way back goes through as well.

    What both ways multiply by is one array, and xhat, which is d * inverse, is none: a pass in which
    rows meet a vector takes twice as long as one of equal shapes.
    """
    unit: Array | None = None
    d, inverse = _centred(x, number(eps, x.dtype), axis)
    if np.count_nonzero(inverse > 0) < inverse.size:  # a variance overflowed
        unit = _scales(x, inverse, axis)
        d, inverse = _centred(x / unit, np.maximum(eps / unit / unit, np.finfo(x.dtype).tiny), axis)
    scale: Array = inverse * gamma if axis == 0 else inverse.dot(gamma[None, :])

    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        products: Array = dy * d

        def dx() -> Array:
            along = _means(products, axis, gamma)
            for _ in range(3):  # one by one, as the cube may overflow
                along *= inverse
            shift = _means(dy, axis, gamma)
            shift *= inverse
            g: Array = dy * scale
            g -= d * along
            g -= shift
            return g if unit is None else g / unit

        by_row = inverse.reshape(-1)
        dgamma: Array = by_row.dot(products) if axis else by_row * column_sums(products)
        return {"gamma": dgamma, "beta": column_sums(dy)}, dx

    y: Array = d * scale
    y += beta
    return y, pullback


def _centred(x: Array, eps: Array, axis: int) -> tuple[Array, Array]:
    """Return x less its means, and 1 / sqrt(var + eps)."""
    d: Array = x - _means(x, axis)
    # A large mean is rounded: what is left of it after the first subtraction goes in a second.
    d -= _means(d, axis)
    inverse: Array = ones(len(d), d.dtype).dot(d * d)[None, :] if axis == 0 else np.vecdot(d, d)[:, None]
    inverse /= number(x.shape[axis], x.dtype)
    inverse += eps
    np.reciprocal(inverse, out=inverse)
    return d, np.sqrt(inverse, out=inverse)


def _means(a: Array, axis: int, gamma: Array | None = None) -> Array:
    """Return the means along an axis, which stays, of a or of a * gamma, by a product: a third of the time of a sum."""
    n = a.shape[axis]
    sums: Array
    if axis == 1:
        sums = a.dot(ones(n, a.dtype) if gamma is None else gamma)[:, None]
    else:
        sums = ones(n, a.dtype).dot(a)[None, :]
        if gamma is not None:
            sums *= gamma
    sums /= number(n, a.dtype)
    return sums


def _scales(x: Array, inverse: Array, axis: int) -> Array:
    """Return a power of two near the largest value where finite values overflowed, and 1 elsewhere."""
    largest = np.max(np.abs(x), axis=axis, keepdims=True)
    power = np.ldexp(np.ones_like(largest), np.frexp(largest)[1] - 1)
    scales: Array = np.where((inverse > 0) | ~np.isfinite(largest), np.ones_like(largest), power)
    return scales
