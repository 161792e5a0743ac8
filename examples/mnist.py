"""Train a 784-256-128-10 network on MNIST, or on any files in its IDX format.

    python examples/mnist.py DIRECTORY

With the 60,000 training images in DIRECTORY the network trains on them and is
tested on the 10,000 test images. With only one of the two files it trains on
four fifths of it and is tested on the rest, three times over.
"""

# %%
import argparse
import sys
import time
from pathlib import Path

import numpy as np
from command_line import given
from idx import find_pair, read_pair
from numpy.typing import NDArray

from nnfunc import (
    Array,
    Key,
    Params,
    accuracy,
    batches,
    fold_in,
    forward,
    init,
    mlp,
    sgd_step,
    softmax_cross_entropy,
    split_rows,
    value_and_grads,
)

# %%
NET = mlp([784, 256, 128, 10])
Labels = NDArray[np.int64]
Data = tuple[Array, Labels]


# %%
def load(directory: Path, part: str) -> Data | None:
    """Return pixels (n, 784) float32 in [0, 1] and digits (n,), or none if the part is not there."""
    pair = find_pair(directory, part)
    if pair is None:
        return None
    images, labels = read_pair(*pair)
    if images[0].size != 784:
        raise ValueError(f"mnist: {pair[0]} must hold images of 28 x 28 pixels, got {images.shape[1:]}")
    return images.reshape(len(images), 784).astype(np.float32) / 255, labels.astype(np.int64)


# %%
def train(data: Data, test: Data, key: Key, epochs: int) -> float:
    """Train, print a line per epoch, and return the accuracy on the test data."""
    x, y = data
    params: Params = init(NET, key)
    right = 0.0
    for epoch in range(epochs):
        total, started = 0.0, time.perf_counter()
        for rows in batches(fold_in(key, epoch), len(x), size=32):
            value, g = value_and_grads(NET, softmax_cross_entropy, params, x[rows], y[rows])
            params = sgd_step(params, g, lr=0.1)
            total += value * len(rows)
        speed = len(x) / (time.perf_counter() - started)
        right = accuracy(forward(NET, params, test[0]), test[1])
        print(f"epoch {epoch + 1:2d}  loss {total / len(x):.4f}  accuracy {right:.2%}  {speed:,.0f} rows/s", flush=True)
    return right


def run(directory: Path, epochs: int) -> float:
    """Train on what the directory holds and return the mean accuracy."""
    if epochs < 1:
        raise ValueError(f"mnist: --epochs must be at least 1, got {epochs}")
    if not directory.is_dir():
        raise ValueError(f"mnist: DIRECTORY must be a directory, got {directory}")
    fit, test = load(directory, "train"), load(directory, "t10k")
    whole = fit or test
    if whole is None:
        raise ValueError(f"mnist: DIRECTORY must hold train-images-idx3-ubyte or t10k-images-idx3-ubyte, got {directory}")
    if fit is not None and test is not None:
        right = train(fit, test, 0, epochs)
        print(f"accuracy on {len(test[0])} test images: {right:.2%}")
        return right
    x, y = whole
    rights = []
    for split in range(3):
        rows, held = split_rows(split, len(x), 0.2, labels=y)
        print(f"split {split + 1} of 3: {len(rows)} images to train on, {len(held)} held out")
        rights.append(train((x[rows], y[rows]), (x[held], y[held]), split, epochs))
    print(f"mean held-out accuracy over {len(rights)} splits: {np.mean(rights):.2%}")
    return float(np.mean(rights))


# %%
def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="Train 784-256-128-10 on files in MNIST's IDX format.")
    parser.add_argument("directory", type=Path, help="where the files are, plain or gzipped")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the training images (default 20)")
    arguments = parser.parse_args(given())
    try:
        run(arguments.directory, arguments.epochs)
    except ValueError as error:
        sys.exit(str(error))


# %%
if __name__ == "__main__":
    main()
