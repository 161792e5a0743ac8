"""From a neuron to a layer to a network of two layers, with the article's numbers.

    python examples/network.py
"""

# %%
import numpy as np

from nnfunc import Array, Params, chain, dense, forward, freeze, init, sigmoid, summary, table

# %%
NET = chain(hidden=dense(2, 2, sigmoid), out=dense(2, 1, sigmoid))
# Every neuron has the weights [0, 1] and no bias.
PARAMS: Params = freeze(
    {
        "hidden/W": np.array([[0.0, 0.0], [1.0, 1.0]]),
        "hidden/b": np.zeros(2),
        "out/W": np.array([[0.0], [1.0]]),
        "out/b": np.zeros(1),
    }
)


# %%
def main() -> tuple[Array, Array]:
    """Print the network and what it computes; return the hidden and the final outputs for [2, 3]."""
    print(table(summary(NET, PARAMS)), end="\n\n")
    x = np.array([[2.0, 3.0]])
    hidden = forward(dense(2, 2, sigmoid), {"W": PARAMS["hidden/W"], "b": PARAMS["hidden/b"]}, x)
    y = forward(NET, PARAMS, x)
    print(f"hidden: sigmoid(3) = {hidden[0, 0]:.4f}, twice")
    print(f"output: sigmoid({hidden[0, 1]:.4f}) = {y[0, 0]:.4f}")

    batch = np.zeros((4, 2))
    print(f"a batch of shape {batch.shape} gives outputs of shape {forward(NET, PARAMS, batch).shape}")

    # Weights that are all equal stay equal; drawn ones break the symmetry.
    drawn = init(NET, key=0)
    print(f"drawn from key 0, hidden/W is\n{drawn['hidden/W'].round(2)}")
    return hidden, y


# %%
if __name__ == "__main__":
    main()
