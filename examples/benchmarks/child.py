"""One measurement in a process of its own, as JSON: ``python -m benchmarks.child SECTION COLUMN [ARGUMENT]``."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.workload import (
    EPOCH,
    EPOCHS,
    ROWS,
    SERVED,
    SERVED_ALIKE,
    VARIANTS,
    VARIED,
    least,
    peak_megabytes,
)

TRAINING = dict.fromkeys(("A", "A2", "B"), "training")
INFERENCE = dict.fromkeys(("C", "C2"), "inference")
# What is measured in which section: a module, and its functions by section.
COLUMNS: dict[str, tuple[str, dict[str, str]]] = {
    "floor": ("numpy", {"A": "floor", "B": "floor", "C": "inference_floor"}),
    "bare": ("bare", {**TRAINING, **INFERENCE}),
    "plain": ("numpy", {"A": "plain"}),
    "nnfunc": ("nnfunc", {**TRAINING, **INFERENCE, "D": "run", "H": "epochs"}),
    "nnfunc, by hand": ("nnfunc", {"H": "by_hand"}),
    "nnfunc, compiled": ("nnfunc", {"B": "compiled"}),
    "torch": ("torch", {**TRAINING, **INFERENCE, "D": "run", "H": "epochs"}),
    "torch fused": ("torch", {"A": "fused", "B": "fused", "D": "run_fused"}),
    "torch compile": ("torch", {"A": "compiled", "B": "compiled"}),
    "torch traced": ("torch", dict.fromkeys(("C", "C2"), "traced")),
    "jax": ("jax", {**TRAINING, **INFERENCE, "D": "run", "H": "epochs"}),
    "jax, loss read": ("jax", dict.fromkeys(("A", "A2", "B"), "reading")),
    "jax, constant": ("jax", dict.fromkeys(("C", "C2"), "constant")),
    "sklearn, in fit": ("sklearn", {"A": "in_fit", "B": "in_fit"}),
    "sklearn": ("sklearn", {"A": "training", "B": "training", "C": "inference", "D": "run", "H": "epochs"}),
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
    elif section == "H":
        found = dict(EPOCHS)
    elif section == "C":
        found = dict(SERVED)
    elif section == "C2":
        differing = [variant for variant in VARIANTS if variant not in SERVED_ALIKE]
        found = {f"{variant}, {row}": (*ROWS[row], variant) for row in VARIED for variant in differing}
    return {row: given for row, given in found.items() if any(word in row for word in only.split(","))}


def training(column: str, section: str, only: str) -> dict[str, dict[str, float]]:
    """Return the microseconds per step or epoch of every row, and the loss that the tenth step or last epoch gives."""
    calls, found = {}, {}
    for row, given in rows(section, only).items():
        step, wait, told = function(column, section)(*given)
        calls[row] = step, wait
        for _ in range(0 if section == "H" else 9):
            step()
        found[row] = {"result": told()}
    for row, us in least(calls).items():
        at_once = EPOCHS[row][-1] if section == "H" else EPOCH if column == "sklearn, in fit" else 1
        found[row]["us"] = us / at_once
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


def growth(column: str) -> dict[str, float]:
    """Return microseconds per call as batch, width and layers double, and of this library as names and rows do."""
    doubled = (128, 256, 512, 1024)
    shapes = {f"batch: {n:,}": ([256, 256, 10], n) for n in doubled}
    shapes |= {f"width: {size:,}": ([size] * 3 + [10], 128) for size in doubled}
    shapes |= {f"layers: {count:,}": ([8] * (count + 1), 4) for count in doubled}
    make = function(column, "A")
    calls = {name: make(*shape, "sgd")[:2] for name, shape in shapes.items()}
    if column == "nnfunc":
        calls |= {name: (call, None) for name, call in module(column).growth().items()}
    return least(calls)


def main(section: str, name: str, argument: str = "") -> None:
    """Measure and print."""
    if section == "store":
        module(name).store([784, 256, 128, 10], Path(argument))
        found: object = {}
    elif section in ("A", "A2", "B", "H"):
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
