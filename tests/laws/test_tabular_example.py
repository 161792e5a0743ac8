"""The table with text and gaps: by hand, on penguins, and on rows whose true quantiles and probabilities are known."""

from statistics import NormalDist

import numpy as np
import pytest
import tabular
from tabular import Part

from nnfunc import Array, sigmoid
from tests.numeric import same_bits

KINDS = np.array(["a", "b", "c"])
N, FITTED, OTHERS = 6000, np.arange(3000), np.arange(3000, 4000)
HELD = np.arange(4000, N - 50)


def known_rows() -> tuple[Part, Array, Array]:
    """Draw rows of three kinds, the last of a fourth, and a size with gaps; return the middle and spread of targets."""
    draw = np.random.default_rng(0)
    kind, size = draw.integers(0, 3, N), draw.uniform(-1, 1, N)
    middle, spread = np.array([0.0, 3.0, -2.0])[kind] + 2 * size, np.array([0.5, 1.0, 2.0])[kind]
    texts, numbers = KINDS[kind][:, None], np.where(draw.random(N) < 0.1, np.nan, size)[:, None]
    texts[-50:] = "z"
    return Part(texts, numbers), middle, spread


def test_penguins(capsys: pytest.CaptureFixture[str]) -> None:
    found = tabular.main()
    assert found["as fitted, coverage"] < found["widened, coverage"] == pytest.approx(tabular.ASKED, abs=0.05)
    assert found["widened, width"] < 0.45 * found["the same for all, width"]
    assert found["corrected, loss"] < found["as fitted, loss"] < np.log(2) / 2
    assert max(found["as the costs say"], found["as others say"]) < found["from a half"]
    assert len(capsys.readouterr().out.splitlines()) > 20


def test_the_table_is_read_as_it_stands() -> None:
    table = tabular.read()
    assert [table[name][3] for name in ("species", "sex", "body_mass_g")] == ["Adelie", "NA", "NA"]
    numbers = {name: tabular.as_numbers(table[name]) for name in [*tabular.SIZES, "body_mass_g"]}
    assert {name: int(np.isnan(a).sum()) for name, a in numbers.items()} == {
        "bill_length_mm": 2, "bill_depth_mm": 2, "flipper_length_mm": 2, "body_mass_g": 2,
        "delta_15_n": 14, "delta_13_c": 13,
    }  # fmt: skip
    assert len(table["sex"]) == 344
    assert np.nanmean(numbers["body_mass_g"]) == pytest.approx(4201.754, abs=1e-3)  # as palmerpenguins has it


def test_rows_are_encoded_by_what_training_rows_tell() -> None:
    rows = Part(np.array([["b"], ["a"], ["b"]]), np.array([[1.0, 5.0], [np.nan, 5.0], [3.0, 5.0]]))
    encoder = tabular.fit_encoder(rows)
    numbers = np.array([[2.0, 5.0], [np.nan, 5.0], [4.0, np.nan], [2.0, 5.0]])
    new = Part(np.array([["a"], ["b"], ["never seen"], ["0"]]), numbers)
    unit = (2 / 3) ** 0.5  # of 1, 2 and 3, as the gap stands for the mean
    assert np.allclose(tabular.encoded(encoder, new), [[0, 0, 0, 0], [1, 0, 0, 1], [2, 2 / unit, 0, 0], [2, 0, 0, 0]])


def test_intervals_are_where_the_true_quantiles_are() -> None:
    part, middle, spread = known_rows()
    y = middle + spread * np.random.default_rng(1).normal(size=N)
    y[::50] = np.nan  # targets that are missing
    _, found = tabular.intervals(part, y, FITTED, OTHERS)
    true = middle[:, None] + spread[:, None] * np.array([NormalDist().inv_cdf(level) for level in tabular.LEVELS])
    gap = np.isnan(part.numbers[HELD, 0])
    plain, lacking = HELD[~gap], HELD[gap]
    assert np.mean(np.abs(found - true)[plain] / spread[plain, None]) < 0.15
    inside = (found[:, 0] <= y) & (y <= found[:, 2])
    wide = found[:, 2] - found[:, 0]
    assert np.mean(wide[lacking]) > 1.2 * np.mean(wide[plain])
    for rows in (plain, lacking):
        assert np.mean(inside[rows][~np.isnan(y[rows])]) == pytest.approx(tabular.ASKED, abs=0.06)
    assert np.mean(inside[OTHERS][~np.isnan(y[OTHERS])]) >= tabular.ASKED
    assert np.isfinite(found).all()


def test_too_few_others_promise_nothing() -> None:
    part, middle, _ = known_rows()
    _, found = tabular.intervals(part, middle, np.arange(60), np.arange(60, 63))  # 4 of 5 rows would take 4 others
    assert np.array_equal(np.isinf(found[0]), [True, False, True])
    assert np.isfinite(tabular.intervals(part, middle, np.arange(60), np.arange(60, 64))[1]).all()


def test_probabilities_and_costs_are_nearly_the_true_ones() -> None:
    part, middle, _ = known_rows()
    true = sigmoid(middle)
    y = (np.random.default_rng(1).random(N) < true).astype(float)
    y[::50] = np.nan
    _, found, start = tabular.probabilities(part, y, FITTED, OTHERS)
    plain = HELD[~np.isnan(part.numbers[HELD, 0])]
    assert np.mean(np.abs(found - true)[plain]) < 0.05
    rule = tabular.FALSE_ALARM / (tabular.FALSE_ALARM + tabular.MISS)
    assert start == pytest.approx(rule, abs=0.1)
    best, chosen, half = (tabular.cost(p[plain], y[plain], t) for p, t in ((true, rule), (found, start), (found, 0.5)))
    assert best - 0.01 < chosen < 1.15 * best < half


def test_what_is_held_out_has_no_part_in_the_fit() -> None:
    part, middle, _ = known_rows()
    rows, others, held = np.arange(60), np.arange(60, 90), np.arange(90, 120)
    small, y = Part(part.texts[:120], part.numbers[:120]), middle[:120]
    texts, numbers, other_y = small.texts.copy(), small.numbers.copy(), y.copy()
    texts[held], numbers[held], other_y[held] = "elsewhere", 1e3, -1e3
    one = tabular.intervals(small, y, rows, others)
    other = tabular.intervals(Part(texts, numbers), other_y, rows, others)
    for a, b in zip(one, other, strict=True):
        assert same_bits(a[:90], b[:90])
        assert not np.array_equal(a[90:], b[90:])


def test_logits_three_times_too_large_are_divided_by_three() -> None:
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 2, (20000, 1))
    y = (draw.random(20000) < sigmoid(logits)[:, 0]).astype(float)
    assert tabular.temperature(3 * logits, y) == pytest.approx(3, rel=0.05)


def test_costs_thresholds_and_shares_by_hand() -> None:
    p, y = np.array([0.1, 0.3, 0.35, 0.9, 0.5]), np.array([0.0, 1.0, 0.0, 1.0, np.nan])
    assert tabular.cost(p, y, 0.5) == 5 / 4  # one male missed
    assert tabular.cost(p, y, 0.0) == 2 / 4  # two false alarms
    assert tabular.cheapest_threshold(p, y) == 0.3
    rows = tabular.reliability(p, y)
    assert [(row["from"], row["rows"], row["true"]) for row in rows] == [(0, 1, 0), (0.2, 2, 0.5), (0.8, 1, 1)]
    assert rows[1]["said"] == pytest.approx(0.325)
