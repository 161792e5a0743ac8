"""nnfunc beside PyTorch, JAX, scikit-learn, and what NumPy alone would take.

    python examples/benchmark.py [SECTION ...] [--only WORD,WORD] [--rounds 5] [--mnist DIRECTORY]
                                 [--json FILE] [--markdown FILE]

Sections: A a training step with SGD, A2 the same of the networks that people
train (norms, dropout, gelu and so on), B with Adam, C inference, C2 inference
of the networks of A2, D a real run on MNIST (needs --mnist), E cold start, F
memory, G growth with batch, width, layers, names and rows, H an epoch of `train`.
`--only gelu,"layer norm"` takes the rows of A to C2 and H that have one of the
words in their names.

Each column is measured in processes of its own, the columns taking turns. A
round's figure is the least of three medians of seven batches each, taken in
turns; the lower quartile of the rounds is printed, and all are in the JSON.
Libraries that are not installed are left out; `pip install -e '.[peers]'` installs them.
"""

# %%
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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.child import COLUMNS, MEMORY_ROWS
from benchmarks.cold import LOAD_AND_PREDICT, PEAK
from command_line import given
from idx import find_pair

# %%
# What a library needs, or a column beside its library.
PACKAGES = {
    "torch": ("torch",),
    "jax": ("jax", "optax"),
    "sklearn": ("sklearn",),
    "nnfunc, compiled": ("numba", "compiled_adam"),
}
LIBRARIES = ("nnfunc", "torch", "jax", "sklearn")
# Peers in their usual form, and in every form that they offer.
USUAL = ("torch", "jax", "sklearn", "sklearn, in fit")
EVERY = (*USUAL, "torch fused", "torch compile", "torch traced", "jax, constant")
Table = dict[str, dict[str, list[float]]]
Shown = tuple[str, list[list[str]], list[str]]
"""A title, lines of cells of which the first is the heading, and sentences below."""


# %%
def installed(library: str) -> bool:
    """Say whether a library or a column can be measured here."""
    return all(importlib.util.find_spec(package) is not None for package in PACKAGES.get(library, ()))


def child(*arguments: str) -> Any:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.child", *arguments]
    here = Path(__file__).parent
    # Each library takes the number of threads that it takes by itself.
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment["PYTHONPATH"] = os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")])
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
    found = [(name, library) for name, (library, functions) in COLUMNS.items() if section in functions]
    return [name for name, library in found if installed(library) and installed(name)]


# %% What is measured
def steps(section: str, arguments: argparse.Namespace) -> Table:
    """Return microseconds by row and column, one for each round; the columns must agree on the results."""
    found: Table = {}
    checks: dict[str, dict[str, float]] = {}
    for turn in range(arguments.rounds):
        for column in columns(section):
            if column == "torch compile" and turn:
                continue  # compiling takes a minute; once is enough to show where it stands
            for row, values in child(section, column, arguments.only).items():
                found.setdefault(row, {}).setdefault(column, []).append(values["us"])
                checks.setdefault(row, {})[column] = values["result"]
    for row, results in checks.items():
        own = results["nnfunc"]
        for column, value in results.items():
            by_design = column == "floor" or (section == "C" and column == "sklearn")
            # scikit-learn's Adam adds its epsilon elsewhere, and each library drops other values.
            tolerance = 0.02 if section == "B" and column.startswith("sklearn") else 0.2 if "dropout" in row else 2e-3
            if not by_design and not math.isclose(value, own, rel_tol=tolerance, abs_tol=1e-4):
                sys.exit(f"benchmark: {column} must reach nnfunc's result in {row}, {own}, got {value}")
    return found


def shown_steps(title: str, table: Table) -> Shown:
    """Return the figures, how many times as long peers take, and how near NumPy's limits are."""
    names = list(next(iter(table.values()), {}))
    # Peers that hand over what nnfunc does; then the fastest, in a usual and in any form.
    read = "jax read" if "jax, loss read" in names else "jax"
    forms = {"torch": ("torch",), read: ("jax, loss read", "jax"), "fused": ("torch fused",)}
    found = {name: [form for form in each if form in names][:1] for name, each in forms.items()}
    ratios = {f"{name}/ours": (found[name], "nnfunc") for name in ("torch", read)}
    ratios |= {"peer/ours": (list(USUAL), "nnfunc"), "any/ours": (list(EVERY), "nnfunc")}
    if "nnfunc, compiled" in names:
        ratios |= {f"{name}/compiled": (found[name], "nnfunc, compiled") for name in ("fused", read)}
    limits = [name for name in ("floor", "bare", "nnfunc, by hand") if name in names]
    lines = [["", *names, *ratios, *(f"ours/{name}" for name in limits)]]
    for row, cells in table.items():
        figures = {name: quiet(values) for name, values in cells.items()}
        line = [row, *(f"{figures[name]:,.1f}" for name in names)]
        for among, own in ratios.values():
            best = min((figures[name] for name in among if name in figures), default=None)
            line.append(f"{best / figures[own]:.2f}" if best else "-")
        lines.append([*line, *(f"{figures['nnfunc'] / figures[name]:.2f}" for name in limits)])
    return f"{title}, microseconds", lines, []


def real_runs(section: str, arguments: argparse.Namespace) -> Table:
    """Return seconds and accuracy of ten epochs on MNIST."""
    found: Table = {}
    for _ in range(arguments.rounds):
        for column in columns(section):
            for name, value in child(section, column, str(arguments.mnist)).items():
                found.setdefault(name, {}).setdefault(column, []).append(value)
    return found


def cold_starts(section: str, arguments: argparse.Namespace) -> Table:
    """Return seconds and peak megabytes from nothing to a prediction."""
    found: Table = {}
    with tempfile.TemporaryDirectory() as directory:
        paths = {name: Path(directory) / f"{name}.npz" for name in LIBRARIES}
        for library in filter(installed, LIBRARIES):
            child("store", library, str(paths[library]))
        # As after any first import: a user's interpreter keeps what it compiled.
        compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        for _ in range(max(arguments.rounds, 5)):
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


def memory(section: str, arguments: argparse.Namespace) -> Table:
    """Return the megabytes of 20 training steps, above the import's and above those of a first small step."""
    found: Table = {}
    for _ in range(min(arguments.rounds, 3)):
        for row in MEMORY_ROWS:
            for library in filter(installed, LIBRARIES):
                for name, value in child("memory", library, row).items():
                    found.setdefault(name, {}).setdefault(library, []).append(value)
    return found


def growth(section: str, arguments: argparse.Namespace) -> Table:
    """Return microseconds per call in series that double, for this library and for NumPy alone."""
    found: Table = {}
    for _ in range(min(arguments.rounds, 3)):
        for column in ("floor", "bare", "nnfunc"):
            for row, value in child(section, column).items():
                found.setdefault(row, {}).setdefault(column, []).append(value)
    return found


def shown_plain(title: str, table: Table, digits: int = 3) -> Shown:
    """Return the figures, one row a quantity."""
    names = list(dict.fromkeys(name for cells in table.values() for name in cells))
    rows = [
        [row, *(f"{quiet(cells[n]):,.{digits}f}" if n in cells else "-" for n in names)] for row, cells in table.items()
    ]
    return title, [["", *names], *rows], []


def shown_growth(title: str, table: Table) -> Shown:
    """Return the series, the powers to which their last doublings raise the time, and the time that a layer adds."""
    figures = {row: {name: quiet(values) for name, values in cells.items()} for row, cells in table.items()}
    series: dict[str, list[dict[str, float]]] = {}
    for row, cells in figures.items():
        series.setdefault(row.rpartition(": ")[0], []).append(cells)
    powers = (f"{name} {math.log2(each[-1]['nnfunc'] / each[-2]['nnfunc']):.2f}" for name, each in series.items())
    half, deep = series["layers"][-2:]
    added = {name: (deep[name] - half[name]) / 512 for name in deep}
    return *shown_plain(title, table, 1)[:2], [
        f"time grows with the power, by the last doubling: {', '.join(powers)}",
        f"a layer of 8 units adds {added['nnfunc']:.1f} us, {added['bare']:.1f} in bare NumPy calls, "
        f"{added['floor']:.1f} in its products",
    ]


# %%
def show(shown: Shown, markdown: Path | None) -> None:
    """Print a table, and add it to a file as Markdown."""
    title, lines, notes = shown
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    print(f"\n{title}")
    for row, *cells in lines:
        right = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        print(row.ljust(widths[0]), *right, sep="  ")
    print(*notes, sep="\n", end="\n" if notes else "", flush=True)
    if markdown:
        written = [f"| {' | '.join(line)} |" for line in (lines[0], ["---"] * len(widths), *lines[1:])]
        below = [*(f"- {note}" for note in notes), ""] if notes else []
        with markdown.open("a") as file:
            print(f"{title}\n", *written, "", *below, sep="\n", file=file)


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


# What is measured in a section, and how it is shown.
SECTIONS: dict[str, tuple[str, Callable[[str, argparse.Namespace], Table], Callable[[str, Table], Shown]]] = {
    "A": ("Training step, SGD", steps, shown_steps),
    "A2": ("Training step, SGD, of the networks that people train", steps, shown_steps),
    "B": ("Training step, Adam", steps, shown_steps),
    "C": ("Inference", steps, shown_steps),
    "C2": ("Inference of the networks that people train", steps, shown_steps),
    "D": ("Ten epochs on MNIST", real_runs, shown_plain),
    "E": ("Cold start", cold_starts, shown_plain),
    "F": ("Memory in training, megabytes above the import's, or once started", memory, partial(shown_plain, digits=0)),
    "G": ("Growth, microseconds per call", growth, shown_growth),
    "H": ("An epoch: train and a loop by hand, PyTorch's loop, a JAX scan, scikit-learn's fit", steps, shown_steps),
}


# %%
def main() -> None:
    """Read the command line, measure, print and perhaps write."""
    parser = argparse.ArgumentParser(description="Measure nnfunc beside its peers.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"some of {' '.join(SECTIONS)} (default all)")
    parser.add_argument("--only", default="", metavar="WORD,WORD", help="rows that have one of the words")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mnist", type=Path, help="directory with MNIST's test files, for section D")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--markdown", type=Path, help="write the tables here")
    arguments = parser.parse_args(given())
    unknown = [section for section in arguments.sections if section not in SECTIONS]
    if unknown or arguments.rounds < 1:
        known = " ".join(SECTIONS)
        parser.error(f"SECTION must be some of {known} and --rounds at least 1, got {unknown or arguments.rounds}")
    if arguments.mnist and find_pair(arguments.mnist, "t10k") is None:
        parser.error(f"--mnist must hold t10k-images-idx3-ubyte and its labels, got {arguments.mnist}")
    for option, path in (("--json", arguments.json), ("--markdown", arguments.markdown)):
        if path and not path.absolute().parent.is_dir():
            parser.error(f"{option} must be a file in a directory that exists, got {path}")
    about = ", ".join(f"{name} {version}" for name, version in machine().items())
    print(about)
    if arguments.markdown:
        arguments.markdown.write_text(f"{about}\n\n")
    for library in LIBRARIES:
        if not installed(library):
            print(f"{library} is not installed, and left out")
    found: dict[str, Table] = {}
    for section in arguments.sections or SECTIONS:
        if section == "D" and arguments.mnist is None:
            print("\nD. left out: it needs --mnist DIRECTORY")
            continue
        title, measure, shown = SECTIONS[section]
        found[section] = measure(section, arguments)
        show(shown(f"{section}. {title}", found[section]), arguments.markdown)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), **found}, indent=1))


# %%
if __name__ == "__main__":
    main()
