"""The public types: mypy --strict accepts right pieces and refuses wrong ones, line by line."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import nnfunc

SNIPPETS = Path(__file__).parent / "snippets"


def mypy(file: Path) -> str:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary", str(file)]
    return subprocess.run(command, capture_output=True, text=True, cwd=SNIPPETS.parent.parent).stdout


def test_right_pieces_are_accepted() -> None:
    assert mypy(SNIPPETS / "accepted.py") == ""


def test_wrong_pieces_are_refused() -> None:
    file = SNIPPETS / "rejected.py"
    wrong = {i for i, line in enumerate(file.read_text().splitlines(), 1) if line.endswith("# error")}
    refused = {int(line) for line in re.findall(r"rejected\.py:(\d+): error", mypy(file))}
    assert refused == wrong


def test_no_class_statement_and_no_escape_from_the_types() -> None:
    for file in Path(nnfunc.__file__).parent.glob("*.py"):
        text = file.read_text()
        assert not any(isinstance(node, ast.ClassDef) for node in ast.walk(ast.parse(text))), file
        assert not re.search(r"# type: ignore|\bcast\(", text), file
