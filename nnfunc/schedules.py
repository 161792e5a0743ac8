"""Schedules: pure functions from a step to a value, most often a learning rate.

Step 0 is the first update, an end value is held, and the result is a Python
float, which upcasts nothing. Names and signatures are optax's. Wherever a
learning rate is taken by `train`, a float or a schedule will do; a schedule of
one's own is any function ``step -> float``.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import SupportsFloat, SupportsIndex

from nnfunc.bounds import above_zero
from nnfunc.checks import as_number, as_size, describe, problem
from nnfunc.types import Schedule


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
    init_value: SupportsFloat,
    end_value: SupportsFloat,
    power: SupportsFloat,
    transition_steps: SupportsIndex,
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
    function: str,
    init_value: SupportsFloat,
    end_value: SupportsFloat,
    power: float,
    transition_steps: SupportsIndex,
    transition_begin: SupportsIndex,
) -> Schedule:
    ends = as_number(function, "init_value", init_value), as_number(function, "end_value", end_value)
    length = as_size(function, "transition_steps", transition_steps, bits=62)
    begin = as_size(function, "transition_begin", transition_begin, least=0, bits=62)
    return partial(_polynomial, function, *ends, power, length, begin)


def _polynomial(
    function: str, init_value: float, end_value: float, power: float, length: int, begin: int, step: SupportsIndex
) -> float:
    done = min(max(at_step(function, step) - begin, 0), length) / length
    return end_value + (init_value - end_value) * math.pow(1 - done, power) if done < 1 else end_value


def exponential_decay(
    init_value: SupportsFloat,
    transition_steps: SupportsIndex,
    decay_rate: SupportsFloat,
    transition_begin: SupportsIndex = 0,
    staircase: bool = False,
    end_value: SupportsFloat | None = None,
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
    rate = above_zero(name, "decay_rate", decay_rate)
    return partial(
        _exponential,
        as_number(name, "init_value", init_value),
        as_size(name, "transition_steps", transition_steps, bits=62),
        rate,
        as_size(name, "transition_begin", transition_begin, least=0, bits=62),
        staircase,
        None if end_value is None else as_number(name, "end_value", end_value),
    )


def _exponential(
    init_value: float, length: int, rate: float, begin: int, staircase: bool, end: float | None, step: SupportsIndex
) -> float:
    done = max(at_step("exponential_decay", step) - begin, 0)
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
    if not hasattr(given, "items"):
        raise TypeError(problem(name, "boundaries_and_scales", "be a mapping of steps to scales", describe(given)))
    cuts = [
        (as_size(name, "boundaries_and_scales", cut, least=0, bits=62), as_number(name, "boundaries_and_scales", scale))
        for cut, scale in given.items()
    ]
    return partial(_piecewise, as_number(name, "init_value", init_value), tuple(sorted(cuts)))


def _piecewise(init_value: float, cuts: tuple[tuple[int, float], ...], step: SupportsIndex) -> float:
    now = at_step("piecewise_constant_schedule", step)
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
    return cosine_to(name, first, first * share, as_size(name, "decay_steps", decay_steps, bits=62), exponent)


def cosine_to(function: str, init_value: float, end_value: float, length: int, exponent: SupportsFloat = 1.0) -> Schedule:
    """Return the schedule that goes from `init_value` to `end_value` along half a cosine.

    Example:
        >>> [round(cosine_to("schedule", 0.0, 1.0, 2)(step), 9) for step in range(4)]
        [0.0, 0.5, 1.0, 1.0]
    """
    power = above_zero(function, "exponent", exponent)
    return partial(_cosine, function, init_value, end_value, length, power)


def _cosine(function: str, init_value: float, end_value: float, length: int, power: float, step: SupportsIndex) -> float:
    done = min(at_step(function, step), length) / length
    return end_value + (init_value - end_value) * math.pow(0.5 * (1 + math.cos(math.pi * done)), power)


def at_step(function: str, step: SupportsIndex) -> int:
    """Return a step as an int of at least 0.

    Example:
        >>> at_step("schedule", 3)
        3
    """
    return as_size(function, "step", step, least=0, bits=1 << 20)
