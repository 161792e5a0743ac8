"""Check what goes along with the steps of a run against the laws: schedules and monitors."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from functools import partial

import numpy as np

from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged, not_applicable, stumbled
from nnfunc.testing.purity import bits, purity_laws
from nnfunc.values.checks import as_number, as_size, check_callable, check_pair
from nnfunc.values.params import freeze
from nnfunc.values.types import Monitor, Schedule, State


# Metrics of a run: they fall, stay, rise, stay up for long, and are no numbers; then they fall again.
_METRICS = (
    1.0, 0.5, 0.5, 2.0, math.nan, 0.25, math.inf, 0.125, *(3.0, 0.125, math.nan, 0.5) * 30, 0.0625, *(4.0,) * 20,
    -1.0, -1.0, -0.5, math.nan, math.inf,
)


def check_schedule(
    schedule: Schedule, values: Mapping[int, float] | None = None, *, steps: int = 100, bounded: bool = True,
    report: bool = False,
) -> list[LawResult]:
    """Check that a schedule ``step -> float`` keeps the laws.

    Laws:
        a Python number, finite and at least 0, at every step from 0 on, also
        far beyond the end; purity; the same value whatever steps were asked
        for before, and for a step that is a NumPy integer, if it is taken; the
        values that are expected.

    Args:
        schedule: the function; step 0 is the first update.
        values: what it must give at some steps. Without them, nothing can
            tell a schedule from the same one that is a step late.
        steps: how many steps to try, from 0 on.
        bounded: False declares that it grows without end, and is meant for
            `steps` steps alone.
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
    tried = [*range(count), *([10 * count, 1000 * count] if bounded else [])]
    seen: dict[int, float] = {}
    laws: list[Law] = [
        ("form", partial(_numbers, schedule, tried, seen, count)), *purity_laws(schedule, (3,), ("step",)),
        ("order of calls", partial(_any_order, schedule, seen)), ("values", partial(_values, schedule, expected)),
    ]
    return judged("check_schedule", laws, report)


def _numbers(schedule: Schedule, steps: list[int], seen: dict[int, float], count: int) -> Verdict:
    """Check that every step has a value that can be a learning rate, and note the values in `seen`."""
    for step in steps:
        subject = f"the value at step {step}"
        declared = "bounded=False" if step >= count else ""
        try:
            value = schedule(step)
        except Exception as error:
            got = f"{type(error).__name__}: {error}"
            cause = "the end value is not held"
            breach(subject, "be there, as at every step from 0 on", got, cause, declared_by=declared)
        if type(value) not in (float, int):
            cause = "np.cos and the like give NumPy scalars, which upcast float32: use math, or float()"
            cause = cause if isinstance(value, (np.generic, np.ndarray)) else ""
            breach(subject, "be a Python float", f"{value!r}, {type(value).__name__}", cause)
        if not (math.isfinite(value) and value >= 0):
            breach(subject, "be finite and at least 0", value, "the end value is not held", declared_by=declared)
        seen[step] = value
    return "pass", f"steps 0 to {steps[-1]}"


def _any_order(schedule: Schedule, seen: Mapping[int, float]) -> Verdict:
    """Check that neither the steps asked for before nor the kind of integer matter."""
    for step in [*reversed(list(seen)), *seen]:
        got = schedule(step)
        if got != seen[step]:
            cause = "it counts its own calls; a schedule is a function of the step alone"
            breach(f"the value at step {step}", f"be {seen[step]:g} whatever was asked before", f"{got!r}", cause)
        try:
            other = float(next(map(schedule, np.array([step]))))
        except Exception:
            continue
        if not math.isclose(other, seen[step], rel_tol=1e-9, abs_tol=1e-300):
            cause = "integer arithmetic that overflows, or a step of another type taken for none"
            breach(f"the value at step np.int64({step})", f"be {seen[step]:g} too", f"{other:g}", cause)
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
        form: a flat state of arrays, of numbers, with the same names, shapes
        and dtypes after each update; purity, for a metric that is better, worse
        or NaN, though arrays of the state may be handed back; a sequence of
        metrics gives the same states again, also from a state that was stored,
        and whatever was watched in between; NaN is no error, and never the
        ``best``; ``best`` never rises and is never below what was seen;
        ``improved`` tells of no worse metric, and ``stop`` does not stand at
        the start.

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
    form: Law = ("form", partial(_monitor_form, monitor))
    try:
        # Before anything else, as a count that is kept elsewhere shows only until it is full.
        first = bits(_states(monitor, monitor[0](), _METRICS))
        held = dict(monitor[1](monitor[0](), 1.0))
    except Exception as error:
        return judged("check_monitor", [form, stumbled(error)], report)
    laws: list[Law] = [
        form,
        *(
            law for metric, which in ((0.5, ""), (2.0, "worse"), (1.0, "equal"), (math.nan, "NaN"))
            for law in purity_laws(monitor[1], (held, metric), ("state", "metric"), which)
            if not law[0].startswith("no aliasing") and (not which or law[0].startswith(("arg", "same")))
        ),
        ("sequences", partial(_sequences, monitor, first)), ("NaN", partial(_nan_is_never_best, monitor)),
        ("best", partial(_told, monitor)),
    ]
    return judged("check_monitor", laws, report)


def _monitor_form(monitor: Monitor) -> Verdict:
    """A flat state of arrays of numbers, which keep their names, shapes and dtypes."""
    init, update = monitor
    state = init()
    if not isinstance(state, Mapping):
        breach("init's state", "be a flat mapping of names to arrays", state)
    for name, array in state.items():
        if not isinstance(array, (np.ndarray, np.generic)) or array.dtype.kind not in "fiub":
            cause = "a state is stored: np.asarray makes an array of a number"
            breach(f"init's state[{name!r}]", "be an array of numbers", array, cause)
    for metric in _METRICS:
        after = update(state, metric)
        if not isinstance(after, Mapping) or set(after) != set(state):
            breach("update's state", f"have the names of init's ({', '.join(state)})", after)
        for name, array in after.items():
            given = np.asarray(state[name])
            if not isinstance(array, np.ndarray) or (array.dtype, array.shape) != (given.dtype, given.shape):
                breach(f"update's state[{name!r}]", f"stay a {given.dtype} array of shape {given.shape}", array)
        state = after
    return "pass", f"state of {len(state)} arrays"


def _nan_is_never_best(monitor: Monitor) -> Verdict:
    """NaN is no error, and never the best."""
    init, update = monitor
    state: State = init()
    for metric in (math.nan, 1.0, math.nan):
        state = update(state, metric)
        if math.isnan(metric) and "improved" in state and bool(state["improved"]):
            breach("improved after NaN", "be False", True)
    if "best" not in state:
        return not_applicable("no best in the state")
    if float(state["best"]) != 1.0:
        cause = "a comparison with NaN is False either way; ask whether the metric is less, not if it is no less"
        breach("best after NaN, 1 and NaN", "be 1", float(state["best"]), cause)
    return "pass", ""


def _states(monitor: Monitor, start: State, metrics: tuple[float, ...]) -> list[State]:
    """Return a state and those that metrics make of it, one after another."""
    found = [start]
    for metric in metrics:
        found.append(monitor[1](found[-1], metric))
    return found


def _sequences(monitor: Monitor, first: object) -> Verdict:
    """The same metrics give the same states, whatever was watched in between, and from a state that was stored."""
    init, _ = monitor
    found, cause = _states(monitor, init(), _METRICS), "something that decides is kept outside of the state"
    for between in ((), (9.0,) * 40, (0.5, 0.25) * 20):
        _states(monitor, init(), between)
        if bits(_states(monitor, init(), _METRICS)) != first or bits(found) != first:
            breach("the same metrics", "give the same states again", "others", cause)
    for i in range(0, len(_METRICS), 7):
        stored: State = freeze({n: np.asarray(a) for n, a in pickle.loads(pickle.dumps(dict(found[i]))).items()})
        if bits(_states(monitor, stored, _METRICS[i : i + 20])[1:]) != bits(found[i + 1 : i + 21]):
            breach("a state", "go on the same when it was stored and read again", "other states", cause)
    return "pass", f"{len(_METRICS)} metrics"


def _told(monitor: Monitor) -> Verdict:
    """Best never rises, improved tells of no worse metric, and stop does not stand at the start."""
    start = monitor[0]()
    known = [name for name in ("best", "improved", "stop") if name in start]
    if not known:
        return not_applicable("no best, improved or stop in the state")
    if "stop" in start and bool(start["stop"]):
        breach("stop", "not stand before the first metric", True)
    lowest, best = math.inf, math.inf
    for metric, state in zip(_METRICS, _states(monitor, start, _METRICS)[1:], strict=True):
        worse = not metric < lowest
        lowest = min(lowest, metric) if not math.isnan(metric) else lowest
        if "best" in state:
            now = float(state["best"])
            if now > best or now < lowest or math.isnan(now):
                cause = "the lower the better: of what should rise, the negative is watched"
                constraint = f"not rise, and not be below {lowest:g}, the lowest so far"
                breach(f"best after {metric:g}", constraint, f"{now:g} after {best:g}", cause)
            best = now
        if worse and "improved" in state and bool(state["improved"]):
            breach(f"improved after {metric:g}", f"be False, as {lowest:g} was seen before", True)
    return "pass", ", ".join(known)
