"""What a failing training run says."""

from nnfunc.diagnosis import Diagnosis, diagnose
from nnfunc.training_data import Rowwise
from nnfunc.types import Key, Layer, LossFn, Params, Penalty

Step = tuple[Params, Rowwise, Key]


def failure(
    net: Layer,
    loss_fn: LossFn,
    penalty: Penalty | None,
    message: str,
    epoch: int,
    step: int,
    failing: Step,
    before: Step | None,
) -> str:
    """Return the message of a failing step with the diagnosis of its batch.

    If the params were bad already, it is the step before that made them so,
    and its batch is the one that is replayed.

    Example:
        >>> import numpy as np
        >>> from nnfunc import dense, mse
        >>> batch = {"x": np.array([[np.inf]]), "y": np.array([[0.0]]), "weight": None}
        >>> params = {"W": np.eye(1), "b": np.zeros(1)}
        >>> print(failure(dense(1, 1), mse, None, "train: x must be finite, got inf", 0, 3, (params, batch, 0), None))
        train: x must be finite, got inf, at step 3 of epoch 1
          first bad tensor: column 0 of the inputs x: inf at [0, 0], passed on from what was given (1 of 1 values)
          likely cause: the data: clean these rows of x, leave them out, or give them weight 0
            the params that were given are as before
    """
    found = _replayed(net, loss_fn, penalty, failing)
    cause, text, which = found["cause"], found["text"], ""
    if found["first"] is not None and found["first"]["tensor"] == "parameter" and before is not None:
        earlier = _replayed(net, loss_fn, penalty, before)
        which, cause, text = f" (of step {step - 1})", earlier["cause"], earlier["text"]
        found = earlier
    if found["finite"]:
        too_long = "the step that this batch gave was too long: lower the learning rate, or clip the gradients"
        cause = f"{cause}; {too_long}" if cause else too_long
    return (
        f"{message}, at step {step} of epoch {epoch + 1}\n"
        f"  first bad tensor{which}: {text}\n"
        f"  likely cause: {cause}\n"
        f"  {'the state that was yielded last is' if epoch else 'the params that were given are'} as before"
    )


def _replayed(net: Layer, loss_fn: LossFn, penalty: Penalty | None, step: Step) -> Diagnosis:
    params, batch, key = step
    return diagnose(net, loss_fn, params, batch["x"], batch["y"], weight=batch["weight"], penalty=penalty, key=key)
