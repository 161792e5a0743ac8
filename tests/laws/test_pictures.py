"""The pictures of the examples: they lie there, small and well-formed, and each is made by its example."""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import digits
import drawing
import gradient_checking
import initialisation
import moons
import numpy as np
import pytest
import schedules
import second_order
import silent_nan
import uncertainty

import nnfunc

EXAMPLES = Path(drawing.__file__).parent
MADE_BY = {
    "moons": "moons", "digits": "digits", "initialisation": "initialisation", "gradient_checking": "gradient_checking",
    "schedules": "schedules", "second_order": "second_order", "quantile_band": "uncertainty",
    "reliability": "uncertainty", "silent_nan": "silent_nan",
}  # fmt: skip
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


@pytest.mark.parametrize("example", sorted(set(MADE_BY.values())))
def test_an_example_draws_its_pictures_where_it_is_told_to(example: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    command = [sys.executable, "-W", "error", f"{EXAMPLES / example}.py", "--pictures", f"{tmp_path / 'new'}"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    paths = [tmp_path / "new" / f"{name}.svg" for name in MADE_BY if MADE_BY[name] == example]
    assert [line for line in out.splitlines() if line.startswith("drawn: ")] == [f"drawn: {path}" for path in paths]
    for path in paths:
        ElementTree.fromstring(path.read_text("utf-8"))
        assert path.stat().st_size < 100_000


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, by WCAG 2."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("name", ["INK", "BLUE", "ORANGE", "GREEN", "RED", "VIOLET"])
def test_a_colour_reads_on_white_and_on_dark_pages(name: str) -> None:
    own = luminance(getattr(drawing, name)) + 0.05
    assert 1.05 / own > 3
    assert min(own / (luminance(page) + 0.05) for page in ("#0d1117", "#1e1e1e", "#22272e")) > 3


def test_the_same_drawing_is_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a", "b"):
        schedules.draw(tmp_path / name)
    first, again = ((tmp_path / name / "schedules.svg").read_bytes() for name in ("a", "b"))
    assert first == again


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


def test_the_error_of_a_gradient_check_is_a_v_and_of_a_wrong_gradient_a_line() -> None:
    found, steps = gradient_checking.errors(), gradient_checking.STEPS
    for name, least, low, high in (("float64", 1e-9, 1e-7, 1e-4), ("float32", 1e-4, 1e-4, 1e-2)):
        error = found[name]
        assert low < steps[error.argmin()] < high
        assert error.min() < least < 1e-3 * error[-1] and error[0] > least
        assert error[np.searchsorted(steps, 0.1)] == pytest.approx(100 * error[np.searchsorted(steps, 0.01)], rel=0.5)
    wrong = found["a wrong slope"]
    assert 0.2 < wrong.min() < wrong[:-4].max() < 1.1 * wrong.min()


def test_layers_put_out_nothing_or_only_ends_or_something_between() -> None:
    small, large, glorot = initialisation.histograms().values()
    for shares in (small, large, glorot):
        assert shares.sum(axis=1) == pytest.approx(1)
    middle = small.shape[1] // 2
    assert small[1:, middle].min() > 0.99
    assert (large[:, 0] + large[:, -1]).min() > 0.8
    assert max(glorot[1:, middle].max(), (glorot[1:, 0] + glorot[1:, -1]).max()) < 0.2


def test_the_worst_digits_come_first() -> None:
    right, params = digits.train(0, progress=False)
    x, y, answers, shares = digits.worst(params, 0, 10)
    assert x.shape == (10, 64) and list(shares) == sorted(shares)
    assert 0 < np.sum(y != answers) <= round((1 - right) * 360)
    assert y[0] != answers[0] and shares[0] < 0.1
    colours = digits.coloured(np.array([[-1.0, 0.0, 0.5]]))
    assert colours.shape == (1, 3, 4) and colours[0, :, 3].tolist() == [1, 0, 0.5]


def test_every_schedule_of_the_library_is_shown_with_its_rates() -> None:
    found = schedules.main()
    shown = Path(schedules.__file__).read_text()
    for name in nnfunc.__all__:
        if name.endswith("_schedule") or name in ("exponential_decay", "join_schedules"):
            assert f"{name}(" in shown, name
    at = {
        ("constant", 70): 0.1, ("linear", 50): 0.055, ("polynomial, power 3", 50): 0.0125, ("exponential", 50): 0.025,
        ("exponential, staircase", 49): 0.05, ("piecewise constant", 80): 0.009, ("cosine", 50): 0.05,
        ("warmup, cosine", 15): 0.1, ("cosine, one cycle", 30): 0.1, ("joined, two cosines", 50): 0.05,
    }  # fmt: skip
    assert {place: found[place[0]][place[1]] for place in at} == pytest.approx(at)


def test_the_least_loss_so_far_never_rises() -> None:
    trace = [(0.001 * (i + 1), abs(np.sin(i)) + 1 / (i + 1)) for i in range(1000)]
    seconds, losses = second_order.lowest(trace, points=20)
    assert len(seconds) <= 20 and seconds[-1] == 1.0
    assert (np.diff(losses) <= 0).all() and losses[-1] == min(value for _, value in trace)


def test_a_band_holds_what_it_says_and_a_temperature_mends() -> None:
    (x, y), (new_x, new_y) = uncertainty.data(0, 300), uncertainty.data(1, 2000)
    low, _, high = uncertainty.band(x, y, new_x).T
    assert np.mean((low <= new_y[:, 0]) & (new_y[:, 0] <= high)) == pytest.approx(0.9, abs=0.04)
    t, ((_, before), (_, after)) = uncertainty.mended()
    assert t > 1.5
    assert after < 0.7 * before


def test_reliability_by_hand() -> None:
    rows, gap = uncertainty.reliability(np.array([0.1, 0.3, 0.9, 1.0]), np.array([0, 1, 1, 1]), bins=2)
    assert rows == pytest.approx(np.array([[0.2, 0.5, 2], [0.95, 1.0, 2]]))
    assert gap == pytest.approx(0.175)


def test_nothing_shows_until_the_feature_comes_and_two_steps_later_all_is_lost() -> None:
    found = silent_nan.last_steps()
    before, after = found[: silent_nan.BEFORE], found[silent_nan.BEFORE :]
    assert max(value for row in before for value in row.values()) < 10
    assert after[0]["loss"] > 1e9
    assert not np.isfinite(after[1]["loss"])
    assert all(np.isnan(value) for value in after[-1].values())
