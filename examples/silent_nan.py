"""The silent NaN: a recommender gets a new feature that nobody scaled, and its gradients explode.

The model predicts a rating from what is known of a user and an item. It trains
well. Then `watch_time_ms` is added, in milliseconds, beside features of size
one. Left alone, a hand-written loop goes on and serves NaN. Here the run stops,
the monitor names the tensor and the column, and scaling and clipping cure it.

    python examples/silent_nan.py
    python examples/silent_nan.py --pictures
"""

# %%
import sys
from functools import partial
from pathlib import Path

import numpy as np
from drawing import BLUE, GREEN, INK, ORANGE, RED, asked, picture

from nnfunc import (
    Array,
    Params,
    activation_stats,
    clip_by_global_norm,
    current_params,
    diagnose,
    finish,
    fit_scaler,
    forward,
    global_norm,
    grads,
    init,
    mlp,
    mse,
    split_rows,
    standardize,
    table,
    train,
)

FEATURES = ("user_age", "user_activity", "item_popularity", "item_recency", "similarity", "watch_time_ms")


# %%
def interactions(n: int = 2000) -> tuple[Array, Array]:
    """Return made-up interactions: six features, the last in milliseconds, and ratings around 0."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(n, 6))
    hours = draw.gamma(2.0, 0.5, n)
    x[:, 5] = hours * 3_600_000
    rating = 0.5 * x[:, 4] + 0.3 * np.tanh(x[:, 1] * x[:, 2]) + 0.4 * (hours - 1) + 0.1 * draw.normal(size=n)
    return x.astype(np.float32), rating.astype(np.float32)[:, None]


# %%
def careless(params: Params, x: Array, y: Array, epochs: int) -> Params:
    """Train as code without a monitor does: nothing is looked at, NaN goes round and round."""
    W1, b1, W2, b2 = (params[name].copy() for name in ("0/W", "0/b", "1/W", "1/b"))
    with np.errstate(all="ignore"):
        for _ in range(epochs):
            h = np.maximum(x @ W1 + b1, 0)
            d = 2 * (h @ W2 + b2 - y) / len(x)
            dh = d @ W2.T * (h > 0)
            W2, b2 = W2 - 0.05 * h.T @ d, b2 - 0.05 * d.sum(axis=0)
            W1, b1 = W1 - 0.05 * x.T @ dh, b1 - 0.05 * dh.sum(axis=0)
    return {"0/W": W1, "0/b": b1, "1/W": W2, "1/b": b2}


# %%
def main() -> tuple[float, str, float]:
    """Tell the story; return the loss without the feature, the failure's message, and the loss after the cure."""
    x, y = interactions()
    fit, held = split_rows(0, len(x), 0.2)
    small = mlp([5, 16, 1])
    validation = (x[held, :5], y[held])
    _, reports = finish(train(small, mse, init(small, 0), x[fit, :5], y[fit], epochs=20, lr=0.05, validation=validation))
    without = reports[-1]["validation_loss"] or 0.0
    print(f"1. Five features of size one: validation loss {without:.3f}\n")

    net = mlp([6, 16, 1])
    params = init(net, 0)
    served = forward(net, careless(params, x[fit], y[fit], epochs=5), x[held[:1]])
    print(f"2. With {FEATURES[5]}, a loop that looks at nothing ends without an error and serves {served[0, 0]}\n")

    found = diagnose(net, mse, params, x[fit[:32]], y[fit[:32]])
    norm = global_norm(grads(net, mse, params, x[fit[:32]], y[fit[:32]]))
    print(f"3. Before the first step everything is finite, but the gradient's norm is {norm:.1e}:")
    print(table(activation_stats(net, params, x[fit[:32]])))
    print(f"   {found['cause']} (column 5 is {FEATURES[5]})\n")

    message = ""
    try:
        finish(train(net, mse, params, x[fit], y[fit], epochs=20, lr=0.05))
    except FloatingPointError as error:
        message = str(error)
        print(f"4. With train the run stops and says\n{message}\n")

    scaler = fit_scaler(x[fit])
    clip = partial(clip_by_global_norm, limit=1.0)
    x_fit, x_held = standardize(x[fit], scaler), standardize(x[held], scaler)
    run = train(net, mse, params, x_fit, y[fit], epochs=20, lr=0.05, transform=clip, validation=(x_held, y[held]))
    state, reports = finish(run)
    report = reports[-1]
    cured = report["validation_loss"] or 0.0
    print(f"5. Scaled, and clipped as a safety net: validation loss {cured:.3f}, the gradient's norm {report['grad_norm']:.2g}")
    print(f"   {diagnose(net, mse, current_params(state), x_fit[:32], y[fit[:32]])['text']}")
    return without, message, cured


# %% The picture: what nobody looked at
BEFORE, AFTER = 6, 4


def last_steps() -> list[dict[str, float]]:
    """Return what was largest and the loss at the last ten steps: of six with five features, and of four with all."""
    x, y = interactions()
    params = careless(init(mlp([5, 16, 1]), 0), x[:, :5], y, epochs=20)
    found = []
    for step in range(BEFORE + AFTER):
        if step == BEFORE:
            params = {**params, "0/W": np.vstack([params["0/W"], init(mlp([6, 16, 1]), 0)["0/W"][5:]])}
        seen = x[:, : len(params["0/W"])]
        with np.errstate(all="ignore"):
            h = np.maximum(seen @ params["0/W"] + params["0/b"], 0)
            outputs = h @ params["1/W"] + params["1/b"]
            loss = float(np.square(outputs - y).mean())
        weight = float(np.max([np.abs(a).max() for a in params.values()]))
        found.append({"largest weight": weight, "largest output": float(np.abs(outputs).max()), "loss": loss})
        params = careless(params, seen, y, epochs=1)
    return found


def draw(directory: Path) -> None:
    """Print and draw the last ten steps; what is not finite is a cross at the upper edge."""
    found, top = last_steps(), 1e42
    print(table([{"step": i - BEFORE + 1, **row} for i, row in enumerate(found)]))
    steps = np.arange(len(found)) - BEFORE + 1
    with picture(directory, "silent_nan", 3.3) as (_, (axes,)):
        for name, colour in zip(found[0], (BLUE, GREEN, ORANGE), strict=True):
            values = np.array([row[name] for row in found])
            finite = np.isfinite(values)
            axes.semilogy(steps[finite], values[finite], "o-", color=colour, markersize=5, label=name)
            axes.semilogy(steps[~finite], np.full(np.sum(~finite), top), "x", color=RED, markersize=9, markeredgewidth=2.5)
        axes.axvline(0.5, color=INK, linestyle=":")
        axes.text(0.4, 1e20, "watch_time_ms is added", ha="right")
        axes.text(3, top / 3e4, "inf, then nan", color=RED, ha="center")
        axes.set(xlabel="step since the new feature", ylabel="size", xticks=steps, ylim=(1e-4, 1e45), yticks=[1, 1e10, 1e20, 1e30, 1e40])
        axes.legend(loc="upper left")


# %%
if __name__ == "__main__":
    main()
    if directory := asked(sys.argv):
        draw(directory)
