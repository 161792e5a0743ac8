"""Initialisation, measured: how well small networks do on rows held out, from each of several starts.

    python examples/initialisation_study.py [MNIST_DIRECTORY] [--splits 10] [--depths 1 2 6] [--epochs 100]

Each network (64 units in a layer, relu, Adam at 1e-3, 32 rows a batch) trains on standardised columns from the same
splits, so that differences are paired. What is scored is a fifth of the rows, in points of accuracy or of 100 R2: after
all epochs, and from the epoch at which another fifth is fitted best (early stopping). `pip install -e '.[study]'` gives
thirteen tables (scikit-learn eight, palmerpenguins, statsmodels and vega_datasets five), MNIST's test images one more;
without any of them there are the digits that lie beside this file.
"""

# %%
import argparse
import importlib
import importlib.util
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from command_line import given
from digits import load_digits
from idx import read_idx

from nnfunc import (
    AnyArray,
    Array,
    Initializer,
    Layer,
    accuracy,
    adam,
    best_params,
    by_fans,
    chain,
    current_params,
    dense,
    fit_scaler,
    forward,
    glorot_normal,
    glorot_uniform,
    he_normal,
    init,
    lecun_normal,
    mse,
    relu,
    softmax_cross_entropy,
    split_rows,
    standardize,
    train,
    uniform,
    zeros,
)

# %%
Table = tuple[AnyArray, AnyArray, bool]  # x, y, and whether y holds classes
TORCH = by_fans(lambda n_in, n_out: uniform(n_in**-0.5))
SKLEARN = by_fans(lambda n_in, n_out: uniform((6 / (n_in + n_out)) ** 0.5))
SMALL = by_fans(lambda n_in, n_out: uniform(0.1 * (6 / (n_in + n_out)) ** 0.5))
# Of W: the first layer, the other hidden ones, the output; and of every b. The rest are compared with the first scheme.
SCHEMES: dict[str, tuple[Initializer, Initializer, Initializer, Initializer]] = {
    "He": (he_normal, he_normal, glorot_uniform, zeros),
    "He, output x 0.1": (he_normal, he_normal, SMALL, zeros),
    "He, first Glorot": (glorot_uniform, he_normal, glorot_uniform, zeros),
    "Glorot uniform": (glorot_uniform, glorot_uniform, glorot_uniform, zeros),
    "Glorot normal": (glorot_normal, glorot_normal, glorot_normal, zeros),
    "LeCun": (lecun_normal, lecun_normal, lecun_normal, zeros),
    "scikit-learn": (SKLEARN, SKLEARN, SKLEARN, SKLEARN),
    "PyTorch": (TORCH, TORCH, TORCH, TORCH),
}


# %% The tables
def module(name: str) -> Any:
    """Return a package that need not be there, or none."""
    return importlib.import_module(name) if importlib.util.find_spec(name.split(".")[0]) else None


def tables(mnist: Path | None) -> Iterator[tuple[str, Table]]:
    """Yield the tables that are there, by name."""
    yield "digits", (*load_digits(), True)
    if data := module("sklearn.datasets"):
        for name in ("iris", "wine", "breast_cancer", "diabetes"):
            yield name, (*getattr(data, f"load_{name}")(return_X_y=True), name != "diabetes")
        for name, noise in (("friedman1", 1.0), ("friedman2", 100.0), ("friedman3", 0.1)):
            yield name, (*getattr(data, f"make_{name}")(600, noise=noise, random_state=0), False)
    if birds := module("palmerpenguins"):
        found = birds.load_penguins().dropna()
        sizes = found[["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]].to_numpy(float)
        yield "penguins", (sizes, np.unique(found["sex"], return_inverse=True)[1], True)
    if vega := module("vega_datasets"):
        columns = ["Miles_per_Gallon", "Cylinders", "Displacement", "Horsepower", "Weight_in_lbs", "Acceleration"]
        cars = np.array([[car[column] for column in columns] for car in json.loads(vega.data.cars.raw())], float)
        cars = cars[np.isfinite(cars).all(axis=1)]
        yield "cars", (cars[:, 1:], cars[:, 0], False)
    if stats := module("statsmodels.datasets"):
        votes, schools, affairs = (getattr(stats, name).load_pandas() for name in ("anes96", "star98", "fair"))
        yield "anes96", (votes.exog.to_numpy(float), votes.endog.to_numpy(int), True)
        above, below = schools.endog.to_numpy(float).T
        yield "star98", (schools.exog.to_numpy(float), above / (above + below), False)
        yield "fair", (affairs.exog.to_numpy(float)[::6], (affairs.endog.to_numpy(float)[::6] > 0).astype(int), True)
    if mnist is not None:
        images, labels = (read_idx(mnist / f"t10k-{kind}-ubyte.gz")[:1500] for kind in ("images-idx3", "labels-idx1"))
        yield "mnist", (images.reshape(1500, 784), labels.astype(int), True)


# %% The networks
def network(scheme: str, sizes: Sequence[int]) -> Layer:
    """Return a relu network whose first, hidden and output layers start as the scheme says."""
    first, hidden, output, bias = SCHEMES[scheme]
    fans = list(pairwise(sizes))
    inits = [first, *[hidden] * (len(fans) - 2), output]
    end = len(fans) - 1
    return chain(*(dense(*fans[i], relu if i < end else None, w_init=inits[i], b_init=bias) for i in range(end + 1)))


def trained(scheme: str, depth: int, split: int, table: Table, epochs: int) -> list[float]:
    """Return both scores on rows held out, and the standard deviation of the outputs before the first step."""
    x, y, classes = table
    labels = y if classes else None
    rows, test = split_rows((9, split), len(x), 0.2, labels=labels)
    fitted, val = split_rows((8, split), len(rows), 0.2, labels=None if labels is None else labels[rows])
    fit, val = rows[fitted], rows[val]
    x = np.clip(standardize(x, fit_scaler(x[fit])), -10, 10).astype(np.float32)
    if not classes:
        y = ((y - y[fit].mean()) / y[fit].std()).astype(np.float32)[:, None]
    net = network(scheme, [x.shape[1], *[64] * depth, int(y.max()) + 1 if classes else 1])
    start, loss_fn, held_out = init(net, (1, split)), softmax_cross_entropy if classes else mse, (x[val], y[val])
    *_, (state, _) = train(
        net, loss_fn, start, x[fit], y[fit], epochs=epochs, lr=1e-3, optimizer=adam(), key=(2, split), validation=held_out
    )

    def score(outputs: Array) -> float:
        error = np.mean((outputs - y[test]) ** 2) / y[test].var() if not classes else 1 - accuracy(outputs, y[test])
        return float(100 * (1 - error))

    scores = [score(forward(net, params, x[test])) for params in (current_params(state), best_params(state))]
    return [*scores, float(forward(net, start, x[fit]).std())]


# %%
def main(
    mnist: Path | None = None, splits: int = 3, depths: Sequence[int] = (1, 6), epochs: int = 30
) -> dict[tuple[int, str, str], AnyArray]:
    """Print a table for each depth, and return what was measured by depth, table and scheme, a row for each split."""
    found = {}
    known = dict(tables(mnist))
    base = next(iter(SCHEMES))
    for depth in depths:
        print(f"{depth} hidden layers, {splits} splits, {epochs} epochs: {base}'s points, and the others' above it, +- standard error")
        for name, table in known.items():
            for scheme in SCHEMES:
                runs = [trained(scheme, depth, split, table, epochs) for split in range(splits)]
                found[depth, name, scheme] = np.array(runs)
        print(" " * 18 + "".join(f"{name[:13]:>16s}" for name in [*known, "mean"]) + "  outputs at the start")
        for column, kind in enumerate(("all epochs", "early stopping")):
            print(f"  {kind}")
            for scheme in SCHEMES:
                scores, others = ([found[depth, name, s][:, column] for name in known] for s in (scheme, base))
                gains = np.array(scores) - (np.array(others) if scheme != base else 0)
                means, errors = np.mean(gains, axis=1), np.std(gains, axis=1, ddof=1) / splits**0.5
                cells = [*zip(means, errors, strict=True), (means.mean(), np.hypot.reduce(errors) / len(errors))]
                spread = np.mean([found[depth, name, scheme][:, 2].mean() for name in known])
                words = "".join(f"{f'{mean:+.2f} +- {error:.2f}':>16s}" for mean, error in cells)
                print(f"  {scheme:16s}{words}  {spread:.2f}", flush=True)
    return found


# %%
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare initialisations on rows held out.")
    parser.add_argument("mnist", nargs="?", type=Path, help="directory with MNIST's test images, gzipped")
    parser.add_argument("--splits", type=int, default=3, help="paired splits, at least 2 (default 3)")
    parser.add_argument("--depths", type=int, nargs="+", default=[1, 6], help="numbers of hidden layers (default 1 6)")
    parser.add_argument("--epochs", type=int, default=30, help="passes over the training rows (default 30)")
    arguments = parser.parse_args(given())
    if arguments.splits < 2 or min(arguments.depths) < 1 or arguments.epochs < 1:
        sys.exit("initialisation_study: --splits must be at least 2, --depths and --epochs at least 1")
    main(arguments.mnist, arguments.splits, arguments.depths, arguments.epochs)
