"""Schedules and monitors: values of optax and PyTorch, hand-worked runs, Python floats out."""

import math
import pickle

import numpy as np
import pytest

from nnfunc import (
    Monitor,
    Schedule,
    State,
    constant_schedule,
    cosine_decay_schedule,
    cosine_onecycle_schedule,
    early_stopping,
    exponential_decay,
    join_schedules,
    linear_schedule,
    piecewise_constant_schedule,
    polynomial_schedule,
    reduce_on_plateau,
    warmup_cosine_decay_schedule,
)

# Values at steps 0, 1, 2, ..., by optax 0.2.8 or by hand.
GOLDEN: list[tuple[Schedule, list[float]]] = [
    (constant_schedule(0.3), [0.3, 0.3, 0.3]),
    (linear_schedule(1, 0.5, 4), [1, 0.875, 0.75, 0.625, 0.5, 0.5]),
    (linear_schedule(1, 0, 2, 3), [1, 1, 1, 1, 0.5, 0, 0]),
    (polynomial_schedule(1, 0.1, 2, 4), [1, 0.60625, 0.325, 0.15625, 0.1, 0.1]),
    (exponential_decay(1, 2, 0.5), [1, 0.7071067811865476, 0.5, 0.3535533905932738, 0.25]),
    (exponential_decay(1, 2, 0.5, staircase=True), [1, 1, 0.5, 0.5, 0.25]),
    (exponential_decay(1, 1, 0.5, 2, end_value=0.3), [1, 1, 1, 0.5, 0.3, 0.3]),
    (exponential_decay(1, 1, 2.0, end_value=3), [1, 2, 3, 3]),
    (piecewise_constant_schedule(1, {4: 0.1, 2: 0.1}), [1, 1, 0.1, 0.1, 0.01, 0.01]),
    (piecewise_constant_schedule(2), [2, 2]),
    (cosine_decay_schedule(1, 4, alpha=0.1), [1, 0.8681980515, 0.55, 0.2318019485, 0.1, 0.1]),
    (cosine_decay_schedule(1, 2, exponent=2), [1, 0.25, 0, 0]),
    (warmup_cosine_decay_schedule(0, 1, 2, 6), [0, 0.5, 1, 0.8535533906, 0.5, 0.1464466094, 0, 0]),
    (warmup_cosine_decay_schedule(0, 1, 0, 2, 0.5), [1, 0.75, 0.5, 0.5]),
    (
        cosine_onecycle_schedule(10, 1),
        [0.04, 0.28, 0.76, 1, 0.950485, 0.811746, 0.611262, 0.388742, 0.188258, 0.049519, 4e-6, 4e-6],
    ),
    (join_schedules([constant_schedule(1), linear_schedule(3, 1, 2), constant_schedule(7)], [1, 4]), [1, 3, 2, 1, 7, 7]),
]


@pytest.mark.parametrize("case", range(len(GOLDEN)))
def test_values(case: int) -> None:
    schedule, expected = GOLDEN[case]
    found = [schedule(step) for step in range(len(expected))]
    assert found == pytest.approx(expected, abs=1e-6)
    assert {type(value) for value in found} == {float}
    assert [schedule(np.int64(step).item()) for step in range(len(expected))] == found
    assert [pickle.loads(pickle.dumps(schedule))(step) for step in range(len(expected))] == found
    assert math.isfinite(schedule(10**9))


def test_numpy_numbers_go_in_and_python_floats_come_out() -> None:
    schedule = linear_schedule(np.float64(1), np.float32(0), np.int32(4))
    assert type(schedule(1)) is float
    assert type(piecewise_constant_schedule(np.float64(1), {1: np.float64(0.5)})(3)) is float


def test_exponential_decay_far_out() -> None:
    assert exponential_decay(0.0, 1, 2.0)(5000) == 0
    assert exponential_decay(1.0, 1, 2.0)(5000) == math.inf
    for staircase in (False, True):
        assert exponential_decay(1.0, 1, 0.5, staircase=staircase)(10**400) == 0
        assert exponential_decay(-1.0, 1, 2.0, staircase=staircase)(10**400) == -math.inf
        assert exponential_decay(3.0, 1, 1.0, staircase=staircase)(10**400) == 3


# Monitors


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
