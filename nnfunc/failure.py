"""What a failing training run says."""

from typing import TypedDict

import numpy as np

from nnfunc.blame import where_not_finite
from nnfunc.checks import locked
from nnfunc.diagnosis import Diagnosis, diagnose
from nnfunc.fusion import on_logits
from nnfunc.passes import value_and_grads_pass
from nnfunc.training_data import Rowwise
from nnfunc.types import GradTransform, Key, Layer, LossFn, Params, Penalty, Rows

Step = tuple[Params, Rowwise, Key, Rows]
"""The params before a step, its batch, its key, and which of the run's rows the batch is made of."""

Pieces = TypedDict(
    "Pieces",
    {
        "net": Layer,
        "loss_fn": LossFn,
        "penalty": Penalty | None,
        "transform": GradTransform | None,
        "numbers": Rows,
    },
)
"""What a step is replayed with; ``numbers`` says for each of the run's rows which one it is of the data given."""

_TOO_LONG = "the step that this batch gave was too long: lower the learning rate, or clip the gradients"


def failure(
    pieces: Pieces,
    message: str,
    epoch: int,
    step: int,
    failing: Step,
    before: Step | None,
    blame: str = _TOO_LONG,
) -> str:
    """Return the message of a failing step with the diagnosis of its batch.

    If the params were bad already, it is the step before that made them so,
    and its batch is the one that is replayed. If everything in the batch is
    finite, its gradients too, it is the transform that made them not so, or
    else what `blame` says.

    Example:
        >>> from nnfunc import dense, mse
        >>> batch = {"x": np.array([[np.inf]]), "y": np.array([[0.0]]), "weight": None}
        >>> failing = {"W": np.eye(1), "b": np.zeros(1)}, batch, 0, np.array([1])
        >>> pieces = {"net": dense(1, 1), "loss_fn": mse, "penalty": None, "transform": None, "numbers": np.array([0, 7])}
        >>> print(failure(pieces, "train: x must be finite, got inf at [0, 0]", 0, 3, failing, None))
        train: x must be finite, got inf at [0, 0], at step 3 of epoch 1
          first bad tensor: column 0 of the inputs x: inf at [0, 0], passed on from what was given (1 of 1 values);
          row 0 of this batch is row 7 of x
          likely cause: the data: clean these rows of x, leave them out, or give them weight 0
            the params that were given are as before
    """
    found, which = _replayed(pieces, failing), ""
    if found["first"] is not None and found["first"]["tensor"] == "parameter" and before is not None:
        found, failing, which = _replayed(pieces, before), before, f" (of step {step - 1})"
    cause = found["cause"]
    if found["finite"]:
        made = _made_by_transform(pieces, failing)
        cause = made or (f"{cause}; {blame}" if cause else blame)
    return (
        f"{message}, at step {step} of epoch {epoch + 1}\n"
        f"  first bad tensor{which}: {found['text']}{_data_row(pieces, found, failing)}\n"
        f"  likely cause: {cause}\n"
        f"  {'the state that was yielded last is' if epoch else 'the params that were given are'} as before"
    )


def refused_row(pieces: Pieces, failing: Step) -> str:
    """Say which row of the data it is, if the loss refuses some rows of a batch and not others.

    Example:
        >>> from nnfunc import dense, softmax_cross_entropy
        >>> batch = {"x": np.ones((2, 1)), "y": np.array([1, 5]), "weight": None}
        >>> failing = {"W": np.ones((1, 2)), "b": np.zeros(2)}, batch, 0, np.array([8, 3])
        >>> net, numbers = dense(1, 2), np.arange(9)
        >>> pieces = {"net": net, "loss_fn": softmax_cross_entropy, "penalty": None, "transform": None, "numbers": numbers}
        >>> refused_row(pieces, failing)
        'row 1 of this batch is row 3 of y'
    """
    params, batch, key, rows = failing
    net, loss_fn = on_logits(pieces["net"], pieces["loss_fn"])
    refused: list[int] = []
    with np.errstate(all="ignore"):
        try:
            outputs = locked(net[1](params, batch["x"], key)[0])
        except (TypeError, ValueError):
            return ""  # it is not the loss that complains
        for row in range(len(rows)):
            try:
                loss_fn(outputs[row : row + 1], batch["y"][row : row + 1])
            except (TypeError, ValueError):
                refused.append(row)
    if not refused or len(refused) == len(rows) > 1:
        return ""
    return f"row {refused[0]} of this batch is row {pieces['numbers'][rows[refused[0]]]} of y"


def _replayed(pieces: Pieces, step: Step) -> Diagnosis:
    params, batch, key, _ = step
    return diagnose(
        pieces["net"],
        pieces["loss_fn"],
        params,
        batch["x"],
        batch["y"],
        weight=batch["weight"],
        penalty=pieces["penalty"],
        key=key,
    )


def _data_row(pieces: Pieces, found: Diagnosis, step: Step) -> str:
    """Say which row of the data the first bad value belongs to, unless all are bad or it belongs to none."""
    first, rows = found["first"], step[3]
    if first is None or not first["index"] or first["tensor"] in ("parameter", "penalty"):
        return ""
    of_params = first["tensor"] == "gradient" and first["name"] != "outputs"
    if of_params or (first["bad"] == first["size"] and len(rows) > 1):
        return ""
    row = first["index"][0]
    return f"; row {row} of this batch is row {pieces['numbers'][rows[row]]} of {'y' if first['tensor'] == 'target' else 'x'}"


def _made_by_transform(pieces: Pieces, step: Step) -> str:
    """Say what the transform makes of the step's gradients, which are finite, if that is not."""
    params, batch, key, _ = step
    transform = pieces["transform"]
    if transform is None:
        return ""
    net, loss_fn, penalty = pieces["net"], pieces["loss_fn"], pieces["penalty"]
    try:
        _, g = value_and_grads_pass("train", net, loss_fn, params, batch["x"], batch["y"], batch["weight"], penalty, key)
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
