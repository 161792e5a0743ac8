"""One batch again, stage by stage: every tensor of a pass, and where the first bad value is.

Nothing here runs in a healthy step. The network is rebuilt with each layer
wrapped in one that notes what it computes; the pass itself is the same code
with the same key.
"""

from typing import Literal, TypeAlias, TypedDict

import numpy as np

from nnfunc.checks import locked
from nnfunc.combinators import residual_forward
from nnfunc.layers import dense_forward, product
from nnfunc.pieces import losses_of, missing_param
from nnfunc.types import AnyArray, Array, InputGradient, Key, Layer, LossFn, Params, Pullback
from nnfunc.walk import joined, made_by, map_layers, options

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
    with np.errstate(all="ignore"):
        stages.append(stage("x", "input", x, False))
        stages.append(stage("y", "target", y, False))
        stages.extend(stage(name, "parameter", array, False) for name, array in params.items())
        try:
            outputs, pullback = map_layers(net, lambda path, layer: _watched(path, layer, stages))[1](params, x, key)
        except KeyError as error:
            raise ValueError(missing_param("diagnose", error, params)) from error
        clean = all_finite(outputs, y)
        per_example, d_outputs = losses_of("diagnose", loss_fn, locked(outputs), y)
        stages.append(stage(label(loss_fn), "loss", per_example, clean))
        if shares is None:
            return
        dy: Array = d_outputs * shares.astype(d_outputs.dtype).reshape(-1, *[1] * (d_outputs.ndim - 1))
        stages.append(stage("outputs", "gradient", dy, clean))
        pullback(locked(dy))


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


def label(f: object) -> str:
    """Return the name of a function, also under the options of a partial.

    Example:
        >>> from functools import partial
        >>> label(partial(label, f=1))
        'label'
    """
    return str(getattr(getattr(f, "func", f), "__name__", type(f).__name__))


def all_finite(*arrays: AnyArray) -> bool:
    """Say whether all values of all arrays are finite.

    Example:
        >>> all_finite(np.zeros(2), np.array([np.nan]))
        False
    """
    return all(bool(np.isfinite(array).all()) for array in arrays)


def _watched(path: str, layer: Layer, stages: list[Stage]) -> Layer:
    """Return the layer as one that notes its tensors."""

    def watched_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        clean = all_finite(x, *params.values())
        is_sum = made_by(layer) is residual_forward
        rule = options(layer)[2] if made_by(layer) is dense_forward else None
        y, pullback = layer[1](params, x, key)
        if rule is not None:
            stages.append(stage(path, "pre-activation", product(x, params["W"]) + params["b"], clean))
        # An activation, and a residual's sum, are made of what was noted just before.
        clean_y = clean and not (stages[-1]["bad"] and (is_sum or rule is not None))
        stages.append(stage(path, "output" if rule is None else "activation", y, clean_y))

        def pull(dy: Array) -> tuple[Params, InputGradient]:
            clean_back = clean and all_finite(dy, y)
            grads, dx = pullback(dy)
            if not is_sum:
                stages.extend(stage(joined(path, name), "gradient", g, clean_back) for name, g in grads.items())

            def input_gradient() -> Array:
                gradient = dx()
                stages.append(stage(f"input of {path}" if path else "x", "gradient", gradient, clean_back))
                return gradient

            return grads, input_gradient

        return y, pull

    return layer[0], watched_forward
