"""Backpropagation by hand, line by line, beside `grads`.

    python examples/backprop_by_hand.py
"""

# %%
import numpy as np

from nnfunc import Array, Params, binary_cross_entropy, chain, dense, grads, init, sigmoid

# %%
NET = chain(hidden=dense(2, 2, sigmoid), out=dense(2, 1, sigmoid))


def article() -> Array:
    """Return dL/dW1 for the article's numbers: one row x = [2, 3], truth 1, answer 0.72."""
    x, a1, y_hat, y = np.array([[2.0, 3.0]]), np.array([[0.8, 0.6]]), 0.72, 1.0
    W2 = np.array([[0.5], [-0.3]])
    dz2 = np.array([[y_hat - y]])
    dz1 = dz2 @ W2.T * a1 * (1 - a1)
    dW1: Array = x.T @ dz1
    return dW1


# %%
def by_hand(params: Params, x: Array, y: Array) -> dict[str, Array]:
    """Return the gradients of the mean loss over a batch, each from its own line of algebra."""
    a1 = sigmoid(x @ params["hidden/W"] + params["hidden/b"])
    y_hat = sigmoid(a1 @ params["out/W"] + params["out/b"])
    dz2 = (y_hat - y) / len(x)  # the mean over the rows; everything below inherits it
    dz1 = dz2 @ params["out/W"].T * a1 * (1 - a1)
    return {"hidden/W": x.T @ dz1, "hidden/b": dz1.sum(axis=0), "out/W": a1.T @ dz2, "out/b": dz2.sum(axis=0)}


# %%
def main() -> float:
    """Print both, and return the largest difference."""
    print(f"the article's dL/dW1:\n{article()}")
    params = init(NET, key=0, dtype=np.float64)
    x = np.array([[2.0, 3.0], [-1.0, 0.5], [0.0, 1.0], [1.5, -2.0]])
    y = np.array([[1.0], [0.0], [1.0], [0.0]])
    mine, theirs = by_hand(params, x, y), grads(NET, binary_cross_entropy, params, x, y)
    for name in params:
        print(f"{name:8s} by hand {mine[name].ravel().round(6)}  grads {theirs[name].ravel().round(6)}")
    largest = max(float(np.abs(mine[name] - theirs[name]).max()) for name in params)
    print(f"largest difference: {largest:.1e}")
    return largest


# %%
if __name__ == "__main__":
    main()
