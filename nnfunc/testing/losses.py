"""Check functions of outputs and targets against the laws: losses, which have a gradient, and metrics."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.network.boundary import which_count
from nnfunc.network.verbs import loss
from nnfunc.pieces.layers import identity_forward, no_params
from nnfunc.testing.gradients import Subject, gradient_law
from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged, not_applicable
from nnfunc.testing.purity import purity_laws
from nnfunc.testing.samples import (
    LAYOUT_CAUSE, check_close, dtype_law, layout_law, precision_law, reordered, stable_law,
)
from nnfunc.values.arrays import as_inputs, as_targets, locked
from nnfunc.values.checks import FLOAT64, check_callable, problem
from nnfunc.values.keys import generator
from nnfunc.values.types import AnyArray, Array, DType, LossFn, Metric, Params

_ROWS = 32
_ENOUGH = 200_000
_NAMES = ("per_example", "d_outputs")


def check_loss(
    loss_fn: LossFn, outputs: ArrayLike, targets: ArrayLike, *, keeps_nan: bool = True, report: bool = False
) -> list[LawResult]:
    """Check that a loss ``(outputs, targets) -> (per_example, d_outputs)`` keeps the laws.

    Laws:
        form; purity; d_outputs against the slopes of per_example; a row's loss
        and gradient are its own in a batch of any size, nothing is averaged
        over the rows; unequal shapes of outputs and targets are an error, also
        where they broadcast; row weights; float32 gives float32 and float64
        gives float64, with the same results; finite at large outputs, and no
        NaN where outputs are exactly right; the same whatever the memory layout
        and, of whole numbers, the type of the targets; float64 all the way; NaN
        among outputs shows in the loss, and where NaN among targets does not,
        it shows in no gradient either.

    Args:
        loss_fn: the function.
        outputs: (n, ...) such as a network gives: logits, probabilities,
            values. The first 32 rows are used, and rows mixed from them.
        targets: (n, ...) that belong to them.
        keeps_nan: False declares that NaN among outputs is taken away on purpose.
        report: print a table of all laws, and raise nothing.

    Returns, Raises:
        As `check_layer`.

    Example:
        >>> from nnfunc import mse
        >>> results = check_loss(mse, [[0.5, 1.0], [2.0, -1.0]], [[0.0, 1.0], [1.0, 1.0]])
        >>> {result["status"] for result in results}
        {'pass'}
        >>> def averaged(outputs, targets):
        ...     per_example, d_outputs = mse(outputs, targets)
        ...     return per_example, d_outputs / len(outputs)
        >>> check_loss(averaged, [[0.5], [2.0], [1.0]], [[0.0], [1.0], [3.0]])
        Traceback (most recent call last):
        ...
        AssertionError: check_loss: the gradient of outputs[1, 0] must be 2,
        the slope of sum(y) that differences measure, got 1
          usual cause: too small by a factor of 3.0 = the number of rows in the batch:
          the mean over rows is taken twice?
          smallest input found: outputs = [[1.0], [1.0]], targets = [[1.0], [0.0]]
          law: gradient
    """
    check_callable("check_loss", "loss_fn", loss_fn, "(outputs, targets) -> (per_example, d_outputs)")
    given = locked(as_inputs("check_loss", "outputs", outputs, FLOAT64)[:_ROWS])
    y = as_targets("check_loss", "targets", targets, FLOAT64)
    if y.ndim == 0 or len(y) < len(given):
        raise ValueError(problem("check_loss", "targets", f"have one target for each of the {len(given)} outputs", y))
    y = locked(y[:_ROWS])
    own, own_y = _mixed(given, y)
    there, _, _ = which_count("check_loss", loss_fn, own_y, None)
    counted = (own, own_y) if there is None else (locked(own[there]), locked(own_y[there]))
    points: list[Params] = [{"outputs": given, "targets": y}, {"outputs": own, "targets": own_y}]
    laws: list[Law] = [
        ("form", partial(_form, loss_fn, given, y)), *purity_laws(loss_fn, (given, y), ("outputs", "targets")),
        ("gradient", partial(gradient_law, _subject(loss_fn), *points)),
        ("rows independent", partial(_rows_independent, loss_fn, own, own_y)),
        ("equal shapes", partial(_equal_shapes, loss_fn, own, own_y)),
        ("weights", partial(_weights, loss_fn, *counted)), ("dtype", partial(_dtype, loss_fn, own, own_y)),
        ("stable", partial(_stable, loss_fn, own, own_y)), ("exact outputs", partial(_exact, loss_fn, given, y)),
        ("memory layout", partial(_layout, loss_fn, own, own_y)),
        ("target types", partial(_target_types, loss_fn, own, own_y)),
        ("precision", partial(_precision, loss_fn, own, own_y)),
        ("NaN outputs", partial(_nan_outputs, loss_fn, *counted) if keeps_nan else partial(not_applicable, "declared")),
        ("NaN targets", partial(_nan_targets, loss_fn, own, own_y)),
    ]
    return judged("check_loss", laws, report)


def check_metric(
    metric: Metric, outputs: ArrayLike, targets: ArrayLike, *, equal_shapes: bool = True, report: bool = False
) -> list[LawResult]:
    """Check that a metric ``(outputs, targets) -> float`` keeps the laws.

    Laws:
        form, also for a single row, unless that is refused; purity; a column
        (n, 1) and (n,) beside it are refused, or give what equal shapes do, and
        never n by n differences; the order of the rows does not matter; float32
        and float64 agree; the same whatever the memory layout.

    Args:
        metric: the function.
        outputs: (n, ...) that it is meant for, no two of them nearly equal if it ranks them.
        targets: (n, ...).
        equal_shapes: False declares that it broadcasts unequal shapes on purpose.
        report: print a table of all laws, and raise nothing.

    Returns, Raises:
        As `check_layer`.

    Example:
        >>> from nnfunc import accuracy
        >>> results = check_metric(accuracy, [[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], [1, 1, 0])
        >>> [result["law"] for result in results if result["status"] != "pass"]  # there is no single column
        ['equal shapes']
    """
    check_callable("check_metric", "metric", metric, "(outputs, targets) -> float")
    given = locked(as_inputs("check_metric", "outputs", outputs, FLOAT64))
    y = locked(as_targets("check_metric", "targets", targets, FLOAT64))
    rows = max(32, _ENOUGH * len(given) // max(given.size, 1))
    if y.ndim and len(given) == len(y) > rows:  # rows from everywhere, as classes may be in order
        spread = np.linspace(0, len(y) - 1, rows).astype(int)
        given, y = locked(given[spread]), locked(y[spread])

    def number() -> Verdict:
        value = metric(np.array(given), np.array(y))
        if not isinstance(value, (float, int, np.floating, np.integer)):
            breach("metric", "return one number", repr(value))
        if not np.isfinite(value):
            breach("metric", "be finite", float(value))
        try:
            alone = metric(locked(given[:1]), locked(y[:1]))
        except Exception:
            return "pass", f"{float(value):g}, a single row is refused"
        if not isinstance(alone, (float, int, np.floating, np.integer)):
            breach("metric", "return one number for a single row too", repr(alone))
        return "pass", f"{float(value):g}"

    def same(name: str, change: Callable[[AnyArray], AnyArray], tolerance: float, cause: str) -> Law:
        def law() -> Verdict:
            value, other = float(metric(given, y)), float(metric(locked(change(given)), locked(change(y))))
            if not np.isclose(value, other, rtol=tolerance, atol=tolerance):
                breach("metric", f"be the same {name}", f"{other:g} for {value:g}", cause)
            return "pass", ""

        return name, law

    declared = partial(not_applicable, "declared")
    order = generator((7, len(given))).permutation(len(given))
    order_cause = "it goes by the order of the rows, or matches them wrongly"
    laws: list[Law] = [
        ("form", number), *purity_laws(metric, (given, y), ("outputs", "targets")),
        ("equal shapes", partial(_metric_shapes, metric, given, y) if equal_shapes else declared),
        same("with the rows in another order", lambda a: a[order], 1e-9, order_cause),
        same("with the rows backwards", lambda a: np.ascontiguousarray(a[::-1]), 1e-9, order_cause),
        same("in float32", lambda a: a.astype(np.float32) if a.dtype.kind == "f" else a, 1e-4, ""),
        same("in another memory layout", reordered, 1e-9, LAYOUT_CAUSE),
        same("with its columns first in memory", np.asfortranarray, 1e-9, LAYOUT_CAUSE),
    ]
    return judged("check_metric", laws, report)


def _metric_shapes(metric: Metric, outputs: Array, targets: AnyArray) -> Verdict:
    """Check that a column beside a vector is refused, or gives what equal shapes do."""
    n = len(outputs)
    if n < 2 or outputs.size != n or targets.size != n:
        return not_applicable("outputs and targets are no single column; none is tried beside a vector")

    def tried(first: tuple[int, ...], second: tuple[int, ...], y: AnyArray = targets) -> float | None:
        try:
            return float(metric(locked(outputs.reshape(first)), locked(y.reshape(second))))
        except Exception:
            return None

    given, cause = float(metric(outputs, targets)), "outputs - targets broadcasts to n by n; ask require_same_shape first"
    shapes = (n,), (n, 1)
    others = [(a, b) for a in shapes for b in shapes if (a == b) != (outputs.shape == targets.shape)]
    found = [(a, b, value) for a, b in others if (value := tried(a, b)) is not None]
    alike = [np.isclose(value, given, rtol=1e-9, atol=1e-12) for _, _, value in found]
    if outputs.shape == targets.shape:
        wrong = [(a, b, f"{value:g} for {given:g}") for (a, b, value), same in zip(found, alike, strict=True) if not same]
    else:
        # Of all pairs of rows it does not matter which belong together.
        mixed = tried(outputs.shape, targets.shape, np.roll(targets, 1, axis=0))
        unpaired = bool(found) and not any(alike) and mixed is not None and np.isclose(mixed, given, rtol=1e-9)
        wrong = [(outputs.shape, targets.shape, f"{given:g} for {found[0][2]:g}")] if unpaired else []
    for first, second, got in wrong:
        constraint = f"raise ValueError, or give what equal shapes do, for outputs {first} and targets {second}"
        breach("metric", constraint, got, cause, declared_by="equal_shapes=False")
    return "pass", f"{len(found)} of {len(others)} other pairs of shapes are accepted"


def _subject(loss_fn: LossFn) -> Subject:
    """Return the loss per row with its way back, in the form in which gradients are checked."""

    def forward(case: Params) -> Array:
        return loss_fn(locked(case["outputs"]), case["targets"])[0]

    def back(case: Params, r: Array) -> Params:
        d = loss_fn(locked(case["outputs"]), case["targets"])[1]
        return {"outputs": d * r.reshape(-1, *[1] * (d.ndim - 1))}

    return {"forward": forward, "back": back, "rows": ("outputs", "targets"), "moved": ("outputs",)}


def _mixed(outputs: Array, targets: AnyArray, n: int = 5) -> tuple[Array, AnyArray]:
    """Return n rows between those given, so that probabilities stay probabilities, with the targets of the nearer."""
    draw = generator((5, outputs.size))
    i, j = draw.integers(0, len(outputs), n), draw.integers(0, len(outputs), n)
    other = outputs[j]
    if outputs.ndim > 1:  # a row drawn twice is mixed with its own mean instead
        other = np.where((i == j).reshape(-1, *[1] * (outputs.ndim - 1)), other.mean(axis=-1, keepdims=True), other)
    share = draw.uniform(0.6, 0.95, (n, *[1] * (outputs.ndim - 1)))
    return locked(share * outputs[i] + (1 - share) * other), locked(targets[i])


def _results(loss_fn: LossFn, outputs: Array, targets: AnyArray, dtype: DType) -> dict[str, Array]:
    """Return by name what the loss gives for outputs in a dtype; float targets go along."""
    y = locked(targets.astype(dtype)) if targets.dtype.kind == "f" else targets
    return _named(loss_fn(locked(outputs.astype(dtype)), y))


def _named(result: tuple[Array, Array]) -> dict[str, Array]:
    """Return by name what a loss gave."""
    return dict(zip(_NAMES, result, strict=True))


def _form(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
    """Check that the loss returns finite losses and gradients of the right shapes."""
    result = loss_fn(np.array(outputs), np.array(targets))
    if type(result) is not tuple or len(result) != 2:
        breach("loss_fn", "return a pair (per_example, d_outputs)", result)
    per_example, d_outputs = result
    if not isinstance(per_example, np.ndarray) or per_example.shape != (len(outputs),):
        cause = "the mean over the batch is taken by loss and grads, not by a loss function"
        breach("per_example", f"have shape ({len(outputs)},), one loss per row", per_example, cause)
    if not isinstance(d_outputs, np.ndarray) or d_outputs.shape != outputs.shape:
        breach("d_outputs", f"have the shape {outputs.shape} of the outputs", d_outputs)
    for name, array in zip(_NAMES, result, strict=True):
        if not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0][0])
            shown = f"outputs = {outputs[[row]].tolist()}, targets = {targets[[row]].tolist()}"
            breach(name, "be finite for the outputs given", f"another at row {row}", shown_by=shown)
    return "pass", f"{len(outputs)} rows"


def _rows_independent(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
    """Check that a row gives in a batch what it gives by itself."""
    whole = loss_fn(outputs, targets)
    for i in range(len(outputs)):
        alone = loss_fn(locked(outputs[[i]]), locked(targets[[i]]))
        for name, own, batch in zip(_NAMES, alone, whole, strict=True):
            cause = "a mean over the rows, which is taken by loss and grads alone; or a sum over the wrong axis"
            shown = f"outputs = {outputs.round(6).tolist()}, targets = {targets.tolist()}"
            subject = f"{name} of row {i} in a batch of {len(outputs)}"
            check_close(subject, "be what it is by itself", batch[[i]], own, cause, shown_by=shown)
    return "pass", f"{len(outputs)} rows"


def _equal_shapes(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
    """Check that targets whose shape does not fit are refused, also where they would broadcast."""
    n, classes = len(outputs), targets.ndim < outputs.ndim
    cases: list[tuple[Array, AnyArray]] = []
    if classes:
        longer = np.concatenate([targets, targets[:1]])
        cases = [(outputs, targets[:, None]), (outputs, targets[:-1]), (outputs, longer)]
    elif outputs.ndim == 1:
        cases = [(outputs, targets[:, None]), (outputs, targets[:1])]
    elif outputs.ndim == 2 and outputs.shape[1] == 1:
        cases = [(outputs, targets[:, 0]), (outputs, targets[:1])]
        wide, wide_targets = np.repeat(outputs, 3, axis=1), np.repeat(targets, 3, axis=1)
        if _accepts(loss_fn, wide, wide_targets):
            cases.append((wide, targets))
    elif outputs.ndim == 2 and targets.shape == (n, 1):
        cases = [(outputs, targets[:, 0]), (outputs, targets[:1])]
    elif targets.shape == outputs.shape:
        cases = [(outputs, targets[:, :1]), (outputs, targets[:1]), (outputs, targets[0]), (outputs, targets.ravel())]
    for given, other in cases:
        result = _accepts(loss_fn, given, other)
        # For classes of shape (n, 1), a result that the verbs refuse is refusal enough.
        if result is None or (classes and not _is_of_form(result, n, given)):
            continue
        shapes = f"outputs of shape {given.shape} and targets of shape {other.shape}"
        cause = "outputs - targets broadcasts; compare the shapes first and raise ValueError"
        breach("loss_fn", f"raise ValueError for {shapes}", "a result", cause)
    if not cases:
        return not_applicable("no unequal shapes are known for outputs and targets of this kind")
    return "pass", f"{len(cases)} unequal pairs"


def _is_of_form(result: tuple[Array, Array], n: int, outputs: Array) -> bool:
    """Say whether a result has the shapes of losses and gradients for n rows."""
    shapes = [getattr(part, "shape", None) for part in result] if isinstance(result, tuple) else []
    return shapes == [(n,), outputs.shape]


def _accepts(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> tuple[Array, Array] | None:
    """Return what the loss makes of outputs and targets, or None if it raises."""
    try:
        return loss_fn(locked(outputs), locked(targets))
    except Exception:
        return None


def _weights(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
    """Check the weighted mean that `loss` takes, behind a network that computes nothing."""
    identity = no_params, identity_forward
    weight = np.array([2.0, 0.0, 1.0, 0.5, 3.0])[: len(outputs)]
    per_example = np.array([loss_fn(locked(outputs[[i]]), locked(targets[[i]]))[0][0] for i in range(len(outputs))])
    by_hand = float(np.vdot(weight, per_example) / weight.sum())
    by_verb = loss(identity, loss_fn, {}, outputs, targets, weight=weight)
    if not np.isclose(by_verb, by_hand, rtol=1e-9):
        breach("the weighted mean", f"be {by_hand:.6g}, the rows' own losses weighted", f"{by_verb:.6g}")
    return "pass", "0, 0.5, 1, 2, 3"


def _dtype(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
    """Check that both results have the dtype of the outputs."""
    cause = "integer targets, a float64 array or a NumPy scalar in the arithmetic; cast to outputs.dtype"
    compute = partial(_results, loss_fn, outputs, targets)
    return dtype_law(compute, "{name}", "be {dtype} for {dtype} outputs", cause)


def _stable(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
    """Check large outputs of either sign, so that the right answer and the wrong one are both far out."""
    both, twice = np.concatenate([outputs, -outputs]), np.concatenate([targets, targets])
    if outputs.ndim == 2 and outputs.shape[1] > 1:
        both, twice = np.concatenate([both, both[:, ::-1]]), np.concatenate([twice, twice])
    return stable_law(lambda x: _results(loss_fn, x, twice, x.dtype), both)


def _exact(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
    """Check outputs that are the targets: values without error, probabilities of exactly 0 and 1."""
    exact = targets.astype(np.float64)
    if targets.shape != outputs.shape:
        if targets.dtype.kind not in "iu" or targets.ndim != 1 or outputs.ndim != 2:
            return not_applicable("outputs and targets are not of one kind")
        exact = (targets[:, None] == np.arange(outputs.shape[1])).astype(np.float64)
    for name, array in zip(_NAMES, _accepts(loss_fn, exact, targets) or (), strict=False):
        if np.isnan(array).any():
            cause = "0 / 0, or 0 * log(0): where the target is 0, so is its term (see scipy's xlogy)"
            breach(name, "not be NaN where every output is exactly right", "nan", cause)
    return "pass", "outputs that are the targets"


def _layout(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
    """Check that nothing depends on the memory layout of outputs and targets."""
    plain = _named(loss_fn(outputs, targets))
    layout_law(plain, _named(loss_fn(locked(np.asfortranarray(outputs)), targets)), "the outputs")
    return layout_law(plain, _named(loss_fn(reordered(outputs), reordered(targets))), "what is given")


def _target_types(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
    """Check that whole numbers mean the same whatever their type."""
    if targets.dtype.kind == "b" or (np.round(targets) != targets).any() or not np.isin(targets, range(128)).all():
        return not_applicable("targets are no small whole numbers")
    plain, tried = _named(loss_fn(outputs, targets)), []
    for dtype in (np.int64, np.int8, np.uint8):
        result = _accepts(loss_fn, outputs, targets.astype(dtype))
        if result is None:
            continue  # said aloud, it misleads nobody
        tried.append(np.dtype(dtype).name)
        for name, array in _named(result).items():
            cause = "arithmetic in integers, which wraps: convert targets to outputs.dtype first"
            constraint = f"not depend on the type of the targets, here {tried[-1]}"
            check_close(name, constraint, np.asarray(array, np.float64), plain[name], cause)
    return ("pass", ", ".join(tried)) if tried else not_applicable("targets of integers are refused")


def _precision(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
    """Check that losses and gradients follow small changes of the outputs, which are mixed, as probabilities may be."""
    other = np.roll(outputs, 1, axis=0)

    def compute(share: Params) -> dict[str, Array]:
        return _named(loss_fn(locked(other + share["share"] * (outputs - other)), targets))

    return precision_law(compute, {"share": np.full((len(outputs), *[1] * (outputs.ndim - 1)), 0.7)})


def _nan_outputs(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
    """Check that NaN among the outputs is not taken for a number."""
    for i in range(len(outputs)):
        held = np.array(outputs)
        held[i] = np.nan
        result = _accepts(loss_fn, held, targets)
        if result is not None and np.isfinite(result[0][i]):
            cause = "nan_to_num, fmax, or a comparison with NaN, which is False; a run that went wrong is not seen"
            subject, got = f"per_example of row {i}, whose outputs are NaN,", float(result[0][i])
            breach(subject, "be NaN, or an error", got, cause, declared_by="keeps_nan=False")
    return "pass", f"{len(outputs)} rows"


def _nan_targets(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
    """Check that where a NaN among the targets does not count, it reaches no gradient."""
    if targets.dtype.kind != "f":
        return not_applicable("targets are no floats")
    held = np.array(targets)
    held.reshape(len(held), -1)[0, 0] = np.nan
    result = _accepts(loss_fn, outputs, held)
    if result is None or not np.isfinite(result[0]).all():
        if result is not None and not np.isfinite(result[0][1:]).all():
            breach("per_example of the other rows", "not depend on a NaN among the targets of one", "nan")
        return "pass", "refused" if result is None else "the row's loss is NaN"
    if not np.isfinite(result[1]).all():
        cause = "the value leaves it out (nanmean), its gradient does not: np.where(np.isnan(targets), 0, ...)"
        breach("d_outputs", "be finite where a NaN among the targets does not count in the loss", "nan", cause)
    return "pass", "it does not count"
