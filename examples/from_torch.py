"""A PyTorch module's weights come here, are trained on both sides in the same order of rows, and go back.

The curves are equal to float32's rounding, by gradient descent and by Adam; what was trained here predicts the same
there. Wants PyTorch.

    python examples/from_torch.py
"""

# %%
import numpy as np
from command_line import HERE

try:
    import torch
except ModuleNotFoundError:
    raise ModuleNotFoundError("from_torch: PyTorch must be installed: pip install torch") from None

from nnfunc import (
    AnyArray, Array, Optimizer, Params, adam, batches, chain, dense, fold_in, forward, grads, loss, relu, sgd, softmax_cross_entropy,
)  # fmt: skip
from nnfunc.exchange import from_torch, to_torch

# %%
EPOCHS, SIZE = 10, 32
NET = chain(hidden=dense(64, 32, relu), out=dense(32, 10))
OPTIMIZERS = {"gradient descent": (sgd(), torch.optim.SGD, 0.1), "Adam": (adam(), torch.optim.Adam, 0.003)}


def digits() -> tuple[Array, AnyArray]:
    """Return the rows of the handwritten digits and their classes."""
    with np.load(HERE / "data" / "digits.npz") as file:
        return file["images"].astype(np.float32) / 16, file["labels"].astype(np.int64)


def module() -> torch.nn.Sequential:
    """Return a module of PyTorch's with the layers of `NET`, in PyTorch's own start."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))


# %%
def trained_here(optimizer: Optimizer, lr: float, params: Params, x: Array, y: AnyArray) -> tuple[Params, list[float]]:
    """Train on this side; return params, and the loss on all rows after each epoch."""
    init, step = optimizer
    state, losses = init(params), []
    for epoch in range(EPOCHS):
        for rows in batches(fold_in(0, epoch), len(x), SIZE):
            params, state = step(params, grads(NET, softmax_cross_entropy, params, x[rows], y[rows]), state, lr)
        losses.append(loss(NET, softmax_cross_entropy, params, x, y))
    return params, losses


def trained_there(optimizer: type[torch.optim.Optimizer], lr: float, net: torch.nn.Module, x: Array, y: AnyArray) -> list[float]:
    """Train on the other side, in place; return the loss on all rows after each epoch."""
    steps, losses = optimizer(net.parameters(), lr), []
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
    for epoch in range(EPOCHS):
        for rows in batches(fold_in(0, epoch), len(x), SIZE):
            steps.zero_grad()
            torch.nn.functional.cross_entropy(net(inputs[rows]), targets[rows]).backward()
            steps.step()
        with torch.no_grad():
            losses.append(float(torch.nn.functional.cross_entropy(net(inputs), targets)))
    return losses


# %%
def main() -> dict[str, tuple[list[float], list[float], float]]:
    """Print both curves; return them, and by how much the predictions differ once params are back in PyTorch."""
    x, y = digits()
    found = {}
    for name, (optimizer, theirs, lr) in OPTIMIZERS.items():
        net = module()
        start = from_torch(NET, net.state_dict())
        params, here = trained_here(optimizer, lr, start, x, y)
        there = trained_there(theirs, lr, net, x, y)
        print(f"{name}\n  epoch     here    there")
        for epoch in range(0, EPOCHS, 3):
            print(f"  {epoch + 1:5d}{here[epoch]:9.5f}{there[epoch]:9.5f}")

        net.load_state_dict({n: torch.from_numpy(a) for n, a in to_torch(NET, params).items()})
        with torch.no_grad():
            off = float(np.abs(net(torch.from_numpy(x)).numpy() - forward(NET, params, x)).max())
        print(f"  back there, logits differ by at most {off:.0e}")
        found[name] = here, there, off
    return found


# %%
if __name__ == "__main__":
    main()
