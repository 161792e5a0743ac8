"""Overfitting a tiny batch on purpose: the first thing to try with a new network."""

from typing import Literal, SupportsFloat, SupportsIndex, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.bounds import above_zero
from nnfunc.calibration import calibrate
from nnfunc.checks import as_number, as_size, problem
from nnfunc.data import batches
from nnfunc.keys import fold_in
from nnfunc.optimizers import adam
from nnfunc.pieces import check_pair
from nnfunc.training_data import Rowwise, training_rows
from nnfunc.types import Key, Layer, LossFn, Optimizer, Params
from nnfunc.verbs import loss, value_and_grads

OverfitCheck = TypedDict(
    "OverfitCheck",
    {
        "verdict": Literal["fits", "does not fit"],
        "first_loss": float,
        "last_loss": float,
        "target": float,
        "steps": int,
        "rows": int,
        "text": str,
    },
)

_EVERY = 10


def overfit_check(
    net: Layer,
    loss_fn: LossFn,
    params: Params,
    x: ArrayLike,
    y: ArrayLike,
    *,
    rows: SupportsIndex = 16,
    steps: SupportsIndex = 1000,
    lr: SupportsFloat = 1e-2,
    optimizer: Optimizer | None = None,
    target: SupportsFloat | None = None,
    key: Key = 0,
) -> OverfitCheck:
    """Train on a tiny batch and say whether its loss gets near zero, as it must if everything is wired right.

    Args:
        net, loss_fn, params, x, y: as for `grads`.
        rows: how many rows the batch has at most; they are drawn by `key`.
        steps: how many steps on this one batch at most.
        lr: learning rate, above 0.
        optimizer: `adam()` if none.
        target: the loss to get below; 1 % of the first if none. Give one where
            the least loss is not 0, as with soft targets or label smoothing, or
            with a loss of one's own that can be negative.
        key: draws the rows, and the noise of the steps.

    Returns:
        A dict: ``verdict``, "fits" or "does not fit"; ``first_loss``,
        ``last_loss`` and ``target``, of inference; the ``steps`` that it took,
        the ``rows``, and a ``text`` with the likely cause where it does not fit.

    Raises:
        TypeError, ValueError: as `grads`, `rows`, `steps` or `lr` is out of range, or the
            loss starts below 0 and there is no `target`.
        FloatingPointError: the loss of the given params is not finite, or `x` is not.

    Example:
        >>> from nnfunc import init, mlp, softmax_cross_entropy
        >>> x, y = np.eye(6), np.array([0, 1, 2, 0, 1, 2])
        >>> net = mlp([6, 16, 3])
        >>> overfit_check(net, softmax_cross_entropy, init(net, key=0), x, y)["verdict"]
        'fits'
        >>> blank = {name: 0 * a for name, a in init(net, key=0).items()}
        >>> overfit_check(net, softmax_cross_entropy, blank, x, y)["text"]
        'the loss went from 1.099 to 1.099: no gradient reaches 0/W, 0/b, 1/W
        (zero or dead layers; check the initialisation)'
    """
    count, most = as_size("overfit_check", "rows", rows), as_size("overfit_check", "steps", steps)
    rate = above_zero("overfit_check", "lr", lr)
    if optimizer is not None:
        check_pair("overfit_check", "optimizer", optimizer, "(init, step)")
    data, held = training_rows("overfit_check", x, y, None, params)
    chosen = next(batches(key, len(data["x"]), count))
    tiny: Rowwise = {"x": data["x"][chosen], "y": data["y"][chosen], "weight": None}
    opt_init, step = optimizer or adam()
    state, first = opt_init(held), _inference_loss(net, loss_fn, held, tiny)
    if target is None and first < 0:
        got = f"none; the loss starts at {first:.4g}"
        raise ValueError(problem("overfit_check", "target", "be given where the loss can fall below 0", got))
    goal = 0.01 * first if target is None else as_number("overfit_check", "target", target)
    stepped, last, done = held, first, 0
    try:
        while done < most and last > goal:
            _, g = value_and_grads(net, loss_fn, stepped, tiny["x"], tiny["y"], key=fold_in(key, done))
            stepped, state = step(stepped, g, state, rate)
            done += 1
            if done % _EVERY == 0 or done == most:
                last = _inference_loss(net, loss_fn, stepped, tiny)
        text = f"the loss went from {first:.4g} to {last:.4g}"
        fits = last <= goal
        if not fits:
            _, g = value_and_grads(net, loss_fn, held, tiny["x"], tiny["y"], key=key)
            text += f": {_cause(held, g, tiny, first, last)}"
    except FloatingPointError as error:
        fits, last, text = False, float("inf"), f"{error}: lower the learning rate, or look with diagnose"
    return {
        "verdict": "fits" if fits else "does not fit",
        "first_loss": first,
        "last_loss": last,
        "target": goal,
        "steps": done,
        "rows": len(chosen),
        "text": text,
    }


def _inference_loss(net: Layer, loss_fn: LossFn, params: Params, data: Rowwise) -> float:
    return loss(net, loss_fn, calibrate(net, params, data["x"]), data["x"], data["y"])


def _cause(params: Params, grads: Params, data: Rowwise, first: float, last: float) -> str:
    """Say why a tiny batch is most likely not fitted."""
    trained = [name for name in params if name.rpartition("/")[2] not in ("mean", "var")]
    without = [name for name in trained if name not in grads or not grads[name].any()]
    if without:
        return f"no gradient reaches {', '.join(without)} (zero or dead layers; check the initialisation)"
    inputs = data["x"].reshape(len(data["x"]), -1)
    if len(np.unique(inputs, axis=0)) < len(inputs):
        return "some rows have equal inputs; if their targets differ, no network fits them"
    if last > first:
        return "it rose; lower the learning rate, and check the gradients with check_grads"
    return "more steps or a larger network may fit; if not, check the gradients with check_grads"
