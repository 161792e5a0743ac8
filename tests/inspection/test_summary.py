"""Summaries counted by hand, and what they refuse."""

import numpy as np
import pytest

from nnfunc import (
    Array,
    InputGradient,
    Key,
    Layer,
    Params,
    Pullback,
    activation,
    chain,
    columns,
    combine,
    concatenate,
    dense,
    dropout,
    init,
    layer_norm,
    relu,
    softmax,
    summary,
    table,
)
from tests.inspection.deep import DEEP, DEEP_P
from recipes.branches import product
from tests.layers import bare, shared
from tests.numeric import bad
from tests.samples import AFFINE, BN, BNP, MISFIT, NET, P, X
from tests.sentences import Cases, assert_sentence


def doubled() -> Layer:
    def twice(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {}, lambda: 2 * dy

        return 2 * x, pullback

    return bare(twice)


def test_summary_counted_by_hand() -> None:
    rows = summary(DEEP, DEEP_P)
    assert [row["layer"] for row in rows] == ["hidden", "norm", "skip/0", "skip/1", "skip", "out", "total"]
    assert [row["kind"] for row in rows[:-1]] == [
        "dense relu", "batch norm", "dense tanh", "dropout 0.5", "residual", "dense"
    ]  # fmt: skip
    assert [(row["in"], row["out"]) for row in rows] == [(3, 4), (4, 4), (4, 4), (4, 4), (4, 4), (4, 2), (3, 2)]
    assert [row["parameters"] for row in rows] == [16, 8, 20, 0, 0, 10, 54]
    assert [row["bytes"] for row in rows] == [64, 32, 80, 0, 0, 40, 216]
    # 3 x 4 products and 3 x 4 sums, 4 relus; 4 per value; 16 + 16 + 4; none; 4 sums; 8 + 8
    assert [row["operations"] for row in rows] == [28, 16, 36, 0, 4, 16, 100]
    assert rows[0]["shapes"] == "W (3, 4), b (4)"
    assert sum(a.size for a in DEEP_P.values()) == 54


def test_summary_of_a_network_alone_and_of_what_a_row_shows() -> None:
    norms = {"norm/mean", "norm/var"}
    fresh = summary(DEEP, {name: a for name, a in DEEP_P.items() if name not in norms})
    assert summary(DEEP) == fresh
    net = chain(
        both=concatenate(columns(0, 2), tall=chain(dense(5, 4, bias=False), doubled())), pair=combine(product, doubled(), doubled())
    )
    rows = {row["layer"]: row for row in summary(net)}
    assert [(row["in"], row["out"]) for row in rows.values()] == [
        (None, 2), (5, 4), (4, None), (None, None), (None, None), (None, None), (None, None), (5, None)
    ]  # fmt: skip
    assert (rows["both/tall/0"]["parameters"], rows["both/tall/0"]["operations"]) == (20, 36)  # 20 products, 16 sums
    assert rows["pair"]["kind"] == "product"
    seen = {row["layer"]: (row["in"], row["out"]) for row in summary(net, None, np.ones((1, 5)))}
    assert seen == {
        "both/0": (5, 2), "both/tall/0": (5, 4), "both/tall/1": (4, 4), "both": (5, 6), "pair/0": (6, 6), "pair/1": (6, 6),
        "pair": (6, 6), "total": (5, 6),
    }  # fmt: skip
    twice = combine(shared, tower=dense(2, 3))
    assert [summary(twice, None, x)[-1]["in"] for x in (None, np.zeros((1, 4)))] == [None, 4]
    assert summary(concatenate(columns(0, 1), chain(dense(5, 2))))[-1]["in"] == 5
    shown = summary(DEEP, None, np.ones((1, 3)))  # never calibrated, as only shapes count
    assert shown == summary(DEEP)


def test_summary_says_what_it_does_not_know() -> None:
    net = chain(dense(2, 3), doubled(), dense(3, 1), layer_norm(1), activation(softmax))
    rows = summary(net, init(net, 0, np.float64))
    assert [(row["kind"], row["in"], row["out"]) for row in rows[1:3]] == [("twice", 3, None), ("dense", 3, 1)]
    assert rows[1]["operations"] is rows[-1]["operations"] is None
    assert rows[-1]["bytes"] == 8 * (9 + 4 + 2)
    lines = table(rows).splitlines()
    assert lines[0].split() == ["layer", "kind", "in", "out", "shapes", "parameters", "bytes", "operations"]
    assert len({len(line) for line in lines if line[-1] != " "}) == 1
    assert summary(dense(2, 3, (np.sin, np.cos)), init(dense(2, 3), 0))[0]["kind"] == "dense sin"


BAD: Cases = {
    "rows too narrow": (
        lambda: summary(NET, P, X[:, :3]), ValueError, r"dense: hidden/x must have shape \(rows, 4\), got \(5, 3\)"
    ),
    "params of another network": (
        lambda: summary(NET, AFFINE),
        ValueError,
        r"summary: a/W must belong to one of the network's layers, got hidden, out",
    ),
    "net a function": (lambda: summary(bad(relu), P), TypeError, r"summary: net must be a pair of functions .*"),
    "no params": (lambda: summary(NET, {}), ValueError, r"dense: hidden/W must be in params, got only \[\]"),
    "weights of another shape": (
        lambda: summary(NET, {**P, "out/W": X}),
        ValueError,
        r"dense: out/W must have shape \(3, 2\), got \(5, 4\)",
    ),
    "a name too many": (lambda: summary(NET, {**P, "out/c": X}), ValueError, r"dense: out/c must not be in params.*"),
    "a name too many for one layer": (
        lambda: summary(dense(4, 3), {**init(dense(4, 3), 0), "c": X}),
        ValueError,
        r"dense: c must not be in params.*",
    ),
    "params for an activation": (
        lambda: summary(chain(a=activation(relu)), {"a/c": X}),
        ValueError,
        r"activation: a/c must not be in params.*",
    ),
    "params for dropout": (
        lambda: summary(chain(a=dropout(0.5)), {"a/c": X}),
        ValueError,
        r"dropout: a/c must not be in params.*",
    ),
    "statistic of another shape": (
        lambda: summary(BN, {**BNP, "n/var": X}),
        ValueError,
        r"batch_norm: n/var must have shape \(4,\), got \(5, 4\)",
    ),
    "a name too many within a residual": (
        lambda: summary(MISFIT, {**init(MISFIT, 0), "a/c": X}),
        ValueError,
        r"summary: a/c must belong to one of the network's layers, got a/0, a/1",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
