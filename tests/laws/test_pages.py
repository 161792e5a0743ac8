"""The README and the gallery: their code runs and prints what is shown, nothing in them is lost, long or said twice."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import silent_nan

from nnfunc import chain, dense, forward, init, loss, softmax_cross_entropy
from nnfunc.testing import check_activation

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
GALLERY = (ROOT / "examples" / "README.md").read_text()
PAGES = {"README.md": README, "examples/README.md": GALLERY}
BENCHMARK = ROOT / "examples" / "benchmarks" / "README.md"

FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[str]:
    return [block for name, block in FENCED.findall(README) if name == language]


@pytest.mark.parametrize("page", PAGES)
def test_code_prints_what_its_page_says(
    page: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    printed, compared = "", 0
    for language, block in FENCED.findall(PAGES[page]):
        if language == "python":
            assert not printed, f"nothing shows what this prints: {printed}"
            exec(block, names)
            printed = capsys.readouterr().out
        elif printed:
            assert_alike(printed.splitlines(), block.splitlines())
            printed, compared = "", compared + 1
    assert not printed, f"nothing shows what this prints: {printed}"
    assert compared >= 2


def assert_alike(printed: list[str], shown: list[str]) -> None:
    """Compare word by word; numbers may differ by what another machine's rounding does in training."""
    if "..." in shown:
        gap = shown.index("...")
        shown = shown[:gap] + printed[gap : len(printed) - len(shown) + gap + 1] + shown[gap + 1 :]
    assert len(printed) == len(shown)
    for got, want in zip(printed, shown, strict=True):
        for word, other in zip(got.split(), want.split(), strict=True):
            assert word == other or float(word) == pytest.approx(float(other), rel=0.02, abs=0.01), (got, want)


def test_the_comparison_with_a_page_can_fail() -> None:
    for wrong in (["epoch 1 0.60"], ["step 1 0.5"], ["epoch 1"], ["epoch 1 0.5", "epoch 2 0.4"]):
        with pytest.raises((AssertionError, ValueError)):
            assert_alike(wrong, ["epoch 1 0.5"])


def test_readme_has_the_two_set_up_commands() -> None:
    run, prove = blocks("sh")
    assert "examples/digits.py" in run
    assert "mypy" in prove
    assert "pytest" in prove


def test_messages_in_the_readme_are_those_that_are_raised() -> None:
    net = chain(hidden=dense(64, 32), out=dense(32, 10))
    x, params = np.ones((3, 64)), init(net, 0)
    with pytest.raises(ValueError, match="hidden/x") as shapes:
        forward(net, params, np.ones((5, 10)))
    with pytest.raises(ValueError, match="classes") as classes:
        loss(net, softmax_cross_entropy, params, x, [1, 2, 10])
    with pytest.raises(AssertionError) as slope:
        check_activation(lambda z: (z + np.hypot(z, 2)) / 2, lambda z: (2 + z / np.hypot(z, 2)) / 2)
    for error in (shapes, classes):
        assert f"\n{error.value}\n" in README
    assert "\n".join(str(slope.value).splitlines()[:3]) in README


def test_the_message_of_a_run_that_fails_is_that_of_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers in it are those of one machine."""
    message = silent_nan.main()[1]
    assert capsys.readouterr()
    kinds = partial(re.sub, r"\d[\d.e+]*", "N")
    assert kinds(message) in [kinds(block.rstrip()) for block in blocks("text")]


# What is bounded


def prose(text: str) -> str:
    """Return what is read as sentences: no code, no tables, no headings; code within a line is one word."""
    text = re.sub(r"`[^`]*`", "code", FENCED.sub("\n\n", text))
    return "\n".join("" if line.startswith(("|", "#", "![")) else line for line in text.splitlines())


def test_the_readme_is_short() -> None:
    assert len(README.encode()) <= 12 * 1024


def test_no_sentence_of_the_readme_is_long() -> None:
    found = [part for part in re.split(r"[.!?]\**(?=\s|$)|\n\s*\n|\n- ", prose(README)) if part.strip()]
    assert len(found) > 40
    for sentence in found:
        assert len(sentence.split()) <= 35, sentence


def anchors(path: Path) -> list[str]:
    """Return what GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", path.read_text()), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", ["README.md", "examples/README.md", "examples/benchmarks/README.md", "examples/data/README.md"])
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", path.read_text())):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            there = path.parent / name if name else path
            assert there.exists(), target
            assert not anchor or anchor in anchors(there), target


def test_pictures_are_described() -> None:
    for text in PAGES.values():
        for words in re.findall(r"!\[([^\]]*)\]\(", text):
            assert len(words.split()) >= 8, words


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_exist(page: str) -> None:
    for name in re.findall(r"`((?:examples|nnfunc)/[\w/.]+)`", PAGES[page]):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`(\w+\.py)`", PAGES[page]):
        assert name in {path.name for path in ROOT.glob("*/**/*.py")} | {"predict.py"}, name


def test_figures_of_speed_in_the_readme_are_those_of_the_benchmark() -> None:
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in BENCHMARK.read_text().splitlines()]
    start, end = (README.index(heading) for heading in ("\n## Speed", "\n## What it is not"))
    rows = [line.strip("|").split("|") for line in README[start:end].splitlines() if re.match(r"\| \d", line)]
    assert len(rows) >= 5
    for row in rows:
        figures = [cell.strip() for cell in row[2:]]
        assert any(set(figures) <= set(line) for line in cells), row


def test_the_cold_start_in_the_readme_is_that_of_the_benchmark() -> None:
    row = next(line for line in README.splitlines() if line.startswith("| start and"))
    section = BENCHMARK.read_text().partition("### E. ")[2].partition("### ")[0]
    figures = re.findall(r"[\d.]+", row)
    assert len(figures) == 8
    assert set(figures) <= set(re.findall(r"\d+(?:\.\d+)?", section))
def test_every_example_is_in_the_gallery() -> None:
    examples = {path.name for path in (ROOT / "examples").glob("*.py")}
    recipes = {f"recipes/{path.name}" for path in (ROOT / "examples" / "recipes").glob("[!_]*.py") if "test_" not in path.name}
    linked = set(re.findall(r"\]\(([\w/]+\.py)\)", GALLERY))
    assert examples | recipes == linked


def test_every_picture_is_in_the_gallery() -> None:
    pictures = {f"pictures/{path.name}" for path in (ROOT / "examples" / "pictures").glob("*.svg")}
    assert pictures == set(re.findall(r"\]\((pictures/\w+\.svg)\)", GALLERY))


