"""What a key does to a layer: whether it draws, from every part of the key, and whether the mean of its noise is inference."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from nnfunc.inspection.gradcheck import affordable
from nnfunc.testing.laws import Verdict, breach, not_applicable
from nnfunc.testing.purity import bits
from nnfunc.testing.samples import close
from nnfunc.values.arrays import locked
from nnfunc.values.types import Array, Key, Layer, Params

# How many keys are tried, how many for a mean over keys, and on at least how many rows.
_KEYS = 64
_MEAN_KEYS = 400
_NOISY_ROWS = 64
_DRAWN = 300_000  # values at most, over all keys


def accepts(layer: Layer, params: Params, modes: list[Key | None], x: Array) -> bool:
    """Say whether the layer accepts these rows.

    Example:
        >>> from nnfunc import layer_norm
        >>> accepts(layer_norm(2), {"gamma": np.ones(2), "beta": np.zeros(2)}, [None], np.ones((1, 3)))
        False
    """
    try:
        with np.errstate(all="ignore"):
            return all(np.isfinite(layer[1](params, x.copy(), mode)[0]).all() for mode in modes)
    except (ValueError, IndexError, TypeError, ArithmeticError):
        return False


def noise_law(
    layer: Layer, params: Params, x: Array, inference: bool, noise: bool | None, unbiased: bool, keyless: bool,
    x_slope: bool,
) -> Verdict:
    """Check over many keys that every part of a key matters, and that the mean over keys is inference.

    Example:
        >>> from nnfunc import dropout
        >>> noise_law(dropout(0.5), {}, locked(np.ones((4, 3))), True, None, True, False, True)
        ('pass', 'differs from key to key, and its mean is inference')
    """
    forward = layer[1]

    def outputs(keys: Iterable[Key]) -> list[Array]:
        return [forward(params, x, key)[0] for key in keys]

    if keyless and not noise:
        return not_applicable("draws nothing, for one key")
    count = max(4, min(_KEYS, affordable(params, x) // 4, _DRAWN // x.size))
    groups = {
        "0, 1, 2, ...": outputs(range(count)),
        "(0, 0), (0, 1), ...": outputs((0, i) for i in range(count)),
        "(0, 1, 0), (0, 1, 1), ...": outputs((0, 1, i) for i in range(count)),
        "(0, 5), (1, 5), ...": outputs((i, 5) for i in range(count)),
        "(0, 63), (1, 62), ...": outputs((i, _KEYS - 1 - i) for i in range(count)),
    }
    varied = {keys: len({bits(y) for y in group}) > 1 for keys, group in groups.items()}
    if not any(varied.values()):
        return _without_noise(layer, params, x, inference, noise, groups["0, 1, 2, ..."][0], x_slope)
    if noise is False:
        breach("y", "not depend on the key, as declared", "other values for other keys")
    for keys, moves in varied.items():
        if not moves:
            cause = "only a part of the key is used"
            breach(f"y for the keys {keys}", "differ from key to key", "the same for all", cause)
    forth, back = (outputs(keys) for keys in (((i, 70 + i) for i in range(count)), ((70 + i, i) for i in range(count))))
    if all(bits(a) == bits(b) for a, b in zip(forth, back, strict=True)):
        cause = "the order in the key is lost, by a sum or a set"
        breach("y for the keys (0, 70) and (70, 0), (1, 71) and (71, 1), ...", "differ", "the same for all", cause)
    if not inference:
        return "pass", "differs from key to key"
    x = locked(np.tile(x, (math.ceil(_NOISY_ROWS / len(x)), *[1] * (x.ndim - 1))))
    still = forward(params, x, None)[0]
    if bits(forward(params, x, 0)[0]) == bits(still) != bits(forward(params, x, 1)[0]):
        breach("y for the key 0", "be that of a training pass", "inference", "0 is a key: ask whether key is None")
    # Of a mean that goes through a curve, nothing simple holds.
    moves = x_slope and accepts(layer, params, [None], 2 * x)
    linear = moves and close(forward(params, locked(2 * x), None)[0], 2 * still)
    if not unbiased or params or not linear or not still.any():
        return "pass", "differs from key to key"
    many = max(8, min(_MEAN_KEYS, _DRAWN // x.size))
    shares = [float(np.vdot(y, still) / np.vdot(still, still)) for y in outputs((9, i) for i in range(many))]
    mean, spread = float(np.mean(shares)), float(np.std(shares)) / math.sqrt(many)
    if abs(mean - 1) > max(0.01, 6 * spread):
        cause = "what is kept must be scaled by 1 / (1 - rate), in training or, inverted, at inference"
        breach("the mean of y over keys", "be y without a key", f"{mean:.2f} times that", cause)
    return "pass", "differs from key to key, and its mean is inference"


def _without_noise(
    layer: Layer, params: Params, x: Array, inference: bool, noise: bool | None, trained: Array,
    x_slope: bool,
) -> Verdict:
    """Judge a layer that gives the same for all keys, whether it was meant to or not."""
    if noise:
        breach("y", "differ from key to key, as declared", "the same for all keys tried", "the key is ignored")
    if not inference or noise is False or close(layer[1](params, x, None)[0], trained):
        return "not applicable", "draws nothing"
    other = np.array(x)
    other[0] = x[0] * 0.5 + x[-1] * 0.5 + 0.25 if x_slope else x[-1]
    if not accepts(layer, params, [0], other):
        return not_applicable("draws nothing; other rows are refused")
    if close(layer[1](params, locked(other), 0)[0][1:], trained[1:]):
        cause = "the key is ignored, and one mask is used for all; declare noise=False if nothing is meant to be drawn"
        breach("y", "differ from key to key, as a key changes it", "the same for all keys tried", cause)
    return "not applicable", "draws nothing; rows touch in training"
