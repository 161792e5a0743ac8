"""What `train` is given by its user: functions of the right arguments, which give the right things.

The pieces are pure, so they are tried before the first epoch: what they would
get wrong after an hour is said at once, and the steps need no checks.
"""

from collections.abc import Callable, Mapping
from typing import NoReturn

import numpy as np

from nnfunc.checks import check_callable, describe, problem
from nnfunc.params import sealed
from nnfunc.pieces import arguments_of
from nnfunc.run_state import Report
from nnfunc.types import GradTransform, LossFn, Metric, Monitor, Optimizer, Params, Penalty, Schedule, State


def check_functions(
    loss_fn: LossFn,
    schedule: Schedule,
    penalty: Penalty | None,
    transform: GradTransform | None,
    monitor: Callable[[Report], float] | None,
    metrics: Mapping[str, Metric] | None,
) -> None:
    """Raise TypeError unless each function that `train` is given is one, of as many arguments as it will get.

    Example:
        >>> from nnfunc import cosine_decay_schedule, mse
        >>> check_functions(mse, cosine_decay_schedule, None, None, None, None)
        Traceback (most recent call last):
        ...
        TypeError: train: lr must be a function step -> float, or a number,
        got the function cosine_decay_schedule, which takes (init_value, decay_steps, alpha, exponent)
    """
    _check_takes("loss_fn", loss_fn, 2, "(outputs, targets) -> (per_example, d_outputs)")
    _check_takes("lr", schedule, 1, "step -> float, or a number")
    for name, function in (("penalty", penalty), ("transform", transform), ("monitor", monitor)):
        if function is not None:
            _check_takes(name, function, 1, "of one argument")
    if metrics is not None and not hasattr(metrics, "items"):
        raise TypeError(problem("train", "metrics", "be a mapping of names to functions", describe(metrics)))
    for name, metric in (metrics or {}).items():
        _check_takes(f"metrics[{name!r}]", metric, 2, "(outputs, targets) -> float")


def check_pair_of_functions(argument: str, pair: object) -> None:
    """Raise TypeError unless `pair` is a tuple of two functions.

    Example:
        >>> check_pair_of_functions("optimizer", "adam")
        Traceback (most recent call last):
        ...
        TypeError: train: optimizer must be a pair of functions, got 'adam'
    """
    if not (isinstance(pair, tuple) and len(pair) == 2 and all(map(callable, pair))):
        raise TypeError(problem("train", argument, "be a pair of functions", describe(pair)))


def check_monitor(argument: str, monitor: Monitor, needed: tuple[str, ...], held: State | None) -> None:
    """Raise unless a monitor gives states with what is needed, and can go on from the one held by a run.

    Example:
        >>> from nnfunc import early_stopping
        >>> check_monitor("plateau", early_stopping(), ("scale",), None)
        Traceback (most recent call last):
        ...
        ValueError: train: plateau must have states with scale, got ['best', 'wait', 'improved', 'stop']
    """
    fresh = _arrays(argument, "init", monitor[0]())
    for state in (fresh, _arrays(argument, "update", monitor[1](fresh, 1.0))):
        if not all(name in state for name in needed):
            raise ValueError(problem("train", argument, f"have states with {' and '.join(needed)}", describe(list(state))))
    if held is not None:
        try:
            monitor[1]({name: held[name] for name in (*held, *needed)}, 1.0)
        except (KeyError, TypeError, ValueError) as error:
            _refuse(argument, fresh, held, error)


def check_optimizer(optimizer: Optimizer, params: Params, held: State | None) -> None:
    """Raise unless an optimiser steps params and gives a state, and can go on from the one held by a run.

    Example:
        >>> from nnfunc import adam
        >>> check_optimizer(adam(), {"p": np.ones(1)}, {})
        Traceback (most recent call last):
        ...
        ValueError: train: optimizer must be the one that the state was made with,
        got another: its state holds ['t/p', 'm/p', 'v/p'], the given one []
    """
    fresh = _arrays("optimizer", "init", optimizer[0](params))
    # Statistics have no gradients; calibration adds them, so the state of a run may not know them.
    names = [name for name in params if name.rpartition("/")[2] not in ("mean", "var")]
    ones = sealed({name: np.ones_like(params[name]) for name in names})
    with np.errstate(all="ignore"):
        result = optimizer[1](params, ones, fresh, 1.0)
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(problem("train", "optimizer", "give a pair (params, state) from its step", describe(result)))
        stepped = _arrays("optimizer", "step", result[0])
        _arrays("optimizer", "step", result[1])
        if stepped.keys() != params.keys():
            constraint = f"step all params ({', '.join(params)}) and no others"
            raise ValueError(problem("train", "optimizer", constraint, describe(list(stepped))))
        for name, array in params.items():
            if stepped[name].shape != array.shape or stepped[name].dtype != array.dtype:
                constraint = f"keep {name} a {array.dtype} array of shape {array.shape}"
                raise ValueError(problem("train", "optimizer", constraint, stepped[name]))
        if held is not None:
            try:
                optimizer[1](params, ones, held, 1.0)
            except (KeyError, TypeError, ValueError) as error:
                _refuse("optimizer", fresh, held, error)


def transformed(transform: GradTransform, grads: Params) -> Params:
    """Return gradients transformed, if they are still gradients by name.

    Example:
        >>> transformed(lambda grads: None, {})
        Traceback (most recent call last):
        ...
        TypeError: train: transform must give gradients by name, got None
    """
    sent = transform(grads)
    if not hasattr(sent, "items"):
        raise TypeError(problem("train", "transform", "give gradients by name", describe(sent)))
    return sent


def _arrays(argument: str, part: str, value: State) -> State:
    """Return what a user's function gave, if it is a mapping of names to arrays."""
    constraint = f"give arrays by name from its {part}"
    if not hasattr(value, "items"):
        raise TypeError(problem("train", argument, constraint, describe(value)))
    for name, array in value.items():
        if not isinstance(array, np.ndarray):
            raise TypeError(problem("train", argument, constraint, f"{describe(array)} as {name}"))
    return value


def _refuse(argument: str, fresh: State, held: State, error: Exception) -> NoReturn:
    """Raise that a piece does not go with the state of a run: it went well with a state of its own."""
    got = f"another: its state holds {describe(list(fresh))}, the given one {describe(list(held))}"
    if fresh.keys() == held.keys():
        got = f"{error}"
    raise ValueError(problem("train", argument, "be the one that the state was made with", got)) from error


def _check_takes(argument: str, function: object, count: int, takes: str) -> None:
    check_callable("train", argument, function, takes)
    if not callable(function):
        return
    others = arguments_of(function, count)
    if others:
        got = f"{describe(function)}, which takes {others}"
        raise TypeError(problem("train", argument, f"be a function {takes}", got))
