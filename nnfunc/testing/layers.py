"""Check a layer, or a whole network, against the laws of ``(init, forward)``, tried one by one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.inspection.gradcheck import affordable
from nnfunc.network.calibration import calibrate
from nnfunc.network.guard import check_is_pair
from nnfunc.network.guard import check_layer as check_arguments
from nnfunc.network.kinds import statistics, takes_codes
from nnfunc.testing.gradients import Subject, gradient_law, listed, weights_for
from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged, not_applicable, set_back, stumbled
from nnfunc.testing.noise import accepts, noise_law
from nnfunc.testing.purity import bits, purity_laws
from nnfunc.testing.samples import (
    check_close, check_finite, close, dtype_law, first_difference, in_dtype, key_law, layout_law, offset_law, own_rows,
    precision_law, reordered, shifted, stable_law, zeroed,
)
from nnfunc.values.arrays import as_inputs, locked
from nnfunc.values.checks import FLOAT32, FLOAT64, as_flag, problem
from nnfunc.values.params import checked_params
from nnfunc.values.types import Array, DType, Key, Layer, Params, Pullback

_ROWS = 32
_TRAINING: Key = (3, 1)

# Of a layer so large that fewer slopes than this can be tried, other laws try less too.
_FEW = 30
_FEW_ROWS = 6
_LARGE_BATCH = 40


def check_layer(
    layer: Layer, x: ArrayLike, *, params: Params | None = None, independent_rows: bool = True, inference: bool = True,
    noise: bool | None = None, unbiased: bool = True, fixed: Collection[str] = (), surrogate: Collection[str] = (),
    x_slope: bool = True, report: bool = False,
) -> list[LawResult]:
    """Check that a layer, or a whole network, keeps the laws of layers.

    Laws:
        form; init repeats, keeps its dtype and shares nothing; purity of
        forward and of the way back, with and without a key; finite wherever x
        is, also at params of 0 and at rows of zeros, if x has such columns;
        gradients of every parameter and of the input against slopes by
        differences, at the params given and away from them; float32 gives
        float32 and float64 gives float64, with the same results, also far from
        0; a row gives by itself, and in batches of other sizes and orders, what
        it gives in one; rows do not touch at inference; gradients of rows add
        up; keys decide the noise, and its mean, if the layer has no params, is
        inference; finite at large inputs; a way back that is linear; the same
        whatever the memory layout. What a layer refuses with an error is not
        tried. In a large layer some slopes are tried, as in `check_grads`, and
        fewer keys.

    Args:
        layer: ``(init, forward)``.
        x: rows that the layer is meant for, of which the first 32 are used (all
            of them to see whether results are finite).
            The checker adds rows of its own, made of values from the same columns.
        params: to check with; fresh ones from `init` if none. The library's
            batch norms are calibrated on `x`.
        independent_rows: False declares that rows touch each other at inference.
        inference: False declares that the layer refuses to run without a key.
        noise: whether a key makes the layer draw; None to find out.
        unbiased: False declares that the mean of the noise is not inference.
        fixed: names of params that have no gradient on purpose.
        surrogate: names of params, and "x" for the input, whose gradient is
            another than the slope on purpose (straight-through, reversed, stopped).
        x_slope: False declares that x has no slope, as indices have none: dx()
            is zeros, and only values of x that are given are tried. Known of `embedding`.
        report: print a table of all laws, and raise nothing.

    Returns:
        A dict per law: ``law``, ``status`` ("pass", "fail", "undecided" or
        "not applicable") and ``detail``.

    Raises:
        AssertionError: a law is broken or cannot be decided; the message says
            which, where, what was expected, and the usual cause.
        TypeError, ValueError: `x` holds no rows of floats, or `fixed` or
            `surrogate` a name that is not in the params.

    Example:
        >>> from nnfunc import dense, relu
        >>> results = check_layer(dense(3, 2, relu), np.linspace(-1, 1, 12).reshape(4, 3))
        >>> sorted({result["status"] for result in results})
        ['not applicable', 'pass']
    """
    x_slope = as_flag("check_layer", "x_slope", x_slope) and not takes_codes(layer)
    inputs = as_inputs("check_layer", "x", x, FLOAT64)
    rows = locked(inputs[:_ROWS])
    modes: list[Key | None] = [None, _TRAINING] if inference else [_TRAINING]
    form: Law = ("form", partial(_form, layer, rows, params, modes, x_slope))
    try:
        with set_back():
            held = _start(layer, rows, params)
            few = affordable(held, rows) < _FEW
            rows = locked(rows[:_FEW_ROWS]) if few else rows
            own = own_rows(rows, partial(accepts, layer, held, modes), 2 if few else 5, moved=x_slope)
            moved_params = shifted(held)
            away = moved_params if accepts(layer, moved_params, modes, own) else held
            dy = weights_for(layer[1](in_dtype(held, FLOAT64), own.copy(), modes[0])[0])
            there = {name: array.copy() for name, array in away.items()}
            at_first = bits(_there_and_back(layer, there, own.copy(), dy.copy(), modes[0]))
            keyless = few and len(modes) == 2 and _same_without_key(layer, away, own, dy)
    except Exception as error:
        return judged("check_layer", [form, stumbled(error)], report)
    _check_declared("fixed", fixed, tuple(held))
    _check_declared("surrogate", surrogate, (*held, "x"))
    none = set(fixed) | set(statistics(layer)) | set(surrogate)
    moved = tuple(name for name in held if name not in none)
    points = [(held, rows), (away, own), *_below_zero(layer, away, own, modes, moved)]
    given, declared = partial(not_applicable, "params were given"), partial(not_applicable, "declared")
    laws: list[Law] = [form, ("init", partial(_init, layer, few) if params is None else given)]
    tried = modes[:1] if keyless else modes
    named = [(mode, "inference" if mode is None else "training") for mode in tried]
    for mode, which in named:
        there_and_back = partial(_there_and_back, layer, key=mode)
        laws += purity_laws(there_and_back, (dict(away), own, dy), ("params", "x", "dy"), which)
    # A row that is not finite may be any one: all are looked at, where that takes no long time.
    whole = rows if affordable(held, inputs) < _FEW else locked(inputs)
    kept = none - set(surrogate)
    laws += [("finite", partial(_finite, layer, (held, whole), (away, own), modes, kept, x_slope, few))]
    for mode, which in named:
        laws += [
            (f"calls apart, {which}", partial(_calls_apart, layer, away, own, mode, x_slope)),
            (f"gradient, {which}", partial(_gradient, layer, points, mode, moved, x_slope and "x" not in surrogate)),
            (f"dtype, {which}", partial(_dtype, layer, away, own, mode)),
        ]
    if keyless:
        laws += [("training", partial(not_applicable, "with a key all is as without, and the layer is large"))]
    rowwise = inference and independent_rows
    everything = partial(_everything, layer, held, modes)
    quiet = partial(_everything, layer, away, modes[:1])
    laws += [
        ("one row", partial(_one_row, layer, away, own) if rowwise else declared),
        ("rows independent", partial(_rows_independent, layer, away, own) if rowwise else declared),
        ("gradients add up", partial(_add_up, layer, away, own) if rowwise else declared),
        ("keys", partial(noise_law, layer, held, own, inference, noise, unbiased, keyless, x_slope)),
        ("stable", partial(stable_law, everything, np.concatenate([own, -own])) if x_slope else declared),
        ("offset", partial(_offset, layer, held, own, modes) if x_slope else declared),
        ("precision", partial(precision_law, lambda given: quiet(given["x"]), {"x": own}) if x_slope else declared),
        ("linear way back", partial(_linear, layer, away, own, tried)),
        ("memory layout", partial(_layout, layer, away, own, tried)),
        ("same at the end", partial(_as_at_first, layer, away, own, dy, modes[0], at_first)),
    ]
    return judged("check_layer", laws, report)


def _below_zero(
    layer: Layer, params: Params, x: Array, modes: list[Key | None], moved: tuple[str, ...]
) -> list[tuple[Params, Array]]:
    """Return a point where params are below 0 that are above, as what starts there does not always stay there."""
    above = {name for name in moved if params[name].min(initial=1) > 0}
    below = {name: locked(-array) if name in above else array for name, array in params.items()}
    return [(below, x)] if above and accepts(layer, below, modes, x) else []


def _check_declared(argument: str, names: Collection[str], known: tuple[str, ...]) -> None:
    """Raise ValueError if what is declared of some names is of a name that is not there."""
    for name in names:
        if name not in known:
            raise ValueError(problem("check_layer", argument, f"hold names of params ({', '.join(known)})", repr(name)))


def _same_without_key(layer: Layer, params: Params, x: Array, dy: Array) -> bool:
    """Say whether a pass with a key gives what one without it does."""
    try:
        still, trained = (bits(_there_and_back(layer, params, x, dy, key)) for key in (None, _TRAINING))
        return still == trained
    except Exception:
        return False


def _as_at_first(
    layer: Layer, params: Params, x: Array, dy: Array, key: Key | None, at_first: tuple[object, ...]
) -> Verdict:
    """Check that, after all calls, the layer still gives what it gave at first."""
    if bits(_there_and_back(layer, params, x, dy, key)) != at_first:
        cause = "state kept between calls: a counter, a list, an attribute, a default argument"
        breach("y and its way back", "be after many calls what they were at first", "others", cause)
    return "pass", ""


def _start(layer: Layer, x: Array, params: Params | None) -> Params:
    """Return locked float64 params to check a layer with, batch norms calibrated."""
    check_is_pair("check_layer", "layer", layer)
    held, _ = checked_params("check_layer", layer[0](0, FLOAT64) if params is None else params)
    held = in_dtype(held, FLOAT64)
    return calibrate(layer, held, x) if statistics(layer) else held


def _there_and_back(layer: Layer, params: Params, x: Array, dy: Array, key: Key | None) -> tuple[Array, Params, Array]:
    """Return y, the gradients and dx."""
    y, pullback = layer[1](params, x, key)
    grads, dx = pullback(dy)
    return y, grads, dx()


def _everything(layer: Layer, params: Params, modes: list[Key | None], x: Array) -> dict[str, Array]:
    """Return by name all that the layer computes for some rows, in the dtype of the rows."""
    found: dict[str, Array] = {}
    held = in_dtype(params, x.dtype)
    for mode in modes:
        y, pullback = layer[1](held, locked(x), mode)
        grads, dx = pullback(locked(weights_for(y).astype(y.dtype)))
        which = "" if mode is None else ", with a key"
        found |= {f"y{which}": y, f"dx(){which}": dx()}
        found |= {f"the gradient of {name}{which}": np.asarray(array) for name, array in grads.items()}
    return found


def _largest(arrays: Mapping[str, Array]) -> float:
    """Return the largest absolute value in some arrays."""
    return max((float(np.max(np.abs(array), initial=0)) for array in arrays.values()), default=0.0)


def _form(layer: Layer, x: Array, params: Params | None, modes: list[Key | None], x_slope: bool) -> Verdict:
    """Check that the layer takes and returns what layers do, in every mode."""
    check_arguments("check_layer", "layer", layer)
    held = _start(layer, x, params)
    for mode in [*modes, *([7] if affordable(held, x) >= _FEW else [])]:
        which = "without a key" if mode is None else f"with key {mode}"
        result = layer[1]({name: np.array(array) for name, array in held.items()}, np.array(x), mode)
        if type(result) is not tuple or len(result) != 2 or not callable(result[1]):
            breach("forward", "return a pair (y, pullback)", result)
        y, pullback = result
        if type(y) is not np.ndarray or y.ndim == 0 or len(y) != len(x):
            breach(f"y {which}", f"be an array with a row for each of the {len(x)} of x", y)
        back = pullback(weights_for(y).astype(y.dtype))
        if type(back) is not tuple or len(back) != 2 or not hasattr(back[0], "items") or not callable(back[1]):
            breach("pullback", "return a pair (grads by name, dx), dx a function", back)
        grads, dx = back[0], back[1]()
        for name, array in grads.items():
            if name not in held:
                breach(f"the gradient {name}", f"have the name of a parameter ({', '.join(held)})", repr(name))
            if np.shape(array) != held[name].shape:
                constraint = f"have the parameter's shape {held[name].shape}"
                cause = "the two factors of a product stand the wrong way round" if held[name].ndim == 2 else ""
                breach(f"the gradient of {name}", constraint, np.shape(array), cause)
        if not isinstance(dx, np.ndarray) or dx.shape != x.shape:
            breach("dx()", f"have the shape {x.shape} of x", dx)
        if not x_slope and dx.any():
            breach("dx()", "be zeros, as x_slope=False declares", dx)
    return "pass", ", ".join(f"{name} {array.shape}" for name, array in held.items()) or "no params"


def _init(layer: Layer, few: bool) -> Verdict:
    """Check that init is pure, keeps its dtype and draws from its key."""
    for dtype in (FLOAT32, FLOAT64):
        first, second = dict(layer[0]((0, 1), dtype)), dict(layer[0]((0, 1), dtype))
        if bits(first) != bits(second):
            cause = "draw from generator(key)"
            breach("init", "give the same bits for the same key", "others at the second call", cause)
        for name, array in first.items():
            if not isinstance(array, np.ndarray) or array.dtype != dtype:
                breach(f"init's {name}", f"be a {dtype} array, the dtype asked for", array)
            check_finite(f"init's {name}", "be finite", array)
            if np.shares_memory(array, np.asarray(second[name])):
                cause = "a kept array is returned"
                breach(f"init's {name}", "be a new array at each call", "the same memory twice", cause)
    return key_law(lambda key: layer[0](key, FLOAT64), "init's {name}", few) if first else ("pass", "no params")


def _finite(
    layer: Layer, given: tuple[Params, Array], own: tuple[Params, Array], modes: list[Key | None], none: set[str],
    x_slope: bool, few: bool,
) -> Verdict:
    """Check that all is finite at the rows given and at others, and that zeros give no NaN where y is finite."""
    cause = "0 / 0, sqrt or log at 0, or a power of 0: add a small number under the root, or use np.where with care"
    for params, x in (given, own):
        for name, array in _everything(layer, params, modes, x).items():
            if not np.isfinite(array).all():
                at = tuple(int(i) for i in np.unravel_index(int(np.argmin(np.isfinite(array))), array.shape))
                shown = f"x = {listed(x[at[0] : at[0] + 1])}" if name[0] in "yd" else "the rows given"
                breach(f"{name}{list(at)}", "be finite where x is", f"{array[at]}", cause, shown_by=shown)
    (held, rows), (_, others) = given, own
    moved = [name for name in held if name not in none]
    half: Params = {name: locked(array * (np.arange(array.size) % 2).reshape(array.shape)) if name in moved else array
            for name, array in held.items()}
    none_left: Params = {**held, **zeroed({name: held[name] for name in moved})}
    cases = [(none_left, others, "params of 0"), (half, others, "params of which every second is 0")] if moved else []
    if x_slope and (rows <= 0).any() and (rows >= 0).any():
        cases += [(held, locked(np.zeros_like(others)), "rows of zeros"),
                  (held, locked(others * (np.arange(others.size) % 2).reshape(others.shape)), "rows with zeros")]
    tried = 2
    cases = cases[:1] if few else cases
    for params, x, where in cases:
        try:
            found = _everything(layer, params, modes, x)
        except Exception:
            continue
        if all(np.isfinite(array).all() for name, array in found.items() if name[0] == "y"):
            tried += 1
            for name, array in found.items():
                if np.isnan(array).any():
                    breach(name, f"not be NaN at {where}, where y is finite", "nan", cause)
    left_out = f", {2 + len(cases) - tried} of zeros refused or beyond float" if tried < 2 + len(cases) else ""
    return "pass", f"{tried} points{left_out}"


def _calls_apart(layer: Layer, params: Params, x: Array, key: Key | None, x_slope: bool) -> Verdict:
    """Check that calls know nothing of each other: other inputs in between change neither results nor ways back."""
    y, pullback = layer[1](params, x, key)
    kept, dy = bits(y), locked(weights_for(y))
    alone = bits(_there_and_back(layer, params, x, dy, key)[1:])
    moves = x_slope and accepts(layer, params, [key], x[::-1] + 0.125)
    layer[1](params, locked(x[::-1] + 0.125 if moves else x[::-1].copy()), key)[1](dy)
    grads, dx = pullback(dy)
    late = bits((grads, dx()))
    same_dx = bits(dx()) == late[2]
    pullback(locked(-2 * dy))
    again, dx_again = pullback(dy)
    twice = bits((again, dx_again()))
    if not same_dx:
        breach("dx", "give the same when called again", "another result", "it changes what it holds")
    if bits(y) != kept:
        cause = "a buffer is kept and written to again"
        breach("y", "stay as it is when forward is called again", "other values", cause)
    if late != alone:
        cause = "what forward notes for the way back is kept outside of the call (a global, an attribute, a list)"
        breach("pullback", "belong to its own call of forward", "another result after a call with other rows", cause)
    if twice != alone:
        breach("pullback", "give the same when called again", "another result", "it changes what it holds")
    return "pass", ""


def _gradient(
    layer: Layer, points: list[tuple[Params, Array]], key: Key | None, moved: tuple[str, ...], x_slope: bool
) -> Verdict:
    """Check the gradients of params and of x at some points."""
    name = "x" if "x" not in points[0][0] else "the input x"

    def called(case: Params) -> tuple[Array, Pullback]:
        return layer[1]({each: locked(case[each]) for each in case if each != name}, locked(case[name]), key)

    def back(case: Params, r: Array) -> Params:
        grads, dx = called(case)[1](locked(r))
        return {**grads, name: dx()}

    # A layer that takes certain values only, such as indices, has no slope that could be measured.
    refused = x_slope and not all(accepts(layer, params, [key], x + way) for params, x in points for way in (1e-5, -1e-5))
    names = (*moved, name) if x_slope and not refused else moved
    subject: Subject = {"forward": lambda case: called(case)[0], "back": back, "rows": (name,), "moved": names}
    declare = {each: f"surrogate=[{each!r}] for another gradient, fixed=[{each!r}] for none" for each in moved}
    declare[name] = "surrogate=['x'] for another gradient, x_slope=False for none, as with indices"
    if not names:
        return not_applicable("x is refused where it is moved" if refused else "declared")
    status, detail = gradient_law(subject, *({**params, name: x} for params, x in points), declare=declare)
    left_out = ", x not moved: refused" if refused else "" if x_slope else ", x not compared: declared"
    return status, detail + left_out


def _dtype(layer: Layer, params: Params, x: Array, key: Key | None) -> Verdict:
    """Check that results keep the dtype and that float32 and float64 agree, but for noise drawn in the dtype of x."""
    if not np.isfinite(x.astype(np.float32)).all():
        return not_applicable("x is beyond float32")
    alike = key is None or bits(layer[1](params, x, 0)[0]) == bits(layer[1](params, x, 1)[0])
    cause = "a float64 array or NumPy scalar in the arithmetic; make it a Python float, or give it x.dtype"

    def compute(dtype: DType) -> Params:
        return _everything(layer, params, [key], x.astype(dtype))

    return dtype_law(compute, "{name}", "be {dtype} for {dtype} inputs", cause, alike)


def _one_row(layer: Layer, params: Params, x: Array) -> Verdict:
    """Check that a row gives by itself, and in batches of other sizes and orders, what it gives in a batch."""
    dy = locked(weights_for(layer[1](params, x, None)[0]))
    y, _, dx = _there_and_back(layer, params, x, dy, None)
    for i in range(len(x)):
        row = locked(x[i : i + 1])
        own_y, _, own_dx = _there_and_back(layer, params, row, dy[i : i + 1], None)
        for name, own, batch in (("y", own_y, y[i : i + 1]), ("dx()", own_dx, dx[i : i + 1])):
            cause = "statistics of the batch at inference, or a mean over the rows"
            cause = cause if own.shape == batch.shape else "an axis of length 1 is lost"
            shown = f"x = {listed(row)}"
            check_close(f"{name} of row {i} by itself", "be what it is in a batch", own, batch, cause, shown_by=shown)
    sizes = [2, _LARGE_BATCH, *({x.shape[1], len(np.ravel(y[0]))} if x.ndim == 2 else ())]
    for batch_of in [np.arange(len(x))[::-1], *(np.resize(np.arange(len(x)), n) for n in sizes if n <= _LARGE_BATCH)]:
        own_y, _, own_dx = _there_and_back(layer, params, locked(x[batch_of]), locked(dy[batch_of]), None)
        for name, own, batch in (("y", own_y, y[batch_of]), ("dx()", own_dx, dx[batch_of])):
            cause = "something that asks how many rows there are, or where a row stands"
            subject = f"{name} of a row in a batch of {len(batch_of)}"
            check_close(subject, f"be what it is in one of {len(x)}", own, batch, cause)
    return "pass", f"{len(x)} rows, batches of {', '.join(map(str, sorted({1, len(x), *sizes})))}"


def _rows_independent(layer: Layer, params: Params, x: Array) -> Verdict:
    """Check that a change of one row of x changes that row of y only."""
    y = layer[1](params, x, None)[0]
    for i in range(len(x)):
        other = np.array(x)
        other[i] = x[i - 1]
        rest = np.arange(len(x)) != i
        changed, as_before = layer[1](params, locked(other), None)[0][rest], y[rest]
        if not close(changed, as_before):
            got = f"a change of others, {first_difference(changed, as_before)}"
            cause = "a sum or mean over axis 0 at inference; declare independent_rows=False if it is meant"
            breach(f"a change of row {i} of x", f"change row {i} of y only", got, cause)
    return "pass", f"{len(x)} rows"


def _add_up(layer: Layer, params: Params, x: Array) -> Verdict:
    """Check that the gradients of single rows add up to that of the batch."""
    y, pullback = layer[1](params, x, None)
    dy = weights_for(y)
    whole = pullback(locked(dy))[0]
    parts = [layer[1](params, locked(x[[i]]), None)[1](locked(dy[[i]]))[0] for i in range(len(x))]
    size = _largest({name: array for part in parts for name, array in part.items()})
    for name, array in whole.items():
        total = np.asarray(sum(np.asarray(part[name]) for part in parts))
        cause = "a mean over the rows in the gradient (the mean is taken by loss and grads alone), or a kept buffer"
        constraint = "be the sum of its rows' gradients"
        check_close(f"the gradient of {name}", constraint, np.asarray(array), total, cause, size=size)
    return "pass", f"{len(x)} rows"


def _linear(layer: Layer, params: Params, x: Array, modes: list[Key | None]) -> Verdict:
    """Check that the way back of a multiple of dy is that multiple."""
    for mode in modes:
        y, pullback = layer[1](params, x, mode)
        dy = weights_for(y)
        plain, dx = pullback(locked(dy))
        expected = {**plain, "dx()": dx()}
        for factor in (1e6, 1e-6):
            grads, scaled_dx = pullback(locked(dy * factor))
            scaled = {**grads, "dx()": scaled_dx()}
            for name, array in expected.items():
                back = np.asarray(scaled[name]) / factor
                constraint = f"be {factor:g} times as large for {factor:g} dy"
                cause = "a clip or threshold on gradients, or float32 on the way back"
                check_close(name, constraint, back, np.asarray(array), cause, size=_largest(expected))
    return "pass", "dy by 1e6 and 1e-6"


def _offset(layer: Layer, params: Params, x: Array, modes: list[Key | None]) -> Verdict:
    """Check that y far from 0 is right in float32, where no noise is drawn."""
    quiet = [key for key in modes if key is None or bits(layer[1](params, x, 0)[0]) == bits(layer[1](params, x, 1)[0])]
    if not quiet:
        return not_applicable("noise is drawn")

    def outputs(rows: Array) -> dict[str, Array]:
        held = in_dtype(params, rows.dtype)
        return {f"y{'' if key is None else ', with a key'}": layer[1](held, locked(rows), key)[0] for key in quiet}

    return offset_law(outputs, x)


def _layout(layer: Layer, params: Params, x: Array, modes: list[Key | None]) -> Verdict:
    """Check that nothing depends on the memory layout of params and rows."""
    plain = _everything(layer, params, modes, x)
    strange = _everything(layer, {name: reordered(array) for name, array in params.items()}, modes, reordered(x))
    return layout_law(plain, strange, "what is given", _largest(plain))
