"""Diagnosis: which tensor of a batch went bad first, how, and the likely cause in words.

Nothing here runs in a healthy step. The batch is run again with the same key,
by the same code, under the tap.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.network.boundary import counted_rows, counted_targets, mean_of, prepared
from nnfunc.network.guard import check_layer, is_own_loss, losses_of, penalty_of, run
from nnfunc.network.kinds import children, facts, trained, walk
from nnfunc.network.logits import misfit, of_given_loss, on_logits
from nnfunc.network.watching import watched
from nnfunc.pieces.activations import is_custom
from nnfunc.pieces.losses import gaussian_nll, huber, mae, mse, quantile_loss
from nnfunc.pieces.masking import unmasked
from nnfunc.values.arrays import all_finite
from nnfunc.values.checks import base_function, check_callable, label
from nnfunc.values.params import joined, paths_above
from nnfunc.values.types import AnyArray, Array, Key, Layer, LossFn, Params, Penalty

Tensor: TypeAlias = Literal[
    "input", "target", "parameter", "pre-activation", "activation", "output", "loss", "penalty", "gradient"
]

Stage = TypedDict(
    "Stage",
    {
        "name": str, "tensor": Tensor, "status": Literal["finite", "produced", "passed on"], "bad": int, "size": int,
        "index": tuple[int, ...] | None, "value": float | None, "lowest": float | None, "highest": float | None,
    },
)
"""One tensor: how many of its values are not finite, the first of them and its
index, the range of the finite ones, and whether this stage *produced* the bad
values from finite ones or *passed them on*."""

_INPUT_OF = "input of "
"""What the name of a gradient begins with if it is that of a layer's input."""

Diagnosis = TypedDict(
    "Diagnosis", {"finite": bool, "first": Stage | None, "text": str, "cause": str, "stages": list[Stage]}
)

# A column, or a parameter, this many times as large as is usual is worth a word.
_LARGE = 1e3
_OF_PENALTY = " of the penalty "
# Losses whose outputs are to become as large as the targets, and those of them whose gradients grow with these.
_OF_NUMBERS: tuple[object, ...] = (mse, gaussian_nll, mae, huber, quantile_loss)
_STEEP = _OF_NUMBERS[:2]


def diagnose(
    net: Layer, loss_fn: LossFn, params: Params, x: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None,
    penalty: Penalty | None = None, key: Key | None = None,
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
        - ``text``: the same in a sentence, and ``cause``: the likely cause, or an
          output layer that does not belong to the loss, or what is far too large to
          be learnt well, in `x` or beside the outputs in `y`;
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
    check_layer("diagnose", "net", net)
    net, held, inputs = prepared("diagnose", net, params, x, key)
    inputs, targets, weights, _ = counted_rows("diagnose", loss_fn, inputs, y, weight)
    stages: list[Stage] = []
    unfit = misfit(net, loss_fn)
    replayed_net, replayed_loss = (net, loss_fn) if unfit else on_logits(net, loss_fn)
    try:
        _replay(replayed_net, replayed_loss, label(loss_fn), held, inputs, targets, weights, key, stages)
    except (ValueError, TypeError, FloatingPointError, ArithmeticError) as error:
        if _first_bad(stages) is None:
            if unfit:
                raise ValueError(unfit) from None
            told = of_given_loss(error, replayed_loss, loss_fn)  # nothing bad led to it: the arguments do not fit
            if told is error:
                raise
            raise told from error
    if penalty is not None:
        _replay_penalty(penalty, trained(net, held), stages)
    first = _first_bad(stages)
    warning = unfit or scale_of_columns(net, inputs)
    if first is None:
        warning = warning or scale_of_targets(loss_fn, targets, _reached(stages))
        return {"finite": True, "first": None, "text": _finite_text(stages), "cause": warning, "stages": stages}
    cause = _cause(first, net, loss_fn, held, inputs, targets) or warning
    cause = cause or "values grew too large for the dtype on the way"
    return {"finite": False, "first": first, "text": _text(first), "cause": cause, "stages": stages}


def _replay_penalty(penalty: Penalty, params: Params, stages: list[Stage]) -> None:
    """Append the penalty's value and gradients to the stages."""
    clean = not any(found["bad"] for found in stages if found["tensor"] == "parameter")
    with np.errstate(all="ignore"):
        value, grads = penalty_of("diagnose", penalty, params, finite=False)
    called = label(penalty).lstrip("_")
    stages.append(_stage(called, "penalty", np.asarray(value), clean))
    stages.extend(_stage(f"{name}{_OF_PENALTY}{called}", "gradient", g, clean) for name, g in grads.items())


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
    status = "produced from finite values" if first["status"] == "produced" else "passed on from what was given"
    return f"{subject}: {first['value']} at {list(index)}, {status} ({first['bad']} of {first['size']} values)"


def _finite_text(stages: list[Stage]) -> str:
    """Say that all is finite, and which gradient is the widest."""

    def width(found: Stage) -> float:
        return max(abs(found["lowest"] or 0.0), abs(found["highest"] or 0.0))

    widest = max((found for found in stages if found["tensor"] == "gradient"), key=width)
    return f"all {len(stages)} tensors are finite; the widest gradient, of {widest['name']}, reaches {width(widest):.3g}"


def _reached(stages: list[Stage]) -> float:
    """Return how far the tensors reach that a network makes on the way to its outputs, these included."""
    made = [found for found in stages if found["tensor"] in ("pre-activation", "activation", "output")]
    return max((abs(end or 0.0) for found in made for end in (found["lowest"], found["highest"])), default=0.0)


def scale_of_targets(loss_fn: LossFn, y: AnyArray, reached: float | None, times: float = _LARGE) -> str:
    """Say that targets are so many times larger than outputs, which reach so far, if a loss wants these as large.

    Without `reached` params have gone bad, for which only losses with steep gradients are a reason.

    Example:
        >>> scale_of_targets(mse, np.array([[2e6]]), 1.5)
        'target scale: y reaches 2e+06, the outputs 1.5; train on standardize(y, fit_scaler(y))'
        >>> scale_of_targets(mse, np.array([[2e6]]), 2e5), scale_of_targets(mae, np.array([[2e6]]), None)
        ('', '')
    """
    if base_function(unmasked(loss_fn)) not in (_STEEP if reached is None else _OF_NUMBERS):
        return ""
    known = np.abs(y[np.isfinite(y)]).astype(np.float64)
    size = float(np.max(known, initial=0))
    if not times * max(reached or 0.0, 1.0) < size:
        return ""
    beside = ", and gradients grow with it" if reached is None else f", the outputs {reached:.3g}"
    scaled = "standardize(y, fit_scaler(y))" if known.size == y.size else f"y / {size:.1g}"  # which refuse gaps
    return f"target scale: y reaches {size:.3g}{beside}; train on {scaled}"


def _cause(first: Stage, net: Layer, loss_fn: LossFn, params: Params, x: Array, y: AnyArray) -> str:
    """Say what most often makes this stage go bad."""
    kind, name = first["tensor"], first["name"]
    if kind in ("input", "target"):
        what = "x" if kind == "input" else "y"
        return f"the data: clean these rows of {what}, leave them out, or give them weight 0"
    if kind == "parameter":
        earlier = "an earlier step: its gradient overflowed, or was too long; go back to the last good params and clip"
        return scale_of_targets(loss_fn, y, None) or earlier
    custom = {path for path, layer in walk(net) if _has_custom(layer)}
    if kind in ("pre-activation", "activation", "output") and name in custom:
        return f"a broken step: layer {name or 'net'} is not the library's own, and its input and params are finite"
    if kind == "loss" and not is_own_loss(loss_fn):
        return f"a broken step: the loss {name} is not the library's own, and the outputs are finite"
    if kind == "gradient" and name == "outputs" and not is_own_loss(loss_fn):
        return f"a broken step: the loss {label(loss_fn)} is not the library's own, and its gradient is not finite where its value is"
    if kind == "penalty" or (kind == "gradient" and _OF_PENALTY in name):
        return "a broken penalty, or params too large for it"
    made_in = name.removeprefix(_INPUT_OF) if name.startswith(_INPUT_OF) else name.rpartition("/")[0]
    if kind == "gradient" and made_in in custom:
        return f"a broken step: the way back of a layer that is not the library's own made the gradient of {name}"
    return scale_of_columns(net, x) or scale_of_targets(loss_fn, y, None) or _scale_of_params(params)


def scale_of_columns(net: Layer, x: Array, times: float = _LARGE) -> str:
    """Say which column of the inputs is so many times larger than a usual one, if one is; what an embedding looks up has no scale.

    Example:
        >>> from nnfunc import dense
        >>> scale_of_columns(dense(2, 1), np.array([[1.0, 2e4]]))
        'input scale: column 1 of x reaches 2e+04, a usual one 1; standardize it'
    """
    if x.ndim != 2:
        return ""
    sizes = np.max(np.abs(x), axis=0).astype(np.float64)
    known = [own["shapes"] for _, layer in walk(net) if (own := facts(layer)) is not None]
    codes = max((shapes["table"][0] for shapes in known if "table" in shapes), default=0)
    numbers = np.flatnonzero((sizes >= codes) | (x != np.floor(x)).any(axis=0))
    if not numbers.size:
        return ""
    sizes = sizes[numbers]
    worst = int(np.argmax(np.where(np.isfinite(sizes), sizes, 0)))
    usual = float(np.median(np.delete(sizes, worst))) if sizes.size > 1 else 1.0
    if not times * max(usual, 1.0) < sizes[worst] < math.inf:
        return ""
    return f"input scale: column {numbers[worst]} of x reaches {sizes[worst]:.3g}, a usual one {usual:.3g}; standardize it"


def _scale_of_params(params: Params) -> str:
    """Say which parameter is far larger than is usual, if one is."""
    sizes = {name: float(np.max(np.abs(array), initial=0)) for name, array in params.items()}
    name = max(sizes, key=lambda each: sizes[each], default="")
    if not name or sizes[name] < _LARGE:
        return ""
    advice = "earlier steps were too long (lower the learning rate, clip the gradients)"
    return f"{name} is as large as {sizes[name]:.3g}: {advice}"


def _has_custom(layer: Layer) -> bool:
    """Say whether a layer, or the activation in it, is a user's own."""
    known = facts(layer)
    return known is None or (known["rule"] is not None and is_custom(known["rule"]))


def _replay(
    net: Layer, loss_fn: LossFn, called: str, params: Params, x: Array, y: AnyArray, weights: Array | None,
    key: Key | None, stages: list[Stage],
) -> None:
    """Append the stages of one pass to `stages`, there and back, with the loss under the name it is called by.

    What was appended before a step raised an error of its own stays.
    """
    made_of_layers = {path for path, layer in walk(net) if children(layer)}
    clean: dict[str, bool] = {}  # by path: whether all that the layer computes from is finite, and what it makes
    spoilt: set[str] = set()  # paths at and above what puts out a value that is not
    inside: dict[str, list[Array]] = {}  # by path: the params below it
    for name, array in params.items():
        for above in ("", *paths_above(name)):
            inside.setdefault(above, []).append(array)

    def note(path: str, tensor: Array) -> None:
        layer, _, what = path.rpartition("/")
        if what == "x":
            clean[layer] = all_finite(tensor, *inside.get(layer, ()))
        elif what == "z":
            stages.append(_stage(layer, "pre-activation", tensor, clean[layer]))
        elif what == "y":
            after_z = stages[-1]["tensor"] == "pre-activation" and stages[-1]["name"] == layer
            # An activation is made of z, and what is made of layers of their outputs.
            came = layer in spoilt if layer in made_of_layers else after_z and stages[-1]["bad"] > 0
            stages.append(_stage(layer, "activation" if after_z else "output", tensor, clean[layer] and not came))
            if stages[-1]["bad"]:
                spoilt.update(("", layer), paths_above(layer))
            clean[layer] = clean[layer] and all_finite(tensor)
        elif what == "dy":
            clean[layer] = clean[layer] and all_finite(tensor)
        elif what == "dx":
            stages.append(_stage(f"{_INPUT_OF}{layer}" if layer else "x", "gradient", tensor, clean[layer]))
        else:
            owner = layer  # of which a path inside a layer of a user's own is no name
            while owner not in clean:
                owner = owner.rpartition("/")[0]
            stages.append(_stage(joined(layer, what[1:]), "gradient", tensor, clean[owner]))

    with np.errstate(all="ignore"):
        stages.append(_stage("x", "input", x, False))
        counted = counted_targets(loss_fn, y)
        stages.append(_stage("y", "target", counted, False))
        stages.extend(_stage(name, "parameter", array, False) for name, array in params.items())
        outputs, pullback = run("diagnose", watched(net, note)[1], params, x, key)
        outputs_clean = all_finite(outputs, counted)
        per_example, d_outputs = losses_of("diagnose", loss_fn, outputs, y)
        stages.append(_stage(called, "loss", per_example, outputs_clean))
        _, dy = mean_of(per_example, d_outputs, weights)
        stages.append(_stage("outputs", "gradient", dy, outputs_clean))
        pullback(dy)


def _stage(name: str, tensor: Tensor, array: AnyArray, clean: bool) -> Stage:
    """Describe one tensor; `clean` says that everything it was computed from is finite."""
    good = np.isfinite(array)
    bad = array.size - int(np.count_nonzero(good))
    first = tuple(int(i) for i in np.argwhere(~good)[0]) if bad else None
    rest = array[good]
    return {
        "name": name, "tensor": tensor, "status": "finite" if not bad else "produced" if clean else "passed on",
        "bad": bad, "size": array.size, "index": first, "value": None if first is None else float(array[first]),
        "lowest": float(rest.min()) if rest.size else None, "highest": float(rest.max()) if rest.size else None,
    }


def _first_bad(stages: list[Stage]) -> Stage | None:
    """Return the first stage with a value that is not finite, if there is one."""
    return next((found for found in stages if found["bad"]), None)

