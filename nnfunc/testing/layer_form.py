"""Checking a layer's form and its init, which come before all that it computes."""

import numpy as np

from nnfunc.calibration import calibrate, has_batch_norm
from nnfunc.checks import FLOAT32, FLOAT64, locked
from nnfunc.params import checked_params
from nnfunc.pieces import check_layer as check_arguments
from nnfunc.pieces import check_pair
from nnfunc.testing.samples import looks_drawn
from nnfunc.testing.gradients import weights_for
from nnfunc.testing.laws import Verdict, breach
from nnfunc.testing.purity import bits
from nnfunc.types import Array, Key, Layer, Params


def start(layer: Layer, x: Array, params: Params | None) -> Params:
    """Return locked float64 params to check a layer with, batch norms calibrated.

    Example:
        >>> from nnfunc import dense
        >>> list(start(dense(1, 1), np.ones((1, 1)), None))
        ['W', 'b']
    """
    check_pair("check_layer", "layer", layer)
    held, _ = checked_params("check_layer", layer[0](0, FLOAT64) if params is None else params)
    held = {name: locked(array.astype(np.float64)) for name, array in held.items()}
    return calibrate(layer, held, x) if has_batch_norm(layer) else held


def form_law(layer: Layer, x: Array, params: Params | None, modes: list[Key | None]) -> Verdict:
    """Say that the layer takes and returns what layers do, in every mode.

    Example:
        >>> from nnfunc import dense
        >>> form_law(dense(1, 2), np.ones((1, 1)), None, [None])
        ('pass', 'W (1, 2), b (2,)')
    """
    check_arguments("check_layer", "layer", layer)
    held = start(layer, x, params)
    for mode in [*modes, 7]:
        which = "without a key" if mode is None else f"with key {mode}"
        result = layer[1]({name: np.array(array) for name, array in held.items()}, np.array(x), mode)
        if type(result) is not tuple or len(result) != 2 or not callable(result[1]):
            breach("forward", "return a pair (y, pullback)", result)
        y, pullback = result
        if type(y) is not np.ndarray or y.ndim == 0 or len(y) != len(x):
            breach(f"y {which}", f"be an array with a row for each of the {len(x)} of x", y)
        back = pullback(weights_for(y).astype(y.dtype))
        if type(back) is not tuple or len(back) != 2 or not hasattr(back[0], "items") or not callable(back[1]):
            breach("pullback", "return a pair (grads by name, dx), dx a function", back)
        grads, dx = back[0], back[1]()
        for name, array in grads.items():
            if name not in held:
                breach(f"the gradient {name}", f"have the name of a parameter ({', '.join(held)})", repr(name))
            if np.shape(array) != held[name].shape:
                cause = "the two factors of a product stand the wrong way round" if held[name].ndim == 2 else ""
                breach(
                    f"the gradient of {name}", f"have the parameter's shape {held[name].shape}", np.shape(array), cause
                )
        if not isinstance(dx, np.ndarray) or dx.shape != x.shape:
            breach("dx()", f"have the shape {x.shape} of x", dx)
    return "pass", ", ".join(f"{name} {array.shape}" for name, array in held.items()) or "no params"


def init_law(layer: Layer) -> Verdict:
    """Say that init is pure, keeps its dtype and draws from its key.

    Example:
        >>> from nnfunc import dense
        >>> init_law(dense(1, 2))
        ('pass', '6 keys')
    """
    for dtype in (FLOAT32, FLOAT64):
        first, second = dict(layer[0]((0, 1), dtype)), dict(layer[0]((0, 1), dtype))
        if bits(first) != bits(second):
            breach(
                "init", "give the same bits for the same key", "others at the second call", "draw from generator(key)"
            )
        for name, array in first.items():
            if not isinstance(array, np.ndarray) or array.dtype != dtype:
                breach(f"init's {name}", f"be a {dtype} array, the dtype asked for", array)
            if not np.isfinite(array).all():
                breach(f"init's {name}", "be finite", array)
            if np.shares_memory(array, np.asarray(second[name])):
                breach(
                    f"init's {name}", "be a new array at each call", "the same memory twice", "a kept array is returned"
                )
    others = [layer[0](key, FLOAT64) for key in (0, 1, (0, 2), (1, 1), (0, 0))]
    for name, array in layer[0]((0, 1), FLOAT64).items():
        if looks_drawn(array) and all(bits(array) == bits(other[name]) for other in others):
            breach(
                f"init's {name}",
                "differ from key to key, as it looks drawn",
                "the same for 6 keys",
                "the key is ignored",
            )
    return "pass", "6 keys"
