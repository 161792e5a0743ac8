"""Losses side by side: what they charge for being wrong, and what gradient comes back.

    python examples/losses_compared.py
"""

# %%
import numpy as np

from nnfunc import (
    binary_cross_entropy,
    cross_entropy,
    dense,
    huber,
    mae,
    mse,
    sigmoid,
    sigmoid_cross_entropy,
    softmax,
    softmax_cross_entropy,
    table,
    vjp,
)


# %%
def main() -> list[dict[str, object]]:
    """Print the losses for the truth 1 and several answers, and return them as rows."""
    p = np.array([[0.9], [0.5], [0.1], [0.001]])
    y = np.ones_like(p)
    columns = {f.__name__: f(p, y)[0] for f in (binary_cross_entropy, mse, mae, huber)}
    rows: list[dict[str, object]] = [
        {"answer": float(p[i, 0]), **{name: float(values[i]) for name, values in columns.items()}} for i in range(len(p))
    ]
    print("the truth is 1")
    print(table(rows), end="\n\n")

    # Through a sigmoid, the gradient of cross-entropy is p - y; that of mse has a factor p (1 - p)
    # which vanishes just where the answer is most wrong.
    z = np.array([[-7.0]])
    for loss_fn in (binary_cross_entropy, mse):
        outputs, pullback = vjp(dense(1, 1, sigmoid), {"W": np.eye(1), "b": np.zeros(1)}, z)
        gradients, dx = pullback(loss_fn(outputs, np.ones((1, 1)))[1])
        print(f"answer {outputs[0, 0]:.5f}: the gradient of {loss_fn.__name__} before the sigmoid is {dx()[0, 0]:.5f}")

    # From logits nothing is lost, however sure the network is; from probabilities it is, and no clipping brings it back.
    logits = np.array([[1000.0, 0.0]])
    print(f"softmax_cross_entropy of logits [1000, 0], class 1: {softmax_cross_entropy(logits, np.array([1]))[0][0]}")
    print(f"cross_entropy of their softmax:                    {cross_entropy(softmax(logits), np.array([1]))[0][0]}")
    print(f"sigmoid_cross_entropy of the logit -1000, truth 1: {sigmoid_cross_entropy(-logits[:, :1], y[:1])[0][0]}")
    return rows


# %%
if __name__ == "__main__":
    main()
