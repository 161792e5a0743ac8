"""How sure is a network? A deep ensemble and Monte Carlo dropout tell what is noise and what was never seen.

The data have noise that grows from left to right, a gap in the middle and an end. Eight members, each with a mean and a
spread, train as one in batched products. The mean of their spreads finds the noise; where they differ, there were no data.
One network with dropout, run under many keys, tells the gap as well, less clearly.

    python examples/uncertainty.py
"""

import numpy as np

from nnfunc import (
    Array,
    adam,
    chain,
    current_params,
    dense,
    dropout,
    finish,
    forward,
    gaussian_nll,
    generator,
    init,
    mse,
    relu,
    softplus,
    split,
    tanh,
    train,
)
from nnfunc.transforms import ensemble_forward, ensemble_value_and_grads, stack_params

MEMBERS, PASSES = 8, 200
NET = chain(dense(1, 32, tanh), dense(32, 32, tanh), dense(32, 2))
DROPPED = chain(dense(1, 64, relu), dropout(0.1), dense(64, 64, relu), dropout(0.1), dense(64, 1))


def noise(x: Array) -> Array:
    """Return the standard deviation of the noise: 0.05 at the left end, 0.45 at the right."""
    return 0.25 + 0.1 * x


def data(key: int, n: int) -> tuple[Array, Array]:
    """Return x in [-2, 2] but for a gap from -0.5 to 0.5, and y = sin(2 x) with noise."""
    draw = generator(key)
    x = draw.uniform(0.5, 2, (n, 1)) * draw.choice([-1.0, 1.0], (n, 1))
    return x, np.sin(2 * x) + noise(x) * draw.normal(size=(n, 1))


def ensemble(x: Array, y: Array, at: Array, steps: int = 1000) -> tuple[Array, Array]:
    """Train all members on the same rows from starts of their own, and return their means and variances at some x, (M, n)."""
    members = stack_params([init(NET, key, np.float64) for key in split(0, MEMBERS)])
    optimizer_init, optimizer_step = adam()
    state = optimizer_init(members)
    for _ in range(steps):
        _, g = ensemble_value_and_grads(NET, gaussian_nll, members, x, y)
        members, state = optimizer_step(members, g, state, 5e-3)
    means, raw = np.moveaxis(ensemble_forward(NET, members, at), 2, 0)
    return means, softplus(raw) + 1e-6


def monte_carlo(x: Array, y: Array, at: Array) -> Array:
    """Train a network with dropout, and return its outputs at some x under many keys, (PASSES, n)."""
    run = train(DROPPED, mse, init(DROPPED, 0, np.float64), x, y, epochs=150, lr=5e-3, optimizer=adam())
    params = current_params(finish(run)[0])
    return np.stack([forward(DROPPED, params, at, key)[:, 0] for key in split(1, PASSES)])


def main() -> tuple[float, dict[str, list[float]]]:
    """Print a table at six x; return the share of new rows within their intervals of 90 %, and the columns."""
    x, y = data(0, 300)
    new_x, new_y = data(1, 2000)
    at = np.array([[-1.5], [-1.0], [0.0], [1.0], [1.5], [3.0]])
    means, variances = ensemble(x, y, np.concatenate([at, new_x]))
    spread = np.sqrt(variances.mean(axis=0) + means.var(axis=0))  # of the mixture: law of total variance
    inside = float(np.mean(np.abs(new_y[:, 0] - means.mean(axis=0)[len(at) :]) < 1.645 * spread[len(at) :]))

    columns = {
        "x": at[:, 0],
        "noise, true": noise(at)[:, 0],
        "noise, found": np.sqrt(variances.mean(axis=0))[: len(at)],
        "members differ by": means.std(axis=0)[: len(at)],
        "dropout differs by": monte_carlo(x, y, at).std(axis=0),
    }
    print("".join(f"{name:>20s}" for name in columns))
    for row in zip(*columns.values(), strict=True):
        print("".join(f"{value:20.3f}" for value in row))
    print(f"new rows within their intervals of 90 %: {inside:.1%}")
    return inside, {name: column.tolist() for name, column in columns.items()}


if __name__ == "__main__":
    main()
