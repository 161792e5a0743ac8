"""What `train` says when a step fails: its batch is replayed, and the first bad tensor, row and likely cause are named."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

import numpy as np

from nnfunc.inspection.diagnosis import Diagnosis, diagnose
from nnfunc.network.boundary import prepared, value_and_grads_pass
from nnfunc.network.logits import on_logits
from nnfunc.training.arguments import Data, Run
from nnfunc.values.arrays import locked, where_not_finite
from nnfunc.values.checks import shortened
from nnfunc.values.types import Key, Params, Rows

Step: TypeAlias = tuple[Params, Rows, Key]
"""The params before a step, which rows of the run's data its batch is made of, and its key."""

_TOO_LONG = "the step that this batch gave was too long: lower the learning rate, or clip the gradients"


def batch_of(run: Run, rows: Rows) -> Data:
    """Return some rows of the data."""
    x, y, weight = run["data"]
    return x[rows], y[rows], None if weight is None else weight[rows]


def failure(
    run: Run, message: str, epoch: int, step: int, failing: Step, before: Step | None, otherwise: str = _TOO_LONG
) -> str:
    """Return the message of a failing step with the diagnosis of its batch.

    If the params were bad already, it is the step before that made them so,
    and its batch is the one that is replayed. If everything in the batch is
    finite, its gradients too, it is the transform that made them not so, or
    else what `otherwise` says.
    """
    found, which = _replayed(run, failing), ""
    of_params = found["first"] is not None and found["first"]["tensor"] == "parameter"
    if of_params and before is not None:
        found, failing, which = _replayed(run, before), before, f" (of step {step - 1})"
    cause = "the params were so when the run was given them" if of_params and before is None else found["cause"]
    if found["finite"]:
        made = _made_by_transform(run, failing)
        cause = made or (f"{cause}; {otherwise}" if cause else otherwise)
    return (
        f"{shortened(message, 350)}, at step {step} of epoch {epoch + 1}\n"
        f"  first bad tensor{which}: {shortened(found['text'], 200)}{_data_row(run, found, failing)}\n"
        f"  likely cause: {shortened(cause, 250)}\n"
        f"  {'the state that was yielded last is' if epoch else 'the params that were given are'} as before"
    )


def refused_row(run: Run, failing: Step) -> str:
    """Say which row of the data it is, if a layer or the loss refuses some rows of a batch and not others."""
    (params, rows, key), (x, y, _) = failing, batch_of(run, failing[1])
    net, loss_fn = on_logits(run["net"], run["loss_fn"])
    refused: list[int] = []
    tried: Callable[[slice], object]
    with np.errstate(all="ignore"):
        try:
            net, held, inputs = prepared("train", net, params, x, key)
        except Exception:
            return ""
        what, tried = "x", lambda part: net[1](held, inputs[part], key)
        with suppress(Exception):
            outputs = locked(net[1](held, inputs, key)[0])
            what, tried = "y", lambda part: loss_fn(outputs[part], locked(y[part]))
        for row in range(len(rows)):
            try:
                tried(slice(row, row + 1))
            except (TypeError, ValueError):
                refused.append(row)
    if not refused or len(refused) == len(rows) > 1:
        return ""
    return f"row {refused[0]} of this batch is row {rows[refused[0]]} of {what}"


def _replayed(run: Run, step: Step) -> Diagnosis:
    """Diagnose the batch of a step."""
    params, rows, key = step
    x, y, weight = batch_of(run, rows)
    return diagnose(run["net"], run["loss_fn"], params, x, y, weight=weight, penalty=run["penalty"], key=key)


def _data_row(run: Run, found: Diagnosis, step: Step) -> str:
    """Say which row of the data the first bad value belongs to, unless all are bad or it belongs to none."""
    first, rows = found["first"], step[1]
    if first is None or not first["index"] or first["tensor"] in ("parameter", "penalty"):
        return ""
    of_params = first["tensor"] == "gradient" and first["name"] != "outputs"
    if of_params or (first["bad"] == first["size"] and len(rows) > 1):
        return ""
    row = first["index"][0]
    what = "y" if first["tensor"] == "target" else "x"
    return f"; row {row} of this batch is row {rows[row]} of {what}"


def _made_by_transform(run: Run, step: Step) -> str:
    """Say what the transform makes of the step's gradients, which are finite, if that is not."""
    params, rows, key = step
    transform = run["transform"]
    if transform is None:
        return ""
    try:
        batch = batch_of(run, rows)
        mean_weight = None if batch[2] is None else 1.0
        _, g = value_and_grads_pass("train", run["net"], run["loss_fn"], params, *batch, mean_weight, run["penalty"], key)
    except FloatingPointError:
        return ""  # the mean of finite losses overflows; the transform was never reached
    try:
        sent = transform(g)
    except FloatingPointError as error:
        return f"the transform, which is given finite gradients: {error}"
    for name, array in sent.items():
        found = where_not_finite(np.asarray(array))
        if found:
            return f"the transform: it makes {found} of the gradient of {name}, which is finite"
    return ""
