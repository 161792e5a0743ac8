"""What is measured: networks, data and start values that all libraries share, and how a step is timed."""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nnfunc import chain, dense, init, relu

F32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Step = Callable[[], float]
"""One training step; it returns the loss, or what the library hands back in its place."""
Wait = Callable[[], object]
Training = tuple[Step, Wait | None, Step]
"""A step, what waits for it where a library goes on without it, and a step that tells the loss with its penalty."""
Piece = tuple[str, str, int, int]
"""A layer: its kind, the activation after it, columns in and columns out."""

ROWS: dict[str, tuple[list[int], int]] = {
    "xor": ([2, 8, 1], 4),
    "tiny": ([64, 64, 10], 32),
    "seed": ([784, 64, 10], 32),
    "mnist32": ([784, 256, 128, 10], 32),
    "mnist128": ([784, 256, 128, 10], 128),
    "mnist512": ([784, 256, 128, 10], 512),
    "wide": ([784, 2048, 2048, 10], 256),
}
SERVED: dict[str, tuple[list[int], int]] = {
    "8-32-32-1, 1 row": ([8, 32, 32, 1], 1),
    "mnist, 1 row": ([784, 256, 128, 10], 1),
    "mnist, 32 rows": ([784, 256, 128, 10], 32),
    "mnist, 1024 rows": ([784, 256, 128, 10], 1024),
}
# What a hidden layer is made of, each piece with the activation after it; then what is changed in the step.
VARIANTS: dict[str, list[tuple[str, str]]] = {
    "plain": [("dense", "relu")],
    "dropout": [("dense", "relu"), ("dropout", "")],
    "batch norm": [("dense", ""), ("batch_norm", "relu")],
    "layer norm": [("dense", ""), ("layer_norm", "relu")],
    "residual": [("dense", "relu"), ("residual", "relu")],
    "gelu": [("dense", "gelu")],
    "tanh": [("dense", "tanh")],
    "own activation": [("dense", "own")],
    "L2": [("dense", "relu")],
    "row weights": [("dense", "relu")],
    "clipping": [("dense", "relu")],
    "momentum": [("dense", "relu")],
}
VARIED = ("tiny", "mnist32", "mnist128")
SERVED_ALIKE = ("dropout", "L2", "row weights", "clipping", "momentum")  # as plain
DROPPED, PENALTY, LIMIT, BETA = 0.2, 0.05, 0.5, 0.9  # the penalty and the limit are such that the loss shows them
# Rows, rows of a batch, optimiser, and the epochs that are run at once.
EPOCHS: dict[str, tuple[list[int], int, int, str, int]] = {
    "2-8-1, 256 rows by 4": ([2, 8, 1], 256, 4, "sgd", 10),
    "64-64-10, 1,024 rows by 32": ([64, 64, 10], 1024, 32, "sgd", 10),
    "4-100-3, 20 rows at once, Adam": ([4, 100, 3], 20, 20, "adam", 200),
}
LR = 0.01
EPOCH = 10  # steps that one call takes where a library is measured inside an epoch
ADAM_LR = 1e-3


def data(sizes: list[int], n: int) -> tuple[F32, F32 | Ints]:
    """Return inputs and targets: classes, or 0 and 1 for a single output."""
    draw = np.random.default_rng(0)
    x = draw.standard_normal((n, sizes[0]), dtype=np.float32)
    if sizes[-1] == 1:
        return x, draw.integers(0, 2, (n, 1)).astype(np.float32)
    return x, draw.integers(0, sizes[-1], n)


def row_weights(n: int) -> F32:
    """Return the weights of rows."""
    return np.random.default_rng(1).uniform(0.5, 1.5, n).astype(np.float32)


def pieces(sizes: list[int], variant: str = "plain") -> list[Piece]:
    """Return the layers of a network."""
    found: list[Piece] = []
    for n_in, n_out in pairwise(sizes[:-1]):
        (kind, f), *others = VARIANTS[variant]
        found += [(kind, f, n_in, n_out), *((kind, f, n_out, n_out) for kind, f in others)]
    return [*found, ("dense", "", sizes[-2], sizes[-1])]


def weights(sizes: list[int], variant: str = "plain") -> list[tuple[F32, F32]]:
    """Return the pairs (W, b) that every library starts from, those of residual layers among them."""
    found = [piece for piece in pieces(sizes, variant) if piece[0] in ("dense", "residual")]
    params = init(chain(*(dense(n_in, n_out, relu if f else None) for _, f, n_in, n_out in found)), key=0)
    return [(np.array(params[f"{i}/W"], np.float32), np.array(params[f"{i}/b"], np.float32)) for i in range(len(found))]


def timed(step: Callable[[], object], finish: Wait | None = None, seconds: float = 0.01) -> float:
    """Return the median microseconds per step of seven batches of steps; `finish` waits for what is still under way.

    Where a step takes longer than five such batches, three are enough.
    """
    started = time.perf_counter()
    step()
    if finish:
        finish()
    took = time.perf_counter() - started
    repeats, times = max(1, int(seconds / took)), []
    for _ in range(7 if took < 5 * seconds else 3):
        started = time.perf_counter()
        for _ in range(repeats):
            step()
        if finish:
            finish()
        times.append((time.perf_counter() - started) / repeats * 1e6)
    return statistics.median(times)


def least(calls: Mapping[str, tuple[Callable[[], object], Wait | None]]) -> dict[str, float]:
    """Return the least of three medians of each call, taken in turns.

    Others use the machine too, some seconds at a time: what is slow then is slow for all, and counts for none.
    """
    found: dict[str, float] = {}
    for _ in range(3):
        for name, call in calls.items():
            found[name] = min(found.get(name, math.inf), timed(*call))
    return found


def peak_megabytes() -> float:
    """Return the most memory that this process has held so far, as Linux tells."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
