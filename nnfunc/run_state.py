"""The state of a training run: one flat immutable dict of arrays, in sections.

``params/...`` and ``best/...`` hold params, ``optimizer/...``, ``stopping/...``
and ``plateau/...`` the states of those, ``train/epoch`` and ``train/step`` how
many of each are done, ``train/key`` the key of the run.
"""

from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from nnfunc.checks import describe, lasting, problem
from nnfunc.keys import key_path
from nnfunc.params import sealed
from nnfunc.types import AnyArray, Array, Key, Params, State

Report = TypedDict(
    "Report",
    {
        "epoch": int,
        "step": int,
        "loss": float,
        "validation_loss": float | None,
        "metrics": dict[str, float],
        "lr": float,
        "grad_norm": float,
        "seconds": float,
        "rows_per_second": float,
    },
)

_WORD_BITS = 32
_ROOT_WORDS = 4


def current_params(state: State) -> Params:
    """Return the params in a training state.

    Raises:
        TypeError, ValueError: `state` is no training state.

    Example:
        >>> dict(current_params({"train/epoch": np.asarray(1), "params/W": np.ones(1)}))
        {'W': array([1.])}
    """
    check_run_state("current_params", state)
    return section(state, "params")


def best_params(state: State) -> Params:
    """Return the params of the best epoch so far: that of the lowest monitored value.

    `train` monitors the validation loss, or without validation data the
    training loss, or what its `monitor` says. Before any epoch has improved on
    nothing at all (each monitored value was NaN), these are the current params.

    Raises:
        TypeError, ValueError: `state` is no training state.

    Example:
        >>> state = {"train/epoch": np.asarray(1), "params/W": np.ones(1), "best/W": np.zeros(1)}
        >>> dict(best_params(state))
        {'W': array([0.])}
    """
    check_run_state("best_params", state)
    return section(state, "best") or section(state, "params")


def progress_line(report: Report) -> str:
    """Return a report of `train` as one line.

    Example:
        >>> print(progress_line({"epoch": 3, "step": 90, "loss": 0.51, "validation_loss": 0.62,
        ...     "metrics": {"accuracy": 0.875}, "lr": 0.1, "grad_norm": 1.25, "seconds": 0.02, "rows_per_second": 48000.0}))
        epoch   3  loss 0.5100  validation loss 0.6200  accuracy 0.8750  lr 0.1  |g| 1.25  48,000 rows/s
    """
    parts = [f"epoch {report['epoch']:3d}", f"loss {report['loss']:.4f}"]
    if report["validation_loss"] is not None:
        parts.append(f"validation loss {report['validation_loss']:.4f}")
    parts.extend(f"{name} {value:.4f}" for name, value in report["metrics"].items())
    parts += [f"lr {report['lr']:.4g}", f"|g| {report['grad_norm']:.3g}", f"{report['rows_per_second']:,.0f} rows/s"]
    return "  ".join(parts)


def is_run_state(state: Mapping[str, AnyArray]) -> bool:
    """Say whether a mapping is a training state, and not params.

    Example:
        >>> is_run_state({"W": np.zeros(1)})
        False
    """
    return hasattr(state, "keys") and "train/epoch" in state


def check_run_state(function: str, state: State) -> None:
    """Raise unless `state` is a training state.

    Example:
        >>> check_run_state("best_params", {"W": np.zeros(1)})
        Traceback (most recent call last):
        ...
        ValueError: best_params: state must be one that train yields, got a mapping of ['W']
    """
    if not hasattr(state, "keys"):
        raise TypeError(problem(function, "state", "be one that train yields", describe(state)))
    if not is_run_state(state):
        raise ValueError(problem(function, "state", "be one that train yields", f"a mapping of {describe(list(state))}"))


def section(state: State, name: str) -> dict[str, Array]:
    """Return a section of a state, under the names it has there.

    Example:
        >>> section({"params/a/W": np.ones(1), "train/epoch": np.asarray(0)}, "params")
        {'a/W': array([1.])}
    """
    return {full[len(name) + 1 :]: array for full, array in state.items() if full.startswith(name + "/")}


def packed(sections: Mapping[str, State]) -> State:
    """Return sections as one state.

    Example:
        >>> list(packed({"params": {"W": np.ones(1)}, "train": {"epoch": np.asarray(0)}}))
        ['params/W', 'train/epoch']
    """
    return sealed({f"{name}/{short}": lasting(a) for name, values in sections.items() for short, a in values.items()})


def key_words(function: str, key: Key) -> AnyArray:
    """Return a key as an array: four words of 32 bits for its root, one for each further step.

    Example:
        >>> key_words("train", (5, 7))
        array([5, 0, 0, 0, 7], dtype=uint32)
    """
    root, *path = key_path(function, key)
    words = [(root >> (_WORD_BITS * i)) % 2**_WORD_BITS for i in range(_ROOT_WORDS)]
    return np.array([*words, *path], dtype=np.uint32)
