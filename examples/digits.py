"""Train a small network on real handwritten digits with the five functions.

Each run holds out a stratified fifth of the 1,797 digits that the training
never sees; the mean over five such splits is printed last.

    python examples/digits.py
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nnfunc import (
    Array,
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
    softmax_cross_entropy,
    split_rows,
)

DIGITS = Path(__file__).parent / "data" / "digits.npz"
EPOCHS = 20
NET = chain(hidden=dense(64, 128, relu), out=dense(128, 10))


def load_digits() -> tuple[Array, NDArray[np.int64]]:
    """Return the pixels, (1797, 64) float32 in [0, 1], and the digits, (1797,)."""
    with np.load(DIGITS) as file:
        return file["images"].astype(np.float32) / 16, file["labels"].astype(np.int64)


def train(split: int, progress: bool) -> float:
    """Train on four fifths of the digits and return the accuracy on the fifth held out."""
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
    return accuracy(forward(NET, params, x_held), y_held)


def main() -> float:
    """Print the progress of one split, the accuracy of five, and return their mean."""
    rights = []
    for split in range(5):
        rights.append(train(split, progress=split == 0))
        print(f"split {split + 1} of 5: held-out accuracy {rights[-1]:.1%}")
    mean = float(np.mean(rights))
    print(f"mean held-out accuracy over {len(rights)} splits: {mean:.2%}")
    return mean


if __name__ == "__main__":
    main()
