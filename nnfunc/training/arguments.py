"""What `train` is given: checked, tried before the first epoch, and put into one record.

The pieces are pure, so they can be tried: what they would get wrong after an
hour is said at once, and the steps need no checks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NoReturn, SupportsFloat, TypeAlias, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.network.boundary import counted_targets, loss_value, prepared, which_count
from nnfunc.network.calibration import calibrate, check_all_are_found
from nnfunc.network.kinds import statistics, trained
from nnfunc.network.verbs import forward, loss
from nnfunc.pieces.masking import is_masked, unmasked
from nnfunc.pieces.targets import as_classes
from nnfunc.pieces.wrappers import check_step, step_result
from nnfunc.training.state import Report, StepReport
from nnfunc.values.arrays import all_finite, as_inputs, as_targets, check_finite, is_read_only_map, locked
from nnfunc.values.checks import check_callable, check_pair, describe, label, problem, require, restated
from nnfunc.values.params import mapped
from nnfunc.values.types import (
    AnyArray, Array, DType, GradTransform, Key, Layer, LossFn, Metric, Monitor, Optimizer, Params, Penalty, Rows, Schedule,
    State,
)

Data: TypeAlias = tuple[Array, AnyArray, Array | None]
"""Inputs, targets and, if there are any, row weights."""

Validation: TypeAlias = tuple[ArrayLike, ArrayLike] | tuple[ArrayLike, ArrayLike, ArrayLike | None]
"""What is held out: inputs, targets and, if there are any, row weights."""

Order: TypeAlias = Callable[[int, Key], ArrayLike]
"""``(epoch, key) -> rows``: the numbers of an epoch's rows, in the order they are to be taken in."""

Run = TypedDict(
    "Run",
    {
        "net": Layer, "statistics": list[str], "loss_fn": LossFn, "data": Data, "numbers": Rows,
        "validation": Data | None, "metrics": Mapping[str, Metric], "epochs": int, "size": int, "key": Key,
        "order": Order | None,
        "schedule": Schedule, "optimizer": Optimizer, "penalty": Penalty | None, "transform": GradTransform | None,
        "stopping": Monitor, "plateau": Monitor | None, "monitor": Callable[[Report], float],
        "on_step": Callable[[StepReport], object] | None,
    },
)
"""All that a run is made of, checked. ``numbers`` are the rows of the data that count: those of weight 0 do not."""

_TRIAL_ROWS = 1024


def training_data(
    x: ArrayLike, y: ArrayLike, weight: ArrayLike | None, net: Layer, params: Params, loss_fn: LossFn
) -> tuple[Data, Rows]:
    """Return training data that fit each other and that nothing can change, and which rows of them count.

    The weights are divided by the mean of those that count.

    Example:
        >>> from nnfunc import dense, mse
        >>> params = {"W": np.ones((1, 1)), "b": np.ones(1)}
        >>> training_data([[1.0], [2.0], [3.0]], [[1.0], [2.0], [4.0]], [0, 3, 1], dense(1, 1), params, mse)[1]
        array([1, 2])
    """
    mapped = is_read_only_map(x) and np.ndim(x) > 0
    inputs = prepared("train", net, params, np.asarray(x)[:1] if mapped else x, None)[2]
    rows = np.asarray(x) if mapped else _protected(inputs, x)
    targets = _undisturbed("train", "y", y, inputs.dtype, len(rows))
    numbers, counted, _ = which_count("train", loss_fn, targets, weight)
    numbers = np.arange(len(rows)) if numbers is None else numbers
    if counted is None:
        return (rows, targets, None), numbers
    counted /= counted.max()  # first, as the sum of large weights could overflow
    weights = np.zeros(len(rows))
    weights[numbers] = counted / counted.mean()
    return (rows, targets, weights), numbers


def validation_data(validation: Validation | None, data: Data, loss_fn: LossFn) -> Data | None:
    """Return validation data, which must look like the training data; rows that do not count are left out.

    Example:
        >>> from nnfunc import mse
        >>> validation_data(([[1.0, 2.0]], [[1.0]]), (np.ones((1, 1)), np.ones((1, 1)), None), mse)
        Traceback (most recent call last):
        ...
        ValueError: train: validation x must have rows of shape (1,), as the training data, got (2,)
    """
    if validation is None:
        return None
    is_tuple = isinstance(validation, tuple) and len(validation) in (2, 3)
    require(is_tuple, "train", "validation", "be a pair (x, y), or (x, y, weight)", kind=TypeError, value=validation)
    dtype = data[0].dtype if data[0].dtype.kind == "f" else np.dtype(np.float64)
    x = _undisturbed("train", "validation x", validation[0], dtype)
    y = _undisturbed("train", "validation y", validation[1], dtype, len(x))
    for name, given, own in (("validation x", x, data[0]), ("validation y", y, data[1])):
        fits, constraint = given.shape[1:] == own.shape[1:], f"have rows of shape {own.shape[1:]}, as the training data"
        require(fits, "train", name, constraint, given.shape[1:])
    weight = validation[2] if len(validation) == 3 else None
    numbers, weights, _ = which_count("train", loss_fn, y, weight, of="validation ")
    if numbers is not None:
        x, y = x[numbers], y[numbers]
    return x, as_classes(y) if is_masked(loss_fn) and y.ndim == 1 else y, weights  # classes, for the metrics


def _undisturbed(function: str, argument: str, given: ArrayLike, dtype: DType, n: int | None = None) -> AnyArray:
    """Return inputs, or targets for `n` rows, as an array that nothing done to the argument can change.

    A map of a file that was opened for reading is taken as it is, and its rows are
    converted as they come.
    """
    if is_read_only_map(given):
        array: AnyArray = np.asarray(given)
        if n is not None:
            as_targets(function, argument, array[:1], dtype)
            fits = array.ndim > 0 and len(array) == n
            require(fits, function, argument, f"have one target for each of the {n} rows of x", value=array)
        return array
    if n is None:
        return _protected(as_inputs(function, argument, given, dtype), given)
    return _protected(as_targets(function, argument, given, dtype, n), given)


def _protected(array: AnyArray, given: ArrayLike) -> AnyArray:
    """Return an array that was made of an argument, copied unless it was converted, or is locked and owns its memory."""
    if isinstance(given, np.ndarray):
        lasts = given.flags.owndata and not given.flags.writeable
        if lasts or not np.may_share_memory(array, given):
            return array
    return array.copy(order="K")


def try_pieces(run: Run, params: Params, held: Callable[[str], State | None]) -> None:
    """Raise before the first epoch what the run's pieces would raise in it, or after it.

    ``held(name)`` is the state of a piece in a run that is resumed.
    """
    check_all_are_found("train", run["net"], params, run["data"][0])
    _try_optimizer(run["optimizer"], run["net"], params, held("optimizer"))
    _try_monitor("stopping", run["stopping"], ("stop", "improved"), held("stopping"))
    if run["plateau"] is not None:
        _try_monitor("plateau", run["plateau"], ("scale",), held("plateau"))
    _try_scores(run, params)


def check_functions(
    loss_fn: LossFn, schedule: Schedule, penalty: Penalty | None, transform: GradTransform | None,
    monitor: Callable[[Report], float] | None, order: Order | None, on_step: Callable[[StepReport], object] | None,
    metrics: Mapping[str, Metric] | None,
) -> None:
    """Raise TypeError unless each function that `train` is given is one, of as many arguments as it will get.

    Example:
        >>> from nnfunc import cosine_decay_schedule, mse
        >>> check_functions(mse, cosine_decay_schedule, None, None, None, None, None, None)
        Traceback (most recent call last):
        ...
        TypeError: train: lr must be a function step -> float, or a number,
        got the function cosine_decay_schedule, which takes (init_value, decay_steps, alpha, exponent)
    """
    is_mapping = metrics is None or hasattr(metrics, "items")
    require(is_mapping, "train", "metrics", "be a mapping of names to functions", kind=TypeError, value=metrics)
    takes: list[tuple[str, object, int, str]] = [
        ("loss_fn", loss_fn, 2, "(outputs, targets) -> (per_example, d_outputs)"),
        ("lr", schedule, 1, "step -> float, or a number"), ("order", order, 2, "(epoch, key) -> rows"),
        ("penalty", penalty, 1, "of one argument"), ("transform", transform, 1, "of one argument"),
        ("monitor", monitor, 1, "of one argument"), ("on_step", on_step, 1, "of one argument"),
    ]
    takes += [(f"metrics[{name!r}]", f, 2, "(outputs, targets) -> float") for name, f in (metrics or {}).items()]
    for argument, function, count, form in takes:
        if function is not None or argument == "loss_fn":
            check_callable("train", argument, function, form, count)


def _try_monitor(argument: str, monitor: Monitor, needed: tuple[str, ...], held: State | None) -> None:
    """Raise unless a monitor gives states with what is needed, and can go on from the one held by a run.

    Example:
        >>> from nnfunc import early_stopping
        >>> _try_monitor("plateau", early_stopping(), ("scale",), None)
        Traceback (most recent call last):
        ...
        ValueError: train: plateau must have states with scale, got ['best', 'wait', 'improved', 'stop']
    """
    check_pair("train", argument, monitor, "", Monitor, (0, 2))
    fresh = _arrays(argument, "init", monitor[0]())
    for state in (fresh, _arrays(argument, "update", monitor[1](fresh, 1.0))):
        has_all = all(name in state for name in needed)
        require(has_all, "train", argument, f"have states with {' and '.join(needed)}", list(state))
    if held is not None:
        try:
            monitor[1]({name: held[name] for name in (*held, *needed)}, 1.0)
        except (KeyError, TypeError, ValueError) as error:
            _refuse(argument, fresh, held, error)


def _try_optimizer(optimizer: Optimizer, net: Layer, params: Params, held: State | None) -> None:
    """Raise unless an optimiser steps params and gives a state, and can go on from the one held by a run.

    Example:
        >>> from nnfunc import adam, dense
        >>> _try_optimizer(adam(), dense(1, 1), {"W": np.ones((1, 1))}, {})
        Traceback (most recent call last):
        ...
        ValueError: train: optimizer must be the one that the state was made with,
        got one whose own state holds ['t/W', 'm/W', 'v/W'], where the state of the run so far holds nothing
    """
    check_pair("train", "optimizer", optimizer, "", Optimizer, (1, 4))
    params = trained(net, params)
    fresh, ones = _arrays("optimizer", "init", optimizer[0](params)), mapped(np.ones_like, params)
    with np.errstate(all="ignore"):
        stepped, after = step_result("train", "optimizer", optimizer[1](params, ones, fresh, 1.0))
        check_step("train", "optimizer", params, stepped)
        _arrays("optimizer", "step", after)
        if held is not None:
            try:
                optimizer[1](params, ones, held, 1.0)
            except (KeyError, TypeError, ValueError) as error:
                _refuse("optimizer", fresh, held, error)


def _try_scores(run: Run, params: Params) -> None:
    """Raise before the first epoch what `scores` would raise after it, an hour later perhaps."""
    if run["validation"] is None:
        return
    x, y, weight = run["validation"]
    try:
        trial = calibrate(run["net"], params, run["data"][0][:_TRIAL_ROWS]) if statistics(run["net"]) else params
    except FloatingPointError:
        return  # the first step will say it, with its batch
    try:
        with np.errstate(all="ignore"):
            loss_value("train", run["net"], run["loss_fn"], trial, x, y, weight, None, None, None)
    except FloatingPointError:
        for name, array in (("validation x", x), ("validation y", counted_targets(run["loss_fn"], y))):
            check_finite("train", name, array)
    except (TypeError, ValueError) as error:
        misfit = misfit_of_targets(run, trial, run["numbers"][: run["size"]], None)
        if misfit:
            raise ValueError(misfit) from error
        raise restated(error, problem("train", "validation y", "suit the loss", str(error))) from error
    _measured(run, trial, trying=True)


def misfit_of_targets(run: Run, params: Params, rows: Rows, key: Key | None) -> str:
    """Say what shape y must have, if the loss refuses these rows of it as they are and takes them in that shape."""
    x, y, _ = run["data"]
    tried = (y.shape, ""), ((len(y), 1), "np.reshape(y, (-1, 1))"), ((len(y),), "np.ravel(y)")
    for shape, advice in tried:
        try:
            targets = y[rows].reshape(len(rows), *shape[1:])
            loss_value("train", run["net"], run["loss_fn"], params, x[rows], targets, None, None, key, None)
        except FloatingPointError:
            pass  # its shape suits
        except Exception:
            continue
        if not advice:
            break
        loss_fn = label(unmasked(run["loss_fn"]))
        return problem("train", "y", f"have shape {shape} to suit {loss_fn} and the network ({advice} has it)", y.shape)
    return ""


def scores(run: Run, params: Params) -> tuple[float | None, dict[str, float]]:
    """Return the loss on the validation data, if there are any, and the metrics; NaN for what would not be finite.

    An overflow on data that are not trained on is a bad epoch, and no reason to end the run.
    """
    if run["validation"] is None:
        return None, {}
    x, y, weight = run["validation"]
    try:
        value = loss(run["net"], run["loss_fn"], params, x, y, weight=weight)
    except FloatingPointError:
        value = math.nan
    return value, _measured(run, params)


def _measured(run: Run, params: Params, *, trying: bool = False) -> dict[str, float]:
    """Return the metrics on the validation data by name."""
    if run["validation"] is None or not run["metrics"]:
        return {}
    x, y, _ = run["validation"]
    outputs = locked(forward(run["net"], params, x))
    found: dict[str, float] = {}
    for name, metric in run["metrics"].items():
        try:
            with np.errstate(all="ignore"):
                found[name] = as_given(f"metrics[{name!r}]", metric(outputs, locked(y)))
        except FloatingPointError as error:
            if trying and all_finite(outputs):
                raise restated(error, problem("train", f"metrics[{name!r}]", "suit the validation data", str(error))) from error
            found[name] = math.nan
    return found


def as_given(argument: str, value: object) -> float:
    """Return what a user's function gave as a float, which may be NaN or infinite.

    Example:
        >>> as_given("monitor", "low")
        Traceback (most recent call last):
        ...
        TypeError: train: monitor must give a number, got 'low'
    """
    if type(value) is float:  # told in a fiftieth of the time
        return value
    if isinstance(value, SupportsFloat) and not (isinstance(value, np.ndarray) and value.ndim):
        with suppress(TypeError, ValueError):  # of a complex number, say
            return float(value)
    raise TypeError(problem("train", argument, "give a number", describe(value)))


def _arrays(argument: str, part: str, value: State) -> State:
    """Return what a user's function gave, if it is a mapping of names to arrays."""
    constraint = f"give arrays by name from its {part}"
    require(hasattr(value, "items"), "train", argument, constraint, kind=TypeError, value=value)
    for name, array in value.items():
        is_array = isinstance(array, np.ndarray)
        require(is_array, "train", argument, constraint, f"{describe(array)} as {name}", TypeError)
    return value


def _refuse(argument: str, fresh: State, held: State, error: Exception) -> NoReturn:
    """Raise that a piece does not go with the state of a run: it went well with a state of its own."""
    own, so_far = (describe(list(state)) if state else "nothing" for state in (fresh, held))
    others = f"one whose own state holds {own}, where the state of the run so far holds {so_far}"
    got = str(error) if fresh.keys() == held.keys() else others
    raise ValueError(problem("train", argument, "be the one that the state was made with", got)) from error

