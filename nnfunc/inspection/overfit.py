"""Overfitting a tiny batch on purpose: the first thing to try with a new network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, SupportsFloat, SupportsIndex, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.inspection.diagnosis import scale_of_columns, scale_of_targets
from nnfunc.network.boundary import counted_rows, prepared
from nnfunc.network.calibration import calibrate
from nnfunc.network.guard import check_layer, is_own_loss
from nnfunc.network.kinds import trained
from nnfunc.network.logits import final_activation, misfit
from nnfunc.network.verbs import forward, loss, value_and_grads
from nnfunc.pieces.data import batches
from nnfunc.pieces.losses import OWN_LOSSES
from nnfunc.pieces.masking import unmasked
from nnfunc.pieces.optimizers import adam
from nnfunc.values.arrays import lasting
from nnfunc.values.checks import above_zero, as_number, as_size, check_callable, check_pair, label, looked_up, require
from nnfunc.values.keys import fold_in
from nnfunc.values.params import mapped
from nnfunc.values.types import AnyArray, Array, Key, Layer, LossFn, Optimizer, Params

OverfitCheck = TypedDict(
    "OverfitCheck",
    {
        "verdict": Literal["fits", "does not fit"], "first_loss": float, "last_loss": float, "target": float,
        "steps": int, "rows": int, "text": str,
    },
)

_EVERY = 10
_FAR = 30.0  # so many times as far as others, or as the outputs, a column or targets are a reason for not fitting


def overfit_check(
    net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, *, rows: SupportsIndex = 16,
    steps: SupportsIndex = 1000, lr: SupportsFloat = 1e-2, optimizer: Optimizer | None = None,
    target: SupportsFloat | None = None, key: Key = 0, on_step: Callable[[Mapping[str, float]], object] | None = None,
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
        on_step: called after each step with a dict of ``step``, how many are done, ``steps``, how many there
            are at most, and ``loss``, of the params before the step. `step_bar` is one that shows it.

    Returns:
        A dict: ``verdict``, "fits" or "does not fit"; ``first_loss``,
        ``last_loss`` and ``target``, of inference; the ``steps`` that it took,
        the ``rows``, and a ``text`` with the likely cause where it does not fit,
        or with what is wrong with it all the same: an output layer and a loss
        that do not belong together are run as they are, and named.

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
        'the loss went from 1.099 to 1.099: no gradient reaches 0/W, 0/b, 1/W, 1/b
        (zero or dead layers; check the initialisation)'
    """
    count, most = as_size("overfit_check", "rows", rows), as_size("overfit_check", "steps", steps)
    rate = above_zero("overfit_check", "lr", lr)
    if optimizer is not None:
        check_pair("overfit_check", "optimizer", optimizer, "(init, step)", Optimizer, (1, 4))
    check_layer("overfit_check", "net", net)
    check_callable("overfit_check", "loss_fn", loss_fn, "(outputs, targets) -> (per_example, d_outputs)", 2)
    if on_step is not None:
        check_callable("overfit_check", "on_step", on_step, "of one argument", 1)
    net, given, inputs = prepared("overfit_check", net, params, x, None)
    unfit = misfit(net, loss_fn)
    used = partial(_insisted, loss_fn) if unfit else loss_fn
    held = mapped(lasting, given)  # so that no optimiser can change the caller's
    inputs, targets, _, _ = counted_rows("overfit_check", loss_fn, inputs, y, None)
    chosen = next(batches(key, len(inputs), count))
    tiny = inputs[chosen], targets[chosen]
    opt_init, step = optimizer or adam()
    try:
        state, first = opt_init(held), _inference_loss(net, used, held, *tiny)
    except ValueError:
        if unfit:
            raise ValueError(unfit) from None
        raise
    got = f"none; the loss starts at {first:.4g}"
    has_goal = target is not None or first >= 0
    require(has_goal, "overfit_check", "target", "be given where the loss can fall below 0", got)
    goal = 0.01 * first if target is None else as_number("overfit_check", "target", target)
    stepped, last, done = held, first, 0
    try:
        while done < most and last > goal:
            value, g = value_and_grads(net, used, stepped, *tiny, key=fold_in(key, done))
            stepped, state = step(stepped, g, state, rate)
            done += 1
            if done % _EVERY == 0 or done == most:
                last = _inference_loss(net, used, stepped, *tiny)
            if on_step is not None:
                on_step({"step": done, "steps": most, "loss": value})
        fits, text = last <= goal, f"the loss went from {first:.4g} to {last:.4g}"
        blunder = unfit or _always_right(net, loss_fn, held, tiny[0])
        if blunder:
            text += f": {blunder}"
        elif not fits:
            _, g = value_and_grads(net, used, held, *tiny, key=key)
            text += f": {_cause(net, loss_fn, held, g, tiny, last > first)}{_range_of_outputs(net, loss_fn)}"
        elif large := scale_of_columns(net, tiny[0], _FAR):
            text += f"; {large}"  # it fits by a share of a first loss that this may have made large
    except FloatingPointError as error:
        fits, last = False, float("inf")
        text = f"{error}: {_scales(net, loss_fn, held, tiny) or 'lower the learning rate, or look with diagnose'}"
    return {
        "verdict": "fits" if fits else "does not fit", "first_loss": first, "last_loss": last, "target": goal,
        "steps": done, "rows": len(chosen), "text": text,
    }


def _insisted(loss_fn: LossFn, outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
    """Give a loss the outputs as they are, whatever activation the network ends in."""
    return loss_fn(outputs, targets)


def _always_right(net: Layer, loss_fn: LossFn, params: Params, x: Array) -> str:
    """Say so where there is one class only, which is always right: of one column, softmax is 1."""
    name = label(unmasked(loss_fn))
    if not is_own_loss(loss_fn) or name not in ("softmax_cross_entropy", "cross_entropy"):
        return ""
    if forward(net, calibrate(net, params, x), x).shape[-1] != 1:
        return ""
    other = name.replace("softmax", "sigmoid") if "softmax" in name else "binary_cross_entropy"
    return f"{name} has one column of outputs, which softmax makes 1 whatever the params; for yes or no, use {other}"


def _range_of_outputs(net: Layer, loss_fn: LossFn) -> str:
    """Say which activation at a network's end keeps logits, or the numbers of a regression, within bounds."""
    final = final_activation(net[1])
    loss_fn = unmasked(loss_fn)
    known = looked_up(OWN_LOSSES, loss_fn)
    if final is None or known is None or any(not isinstance(form, str) for form in known.values()):
        return ""
    return f"; the network ends in {label(final)}, so outputs have its range only: {label(loss_fn)} wants any number"


def _inference_loss(net: Layer, loss_fn: LossFn, params: Params, x: Array, y: AnyArray) -> float:
    """Return the loss of inference, batch norms calibrated on the rows themselves."""
    return loss(net, loss_fn, calibrate(net, params, x), x, y)


def _scales(net: Layer, loss_fn: LossFn, params: Params, batch: tuple[Array, AnyArray]) -> str:
    """Say whether a column of the inputs, or the targets, are far larger than a network that begins can fit."""
    x, y = batch
    large = scale_of_columns(net, x, _FAR)
    if large:
        return large
    reached = float(np.max(np.abs(forward(net, calibrate(net, params, x), x))))
    return scale_of_targets(loss_fn, y, reached, _FAR)


def _cause(
    net: Layer, loss_fn: LossFn, params: Params, grads: Params, batch: tuple[Array, AnyArray], rose: bool
) -> str:
    """Say why a tiny batch is most likely not fitted."""
    x = batch[0]
    without = [name for name in trained(net, params) if name not in grads or not grads[name].any()]
    if without:
        return f"no gradient reaches {', '.join(without)} (zero or dead layers; check the initialisation)"
    if len(np.unique(x.reshape(len(x), -1), axis=0)) < len(x):
        return "some rows have equal inputs; if their targets differ, no network fits them"
    large = _scales(net, loss_fn, params, batch)
    if large:
        return large
    if rose:
        return "it rose; lower the learning rate, and check the gradients with check_grads"
    return "more steps or a larger network may fit; if not, check the gradients with check_grads"
