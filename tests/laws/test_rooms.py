"""Imports run one way: a room builds on the rooms before it, and inside a room there is no circle."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import nnfunc

# Each may import from those before it. The checkers come last, as they may use all.
ROOMS = ("values", "pieces", "network", "inspection", "transforms", "training", "exchange", "testing")


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield what runs when a module is imported: not what stands in its functions."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for part in ("body", "orelse", "finalbody"):
            yield from statements(getattr(statement, part, []))
        for handler in getattr(statement, "handlers", []):
            yield from statements(handler.body)


def module_name(package: Path, file: Path) -> str:
    parts = file.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(package: Path) -> dict[str, Path]:
    return {module_name(package, file): file for file in sorted(package.rglob("*.py"))}


def imported(module: str, file: Path, known: dict[str, Path]) -> set[str]:
    """Return the modules of the package that a module imports; of a name taken from one, the one that holds it."""
    found: set[str] = set()
    for statement in statements(ast.parse(file.read_text()).body):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            source = statement.module or ""
            if statement.level:
                above = module.split(".")
                above = above[: len(above) - statement.level + (file.name == "__init__.py")]
                source = ".".join([*above, *([source] if source else [])])
            for alias in statement.names:
                whole = f"{source}.{alias.name}"
                found.add(whole if whole in known else source)
    return found & set(known) - {module}


def faults(package: Path) -> list[str]:
    """Return a sentence for each import that runs the wrong way, for each circle, and for each room that is unknown."""
    known = modules(package)
    graph = {module: imported(module, file, known) for module, file in known.items()}
    directories = [directory.name for directory in sorted(package.iterdir()) if (directory / "__init__.py").exists()]
    found = [f"{name} must stand in the table of rooms" for name in directories if name not in ROOMS]
    # Only a module in a directory is in a room: what stands beside them has none, whatever its name.
    rooms = {module: file.relative_to(package).parts[0] for module, file in known.items() if file.parent != package}
    for module, room in rooms.items():
        for other in sorted(graph[module]):
            above = rooms.get(other)
            if room not in ROOMS or above not in (*ROOMS, None) or room == "testing":
                continue
            # Beside the rooms may stand what needs none of them, as the version does.
            if graph[other] if above is None else ROOMS.index(above) > ROOMS.index(room):
                found.append(f"{module} must not import {other}")
    for room in directories:
        inside = {m: {o for o in graph[m] if rooms.get(o) == room} for m in rooms if rooms[m] == room}
        try:
            TopologicalSorter(inside).prepare()
        except CycleError as circle:
            found.append(f"{room} must have no circle: {' -> '.join(circle.args[1])}")
    return found


def test_imports_of_the_library_run_one_way() -> None:
    assert faults(Path(nnfunc.__file__).parent) == []


def written(directory: Path, changed: dict[str, str]) -> Path:
    """Write a small package whose imports run one way, but for what is changed."""
    files = {
        "__init__.py": "from lib.network.verbs import run\nfrom lib.values.arrays import held",
        "version.py": "version = '1'",
        "values/__init__.py": "",
        "values/arrays.py": "import math\nfrom lib.version import version\nheld = version",
        "values/checks.py": "from lib.values.arrays import held",
        "pieces/__init__.py": "",
        "pieces/layers.py": "from lib.values import arrays, checks\nimport lib.values.arrays",
        "network/__init__.py": "",
        "network/verbs.py": "def run() -> None:\n    from lib.testing import law\n",
        "testing/__init__.py": "from lib import held\nfrom lib.pieces.layers import arrays\nlaw = held",
    }
    for name, text in {**files, **changed}.items():
        file = directory / "lib" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return directory / "lib"


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "from a room above": (
        {"values/checks.py": "from lib.pieces.layers import arrays"},
        "lib.values.checks must not import lib.pieces.layers",
    ),
    "from the checkers": (
        {"network/verbs.py": "import lib.testing"},
        "lib.network.verbs must not import lib.testing",
    ),
    "of a module by its name": (
        {"pieces/layers.py": "from lib.network import verbs"},
        "lib.pieces.layers must not import lib.network.verbs",
    ),
    "of a relative one": (
        {"pieces/layers.py": "from ..network.verbs import run"},
        "lib.pieces.layers must not import lib.network.verbs",
    ),
    "by the room itself": (
        {"values/__init__.py": "from ..network import verbs"},
        "lib.values must not import lib.network.verbs",
    ),
    "under a condition": (
        {"values/checks.py": "try:\n    import json\nexcept ImportError:\n    import lib.pieces.layers"},
        "lib.values.checks must not import lib.pieces.layers",
    ),
    "from the whole package": (
        {"pieces/layers.py": "from lib import held"},
        "lib.pieces.layers must not import lib",
    ),
    "by way of a module beside the rooms": (
        {"helper.py": "import lib.network.verbs", "values/checks.py": "from lib.helper import run"},
        "lib.values.checks must not import lib.helper",
    ),
    "in a circle": (
        {"values/arrays.py": "from lib.values.checks import held"},
        "values must have no circle: lib.values.",
    ),
    "in a circle by way of the room itself": (
        {"values/__init__.py": "from lib.values.checks import held", "values/arrays.py": "from lib.values import held"},
        "values must have no circle: lib.values",
    ),
    "from a room of which nobody knows": ({"cellar/__init__.py": ""}, "cellar must stand in the table of rooms"),
}


def test_a_right_tree_passes(tmp_path: Path) -> None:
    assert faults(written(tmp_path, {})) == []


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_tree_is_found(tmp_path: Path, name: str) -> None:
    changed, sentence = WRONG[name]
    found = faults(written(tmp_path, changed))
    assert len(found) == 1
    assert found[0].startswith(sentence)
