"""Checking a layer: the laws of ``(init, forward)``, tried one by one."""

from collections.abc import Collection
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.checks import FLOAT32, FLOAT64, as_inputs, locked, problem
from nnfunc.norms import batch_norm_forward
from nnfunc.testing.drawing import draws_law
from nnfunc.testing.gradients import Subject, gradient_law, weights_for
from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged, stumbled
from nnfunc.testing.layer_form import form_law, init_law, start
from nnfunc.testing.layer_rows import add_up, largest, linear, one_row, rows_independent
from nnfunc.testing.purity import bits, purity_laws
from nnfunc.testing.samples import (
    check_same_in_float32,
    close,
    first_difference,
    in_dtype,
    own_rows,
    reordered,
    shifted,
    stable_law,
)
from nnfunc.types import Array, DType, Key, Layer, Params
from nnfunc.walk import joined, made_by, walk

_ROWS = 32
_TRAINING: Key = (3, 1)


def check_layer(
    layer: Layer,
    x: ArrayLike,
    *,
    params: Params | None = None,
    independent_rows: bool = True,
    inference: bool = True,
    noise: bool | None = None,
    unbiased: bool = True,
    fixed: Collection[str] = (),
    report: bool = False,
) -> list[LawResult]:
    """Check that a layer, or a whole network, keeps the laws of layers.

    Laws:
        form; init repeats, keeps its dtype, shares nothing; purity of forward
        and of the way back, with and without a key; gradients of every
        parameter and of the input against slopes by differences, at the params
        given and away from them; dtypes closed in float32 and float64, and the
        same results; a row by itself gives what it gives in a batch; rows do not
        touch at inference; gradients of rows add up; keys decide the noise, the
        mean of which, if the layer has no params, is inference; finite at large
        inputs; a way back that is linear; the same whatever the memory layout.

    Args:
        layer: ``(init, forward)``.
        x: rows that the layer is meant for, at most the first 32 of which are
            used. The checker adds rows of its own, made of values from the same columns.
        params: to check with; fresh ones of `init` if none. Batch norms of the
            library are calibrated on `x`.
        independent_rows: False declares that rows touch each other at inference.
        inference: False declares that the layer refuses to run without a key.
        noise: whether a key makes the layer draw; None to find out.
        unbiased: False declares that the noise has another mean than inference.
        fixed: names of params that have no gradient, on purpose.
        report: print a table of all laws, and raise nothing.

    Returns:
        A dict per law: ``law``, ``status`` ("pass", "fail", "undecided" or
        "not applicable") and ``detail``.

    Raises:
        AssertionError: a law is broken or cannot be decided; the message says
            which, where, what was expected, and the usual cause.
        TypeError, ValueError: `x` holds no rows of floats, or `fixed` a name
            that is not in the params.

    Example:
        >>> from nnfunc import dense, relu
        >>> results = check_layer(dense(3, 2, relu), np.linspace(-1, 1, 12).reshape(4, 3))
        >>> sorted({result["status"] for result in results})
        ['not applicable', 'pass']
    """
    rows = locked(as_inputs("check_layer", "x", x, FLOAT64)[:_ROWS])
    modes: list[Key | None] = [None, _TRAINING] if inference else [_TRAINING]
    form: Law = ("form", partial(form_law, layer, rows, params, modes))
    try:
        held = start(layer, rows, params)
        own = own_rows(rows, partial(_runs, layer, held, modes))
        moved_params = shifted(held)
        away = moved_params if _runs(layer, moved_params, modes, own) else held
        dy = weights_for(layer[1](in_dtype(held, FLOAT64), own.copy(), modes[0])[0])
    except Exception as error:
        return judged("check_layer", [form, stumbled(error)], report)
    for name in fixed:
        if name not in held:
            raise ValueError(problem("check_layer", "fixed", f"hold names of params ({', '.join(held)})", repr(name)))
    none = set(fixed) | _statistics(layer)
    moved = tuple(name for name in held if name not in none)
    laws: list[Law] = [form, ("init", partial(init_law, layer) if params is None else _given)]
    for mode in modes:
        which = "inference" if mode is None else "training"
        arguments = (dict(away), own, dy)
        laws += [
            (f"{name}, {which}", law)
            for name, law in purity_laws(partial(_there_and_back, layer, key=mode), arguments, ("params", "x", "dy"))
        ]
        laws.append((f"calls apart, {which}", partial(_calls_apart, layer, away, own, mode)))
        laws.append((f"gradient, {which}", partial(_gradient_law, layer, ((held, rows), (away, own)), mode, moved)))
        laws.append((f"dtype, {which}", partial(_dtype_law, layer, away, own, mode)))
    rowwise = inference and independent_rows
    laws += [
        ("one row", partial(one_row, layer, away, own) if rowwise else _declared),
        ("rows independent", partial(rows_independent, layer, away, own) if rowwise else _declared),
        ("gradients add up", partial(add_up, layer, away, own) if rowwise else _declared),
        ("keys", partial(draws_law, layer, held, own, inference, noise, unbiased)),
        ("stable", partial(stable_law, partial(_everything, layer, held, modes), np.concatenate([own, -own]))),
        ("linear way back", partial(linear, layer, away, own, modes)),
        ("memory layout", partial(_layout_law, layer, away, own, modes)),
    ]
    return judged("check_layer", laws, report)


def _runs(layer: Layer, params: Params, modes: list[Key | None], x: Array) -> bool:
    """Say whether the layer accepts these rows."""
    try:
        with np.errstate(all="ignore"):
            return all(np.isfinite(layer[1](params, x.copy(), mode)[0]).all() for mode in modes)
    except (ValueError, IndexError, TypeError, ArithmeticError):
        return False


def _statistics(layer: Layer) -> set[str]:
    """Return the names of batch norms' statistics, which have no gradient."""
    norms = [path for path, part in walk(layer) if made_by(part) is batch_norm_forward]
    return {joined(path, name) for path in norms for name in ("mean", "var")}


def _given() -> Verdict:
    return "not applicable", "params were given"


def _declared() -> Verdict:
    return "not applicable", "declared"


def _there_and_back(layer: Layer, params: Params, x: Array, dy: Array, key: Key | None) -> tuple[Array, Params, Array]:
    y, pullback = layer[1](params, x, key)
    grads, dx = pullback(dy)
    return y, grads, dx()


def _calls_apart(layer: Layer, params: Params, x: Array, key: Key | None) -> Verdict:
    """Try that calls know nothing of each other: other inputs in between change neither results nor ways back."""
    y, pullback = layer[1](params, x, key)
    kept, dy = bits(y), locked(weights_for(y))
    alone = bits(_back(layer, params, x, dy, key))
    other = locked(x[::-1] + 0.125) if _runs(layer, params, [key], x[::-1] + 0.125) else locked(x[::-1].copy())
    layer[1](params, other, key)[1](dy)
    grads, dx = pullback(dy)
    late = bits((grads, dx()))
    again, dx_again = pullback(dy)
    twice = bits((again, dx_again()))
    if bits(y) != kept:
        breach(
            "y", "stay as it is when forward is called again", "other values", "a buffer is kept and written to again"
        )
    if late != alone:
        cause = "what forward notes for the way back is kept outside of the call (a global, an attribute, a list)"
        breach("pullback", "belong to its own call of forward", "another result after a call with other rows", cause)
    if twice != alone:
        breach("pullback", "give the same when called again", "another result", "it changes what it holds")
    return "pass", ""


def _back(layer: Layer, params: Params, x: Array, dy: Array, key: Key | None) -> tuple[Params, Array]:
    grads, dx = layer[1](params, x, key)[1](dy)
    return grads, dx()


def _gradient_law(
    layer: Layer, points: tuple[tuple[Params, Array], ...], key: Key | None, moved: tuple[str, ...]
) -> Verdict:
    name = "x" if "x" not in points[0][0] else "the input x"

    def forward(case: Params) -> Array:
        own = {each: locked(array) for each, array in case.items() if each != name}
        return layer[1](own, locked(case[name]), key)[0]

    def back(case: Params, r: Array) -> Params:
        own = {each: locked(array) for each, array in case.items() if each != name}
        grads, dx = layer[1](own, locked(case[name]), key)[1](locked(r))
        return {**grads, name: dx()}

    subject: Subject = {"forward": forward, "back": back, "rows": (name,), "moved": (*moved, name)}
    return gradient_law(subject, *({**params, name: x} for params, x in points))


def _dtype_law(layer: Layer, params: Params, x: Array, key: Key | None) -> Verdict:
    found: list[dict[str, Array]] = []
    for dtype in (FLOAT32, FLOAT64):
        found.append(_everything(layer, params, [key], x.astype(dtype)))
        for name, array in found[-1].items():
            _check_dtype(name, array, dtype)
    deterministic = bits(layer[1](params, x, 0)[0]) == bits(layer[1](params, x, 1)[0])
    if key is None or deterministic:  # noise may be drawn in the dtype of x, and be other noise
        check_same_in_float32(*found)
    return "pass", "float32, float64"


def _check_dtype(what: str, array: Array, dtype: DType) -> None:
    if array.dtype != dtype:
        cause = "a float64 array or NumPy scalar in the arithmetic; make it a Python float, or give it x.dtype"
        breach(what, f"be {dtype} for {dtype} inputs", str(array.dtype), cause)


def _everything(layer: Layer, params: Params, modes: list[Key | None], x: Array) -> dict[str, Array]:
    """Return all that the layer computes for some rows, in the dtype of the rows."""
    found: dict[str, Array] = {}
    held = in_dtype(params, x.dtype)
    for mode in modes:
        y, pullback = layer[1](held, locked(x), mode)
        grads, dx = pullback(locked(weights_for(y).astype(y.dtype)))
        which = "" if mode is None else ", with a key"
        found |= {f"y{which}": y, f"dx(){which}": dx()}
        found |= {f"the gradient of {name}{which}": np.asarray(array) for name, array in grads.items()}
    return found


def _layout_law(layer: Layer, params: Params, x: Array, modes: list[Key | None]) -> Verdict:
    plain = _everything(layer, params, modes, x)
    strange = _everything(layer, {name: reordered(array) for name, array in params.items()}, modes, reordered(x))
    for name, array in plain.items():
        if not close(array, strange[name], largest(plain)):
            got = first_difference(strange[name], array)
            breach(
                name,
                "not depend on the memory layout of what is given",
                got,
                "ravel, reshape or a flat index in another order",
            )
    return "pass", "columns first, strides of two"
