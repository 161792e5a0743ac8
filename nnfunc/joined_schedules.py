"""Schedules made of schedules: one after another, and the two usual shapes with a warm-up."""

from collections.abc import Sequence
from functools import partial
from typing import SupportsFloat, SupportsIndex

from nnfunc.bounds import as_tuple
from nnfunc.checks import as_number, as_size, check_callable, problem
from nnfunc.schedules import at_step, cosine_to, linear_schedule
from nnfunc.types import Schedule


def warmup_cosine_decay_schedule(
    init_value: SupportsFloat,
    peak_value: SupportsFloat,
    warmup_steps: SupportsIndex,
    decay_steps: SupportsIndex,
    end_value: SupportsFloat = 0.0,
    exponent: SupportsFloat = 1.0,
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
    if total <= warm:
        constraint = f"be above warmup_steps, which it includes and which are {warm}"
        raise ValueError(problem(name, "decay_steps", constraint, total))
    first, peak, last = (
        as_number(name, argument, value)
        for argument, value in (("init_value", init_value), ("peak_value", peak_value), ("end_value", end_value))
    )
    fall = cosine_to(name, peak, last, total - warm, exponent)
    return join_schedules([linear_schedule(first, peak, warm), fall], [warm]) if warm else fall


def cosine_onecycle_schedule(
    transition_steps: SupportsIndex,
    peak_value: SupportsFloat,
    pct_start: SupportsFloat = 0.3,
    div_factor: SupportsFloat = 25.0,
    final_div_factor: SupportsFloat = 1e4,
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
    total, peak = (
        as_size(name, "transition_steps", transition_steps, least=2, bits=62),
        as_number(name, "peak_value", peak_value),
    )
    rise = int(as_number(name, "pct_start", pct_start) * total)
    if not 0 < rise < total:
        raise ValueError(problem(name, "pct_start", f"leave steps of {total} to rise and to fall", pct_start))
    factors = as_number(name, "div_factor", div_factor), as_number(name, "final_div_factor", final_div_factor)
    if min(factors) <= 0:
        raise ValueError(problem(name, "div_factor and final_div_factor", "be above 0", factors))
    first = peak / factors[0]
    parts = [cosine_to(name, first, peak, rise), cosine_to(name, peak, first / factors[1], total - rise)]
    return join_schedules(parts, [rise])


def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[SupportsIndex]) -> Schedule:
    """Return the schedules one after another; each counts its steps from its own start.

    Args:
        schedules: at least one.
        boundaries: the step at which each but the first starts, rising.

    Raises:
        TypeError, ValueError: there is no schedule, or not one boundary less, or they do not rise.

    Example:
        >>> from nnfunc.schedules import constant_schedule
        >>> schedule = join_schedules([constant_schedule(1.0), linear_schedule(0.5, 0.0, 2)], [2])
        >>> [schedule(step) for step in range(5)]
        [1.0, 1.0, 0.5, 0.25, 0.0]
    """
    name = "join_schedules"
    parts = as_tuple(name, "schedules", schedules, "schedules")
    cuts = tuple(
        as_size(name, "boundaries", cut, least=0, bits=62) for cut in as_tuple(name, "boundaries", boundaries, "steps")
    )
    for part in parts:
        check_callable(name, "schedules", part, "step -> float")
    if len(parts) != len(cuts) + 1:
        raise ValueError(problem(name, "schedules", f"be one more than the {len(cuts)} boundaries", len(parts)))
    if any(b <= a for a, b in zip(cuts, cuts[1:], strict=False)):
        raise ValueError(problem(name, "boundaries", "rise", list(cuts)))
    return partial(_joined, parts, cuts)


def _joined(parts: tuple[Schedule, ...], cuts: tuple[int, ...], step: SupportsIndex) -> float:
    now = at_step("join_schedules", step)
    reached = sum(cut <= now for cut in cuts)
    return float(parts[reached](now - cuts[reached - 1] if reached else now))
