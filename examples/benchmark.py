"""nnfunc beside PyTorch, JAX, scikit-learn, and what NumPy alone would take.

    python examples/benchmark.py [SECTION ...] [--rounds 5] [--mnist DIRECTORY] [--json FILE]

Sections: A a training step with SGD, B with Adam, C inference, D a real run on
MNIST (needs --mnist), E cold start, F memory, G growth with batch, width and
depth. Each column is measured in processes of its own, the columns taking
turns. A round's figure is the least of five medians of nine batches each, taken in
turns; the lower quartile of the rounds is printed, and all are in the JSON.
Libraries that are not installed are left out; `pip install -e '.[peers]'` installs them.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.child import COLUMNS, MEMORY_ROWS
from benchmarks.cold import LOAD_AND_PREDICT, PEAK
from idx import find_pair

PACKAGES = {"torch": ("torch",), "jax": ("jax", "optax"), "sklearn": ("sklearn",)}
LIBRARIES = ("nnfunc", "torch", "jax", "sklearn")
# Peers in their usual form, and in every form that they offer.
USUAL = ("torch", "jax", "sklearn", "sklearn, in fit")
EVERY = (*USUAL, "torch fused", "torch compile", "torch traced", "jax, constant")
Table = dict[str, dict[str, list[float]]]


def installed(library: str) -> bool:
    """Say whether a library can be measured here."""
    return all(importlib.util.find_spec(package) is not None for package in PACKAGES.get(library, ()))


def child(*arguments: str) -> Any:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.child", *arguments]
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"benchmark: {' '.join(arguments)} must run, got\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def quiet(values: list[float]) -> float:
    """Return the lower quartile of the rounds: what a machine takes that others leave alone.

    Shared machines have slow spells that outlast a whole process, and may take
    more than half of the rounds of one column and none of another's.
    """
    return sorted(values)[(len(values) - 1) // 4]


def columns(section: str) -> list[str]:
    """Return the columns of a section whose libraries are installed."""
    return [name for name, (library, functions) in COLUMNS.items() if section in functions and installed(library)]


def steps(section: str, rounds: int) -> Table:
    """Return microseconds by row and column, one for each round; the columns must agree on the results."""
    found: Table = {}
    checks: dict[str, dict[str, float]] = {}
    for turn in range(rounds):
        for column in columns(section):
            if column == "torch compile" and turn:
                continue  # compiling takes a minute; once is enough to show where it stands
            for row, values in child(section, column).items():
                found.setdefault(row, {}).setdefault(column, []).append(values["us"])
                checks.setdefault(row, {})[column] = values.get("loss", values.get("output", math.nan))
    for row, results in checks.items():
        own = results["nnfunc"]
        for column, value in results.items():
            by_design = column == "floor" or (section == "inference" and column == "sklearn")
            # scikit-learn's Adam adds its epsilon elsewhere.
            tolerance = 0.02 if section == "adam" and column.startswith("sklearn") else 2e-3
            if not by_design and not math.isclose(value, own, rel_tol=tolerance, abs_tol=1e-4):
                sys.exit(f"benchmark: {column} must reach nnfunc's result in {row}, {own}, got {value}")
    return found


def print_steps(title: str, table: Table) -> None:
    """Print the figures, how many times as long the fastest peer takes, and how near NumPy's limits are."""
    names = list(next(iter(table.values())))
    limits = [name for name in ("floor", "bare") if name in names]
    print(f"\n{title}, microseconds\n{'':18}" + "".join(f"{name:>15}" for name in names), end="")
    print(f"{'peer/ours':>12}{'any form':>10}" + "".join(f"{'ours/' + name:>12}" for name in limits))
    for row, cells in table.items():
        figures = {name: quiet(values) for name, values in cells.items()}
        print(f"{row:18}" + "".join(f"{figures[name]:15,.1f}" for name in names), end="")
        for peers, width in ((USUAL, 12), (EVERY, 10)):
            best = min((figures[name] for name in peers if name in figures), default=None)
            print(f"{best / figures['nnfunc']:{width}.2f}" if best else f"{'-':>{width}}", end="")
        print("".join(f"{figures['nnfunc'] / figures[name]:12.2f}" for name in limits), flush=True)


def real_runs(directory: Path, rounds: int) -> Table:
    """Return seconds and accuracy of ten epochs on MNIST."""
    found: Table = {}
    for _ in range(rounds):
        for column in columns("run"):
            for name, value in child("run", column, str(directory)).items():
                found.setdefault(name, {}).setdefault(column, []).append(value)
    return found


def cold_starts(rounds: int) -> Table:
    """Return seconds and peak megabytes from nothing to a prediction."""
    found: Table = {}
    with tempfile.TemporaryDirectory() as directory:
        paths = {name: Path(directory) / f"{name}.npz" for name in LIBRARIES}
        for library in filter(installed, LIBRARIES):
            child("store", library, str(paths[library]))
        # As after any first import: a user's interpreter keeps what it compiled.
        compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        for _ in range(max(rounds, 5)):
            for name, code in LOAD_AND_PREDICT.items():
                if not installed(name):
                    continue
                script = code.format(path=str(paths[name])) if name in paths else code
                command = [sys.executable, "-c", script + PEAK]
                started = time.perf_counter()
                done = subprocess.run(command, capture_output=True, text=True, check=True, env=compiled)
                found.setdefault("seconds", {}).setdefault(name, []).append(time.perf_counter() - started)
                found.setdefault("megabytes", {}).setdefault(name, []).append(float(done.stdout.splitlines()[-1]))
    return found


def memory(rounds: int) -> Table:
    """Return the megabytes of 20 training steps, above the import's and above those of a first small step."""
    found: Table = {}
    for _ in range(min(rounds, 3)):
        for row in MEMORY_ROWS:
            for library in filter(installed, LIBRARIES):
                for name, value in child("memory", library, row).items():
                    found.setdefault(name, {}).setdefault(library, []).append(value)
    return found


def growth(rounds: int) -> Table:
    """Return microseconds per step in series that double, for this library and for NumPy alone."""
    found: Table = {}
    for _ in range(min(rounds, 3)):
        for column in ("floor", "bare", "nnfunc"):
            for name, series in child("growth", column).items():
                for i, value in enumerate(series):
                    found.setdefault(f"{name} x{2**i}", {}).setdefault(column, []).append(value)
    return found


def print_plain(title: str, table: Table, digits: int = 3) -> None:
    """Print the figures, one row a quantity."""
    names = list(dict.fromkeys(name for cells in table.values() for name in cells))
    print(f"\n{title}\n{'':18}" + "".join(f"{name:>22}" for name in names))
    for row, cells in table.items():
        print(f"{row:18}" + "".join(f"{quiet(cells[n]):22,.{digits}f}" for n in names), flush=True)


def print_growth(table: Table) -> None:
    """Print the series, the exponents of their last doublings, and the time that a layer adds."""
    print_plain("G. Growth, microseconds per step", table, 1)
    figures = {row: {name: quiet(v) for name, v in cells.items()} for row, cells in table.items()}
    for name in ("batch", "width"):
        last = [figures[row]["nnfunc"] for row in figures if row.startswith(name)][-2:]
        print(f"{name}: doubling the largest multiplies the time by {last[1] / last[0]:.2f}")
    deep, half = figures["depth x64"], figures["depth x32"]
    added, bare, floor = ((deep[name] - half[name]) / 32 for name in ("nnfunc", "bare", "floor"))
    print(f"depth: a layer of 8 units adds {added:.1f} us, {bare:.1f} in bare NumPy calls, {floor:.1f} in its products")


def machine() -> dict[str, str]:
    """Say what was measured on, and with which versions."""
    versions = {
        name: importlib.metadata.version(name) for name in ("numpy", "torch", "jax", "scikit-learn") if _has(name)
    }
    return {"machine": f"{_processor()}, {os.cpu_count()} cores", **versions}


def _processor() -> str:
    """Return the processor's name, where Linux tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _has(package: str) -> bool:
    return installed("sklearn" if package == "scikit-learn" else package)


def sections(chosen: Iterable[str], rounds: int, mnist: Path | None) -> dict[str, Table]:
    """Measure, print and return the chosen sections."""
    found: dict[str, Table] = {}
    calls: dict[str, tuple[Callable[[], Table], Callable[[Table], None]]] = {
        "A": (lambda: steps("sgd", rounds), lambda t: print_steps("A. Training step, SGD", t)),
        "B": (lambda: steps("adam", rounds), lambda t: print_steps("B. Training step, Adam", t)),
        "C": (lambda: steps("inference", rounds), lambda t: print_steps("C. Inference", t)),
        "D": (lambda: real_runs(mnist or Path(), rounds), lambda t: print_plain("D. Ten epochs on MNIST", t)),
        "E": (lambda: cold_starts(rounds), lambda t: print_plain("E. Cold start", t)),
        "F": (
            lambda: memory(rounds),
            lambda t: print_plain("F. Memory in training, megabytes above the import's, or once started", t, 0),
        ),
        "G": (lambda: growth(rounds), print_growth),
    }
    for section in chosen:
        if section == "D" and mnist is None:
            print("\nD. left out: it needs --mnist DIRECTORY")
            continue
        measure, show = calls[section]
        found[section] = measure()
        show(found[section])
    return found


def main() -> None:
    """Read the command line, measure, print and perhaps write."""
    parser = argparse.ArgumentParser(description="Measure nnfunc beside its peers.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="some of A to G (default all)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mnist", type=Path, help="directory with MNIST's test files, for section D")
    parser.add_argument("--json", type=Path, help="write all figures here")
    arguments = parser.parse_args()
    unknown = [section for section in arguments.sections if section not in "ABCDEFG" or len(section) != 1]
    if unknown or arguments.rounds < 1:
        parser.error(f"SECTION must be some of A to G and --rounds at least 1, got {unknown or arguments.rounds}")
    if arguments.mnist and find_pair(arguments.mnist, "t10k") is None:
        parser.error(f"--mnist must hold t10k-images-idx3-ubyte and its labels, got {arguments.mnist}")
    if arguments.json and not arguments.json.absolute().parent.is_dir():
        parser.error(f"--json must be a file in a directory that exists, got {arguments.json}")
    print(", ".join(f"{name} {version}" for name, version in machine().items()))
    for library in LIBRARIES:
        if not installed(library):
            print(f"{library} is not installed, and left out")
    found = sections(arguments.sections or "ABCDEFG", arguments.rounds, arguments.mnist)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), **found}, indent=1))


if __name__ == "__main__":
    main()
