"""Train a small network on real handwritten digits with the five functions.

Each run holds out a stratified fifth of the 1,797 digits that the training
never sees; the mean over five such splits is printed last.

    python examples/digits.py
    python examples/digits.py --pictures
"""

# %%
import sys
from pathlib import Path

import numpy as np
from command_line import HERE
from drawing import BLUE, ORANGE, asked, picture
from numpy.typing import NDArray

from nnfunc import (
    AnyArray,
    Array,
    Params,
    Rows,
    accuracy,
    batches,
    chain,
    dense,
    fold_in,
    forward,
    grads,
    init,
    loss,
    relu,
    sgd_step,
    softmax,
    softmax_cross_entropy,
    split_rows,
)

DIGITS = HERE / "data" / "digits.npz"
EPOCHS = 20
NET = chain(hidden=dense(64, 128, relu), out=dense(128, 10))


# %%
def load_digits() -> tuple[Array, NDArray[np.int64]]:
    """Return the pixels, (1797, 64) float32 in [0, 1], and the digits, (1797,)."""
    with np.load(DIGITS) as file:
        return file["images"].astype(np.float32) / 16, file["labels"].astype(np.int64)


# %%
def train(split: int, progress: bool) -> tuple[float, Params]:
    """Train on four fifths of the digits and return the accuracy on the fifth held out, and the params."""
    x, y = load_digits()
    train_rows, held_out_rows = split_rows(split, len(x), 0.2, labels=y)
    x_held, y_held = x[held_out_rows], y[held_out_rows]
    x, y = x[train_rows], y[train_rows]

    params = init(NET, key=split)
    for epoch in range(EPOCHS):
        for rows in batches(fold_in(split, epoch), len(x), size=16):
            g = grads(NET, softmax_cross_entropy, params, x[rows], y[rows])
            params = sgd_step(params, g, lr=0.5)
        if progress:
            fit = loss(NET, softmax_cross_entropy, params, x, y)
            held = loss(NET, softmax_cross_entropy, params, x_held, y_held)
            right = accuracy(forward(NET, params, x_held), y_held)
            print(f"epoch {epoch + 1:2d}  loss {fit:.4f}  held-out loss {held:.4f}  held-out accuracy {right:.1%}")
    return accuracy(forward(NET, params, x_held), y_held), params


# %%
def main() -> float:
    """Print the progress of one split, the accuracy of five, and return their mean."""
    rights = []
    for split in range(5):
        rights.append(train(split, progress=split == 0)[0])
        print(f"split {split + 1} of 5: held-out accuracy {rights[-1]:.1%}")
    mean = float(np.mean(rights))
    print(f"mean held-out accuracy over {len(rights)} splits: {mean:.2%}")
    return mean


# %% The picture
def worst(params: Params, split: int, n: int) -> tuple[Array, Rows, Rows, Array]:
    """Return the n digits held out whose class had the least probability; their classes, the answers and those probabilities."""
    x, y = load_digits()
    held = split_rows(split, len(x), 0.2, labels=y)[1]
    p = softmax(forward(NET, params, x[held]))
    own = p[np.arange(len(held)), y[held]]
    rows = np.argsort(own)[:n]
    return x[held][rows], y[held][rows], p[rows].argmax(axis=1), own[rows]


def coloured(images: AnyArray) -> Array:
    """Return images of -1 to 1 as colours with an alpha: orange below 0, blue above, and 0 the page itself."""
    rgb = [[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in (ORANGE, BLUE)]
    return np.concatenate([np.array(rgb)[(images > 0).astype(int)], abs(images)[..., None]], axis=-1)


def draw(directory: Path) -> None:
    """Print and draw what the network gets most wrong, below the weights of the units that weigh most."""
    _, params = train(0, progress=False)
    W = params["hidden/W"].T
    units = np.argsort(-np.linalg.norm(params["out/W"], axis=1))[:20]
    x, y, answers, own = worst(params, 0, 10)
    with picture(directory, "digits", 3.5, rows=3, columns=10) as (figure, axes):
        for panel in axes:
            panel.set(xticks=[], yticks=[])
            panel.grid(False)
            panel.spines[:].set_visible(True)
        for panel, weights in zip(axes, W[units], strict=False):
            panel.imshow(coloured(weights.reshape(8, 8) / abs(weights).max()), interpolation="none")
        figure.suptitle("weights of 20 hidden units: blue where ink excites, orange where it inhibits", fontsize=10.5)
        axes[20].set_ylabel("worst")
        for panel, image, right, answer, share in zip(axes[20:], x, y, answers, own, strict=True):
            print(f"a {right}, read as {answer}; {right} had a probability of {share:.3f}")
            panel.imshow(coloured(image.reshape(8, 8)), interpolation="none")
            panel.set_title(f"{right}, not {answer}" if right != answer else f"{right}, barely")


# %%
if __name__ == "__main__":
    main()
    if directory := asked(sys.argv):
        draw(directory)
