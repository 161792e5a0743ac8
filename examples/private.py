"""Private training (DP-SGD): no single digit can have moved the params far, and noise hides how far it did.

In each step every row is there with the same chance, its gradient is cut to a length of at most `LIMIT`, and normal
noise of `LIMIT` times the noise level is added to the sum (Abadi et al. 2016, algorithm 1). The lengths come from
`per_example_grad_norms`, at about the price of a backward pass, and the cut is a weight for each row.

What the noise level and the chance of a row promise together, epsilon, is printed by a simple bound, a quarter to a
half above what dp-accounting finds. It is no audit: the splits, rates and limits that were tried are not counted, and
NumPy's generator is none for secrets. To publish a model, use an accountant that is looked after, as that one is, and
noise from a generator that nobody can foresee.

    python examples/private.py
"""

# %%
import math
import time
from collections.abc import Callable

import numpy as np
from digits import load_digits

from nnfunc import (
    AnyArray,
    Array,
    Key,
    Layer,
    Params,
    Rows,
    accuracy,
    chain,
    dense,
    fold_in,
    forward,
    generator,
    grads,
    init,
    map_params,
    sgd_step,
    softmax_cross_entropy,
    split_rows,
    tanh,
)
from nnfunc.transforms import per_example_grad_norms, per_example_grads

# %%
NET = chain(hidden=dense(64, 32, tanh), out=dense(32, 10))
STEPS, RATE, LR = 300, 0.15, 0.5  # RATE is the chance of each row to be in a step
LIMIT, DELTA = 1.0, 1e-4
NOISE = (2.0, 8.0)


# %% Gradients, clipped row by row
def clipped_sum(net: Layer, params: Params, x: Array, y: AnyArray, limit: float) -> Params:
    """Return the sum of the rows' gradients, each cut to at most `limit`: without one row it moves by no more."""
    if not len(x):
        return map_params(np.zeros_like, params)
    norms = per_example_grad_norms(net, softmax_cross_entropy, params, x, y)
    weight = limit / np.maximum(norms, limit)
    g = grads(net, softmax_cross_entropy, params, x, y, weight=weight, mean_weight=1)  # divided by the rows alone
    return map_params(lambda a: a * len(x), g)


def clipped_sum_by_rows(net: Layer, params: Params, x: Array, y: AnyArray, limit: float) -> Params:
    """Return the same from the gradient of each row, which takes memory for all of them."""
    g = per_example_grads(net, softmax_cross_entropy, params, x, y)
    squares = sum(np.sum(a.reshape(len(x), -1).astype(np.float64) ** 2, axis=1) for a in g.values())
    weight = limit / np.maximum(np.sqrt(squares), limit)
    return map_params(lambda a: np.tensordot(weight, a, axes=1).astype(a.dtype), g)


# %% Noise
def sampled(key: Key, n: int, rate: float) -> Rows:
    """Return the rows of one step: each of n by itself with the same chance, as the bound on epsilon wants it."""
    return np.flatnonzero(generator(key).random(n) < rate)


def noisy_grads(
    key: Key, net: Layer, params: Params, x: Array, y: AnyArray, rate: float, limit: float, noise: float
) -> Params:
    """Return the gradient of one step over as many rows as it has on average: how many it had is private as well."""
    rows = sampled(fold_in(key, 0), len(x), rate)
    draw, usual = generator(fold_in(key, 1)), rate * len(x)
    summed = clipped_sum(net, params, x[rows], y[rows], limit)
    return map_params(lambda a: ((a + noise * limit * draw.standard_normal(a.shape)) / usual).astype(a.dtype), summed)


# %% What it hides
def epsilon(noise: float, rate: float, steps: int, delta: float) -> float:
    """Return a bound on epsilon for one row more or less, given delta; the least over the orders 2 to 256.

    Math:
        (steps log(sum_k C(a, k) (1 - rate)^(a - k) rate^k exp((k^2 - k) / (2 noise^2))) + log(1 / delta)) / (a - 1).

    Reference:
        Mironov, Talwar and Zhang 2019, section 3.3, for whole orders a; Mironov 2017, proposition 3.
    """
    bounds = []
    for order in range(2, 257):
        terms = [
            math.log(math.comb(order, k)) + (order - k) * math.log1p(-rate) + k * math.log(rate)
            + k * (k - 1) / (2 * noise**2) for k in range(order + 1)
        ]  # fmt: skip
        bounds.append((steps * float(np.logaddexp.reduce(terms)) + math.log(1 / delta)) / (order - 1))
    return min(bounds)


# %%
def trained(x: Array, y: AnyArray, step: Callable[[Params, Key], Params]) -> Params:
    """Return params after all steps."""
    params = init(NET, key=0)
    for i in range(STEPS):
        params = sgd_step(params, step(params, fold_in(1, i)), LR)
    return params


# %%
def main() -> dict[str, float]:
    """Print the accuracy on held-out digits of an ordinary run and of private ones, and return them with epsilons."""
    x, y = load_digits()
    rows, held = split_rows(0, len(x), 0.2, labels=y)
    x, y, x_held, y_held = x[rows], y[rows], x[held], y[held]

    def ordinary(params: Params, key: Key) -> Params:
        batch = sampled(fold_in(key, 0), len(x), RATE)
        return grads(NET, softmax_cross_entropy, params, x[batch], y[batch])

    found = {"ordinary": accuracy(forward(NET, trained(x, y, ordinary), x_held), y_held)}
    print(f"{STEPS} steps, each row in a step with a chance of {RATE}, {len(x)} rows")
    print(f"ordinary:       {found['ordinary']:.1%} right")
    for noise in NOISE:

        def private(params: Params, key: Key, noise: float = noise) -> Params:
            return noisy_grads(key, NET, params, x, y, RATE, LIMIT, noise)

        right = accuracy(forward(NET, trained(x, y, private), x_held), y_held)
        spent = epsilon(noise, RATE, STEPS, DELTA)
        found |= {f"noise {noise:g}": right, f"epsilon {noise:g}": spent}
        print(f"noise level {noise:g}:  {right:.1%} right, epsilon {spent:.1f} at delta {DELTA:g}")

    params = init(NET, key=0)
    for f in (clipped_sum, clipped_sum_by_rows):
        started = time.perf_counter()
        for _ in range(20):
            f(NET, params, x[:256], y[:256], LIMIT)
        print(f"{f.__name__} of 256 rows: {1000 * (time.perf_counter() - started) / 20:.1f} ms")
    return found


# %%
if __name__ == "__main__":
    main()
