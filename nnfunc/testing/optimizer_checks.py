"""Checking an optimiser: the laws of ``(init, step)``."""

import pickle
from collections.abc import Mapping
from functools import partial

import numpy as np

from nnfunc.checks import FLOAT32, FLOAT64, locked, problem
from nnfunc.params import freeze
from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged, stumbled
from nnfunc.testing.optimizer_steps import descent, draw, first_steps, memory, run
from nnfunc.testing.purity import bits, purity_laws
from nnfunc.testing.samples import check_same_in_float32, close, first_difference, in_dtype
from nnfunc.types import AnyArray, Optimizer, Params, State


def check_optimizer(
    optimizer: Optimizer, *, like: Optimizer | None = None, unbiased: bool = True, report: bool = False
) -> list[LawResult]:
    """Check that an optimiser ``(init, step)`` keeps the laws.

    Laws:
        form: a flat state of arrays; purity of both functions; dtypes closed,
        also for a learning rate that is a NumPy scalar; a learning rate of 0
        moves nothing; a name without a gradient, and its state, stays; the
        order of names is nothing; what the state notes is used later, and
        changes; a state that was stored and read again goes on the same; a
        constant gradient gets no far longer steps at first than later on (a
        bias that is not corrected); it descends a bowl at some learning rate.

    Args:
        optimizer: the pair.
        like: another optimiser with which it must agree, step by step, to
            rounding. Without it, nothing can tell an optimiser from another
            that is sound too: one Adam from the same with its roles swapped.
        unbiased: False declares that its averages start at 0 uncorrected, as AMSGrad's do.
        report: print a table of all laws, and raise nothing.

    Returns, Raises:
        As `check_layer`.

    Example:
        >>> from nnfunc import adam
        >>> results = check_optimizer(adam())
        >>> [result["law"] for result in results if result["status"] != "pass"]
        ['agreement']
    """
    if not (isinstance(optimizer, tuple) and len(optimizer) == 2 and all(map(callable, optimizer))):
        raise TypeError(problem("check_optimizer", "optimizer", "be a pair of functions (init, step)", optimizer))
    init, step = optimizer
    params, g = draw(0), draw(1)
    laws: list[Law] = [("form", partial(_form, optimizer))]
    laws += [(f"{name}, init", law) for name, law in purity_laws(lambda p: init(p), (dict(params),), ("params",))]

    def stepped(p: Params, grads: Params, state: State) -> tuple[Params, State]:
        return step(p, grads, state, 0.1)

    try:
        copies = {name: np.array(array) for name, array in params.items()}
        with np.errstate(all="ignore"):
            state = step(copies, draw(2), init(params), 0.1)[1]
    except Exception as error:
        return judged("check_optimizer", [laws[0], stumbled(error)], report)
    arguments = (dict(params), dict(g), dict(state))
    laws += [(f"{name}, step", law) for name, law in purity_laws(stepped, arguments, ("params", "grads", "state"))]
    laws += [
        ("dtype", partial(_dtype, optimizer)),
        ("learning rate of 0", partial(_still, optimizer)),
        ("unmentioned names", partial(_unmentioned, optimizer)),
        ("order of names", partial(_order, optimizer)),
        ("memory", partial(memory, optimizer)),
        ("stored state", partial(_stored, optimizer)),
        ("zero gradients", partial(_zero_gradients, optimizer)),
        ("first steps", partial(first_steps, optimizer) if unbiased else _declared),
        ("descent", partial(descent, optimizer)),
        ("agreement", partial(_agreement, optimizer, like)),
    ]
    return judged("check_optimizer", laws, report)


def _form(optimizer: Optimizer) -> Verdict:
    init, step = optimizer
    params, g = ({name: np.array(array) for name, array in draw(seed).items()} for seed in (0, 1))
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
        if not np.isfinite(array).all():
            breach(
                f"step's {name}",
                "be finite for finite gradients",
                "nan or inf",
                "a root of something negative, or 0 / 0?",
            )
    _check_state("step's state", after)
    if set(after) != set(state):
        breach("step's state", "have the names of init's", sorted(set(after) ^ set(state)))
    return "pass", f"state of {len(state)} arrays"


def _check_state(what: str, state: State) -> None:
    if not isinstance(state, Mapping):
        breach(what, "be a flat mapping of names to arrays", state)
    for name, array in state.items():
        if not isinstance(name, str) or not isinstance(array, (np.ndarray, np.generic)):
            cause = "a state is stored and sent to other processes: np.asarray makes an array of a number"
            breach(f"{what}[{name!r}]", "be an array", array, cause)


def _dtype(optimizer: Optimizer) -> Verdict:
    init, step = optimizer
    found: list[Params] = []
    for dtype in (FLOAT32, FLOAT64):
        params, g = in_dtype(draw(0), dtype), in_dtype(draw(1), dtype)
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
    init, step = optimizer
    params = draw(0)
    for name, array in step(params, draw(1), init(params), 0.0)[0].items():
        if not close(array, params[name]):
            got = first_difference(array, params[name])
            breach(f"step's {name}", "stay at a learning rate of 0", got, "a part of the step is not multiplied by it")
    return "pass", ""


def _unmentioned(optimizer: Optimizer) -> Verdict:
    init, step = optimizer
    params, state = run(optimizer, draw(0), range(1, 4))
    some = {name: array for name, array in draw(4).items() if name.startswith("out/")}
    for grads in (some, {}):
        new, after = step(params, grads, state, 0.1)
        for name in params:
            if name not in new:
                breach("step's params", f"hold {name!r}, which has no gradient in this step", list(new))
            if name not in grads and bits(np.asarray(new[name])) != bits(params[name]):
                cause = "weight decay, or what is left of momentum, moves what has no gradient"
                breach(f"step's {name}", "stay as it is without a gradient", "another", cause)
        for name, array in state.items():
            if any(name.endswith(own) for own in params if own not in grads) and name not in after:
                breach("step's state", f"hold {name!r} also in a step without its gradient", list(after))
            if any(name.endswith(f"/{own}") for own in params if own not in grads) and bits(after[name]) != bits(array):
                cause = "its part of the state goes on as if its gradient had been 0"
                breach(f"step's state[{name!r}]", "stay as it is without a gradient", "another", cause)
    return "pass", "half of them, all of them"


def _order(optimizer: Optimizer) -> Verdict:
    init, step = optimizer
    forwards, backwards = draw(0), freeze(dict(reversed(list(draw(0).items()))))
    cause = "parameters share a slot of the state, which must be named by the full name; or one loop variable is used after the loop"
    for name, array in run(optimizer, backwards, range(1, 5))[0].items():
        expected = run(optimizer, forwards, range(1, 5))[0][name]
        if not close(array, expected):
            breach(f"step's {name}", "not depend on the order of the names", first_difference(array, expected), cause)
    params, state = run(optimizer, forwards, range(1, 4))
    grads, mixed = draw(4), dict(reversed(list(draw(4).items())))
    for name, array in step(params, mixed, state, 0.1)[0].items():
        expected = step(params, grads, state, 0.1)[0][name]
        if not close(array, expected):
            got = first_difference(array, expected)
            breach(
                f"step's {name}", "not depend on the order of the gradients", got, "names of two mappings are zipped"
            )
    return "pass", "reversed"


def _stored(optimizer: Optimizer) -> Verdict:
    params, state = run(optimizer, draw(0), range(1, 4))
    expected = bits(run(optimizer, params, range(4, 7), state))
    stored: State = freeze({name: np.asarray(array) for name, array in pickle.loads(pickle.dumps(dict(state))).items()})
    plain: dict[str, AnyArray] = {name: np.array(array) for name, array in state.items()}
    for what, other in (("stored and read again", stored), ("copied into a plain dict", plain)):
        if bits(run(optimizer, params, range(4, 7), other)) != expected:
            cause = "something that decides the step is kept outside of the state"
            breach("a state", f"go on the same when it was {what}", "other steps", cause)
    return "pass", "pickle, plain dict"


def _declared() -> Verdict:
    return "not applicable", "declared"


def _zero_gradients(optimizer: Optimizer) -> Verdict:
    init, step = optimizer
    params = draw(0)
    for state in (init(params), run(optimizer, params, range(1, 4))[1]):
        new, after = step(params, {name: locked(np.zeros_like(array)) for name, array in params.items()}, state, 0.1)
        for name, array in (*new.items(), *after.items()):
            if not np.isfinite(array).all():
                breach(
                    f"step's {name}", "be finite for gradients of 0", "nan or inf", "a division by their size; add eps"
                )
    return "pass", "at first and later"


def _agreement(optimizer: Optimizer, like: Optimizer | None) -> Verdict:
    if like is None:
        return "not applicable", "no other to agree with"
    for steps in range(1, 8):
        found, expected = (run(each, draw(0), range(1, 1 + steps))[0] for each in (optimizer, like))
        for name, array in expected.items():
            if not close(found[name], array):
                breach(f"{name} after {steps} steps", "be what the other gives", first_difference(found[name], array))
    return "pass", "7 steps"
