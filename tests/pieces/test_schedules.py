"""Schedules: values of optax, hand-worked ones, Python floats out."""

import math
import pickle

import numpy as np
import pytest

from nnfunc import (
    Schedule,
    constant_schedule,
    cosine_decay_schedule,
    cosine_onecycle_schedule,
    exponential_decay,
    join_schedules,
    linear_schedule,
    piecewise_constant_schedule,
    polynomial_schedule,
    warmup_cosine_decay_schedule,
)
from tests.numeric import bad
from tests.sentences import Cases, assert_sentence

# Values at steps 0, 1, 2, ..., by optax 0.2.8 or by hand.
GOLDEN: dict[str, tuple[Schedule, list[float]]] = {
    "constant": (constant_schedule(0.3), [0.3, 0.3, 0.3]),
    "linear": (linear_schedule(1, 0.5, 4), [1, 0.875, 0.75, 0.625, 0.5, 0.5]),
    "linear, begun later": (linear_schedule(1, 0, 2, 3), [1, 1, 1, 1, 0.5, 0, 0]),
    "polynomial": (polynomial_schedule(1, 0.1, 2, 4), [1, 0.60625, 0.325, 0.15625, 0.1, 0.1]),
    "exponential": (exponential_decay(1, 2, 0.5), [1, 0.7071067811865476, 0.5, 0.3535533905932738, 0.25]),
    "exponential staircase": (exponential_decay(1, 2, 0.5, staircase=True), [1, 1, 0.5, 0.5, 0.25]),
    "exponential, begun later, with an end": (exponential_decay(1, 1, 0.5, 2, end_value=0.3), [1, 1, 1, 0.5, 0.3, 0.3]),
    "exponential that grows to an end": (exponential_decay(1, 1, 2.0, end_value=3), [1, 2, 3, 3]),
    "piecewise": (piecewise_constant_schedule(1, {4: 0.1, 2: 0.1}), [1, 1, 0.1, 0.1, 0.01, 0.01]),
    "piecewise without boundaries": (piecewise_constant_schedule(2), [2, 2]),
    "cosine to an alpha": (cosine_decay_schedule(1, 4, alpha=0.1), [1, 0.8681980515, 0.55, 0.2318019485, 0.1, 0.1]),
    "cosine with an exponent": (cosine_decay_schedule(1, 2, exponent=2), [1, 0.25, 0, 0]),
    "warm-up and cosine": (
        warmup_cosine_decay_schedule(0, 1, 2, 6),
        [0, 0.5, 1, 0.8535533906, 0.5, 0.1464466094, 0, 0],
    ),
    "warm-up of no steps": (warmup_cosine_decay_schedule(0, 1, 0, 2, 0.5), [1, 0.75, 0.5, 0.5]),
    "one cycle": (
        cosine_onecycle_schedule(10, 1),
        [0.04, 0.28, 0.76, 1, 0.950485, 0.811746, 0.611262, 0.388742, 0.188258, 0.049519, 4e-6, 4e-6],
    ),
    "joined": (
        join_schedules([constant_schedule(1), linear_schedule(3, 1, 2), constant_schedule(7)], [1, 4]),
        [1, 3, 2, 1, 7, 7],
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_values(name: str) -> None:
    schedule, expected = GOLDEN[name]
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


STEADY = constant_schedule(1)
BAD: Cases = {
    "transition_steps below 0": (
        lambda: linear_schedule(1, 0, -3),
        ValueError,
        r"linear_schedule: transition_steps must be at least 1, got -3",
    ),
    "transition_begin below 0": (
        lambda: linear_schedule(1, 0, 3, -1),
        ValueError,
        r"linear_schedule: transition_begin must be at least 0, got -1",
    ),
    "value nan": (
        lambda: linear_schedule(np.nan, 0, 3),
        ValueError,
        r"linear_schedule: init_value must be finite, got nan",
    ),
    "step below 0": (
        lambda: constant_schedule(1)(-1),
        ValueError,
        r"constant_schedule: step must be at least 0, got -1",
    ),
    "power of 0": (
        lambda: polynomial_schedule(1, 0, 0, 3),
        ValueError,
        r"polynomial_schedule: power must be above 0, got 0.0",
    ),
    "no decay steps": (
        lambda: exponential_decay(1, 0, 0.5),
        ValueError,
        r"exponential_decay: transition_steps must be at least 1, got 0",
    ),
    "decay_rate of 0": (
        lambda: exponential_decay(1, 2, 0),
        ValueError,
        r"exponential_decay: decay_rate must be above 0, got 0.0",
    ),
    "boundary below 0": (
        lambda: piecewise_constant_schedule(1, {-1: 0.5}),
        ValueError,
        r"piecewise_constant_schedule: bound.* at least 0, got -1",
    ),
    "boundaries a list": (
        lambda: piecewise_constant_schedule(1, bad([1])),
        TypeError,
        r"piecewise_constant_schedule: bound.* be a mapping .*",
    ),
    "decay_steps below 0": (
        lambda: cosine_decay_schedule(1, -5),
        ValueError,
        r"cosine_decay_schedule: decay_steps must be at least 1, got -5",
    ),
    "exponent of 0": (
        lambda: cosine_decay_schedule(1, 5, exponent=0),
        ValueError,
        r"cosine_decay_schedule: exponent must be above 0, got 0.0",
    ),
    "no steps after the warm-up": (
        lambda: warmup_cosine_decay_schedule(0, 1, 5, 5),
        ValueError,
        r"warmup_cosine_.*: decay_steps must be above warmup_steps.*, got 5",
    ),
    "cycle without a rise": (
        lambda: cosine_onecycle_schedule(10, 1, 0.01),
        ValueError,
        r"cosine_onecycle_schedule: pct_start must leave .*, got 0.01",
    ),
    "div_factor of 0": (
        lambda: cosine_onecycle_schedule(10, 1, 0.3, 0),
        ValueError,
        r"cosine_onecycle_schedule: div_factor and .* above 0, got .*",
    ),
    "no schedules": (
        lambda: join_schedules([], []),
        ValueError,
        r"join_schedules: schedules must be one more than the 0 boundaries, got 0",
    ),
    "boundaries that fall": (
        lambda: join_schedules([STEADY] * 3, [5, 2]),
        ValueError,
        r"join_schedules: boundaries must rise, got \[5, 2\]",
    ),
    "schedule a number": (
        lambda: join_schedules(bad([0.1]), []),
        TypeError,
        r"join_schedules: schedules must be a function step -> float, got 0.1",
    ),
    "schedules None": (
        lambda: join_schedules(bad(None), [1]),
        TypeError,
        r"join_schedules: schedules must be a sequence of schedules, got None",
    ),
    "boundaries a number": (
        lambda: join_schedules([STEADY] * 2, bad(1)),
        TypeError,
        r"join_schedules: boundaries must be a sequence of steps, got 1",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
