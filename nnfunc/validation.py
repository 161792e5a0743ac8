"""Validation in a training run: data that fit the training data, and what is computed on them after an epoch."""

import math
from collections.abc import Mapping
from typing import SupportsFloat

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.blame import where_not_finite
from nnfunc.calibration import calibrate, has_batch_norm
from nnfunc.checks import as_inputs, as_targets, describe, locked, problem
from nnfunc.fusion import on_logits
from nnfunc.passes import prepared, run
from nnfunc.training_data import Rowwise, undisturbed
from nnfunc.types import AnyArray, Array, Layer, LossFn, Metric, Params
from nnfunc.verbs import forward, loss

_TRIAL_ROWS = 1024


def check_validation(validation: tuple[ArrayLike, ArrayLike], data: Rowwise) -> Rowwise:
    """Return validation data, which must be finite and look like the training data.

    Example:
        >>> data = {"x": np.ones((1, 1)), "y": np.ones((1, 1)), "weight": None}
        >>> check_validation(([[1.0, 2.0]], [[1.0]]), data)
        Traceback (most recent call last):
        ...
        ValueError: train: validation x must have rows of shape (1,), as the training data, got (2,)
    """
    if not isinstance(validation, tuple) or len(validation) != 2:
        raise TypeError(problem("train", "validation", "be a pair (x, y)", describe(validation)))
    x = as_inputs("train", "validation x", validation[0], data["x"].dtype)
    y = as_targets("train", "validation y", validation[1], data["x"].dtype)
    if y.ndim == 0 or len(y) != len(x):
        raise ValueError(problem("train", "validation y", f"have one target for each of the {len(x)} rows of x", y))
    for name, given, own in (("validation x", x, data["x"]), ("validation y", y, data["y"])):
        if given.shape[1:] != own.shape[1:]:
            constraint = f"have rows of shape {own.shape[1:]}, as the training data"
            raise ValueError(problem("train", name, constraint, given.shape[1:]))
        found = where_not_finite(given)
        if found:
            raise FloatingPointError(problem("train", name, "be finite", found))
    return {"x": undisturbed(x, validation[0]), "y": undisturbed(y, validation[1]), "weight": None}


def try_scores(
    net: Layer, loss_fn: LossFn, params: Params, data: Rowwise, held: Rowwise, metrics: Mapping[str, Metric]
) -> None:
    """Raise before the first epoch what `scores` would raise after it, an hour later perhaps.

    Example:
        >>> from nnfunc import dense, mae
        >>> params, rows = {"W": np.eye(1), "b": np.zeros(1)}, {"x": np.ones((2, 1)), "y": np.ones((2, 1)), "weight": None}
        >>> try_scores(dense(1, 1), mae, params, rows, rows, {"r2": lambda outputs, y: None})
        Traceback (most recent call last):
        ...
        TypeError: train: metrics['r2'] must give a number, got None
    """
    try:
        trial = calibrate(net, params, data["x"][:_TRIAL_ROWS]) if has_batch_norm(net) else params
    except FloatingPointError:
        return  # the first step will say it, with its batch
    logits_net, logits_loss = on_logits(net, loss_fn)
    with np.errstate(all="ignore"):
        outputs, _ = run("train", logits_net, *prepared("train", logits_net, trial, held["x"]), None)
        try:
            logits_loss(locked(outputs), held["y"])
        except FloatingPointError:
            pass
        except (TypeError, ValueError) as error:
            kind = ValueError if isinstance(error, ValueError) else TypeError
            raise kind(problem("train", "validation y", "suit the loss", str(error))) from error
    _measured(net, trial, held, metrics)


def scores(
    net: Layer, loss_fn: LossFn, params: Params, held: Rowwise, metrics: Mapping[str, Metric]
) -> tuple[float, dict[str, float]]:
    """Return the loss on validation data and the metrics by name; NaN for what would not be finite.

    An overflow on data that are not trained on is a bad epoch, and no reason to end the run.

    Example:
        >>> from nnfunc import dense, mse
        >>> params, rows = {"W": np.eye(1), "b": np.zeros(1)}, {"x": np.array([[1e200]]), "y": np.zeros((1, 1)), "weight": None}
        >>> scores(dense(1, 1), mse, params, rows, {"largest": lambda outputs, y: outputs.max()})
        (nan, {'largest': 1e+200})
    """
    try:
        value = loss(net, loss_fn, params, held["x"], held["y"])
    except FloatingPointError:
        value = math.nan
    return value, _measured(net, params, held, metrics)


def any_number(argument: str, value: object) -> float:
    """Return what a user's function gave as a float, which may be NaN or infinite.

    Example:
        >>> any_number("monitor", "low")
        Traceback (most recent call last):
        ...
        TypeError: train: monitor must give a number, got 'low'
    """
    if isinstance(value, SupportsFloat) and not (isinstance(value, np.ndarray) and value.ndim):
        try:
            return float(value)
        except (TypeError, ValueError):
            pass  # a complex number, say
    raise TypeError(problem("train", argument, "give a number", describe(value)))


def _measured(net: Layer, params: Params, held: Rowwise, metrics: Mapping[str, Metric]) -> dict[str, float]:
    if not metrics:
        return {}
    outputs = locked(forward(net, params, held["x"]))
    with np.errstate(all="ignore"):
        return {name: _metric(name, metric, outputs, held["y"]) for name, metric in metrics.items()}


def _metric(name: str, metric: Metric, outputs: Array, y: AnyArray) -> float:
    try:
        return any_number(f"metrics[{name!r}]", metric(outputs, y))
    except FloatingPointError:
        return math.nan
