"""The pictures of the examples: they lie there, small and well-formed, and each is made by its example."""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import drawing
import moons
import pytest

EXAMPLES = Path(drawing.__file__).parent
MADE_BY = {"moons": "moons"}
"""The examples by the names of their pictures."""


def test_every_picture_is_made_by_an_example_and_every_example_s_is_there() -> None:
    assert sorted(path.name for path in drawing.PICTURES.iterdir()) == sorted(f"{name}.svg" for name in MADE_BY)
    drawers = {path.stem for path in EXAMPLES.glob("*.py") if "picture(directory" in path.read_text()}
    assert drawers == set(MADE_BY.values())


@pytest.mark.parametrize("name", MADE_BY)
def test_a_picture_is_small_and_well_formed_with_words_as_words_and_no_page_behind_it(name: str) -> None:
    path = drawing.PICTURES / f"{name}.svg"
    assert path.stat().st_size < 100_000
    root = ElementTree.fromstring(path.read_text("utf-8"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = " ".join(text for element in root.iter("{http://www.w3.org/2000/svg}text") for text in element.itertext())
    assert len(words) > 20
    page = next(root.iter("{http://www.w3.org/2000/svg}path"))
    assert page.get("style") == "fill: none"
    assert "date" not in path.read_text("utf-8")


@pytest.mark.parametrize("name", MADE_BY)
def test_an_example_draws_its_picture_where_it_is_told_to(name: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    command = [sys.executable, "-W", "error", f"{EXAMPLES / MADE_BY[name]}.py", "--pictures", f"{tmp_path / 'new'}"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    path = tmp_path / "new" / f"{name}.svg"
    assert out.splitlines()[-1] == f"drawn: {path}"
    ElementTree.fromstring(path.read_text("utf-8"))
    assert path.stat().st_size < 100_000


def test_where_to_draw() -> None:
    assert drawing.asked(["moons.py"]) is None
    assert drawing.asked(["ipykernel_launcher.py", "-f", "/tmp/kernel.json"]) is None
    assert drawing.asked(["moons.py", "--pictures"]) == drawing.PICTURES
    assert drawing.asked(["moons.py", "--pictures", "there"]) == Path("there")
    assert drawing.asked(["mnist.py", "digits", "--pictures", "there", "more"]) == Path("there")


def test_places_are_rounded_and_words_are_not() -> None:
    line = '<text x="12.3456" y="7.001">0.0012 of 1.99999</text><path d="M 1.23456 2.5 \nL 0.999 -3.14159"/>'
    short = '<text x="12.35" y="7">0.0012 of 1.99999</text><path d="M 1.23 2.5 \nL 1 -3.14"/>'
    assert drawing.PLACES.sub(drawing.rounded, line) == short


# The numbers behind the pictures


def test_the_best_epoch_lies_between_too_early_and_too_late(capsys: pytest.CaptureFixture[str]) -> None:
    moments, reports = moons.main()
    early, best, last = (reports[epoch - 1] for epoch in moments)
    assert early["loss"] > best["loss"] > 5 * last["loss"]
    validation = [report["validation_loss"] or 0.0 for report in (early, best, last)]
    assert validation[1] == min(report["validation_loss"] or 0.0 for report in reports)
    assert min(validation[0], validation[2]) > 1.5 * validation[1]
    assert best["metrics"]["accuracy"] > 0.92 > last["metrics"]["accuracy"] > early["metrics"]["accuracy"]
    assert capsys.readouterr().out.count("<- best") == 1
