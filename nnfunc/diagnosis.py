"""Diagnosis: which tensor of a batch went bad first, how, and the likely cause in words."""

import math
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.activations import BACK_RULES
from nnfunc.blame import where
from nnfunc.checks import as_targets, check_callable, locked, problem
from nnfunc.fusion import on_logits
from nnfunc.layers import activation_forward, dense_forward
from nnfunc.passes import checked_penalty, prepared, row_shares
from nnfunc.replay import Stage, first_bad, label, replay, stage
from nnfunc.types import Array, Key, Layer, LossFn, Params, Penalty
from nnfunc.walk import made_by, options, walk

Diagnosis = TypedDict(
    "Diagnosis", {"finite": bool, "first": Stage | None, "text": str, "cause": str, "stages": list[Stage]}
)

# A column, or a parameter, this many times as large as is usual is worth a word.
_LARGE = 1e3
_OF_PENALTY = " of the penalty "


def diagnose(
    net: Layer,
    loss_fn: LossFn,
    params: Params,
    x: ArrayLike,
    y: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    penalty: Penalty | None = None,
    key: Key | None = None,
) -> Diagnosis:
    """Replay one batch stage by stage and say which tensor is the first that is not finite, and why.

    The stages are, in order: inputs, targets, parameters; each layer's
    pre-activation and activation (or output); the loss and the penalty; the
    gradients, from the outputs back. Rows of weight 0 are left out.

    Args:
        net, loss_fn, params, x, y, weight, penalty, key: as for `grads`, of the
            batch in question, with the key of its step.

    Returns:
        A dict of plain data:

        - ``finite``: whether all tensors are;
        - ``first``: the first stage that is not, or None: its ``name``,
          ``tensor`` (what it is), ``status``, the number ``bad`` of bad values
          out of ``size``, ``index`` and ``value`` of the first, ``lowest`` and
          ``highest`` of the finite ones. The status is "produced" if this stage
          made the bad value from finite ones, "passed on" if it came with what
          the stage was given;
        - ``text``: the same in a sentence, and ``cause``: the likely cause;
        - ``stages``: every stage, in order; ``print(table(stages))`` shows them.

    Raises:
        TypeError, ValueError: as `grads`, where arguments do not fit.

    Example:
        >>> from nnfunc import dense, mse
        >>> params = {"W": np.array([[1e200], [1.0]]), "b": np.zeros(1)}
        >>> found = diagnose(dense(2, 1), mse, params, [[1.0, 2.0]], [[0.0]])
        >>> found["text"]
        'the loss mse: inf at [0], produced from finite values (1 of 1 values)'
        >>> found["cause"]
        'W is as large as 1e+200: earlier steps were too long (lower the learning rate, clip the gradients)'
    """
    check_callable("diagnose", "loss_fn", loss_fn, "(outputs, targets) -> (per_example, d_outputs)")
    if penalty is not None:
        check_callable("diagnose", "penalty", penalty, "params -> (value, grads)")
    held, inputs = prepared("diagnose", net, params, x)
    targets = as_targets("diagnose", "y", y, inputs.dtype)
    if targets.ndim == 0 or len(targets) != len(inputs):
        constraint = f"have one target for each of the {len(inputs)} rows of x"
        raise ValueError(problem("diagnose", "y", constraint, targets))
    shares = np.full(len(inputs), 1 / len(inputs)) if weight is None else row_shares("diagnose", weight, len(inputs))
    kept = shares > 0
    if not kept.all():
        inputs, targets, shares = locked(inputs[kept]), locked(targets[kept]), shares[kept]
    stages: list[Stage] = []
    replayed_net, replayed_loss = on_logits(net, loss_fn)
    try:
        replay(replayed_net, replayed_loss, held, inputs, targets, key, stages, shares)
    except (ValueError, TypeError, FloatingPointError, ArithmeticError):
        if first_bad(stages) is None:
            raise  # nothing bad led to it: the arguments do not fit
    if penalty is not None:
        _replay_penalty(penalty, held, stages)
    first = first_bad(stages)
    warning = _scale_of_columns(inputs)
    if first is None:
        return {"finite": True, "first": None, "text": _finite_text(stages), "cause": warning, "stages": stages}
    cause = _cause(first, net, loss_fn, held, inputs) or warning or "values grew too large for the dtype on the way"
    return {"finite": False, "first": first, "text": _text(first), "cause": cause, "stages": stages}


def _replay_penalty(penalty: Penalty, params: Params, stages: list[Stage]) -> None:
    clean = not any(found["bad"] for found in stages if found["tensor"] == "parameter")
    with np.errstate(all="ignore"):
        value, grads = checked_penalty("diagnose", penalty, params)
    called = label(penalty).lstrip("_")
    stages.append(stage(called, "penalty", np.asarray(value), clean))
    stages.extend(stage(f"{name}{_OF_PENALTY}{called}", "gradient", g, clean) for name, g in grads.items())


def _text(first: Stage) -> str:
    """Say in a sentence which stage it is, and what is bad in it."""
    kind, name = first["tensor"], first["name"]
    index = first["index"] or ()
    if kind == "input":
        subject = f"column {index[1]} of the inputs x" if len(index) == 2 else "the inputs x"
    elif kind == "target":
        subject = "the targets y"
    elif kind in ("pre-activation", "activation", "output"):
        subject = f"the {kind} of layer {name}" if name else f"the network's {kind}"
    elif kind == "gradient":
        subject = f"the gradient of {name}"
    else:
        subject = f"the {kind} {name}"
    found, count = where(first).rsplit(" (", 1)
    status = "produced from finite values" if first["status"] == "produced" else "passed on from what was given"
    return f"{subject}: {found}, {status} ({count}"


def _finite_text(stages: list[Stage]) -> str:
    def width(found: Stage) -> float:
        return max(abs(found["lowest"] or 0.0), abs(found["highest"] or 0.0))

    widest = max((found for found in stages if found["tensor"] == "gradient"), key=width)
    return f"all {len(stages)} tensors are finite; the widest gradient, of {widest['name']}, reaches {width(widest):.3g}"


def _cause(first: Stage, net: Layer, loss_fn: LossFn, params: Params, x: Array) -> str:
    """Say what most often makes this stage go bad."""
    kind, name = first["tensor"], first["name"]
    if kind in ("input", "target"):
        what = "x" if kind == "input" else "y"
        return f"the data: clean these rows of {what}, leave them out, or give them weight 0"
    if kind == "parameter":
        return "an earlier step: its gradient overflowed, or was too long; go back to the last good params and clip"
    if kind in ("pre-activation", "activation", "output") and _is_custom(net, name):
        return f"a broken step: layer {name or 'net'} is not the library's own, and its input and params are finite"
    if kind == "loss" and not _is_from_here(loss_fn):
        return f"a broken step: the loss {name} is not the library's own, and the outputs are finite"
    if kind == "gradient" and name == "outputs" and not _is_from_here(loss_fn):
        return f"a broken step: the loss {label(loss_fn)} is not the library's own, and its gradient is not finite where its value is"
    if kind == "penalty" or (kind == "gradient" and _OF_PENALTY in name):
        return "a broken penalty, or params too large for it"
    is_input = name.startswith("input of ")
    if kind == "gradient" and _is_custom(net, name[9:] if is_input else name.rpartition("/")[0]):
        return f"a broken step: the way back of a layer that is not the library's own made the gradient of {name}"
    return _scale_of_columns(x) or _scale_of_params(params)


def _scale_of_columns(x: Array) -> str:
    """Say which column of the inputs is far larger than the others, if one is."""
    if x.ndim != 2:
        return ""
    sizes = np.max(np.abs(x), axis=0).astype(np.float64)
    worst = int(np.argmax(np.where(np.isfinite(sizes), sizes, 0)))
    usual = float(np.median(np.delete(sizes, worst))) if sizes.size > 1 else 1.0
    if not _LARGE * max(usual, 1.0) < sizes[worst] < math.inf:
        return ""
    return f"input scale: column {worst} of x reaches {sizes[worst]:.3g}, a usual one {usual:.3g}; standardize it"


def _scale_of_params(params: Params) -> str:
    """Say which parameter is far larger than is usual, if one is."""
    sizes = {name: float(np.max(np.abs(array), initial=0)) for name, array in params.items()}
    name = max(sizes, key=lambda each: sizes[each], default="")
    if not name or sizes[name] < _LARGE:
        return ""
    advice = "earlier steps were too long (lower the learning rate, clip the gradients)"
    return f"{name} is as large as {sizes[name]:.3g}: {advice}"


def _is_custom(net: Layer, path: str) -> bool:
    """Say whether the layer at a path, or the activation in it, is a user's own."""
    layer = dict(walk(net)).get(path)
    if layer is None:
        return False
    rule: object = None
    if made_by(layer) is dense_forward:
        rule = options(layer)[2]
    elif made_by(layer) is activation_forward:
        rule = options(layer)[0]
    own_activation = isinstance(rule, tuple) and getattr(rule[0], "func", rule[0]) not in BACK_RULES
    return own_activation or not _is_from_here(made_by(layer))


def _is_from_here(f: object) -> bool:
    return str(getattr(getattr(f, "func", f), "__module__", "")).startswith("nnfunc.")
