"""Check an optimiser against the laws of ``(init, step)``: a single step, what the state remembers, and many steps."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from functools import partial

import numpy as np

from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged, not_applicable, stumbled
from nnfunc.testing.purity import bits, purity_laws
from nnfunc.testing.samples import (
    backwards, check_finite, check_same_in_float32, close, first_difference, in_dtype, zeroed,
)
from nnfunc.values.arrays import locked
from nnfunc.values.checks import FLOAT32, FLOAT64, check_pair
from nnfunc.values.keys import generator
from nnfunc.values.params import freeze
from nnfunc.values.types import AnyArray, Optimizer, Params, State

# Two layers whose parameters have the same short names and the same shapes.
_SHAPES = {"hidden/W": (3, 2), "hidden/b": (2,), "out/W": (3, 2), "out/b": (2,)}
_RATES = (0.1, 0.01, 1.0, 0.001, 10.0, 100.0, 1e-4)
_DESCENT_STEPS = 1500
_DESCENT = 1e-2


def check_optimizer(
    optimizer: Optimizer, *, like: Optimizer | None = None, unbiased: bool = True, report: bool = False
) -> list[LawResult]:
    """Check that an optimiser ``(init, step)`` keeps the laws.

    Laws:
        form: a flat state of arrays; purity of both functions; every array
        keeps its dtype, also for a learning rate that is a NumPy scalar; a
        learning rate of 0 moves nothing; a name without a gradient stays as it
        is, and so does its state; the order of names does not matter; what the
        state notes is used later, and changes; a state that was stored and read
        again goes on the same; along a constant gradient, steps are not far
        longer at first than later on (a bias that is not corrected); it
        descends a bowl at some learning rate.

    Args:
        optimizer: the pair.
        like: another optimiser that it must agree with, step by step, up to
            rounding. Without it, nothing can tell one sound optimiser from
            another: Adam, say, from Adam with the roles of its rates swapped.
        unbiased: False declares that its averages start at 0 and are not
            corrected for it, as AMSGrad's.
        report: print a table of all laws, and raise nothing.

    Returns, Raises:
        As `check_layer`.

    Example:
        >>> from nnfunc import adam
        >>> results = check_optimizer(adam())
        >>> [result["law"] for result in results if result["status"] != "pass"]
        ['agreement']
    """
    check_pair("check_optimizer", "optimizer", optimizer, "(init, step)", Optimizer)
    init, step = optimizer
    params, g = _drawn(0), _drawn(1)
    form: Law = ("form", partial(_form, optimizer))

    def stepped(p: Params, grads: Params, state: State) -> tuple[Params, State]:
        return step(p, grads, state, 0.1)

    try:
        copies = {name: np.array(array) for name, array in params.items()}
        with np.errstate(all="ignore"):
            state = step(copies, _drawn(2), init(params), 0.1)[1]
    except Exception as error:
        return judged("check_optimizer", [form, stumbled(error)], report)
    laws: list[Law] = [
        form, *purity_laws(lambda p: init(p), (dict(params),), ("params",), "init"),
        *purity_laws(stepped, (dict(params), dict(g), dict(state)), ("params", "grads", "state"), "step"),
        ("dtype", partial(_dtype, optimizer)), ("learning rate of 0", partial(_still, optimizer)),
        ("unmentioned names", partial(_unmentioned, optimizer)), ("order of names", partial(_order, optimizer)),
        ("memory", partial(_memory, optimizer)), ("stored state", partial(_stored, optimizer)),
        ("zero gradients", partial(_zero_gradients, optimizer)),
        ("first steps", partial(_first_steps, optimizer) if unbiased else partial(not_applicable, "declared")),
        ("descent", partial(_descent, optimizer)), ("agreement", partial(_agreement, optimizer, like)),
    ]
    return judged("check_optimizer", laws, report)


def _drawn(seed: int) -> Params:
    """Return params, or gradients, drawn from a seed."""
    numbers = generator((6, seed))
    return freeze({name: numbers.normal(size=shape) for name, shape in _SHAPES.items()})


def _run(optimizer: Optimizer, params: Params, seeds: range, state: State | None = None) -> tuple[Params, State]:
    """Take a step for each seed, along gradients drawn from it."""
    init, step = optimizer
    state = init(params) if state is None else state
    for seed in seeds:
        params, state = step(params, {name: _drawn(seed)[name] for name in params}, state, 0.1)
    return params, state


def _form(optimizer: Optimizer) -> Verdict:
    """Check that init and step return what those of an optimiser do."""
    init, step = optimizer
    params, g = ({name: np.array(array) for name, array in _drawn(seed).items()} for seed in (0, 1))
    state = init(params)
    _check_state("init's state", state)
    result = step(params, g, state, 0.1)
    if type(result) is not tuple or len(result) != 2:
        breach("step", "return a pair (params, state)", result)
    new, after = result
    if not isinstance(new, Mapping) or list(new) != list(params):
        got = list(new) if isinstance(new, Mapping) else new
        breach("step's params", f"have the names of the params, in their order ({', '.join(params)})", got)
    for name, array in new.items():
        if np.shape(array) != params[name].shape:
            breach(f"step's {name}", f"have the shape {params[name].shape} of the parameter", np.shape(array))
        cause = "a root of something negative, or 0 / 0?"
        check_finite(f"step's {name}", "be finite for finite gradients", array, cause)
    _check_state("step's state", after)
    if set(after) != set(state):
        breach("step's state", "have the names of init's", sorted(set(after) ^ set(state)))
    return "pass", f"state of {len(state)} arrays"


def _check_state(what: str, state: State) -> None:
    """Check that a state is a flat mapping of names to arrays."""
    if not isinstance(state, Mapping):
        breach(what, "be a flat mapping of names to arrays", state)
    for name, array in state.items():
        if not isinstance(name, str) or not isinstance(array, (np.ndarray, np.generic)):
            cause = "a state is stored and sent to other processes: np.asarray makes an array of a number"
            breach(f"{what}[{name!r}]", "be an array", array, cause)


def _dtype(optimizer: Optimizer) -> Verdict:
    """Check that params and state keep their dtypes, and that float32 steps are float64 steps, rounded."""
    init, step = optimizer
    found: list[Params] = []
    for dtype in (FLOAT32, FLOAT64):
        params, g = in_dtype(_drawn(0), dtype), in_dtype(_drawn(1), dtype)
        found.append({name: array - params[name] for name, array in step(params, g, init(params), 0.1)[0].items()})
        state = init(params)
        kinds = {name: array.dtype for name, array in state.items()}
        for rate in (0.1, np.float64(0.1), np.float32(0.1)):
            new, after = step(params, g, state, rate)
            for name, array in new.items():
                if array.dtype != dtype:
                    cause = "the learning rate, or another NumPy scalar, is float64; use float(lr)"
                    breach(f"step's {name}", f"keep the dtype {dtype} of the params", str(array.dtype), cause)
            for name, array in after.items():
                if array.dtype != kinds[name]:
                    breach(f"step's state[{name!r}]", f"keep the dtype {kinds[name]} that init gave", str(array.dtype))
    check_same_in_float32(*found)
    return "pass", "float32, float64"


def _still(optimizer: Optimizer) -> Verdict:
    """Check that a learning rate of 0 moves nothing."""
    init, step = optimizer
    params = _drawn(0)
    for name, array in step(params, _drawn(1), init(params), 0.0)[0].items():
        if not close(array, params[name]):
            got = first_difference(array, params[name])
            breach(f"step's {name}", "stay at a learning rate of 0", got, "a part of the step is not multiplied by it")
    return "pass", ""


def _unmentioned(optimizer: Optimizer) -> Verdict:
    """Check that a parameter without a gradient stays as it is, and so does its state."""
    step = optimizer[1]
    params, state = _run(optimizer, _drawn(0), range(1, 4))
    some = {name: array for name, array in _drawn(4).items() if name.startswith("out/")}
    for grads in (some, {}):
        new, after = step(params, grads, state, 0.1)
        resting = [name for name in params if name not in grads]
        for name in params:
            if name not in new:
                breach("step's params", f"hold {name!r}, which has no gradient in this step", list(new))
            if name in resting and bits(np.asarray(new[name])) != bits(params[name]):
                cause = "weight decay, or what is left of momentum, moves what has no gradient"
                breach(f"step's {name}", "stay as it is without a gradient", "another", cause)
        for name, array in state.items():
            if name.endswith(tuple(resting)) and name not in after:
                breach("step's state", f"hold {name!r} also in a step without its gradient", list(after))
            if name.endswith(tuple(f"/{own}" for own in resting)) and bits(after[name]) != bits(array):
                cause = "its part of the state goes on as if its gradient had been 0"
                breach(f"step's state[{name!r}]", "stay as it is without a gradient", "another", cause)
    return "pass", "half of them, all of them"


def _order(optimizer: Optimizer) -> Verdict:
    """Check that the order of names matters neither in params nor in gradients."""
    step = optimizer[1]
    forwards, reverse = _drawn(0), freeze(backwards(_drawn(0)))
    cause = (
        "parameters share a slot of the state, which must be named by the full name; "
        "or one loop variable is used after the loop"
    )
    expected = _run(optimizer, forwards, range(1, 5))[0]
    for name, array in _run(optimizer, reverse, range(1, 5))[0].items():
        if not close(array, expected[name]):
            got = first_difference(array, expected[name])
            breach(f"step's {name}", "not depend on the order of the names", got, cause)
    params, state = _run(optimizer, forwards, range(1, 4))
    expected = step(params, _drawn(4), state, 0.1)[0]
    for name, array in step(params, backwards(_drawn(4)), state, 0.1)[0].items():
        if not close(array, expected[name]):
            got, cause = first_difference(array, expected[name]), "names of two mappings are zipped"
            breach(f"step's {name}", "not depend on the order of the gradients", got, cause)
    return "pass", "reversed"


def _memory(optimizer: Optimizer) -> Verdict:
    """Check that each slot of the state changes, and that later steps depend on it."""
    params, state = _run(optimizer, _drawn(0), range(1, 4))
    later, after = _run(optimizer, params, range(4, 17), state)
    fresh = optimizer[0](_drawn(0))
    if not state:
        return "pass", "no state"
    for name, array in state.items():
        still = bits(array) == bits(after[name]) == bits(fresh[name])
        if still and (array.dtype.kind in "iu" or not np.any(array)):
            cause = "the new value is not returned"
            breach(f"state[{name!r}]", "change from step to step", "what init made of it", cause)
        if array.dtype.kind != "f" or not array.size:
            continue
        probes = (array * 1.5 + 0.125, -array, array[..., ::-1] * 3.0 if array.ndim else array * 3.0)
        others = [{**state, name: locked(np.array(probe, array.dtype))} for probe in probes]
        if all(bits(_run(optimizer, params, range(4, 17), other)) == bits((later, after)) for other in others):
            cause = "what was noted is not read again: each step starts from nothing"
            breach(f"state[{name!r}]", "matter to later steps", "the same steps whatever it holds", cause)
    return "pass", f"{len(state)} arrays"


def _stored(optimizer: Optimizer) -> Verdict:
    """Check that a state goes on the same after it was stored and read again."""
    params, state = _run(optimizer, _drawn(0), range(1, 4))
    expected = bits(_run(optimizer, params, range(4, 7), state))
    stored: State = freeze({name: np.asarray(array) for name, array in pickle.loads(pickle.dumps(dict(state))).items()})
    plain: dict[str, AnyArray] = {name: np.array(array) for name, array in state.items()}
    for what, other in (("stored and read again", stored), ("copied into a plain dict", plain)):
        if bits(_run(optimizer, params, range(4, 7), other)) != expected:
            cause = "something that decides the step is kept outside of the state"
            breach("a state", f"go on the same when it was {what}", "other steps", cause)
    return "pass", "pickle, plain dict"


def _zero_gradients(optimizer: Optimizer) -> Verdict:
    """Check that gradients of 0 give finite numbers."""
    init, step = optimizer
    params, cause = _drawn(0), "a division by their size; add eps"
    for state in (init(params), _run(optimizer, params, range(1, 4))[1]):
        new, after = step(params, zeroed(params), state, 0.1)
        for name, array in (*new.items(), *after.items()):
            check_finite(f"step's {name}", "be finite for gradients of 0", array, cause)
    return "pass", "at first and later"


def _first_steps(optimizer: Optimizer) -> Verdict:
    """Check that steps along a constant gradient are not far longer at first, as they are with an uncorrected bias."""
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


def _descent(optimizer: Optimizer) -> Verdict:
    """Check that one of several learning rates leads down a bowl with curvatures from 0.5 to 4."""
    init, step = optimizer
    start = _drawn(0)
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


def _agreement(optimizer: Optimizer, like: Optimizer | None) -> Verdict:
    """Check that both optimisers give the same params, step by step."""
    if like is None:
        return "not applicable", "no other to agree with"
    for steps in range(1, 8):
        found, expected = (_run(each, _drawn(0), range(1, 1 + steps))[0] for each in (optimizer, like))
        for name, array in expected.items():
            if not close(found[name], array):
                breach(f"{name} after {steps} steps", "be what the other gives", first_difference(found[name], array))
    return "pass", "7 steps"
