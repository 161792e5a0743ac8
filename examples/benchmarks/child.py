"""One measurement in a process of its own: ``python -m benchmarks.child SECTION COLUMN [ARGUMENT]``, which prints JSON."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workload import ROWS, SERVED, peak_megabytes, timed

# Columns of training and inference: a module, its functions for either.
COLUMNS: dict[str, tuple[str, str, str]] = {
    "floor": ("numpy", "floor", "inference_floor"),
    "bare": ("numpy", "bare", ""),
    "plain": ("numpy", "plain", ""),
    "nnfunc": ("nnfunc", "training", "inference"),
    "torch": ("torch", "training", "inference"),
    "torch fused": ("torch", "fused", ""),
    "torch compile": ("torch", "compiled", ""),
    "jax": ("jax", "training", "inference"),
    "jax, loss read": ("jax", "reading", ""),
    "sklearn": ("sklearn", "training", "inference"),
}
MEMORY_ROWS = ("mnist512", "wide")


def module(name: str) -> Any:
    """Return the module of a library's measurements."""
    return importlib.import_module(f"benchmarks.by_{name}")


def training(column: str, optimizer: str) -> dict[str, dict[str, float]]:
    """Return the microseconds per step of every row, and the loss that the tenth step gives."""
    library, function, _ = COLUMNS[column]
    found = {}
    for row, (sizes, n) in ROWS.items():
        step, finish = getattr(module(library), function)(sizes, n, optimizer)
        for _ in range(10):
            value = step()
        value = finish() if finish else value
        found[row] = {"us": timed(step, finish, 0.02 if "compile" in column else 0.05), "loss": value}
    return found


def inference(column: str) -> dict[str, dict[str, float]]:
    """Return the microseconds per prediction of every row, and the first output."""
    library, _, function = COLUMNS[column]
    found = {}
    for row, (sizes, n) in SERVED.items():
        predict, _ = getattr(module(library), function)(sizes, n)
        found[row] = {"us": timed(lambda: float(predict()[0, 0])), "output": float(predict()[0, 0])}
    return found


def real_run(library: str, directory: Path) -> dict[str, float]:
    """Return seconds and accuracy of a run on 8,000 of the 10,000 MNIST test digits."""
    from idx import find_pair, read_pair

    from nnfunc import split_rows

    pair = find_pair(directory, "t10k")
    if pair is None:
        raise ValueError(f"benchmark: --mnist must hold t10k-images-idx3-ubyte, got {directory}")
    images, labels = read_pair(*pair)
    x, y = images.reshape(len(images), -1).astype(np.float32) / 255, labels.astype(np.int64)
    rows, held = split_rows(0, len(x), 0.2, labels=y)
    seconds, right = module(library).run(x[rows], y[rows], x[held], y[held])
    return {"seconds": seconds, "accuracy": right}


def memory(library: str, row: str) -> dict[str, float]:
    """Return the peak of 20 training steps above that of the import, in megabytes."""
    by = module(library)
    before = peak_megabytes()
    step, finish = by.training(*ROWS[row], "sgd")
    for _ in range(20):
        step()
    if finish:
        finish()
    return {"megabytes": peak_megabytes() - before}


def probe() -> dict[str, float]:
    """Return the microseconds of the products of a middling step, which tell how fast the machine is at the moment."""
    step, _ = module("numpy").floor(*ROWS["mnist128"], "sgd")
    return {"us": timed(step, seconds=0.02)}


def growth(column: str) -> dict[str, list[float]]:
    """Return microseconds per step as batch, width and depth double."""
    library, function, _ = COLUMNS[column]
    series = {
        "batch": [([256, 256, 10], 16 * 2**i) for i in range(7)],
        "width": [([32 * 2**i] * 3 + [10], 128) for i in range(6)],
        "depth": [([8] * (2**i + 1), 4) for i in range(7)],
    }
    make = getattr(module(library), function)
    return {name: [timed(make(sizes, n, "sgd")[0]) for sizes, n in each] for name, each in series.items()}


def main(section: str, name: str = "", argument: str = "") -> None:
    """Measure and print."""
    if section == "store":
        module(name).store([784, 256, 128, 10], Path(argument))
        found: object = {}
    elif section == "probe":
        found = probe()
    elif section in ("sgd", "adam"):
        found = training(name, section)
    elif section == "inference":
        found = inference(name)
    elif section == "run":
        found = real_run(name, Path(argument))
    elif section == "memory":
        found = memory(name, argument)
    else:
        found = growth(name)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
