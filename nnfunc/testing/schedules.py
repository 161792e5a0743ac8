"""Check what goes along with the steps of a run against the laws: schedules and monitors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import numpy as np

from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged, stumbled
from nnfunc.testing.purity import purity_laws
from nnfunc.values.checks import as_number, as_size, check_callable, check_pair
from nnfunc.values.types import Monitor, Schedule, State


def check_schedule(
    schedule: Schedule, values: Mapping[int, float] | None = None, *, steps: int = 100, report: bool = False
) -> list[LawResult]:
    """Check that a schedule ``step -> float`` keeps the laws.

    Laws:
        a Python number, finite and at least 0, at every step from 0 on, also
        far beyond the end; purity; the same value whatever steps were asked
        for before; the values that are expected.

    Args:
        schedule: the function; step 0 is the first update.
        values: what it must give at some steps. Without them, nothing can
            tell a schedule from the same one that is a step late.
        steps: how many steps to try, from 0 on.
        report: print a table of all laws, and raise nothing.

    Returns, Raises:
        As `check_layer`.

    Example:
        >>> from nnfunc import linear_schedule
        >>> results = check_schedule(linear_schedule(1.0, 0.0, 4), {0: 1.0, 1: 0.75, 4: 0.0, 5: 0.0})
        >>> {result["status"] for result in results}
        {'pass'}
        >>> check_schedule(lambda step: 0.5 ** (step + 1), {0: 1.0, 1: 0.5})
        Traceback (most recent call last):
        ...
        AssertionError: check_schedule: the value at step 0 must be 1, got 0.5
          usual cause: the count is off by one: step 0 gives what is due at step 1
          law: values
    """
    check_callable("check_schedule", "schedule", schedule, "of a step")
    count = as_size("check_schedule", "steps", steps)
    expected = {
        as_size("check_schedule", "values", step, 0): as_number("check_schedule", "values", value)
        for step, value in (values or {}).items()
    }
    tried = [*range(count), 10 * count, 1000 * count]
    seen: dict[int, float] = {}
    laws: list[Law] = [
        ("form", partial(_numbers, schedule, tried, seen)), *purity_laws(schedule, (3,), ("step",)),
        ("order of calls", partial(_any_order, schedule, seen)), ("values", partial(_values, schedule, expected)),
    ]
    return judged("check_schedule", laws, report)


def _numbers(schedule: Schedule, steps: list[int], seen: dict[int, float]) -> Verdict:
    """Check that every step has a value that can be a learning rate, and note the values in `seen`."""
    for step in steps:
        subject = f"the value at step {step}"
        try:
            value = schedule(step)
        except Exception as error:
            got = f"{type(error).__name__}: {error}"
            breach(subject, "be there, as at every step from 0 on", got, "the end value is not held")
        if type(value) not in (float, int):
            cause = "np.cos and the like give NumPy scalars, which upcast float32: use math, or float()"
            cause = cause if isinstance(value, (np.generic, np.ndarray)) else ""
            breach(subject, "be a Python float", f"{value!r}, {type(value).__name__}", cause)
        if not (math.isfinite(value) and value >= 0):
            breach(subject, "be finite and at least 0", value, "the end value is not held")
        seen[step] = value
    return "pass", f"steps 0 to {steps[-1]}"


def _any_order(schedule: Schedule, seen: Mapping[int, float]) -> Verdict:
    """Check that the steps asked for before do not matter."""
    for step in [*reversed(list(seen)), *seen]:
        got = schedule(step)
        if got != seen[step]:
            cause = "it counts its own calls; a schedule is a function of the step alone"
            breach(f"the value at step {step}", f"be {seen[step]:g} whatever was asked before", f"{got!r}", cause)
    return "pass", "up and down"


def _values(schedule: Schedule, expected: Mapping[int, float]) -> Verdict:
    """Check the values that are expected, and tell a count that is off by one."""
    for step, value in expected.items():
        got = schedule(step)
        if math.isclose(got, value, rel_tol=1e-6, abs_tol=1e-12):
            continue
        for other in (step + 1, step - 1):
            due = other in expected and math.isclose(got, expected[other], rel_tol=1e-6)
            if due or (other >= 0 and math.isclose(schedule(other), value, rel_tol=1e-6)):
                cause = f"the count is off by one: step {step} gives what is due at step {other}"
                cause = cause if due else f"the count is off by one: step {other} gives it"
                breach(f"the value at step {step}", f"be {value:g}", f"{got:g}", cause)
        breach(f"the value at step {step}", f"be {value:g}", f"{got:g}")
    return ("pass", f"{len(expected)} steps") if expected else ("not applicable", "no values given")


def check_monitor(monitor: Monitor, *, report: bool = False) -> list[LawResult]:
    """Check that a monitor ``(init, update)`` keeps the laws.

    Laws:
        form: a flat state of arrays, with the same names, shapes and dtypes
        after each update; purity; NaN is no error, and never the ``best``.

    Args:
        monitor: the pair.
        report: print a table of all laws, and raise nothing.

    Returns, Raises:
        As `check_layer`.

    Example:
        >>> from nnfunc import early_stopping
        >>> results = check_monitor(early_stopping(patience=3))
        >>> {result["status"] for result in results}
        {'pass'}
    """
    check_pair("check_monitor", "monitor", monitor, "(init, update)", Monitor)
    init, update = monitor

    def form() -> Verdict:
        state = init()
        for metric in (1.0, 0.5, math.nan, math.inf, 0.25, 0.5, 0.5):
            after = update(state, metric)
            if not isinstance(after, Mapping) or set(after) != set(state):
                breach("update's state", f"have the names of init's ({', '.join(state)})", after)
            for name, array in after.items():
                given = np.asarray(state[name])
                if not isinstance(array, np.ndarray) or (array.dtype, array.shape) != (given.dtype, given.shape):
                    breach(f"update's state[{name!r}]", f"stay a {given.dtype} array of shape {given.shape}", array)
            state = after
        return "pass", f"state of {len(state)} arrays"

    def nan_is_never_best() -> Verdict:
        state: State = init()
        for metric in (math.nan, 1.0, math.nan):
            state = update(state, metric)
        if "best" in state and float(state["best"]) != 1.0:
            cause = (
                "a comparison with NaN is False either way; ask whether the metric is less, not whether it is no less"
            )
            breach("best after NaN, 1 and NaN", "be 1", float(state["best"]), cause)
        return "pass", ""

    try:
        held = dict(update(init(), 1.0))
    except Exception as error:
        return judged("check_monitor", [("form", form), stumbled(error)], report)
    laws: list[Law] = [
        ("form", form), *purity_laws(update, (held, 0.5), ("state", "metric")), ("NaN", nan_is_never_best),
    ]
    return judged("check_monitor", laws, report)
