"""Checking a loss: the laws of ``(outputs, targets) -> (per_example, d_outputs)``."""

from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.checks import (
    FLOAT32,
    FLOAT64,
    as_inputs,
    as_targets,
    check_callable,
    locked,
    problem,
)
from nnfunc.keys import generator
from nnfunc.layers import identity_forward, no_params
from nnfunc.testing.gradients import Subject, gradient_law
from nnfunc.testing.laws import Law, LawResult, Verdict, breach, judged
from nnfunc.testing.purity import purity_laws
from nnfunc.testing.samples import check_same_in_float32, close, first_difference, reordered, stable_law
from nnfunc.types import AnyArray, Array, DType, LossFn, Params
from nnfunc.verbs import loss

_ROWS = 32
_NAMES = ("per_example", "d_outputs")


def check_loss(loss_fn: LossFn, outputs: ArrayLike, targets: ArrayLike, *, report: bool = False) -> list[LawResult]:
    """Check that a loss keeps the laws of losses.

    Laws:
        form; purity; d_outputs against the slopes of per_example; a row's loss
        and gradient are its own, in a batch of any size, nothing averaged over
        the rows; unequal shapes of outputs and targets are an error, also
        where they broadcast; row weights; dtypes closed, and the same results; finite at large
        outputs, and no NaN where outputs are exactly right; the same whatever
        the memory layout.

    Args:
        loss_fn: the function.
        outputs: (n, ...) such as a network gives, at most 32 rows of which are
            used: logits, probabilities, values. The checker mixes rows of its own from them.
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
        AssertionError: check_loss: the gradient of outputs[1, 0] must be 2, the slope of sum(y) that differences measure, got 1
          usual cause: too small by a factor of 3.0 = the number of rows in the batch: the mean over rows is taken twice?
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
        ("form", partial(_form, loss_fn, given, y)),
        *purity_laws(loss_fn, (given, y), ("outputs", "targets")),
        ("gradient", partial(gradient_law, _subject(loss_fn), *points)),
        ("rows independent", partial(_rows_independent, loss_fn, own, own_y)),
        ("equal shapes", partial(_equal_shapes, loss_fn, own, own_y)),
        ("weights", partial(_weights, loss_fn, own, own_y)),
        ("dtype", partial(_dtype, loss_fn, own, own_y)),
        ("stable", partial(_stable, loss_fn, own, own_y)),
        ("exact outputs", partial(_exact, loss_fn, given, y)),
        ("memory layout", partial(_layout, loss_fn, own, own_y)),
    ]
    return judged("check_loss", laws, report)


def _subject(loss_fn: LossFn) -> Subject:
    def forward(case: Params) -> Array:
        return loss_fn(locked(case["outputs"]), case["targets"])[0]

    def back(case: Params, r: Array) -> Params:
        d = loss_fn(locked(case["outputs"]), case["targets"])[1]
        return {"outputs": d * r.reshape(-1, *[1] * (d.ndim - 1))}

    return {"forward": forward, "back": back, "rows": ("outputs", "targets"), "moved": ("outputs",)}


def _mixed(outputs: Array, targets: AnyArray, n: int = 5) -> tuple[Array, AnyArray]:
    """Return n rows between the given ones, so that probabilities stay probabilities, with the targets of the nearer."""
    draw = generator((5, outputs.size))
    i, j = draw.integers(0, len(outputs), n), draw.integers(0, len(outputs), n)
    other = outputs[j]
    if outputs.ndim > 1:  # two equal rows would be one: between a row and its own mean there are more
        other = np.where((i == j).reshape(-1, *[1] * (outputs.ndim - 1)), other.mean(axis=-1, keepdims=True), other)
    share = draw.uniform(0.6, 0.95, (n, *[1] * (outputs.ndim - 1)))
    return locked(share * outputs[i] + (1 - share) * other), locked(targets[i])


def _in_dtype(outputs: Array, targets: AnyArray, dtype: DType) -> tuple[Array, AnyArray]:
    floats = targets.dtype.kind == "f"
    return locked(outputs.astype(dtype)), locked(targets.astype(dtype)) if floats else targets


def _form(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
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
    whole = loss_fn(outputs, targets)
    for i in range(len(outputs)):
        alone = loss_fn(locked(outputs[[i]]), locked(targets[[i]]))
        for name, own, batch in zip(_NAMES, alone, whole, strict=True):
            if not close(batch[[i]], own):
                cause = "a mean over the rows, which is taken by loss and grads alone; or a sum over the wrong axis"
                shown = f"outputs = {outputs.round(6).tolist()}, targets = {targets.tolist()}"
                got = first_difference(batch[[i]], own)
                breach(
                    f"{name} of row {i} in a batch of {len(outputs)}",
                    "be what it is by itself",
                    got,
                    cause,
                    shown_by=shown,
                )
    return "pass", f"{len(outputs)} rows"


def _equal_shapes(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
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
        # Classes of shape (n, 1) are no classes; a result that the verbs refuse is refusal enough.
        if result is None or (classes and not _is_of_form(result, n, given)):
            continue
        shapes = f"outputs of shape {given.shape} and targets of shape {other.shape}"
        cause = "outputs - targets broadcasts; compare the shapes first and raise ValueError"
        breach("loss_fn", f"raise ValueError for {shapes}", "a result", cause)
    return "pass", f"{len(cases)} unequal pairs"


def _is_of_form(result: tuple[Array, Array], n: int, outputs: Array) -> bool:
    shapes = [getattr(part, "shape", None) for part in result] if isinstance(result, tuple) else []
    return shapes == [(n,), outputs.shape]


def _accepts(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> tuple[Array, Array] | None:
    """Return what the loss makes of outputs and targets, or none if it raises."""
    try:
        return loss_fn(locked(outputs), locked(targets))
    except Exception:
        return None


def _weights(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
    """Try the loss in `loss`, behind a network that computes nothing."""
    identity = no_params, identity_forward
    weight = np.array([2.0, 0.0, 1.0, 0.5, 3.0])
    per_example = np.array([loss_fn(locked(outputs[[i]]), locked(targets[[i]]))[0][0] for i in range(len(outputs))])
    by_hand = float(np.vdot(weight, per_example) / weight.sum())
    by_verb = loss(identity, loss_fn, {}, outputs, targets, weight=weight)
    if not np.isclose(by_verb, by_hand, rtol=1e-9):
        breach("the weighted mean", f"be {by_hand:.6g}, the rows' own losses weighted", f"{by_verb:.6g}")
    return "pass", "0, 0.5, 1, 2, 3"


def _dtype(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
    found = [
        dict(zip(_NAMES, loss_fn(*_in_dtype(outputs, targets, dtype)), strict=True)) for dtype in (FLOAT32, FLOAT64)
    ]
    for dtype, results in zip((FLOAT32, FLOAT64), found, strict=True):
        for name, array in results.items():
            if array.dtype != dtype:
                cause = "integer targets, a float64 array or a NumPy scalar in the arithmetic; cast to outputs.dtype"
                breach(name, f"be {dtype} for {dtype} outputs", str(array.dtype), cause)
    check_same_in_float32(*found)
    return "pass", "float32, float64"


def _stable(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
    """Try large outputs of either sign, so that the right answer and the wrong one are both far out."""
    both, twice = np.concatenate([outputs, -outputs]), np.concatenate([targets, targets])
    if outputs.ndim == 2 and outputs.shape[1] > 1:
        both, twice = np.concatenate([both, both[:, ::-1]]), np.concatenate([twice, twice])

    def everything(x: Array) -> dict[str, Array]:
        per_example, d_outputs = loss_fn(*_in_dtype(x, twice, x.dtype))
        return {"per_example": per_example, "d_outputs": d_outputs}

    return stable_law(everything, both)


def _exact(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> Verdict:
    """Try outputs that are the targets: values without error, probabilities of exactly 0 and 1."""
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
    strange = loss_fn(reordered(outputs), reordered(targets))
    for name, array, other in zip(_NAMES, loss_fn(outputs, targets), strange, strict=True):
        if not close(array, other):
            cause = "ravel, reshape or a flat index in another order"
            breach(name, "not depend on the memory layout of what is given", first_difference(other, array), cause)
    return "pass", "columns first, strides of two"
