"""A neuron: a weighted sum, a bias, a squashing function.

    python examples/neuron.py
"""

# %%
import numpy as np

from nnfunc import Array, Params, dense, forward, freeze, sigmoid

# %%
NEURON = dense(2, 1, sigmoid)
PARAMS: Params = freeze({"W": np.array([[0.5], [-0.6]]), "b": np.array([0.1])})


# %%
def main() -> Array:
    """Print one neuron's output for one input and for a batch of four, and return the batch."""
    x = np.array([2.0, 3.0])
    z = x @ PARAMS["W"] + PARAMS["b"]
    print(f"z = 0.5 * 2 - 0.6 * 3 + 0.1 = {z[0]:.1f}")
    print(f"sigmoid(z) = {sigmoid(z)[0]:.3f}")

    # A layer of one neuron is the same thing, for any number of rows at once.
    batch = np.array([[2.0, 3.0], [0.0, 0.0], [1.0, -1.0], [-1000.0, 1000.0]])
    y = forward(NEURON, PARAMS, batch)
    for row, output in zip(batch, y, strict=True):
        print(f"neuron({row.tolist()}) = {output[0]:.3f}")

    # Without its bias a neuron's boundary goes through the origin: there it can only say 0.5.
    unbiased = forward(NEURON, {**PARAMS, "b": np.zeros(1)}, [[0.0, 0.0]])
    print(f"without the bias, neuron([0, 0]) = {unbiased[0, 0]:.3f}")
    return y


# %%
if __name__ == "__main__":
    main()
