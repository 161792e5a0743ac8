"""One batch again, stage by stage: every tensor of a pass, and where the first bad value is.

Nothing here runs in a healthy step. When a loss is not finite, the pass is run
again with the same key, by the same code, under the tap.
"""

from typing import Literal, TypeAlias, TypedDict

import numpy as np

from nnfunc.network.guard import losses_of, run
from nnfunc.network.kinds import made_by, walk
from nnfunc.network.loop import residual_forward
from nnfunc.network.watching import watched
from nnfunc.values.arrays import all_finite, place
from nnfunc.values.checks import label, problem
from nnfunc.values.params import joined
from nnfunc.values.types import AnyArray, Array, Key, Layer, LossFn, Params

Tensor: TypeAlias = Literal[
    "input", "target", "parameter", "pre-activation", "activation", "output", "loss", "penalty", "gradient"
]

Stage = TypedDict(
    "Stage",
    {
        "name": str,
        "tensor": Tensor,
        "status": Literal["finite", "produced", "passed on"],
        "bad": int,
        "size": int,
        "index": tuple[int, ...] | None,
        "value": float | None,
        "lowest": float | None,
        "highest": float | None,
    },
)
"""One tensor: how many of its values are not finite, the first of them and its
index, the range of the finite ones, and whether this stage *produced* the bad
values from finite ones or *passed them on*."""

INPUT_OF = "input of "
"""What the name of a gradient begins with if it is that of a layer's input."""


def replay(
    net: Layer,
    loss_fn: LossFn,
    params: Params,
    x: Array,
    y: AnyArray,
    key: Key | None,
    stages: list[Stage],
    shares: Array | None = None,
) -> None:
    """Append the stages of one pass to `stages`; the way back too if `shares`, the rows' shares in the mean, are given.

    What was appended before a step raised an error of its own stays.

    Example:
        >>> from nnfunc import dense, mse
        >>> stages = []
        >>> params = {"W": np.ones((1, 1)), "b": np.zeros(1)}
        >>> replay(dense(1, 1), mse, params, np.array([[1e200]]), np.array([[0.0]]), None, stages)
        >>> [(stage["name"], stage["tensor"], stage["status"]) for stage in stages[-2:]]
        [('', 'output', 'finite'), ('mse', 'loss', 'produced')]
    """
    sums = {path for path, layer in walk(net) if made_by(layer) is residual_forward}
    clean: dict[str, bool] = {}  # by path: whether all that the layer computes from is finite, and what it makes

    def note(path: str, tensor: Array) -> None:
        layer, _, what = path.rpartition("/")
        if what == "x":
            own = [array for name, array in params.items() if name.startswith(f"{layer}/" if layer else "")]
            clean[layer] = all_finite(tensor, *own)
        elif what == "z":
            stages.append(stage(layer, "pre-activation", tensor, clean[layer]))
        elif what == "y":
            # An activation, and a residual's sum, are made of what was noted just before.
            after_z = stages[-1]["tensor"] == "pre-activation" and stages[-1]["name"] == layer
            cleanly = clean[layer] and not (stages[-1]["bad"] and (after_z or layer in sums))
            stages.append(stage(layer, "activation" if after_z else "output", tensor, cleanly))
            clean[layer] = clean[layer] and all_finite(tensor)
        elif what == "dy":
            clean[layer] = clean[layer] and all_finite(tensor)
        elif what == "dx":
            stages.append(stage(f"{INPUT_OF}{layer}" if layer else "x", "gradient", tensor, clean[layer]))
        else:
            owner = layer  # of which a path inside a layer of a user's own is no name
            while owner not in clean:
                owner = owner.rpartition("/")[0]
            stages.append(stage(joined(layer, what[1:]), "gradient", tensor, clean[owner]))

    with np.errstate(all="ignore"):
        stages.append(stage("x", "input", x, False))
        stages.append(stage("y", "target", y, False))
        stages.extend(stage(name, "parameter", array, False) for name, array in params.items())
        outputs, pullback = run("diagnose", watched(net, note)[1], params, x, key)
        outputs_clean = all_finite(outputs, y)
        per_example, d_outputs = losses_of("diagnose", loss_fn, outputs, y)
        stages.append(stage(label(loss_fn), "loss", per_example, outputs_clean))
        if shares is None:
            return
        dy: Array = d_outputs * shares.astype(d_outputs.dtype).reshape(-1, *[1] * (d_outputs.ndim - 1))
        stages.append(stage("outputs", "gradient", dy, outputs_clean))
        pullback(dy)


def stage(name: str, tensor: Tensor, array: AnyArray, clean: bool) -> Stage:
    """Describe one tensor; `clean` says that everything it was computed from is finite.

    Example:
        >>> found = stage("x", "input", np.array([[1.0, np.inf]]), False)
        >>> found["status"], found["index"], found["highest"]
        ('passed on', (0, 1), 1.0)
    """
    good = np.isfinite(array)
    bad = array.size - int(np.count_nonzero(good))
    first = tuple(int(i) for i in np.argwhere(~good)[0]) if bad else None
    rest = array[good]
    return {
        "name": name,
        "tensor": tensor,
        "status": "finite" if not bad else "produced" if clean else "passed on",
        "bad": bad,
        "size": array.size,
        "index": first,
        "value": None if first is None else float(array[first]),
        "lowest": float(rest.min()) if rest.size else None,
        "highest": float(rest.max()) if rest.size else None,
    }


def first_bad(stages: list[Stage]) -> Stage | None:
    """Return the first stage with a value that is not finite, if there is one.

    Example:
        >>> first_bad([stage("x", "input", np.zeros(2), False)]) is None
        True
    """
    return next((found for found in stages if found["bad"]), None)


def where(found: Stage) -> str:
    """Say what is not finite in a stage, where, and how many.

    Example:
        >>> where(stage("x", "input", np.array([[0.0, np.inf], [np.nan, 1.0]]), False))
        'inf at [0, 1] (2 of 4 values)'
    """
    return place(found["value"], list(found["index"] or ()), found["bad"], found["size"])


def explain(
    function: str, net: Layer, loss_fn: LossFn, params: Params, x: Array, y: AnyArray, key: Key | None
) -> str:
    """Say which was the first non-finite thing: x, y, a parameter, a layer's output, or the loss.

    Example:
        >>> from nnfunc import dense, mse
        >>> x = np.array([[1.0, np.nan]])
        >>> explain("loss", dense(2, 1), mse, {"W": np.ones((2, 1)), "b": np.zeros(1)}, x, x[:, :1], None)
        'loss: x must be finite, got nan at [0, 1] (1 of 2 values)'
    """
    stages: list[Stage] = []
    replay(net, loss_fn, params, x, y, key, stages)
    found = first_bad(stages)
    if found is None:
        return problem(function, "the mean loss", "be finite", "an overflow in the mean of finite losses")
    if found["tensor"] in ("input", "target", "parameter"):
        return problem(function, found["name"], "be finite", where(found))
    if found["tensor"] == "loss":
        widest = max(abs(end) for end in (stages[-2]["lowest"], stages[-2]["highest"]) if end is not None)
        got = f"{where(found)} from finite outputs of up to {widest:.3g}"
        return problem(function, f"the loss {found['name']}", "be finite", got)
    argument = f"the output of layer {found['name']}" if found["name"] else "the network's output"
    return problem(function, argument, "be finite, as its input and params are", where(found))
