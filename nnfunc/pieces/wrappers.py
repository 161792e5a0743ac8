"""Optimisers made of optimisers: other ones for other params, at other rates, or with an average of the params beside.

Each is a pair ``(init, step)`` like those it is made of, and all it remembers is
in its state. So they nest, `train` takes them as it takes any other, and a run
that is stored goes on to the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from types import MappingProxyType
from typing import SupportsFloat

import numpy as np

from nnfunc.pieces.norms import statistics_among, without_statistics
from nnfunc.pieces.stepping import Rule, Slots, initial, matched, stepped
from nnfunc.values.arrays import lasting
from nnfunc.values.checks import as_number, as_share, check_pair, describe, listed, problem, require
from nnfunc.values.params import check_names, checked_params, grouped, joined, section
from nnfunc.values.types import AnyArray, Array, Optimizer, OptimizerStep, Params, State

_AVERAGE = {"t": 0, "average": 0.0}


def by_name(optimizers: Mapping[str, Optimizer | None]) -> Optimizer:
    """Return the optimiser that steps each parameter by the one whose pattern is the first to match its name.

    ``by_name({"out/*": adam(), "hidden/*": scaled(adam(), 0.1), "*": None})``:
    None leaves params as they are; but in `train` every batch norm takes its statistics of the batch, and is
    calibrated anew after each epoch. For a part that is to stay the function it is, train the rest on its
    outputs: ``forward(part, select(params, "part"), x)``. Patterns are those of `fnmatch.fnmatchcase`, whose
    ``*`` matches slashes too. Each optimiser is given its own params alone, and its
    state is under its number: ``"0/m/out/W"``. A batch norm's statistics go with its gamma.

    Args:
        optimizers: patterns and optimisers, the special ones first.

    Laws:
        ``by_name({"*": o})`` = o.

    Raises:
        TypeError, ValueError: a pattern is no string, or stands for no optimiser;
            in use, a parameter matches no pattern, or a pattern other than ``*`` is
            the first match of no parameter (mistyped, it would train nothing,
            without a word), and as the optimisers.

    Example:
        >>> from nnfunc import adam, sgd
        >>> params = {"enc/W": np.array([1.0]), "out/W": np.array([1.0]), "out/b": np.array([1.0])}
        >>> init, step = by_name({"enc/*": None, "*/b": sgd(), "*": adam()})
        >>> params, state = step(params, {"enc/W": [5.0], "out/W": [5.0], "out/b": [5.0]}, init(params), 0.1)
        >>> {name: array.round(6) for name, array in params.items()}, list(state)
        ({'enc/W': array([1.]), 'out/W': array([0.9]), 'out/b': array([0.5])}, ['2/t/out/W', '2/m/out/W', '2/v/out/W'])
    """
    named = isinstance(optimizers, Mapping) and optimizers and all(isinstance(each, str) for each in optimizers)
    constraint = "be a mapping of patterns, one or more, to optimisers or None"
    require(named, "by_name", "optimizers", constraint, kind=TypeError, value=optimizers)
    for pattern, optimizer in optimizers.items():
        if optimizer is not None:
            check_pair("by_name", f"optimizers[{pattern!r}]", optimizer, "", Optimizer, (1, 4))
    patterns, each = tuple(optimizers), tuple(optimizers.values())
    return partial(_groups_init, patterns, each), partial(_groups_step, patterns, each)


def _groups_init(patterns: tuple[str, ...], optimizers: tuple[Optimizer | None, ...], params: Params) -> State:
    """Return the states of all optimisers that have params, each under its number."""
    held, _ = checked_params("by_name", params)
    state: dict[str, AnyArray] = {}
    groups = _groups(patterns, tuple(held))
    for number, (pattern, optimizer, names) in enumerate(zip(patterns, optimizers, groups, strict=True)):
        if optimizer is not None and names:
            own = optimizer[0]({name: held[name] for name in names})
            check_names("by_name", f"the state of optimizers[{pattern!r}]", own)
            state |= {f"{number}/{name}": array for name, array in own.items()}
    return MappingProxyType(state)


def _groups_step(
    patterns: tuple[str, ...], optimizers: tuple[Optimizer | None, ...], params: Params, grads: Params, state: State,
    lr: SupportsFloat,
) -> tuple[Params, State]:
    """Let each optimiser step its params."""
    rate = as_number("by_name", "lr", lr, least=0)
    params, grads, _ = matched("by_name", params, grads)
    groups = _groups(patterns, tuple(params))
    check_names("by_name", "state", state)
    held: dict[str, Slots] = {str(i): {} for i, names in enumerate(groups) if names and optimizers[i] is not None}
    for full, array in state.items():
        path, _, name = full.partition("/")
        if path not in held:
            constraint = f"hold only what is below the numbers of optimisers that have params ({listed(held)})"
            raise ValueError(problem("by_name", "state", constraint, repr(full)))
        held[path][name] = array
    new: dict[str, Array] = {}
    after: dict[str, AnyArray] = {}
    for number, (pattern, optimizer, names) in enumerate(zip(patterns, optimizers, groups, strict=True)):
        own = {name: params[name] for name in names}
        if optimizer is None:
            new |= {name: lasting(array) for name, array in own.items()}
        elif names:
            sent = {name: grads[name] for name in names if name in grads}
            called = f"optimizers[{pattern!r}]"
            found, changed = step_result("by_name", called, optimizer[1](own, sent, held[str(number)], rate))
            if found.keys() != own.keys():
                check_step("by_name", called, own, found)
            new |= found
            after |= {f"{number}/{name}": array for name, array in changed.items()}
    return MappingProxyType({name: new[name] for name in params}), MappingProxyType(after)


def step_result(function: str, argument: str, result: tuple[Params, State]) -> tuple[Params, State]:
    """Return what an optimiser's step gave, if it is a pair of mappings.

    Example:
        >>> step_result("train", "optimizer", ({}, {}))
        ({}, {})
    """
    if not (isinstance(result, tuple) and len(result) == 2 and all(hasattr(each, "keys") for each in result)):
        raise TypeError(problem(function, argument, "give a pair of mappings (params, state) from its step", result))
    return result


def check_step(function: str, argument: str, params: Params, new: Params) -> None:
    """Raise if an optimiser's step gave params of other names, shapes or dtypes.

    Example:
        >>> check_step("train", "optimizer", {"W": np.ones(1)}, {"W": np.ones(2)})
        Traceback (most recent call last):
        ...
        TypeError: train: optimizer must keep W a float64 array of shape (1,), got float64 array of shape (2,)
    """
    if new.keys() != params.keys():
        raise ValueError(problem(function, argument, f"step {listed(params)} and no others", list(new)))
    for name, array in params.items():
        if not isinstance(new[name], np.ndarray) or (new[name].shape, new[name].dtype) != (array.shape, array.dtype):
            constraint = f"keep {name} a {array.dtype} array of shape {array.shape}"
            raise TypeError(problem(function, argument, constraint, describe(new[name])))


@lru_cache(maxsize=64)
def _groups(patterns: tuple[str, ...], names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the names of each optimiser's params; no name may be left over."""
    known = statistics_among(names)
    taken = grouped("by_name", "optimizers", patterns, tuple(name for name in names if name not in known))
    numbers = {name: number for number, group in enumerate(taken) for name in group}
    left = [name for name in names if name not in known and name not in numbers]
    constraint = "have a pattern for each parameter ('*': None, put last, leaves all others as they are)"
    require(not left, "by_name", "optimizers", constraint, f"none for {listed(left)}")
    numbers |= {name: numbers[joined(name.rpartition("/")[0], "gamma")] for name in known}
    return tuple(tuple(name for name in names if numbers[name] == number) for number in range(len(patterns)))


def scaled(optimizer: Optimizer, factor: SupportsFloat) -> Optimizer:
    """Return the optimiser at a learning rate of factor * lr, for some of the params by way of `by_name`.

    To scale the gradients is something else: Adam, RMSProp and Adagrad divide by
    their size, and take the same steps, but for eps, whatever they are scaled by.

    Args:
        optimizer: the optimiser.
        factor: at least 0; at 0 params stay, and its memory goes on.

    Raises:
        TypeError, ValueError: `optimizer` is no pair of functions, or `factor` no finite
            number of at least 0; in use, as the optimiser.

    Example:
        >>> from nnfunc import sgd
        >>> init, step = scaled(sgd(), 0.1)
        >>> step({"p": np.array([1.0])}, {"p": np.array([2.0])}, {}, 0.5)[0]["p"]  # 1 - 0.1 * 0.5 * 2
        array([0.9])
    """
    check_pair("scaled", "optimizer", optimizer, "", Optimizer, (1, 4))
    return optimizer[0], partial(_scaled_step, as_number("scaled", "factor", factor, least=0), optimizer[1])


def _scaled_step(
    factor: float, step: OptimizerStep, params: Params, grads: Params, state: State, lr: SupportsFloat
) -> tuple[Params, State]:
    """Step at the scaled rate."""
    rate = factor * as_number("scaled", "lr", lr, least=0)
    return step(params, grads, state, as_number("scaled", "factor * lr", rate))


def averaged(optimizer: Optimizer, decay: SupportsFloat) -> Optimizer:
    """Return the optimiser with an average of the params after each step beside, which `averaged_params` takes out.

    a = a + (p - a) (1 - decay) / (1 - decay^t): the mean of the t params so far, weighted
    by decay^(t - i), in which those before the first step do not count. The steps
    are those without it. All params are averaged, those that stay as well.
    Batch norms' statistics are not: ``calibrate(net, averaged_params(state), x)``.

    It goes around other wrappers: ``averaged(by_name(...), 0.999)``. Inside `by_name` it
    averages the params of one pattern: ``averaged_params(select(state, "0"))`` takes them out of its
    state, ``averaged_params(select(state, "optimizer/0"))`` out of that of `train`, whose validation,
    early stopping and `best_params` are of the params themselves.

    Args:
        optimizer: the optimiser.
        decay: in [0, 1); about 1 - 1 / k for an average over the last k steps, and
            0 for the last params themselves.

    Raises:
        TypeError, ValueError: `optimizer` is no pair of functions, or `decay` does not lie
            in [0, 1); in use, as `adam` and as the optimiser.

    Example:
        >>> from nnfunc import averaged_params, sgd
        >>> init, step = averaged(sgd(), 0.5)
        >>> params = {"p": np.array([9.0])}
        >>> params, state = step(params, {"p": np.array([6.0])}, init(params), 1.0)
        >>> params, state = step(params, {"p": np.array([-3.0])}, state, 1.0)
        >>> params["p"], averaged_params(state)["p"]  # (0.5 * 3 + 6) / 1.5
        (array([6.]), array([5.]))

    Reference:
        Polyak & Juditsky (1992); the correction as in Kingma & Ba (2015), section 7.2.
    """
    check_pair("averaged", "optimizer", optimizer, "", Optimizer, (1, 4))
    share = as_share("averaged", "decay", decay)
    rule = partial(_average_rule, share)
    return partial(_averaged_init, share, optimizer[0]), partial(_averaged_step, rule, optimizer[1])


def _averaged_init(decay: float, init: Callable[[Params], State], params: Params) -> State:
    """Start at the params themselves, which the first step leaves out."""
    held, _ = checked_params("averaged", params)
    state = dict(initial("averaged", _AVERAGE, held, {"decay": decay}))
    state |= {f"average/{name}": lasting(array) for name, array in held.items()}
    inner = init(params)
    check_names("averaged", "the state of optimizer", inner)
    return MappingProxyType(state | {f"inner/{name}": array for name, array in inner.items()})


def _averaged_step(
    rule: Rule, step: OptimizerStep, params: Params, grads: Params, state: State, lr: SupportsFloat
) -> tuple[Params, State]:
    """Step, and average what comes of it."""
    check_names("averaged", "state", state)
    new, inner = step_result("averaged", "optimizer", step(params, grads, section(state, "inner"), lr))
    own = {name: array for name, array in state.items() if not name.startswith("inner/")}
    # As the gradient of each parameter stands the parameter itself; its step is not asked for.
    seen = without_statistics(new, grads or {"": np.zeros(0)})
    try:
        _, averages = stepped("averaged", _AVERAGE, rule, seen, seen, own, 0.0)
    except (TypeError, ValueError):
        check_step("averaged", "optimizer", matched("averaged", params, grads)[0], new)
        raise
    return new, MappingProxyType({**averages, **{f"inner/{name}": array for name, array in inner.items()}})


def _average_rule(decay: float, weight: bool, p: Array, new: Array, slots: Slots, lr: float) -> tuple[Array, Slots]:
    t = int(slots["t"]) + 1
    # From p on, as p + (a - p) share, so that it is p to the last bit at first and without decay.
    average: Array = slots["average"] - new
    average *= decay * (1 - decay ** (t - 1)) / (1 - decay**t)
    average += new
    return average, {"t": np.asarray(t), "average": average}
