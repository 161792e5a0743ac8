"""A learning-rate range test: train for one short while as the rate grows, and see where the loss falls and where it bursts.

`test_lr_range.py` proves it.
"""

from itertools import chain

import numpy as np

from nnfunc import AnyArray, Array, Layer, LossFn, Optimizer, Params, batches, value_and_grads


def lr_range_test(
    net: Layer, loss_fn: LossFn, params: Params, x: Array, y: AnyArray, optimizer: Optimizer,
    lowest: float = 1e-5, highest: float = 10.0, steps: int = 200, size: int = 32, key: int = 0,
) -> list[tuple[float, float]]:
    """Return pairs (learning rate, loss before the step), the rate growing by a factor, up to four times the least loss.

    Reference:
        Smith 2017, section 3.3, with a rate that grows by a factor and not by a sum.
    """
    optimizer_init, optimizer_step = optimizer
    state, found, least = optimizer_init(params), [], np.inf
    rows = chain.from_iterable(batches((key, epoch), len(x), size) for epoch in range(steps))
    for lr in np.geomspace(lowest, highest, steps).tolist():
        batch = next(rows)
        try:
            value, g = value_and_grads(net, loss_fn, params, x[batch], y[batch])
        except FloatingPointError:  # beyond all bounds
            break
        found.append((lr, value))
        least = min(least, value)
        if value > 4 * least:
            break
        params, state = optimizer_step(params, g, state, lr)
    return found


def suggested(found: list[tuple[float, float]], smooth: int = 9) -> float:
    """Return a third of the rate at which the loss, the mean of `smooth` steps, is least."""
    rates, losses = np.array(found).T
    smoothed = np.convolve(losses, np.full(smooth, 1 / smooth), mode="valid")
    return float(rates[np.argmin(smoothed) + smooth // 2] / 3)
