"""Penalties: ``penalty(params) -> (value, grads)``, added to a loss.

They count weights and leave biases, and the scales and shifts of normalisation,
alone: penalising those fits worse and regularises nothing. A table is not
counted either, as most of its rows are in no batch; asked for by name, it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import SupportsFloat

import numpy as np

from nnfunc.values.arrays import sum_of_squares
from nnfunc.values.checks import as_number, as_tuple, label, looked_up, require
from nnfunc.values.params import checked_params, grouped, is_weight, mapped
from nnfunc.values.types import Array, Params, Penalty


def l2(rate: SupportsFloat, names: Iterable[str] | None = None) -> Penalty:
    """Return the penalty rate * sum(W^2) over all weights.

    The factor is the article's and Keras's: the gradient is 2 rate W. Another
    library's rate for the same penalty: PyTorch's ``weight_decay`` is 2 rate,
    of any optimiser but AdamW, and of parameter groups without the biases.
    scikit-learn divides by the rows n of a batch: its ``alpha`` is 2 n rate for
    an MLPClassifier, and n rate for an MLPRegressor, which halves the squared
    error. It adds up over k outputs of a regression, and over k labels, as
    `sum_outputs` does here; without that option both are k times as large.

    Args:
        rate: at least 0.
        names: patterns, as for `by_name`, of the params that count: ``["*W", "*table"]``.
            Without, those called W count, and what has two or more axes and is not
            called b, beta, gamma, mean, var or table.

    Gradients:
        2 rate W.

    Raises:
        TypeError, ValueError: `rate` is not a finite number of at least 0, `names` are no
            patterns; in use, one of them matches no parameter.

    Example:
        >>> value, grads = l2(0.5)({"W": np.array([[1.0, -2.0]]), "b": np.array([9.0])})
        >>> value, dict(grads)
        (2.5, {'W': array([[ 1., -2.]])})
    """
    return partial(_l2, as_number("l2", "rate", rate, least=0), _patterns("l2", names))


def l1(rate: SupportsFloat, names: Iterable[str] | None = None) -> Penalty:
    """Return the penalty rate * sum(|W|) over all weights, which drives small ones to zero.

    Args:
        rate, names: as `l2`.

    Gradients:
        rate sign(W), 0 at 0.

    Raises:
        TypeError, ValueError: as `l2`.

    Example:
        >>> value, grads = l1(0.5)({"W": np.array([[1.0, -2.0]]), "b": np.array([9.0])})
        >>> value, dict(grads)
        (1.5, {'W': array([[ 0.5, -0.5]])})
    """
    return partial(_l1, as_number("l1", "rate", rate, least=0), _patterns("l1", names))


def _l2(rate: float, patterns: tuple[str, ...] | None, params: Params) -> tuple[float, Params]:
    weights = _weights("l2", patterns, params)
    with np.errstate(all="ignore"):
        return _l2_value(rate, weights.values()), mapped(partial(_l2_slope, rate), weights)


def _l2_value(rate: float, weights: Iterable[Array]) -> float:
    size, squares = sum_of_squares(weights)
    return (rate * size) * (size * squares)


def _l2_slope(rate: float, W: Array) -> Array:
    return 2 * rate * W


def _l1(rate: float, patterns: tuple[str, ...] | None, params: Params) -> tuple[float, Params]:
    weights = _weights("l1", patterns, params)
    with np.errstate(all="ignore"):
        return _l1_value(rate, weights.values()), mapped(partial(_l1_slope, rate), weights)


def _l1_value(rate: float, weights: Iterable[Array]) -> float:
    # In order of size, so that the sum is the same bits in whatever order the params stand.
    return rate * sum(sorted(float(np.add.reduce(np.abs(W), axis=None, dtype=np.float64)) for W in weights))


def _l1_slope(rate: float, W: Array) -> Array:
    slope: Array = rate * np.sign(W)
    return slope


def own_penalties(penalty: Penalty, stacked: Params) -> tuple[list[float], Params] | None:
    """Return the values of a penalty of the library's for the members of an ensemble, and its gradients; of another nothing.

    Example:
        >>> own_penalties(l2(0.5), {"W": np.array([[[1.0, -2.0]], [[0.0, 4.0]]]), "c": np.ones((2, 1))})
        ([2.5, 8.0], mappingproxy({'W': array([[[ 1., -2.]],
        <BLANKLINE>
               [[ 0.,  4.]]])}))
    """
    rule = looked_up(OWN_PENALTIES, penalty)
    if rule is None or not isinstance(penalty, partial) or not stacked:
        return None
    rate, patterns = penalty.args
    counted = _weights(label(penalty)[1:], patterns, {name: array[0] for name, array in stacked.items()})
    weights = {name: stacked[name] for name in counted}
    with np.errstate(all="ignore"):
        members = range(len(next(iter(stacked.values()))))
        values = [rule[0](rate, [W[i] for W in weights.values()]) for i in members]
        return values, mapped(partial(rule[1], rate), weights)


def _patterns(function: str, names: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return the patterns of the params that count, or none for weights."""
    patterns = None if names is None else as_tuple(function, "names", names, "patterns")
    fits = patterns is None or (patterns and all(isinstance(each, str) for each in patterns))
    require(fits, function, "names", "be a sequence of patterns, one or more", kind=TypeError, value=names)
    return patterns


def _weights(function: str, patterns: tuple[str, ...] | None, params: Params) -> Params:
    """Return the params that are penalised."""
    held, _ = checked_params(function, params)
    if patterns is None:
        return {name: array for name, array in held.items() if is_weight(name, array)}
    counted = {name for group in grouped(function, "names", patterns, tuple(held)) for name in group}
    return {name: array for name, array in held.items() if name in counted}


OWN_PENALTIES: dict[object, tuple[Callable[[float, Iterable[Array]], float], Callable[[float, Array], Array]]] = {
    _l2: (_l2_value, _l2_slope), _l1: (_l1_value, _l1_slope),
}
"""The functions that the library's penalties are partials of, with the value and the slope of each."""
