"""The examples are notebooks too: `# %%` begins a cell, and what a cell holds can be run by itself, one after the other."""

import ast
import re
import sys
from pathlib import Path

import command_line
import pytest

EXAMPLES = sorted(path.name for path in command_line.HERE.glob("*.py"))


def cells(text: str) -> list[str]:
    """Return what stands before, between and after the marks."""
    return re.split(r"^# %%.*\n", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_cells_that_compile_and_none_is_empty(name: str) -> None:
    text = (command_line.HERE / name).read_text()
    docstring, *others = cells(text)
    assert len(others) >= 2
    assert docstring.startswith('"""') and docstring.endswith("\n\n")
    for cell in others:
        assert compile(cell, name, "exec").co_code and ast.parse(cell).body
    assert not re.search(r"^[ \t]+# %%|^#%%|^# %%(\S| $)", text, re.MULTILINE)  # editors take other forms for comments


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_last_cell_runs_the_example_and_asks_for_no_file_that_a_notebook_lacks(name: str) -> None:
    text = (command_line.HERE / name).read_text()
    if "__main__" in text:
        assert cells(text)[-1].startswith('if __name__ == "__main__":\n')
        assert "__file__" not in text or name == "benchmark.py"
        assert "parse_args()" not in text and "sys.argv[" not in text


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["examples/mnist.py", "there", "--epochs", "3"], ["there", "--epochs", "3"]),
        (["mnist.py"], []),
        (["/lib/ipykernel_launcher.py", "-f", "/run/kernel-1.json"], []),
        (["/lib/ipykernel_launcher.py", "--f=/run/kernel-1.json"], []),
        (["/lib/colab_kernel_launcher.py", "-f", "/run/kernel-1.json"], []),
        ([""], []),
    ],
)
def test_what_is_said_to_a_kernel_is_not_said_to_the_example(
    words: list[str], found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", words)
    assert command_line.given() == found
    assert Path(command_line.__file__).parent == command_line.HERE
