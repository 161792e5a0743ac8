"""Checking what goes along with the steps of a run: schedules, monitors, and initialisers, which stand at its start."""

import math
from collections.abc import Mapping
from functools import partial

import numpy as np

from nnfunc.checks import FLOAT32, FLOAT64, as_number, as_size, check_callable, problem
from nnfunc.testing.samples import looks_drawn
from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged, stumbled
from nnfunc.testing.purity import bits, purity_laws
from nnfunc.types import Initializer, Key, Monitor, Schedule, State


def check_schedule(
    schedule: Schedule, values: Mapping[int, float] | None = None, *, steps: int = 100, report: bool = False
) -> list[LawResult]:
    """Check that a schedule ``step -> float`` keeps the laws.

    Laws:
        a Python number, finite and at least 0, at every step from 0 on, far
        beyond the end too; purity; the same value whatever steps were asked
        for before; the values that are expected.

    Args:
        schedule: the function; step 0 is the first update.
        values: what it must give at some steps. Without them nothing can tell
            a schedule from the same one a step late.
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
    name = "check_schedule"
    count = as_size(name, "steps", steps)
    expected = {as_size(name, "values", at, 0): as_number(name, "values", v) for at, v in (values or {}).items()}
    tried = [*range(count), 10 * count, 1000 * count]
    seen: dict[int, float] = {}
    laws: list[Law] = [
        ("form", partial(_numbers, schedule, tried, seen)),
        *purity_laws(schedule, (3,), ("step",)),
        ("order of calls", partial(_any_order, schedule, seen)),
        ("values", partial(_values, schedule, expected)),
    ]
    return judged("check_schedule", laws, report)


def _numbers(schedule: Schedule, steps: list[int], seen: dict[int, float]) -> Verdict:
    for step in steps:
        try:
            value = schedule(step)
        except Exception as error:
            got = f"{type(error).__name__}: {error}"
            breach(
                f"the value at step {step}", "be there, as at every step from 0 on", got, "the end value is not held"
            )
        if type(value) not in (float, int):
            scalar = isinstance(value, (np.generic, np.ndarray))
            cause = (
                "np.cos and the like give NumPy scalars, which upcast float32: use math, or float()" if scalar else ""
            )
            breach(f"the value at step {step}", "be a Python float", f"{value!r}, {type(value).__name__}", cause)
        if not (math.isfinite(value) and value >= 0):
            breach(f"the value at step {step}", "be finite and at least 0", value, "the end value is not held")
        seen[step] = value
    return "pass", f"steps 0 to {steps[-1]}"


def _any_order(schedule: Schedule, seen: Mapping[int, float]) -> Verdict:
    for step in [*reversed(list(seen)), *seen]:
        got = schedule(step)
        if got != seen[step]:
            cause = "it counts its own calls; a schedule is a function of the step alone"
            breach(f"the value at step {step}", f"be {seen[step]:g} whatever was asked before", f"{got!r}", cause)
    return "pass", "up and down"


def _values(schedule: Schedule, expected: Mapping[int, float]) -> Verdict:
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
        form: a flat state of arrays, of the same names, shapes and dtypes
        after each update; purity; NaN is no error and never the ``best``.

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
    if not (isinstance(monitor, tuple) and len(monitor) == 2 and all(map(callable, monitor))):
        raise TypeError(problem("check_monitor", "monitor", "be a pair of functions (init, update)", monitor))
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
        if "best" in state and not float(state["best"]) == 1.0:
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
        ("form", form),
        *purity_laws(update, (held, 0.5), ("state", "metric")),
        ("NaN", nan_is_never_best),
    ]
    return judged("check_monitor", laws, report)


def check_initializer(
    initializer: Initializer,
    shape: tuple[int, ...] = (40, 30),
    *,
    std: float | None = None,
    report: bool = False,
) -> list[LawResult]:
    """Check that an initialiser ``(key, shape, dtype) -> array`` keeps the laws.

    Laws:
        form: the shape and dtype asked for, finite; purity; a new array at
        each call; what looks drawn differs from key to key, whatever part of
        the key differs; float64 and float32 start at the same point; the
        standard deviation that is expected.

    Args:
        initializer: the function.
        shape: to try it with.
        std: what the standard deviation must be; none does not look.
        report: print a table of all laws, and raise nothing.

    Returns, Raises:
        As `check_layer`.

    Example:
        >>> from nnfunc import he_normal
        >>> results = check_initializer(he_normal, std=(2 / 40) ** 0.5)
        >>> {result["status"] for result in results}
        {'pass'}
    """
    check_callable("check_initializer", "initializer", initializer, "(key, shape, dtype) -> array")
    laws: list[Law] = [
        ("form", partial(_initial_form, initializer, shape)),
        *purity_laws(initializer, ((0, 1), shape, FLOAT32), ("key", "shape", "dtype")),
        ("new arrays", partial(_new_arrays, initializer, shape)),
        ("keys", partial(_initial_keys, initializer, shape)),
        ("dtype", partial(_same_point, initializer, shape)),
        ("spread", partial(_spread, initializer, shape, std)),
    ]
    return judged("check_initializer", laws, report)


def _initial_form(initializer: Initializer, shape: tuple[int, ...]) -> Verdict:
    for dtype in (FLOAT32, FLOAT64):
        for asked in (shape, tuple(reversed(shape))):
            for key in (0, 7, (0, 1)):
                array = initializer(key, asked, dtype)
                if not isinstance(array, np.ndarray) or array.shape != asked:
                    breach(
                        "the result",
                        f"have the shape {asked} asked for",
                        array,
                        "fan-in and fan-out the wrong way round",
                    )
                if array.dtype != dtype:
                    breach(
                        "the result", f"have the dtype {dtype} asked for", str(array.dtype), "end with .astype(dtype)"
                    )
                if not np.isfinite(array).all():
                    breach("the result", "be finite", "nan or inf")
    return "pass", f"{shape}, float32 and float64"


def _new_arrays(initializer: Initializer, shape: tuple[int, ...]) -> Verdict:
    first, second = initializer(0, shape, FLOAT64), initializer(0, shape, FLOAT64)
    if np.shares_memory(first, second):
        breach("the result", "be a new array at each call", "the same memory twice", "a kept array is returned")
    return "pass", ""


def _initial_keys(initializer: Initializer, shape: tuple[int, ...]) -> Verdict:
    if not looks_drawn(initializer(0, shape, FLOAT64)):
        return "pass", "draws nothing"
    groups: tuple[tuple[Key, ...], ...] = (
        (0, 1, 2),
        ((0, 0), (0, 1), (0, 2)),
        ((0, 1, 0), (0, 1, 1)),
        ((1, 5), (2, 5)),
    )
    for keys in groups:
        found = {bits(initializer(key, shape, FLOAT64)) for key in keys}
        if len(found) < len(keys):
            got = f"the same for two of {', '.join(map(str, keys))}"
            breach("the result", "differ from key to key", got, "the key, or a part of it, is ignored")
    return "pass", "differs from key to key"


def _same_point(initializer: Initializer, shape: tuple[int, ...]) -> Verdict:
    single, double = initializer(0, shape, FLOAT32), initializer(0, shape, FLOAT64)
    if not np.allclose(single, double, rtol=1e-5, atol=1e-6 * float(np.max(np.abs(double), initial=0))):
        breach("float32 numbers", "be the float64 ones, rounded", "others", "draw in float64, then astype(dtype)")
    return "pass", "float32 is float64, rounded"


def _spread(initializer: Initializer, shape: tuple[int, ...], std: float | None) -> Verdict:
    if std is None:
        return "pass", "no standard deviation given"
    values = np.concatenate([initializer(key, shape, FLOAT64).ravel() for key in range(20)])
    found, far = float(np.std(values)), float(np.mean((values - values.mean()) ** 4))
    error = math.sqrt(max(far - found**4, 0.0) / values.size) / (2 * max(found, 1e-300))
    if abs(found - std) > 6 * error + 1e-9 * std:
        cause = "fan-in in place of fan-out, a variance in place of a deviation, or a factor left out"
        breach("the standard deviation", f"be {std:.4g}", f"{found:.4g}", cause)
    return "pass", f"{found:.4g}"
