"""The source of the library: no classes, no ways around the types, nothing left to be done."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import nnfunc
from nnfunc import exchange, testing, transforms

PACKAGE = Path(nnfunc.__file__).parent
FILES = {str(file.relative_to(PACKAGE)): file for file in sorted(PACKAGE.rglob("*.py"))}

MARKS = {
    "TODO": r"\b(TODO|FIXME|XXX)\b",
    "type: ignore": r"#\s*type:\s*ignore",
    "noqa": r"#\s*noqa\b",
}

WRONG = {
    "class": "class Net:\n    pass",
    "class within a function": "def f() -> None:\n    class Net:\n        pass",
    "type: ignore": "x: int = 'a'  # type: ignore[assignment]",
    "noqa": "import os  # noqa: F401",
    "cast": "from typing import cast\nx = cast(int, 'a')",
    "cast by another name": "from typing import cast as held",
    "cast of the module": "import typing\nx = typing.cast(int, 'a')",
    "Any as an argument": "from typing import Any\ndef f(x: Any) -> int: ...",
    "Any as an option": "from typing import Any\ndef f(*, x: Any = None) -> int: ...",
    "Any as the rest": "from typing import Any\ndef f(*args: Any) -> int: ...",
    "Any by keyword": "from typing import Any\ndef f(**args: Any) -> int: ...",
    "Any as the result": "from typing import Any\ndef f() -> Any: ...",
    "Any within": "from typing import Any\ndef f(x: dict[str, Any]) -> int: ...",
    "Any of the module": "import typing\ndef f(x: typing.Any) -> int: ...",
    "Any in quotes": "from typing import Any\ndef f(x: 'list[Any]') -> int: ...",
    "no type at all": "def f(x) -> int: ...",
    "TODO": "x = 1  # TODO: more",
}

RIGHT = {
    "an alias": "from typing import Any\nfrom numpy.typing import NDArray\nAnyArray = NDArray[Any]",
    "a private function": "from typing import Any\ndef _f(x: Any) -> Any: ...",
    "a word in a docstring": 'def f(x: object) -> int:\n    """Any value; a class of cast iron."""\n    return 1',
    "a local name": "from typing import Any\ndef f(x: object) -> int:\n    y: Any = x\n    return int(y)",
}


def names(node: ast.AST | None) -> Iterator[str]:
    """Yield the names in an expression, those in quoted annotations and after a dot among them."""
    for part in ast.walk(node) if node else ():
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield from re.findall(r"\w+", part.value)


def faults(text: str) -> list[str]:
    """Return what the text of a module has that no module may have."""
    found = [mark for mark, pattern in MARKS.items() if re.search(pattern, text)]
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            found.append(f"class {node.name}")
        elif isinstance(node, ast.Attribute) and node.attr == "cast":
            found.append("cast")
        elif isinstance(node, ast.ImportFrom) and any(alias.name == "cast" for alias in node.names):
            found.append("cast")
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and not function.name.startswith("_"):
            given = function.args
            every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            types = [*(a.annotation for a in every if a is not None), function.returns]
            if None in types or "Any" in [name for each in types for name in names(each)]:
                found.append(f"signature of {function.name}")
    return found


@pytest.mark.parametrize("name", FILES)
def test_no_file_of_the_library_has_a_fault(name: str) -> None:
    assert faults(FILES[name].read_text()) == []


def test_files_of_subpackages_are_among_those_tried() -> None:
    assert "__init__.py" in FILES
    assert any(name.startswith("testing/") for name in FILES)


@pytest.mark.parametrize("name", WRONG)
def test_each_fault_is_found(name: str) -> None:
    assert len(faults(WRONG[name])) == 1


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_no_fault_passes(name: str) -> None:
    assert faults(RIGHT[name]) == []


PUBLIC = {name: getattr(room, name) for room in (nnfunc, transforms, exchange, testing) for name in room.__all__}


FUNCTIONS = [name for name, public in PUBLIC.items() if inspect.isfunction(public)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_shows_an_example_that_runs(name: str) -> None:
    assert "\n    Example:\n        >>> " in (PUBLIC[name].__doc__ or "")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_help_opens_with_names_of_types_and_not_with_what_they_are_made_of(name: str) -> None:
    shown = str(inspect.signature(PUBLIC[name]))
    assert "ndarray" not in shown
    assert len(shown) < 900
