"""The public types: mypy --strict accepts right pieces and refuses wrong ones, line by line."""

import re
import subprocess
import sys
from pathlib import Path

SNIPPETS = Path(__file__).parent / "snippets"


def mypy(file: Path) -> str:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary", str(file)]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2]).stdout


def test_right_pieces_are_accepted() -> None:
    assert mypy(SNIPPETS / "accepted.py") == ""


def test_wrong_pieces_are_refused() -> None:
    file = SNIPPETS / "rejected.py"
    wrong = {i for i, line in enumerate(file.read_text().splitlines(), 1) if line.endswith("# error")}
    refused = {int(line) for line in re.findall(r"rejected\.py:(\d+): error", mypy(file))}
    assert refused == wrong
