"""Check functions of outputs and targets against the laws: losses, which have a gradient, and metrics."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.network.verbs import loss
from nnfunc.pieces.layers import identity_forward, no_params
from nnfunc.testing.gradients import Subject, gradient_law
from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged
from nnfunc.testing.purity import purity_laws
from nnfunc.testing.samples import (LAYOUT_CAUSE, close, dtype_law, first_difference, layout_law, reordered, stable_law)
from nnfunc.values.arrays import as_inputs, as_targets, locked
from nnfunc.values.checks import FLOAT64, check_callable, problem
from nnfunc.values.keys import generator
from nnfunc.values.types import AnyArray, Array, DType, LossFn, Metric, Params

_ROWS = 32
_NAMES = ("per_example", "d_outputs")


def check_loss(loss_fn: LossFn, outputs: ArrayLike, targets: ArrayLike, *, report: bool = False) -> list[LawResult]:
    """Check that a loss ``(outputs, targets) -> (per_example, d_outputs)`` keeps the laws.

    Laws:
        form; purity; d_outputs against the slopes of per_example; a row's loss
        and gradient are its own in a batch of any size, nothing is averaged
        over the rows; unequal shapes of outputs and targets are an error, also
        where they broadcast; row weights; float32 gives float32 and float64
        gives float64, with the same results; finite at large outputs, and no
        NaN where outputs are exactly right; the same whatever the memory layout.

    Args:
        loss_fn: the function.
        outputs: (n, ...) such as a network gives: logits, probabilities,
            values. The first 32 rows are used, and rows mixed from them.
        targets: (n, ...) that belong to them.
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
    points: list[Params] = [{"outputs": given, "targets": y}, {"outputs": own, "targets": own_y}]
    laws: list[Law] = [
        ("form", partial(_form, loss_fn, given, y)), *purity_laws(loss_fn, (given, y), ("outputs", "targets")),
        ("gradient", partial(gradient_law, _subject(loss_fn), *points)),
        ("rows independent", partial(_rows_independent, loss_fn, own, own_y)),
        ("equal shapes", partial(_equal_shapes, loss_fn, own, own_y)),
        ("weights", partial(_weights, loss_fn, own, own_y)), ("dtype", partial(_dtype, loss_fn, own, own_y)),
        ("stable", partial(_stable, loss_fn, own, own_y)), ("exact outputs", partial(_exact, loss_fn, given, y)),
        ("memory layout", partial(_layout, loss_fn, own, own_y)),
    ]
    return judged("check_loss", laws, report)


def check_metric(metric: Metric, outputs: ArrayLike, targets: ArrayLike, *, report: bool = False) -> list[LawResult]:
    """Check that a metric ``(outputs, targets) -> float`` keeps the laws.

    Laws:
        form; purity; the order of the rows does not matter; float32 and
        float64 agree; the same whatever the memory layout.

    Args:
        metric: the function.
        outputs: (n, ...) that it is meant for, no two of them nearly equal if it ranks them.
        targets: (n, ...).
        report: print a table of all laws, and raise nothing.

    Returns, Raises:
        As `check_layer`.

    Example:
        >>> from nnfunc import accuracy
        >>> results = check_metric(accuracy, [[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], [1, 1, 0])
        >>> {result["status"] for result in results}
        {'pass'}
    """
    check_callable("check_metric", "metric", metric, "(outputs, targets) -> float")
    given = locked(as_inputs("check_metric", "outputs", outputs, FLOAT64))
    y = locked(as_targets("check_metric", "targets", targets, FLOAT64))

    def number() -> Verdict:
        value = metric(np.array(given), np.array(y))
        if isinstance(value, np.ndarray) or not isinstance(value, (float, int, np.floating)):
            breach("metric", "return one number", repr(value))
        return ("pass", f"{float(value):g}") if np.isfinite(value) else breach("metric", "be finite", float(value))

    def same(name: str, change: Callable[[AnyArray], AnyArray], tolerance: float, cause: str) -> Law:
        def law() -> Verdict:
            value, other = float(metric(given, y)), float(metric(change(given), change(y)))
            if not np.isclose(value, other, rtol=tolerance, atol=tolerance):
                breach("metric", f"be the same {name}", f"{other:g} for {value:g}", cause)
            return "pass", ""

        return name, law

    def single(array: AnyArray) -> AnyArray:
        return locked(array.astype(np.float32)) if array.dtype.kind == "f" else array

    def mixed(array: AnyArray) -> AnyArray:
        return locked(array[generator((7, len(array))).permutation(len(array))])

    order_cause = "it goes by the order of the rows, or matches them wrongly"
    laws: list[Law] = [
        ("form", number), *purity_laws(metric, (given, y), ("outputs", "targets")),
        same("with the rows in another order", mixed, 1e-9, order_cause), same("in float32", single, 1e-4, ""),
        same("in another memory layout", reordered, 1e-9, LAYOUT_CAUSE),
    ]
    return judged("check_metric", laws, report)


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
            if not close(batch[[i]], own):
                cause = "a mean over the rows, which is taken by loss and grads alone; or a sum over the wrong axis"
                shown = f"outputs = {outputs.round(6).tolist()}, targets = {targets.tolist()}"
                subject, got = f"{name} of row {i} in a batch of {len(outputs)}", first_difference(batch[[i]], own)
                breach(subject, "be what it is by itself", got, cause, shown_by=shown)
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
    weight = np.array([2.0, 0.0, 1.0, 0.5, 3.0])
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
            return "pass", "outputs and targets are not of one kind"
        exact = (targets[:, None] == np.arange(outputs.shape[1])).astype(np.float64)
    for name, array in zip(_NAMES, _accepts(loss_fn, exact, targets) or (), strict=False):
        if np.isnan(array).any():
            cause = "0 / 0, or 0 * log(0): where the target is 0, so is its term (see scipy's xlogy)"
            breach(name, "not be NaN where every output is exactly right", "nan", cause)
    return "pass", "outputs that are the targets"


def _layout(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
    """Check that nothing depends on the memory layout of outputs and targets."""
    strange = _named(loss_fn(reordered(outputs), reordered(targets)))
    return layout_law(_named(loss_fn(outputs, targets)), strange, "what is given")
