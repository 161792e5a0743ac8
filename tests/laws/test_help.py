"""What `help()` shows is a page that a person can read: it opens with what there is, and then with what it does."""

import importlib
import inspect
import pkgutil
import pydoc
import re
import statistics
from types import ModuleType

import pytest

import nnfunc
from nnfunc import exchange, testing, transforms
from nnfunc.values import types

ROOMS: dict[str, ModuleType] = {"nnfunc": nnfunc, **{room.__name__: room for room in (transforms, exchange, testing)}}
MODULES = ["nnfunc", *(module.name for module in pkgutil.walk_packages(nnfunc.__path__, "nnfunc."))]
PUBLIC = {name: getattr(room, name) for room in ROOMS.values() for name in room.__all__}
FUNCTIONS = [name for name, public in PUBLIC.items() if inspect.isfunction(public)]
ALIASES = [name for name, public in PUBLIC.items() if not inspect.isfunction(public) and not isinstance(public, type)]


def page(thing: object) -> list[str]:
    """Return what `help` shows, as lines without bold letters."""
    return pydoc.plain(pydoc.render_doc(thing)).splitlines()


def described() -> str:
    assert nnfunc.__doc__ is not None
    return nnfunc.__doc__


def functions_by_kind() -> dict[str, list[str]]:
    """Return the table of functions in the package's docstring, by what stands first in a row."""
    found: dict[str, list[str]] = {}
    for line in described().split("All functions by kind", 1)[1].split("There are four kinds", 1)[0].splitlines()[1:]:
        kind, names = re.split(r"\s{2,}", line.removeprefix("    "), maxsplit=1) if line else ("", "")
        kind = kind or list(found)[-1] if names else kind
        found.setdefault(kind, []).extend(re.findall(r"\w+", names))
    return {kind: names for kind, names in found.items() if kind}


def test_the_table_of_functions_has_each_under_its_room() -> None:
    table = functions_by_kind()
    for room, module in ROOMS.items():
        own = [names for kind, names in table.items() if kind == room or (room == "nnfunc" and "." not in kind)]
        listed = [name for names in own for name in names]
        assert set(listed) == {name for name in module.__all__ if inspect.isfunction(getattr(module, name))}
        assert len(listed) == len(set(listed))
    assert len(table) > 20


def test_every_type_is_named_after_the_table() -> None:
    after = described().split("There are four kinds", 1)[1].split("The house", 1)[0]
    assert set(PUBLIC) - set(FUNCTIONS) <= set(re.findall(r"\w+", after))


def test_help_of_the_package_opens_with_the_table_of_functions() -> None:
    lines = page(nnfunc)
    assert lines.index("FUNCTIONS") < 120
    assert next(i for i, line in enumerate(lines) if "init, forward, loss, grads" in line) < 20
    assert "CLASSES" not in lines
    assert max(map(len, lines[: lines.index("FUNCTIONS")])) < 130


def test_names_are_found_by_dir_all_but_the_types_of_reports() -> None:
    hidden = set(nnfunc.__all__) - set(dir(nnfunc))
    assert hidden == {name for name in nnfunc.__all__ if isinstance(getattr(nnfunc, name), type)}
    assert {"__doc__", "__version__", "transforms"} <= set(dir(nnfunc))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_help_of_a_function_opens_with_a_short_signature_and_a_sentence(name: str) -> None:
    _, _, *lines = page(PUBLIC[name])
    signature, sentence, _ = re.split(r"\n    ([A-Z]\S* .{10,})", "\n".join(lines), maxsplit=1)
    assert signature.startswith(f"{name}(")
    assert len(re.sub(r"\s+", " ", signature)) < 720
    assert len(sentence) < 117


def test_signatures_are_short() -> None:
    assert statistics.median(len(str(inspect.signature(PUBLIC[name]))) for name in FUNCTIONS) < 90


@pytest.mark.parametrize("name", MODULES)
def test_help_of_a_module_opens_with_what_it_is_for(name: str) -> None:
    lines = page(importlib.import_module(name))
    assert lines[2] == "NAME"
    assert re.match(rf"    {re.escape(name)} - \S.+", lines[3])


def test_a_line_for_each_type_where_the_types_are() -> None:
    told = re.findall(r"^        (\w+) {2,}\S.+", "\n".join(page(types)), re.MULTILINE)
    assert sorted(told) == sorted(re.findall(r"^(\w+): TypeAlias", inspect.getsource(types), re.MULTILINE))
    assert set(ALIASES) - {"Note"} <= set(told)
