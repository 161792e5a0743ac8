"""The state of a training run: one flat immutable dict of arrays, in sections.

``params/...`` and ``best/...`` hold params, ``optimizer/...``, ``stopping/...``
and ``plateau/...`` the states of those, ``train/epoch`` and ``train/step`` how
many of each are done, ``train/key`` the key of the run, ``train/watches`` what
it watches (0 the loss, 1 the validation loss, 2 what a ``monitor`` says),
``train/monitored`` the last value of that and ``train/before/...`` what stopping
knew before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypedDict

import numpy as np

from nnfunc.pieces.norms import statistics_among
from nnfunc.values.arrays import as_real, lasting
from nnfunc.values.checks import as_size, describe, problem, require
from nnfunc.values.keys import key_path
from nnfunc.values.params import check_names, mapped, section
from nnfunc.values.types import AnyArray, Key, Params, State

Report = TypedDict(
    "Report",
    {
        "epoch": int, "epochs": int, "step": int, "loss": float, "validation_loss": float | None,
        "metrics": dict[str, float], "lr": float, "grad_norm": float, "seconds": float, "rows_per_second": float,
    },
)

StepReport = TypedDict("StepReport", {"epoch": int, "step": int, "steps": int, "loss": float, "lr": float})
Progress = TypedDict("Progress", {"epoch": int, "step": int, "stopped": bool})

_WORD_BITS = 32
_ROOT_WORDS = 4
_COUNTS = ("train/epoch", "train/step")
_OWN = (*_COUNTS, "train/key")
_IN_LINE = ("epoch", "loss", "validation_loss", "metrics", "lr", "grad_norm", "rows_per_second")


def current_params(state: State) -> Params:
    """Return the params in a training state.

    Raises:
        TypeError, ValueError: `state` is no training state.

    Example:
        >>> from nnfunc import dense, mse, train
        >>> params = {"W": np.ones((1, 1)), "b": np.zeros(1)}
        >>> state, _ = next(train(dense(1, 1), mse, params, [[1.0]], [[2.0]], epochs=1, lr=0.25))
        >>> dict(current_params(state))
        {'W': array([[1.5]]), 'b': array([0.5])}
    """
    _check_run_state("current_params", state)
    return mapped(lasting, section(state, "params"))


def best_params(state: State) -> Params:
    """Return the params of the last epoch that improved what is monitored.

    `train` monitors the validation loss, or without validation data the
    training loss, or what its `monitor` says. What an improvement is, `stopping`
    says: without one, any value below all before, so these are the params of
    the lowest; with a ``min_delta``, a later value that is lower by less than
    that does not count. As long as no epoch has improved (every monitored value
    was NaN), these are the current params.

    Raises:
        TypeError, ValueError: `state` is no training state.

    Example:
        >>> from nnfunc import dense, mse, train
        >>> params = {"W": np.ones((1, 1)), "b": np.zeros(1)}
        >>> for state, report in train(dense(1, 1), mse, params, [[1.0]], [[2.0]], epochs=2, lr=1.0):
        ...     print(report["loss"], dict(current_params(state)))  # the second step goes too far
        1.0 {'W': array([[3.]]), 'b': array([2.])}
        9.0 {'W': array([[-3.]]), 'b': array([-4.])}
        >>> dict(best_params(state))
        {'W': array([[3.]]), 'b': array([2.])}
    """
    _check_run_state("best_params", state)
    return mapped(lasting, section(state, "best") or section(state, "params"))


def averaged_params(state: State) -> Params:
    """Return the average of the params that an optimiser made by `averaged` keeps, from its state or from that of a run.

    A batch norm's statistics are not in it: ``calibrate(net, averaged_params(state), x)``.

    Raises:
        TypeError, ValueError: `state` is of no such optimiser, or it is inside another one.

    Example:
        >>> from nnfunc import averaged, dense, mse, sgd, train
        >>> params = {"W": np.zeros((1, 1)), "b": np.zeros(1)}
        >>> optimizer = averaged(sgd(), 0.5)
        >>> for state, report in train(dense(1, 1), mse, params, [[1.0]], [[4.0]], epochs=2, lr=0.125, optimizer=optimizer):
        ...     print(current_params(state)["b"], averaged_params(state)["b"])  # (0.5 * 1 + 1.5) / 1.5
        [1.] [1.]
        [1.5] [1.33333333]
    """
    check_names("averaged_params", "state", state)
    path = "optimizer/" * _is_run_state(state)
    found, counts = section(state, f"{path}average"), section(state, f"{path}t")
    if not found or found.keys() != counts.keys():
        paths = [path for path, middle, _ in (name.partition("/average/") for name in state) if middle]
        inside = next((path for path in paths if section(state, f"{path}/t")), "")
        hint = f" (select(state, {inside!r}) is that of one inside another)" if inside else ""
        constraint = f"be that of an optimiser averaged(...), or of a run with it{hint}"
        raise ValueError(problem("averaged_params", "state", constraint, f"a mapping of {describe(list(state))}"))
    arrays = {name: as_real("averaged_params", f"state['{path}average/{name}']", array) for name, array in found.items()}
    # Statistics that were never averaged are those from before the first step.
    old = [name for name in statistics_among(tuple(found)) if not np.any(counts[name])]
    return mapped(lasting, {name: array for name, array in arrays.items() if name not in old})


def progress(state: State) -> Progress:
    """Return how far a run is: how many epochs and steps are done, and whether `stopping` has ended it.

    Raises:
        TypeError, ValueError: `state` is no training state.

    Example:
        >>> from nnfunc import dense, mse, train
        >>> params = {"W": np.ones((1, 1)), "b": np.zeros(1)}
        >>> state, _ = next(train(dense(1, 1), mse, params, [[1.0], [2.0]], [[2.0], [3.0]], epochs=1, lr=0.1, size=1))
        >>> progress(state)
        {'epoch': 1, 'step': 2, 'stopped': False}
    """
    _check_run_state("progress", state)
    epoch, step = (int(state[name]) for name in _COUNTS)
    return {"epoch": epoch, "step": step, "stopped": bool(section(state, "stopping").get("stop", False))}


def progress_line(report: Report) -> str:
    """Return a report of `train` as one line.

    Raises:
        TypeError, ValueError: `report` is no report of `train`.

    Example:
        >>> print(progress_line({"epoch": 3, "epochs": 40, "step": 90, "loss": 0.51, "validation_loss": 0.62,
        ...     "metrics": {"accuracy": 0.875}, "lr": 0.1, "grad_norm": 1.25, "seconds": 0.02, "rows_per_second": 48000.0}))
        epoch   3  loss 0.5100  validation loss 0.6200  accuracy 0.8750  lr 0.1  |g| 1.25  48,000 rows/s
    """
    is_mapping = hasattr(report, "keys")
    require(is_mapping, "progress_line", "report", "be one that train yields", kind=TypeError, value=report)
    missing = [name for name in _IN_LINE if name not in report]
    constraint = f"hold {', '.join(missing)}, as one that train yields"
    require(not missing, "progress_line", "report", constraint, list(report))
    parts = [f"epoch {report['epoch']:3d}", f"loss {report['loss']:.4f}"]
    if report["validation_loss"] is not None:
        parts.append(f"validation loss {report['validation_loss']:.4f}")
    parts.extend(f"{name} {value:.4f}" for name, value in report["metrics"].items())
    parts += [f"lr {report['lr']:.4g}", f"|g| {report['grad_norm']:.3g}", f"{report['rows_per_second']:,.0f} rows/s"]
    return "  ".join(parts)


def _is_run_state(state: Mapping[str, AnyArray]) -> bool:
    """Say whether a mapping is a training state, and not params.

    One name of a state's own is not enough: a layer called ``train`` may have a
    parameter called ``epoch``.
    """
    return hasattr(state, "keys") and not _missing(state)


def _check_run_state(function: str, state: State) -> None:
    """Raise unless `state` is a training state."""
    require(hasattr(state, "keys"), function, "state", "be one that train yields", kind=TypeError, value=state)
    missing = _missing(state)
    if missing:
        what = f", which holds {', '.join(missing)}" if any(name in state for name in _OWN) else ""
        got = f"a mapping of {describe(list(state))}"
        raise ValueError(problem(function, "state", f"be one that train yields{what}", got))
    for name, array in state.items():
        is_array = isinstance(array, np.ndarray)
        require(is_array, function, f"state[{name!r}]", "be an array", kind=TypeError, value=array)
    for name in _COUNTS:
        is_count = state[name].shape == () and state[name].dtype.kind in "iu"
        require(is_count, function, f"state[{name!r}]", "be a count", state[name], TypeError)
        as_size(function, f"state[{name!r}]", state[name].item(), least=0)


def resumed(function: str, params: Params | State) -> State | None:
    """Return the training state to go on from, whole and never to change, or none if these are params.

    Params are all floats. What has one of a state's counts is a state, even if
    it is a damaged one.

    Example:
        >>> resumed("train", {"W": np.zeros(1)}) is None
        True
        >>> resumed("train", {"params/W": np.zeros(1), "train/epoch": np.asarray(1)})
        Traceback (most recent call last):
        ...
        ValueError: train: state must be one that train yields, which holds train/step, train/key, stopping/...,
        got a mapping of ['params/W', 'train/epoch']
    """
    if not hasattr(params, "keys"):
        return None
    held = {name: params[name] for name in _OWN if name in params}
    counted = any(isinstance(array, np.ndarray) and array.dtype.kind in "iu" for array in held.values())
    if not counted and not _is_run_state(params):
        return None
    _check_run_state(function, params)
    return mapped(lasting, dict(params))


def _missing(state: State) -> list[str]:
    """Return what a training state has and this mapping lacks."""
    watched = any(str(name).startswith("stopping/") for name in state)
    return [name for name in _OWN if name not in state] + ([] if watched else ["stopping/..."])


def packed(sections: Mapping[str, State]) -> State:
    """Return sections, whose arrays can never change, as one state.

    Example:
        >>> list(packed({"params": {"W": np.ones(1)}, "train": {"epoch": np.asarray(0)}}))
        ['params/W', 'train/epoch']
    """
    return MappingProxyType({f"{name}/{short}": a for name, values in sections.items() for short, a in values.items()})


def unpacked(state: State) -> dict[str, State]:
    """Return a state as its sections, which `packed` makes a state of.

    Example:
        >>> unpacked({"params/hidden/W": np.ones(1), "train/epoch": np.asarray(0)})
        {'params': {'hidden/W': array([1.])}, 'train': {'epoch': array(0)}}
    """
    sections: dict[str, dict[str, AnyArray]] = {}
    for full, array in state.items():
        name, _, short = full.partition("/")
        sections.setdefault(name, {})[short] = array
    return dict(sections)


def key_words(function: str, key: Key) -> AnyArray:
    """Return a key as an array: four words of 32 bits for its root, one for each further step.

    Example:
        >>> key_words("train", (5, 7))
        array([5, 0, 0, 0, 7], dtype=uint32)
    """
    root, *path = key_path(function, key)
    words = [(root >> (_WORD_BITS * i)) % 2**_WORD_BITS for i in range(_ROOT_WORDS)]
    return np.array([*words, *path], dtype=np.uint32)
