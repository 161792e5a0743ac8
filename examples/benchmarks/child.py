"""One measurement in a process of its own: ``python -m benchmarks.child SECTION COLUMN [ARGUMENT]``, which prints JSON."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.workload import EPOCH, ROWS, SERVED, least, peak_megabytes

# What is measured in which section: a module, and its functions by section.
COLUMNS: dict[str, tuple[str, dict[str, str]]] = {
    "floor": ("numpy", {"sgd": "floor", "adam": "floor", "inference": "inference_floor"}),
    "bare": ("bare", {"sgd": "training", "adam": "training"}),
    "plain": ("numpy", {"sgd": "plain"}),
    "nnfunc": ("nnfunc", {"sgd": "training", "adam": "training", "inference": "inference", "run": "run"}),
    "torch": ("torch", {"sgd": "training", "adam": "training", "inference": "inference", "run": "run"}),
    "torch fused": ("torch", {"sgd": "fused", "adam": "fused", "run": "run_fused"}),
    "torch compile": ("torch", {"sgd": "compiled", "adam": "compiled"}),
    "torch traced": ("torch", {"inference": "traced"}),
    "jax": ("jax", {"sgd": "training", "adam": "training", "inference": "inference", "run": "run"}),
    "jax, loss read": ("jax", {"sgd": "reading", "adam": "reading"}),
    "jax, constant": ("jax", {"inference": "constant"}),
    "sklearn, in fit": ("sklearn", {"sgd": "in_fit", "adam": "in_fit", "tenth": "tenth"}),
    "sklearn": ("sklearn", {"sgd": "training", "adam": "training", "inference": "inference", "run": "run"}),
}
MEMORY_ROWS = ("mnist512", "wide")


def module(name: str) -> Any:
    """Return the module of a library's measurements."""
    return importlib.import_module(f"benchmarks.by_{name}")


def function(column: str, section: str) -> Any:
    """Return what measures a column in a section."""
    library, functions = COLUMNS[column]
    return getattr(module(library), functions[section])


def training(column: str, optimizer: str) -> dict[str, dict[str, float]]:
    """Return the microseconds per step of every row, and the loss that the tenth step gives."""
    calls, found = {}, {}
    for row, (sizes, n) in ROWS.items():
        step, finish = calls[row] = function(column, optimizer)(sizes, n, optimizer)
        for _ in range(10):
            value = step()
        if "tenth" in COLUMNS[column][1]:  # a call is more than one step
            value = function(column, "tenth")(sizes, n, optimizer)
        found[row] = {"loss": finish() if finish else value}
    for row, us in least(calls).items():
        found[row]["us"] = us / (EPOCH if column == "sklearn, in fit" else 1)
    return found


def inference(column: str) -> dict[str, dict[str, float]]:
    """Return the microseconds per prediction of every row, and the first output."""
    calls, found = {}, {}
    for row, (sizes, n) in SERVED.items():
        predict, _ = function(column, "inference")(sizes, n)
        calls[row] = predict, None
        for _ in range(20):
            output = predict()
        found[row] = {"output": float(output[0, 0])}
    for row, us in least(calls).items():
        found[row]["us"] = us
    return found


def real_run(column: str, directory: Path) -> dict[str, float]:
    """Return seconds and accuracy of a run on 8,000 of the 10,000 MNIST test digits."""
    from mnist import load

    from nnfunc import split_rows

    found = load(directory, "t10k")
    if found is None:
        raise ValueError(f"benchmark: --mnist must hold t10k-images-idx3-ubyte, got {directory}")
    x, y = found
    rows, held = split_rows(0, len(x), 0.2, labels=y)
    seconds, right = function(column, "run")(x[rows], y[rows], x[held], y[held])
    return {"seconds": seconds, "accuracy": right}


def memory(library: str, row: str) -> dict[str, float]:
    """Return the peak of 20 training steps in megabytes, above that of the import and of a first small step."""
    make = function(library, "sgd")
    peaks = [peak_megabytes()]
    for name, steps in (("xor", 1), (row, 20)):  # the first starts what a library starts once
        step, finish = make(*ROWS[name], "sgd")
        for _ in range(steps):
            step()
        if finish:
            finish()
        peaks.append(peak_megabytes())
    return {row: peaks[2] - peaks[0], f"{row}, started": peaks[2] - peaks[1]}


def growth(column: str) -> dict[str, list[float]]:
    """Return microseconds per step as batch, width and depth double."""
    series = {
        "batch": [([256, 256, 10], 16 * 2**i) for i in range(7)],
        "width": [([32 * 2**i] * 3 + [10], 128) for i in range(6)],
        "depth": [([8] * (2**i + 1), 4) for i in range(7)],
    }
    make = function(column, "sgd")
    calls = {f"{name} {i}": make(sizes, n, "sgd") for name, each in series.items() for i, (sizes, n) in enumerate(each)}
    found = least(calls)
    return {name: [found[f"{name} {i}"] for i in range(len(each))] for name, each in series.items()}


def main(section: str, name: str, argument: str = "") -> None:
    """Measure and print."""
    if section == "store":
        module(name).store([784, 256, 128, 10], Path(argument))
        found: object = {}
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
