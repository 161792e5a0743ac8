"""A table with text, gaps and numbers: what 344 penguins weigh, with an interval, and which are male, at a stated cost.

Text becomes codes for `embedding`, one of them kept for what training never saw; a gap becomes its column's mean, with
a column beside it that says so. Words, means and scales come from training rows alone. Rows whose target is missing
stay in the table: under a `masked` loss they do not count. Each row is predicted by a network that never saw it. Other
rows that it never saw say how far its intervals must widen, how far it is too sure, and where yes should begin; that
last by too few of them to do as well as the threshold which follows from the costs, where probabilities are right.

    python examples/tabular.py
"""

# %%
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from command_line import HERE

from nnfunc import (
    AnyArray,
    Array,
    Layer,
    LossFn,
    Params,
    Rows,
    adam,
    chain,
    columns,
    concatenate,
    current_params,
    dense,
    embedding,
    finish,
    fit_scaler,
    folds,
    forward,
    init,
    l2,
    masked,
    quantile_loss,
    sigmoid,
    sigmoid_cross_entropy,
    standardize,
    table,
    tanh,
    train,
)

# %%
PENGUINS = HERE / "data" / "penguins.csv"
SIZES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "delta_15_n", "delta_13_c"]
ASKED = 0.8  # the share of rows that an interval is to hold
LEVELS = ((1 - ASKED) / 2, 0.5, (1 + ASKED) / 2)
FALSE_ALARM, MISS = 1.0, 5.0  # what it costs to say yes in error, and no in error


class Encoder(NamedTuple):
    """What training rows tell: the words of each column of text; of numbers means, scales and which have gaps."""

    words: list[AnyArray]
    means: Array
    scaler: Params
    gappy: Rows


class Part(NamedTuple):
    """Columns of a table as they stand: text (n, k), where a gap is a word like others, and numbers (n, m) with NaN."""

    texts: AnyArray
    numbers: Array


# %% The table
def read(path: Path = PENGUINS) -> dict[str, AnyArray]:
    """Return the columns of a CSV file as text, by name."""
    header, *rows = np.loadtxt(path, str, delimiter=",")
    return dict(zip(header.tolist(), np.array(rows).T, strict=True))


def as_numbers(column: AnyArray) -> Array:
    """Return a column of text as numbers, NaN where it says NA."""
    return np.where(column == "NA", "nan", column).astype(np.float64)


# %% Words, gaps and scales
def fit_encoder(part: Part) -> Encoder:
    """Return what rows tell; they must be training rows."""
    gaps = np.isnan(part.numbers)
    means = np.nanmean(part.numbers, axis=0)
    scaler = fit_scaler(np.where(gaps, means, part.numbers))
    return Encoder([np.unique(column) for column in part.texts.T], means, scaler, np.flatnonzero(gaps.any(axis=0)))


def encoded(encoder: Encoder, part: Part) -> Array:
    """Return rows for a network: codes, numbers in units of their spread, and 1 for a gap in a column that had some."""
    gaps = np.isnan(part.numbers)
    codes = [codes_of(words, column) for words, column in zip(encoder.words, part.texts.T, strict=True)]
    numbers = standardize(np.where(gaps, encoder.means, part.numbers), encoder.scaler)
    return np.column_stack([*codes, numbers, gaps[:, encoder.gappy]])


def codes_of(words: AnyArray, column: AnyArray) -> Rows:
    """Return the place of each word of a column among sorted words, and one after the last for what is not there."""
    places = np.minimum(np.searchsorted(words, column), len(words) - 1)
    return np.where(words[places] == column, places, len(words))


# %% The network
def network(encoder: Encoder, outputs: int) -> Layer:
    """Return a network on such rows: two numbers of its own for each word, which start small, beside the numbers."""
    texts, numbers = len(encoder.words), len(encoder.means) + len(encoder.gappy)
    tables = [chain(columns(i, i + 1), embedding(len(words) + 1, 2)) for i, words in enumerate(encoder.words)]
    return chain(
        inputs=concatenate(*tables, numbers=columns(texts, texts + numbers)),
        hidden=dense(2 * texts + numbers, 16, tanh),
        out=dense(16, outputs),
    )


def outputs_of(part: Part, y: AnyArray, rows: Rows, loss_fn: LossFn, outputs: int) -> Array:
    """Fit some rows of a table, and return what the network puts out for all."""
    encoder = fit_encoder(Part(part.texts[rows], part.numbers[rows]))
    x, net = encoded(encoder, part), network(encoder, outputs)
    data = x[rows], y[rows]
    run = train(net, masked(loss_fn), init(net, 0), *data, epochs=60, lr=0.01, optimizer=adam(), penalty=l2(1e-4))
    return forward(net, current_params(finish(run)[0]), x).astype(np.float64)


# %% Intervals
def intervals(part: Part, y: Array, rows: Rows, others: Rows) -> tuple[Array, Array]:
    """Fit quantiles to some rows and return those of all, (n, 3), as they are and with ends as far out as others need.

    Of 1 + n rows that come in any order, each is as likely as the others to be the one that sticks out most; so what
    ``ceil(ASKED (n + 1))`` of n others need holds the next with at least the chance that was asked for.
    Too few others for that leave the ends at infinity.

    Reference:
        Romano, Patterson and Candes 2019, "Conformalized quantile regression".
    """
    middle, spread = np.nanmean(y[rows]), np.nanstd(y[rows])
    targets = ((y - middle) / spread)[:, None]
    found = outputs_of(part, targets, rows, partial(quantile_loss, levels=LEVELS), 3)
    quantiles = np.sort(found, axis=1) * spread + middle  # three outputs of a network may cross
    outside = np.maximum(quantiles[:, 0] - y, y - quantiles[:, 2])[others]
    outside = np.sort(outside[~np.isnan(outside)])
    further = np.append(outside, np.inf)[int(np.ceil(ASKED * (len(outside) + 1))) - 1]
    return quantiles, quantiles + np.array([-further, 0, further])


# %% Probabilities and costs
def temperature(logits: Array, y: Array) -> float:
    """Return the number that logits must be divided by for the least loss on rows that were not fitted.

    Reference:
        Guo, Pleiss, Sun and Weinberger 2017, section 4.2.
    """
    tried = np.geomspace(0.1, 10, 201)
    loss_fn = masked(sigmoid_cross_entropy)
    return float(tried[np.argmin([loss_fn(logits / t, y[:, None])[0].sum() for t in tried])])


def cost(probabilities: Array, y: Array, threshold: float | Array) -> float:
    """Return the mean cost of saying yes from a threshold on, over rows that are known."""
    known = ~np.isnan(y)
    yes = (probabilities >= threshold)[known]
    return float(np.mean(np.where(y[known] == 1, MISS * ~yes, FALSE_ALARM * yes)))


def cheapest_threshold(probabilities: Array, y: Array) -> float:
    """Return the threshold of least cost on rows that were not fitted."""
    tried = np.append(np.unique(probabilities), np.inf)
    return float(tried[np.argmin([cost(probabilities, y, t) for t in tried])])


def probabilities(part: Part, y: Array, rows: Rows, others: Rows) -> tuple[Array, Array, float]:
    """Fit yes and no to some rows; return probabilities of all, bare and corrected by others, and a threshold."""
    logits = outputs_of(part, y[:, None], rows, sigmoid_cross_entropy, 1)
    p, corrected = sigmoid(logits)[:, 0], sigmoid(logits / temperature(logits[others], y[others]))[:, 0]
    return p, corrected, cheapest_threshold(corrected[others], y[others])


def reliability(p: Array, y: Array) -> list[dict[str, object]]:
    """Return for each fifth of [0, 1] how many probabilities are in it, their mean and the share of yes."""
    p, y = p[~np.isnan(y)], y[~np.isnan(y)]
    fifth = np.minimum((5 * p).astype(int), 4)
    return [
        {"from": i / 5, "to": (i + 1) / 5, "rows": int(own.sum()), "said": np.mean(p[own]), "true": np.mean(y[own])}
        for i in range(5)
        if (own := fifth == i).any()
    ]


def three_parts(n: int) -> Iterator[tuple[Rows, Rows, Rows]]:
    """Yield rows to fit, others, and rows held out, five times; every row is held out once."""
    parts = [held for _, held in folds(0, n, 5)]
    for i, held in enumerate(parts):
        yield np.concatenate([parts[i - 2], parts[i - 3], parts[i - 4]]), parts[i - 1], held


# %% What penguins weigh
def weights(penguins: dict[str, AnyArray]) -> dict[str, float]:
    """Print and return the coverage and the mean width of intervals for the weight of penguins that are held out."""
    texts = np.stack([penguins[name] for name in ("species", "island", "clutch_complete", "sex")], axis=1)
    part = Part(texts, np.stack([as_numbers(penguins[name]) for name in SIZES], axis=1))
    y = as_numbers(penguins["body_mass_g"])
    bare, widened = np.zeros((2, len(y), 3))
    for rows, others, held in three_parts(len(y)):
        q, wider = intervals(part, y, rows, others)
        bare[held], widened[held] = q[held], wider[held]
    same = np.broadcast_to(np.nanquantile(y, LEVELS), bare.shape)
    known = ~np.isnan(y)
    result: dict[str, float] = {}
    for name, q in {"as fitted": bare, "widened": widened, "the same for all": same}.items():
        coverage, width = np.mean((q[:, 0] <= y)[known] & (y <= q[:, 2])[known]), np.mean((q[:, 2] - q[:, 0])[known])
        result |= {f"{name}, coverage": float(coverage), f"{name}, width": float(width)}
        print(f"interval {name + ':':17s} {coverage:.1%} of {ASKED:.0%} asked for, {width:.0f} g wide")
    return result


# %% Which are male
def males(penguins: dict[str, AnyArray]) -> dict[str, float]:
    """Print and return whether probabilities of penguins that are held out are right, and what thresholds cost."""
    texts = np.stack([penguins[name] for name in ("species", "island", "clutch_complete")], axis=1)
    part = Part(texts, np.stack([as_numbers(penguins[name]) for name in [*SIZES, "body_mass_g"]], axis=1))
    y = np.where(penguins["sex"] == "NA", np.nan, penguins["sex"] == "male")
    bare, corrected, chosen = np.zeros((3, len(y)))
    for rows, others, held in three_parts(len(y)):
        p, better, start = probabilities(part, y, rows, others)
        bare[held], corrected[held], chosen[held] = p[held], better[held], start
    result = {}
    for name, p in {"as fitted": bare, "corrected": corrected}.items():
        result[f"{name}, loss"] = float(-np.nanmean(np.log(1 - np.abs(y - p))))
        print(f"\nprobabilities {name}: loss {result[name + ', loss']:.3f}\n{table(reliability(p, y))}")
    print(f"\na female called male costs {FALSE_ALARM:g}, a male called female {MISS:g}; the mean with male")
    rule = FALSE_ALARM / (FALSE_ALARM + MISS)  # above it yes is the cheaper answer, where a probability can be believed
    starts: dict[str, float | Array] = {"from a half": 0.5, "as others say": chosen, "as the costs say": rule}
    for name, threshold in starts.items():
        result[name] = cost(corrected, y, threshold)
        print(f"{name + ':':17s} {result[name]:.3f}")
    return result


# %%
def main() -> dict[str, float]:
    """Print and return what came out on held-out rows."""
    penguins = read()
    return weights(penguins) | males(penguins)


# %%
if __name__ == "__main__":
    main()
