"""Initialisation: what zeros, too small and too large weights do to the layers of a deep network.

    python examples/initialisation.py
"""

import numpy as np

from nnfunc import (
    ElementwiseFn,
    Initializer,
    Layer,
    LayerStats,
    activation_stats,
    chain,
    dense,
    glorot_uniform,
    grads,
    he_normal,
    init,
    mse,
    normal,
    relu,
    tanh,
    zeros,
)

DEPTH, WIDTH = 6, 64
SCHEMES: dict[str, Initializer] = {
    "zeros": zeros,
    "normal(0.01), too small": normal(0.01),
    "normal(1), too large": normal(1.0),
    "glorot_uniform": glorot_uniform,
    "he_normal": he_normal,
}


def deep(f: ElementwiseFn, w_init: Initializer) -> Layer:
    """Return six equal layers and an output."""
    return chain(*(dense(WIDTH, WIDTH, f, w_init=w_init) for _ in range(DEPTH)), out=dense(WIDTH, 1))


def main() -> dict[tuple[str, str], list[LayerStats]]:
    """Print and return the statistics of every layer for each scheme and activation."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(256, WIDTH)), draw.normal(size=(256, 1))
    found = {}
    for f in (tanh, relu):
        print(f"{f.__name__}, {DEPTH} layers: variance of layer 1 and {DEPTH}, zeros, saturated, gradient of layer 1")
        for name, w_init in SCHEMES.items():
            net = deep(f, w_init)
            params = init(net, key=0, dtype=np.float64)
            stats = activation_stats(net, params, x)
            first, last = stats[0], stats[DEPTH - 1]
            gradient = float(np.abs(grads(net, mse, params, x, y)["0/W"]).mean())
            print(
                f"  {name:24s} {first['variance']:9.2e} {last['variance']:9.2e}  {last['zero']:5.0%}  "
                f"{last['saturated'] or 0:5.0%}  {gradient:.1e}"
            )
            found[f.__name__, name] = stats
    print("zeros: every neuron is alike and learns nothing. Too small: the signal dies on the way, and the gradient with")
    print("it. Too large: tanh saturates, relu explodes. Glorot's spread keeps tanh alive, He's keeps relu's variance.")
    return found


if __name__ == "__main__":
    main()
