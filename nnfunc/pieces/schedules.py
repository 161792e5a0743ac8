"""Schedules: pure functions from a step to a value, most often a learning rate.

Step 0 is the first update, an end value is held, and the result is a Python
float, which upcasts nothing. Names and signatures are optax's. Wherever a
learning rate is taken by `train`, a float or a schedule will do; a schedule of
one's own is any function ``step -> float``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import SupportsFloat, SupportsIndex

from nnfunc.values.checks import above_zero, as_flag, as_float, as_number, as_size, as_tuple, check_callable, require
from nnfunc.values.types import Schedule


def constant_schedule(value: SupportsFloat) -> Schedule:
    """Return the schedule that is `value` at every step.

    Raises:
        TypeError, ValueError: `value` is not a finite number.

    Example:
        >>> constant_schedule(0.1)(1000)
        0.1
    """
    held = as_number("constant_schedule", "value", value)
    return partial(_polynomial, "constant_schedule", held, held, 1.0, 1, 0)


def linear_schedule(
    init_value: SupportsFloat, end_value: SupportsFloat, transition_steps: SupportsIndex, transition_begin: SupportsIndex = 0
) -> Schedule:
    """Return the schedule that goes in a straight line from `init_value` to `end_value`.

    Args:
        init_value: the value up to step `transition_begin`.
        end_value: the value from step ``transition_begin + transition_steps`` on.
        transition_steps: at least 1.
        transition_begin: at least 0.

    Raises:
        TypeError, ValueError: a value is not finite, or a number of steps out of range.

    Example:
        >>> [linear_schedule(1.0, 0.0, 4)(step) for step in range(6)]
        [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """
    return _to_end("linear_schedule", init_value, end_value, 1.0, transition_steps, transition_begin)


def polynomial_schedule(
    init_value: SupportsFloat, end_value: SupportsFloat, power: SupportsFloat, transition_steps: SupportsIndex,
    transition_begin: SupportsIndex = 0,
) -> Schedule:
    """Return the schedule end + (init - end) (1 - s)^power, s going from 0 to 1 in `transition_steps`.

    Args:
        power: above 0; the others as for `linear_schedule`, which has power 1.

    Raises:
        TypeError, ValueError: as `linear_schedule`, or `power` is not above 0.

    Example:
        >>> [round(polynomial_schedule(1.0, 0.1, 2, 4)(step), 5) for step in range(6)]
        [1.0, 0.60625, 0.325, 0.15625, 0.1, 0.1]
    """
    exponent = above_zero("polynomial_schedule", "power", power)
    return _to_end("polynomial_schedule", init_value, end_value, exponent, transition_steps, transition_begin)


def _to_end(
    function: str, init_value: SupportsFloat, end_value: SupportsFloat, power: float, transition_steps: SupportsIndex,
    transition_begin: SupportsIndex,
) -> Schedule:
    ends = as_number(function, "init_value", init_value), as_number(function, "end_value", end_value)
    length = as_size(function, "transition_steps", transition_steps, bits=62)
    begin = as_size(function, "transition_begin", transition_begin, least=0, bits=62)
    return partial(_polynomial, function, *ends, power, length, begin)


def _polynomial(
    function: str, init_value: float, end_value: float, power: float, length: int, begin: int, step: SupportsIndex
) -> float:
    done = min(max(_at(function, step) - begin, 0), length) / length
    return end_value + (init_value - end_value) * math.pow(1 - done, power) if done < 1 else end_value


def exponential_decay(
    init_value: SupportsFloat, transition_steps: SupportsIndex, decay_rate: SupportsFloat,
    transition_begin: SupportsIndex = 0, staircase: bool = False, end_value: SupportsFloat | None = None,
) -> Schedule:
    """Return the schedule init_value * decay_rate^(step / transition_steps).

    Args:
        init_value: the value up to step `transition_begin`.
        transition_steps: steps for one factor of `decay_rate`, at least 1.
        decay_rate: above 0.
        transition_begin: at least 0.
        staircase: whether the exponent is rounded down.
        end_value: where the value stays once it gets there; none for no end.

    Raises:
        TypeError, ValueError: a value is not finite, or out of range.

    Example:
        >>> [exponential_decay(1.0, 2, 0.5, staircase=True)(step) for step in range(5)]
        [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    name = "exponential_decay"
    return partial(
        _exponential, as_number(name, "init_value", init_value),
        as_size(name, "transition_steps", transition_steps, bits=62), above_zero(name, "decay_rate", decay_rate),
        as_size(name, "transition_begin", transition_begin, least=0, bits=62), as_flag(name, "staircase", staircase),
        None if end_value is None else as_number(name, "end_value", end_value),
    )


def _exponential(
    init_value: float, length: int, rate: float, begin: int, staircase: bool, end: float | None, step: SupportsIndex
) -> float:
    done = max(_at("exponential_decay", step) - begin, 0)
    try:
        factor = rate ** (done // length if staircase else done / length)
    except OverflowError:
        factor = math.inf if rate > 1 else float(rate == 1)
    value = init_value * factor if init_value else 0.0  # 0 stays 0, even times an overflow
    if end is not None:
        value = max(value, end) if rate < 1 else min(value, end)
    return value


def piecewise_constant_schedule(
    init_value: SupportsFloat, boundaries_and_scales: Mapping[int, SupportsFloat] | None = None
) -> Schedule:
    """Return the schedule that is multiplied by a scale at each boundary, from that step on.

    Args:
        init_value: the value before the first boundary.
        boundaries_and_scales: steps of at least 0, each with its factor.

    Raises:
        TypeError, ValueError: a value is not finite, or a boundary negative.

    Example:
        >>> schedule = piecewise_constant_schedule(1.0, {2: 0.5, 4: 0.5})
        >>> [schedule(step) for step in range(6)]
        [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """
    name = "piecewise_constant_schedule"
    given = {} if boundaries_and_scales is None else boundaries_and_scales
    is_mapping = isinstance(given, Mapping)
    require(is_mapping, name, "boundaries_and_scales", "be a mapping of steps to scales", kind=TypeError, value=given)
    cuts = [
        (as_size(name, "boundaries_and_scales", cut, least=0, bits=62), as_number(name, "boundaries_and_scales", scale))
        for cut, scale in given.items()
    ]
    return partial(_piecewise, as_number(name, "init_value", init_value), tuple(sorted(cuts)))


def _piecewise(init_value: float, cuts: tuple[tuple[int, float], ...], step: SupportsIndex) -> float:
    now = _at("piecewise_constant_schedule", step)
    value = init_value
    for cut, scale in cuts:
        value *= scale if cut <= now else 1.0
    return value


def cosine_decay_schedule(
    init_value: SupportsFloat, decay_steps: SupportsIndex, alpha: SupportsFloat = 0.0, exponent: SupportsFloat = 1.0
) -> Schedule:
    """Return the schedule init_value ((1 - alpha) ((1 + cos(pi s)) / 2)^exponent + alpha), s from 0 to 1.

    Args:
        init_value: the value at step 0.
        decay_steps: steps until the end, at least 1.
        alpha: the end value as a share of the first.
        exponent: above 0.

    Raises:
        TypeError, ValueError: a value is not finite, or out of range.

    Example:
        >>> [round(cosine_decay_schedule(1.0, 4, 0.1)(step), 4) for step in range(6)]
        [1.0, 0.8682, 0.55, 0.2318, 0.1, 0.1]

    Reference:
        Loshchilov & Hutter (2017), equation 5.
    """
    name = "cosine_decay_schedule"
    first, share = as_number(name, "init_value", init_value), as_number(name, "alpha", alpha)
    return _cosine_to(name, first, first * share, as_size(name, "decay_steps", decay_steps, bits=62), exponent)


def _cosine_to(
    function: str, init_value: float, end_value: float, length: int, exponent: SupportsFloat = 1.0
) -> Schedule:
    """Return the schedule that goes from `init_value` to `end_value` along half a cosine."""
    return partial(_cosine, function, init_value, end_value, length, above_zero(function, "exponent", exponent))


def _cosine(function: str, init_value: float, end_value: float, length: int, power: float, step: SupportsIndex) -> float:
    done = min(_at(function, step), length) / length
    return end_value + (init_value - end_value) * math.pow(0.5 * (1 + math.cos(math.pi * done)), power)


def _at(function: str, step: SupportsIndex) -> int:
    """Return a step as an int of at least 0."""
    return as_size(function, "step", step, least=0, bits=1 << 20)


def warmup_cosine_decay_schedule(
    init_value: SupportsFloat, peak_value: SupportsFloat, warmup_steps: SupportsIndex, decay_steps: SupportsIndex,
    end_value: SupportsFloat = 0.0, exponent: SupportsFloat = 1.0,
) -> Schedule:
    """Return the schedule that rises in a straight line to a peak and falls along a cosine.

    Args:
        init_value: the value at step 0.
        peak_value: the value at step `warmup_steps`.
        warmup_steps: at least 0.
        decay_steps: steps of both parts together, above `warmup_steps`.
        end_value: held from step `decay_steps` on.
        exponent: of the cosine part, as in `cosine_decay_schedule`.

    Raises:
        TypeError, ValueError: a value is not finite, or out of range.

    Example:
        >>> [round(warmup_cosine_decay_schedule(0.0, 1.0, 2, 6)(step), 4) for step in range(8)]
        [0.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 0.0, 0.0]
    """
    name = "warmup_cosine_decay_schedule"
    warm = as_size(name, "warmup_steps", warmup_steps, least=0, bits=62)
    total = as_size(name, "decay_steps", decay_steps, bits=62)
    require(total > warm, name, "decay_steps", f"be above warmup_steps, which it includes and which are {warm}", total)
    first, peak = as_number(name, "init_value", init_value), as_number(name, "peak_value", peak_value)
    fall = _cosine_to(name, peak, as_number(name, "end_value", end_value), total - warm, exponent)
    return join_schedules([linear_schedule(first, peak, warm), fall], [warm]) if warm else fall


def cosine_onecycle_schedule(
    transition_steps: SupportsIndex, peak_value: SupportsFloat, pct_start: SupportsFloat = 0.3,
    div_factor: SupportsFloat = 25.0, final_div_factor: SupportsFloat = 1e4,
) -> Schedule:
    """Return the schedule that rises along a cosine to a peak and falls along a longer one.

    Args:
        transition_steps: steps of the whole cycle, at least 2.
        peak_value: the value at step ``int(pct_start * transition_steps)``.
        pct_start: share of the steps that rise, in (0, 1) and at least one step.
        div_factor: the first value is ``peak_value / div_factor``; above 0.
        final_div_factor: the last value is the first over this; above 0.

    Raises:
        TypeError, ValueError: a value is not finite, or out of range.

    Example:
        >>> [round(cosine_onecycle_schedule(10, 1.0)(step), 3) for step in (0, 1, 2, 3, 4, 10)]
        [0.04, 0.28, 0.76, 1.0, 0.95, 0.0]

    Reference:
        Smith & Topin (2018), "Super-convergence".
    """
    name = "cosine_onecycle_schedule"
    total = as_size(name, "transition_steps", transition_steps, least=2, bits=62)
    peak = as_number(name, "peak_value", peak_value)
    rise = int(as_number(name, "pct_start", pct_start) * total)
    require(0 < rise < total, name, "pct_start", f"leave steps of {total} to rise and to fall", pct_start)
    factors = as_number(name, "div_factor", div_factor), as_number(name, "final_div_factor", final_div_factor)
    require(min(factors) > 0, name, "div_factor and final_div_factor", "be above 0", factors)
    first = peak / factors[0]
    parts = [_cosine_to(name, first, peak, rise), _cosine_to(name, peak, first / factors[1], total - rise)]
    return join_schedules(parts, [rise])


def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[SupportsIndex]) -> Schedule:
    """Return the schedules one after another; each counts its steps from its own start.

    Args:
        schedules: at least one.
        boundaries: the step at which each but the first starts, rising.

    Raises:
        TypeError, ValueError: there is no schedule, or not one boundary less, or they do not rise.

    Example:
        >>> schedule = join_schedules([constant_schedule(1.0), linear_schedule(0.5, 0.0, 2)], [2])
        >>> [schedule(step) for step in range(5)]
        [1.0, 1.0, 0.5, 0.25, 0.0]
    """
    name = "join_schedules"
    parts = as_tuple(name, "schedules", schedules, "schedules")
    starts = as_tuple(name, "boundaries", boundaries, "steps")
    cuts = tuple(as_size(name, "boundaries", start, least=0, bits=62) for start in starts)
    for part in parts:
        check_callable(name, "schedules", part, "step -> float", 1, Schedule)
    one_more = len(parts) == len(cuts) + 1
    require(one_more, name, "schedules", f"be one more than the {len(cuts)} boundaries", len(parts))
    require(all(a < b for a, b in zip(cuts, cuts[1:], strict=False)), name, "boundaries", "rise", list(cuts))
    return partial(_joined, parts, cuts)


def _joined(parts: tuple[Schedule, ...], cuts: tuple[int, ...], step: SupportsIndex) -> float:
    now = _at("join_schedules", step)
    reached = sum(cut <= now for cut in cuts)
    value = parts[reached](now - cuts[reached - 1] if reached else now)
    return as_float("join_schedules", f"the value of schedule {reached}", value)
