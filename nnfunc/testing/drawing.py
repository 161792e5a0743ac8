"""Laws of randomness: keys decide what is drawn, different keys differ, the mean of noise is inference."""

import math

import numpy as np

from nnfunc.checks import locked
from nnfunc.testing.laws import Verdict, breach
from nnfunc.testing.purity import bits
from nnfunc.testing.samples import close
from nnfunc.types import Array, Key, Layer, Params

_KEYS = 64
_MEAN_KEYS = 400
_ROWS = 64


def draws_law(layer: Layer, params: Params, x: Array, inference: bool, noise: bool | None, unbiased: bool) -> Verdict:
    """Try many keys: roots and paths must both matter, and the mean over keys must be inference.

    Example:
        >>> from nnfunc import dropout
        >>> draws_law(dropout(0.5), {}, np.ones((5, 4)), True, None, True)
        ('pass', 'differs from key to key, and its mean is inference')
    """
    forward = layer[1]

    def outputs(keys: list[Key]) -> list[Array]:
        return [forward(params, x, key)[0] for key in keys]

    groups = {
        "0, 1, 2, ...": outputs([i for i in range(_KEYS)]),
        "(0, 0), (0, 1), ...": outputs([(0, i) for i in range(_KEYS)]),
        "(0, 1, 0), (0, 1, 1), ...": outputs([(0, 1, i) for i in range(_KEYS)]),
        "(0, 5), (1, 5), ...": outputs([(i, 5) for i in range(_KEYS)]),
        "(0, 63), (1, 62), ...": outputs([(i, _KEYS - 1 - i) for i in range(_KEYS)]),
    }
    varied = [len({bits(y) for y in group}) > 1 for group in groups.values()]
    if not any(varied):
        return _without_noise(layer, params, x, inference, noise, groups["0, 1, 2, ..."][0])
    if noise is False:
        breach("y", "not depend on the key, as declared", "other values for other keys")
    for moves, group in zip(varied, groups, strict=True):
        if not moves:
            breach(
                f"y for the keys {group}",
                "differ from key to key",
                "the same for all",
                "only a part of the key is used",
            )
    many = locked(np.tile(x, (math.ceil(_ROWS / len(x)), *[1] * (x.ndim - 1))))
    if inference and bits(forward(params, many, 0)[0]) == bits(forward(params, many, None)[0]):
        if bits(forward(params, many, 1)[0]) != bits(forward(params, many, None)[0]):
            breach("y for the key 0", "be that of a training pass", "inference", "0 is a key: ask whether key is None")
    if not inference or not unbiased or params:
        return "pass", "differs from key to key"
    x = many
    still, twice = forward(params, x, None)[0], forward(params, locked(2 * x), None)[0]
    if not close(twice, 2 * still) or not still.any():
        return "pass", "differs from key to key"  # the mean goes through a curve; nothing simple holds of it
    shares = [float(np.vdot(y, still) / np.vdot(still, still)) for y in outputs([(9, i) for i in range(_MEAN_KEYS)])]
    mean, spread = float(np.mean(shares)), float(np.std(shares)) / math.sqrt(_MEAN_KEYS)
    if abs(mean - 1) > max(0.01, 6 * spread):
        cause = "what is kept must be scaled by 1 / (1 - rate), in training or, inverted, at inference"
        breach("the mean of y over keys", "be y without a key", f"{mean:.2f} times that", cause)
    return "pass", "differs from key to key, and its mean is inference"


def _without_noise(
    layer: Layer, params: Params, x: Array, inference: bool, noise: bool | None, trained: Array
) -> Verdict:
    if noise:
        breach("y", "differ from key to key, as declared", f"the same for {5 * _KEYS} keys", "the key is ignored")
    if not inference or noise is False or close(layer[1](params, x, None)[0], trained):
        return "not applicable", "draws nothing"
    other = np.array(x)
    other[0] = x[0] * 0.5 + x[-1] * 0.5 + 0.25
    if close(layer[1](params, locked(other), 0)[0][1:], trained[1:]):
        cause = "the key is ignored, and one mask is used for all; declare noise=False if nothing is meant to be drawn"
        breach("y", "differ from key to key, as a key changes it", f"the same for {5 * _KEYS} keys", cause)
    return "not applicable", "draws nothing; rows touch in training"
