"""Check an optimiser against the laws of ``(init, step)``: a single step, what the state remembers, and many steps."""

from __future__ import annotations

import math
import pickle
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from functools import partial

import numpy as np

from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged, not_applicable, stumbled
from nnfunc.testing.purity import bits, purity_laws
from nnfunc.testing.samples import (
    backwards, check_close, check_finite, check_same_in_float32, first_difference, in_dtype, precision_law, zeroed,
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
    optimizer: Optimizer, *, like: Optimizer | None = None, unbiased: bool = True, rests: bool = True,
    frozen: Collection[str] = (), report: bool = False,
) -> list[LawResult]:
    """Check that an optimiser ``(init, step)`` keeps the laws.

    Laws:
        form: a flat state of arrays of numbers; purity of both functions; every
        array keeps its dtype, also for a learning rate that is a NumPy scalar,
        and float64 is float64 all the way; a learning rate of 0 moves nothing at
        first, and the learning rate matters later; a name without a gradient
        stays as it is, and so does its state; no gradient makes a parameter;
        the order of names does not matter; what the state notes is used later,
        and changes, and its counts have room; a state that was stored and read
        again goes on the same; params of 0 move, gradients of 0, tiny and huge
        ones give no NaN, unless they are refused; along a constant gradient,
        steps are not far longer at first than later on (a bias that is not
        corrected); it descends a bowl at some learning rate.

    Args:
        optimizer: the pair.
        like: another optimiser that it must agree with, step by step, up to
            rounding. Without it, nothing can tell one sound optimiser from
            another: Adam, say, from Adam with the roles of its rates swapped.
        unbiased: False declares that its averages start at 0 and are not
            corrected for it, as AMSGrad's.
        rests: False declares that a parameter, or its part of the state, moves
            in a step without its gradient, as an average of params does.
        frozen: the names that it leaves as they are on purpose, as patterns ("hidden/*"): its params
            here are ``hidden/W``, ``hidden/b``, ``out/W`` and ``out/b``.
        report: print a table of all laws, and raise nothing.

    Returns, Raises:
        As `check_layer`.

    Example:
        >>> from nnfunc import adam
        >>> results = check_optimizer(adam())
        >>> [result["law"] for result in results if result["status"] != "pass"]  # no other is given
        ['agreement']
    """
    check_pair("check_optimizer", "optimizer", optimizer, "(init, step)", Optimizer)
    init, step = optimizer
    params, g = _drawn(0), _drawn(1)
    patterns = (frozen,) if isinstance(frozen, str) else tuple(frozen)
    still = [name for name in params if any(fnmatchcase(name, pattern) for pattern in patterns)]
    form: Law = ("form", partial(_form, optimizer))

    def stepped(p: Params, grads: Params, state: State) -> tuple[Params, State]:
        new, after = step(p, grads, state, 0.1)
        # An array that is as it was may be handed back.
        return _without(new, p), _without(after, state)

    try:
        copies = {name: np.array(array) for name, array in params.items()}
        with np.errstate(all="ignore"):
            state = step(copies, _drawn(2), init(params), 0.1)[1]
    except Exception as error:
        return judged("check_optimizer", [form, stumbled(error)], report)
    laws: list[Law] = [
        form, *purity_laws(lambda p: init(p), (dict(params),), ("params",), "init"),
        *purity_laws(stepped, (dict(params), dict(g), dict(state)), ("params", "grads", "state"), "step"),
        ("dtype", partial(_dtype, optimizer)), ("precision", partial(_precision, optimizer)),
        ("learning rate of 0", partial(_still, optimizer)), ("learning rate", partial(_rate_matters, optimizer)),
        ("unmentioned names", partial(_unmentioned, optimizer, rests)), ("unknown names", partial(_unknown, optimizer)),
        *([("frozen names", partial(_frozen, optimizer, still))] if still else ()),
        ("order of names", partial(_order, optimizer)),
        ("memory", partial(_memory, optimizer)), ("stored state", partial(_stored, optimizer)),
        ("zero gradients", partial(_zero_gradients, optimizer)), ("zero params", partial(_zero_params, optimizer, still)),
        ("huge and tiny gradients", partial(_sizes, optimizer)),
        ("first steps", partial(_first_steps, optimizer) if unbiased else partial(not_applicable, "declared")),
        ("descent", partial(_descent, optimizer, still)), ("agreement", partial(_agreement, optimizer, like)),
    ]
    return judged("check_optimizer", laws, report)


def _without(after: Mapping[str, AnyArray], before: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """Return what a step gave, with copies of the arrays that are the very ones it was given under the same name."""
    return {name: array.copy() if array is before.get(name) else array for name, array in after.items()}


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
        if array.dtype.kind not in "fiub":
            breach(f"{what}[{name!r}]", "hold floats, integers or booleans, which can be saved", array)


def _dtype(optimizer: Optimizer) -> Verdict:
    """Check that params and state keep their dtypes, and that float32 steps are float64 steps, rounded."""
    init, step = optimizer
    found: list[Params] = []
    for dtype in (FLOAT32, FLOAT64):
        params, g = in_dtype(_drawn(0), dtype), in_dtype(_drawn(1), dtype)
        found.append({name: array - params[name] for name, array in step(params, g, init(params), 0.1)[0].items()})
        state = init(params)
        kinds = {name: array.dtype for name, array in state.items()}
        for name, array in state.items():
            if array.dtype.kind == "f" and array.size > 1 and array.dtype.itemsize < dtype.itemsize:
                cause = "np.zeros with a dtype of its own; np.zeros_like(p) has that of the parameter"
                breach(f"init's state[{name!r}]", f"not be less exact than {dtype} params", str(array.dtype), cause)
        for rate in (0.1, np.float64(0.1), np.float32(0.1), 1):
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


def _precision(optimizer: Optimizer) -> Verdict:
    """Check that a step in float64 follows small changes of the gradients, at first and later."""
    init, step = optimizer
    params = _drawn(0)

    def moved(start: Params, state: State, grads: Params) -> Params:
        return step(start, grads, state, 0.1)[0]

    precision_law(partial(moved, params, init(params)), _drawn(4))
    return precision_law(partial(moved, *_run(optimizer, params, range(1, 4))), _drawn(4))


def _rate_matters(optimizer: Optimizer) -> Verdict:
    """Check that the learning rate matters to later steps too."""
    step = optimizer[1]
    params, state = _run(optimizer, _drawn(0), range(1, 4))
    found: list[Params] = []
    for rate in (0.1, 0.05):
        p, s = params, state
        for seed in range(4, 24):
            p, s = step(p, _drawn(seed), s, rate)
        found.append(p)
    if bits(found[0]) == bits(found[1]):
        cause = "it is kept from the first step, or the step is of one length"
        breach("20 later steps", "depend on the learning rate", "the same at 0.1 and 0.05", cause)
    return "pass", "0.1, 0.05"


def _still(optimizer: Optimizer) -> Verdict:
    """Check that a learning rate of 0 moves nothing."""
    init, step = optimizer
    params = _drawn(0)
    for name, array in step(params, _drawn(1), init(params), 0.0)[0].items():
        cause = "a part of the step is not multiplied by it"
        check_close(f"step's {name}", "stay at a learning rate of 0", array, params[name], cause)
    return "pass", ""


def _unmentioned(optimizer: Optimizer, rests: bool) -> Verdict:
    """Check that a parameter without a gradient stays as it is, and so does its state."""
    step = optimizer[1]
    params, state = _run(optimizer, _drawn(0), range(1, 4))
    some = {name: array for name, array in _drawn(4).items() if name.startswith("out/")}
    for grads in (some, {}):
        new, after = step(params, grads, state, 0.1)
        resting = [name for name in params if name not in grads]
        declared = "rests=False"
        for name in params:
            if name not in new:
                breach("step's params", f"hold {name!r}, which has no gradient in this step", list(new))
            if rests and name in resting and bits(np.asarray(new[name])) != bits(params[name]):
                cause = "weight decay, or what is left of momentum, moves what has no gradient"
                breach(f"step's {name}", "stay as it is without a gradient", "another", cause, declared_by=declared)
        for name, array in state.items():
            if name.endswith(tuple(resting)) and name not in after:
                breach("step's state", f"hold {name!r} also in a step without its gradient", list(after))
            if rests and name.endswith(tuple(f"/{own}" for own in resting)) and bits(after[name]) != bits(array):
                cause, subject = "its part of the state goes on as if its gradient had been 0", f"step's state[{name!r}]"
                breach(subject, "stay as it is without a gradient", "another", cause, declared_by=declared)
    return "pass", "half of them, all of them" + ("" if rests else "; they may move, as declared")


def _frozen(optimizer: Optimizer, frozen: Collection[str]) -> Verdict:
    """Check that what is declared to stay as it is does."""
    params, _ = _run(optimizer, _drawn(0), range(1, 5))
    for name in frozen:
        if bits(params[name]) != bits(_drawn(0)[name]):
            breach(f"step's {name}", "stay as it is, as declared", first_difference(params[name], _drawn(0)[name]))
    return "pass", ", ".join(frozen)


def _unknown(optimizer: Optimizer) -> Verdict:
    """Check that a gradient of a name that is no parameter is refused, or makes none."""
    init, step = optimizer
    params = _drawn(0)
    try:
        new = step(params, {**_drawn(1), "other/W": np.ones((3, 2))}, init(params), 0.1)[0]
    except Exception as error:
        return "pass", f"refused with {type(error).__name__}"
    if set(new) != set(params):
        breach("step's params", f"have the names of the params ({', '.join(params)})", str(list(new)))
    return "pass", "left out"


def _order(optimizer: Optimizer) -> Verdict:
    """Check that the order of names matters neither in params nor in gradients."""
    step = optimizer[1]
    forwards, reverse = _drawn(0), freeze(backwards(_drawn(0)))
    shared = "parameters share a slot of the state, which must be named by the full name; "
    shared += "or one loop variable is used after the loop"
    zipped = "names of two mappings are zipped"
    expected = _run(optimizer, forwards, range(1, 5))[0]
    params, state = _run(optimizer, forwards, range(1, 4))
    for of, new, cause in (
        ("names", _run(optimizer, reverse, range(1, 5))[0], shared),
        ("gradients", step(params, backwards(_drawn(4)), state, 0.1)[0], zipped),
        ("state", step(params, _drawn(4), freeze(backwards(state)), 0.1)[0], zipped),
    ):
        for name, array in new.items():
            check_close(f"step's {name}", f"not depend on the order of the {of}", array, expected[name], cause)
    return "pass", "reversed"


def _memory(optimizer: Optimizer) -> Verdict:
    """Check that each slot of the state changes, and that later steps depend on it."""
    params, state = _run(optimizer, _drawn(0), range(1, 4))
    later, after = _run(optimizer, params, range(4, 17), state)
    fresh = optimizer[0](_drawn(0))
    if not state:
        return not_applicable("no state")
    for name, array in state.items():
        still = bits(array) == bits(after[name]) == bits(fresh[name])
        if still and (array.dtype.kind in "iu" or not np.any(array)):
            cause = "the new value is not returned"
            breach(f"state[{name!r}]", "change from step to step", "what init made of it", cause)
        counts = array.ndim == 0 and int(after[name]) - int(array) == 13 if array.dtype.kind in "fiu" and array.size else False
        if counts and array.dtype.itemsize < 4:
            cause = "np.asarray(0) counts far enough"
            breach(f"state[{name!r}]", "count in 32 bits or more", f"{array.dtype}, which is full soon", cause)
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
    params = in_dtype(params, FLOAT32)
    same, state = in_dtype(_drawn(1), FLOAT32), init(params)
    for _ in range(300):
        params, state = step(params, same, state, 1e-3)
    for name, array in params.items():
        cause = "a root of a difference that rounding makes negative: np.maximum(..., 0)"
        check_finite(f"step's {name}", "be finite along a gradient that stays the same", array, cause)
    return "pass", "at first and later"


def _zero_params(optimizer: Optimizer, frozen: Collection[str]) -> Verdict:
    """Check that params of 0, as biases are at first, move and stay finite."""
    init, step = optimizer
    params = zeroed(_drawn(0))
    state = init(params)
    for seed in range(1, 21):
        params, state = step(params, _drawn(seed), state, 0.1)
    for name, array in params.items():
        check_finite(f"step's {name}", "be finite for params of 0", array, "a division by their size; add eps")
        if not np.any(array) and name not in frozen:
            constraint, cause = "move away from params of 0, along gradients that are not", "the step is multiplied by its size"
            breach(f"step's {name}", constraint, "0 after 20 steps", cause, declared_by=f"frozen=[{name!r}]")
    return "pass", "20 steps"


def _sizes(optimizer: Optimizer) -> Verdict:
    """Check that huge gradients, and tiny ones whose squares underflow, give no NaN, or are refused."""
    init, step = optimizer
    refused = 0
    for dtype, size in ((FLOAT32, 1e15), (FLOAT32, 1e-30), (FLOAT64, 1e100), (FLOAT64, 1e-200)):
        params = in_dtype(_drawn(0), dtype)
        state = init(params)
        try:
            for seed in (1, 2):
                grads = in_dtype({name: array * size for name, array in _drawn(seed).items()}, dtype)
                params, state = step(params, grads, state, 0.1)
        except Exception:
            refused += 1  # said aloud, it misleads nobody
            continue
        for name, array in params.items():
            if np.isnan(array).any():
                cause = "squares that underflow, as in 0 / 0, or a difference of squares that is below 0"
                breach(f"step's {name}", f"not be NaN for {dtype} gradients of {size:g}", "nan", cause)
    left = f", {refused} refused" if refused else ""
    return "pass", f"1e15 and 1e-30 in float32, 1e100 and 1e-200 in float64{left}"


def _first_steps(optimizer: Optimizer) -> Verdict:
    """Check that steps along a constant gradient are not far longer at first, as they are with an uncorrected bias."""
    init, step = optimizer
    p: Params = {name: locked(np.ones(1)) for name in _SHAPES}  # an optimiser may have its own way with each
    g, state, rate = p, init(p), 1e-7
    path = {name: [1.0] for name in p}
    for _ in range(4000):
        p, state = step(p, g, state, rate)
        for name, values in path.items():
            values.append(float(p[name][0]))
    counts = any(array.dtype.kind in "iu" for array in state.values())
    for name, values in path.items():
        cause = "a root of what rounding makes negative?"
        check_finite(f"step's {name}", "be finite along a constant gradient", np.array(values), cause)
        lengths = np.abs(np.diff(values)) / rate
        longest, last, half = int(np.argmax(lengths)), lengths[-1], lengths[len(lengths) // 2]
        settled = half > 0 and abs(last / half - 1) < 0.1
        hump = longest > 0 and lengths[longest] > 1.5 * lengths[0]
        # A fall alone is RMSProp's way; with a count in the state it is a correction that went wrong.
        if settled and lengths[0] > 1.5 * last and (hump or counts):
            got = f"{lengths[0]:.3g}, {lengths[longest]:.3g} at step {longest + 1} and {last:.3g} in the end"
            cause = "averages that start at 0 are not corrected for it: divide m by 1 - b1**t and v by 1 - b2**t, t from 1"
            breach(f"steps of {name} along a constant gradient", "not be several times as long at first", got, cause)
    return "pass", f"{lengths[0]:.3g} at first, {last:.3g} in the end"


def _descent(optimizer: Optimizer, frozen: Collection[str]) -> Verdict:
    """Check that one of several learning rates leads down a bowl with curvatures from 0.5 to 4."""
    init, step = optimizer
    start = _drawn(0)
    moving = [name for name in start if name not in frozen]
    curvature = {name: np.linspace(0.5, 4, array.size).reshape(array.shape) for name, array in start.items()}

    def height(params: Params) -> float:
        return sum(float(np.vdot(curvature[name] * params[name], params[name])) for name in moving)

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
    for size in (1.0, 1e-4, 1e-8):  # eps matters beside small gradients alone
        at = [(_drawn(0), each[0](_drawn(0))) for each in (optimizer, like)]
        for steps in range(1, 13):
            grads = {name: locked(array * size) for name, array in _drawn(steps).items()}
            at = [
                each[1](params, grads, state, 0.1 / steps) for each, (params, state) in zip((optimizer, like), at, strict=True)
            ]
            for name, array in at[1][0].items():
                constraint = f"be what the other gives for gradients of size {size:g}"
                check_close(f"{name} after {steps} steps", constraint, at[0][0][name], array)
    return "pass", "12 steps, for gradients of size 1, 1e-4 and 1e-8"
