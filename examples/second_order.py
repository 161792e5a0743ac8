"""Small fits to the end: Levenberg-Marquardt beside L-BFGS and Adam, on three standard toy sets.

All begin at the same params and see all rows in every step, in float64. Each goes on to its own end or for a budget
that takes about a quarter of a second: Levenberg-Marquardt 1,000 steps, L-BFGS (SciPy's, where that is there) 5,000
evaluations of loss and gradient, Adam as many, at the best of three learning rates, which fall to 0 along a cosine (the
other two are not in its seconds). A table shows the least loss, the median and the worst over starts, the seconds, and
after how many of them the loss was below 1e-4.

    python examples/second_order.py
    python examples/second_order.py --pictures
"""

# %%
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
from drawing import BLUE, GREEN, INK, ORANGE, asked, picture

from nnfunc import (
    Array,
    Layer,
    Params,
    adam,
    cosine_decay_schedule,
    init,
    mlp,
    mse,
    ravel,
    table,
    tanh,
    value_and_grads,
)
from nnfunc.transforms import levenberg_marquardt

STEPS, EVALUATIONS, RATES, GOAL = 1000, 5000, (3e-3, 1e-2, 3e-2), 1e-4

Trace = list[tuple[float, float]]
"""Seconds since the start, and the loss, again and again."""

Problem = tuple[Layer, Array, Array]


# %% Three sets
def sine() -> Problem:
    """Return a network with 16 params and 41 rows of sin(pi x)."""
    x = np.linspace(-1, 1, 41)[:, None]
    return mlp([1, 5, 1], tanh), x, np.sin(np.pi * x)


def surface() -> Problem:
    """Return a network with 41 params and rows of sin(2 a) cos(2 b) on a grid of 15 by 15."""
    x = np.array(list(product(np.linspace(-1, 1, 15), repeat=2)))
    return mlp([2, 10, 1], tanh), x, np.sin(2 * x[:, :1]) * np.cos(2 * x[:, 1:])


def parity() -> Problem:
    """Return a network with 37 params and the sixteen rows of four bits, -1 or 1, whose product is asked for."""
    x = np.array(list(product([-1.0, 1.0], repeat=4)))
    return mlp([4, 6, 1], tanh), x, np.prod(x, axis=1, keepdims=True)


# %% Three methods
def by_levenberg_marquardt(net: Layer, params: Params, x: Array, y: Array) -> Trace:
    """Return the trace of second-order steps; where nobody watches, ``params, reports = finish(run)`` is all."""
    started = time.perf_counter()
    run = levenberg_marquardt(net, params, x, y, steps=STEPS)
    return [(time.perf_counter() - started, report["loss"]) for _, report in run]


def by_lbfgs(net: Layer, params: Params, x: Array, y: Array) -> Trace:
    """Return the trace of SciPy's L-BFGS, which goes on as long as anything gets better."""
    from scipy.optimize import minimize

    started, trace = time.perf_counter(), Trace()
    start, unravel = ravel(params)

    def value_and_slopes(vector: Array) -> tuple[float, Array]:
        value, g = value_and_grads(net, mse, unravel(vector), x, y)
        trace.append((time.perf_counter() - started, value))
        return value, ravel(g)[0]

    options = {"maxfun": EVALUATIONS, "maxiter": EVALUATIONS, "ftol": 0, "gtol": 1e-9}
    minimize(value_and_slopes, start, jac=True, method="L-BFGS-B", options=options)
    return trace


def by_adam(net: Layer, params: Params, x: Array, y: Array) -> Trace:
    """Return the trace of Adam at that rate which reaches the least loss."""
    return min((adam_at(rate, net, params, x, y) for rate in RATES), key=lambda trace: trace[-1][1])


def adam_at(rate: float, net: Layer, params: Params, x: Array, y: Array) -> Trace:
    """Return the trace of Adam."""
    started, trace = time.perf_counter(), Trace()
    first, step = adam()
    state, schedule = first(params), cosine_decay_schedule(rate, EVALUATIONS)
    for i in range(EVALUATIONS):
        value, g = value_and_grads(net, mse, params, x, y)
        trace.append((time.perf_counter() - started, value))
        params, state = step(params, g, state, schedule(i))
    return trace


PROBLEMS = sine, surface, parity
METHODS: dict[str, Callable[[Layer, Params, Array, Array], Trace]] = {
    "Levenberg-Marquardt": by_levenberg_marquardt,
    **({"L-BFGS": by_lbfgs} if find_spec("scipy") else {}),
    "Adam": by_adam,
}


# %%
def main(starts: int = 3) -> dict[tuple[str, str], list[float]]:
    """Print the table, and return the losses that each method reached on each set."""
    found, rows = {}, []
    for problem in PROBLEMS:
        net, x, y = problem()
        for name, method in METHODS.items():
            traces = [method(net, init(net, key, np.float64), x, y) for key in range(starts)]
            losses = [min(value for _, value in trace) for trace in traces]
            below = [next((seconds for seconds, value in trace if value < GOAL), np.inf) for trace in traces]
            rows.append({
                "set": problem.__name__, "method": name,
                "loss": f"{np.median(losses):.0e}", "worst": f"{max(losses):.0e}",
                "seconds": f"{np.median([trace[-1][0] for trace in traces]):.2f}",
                f"to {GOAL:g}": "never" if np.median(below) == np.inf else f"{np.median(below):.3f}",
            })  # fmt: skip
            found[problem.__name__, name] = losses
    print(table(rows))
    return found


# %% The picture
def lowest(trace: Trace, points: int = 150) -> tuple[Array, Array]:
    """Return seconds, evenly spaced in their logarithm, and the least loss that was seen up to each."""
    seconds, losses = np.array(trace).T
    rows = np.unique(np.searchsorted(seconds, np.geomspace(seconds[0], seconds[-1], points)))
    return seconds[rows], np.minimum.accumulate(losses)[rows]


def draw(directory: Path) -> None:
    """Print and draw the least loss so far against seconds, from one start on each set."""
    colours = {"Levenberg-Marquardt": BLUE, "L-BFGS": GREEN, "Adam": ORANGE}
    with picture(directory, "second_order", 3.1, columns=3) as (figure, axes):
        for panel, problem in zip(axes, PROBLEMS, strict=True):
            net, x, y = problem()
            for name, method in METHODS.items():
                seconds, losses = lowest(method(net, init(net, 0, np.float64), x, y))
                print(f"{problem.__name__}, {name}: {losses[-1]:.0e} after {seconds[-1]:.3f} seconds")
                panel.loglog(seconds, losses, color=colours[name], label=name)
            panel.axhline(GOAL, color=INK, linestyle=":", label=f"{GOAL:g}")
            panel.set(title=problem.__name__, xlabel="seconds")
            panel.set_ylim(bottom=max(panel.get_ylim()[0], 1e-20))
        axes[0].set_ylabel("least loss so far")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)


# %%
if __name__ == "__main__":
    main()
    if directory := asked(sys.argv):
        draw(directory)
