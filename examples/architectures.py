"""Depth, dropout, L2, normalisation and skip connections, compared on real handwritten digits.

Each network is trained with `train` on four fifths of the digits, a tenth of
which decides when to stop, and scored on the fifth that it never saw; the mean
of five splits is printed.

    python examples/architectures.py
"""

# %%
import time

import numpy as np
from digits import load_digits

from nnfunc import (
    Key,
    Layer,
    Penalty,
    accuracy,
    activation,
    adam,
    batch_norm,
    best_params,
    chain,
    dense,
    dropout,
    early_stopping,
    finish,
    forward,
    init,
    l2,
    layer_norm,
    mlp,
    relu,
    residual,
    softmax_cross_entropy,
    split_rows,
    train,
)

# %%
BLOCK = residual(chain(dense(128, 128, relu), dropout(0.3), dense(128, 128)))
NETWORKS: dict[str, tuple[Layer, Penalty | None]] = {
    "one hidden layer": (mlp([64, 128, 10]), None),
    "three hidden layers": (mlp([64, 128, 128, 128, 10]), None),
    "L2": (mlp([64, 128, 10]), l2(1e-4)),
    "dropout": (chain(dense(64, 256, relu), dropout(0.5), dense(256, 10)), None),
    "batch norm": (chain(dense(64, 128), batch_norm(128), activation(relu), dense(128, 10)), None),
    "layer norm": (chain(dense(64, 128), layer_norm(128), activation(relu), dense(128, 10)), None),
    "residual": (chain(dense(64, 128, relu), BLOCK, activation(relu), dense(128, 10)), None),
}


# %%
def held_out_accuracy(net: Layer, penalty: Penalty | None, key: Key) -> float:
    """Train with early stopping on one split and return the accuracy on the digits held out."""
    x, y = load_digits()
    rows, held = split_rows(key, len(x), 0.2, labels=y)
    inner, val = split_rows((1, 0), len(rows), 0.1, labels=y[rows])
    fit, val = rows[inner], rows[val]
    state, _ = finish(train(
        net, softmax_cross_entropy, init(net, key), x[fit], y[fit], epochs=40, lr=2e-3, optimizer=adam(), key=key,
        penalty=penalty, validation=(x[val], y[val]), stopping=early_stopping(patience=10),
    ))  # fmt: skip
    return accuracy(forward(net, best_params(state), x[held]), y[held])


# %%
def main(splits: int = 5) -> dict[str, float]:
    """Print and return each network's mean held-out accuracy."""
    found = {}
    for name, (net, penalty) in NETWORKS.items():
        started = time.perf_counter()
        found[name] = float(np.mean([held_out_accuracy(net, penalty, split) for split in range(splits)]))
        print(f"{name:20s} {found[name]:.2%}  ({time.perf_counter() - started:.1f} s)", flush=True)
    return found


# %%
if __name__ == "__main__":
    main()
