"""Laws of an optimiser that show over many steps: what it remembers, how it starts, where it arrives."""

import math

import numpy as np

from nnfunc.checks import locked
from nnfunc.keys import generator
from nnfunc.params import freeze
from nnfunc.testing.laws import Verdict, breach
from nnfunc.testing.purity import bits
from nnfunc.types import Optimizer, Params, State

# Two layers whose parameters share their short names, and their shapes.
_SHAPES = {"hidden/W": (3, 2), "hidden/b": (2,), "out/W": (3, 2), "out/b": (2,)}
_RATES = (0.1, 0.01, 1.0, 0.001, 10.0, 100.0, 1e-4)
_DESCENT_STEPS = 1500
_DESCENT = 1e-2


def draw(seed: int, dtype: type[np.floating] = np.float64) -> Params:
    """Return params, or gradients, drawn from a seed.

    Example:
        >>> [name for name in draw(0)]
        ['hidden/W', 'hidden/b', 'out/W', 'out/b']
    """
    numbers = generator((6, seed))
    return freeze({name: numbers.normal(size=shape).astype(dtype) for name, shape in _SHAPES.items()})


def run(optimizer: Optimizer, params: Params, seeds: range, state: State | None = None) -> tuple[Params, State]:
    """Take one step for each seed, whose gradients are drawn from it.

    Example:
        >>> from nnfunc import sgd
        >>> len(run(sgd(), draw(0), range(1, 3))[0])
        4
    """
    init, step = optimizer
    state = init(params) if state is None else state
    for seed in seeds:
        params, state = step(params, {name: draw(seed)[name] for name in params}, state, 0.1)
    return params, state


def memory(optimizer: Optimizer) -> Verdict:
    """Try that each slot of the state matters: to the params, or to what it is itself later.

    Example:
        >>> from nnfunc import momentum
        >>> memory(momentum())
        ('pass', '4 arrays')
    """
    params, state = run(optimizer, draw(0), range(1, 4))
    later, after = run(optimizer, params, range(4, 17), state)
    fresh = optimizer[0](draw(0))
    if not state:
        return "pass", "no state"
    for name, array in state.items():
        still = bits(array) == bits(after[name]) == bits(fresh[name])
        if still and (array.dtype.kind in "iu" or not np.any(array)):
            breach(
                f"state[{name!r}]", "change from step to step", "what init made of it", "the new value is not returned"
            )
        if array.dtype.kind != "f" or not array.size:
            continue
        probes = (array * 1.5 + 0.125, -array, array[..., ::-1] * 3.0 if array.ndim else array * 3.0)
        others = [{**state, name: locked(np.array(probe, array.dtype))} for probe in probes]
        if all(bits(run(optimizer, params, range(4, 17), other)) == bits((later, after)) for other in others):
            cause = "what was noted is not read again: each step starts from nothing"
            breach(f"state[{name!r}]", "matter to later steps", "the same steps whatever it holds", cause)
    return "pass", f"{len(state)} arrays"


def first_steps(optimizer: Optimizer) -> Verdict:
    """Look at the lengths of steps along a constant gradient: first up, and then down to a fraction, is a start-up bias.

    Example:
        >>> from nnfunc import sgd
        >>> first_steps(sgd())
        ('pass', '1 at first, 1 in the end')
    """
    init, step = optimizer
    p: Params = {"p": locked(np.ones(1))}
    g, state, rate = {"p": locked(np.ones(1))}, init(p), 1e-7
    lengths: list[float] = []
    while len(lengths) < 4000:
        new, state = step(p, g, state, rate)
        lengths.append(abs(float(new["p"][0] - p["p"][0])) / rate)
        p = new
    longest, last, half = int(np.argmax(lengths)), lengths[-1], lengths[len(lengths) // 2]
    settled = half > 0 and abs(last / half - 1) < 0.1
    hump = longest > 0 and lengths[longest] > 1.5 * lengths[0]
    counts = any(array.dtype.kind in "iu" for array in state.values())
    # A fall alone is RMSProp's way; with a count in the state it is a correction that went wrong.
    if settled and lengths[0] > 1.5 * last and (hump or counts):
        got = f"{lengths[0]:.3g}, {lengths[longest]:.3g} at step {longest + 1} and {last:.3g} in the end"
        cause = "averages that start at 0 are not corrected for it: divide m by 1 - b1**t and v by 1 - b2**t, t from 1"
        breach("steps along a constant gradient", "not be several times as long at first", got, cause)
    return "pass", f"{lengths[0]:.3g} at first, {last:.3g} in the end"


def descent(optimizer: Optimizer) -> Verdict:
    """Try a bowl with curvatures from 0.5 to 4, at several learning rates.

    Example:
        >>> from nnfunc import sgd
        >>> descent(sgd())[0]
        'pass'
    """
    init, step = optimizer
    start = draw(0)
    curvature = {name: np.linspace(0.5, 4, array.size).reshape(array.shape) for name, array in start.items()}

    def height(params: Params) -> float:
        return sum(float(np.vdot(curvature[name] * array, array)) for name, array in params.items())

    best, first = math.inf, height(start)
    for rate in _RATES:
        params, state = start, init(start)
        for i in range(1, 1 + _DESCENT_STEPS):
            params, state = step(params, {n: locked(2 * curvature[n] * a) for n, a in params.items()}, state, rate)
            if i % 25:
                continue
            now = height(params)
            best = min(best, now / first) if math.isfinite(now) else best
            if now < _DESCENT * first:
                return "pass", f"to {now / first:.1g} of the height in {i} steps at a rate of {rate:g}"
            if not now < 1e6 * first or (i > 100 and now > 0.999 * first):
                break
    got = f"{best:.3g} of it at the best of {len(_RATES)} learning rates"
    cause = "the sign of the step, or the roles of the moments (m in place of v, b1 in place of b2)"
    breach(f"the height of a bowl after {_DESCENT_STEPS} steps", f"be below {_DESCENT:g} of the first", got, cause)
