"""Initialisation: what zeros, too small and too large weights do to the layers of a deep network.

    python examples/initialisation.py
    python examples/initialisation.py --pictures
"""

# %%
import sys
from pathlib import Path

import numpy as np
from drawing import BLUE, INK, asked, picture

from nnfunc import (
    Array,
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
    layer_outputs,
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


# %%
def deep(f: ElementwiseFn, w_init: Initializer) -> Layer:
    """Return six equal layers and an output."""
    return chain(*(dense(WIDTH, WIDTH, f, w_init=w_init) for _ in range(DEPTH)), out=dense(WIDTH, 1))


def data() -> tuple[Array, Array]:
    """Return inputs and targets of mean 0 and variance 1."""
    draw = np.random.default_rng(0)
    return draw.normal(size=(256, WIDTH)), draw.normal(size=(256, 1))


# %%
def main() -> dict[tuple[str, str], list[LayerStats]]:
    """Print and return the statistics of every layer for each scheme and activation."""
    (x, y), found = data(), {}
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


# %% The picture: what the layers of tanh put out
EDGES: Array = np.linspace(-1, 1, 22)


def histograms() -> dict[str, Array]:
    """Return for three schemes which share of a layer's outputs is in which bin, (DEPTH, bins)."""
    (x, _), found = data(), {}
    for name in ("normal(0.01), too small", "normal(1), too large", "glorot_uniform"):
        net = deep(tanh, SCHEMES[name])
        outputs = layer_outputs(net, init(net, key=0, dtype=np.float64), x)
        found[name] = np.array([np.histogram(outputs[f"{i}"], EDGES)[0] / outputs[f"{i}"].size for i in range(DEPTH)])
    return found


def draw(directory: Path) -> None:
    """Print the shares in the middle and at the ends, and draw the histograms, a row for each scheme."""
    found, middle = histograms(), len(EDGES) // 2 - 1
    with picture(directory, "initialisation", 4.4, rows=3, columns=DEPTH) as (figure, axes):
        for i, (name, shares) in enumerate(found.items()):
            ends = ", ".join(f"{share:.0%}" for share in shares[:, 0] + shares[:, -1])
            print(f"{name}: near 0 {', '.join(f'{share:.0%}' for share in shares[:, middle])}; near -1 or 1 {ends}")
            for layer in range(DEPTH):
                panel = axes[i * DEPTH + layer]
                panel.stairs(shares[layer], EDGES, fill=True, color=BLUE)
                panel.set(xlim=(-1, 1), ylim=(0, 1.05 * shares[layer].max()), xticks=[-1, 0, 1], yticks=[])
                panel.set_title(f"layer {layer + 1}" if i == 0 else "")
                panel.tick_params(labelbottom=i == 2)
            axes[i * DEPTH].set_ylabel(name.replace(", ", ",\n").replace("_", "_\n"), color=INK)
        figure.supxlabel("output of tanh; share of outputs upwards, each panel to its own height", fontsize=10.5)


# %%
if __name__ == "__main__":
    main()
    if directory := asked(sys.argv):
        draw(directory)
