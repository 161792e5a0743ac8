"""The mini-batch loop: written out, and as `train`; what the size of a batch and shuffling do.

    python examples/mini_batches.py
"""

# %%
import numpy as np
from digits import load_digits

from nnfunc import (
    Array,
    Rows,
    accuracy,
    adam,
    batches,
    best_params,
    chain,
    dense,
    early_stopping,
    fold_in,
    forward,
    grads,
    init,
    progress_line,
    relu,
    sgd_step,
    softmax_cross_entropy,
    split_rows,
    train,
)

# %%
NET = chain(hidden=dense(64, 32, relu), out=dense(32, 10))


# %%
def epochs_of(x: Array, y: Rows, size: int, shuffle: bool, epochs: int = 10, lr: float = 0.1) -> dict[str, Array]:
    """Run the loop as the article has it and return the params."""
    params = init(NET, key=0)
    for epoch in range(epochs):
        order = batches(fold_in(0, epoch), len(x), size) if shuffle else np.split(np.arange(len(x)), range(size, len(x), size))
        for rows in order:
            params = sgd_step(params, grads(NET, softmax_cross_entropy, params, x[rows], y[rows]), lr)
    return dict(params)


# %%
def main() -> dict[str, float]:
    """Print and return held-out accuracies."""
    x, y = load_digits()
    rows, held = split_rows(0, len(x), 0.2, labels=y)
    x, y, x_held, y_held = x[rows], y[rows], x[held], y[held]
    found: dict[str, float] = {}
    for size in (1437, 128, 32, 8):
        params = epochs_of(x, y, size, shuffle=True)
        found[f"batches of {size}"] = accuracy(forward(NET, params, x_held), y_held)

    by_class = np.argsort(y, kind="stable")  # all zeros first, then all ones ...
    params = epochs_of(x[by_class], y[by_class], 32, shuffle=False)
    found["batches of 32, sorted and never shuffled"] = accuracy(forward(NET, params, x_held), y_held)
    for name, right in found.items():
        print(f"{right:6.1%} right after 10 epochs with {name}")

    print("\nthe same with train, adam, and early stopping on a validation set:")
    fit, val = split_rows(1, len(x), 0.15, labels=y)
    for state, report in train(
        NET, softmax_cross_entropy, init(NET, key=0), x[fit], y[fit], epochs=50, lr=3e-3, optimizer=adam(),
        validation=(x[val], y[val]), metrics={"accuracy": accuracy}, stopping=early_stopping(patience=5),
    ):  # fmt: skip
        if report["epoch"] % 5 == 0:
            print(progress_line(report))
    found["train"] = accuracy(forward(NET, best_params(state), x_held), y_held)
    print(f"stopped after {report['epoch']} epochs; the best params are right on {found['train']:.1%} of the held-out digits")
    return found


# %%
if __name__ == "__main__":
    main()
