"""One measurement in a process of its own, printed as JSON: ``python -m benchmarks.child SECTION COLUMN [ARGUMENT]``."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.workload import (
    EPOCH,
    ROWS,
    SERVED,
    SERVED_ALIKE,
    VARIANTS,
    VARIED,
    least,
    peak_megabytes,
)

INFERENCE = {"C": "inference", "C2": "inference"}
# What is measured in which section: a module, and its functions by section.
COLUMNS: dict[str, tuple[str, dict[str, str]]] = {
    "floor": ("numpy", {"A": "floor", "B": "floor", "C": "inference_floor"}),
    "bare": ("bare", {"A": "training", "B": "training"}),
    "plain": ("numpy", {"A": "plain"}),
    "nnfunc": ("nnfunc", {**dict.fromkeys(("A", "A2", "B"), "training"), **INFERENCE, "D": "run"}),
    "torch": ("torch", {**dict.fromkeys(("A", "A2", "B"), "training"), **INFERENCE, "D": "run"}),
    "torch fused": ("torch", {"A": "fused", "B": "fused", "D": "run_fused"}),
    "torch compile": ("torch", {"A": "compiled", "B": "compiled"}),
    "torch traced": ("torch", dict.fromkeys(("C", "C2"), "traced")),
    "jax": ("jax", {**dict.fromkeys(("A", "A2", "B"), "training"), **INFERENCE, "D": "run"}),
    "jax, loss read": ("jax", dict.fromkeys(("A", "A2", "B"), "reading")),
    "jax, constant": ("jax", dict.fromkeys(("C", "C2"), "constant")),
    "sklearn, in fit": ("sklearn", {"A": "in_fit", "B": "in_fit"}),
    "sklearn": ("sklearn", {"A": "training", "B": "training", "C": "inference", "D": "run"}),
}
MEMORY_ROWS = ("mnist512", "wide")


def module(name: str) -> Any:
    """Return the module of a library's measurements."""
    return importlib.import_module(f"benchmarks.by_{name}")


def function(column: str, section: str) -> Any:
    """Return what measures a column in a section."""
    library, functions = COLUMNS[column]
    return getattr(module(library), functions[section])


def rows(section: str, only: str = "") -> dict[str, tuple[Any, ...]]:
    """Return the rows of a section that have a word of `only` in their names, and what a function is given for each."""
    found: dict[str, tuple[Any, ...]] = {}
    if section in ("A", "B"):
        found = {row: (*shape, "sgd" if section == "A" else "adam") for row, shape in ROWS.items()}
    elif section == "A2":
        found = {f"{variant}, {row}": (*ROWS[row], "sgd", variant) for row in VARIED for variant in VARIANTS}
    elif section == "C":
        found = dict(SERVED)
    elif section == "C2":
        differing = [variant for variant in VARIANTS if variant not in SERVED_ALIKE]
        found = {f"{variant}, {row}": (*ROWS[row], variant) for row in VARIED for variant in differing}
    return {row: given for row, given in found.items() if any(word in row for word in only.split(","))}


def training(column: str, section: str, only: str) -> dict[str, dict[str, float]]:
    """Return the microseconds per step of every row, and the loss that the tenth step gives."""
    calls, found = {}, {}
    for row, given in rows(section, only).items():
        step, wait, told = function(column, section)(*given)
        calls[row] = step, wait
        for _ in range(9):
            step()
        found[row] = {"result": told()}
    for row, us in least(calls).items():
        found[row]["us"] = us / (EPOCH if column == "sklearn, in fit" else 1)
    return found


def inference(column: str, section: str, only: str) -> dict[str, dict[str, float]]:
    """Return the microseconds per prediction of every row, and the first output."""
    calls, found = {}, {}
    for row, given in rows(section, only).items():
        predict, _ = function(column, section)(*given)
        calls[row] = predict, None
        for _ in range(20):
            output = predict()
        found[row] = {"result": float(output[0, 0])}
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
    seconds, right = function(column, "D")(x[rows], y[rows], x[held], y[held])
    return {"seconds": seconds, "accuracy": right}


def memory(library: str, row: str) -> dict[str, float]:
    """Return the peak of 20 training steps in megabytes, above that of the import and of a first small step."""
    make = function(library, "A")
    peaks = [peak_megabytes()]
    for name, steps in (("xor", 1), (row, 20)):  # the first starts what a library starts once
        step, wait, _ = make(*ROWS[name], "sgd")
        for _ in range(steps):
            step()
        if wait:
            wait()
        peaks.append(peak_megabytes())
    return {row: peaks[2] - peaks[0], f"{row}, started": peaks[2] - peaks[1]}


def growth(column: str) -> dict[str, list[float]]:
    """Return microseconds per step as batch, width and depth double."""
    series = {
        "batch": [([256, 256, 10], 16 * 2**i) for i in range(7)],
        "width": [([32 * 2**i] * 3 + [10], 128) for i in range(6)],
        "depth": [([8] * (2**i + 1), 4) for i in range(7)],
    }
    make = function(column, "A")
    shapes = {f"{name} {i}": shape for name, each in series.items() for i, shape in enumerate(each)}
    calls = {name: make(*shape, "sgd")[:2] for name, shape in shapes.items()}
    found = least(calls)
    return {name: [found[f"{name} {i}"] for i in range(len(each))] for name, each in series.items()}


def main(section: str, name: str, argument: str = "") -> None:
    """Measure and print."""
    if section == "store":
        module(name).store([784, 256, 128, 10], Path(argument))
        found: object = {}
    elif section in ("A", "A2", "B"):
        found = training(name, section, argument)
    elif section in ("C", "C2"):
        found = inference(name, section, argument)
    elif section == "D":
        found = real_run(name, Path(argument))
    elif section == "memory":
        found = memory(name, argument)
    else:
        found = growth(name)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
