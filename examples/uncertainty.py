"""How sure is a network? A deep ensemble and Monte Carlo dropout tell what is noise and what was never seen.

The data have noise that grows from left to right, a gap in the middle and an end. Eight members, each with a mean and a
spread, train as one in batched products. The mean of their spreads finds the noise; where they differ, there were no data.
One network with dropout, run under many keys, tells the gap as well, less clearly.

A loss of quantiles finds a band for the noise as well. And a classifier that was trained too long is too sure: one number,
its temperature, found on rows that it never saw, mends that. These two are printed where the pictures are drawn.

    python examples/uncertainty.py
    python examples/uncertainty.py --pictures
"""

# %%
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path

import moons
import numpy as np
from drawing import BLUE, GREEN, INK, ORANGE, asked, picture
from tabular import temperature

from nnfunc import (
    AnyArray,
    Array,
    Params,
    adam,
    chain,
    current_params,
    dense,
    dropout,
    finish,
    forward,
    gaussian_nll,
    generator,
    init,
    mlp,
    mse,
    quantile_loss,
    relu,
    sigmoid,
    softplus,
    split,
    tanh,
    train,
)
from nnfunc.transforms import ensemble_forward, ensemble_value_and_grads, stack_params

MEMBERS, PASSES = 8, 200
NET = chain(dense(1, 32, tanh), dense(32, 32, tanh), dense(32, 2))
DROPPED = chain(dense(1, 64, relu), dropout(0.1), dense(64, 64, relu), dropout(0.1), dense(64, 1))


# %% The data
def noise(x: Array) -> Array:
    """Return the standard deviation of the noise: 0.05 at the left end, 0.45 at the right."""
    return 0.25 + 0.1 * x


def data(key: int, n: int) -> tuple[Array, Array]:
    """Return x in [-2, 2] but for a gap from -0.5 to 0.5, and y = sin(2 x) with noise."""
    draw = generator(key)
    x = draw.uniform(0.5, 2, (n, 1)) * draw.choice([-1.0, 1.0], (n, 1))
    return x, np.sin(2 * x) + noise(x) * draw.normal(size=(n, 1))


# %% Two ways to be unsure
def ensemble(x: Array, y: Array, at: Array, steps: int = 1000) -> tuple[Array, Array]:
    """Train all members on the same rows from starts of their own, and return their means and variances at some x, (M, n)."""
    members = stack_params([init(NET, key, np.float64) for key in split(0, MEMBERS)])
    optimizer_init, optimizer_step = adam()
    state = optimizer_init(members)
    for _ in range(steps):
        _, g = ensemble_value_and_grads(NET, gaussian_nll, members, x, y)
        members, state = optimizer_step(members, g, state, 5e-3)
    means, raw = np.moveaxis(ensemble_forward(NET, members, at), 2, 0)
    return means, softplus(raw) + 1e-6


def monte_carlo(x: Array, y: Array, at: Array) -> Array:
    """Train a network with dropout, and return its outputs at some x under many keys, (PASSES, n)."""
    run = train(DROPPED, mse, init(DROPPED, 0, np.float64), x, y, epochs=150, lr=5e-3, optimizer=adam())
    params = current_params(finish(run)[0])
    return np.stack([forward(DROPPED, params, at, key)[:, 0] for key in split(1, PASSES)])


# %%
def main() -> tuple[float, dict[str, list[float]]]:
    """Print a table at six x; return the share of new rows within their intervals of 90 %, and the columns."""
    x, y = data(0, 300)
    new_x, new_y = data(1, 2000)
    at = np.array([[-1.5], [-1.0], [0.0], [1.0], [1.5], [3.0]])
    means, variances = ensemble(x, y, np.concatenate([at, new_x]))
    spread = np.sqrt(variances.mean(axis=0) + means.var(axis=0))  # of the mixture: law of total variance
    inside = float(np.mean(np.abs(new_y[:, 0] - means.mean(axis=0)[len(at) :]) < 1.645 * spread[len(at) :]))

    columns = {
        "x": at[:, 0],
        "noise, true": noise(at)[:, 0],
        "noise, found": np.sqrt(variances.mean(axis=0))[: len(at)],
        "members differ by": means.std(axis=0)[: len(at)],
        "dropout differs by": monte_carlo(x, y, at).std(axis=0),
    }
    print("".join(f"{name:>20s}" for name in columns))
    for row in zip(*columns.values(), strict=True):
        print("".join(f"{value:20.3f}" for value in row))
    print(f"new rows within their intervals of 90 %: {inside:.1%}")
    return inside, {name: column.tolist() for name, column in columns.items()}


# %% A band of quantiles
LEVELS = (0.05, 0.5, 0.95)


def band(x: Array, y: Array, at: Array) -> Array:
    """Train on quantiles, and return three of them at some x, (n, 3)."""
    net = mlp([1, 32, 3], tanh)
    loss_fn = partial(quantile_loss, levels=LEVELS)
    run = train(net, loss_fn, init(net, 0, np.float64), x, y, epochs=150, lr=5e-3, optimizer=adam())
    return forward(net, current_params(finish(run)[0]), at)


# %% Too sure, and less so at the right temperature
def logits_of(params: Params, x: Array) -> Array:
    """Return the logits of the second moon against the first, (n, 1)."""
    outputs = forward(moons.NET, params, x)
    return outputs[:, 1:] - outputs[:, :1]


def reliability(p: Array, y: AnyArray, bins: int = 10) -> tuple[Array, float]:
    """Return rows of the mean probability, the share that came true, and how many; and the mean gap between the two.

    Reference:
        Guo, Pleiss, Sun and Weinberger 2017, equation 5, the expected calibration error.
    """
    rows = []
    for low, high in pairwise(np.linspace(0, 1, bins + 1)):
        inside = (p >= low) & ((p < high) | (high == 1))
        if inside.any():
            rows.append((p[inside].mean(), y[inside].mean(), inside.sum()))
    found = np.array(rows, np.float64)
    return found, float(np.average(abs(found[:, 0] - found[:, 1]), weights=found[:, 2]))


def mended() -> tuple[float, list[tuple[Array, float]]]:
    """Train too long; return the temperature that 500 rows say, and the reliability of 20,000 others before and after."""
    (x, y), (new_x, new_y) = moons.moons(2, 500), moons.moons(3, 20_000)
    params = list(moons.trained()[0].values())[-1]
    t, logits = temperature(logits_of(params, x), y.astype(np.float64)), logits_of(params, new_x)
    return t, [reliability(sigmoid(logits / each)[:, 0], new_y) for each in (1.0, t)]


# %% The pictures
def draw(directory: Path) -> None:
    """Print how good the band and the temperature are, and draw both."""
    (x, y), (new_x, new_y), at = data(0, 300), data(1, 2000), np.linspace(-2, 2, 101)[:, None]
    found = band(x, y, np.concatenate([at, new_x]))
    low, _, high = found[len(at) :].T
    inside = np.mean((low <= new_y[:, 0]) & (new_y[:, 0] <= high))
    print(f"new rows between the quantiles {LEVELS[0]:g} and {LEVELS[2]:g}: {inside:.1%}")
    with picture(directory, "quantile_band", 3.2) as (_, (axes,)):
        low, middle, high = found[: len(at)].T
        axes.fill_between(at[:, 0], low, high, color=BLUE, alpha=0.25, linewidth=0, label="from quantile 0.05 to 0.95")
        axes.plot(at, middle, color=BLUE, label="median")
        axes.plot(at, np.sin(2 * at), color=INK, linestyle=":", label="truth, without noise")
        axes.plot(x[::2], y[::2], "o", color=ORANGE, markersize=3, label="half of the rows to train on")
        axes.text(0, -1.55, "no rows here", ha="center")
        axes.set(xlabel="x", ylabel="y", xlim=(-2, 2), ylim=(-1.8, 2))
        axes.legend(loc="upper left", ncols=2)

    t, (before, after) = mended()
    words = ("before", f"after: logits / {t:.2g}")
    with picture(directory, "reliability", 3.6, columns=2) as (_, panels):
        for panel, word, colour, (rows, gap) in zip(panels, words, (ORANGE, GREEN), (before, after), strict=True):
            print(f"{word}: mean gap between probability and share {gap:.3f}")
            panel.plot([0, 1], [0, 1], color=INK, linestyle=":")
            panel.plot(rows[:, 0], rows[:, 1], color=colour)
            panel.scatter(rows[:, 0], rows[:, 1], 20 + rows[:, 2] / 40, color=colour, alpha=0.6, linewidth=0)
            panel.set(title=f"{word}, mean gap {gap:.3f}", xlabel="probability of the second moon", xlim=(-0.05, 1.05))
            panel.set(ylabel="share that it was", ylim=(-0.05, 1.05))


# %%
if __name__ == "__main__":
    main()
    if directory := asked(sys.argv):
        draw(directory)
