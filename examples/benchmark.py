"""Time one training step beside the same step written by hand, and beside its matrix products alone.

    python examples/benchmark.py [--rounds 5] [ROW ...]

A step is value, gradients and SGD update in float32. Each column runs in a
process of its own; the columns take turns, and medians are printed. `floor` is
the step's matrix products into buffers that are there already; `plain` is the
loop anybody would write with NumPy.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nnfunc import init, mlp, sgd_step, sigmoid_cross_entropy, softmax_cross_entropy, value_and_grads

ROWS: dict[str, tuple[list[int], int]] = {
    "xor": ([2, 8, 1], 4),
    "tiny": ([64, 64, 10], 32),
    "seed": ([784, 64, 10], 32),
    "mnist32": ([784, 256, 128, 10], 32),
    "mnist128": ([784, 256, 128, 10], 128),
    "mnist512": ([784, 256, 128, 10], 512),
    "wide": ([784, 2048, 2048, 10], 256),
}
COLUMNS = ("floor", "plain", "nnfunc")
F32 = NDArray[np.float32]
Ints = NDArray[np.int64]
LR = 0.01


def data(row: str) -> tuple[F32, F32 | Ints]:
    """Return inputs and targets: classes, or 0 and 1 for a single output."""
    sizes, n = ROWS[row]
    draw = np.random.default_rng(0)
    x = draw.standard_normal((n, sizes[0]), dtype=np.float32)
    if sizes[-1] == 1:
        return x, draw.integers(0, 2, (n, 1)).astype(np.float32)
    return x, draw.integers(0, sizes[-1], n)


def nnfunc_step(row: str) -> Callable[[], float]:
    """Return a step by this library."""
    sizes, _ = ROWS[row]
    x, y = data(row)
    net = mlp(sizes)
    params = init(net, key=0)
    loss_fn = sigmoid_cross_entropy if sizes[-1] == 1 else softmax_cross_entropy

    def step() -> float:
        nonlocal params
        value, g = value_and_grads(net, loss_fn, params, x, y)
        params = sgd_step(params, g, LR)
        return value

    return step


def plain_step(row: str) -> Callable[[], float]:
    """Return a step as written by hand, with new arrays for the new params."""
    sizes, n = ROWS[row]
    x, y = data(row)
    params = init(mlp(sizes), key=0)
    weights = [params[f"{i}/W"] for i in range(len(sizes) - 1)]
    biases = [params[f"{i}/b"] for i in range(len(sizes) - 1)]
    last = len(weights) - 1

    def step() -> float:
        nonlocal weights, biases
        hidden: list[NDArray[np.floating]] = [x]
        for i, (W, b) in enumerate(zip(weights, biases, strict=True)):
            z = hidden[-1] @ W
            z += b
            hidden.append(np.maximum(z, 0) if i < last else z)
        if sizes[-1] == 1:
            value = float(np.mean(np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))))
            d = (1 / (1 + np.exp(-z)) - y) / n
        else:
            z = z - z.max(axis=1, keepdims=True)
            powers = np.exp(z)
            total = powers.sum(axis=1, keepdims=True)
            value = float(np.mean(np.log(total[:, 0]) - z[np.arange(n), y]))
            d = powers / total
            d[np.arange(n), y] -= 1
            d /= n
        new_weights, new_biases = list(weights), list(biases)
        for i in range(last, -1, -1):
            new_weights[i] = weights[i] - LR * (hidden[i].T @ d)
            new_biases[i] = biases[i] - LR * d.sum(axis=0)
            if i:
                d = (d @ weights[i].T) * (hidden[i] > 0)
        weights, biases = new_weights, new_biases
        return value

    return step


def floor_step(row: str) -> Callable[[], float]:
    """Return the step's matrix products alone."""
    sizes, n = ROWS[row]
    draw = np.random.default_rng(0)

    def array(*shape: int) -> F32:
        return draw.standard_normal(shape, dtype=np.float32)

    acts = [array(n, size) for size in sizes]
    weights = [array(a, b) for a, b in zip(sizes, sizes[1:], strict=False)]
    products = [(acts[i], W, array(n, sizes[i + 1])) for i, W in enumerate(weights)]
    products += [(acts[i].T, acts[i + 1], array(*W.shape)) for i, W in enumerate(weights)]
    products += [(acts[i + 1], W.T, array(n, sizes[i])) for i, W in enumerate(weights) if i]

    def step() -> float:
        for a, b, out in products:
            np.matmul(a, b, out=out)
        return 0.0

    return step


STEPS = {"floor": floor_step, "plain": plain_step, "nnfunc": nnfunc_step}


def measure(column: str, row: str) -> dict[str, float]:
    """Return the median microseconds per step of nine batches of steps, and the loss after ten steps."""
    step = STEPS[column](row)
    for _ in range(10):
        value = step()
    started = time.perf_counter()
    step()
    repeats = max(1, int(0.05 / (time.perf_counter() - started)))
    times = []
    for _ in range(9):
        started = time.perf_counter()
        for _ in range(repeats):
            step()
        times.append((time.perf_counter() - started) / repeats * 1e6)
    return {"us": statistics.median(times), "loss": value}


def in_process(column: str, row: str) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--child", column, row]
    result: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return result


def main() -> None:
    """Print a row of medians and ratios for each network."""
    parser = argparse.ArgumentParser(description="Time a training step beside plain NumPy and the matrix products.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"some of {', '.join(ROWS)} (default all)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(*arguments.rows)))
        return
    unknown = [row for row in arguments.rows if row not in ROWS]
    if unknown or arguments.rounds < 1:
        parser.error(f"ROW must be some of {', '.join(ROWS)} and --rounds at least 1, got {unknown or arguments.rounds}")
    print(f"{'row':10}{'floor us':>10}{'plain us':>10}{'nnfunc us':>11}{'/ plain':>9}{'/ floor':>9}")
    for row in arguments.rows or ROWS:
        found = [{column: in_process(column, row) for column in COLUMNS} for _ in range(arguments.rounds)]
        if not np.isclose(found[0]["plain"]["loss"], found[0]["nnfunc"]["loss"], rtol=1e-4):
            sys.exit(f"benchmark: {row} must reach the same loss by both ways, got {found[0]}")
        floor, plain, ours = (statistics.median(f[column]["us"] for f in found) for column in COLUMNS)
        print(f"{row:10}{floor:10.1f}{plain:10.1f}{ours:11.1f}{ours / plain:9.2f}{ours / floor:9.2f}", flush=True)


if __name__ == "__main__":
    main()
