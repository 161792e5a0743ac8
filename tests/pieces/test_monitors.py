"""Monitors: values of PyTorch 2.13, hand-worked runs, states that travel."""

import math
import pickle

import numpy as np
import pytest

from nnfunc import Monitor, State, early_stopping, reduce_on_plateau
from tests.numeric import bad
from tests.samples import X
from tests.sentences import Cases, assert_sentence


def watch(monitor: Monitor, metrics: list[float]) -> list[State]:
    init, update = monitor
    states = [init()]
    for metric in metrics:
        states.append(update(states[-1], metric))
    return states[1:]


def test_early_stopping_by_hand() -> None:
    states = watch(early_stopping(patience=2, min_delta=0.1), [1.0, 0.95, 0.85, 0.8, 0.76, 0.1])
    assert [bool(s["improved"]) for s in states] == [True, False, True, False, False, True]
    assert [int(s["wait"]) for s in states] == [0, 1, 0, 1, 2, 0]
    assert [bool(s["stop"]) for s in states] == [False, False, False, False, True, True]  # once said, it stays
    assert [float(s["best"]) for s in states] == [1.0, 1.0, 0.85, 0.85, 0.85, 0.1]


def test_an_improvement_by_exactly_min_delta_is_none() -> None:
    assert [bool(s["improved"]) for s in watch(early_stopping(5, 0.5), [1.0, 0.5, 0.25])] == [True, False, True]
    assert [bool(s["improved"]) for s in watch(early_stopping(5), [1.0, 1.0])] == [True, False]


def test_nan_and_infinity_never_improve() -> None:
    states = watch(early_stopping(patience=3), [math.nan, math.inf, 2.0, math.nan, math.nan, math.nan])
    assert [bool(s["improved"]) for s in states] == [False, False, True, False, False, False]
    assert bool(states[-1]["stop"])
    assert float(states[-1]["best"]) == 2
    plateau = watch(reduce_on_plateau(0.5, patience=0), [math.nan, 1.0, math.nan])
    assert [float(s["scale"]) for s in plateau] == [0.5, 0.5, 0.25]


def test_reduce_on_plateau_as_pytorch() -> None:
    # ReduceLROnPlateau(factor=0.5, patience=1, threshold=0.1, cooldown=2) on an lr of 1, PyTorch 2.13
    metrics = [1.0, 0.95, 0.94, 0.94, 0.94, 0.94, 0.94, 0.5, 0.46, 0.46, 0.44, 0.44, 0.44, 0.44, 0.44]
    states = watch(reduce_on_plateau(0.5, patience=1, rtol=0.1, cooldown=2), metrics)
    expected = [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.125, 0.125, 0.125]
    assert [float(s["scale"]) for s in states] == expected


def test_reduce_on_plateau_stays_above_its_minimum() -> None:
    states = watch(reduce_on_plateau(0.1, patience=0, min_scale=0.05), [1.0] * 5)
    assert [float(s["scale"]) for s in states] == [1.0, 0.1, 0.05, 0.05, 0.05]
    assert watch(reduce_on_plateau(0.1, patience=0, atol=0.5, rtol=0), [2.0, 1.6])[-1]["scale"] == pytest.approx(0.1)


def test_states_are_frozen_flat_and_survive_pickling() -> None:
    for monitor in (early_stopping(), reduce_on_plateau()):
        state = watch(monitor, [1.0, 2.0])[-1]
        assert all(isinstance(a, np.ndarray) and not a.flags.writeable for a in state.values())
        back = pickle.loads(pickle.dumps(state))
        assert {n: a.tolist() for n, a in monitor[1](back, 3.0).items()} == {
            n: a.tolist() for n, a in monitor[1](state, 3.0).items()
        }


WATCHED = early_stopping()[0]()
BAD: Cases = {
    "metric too large for a float": (
        lambda: early_stopping()[1](WATCHED, 10**400),
        ValueError,
        r"early_stopping: metric must be a number that a float .*, got 1000.*",
    ),
    "best a text": (
        lambda: early_stopping()[1]({**WATCHED, "best": bad("x")}, 1.0),
        TypeError,
        r"early_stopping: state\['best'\] must be a single number, got 'x'",
    ),
    "wait nan": (
        lambda: early_stopping()[1]({**WATCHED, "wait": np.asarray(np.nan)}, 1.0),
        TypeError,
        r"early_stopping: state\['wait'\] must be a single integer, got float64 array of shape \(\)",
    ),
    "scale an array": (
        lambda: reduce_on_plateau()[1]({**reduce_on_plateau()[0](), "scale": X}, 1.0),
        TypeError,
        r"reduce_on_plateau: state\['scale'\] must be a single number, got float32 array of shape \(5, 4\)",
    ),
    "patience of 0": (lambda: early_stopping(0), ValueError, r"early_stopping: patience must be at least 1, got 0"),
    "min_delta below 0": (
        lambda: early_stopping(3, -1),
        ValueError,
        r"early_stopping: min_delta must be finite and at least 0, got -1.0",
    ),
    "state empty": (
        lambda: early_stopping()[1]({}, 1.0),
        ValueError,
        r"early_stopping: state must hold best, wait, improved, stop, got \[\]",
    ),
    "metric a text": (
        lambda: early_stopping()[1](early_stopping()[0](), bad("x")),
        TypeError,
        r"early_stopping: metric must be a number, got 'x'",
    ),
    "factor of 1": (
        lambda: reduce_on_plateau(factor=1),
        ValueError,
        r"reduce_on_plateau: factor must lie in \[0, 1\), got 1.0",
    ),
    "patience below 0": (
        lambda: reduce_on_plateau(patience=-1),
        ValueError,
        r"reduce_on_plateau: patience must be at least 0, got -1",
    ),
    "state of another monitor": (
        lambda: reduce_on_plateau()[1](early_stopping()[0](), 1.0),
        ValueError,
        r"reduce_on_plateau: state must hold scale, .*, got .*",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
