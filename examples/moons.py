"""Two moons: a boundary learns its shape, then the noise, and the best epoch lies between.

A small network sees 100 points of two moons with noise. Its training loss falls to the end; the loss on 1,000 points that
it never saw falls, is least at some epoch, and rises again. `train` keeps the params of that epoch.

    python examples/moons.py
    python examples/moons.py --pictures
"""

# %%
import sys
from itertools import product
from pathlib import Path

import numpy as np
from drawing import BLUE, GREEN, INK, ORANGE, VIOLET, asked, picture
from numpy.typing import NDArray

from nnfunc import (
    Array,
    Key,
    Params,
    Report,
    accuracy,
    adam,
    best_params,
    current_params,
    forward,
    generator,
    init,
    mlp,
    softmax,
    softmax_cross_entropy,
    tanh,
    train,
)

NET = mlp([2, 32, 32, 2], tanh)
EPOCHS, EARLY, NOISE = 400, 10, 0.25


# %% The data
def moons(key: Key, n: int) -> tuple[Array, NDArray[np.int64]]:
    """Return n points on two half circles, each around an end of the other, with noise; and which of the two."""
    draw = generator(key)
    moon, angle = np.arange(n) % 2, draw.uniform(0, np.pi, n)
    upper, lower = np.c_[np.cos(angle), np.sin(angle)], np.c_[1 - np.cos(angle), 0.5 - np.sin(angle)]
    x = np.where(moon[:, None] == 0, upper, lower) + NOISE * draw.normal(size=(n, 2))
    return x.astype(np.float32), moon


# %% Training, and the params of three moments
def trained() -> tuple[dict[int, Params], list[Report]]:
    """Return params by epoch, at an early one, at the best and at the last, and the reports of all epochs."""
    (x, y), validation, moments, reports = moons(0, 100), moons(1, 1000), {}, []
    run = train(
        NET, softmax_cross_entropy, init(NET, 0), x, y, epochs=EPOCHS, lr=0.01, optimizer=adam(), size=100,
        validation=validation, metrics={"accuracy": accuracy},
    )  # fmt: skip
    for state, report in run:
        reports.append(report)
        if report["epoch"] == EARLY:
            moments[EARLY] = current_params(state)
    best = min(reports, key=lambda report: report["validation_loss"] or 0.0)["epoch"]
    moments |= {best: best_params(state), EPOCHS: current_params(state)}
    return moments, reports


def main() -> tuple[dict[int, Params], list[Report]]:
    """Print the losses of some epochs and what the three moments are right on, and return params and reports."""
    moments, reports = trained()
    for report in reports:
        epoch, right = report["epoch"], report["metrics"]["accuracy"]
        if epoch in moments or epoch % 100 == 0:
            losses = f"loss {report['loss']:.3f}  validation loss {report['validation_loss']:.3f}  accuracy {right:.1%}"
            print(f"epoch {epoch:3d}  {losses}{'  <- best' * (epoch == list(moments)[1])}")
    return moments, reports


# %% The picture
def draw(directory: Path, moments: dict[int, Params], reports: list[Report]) -> None:
    """Draw where the network says which moon, three times, and both losses beside it."""
    x, y = moons(0, 100)
    across, up = np.linspace(-1.6, 2.6, 43), np.linspace(-1.4, 1.8, 33)
    points = np.array(list(product(across, up)), np.float32)
    fills = [f"{BLUE}60", f"{BLUE}28", f"{ORANGE}28", f"{ORANGE}60"]
    words = ("too early", "best", "too late")
    with picture(directory, "moons", 2.5, columns=4, widths=(1, 1, 1, 1.35)) as (_, (*fields, curve)):
        for axes, word, (epoch, params) in zip(fields, words, moments.items(), strict=True):
            share = softmax(forward(NET, params, points))[:, 1].reshape(len(across), -1).T
            axes.contourf(across, up, share, [0, 0.1, 0.5, 0.9, 1], colors=fills)
            axes.contour(across, up, share, [0.5], colors=INK, linewidths=1.5)
            for moon, colour, mark in ((0, BLUE, "o"), (1, ORANGE, "^")):
                axes.plot(*x[y == moon].T, mark, color=colour, markersize=4)
            axes.set(title=f"epoch {epoch}: {word}", xticks=[], yticks=[], xlabel="$x_1$", ylabel="$x_2$")
        best, epochs = list(moments)[1], [report["epoch"] for report in reports]
        curve.axvline(best, color=INK, linestyle=":")
        curve.plot(epochs, [report["loss"] for report in reports], color=GREEN)
        curve.plot(epochs, np.array([report["validation_loss"] for report in reports], float), color=VIOLET)
        curve.text(best + 8, 0.52, "best epoch")
        curve.text(330, 0.38, "validation", color=VIOLET, ha="right")
        curve.text(330, 0.08, "training", color=GREEN, ha="right")
        curve.set(title="loss", xlabel="epoch", xlim=(0, EPOCHS), ylim=(0, 0.6))


# %%
if __name__ == "__main__":
    found = main()
    if directory := asked(sys.argv):
        draw(directory, *found)
