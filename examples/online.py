"""Online learning: each row comes once, is predicted first and learnt from after that.

The share of right predictions so far is an honest score, as every row was new when it was predicted (progressive
validation, Blum, Kalai and Langford 1999). Half-way the images are turned by 90 degrees: a network that goes on learning
recovers, the same network left as it was does not.

    python examples/online.py
"""

# %%
import time

import numpy as np
from digits import load_digits

from nnfunc import Array, chain, dense, forward, generator, grads, init, relu, sgd_step, softmax_cross_entropy

# %%
NET = chain(hidden=dense(64, 32, relu), out=dense(32, 10))
LR = 0.1


# %%
def stream() -> tuple[Array, Array]:
    """Return the digits in a random order, twice; the second time turned by 90 degrees."""
    x, y = load_digits()
    first, again = (generator((0, i)).permutation(len(x)) for i in range(2))
    turned = np.rot90(x.reshape(-1, 8, 8), axes=(1, 2)).reshape(x.shape)
    return np.concatenate([x[first], turned[again]]), np.concatenate([y[first], y[again]])


# %%
def main() -> tuple[list[float], list[float]]:
    """Print the accuracy in windows of 599 rows, and return that of the learner and that of one that stops half-way."""
    x, y = stream()
    params = stopped = init(NET, key=0)
    right, right_stopped = np.zeros(len(x), bool), np.zeros(len(x), bool)
    started = time.perf_counter()
    for i in range(len(x)):
        row, label = x[i : i + 1], y[i : i + 1]
        right[i] = forward(NET, params, row).argmax() == label[0]
        params = sgd_step(params, grads(NET, softmax_cross_entropy, params, row, label), LR)
        if i < len(x) // 2:
            stopped = params
        right_stopped[i] = right[i] if stopped is params else forward(NET, stopped, row).argmax() == label[0]
    seconds = time.perf_counter() - started

    windows = [(float(a.mean()), float(b.mean())) for a, b in zip(np.split(right, 6), np.split(right_stopped, 6), strict=True)]
    for i, (learner, other) in enumerate(windows):
        turned = "upright" if i < 3 else "turned "
        print(f"rows {599 * i:4d} to {599 * (i + 1) - 1:4d}, {turned}: {learner:.1%} right, {other:.1%} without learning on")
    print(f"{1e6 * seconds / len(x):.0f} microseconds a row, predictions included")
    return [learner for learner, _ in windows], [other for _, other in windows]


# %%
if __name__ == "__main__":
    main()
