"""Overfitting a tiny batch: sound networks do, broken ones do not."""

import re
from functools import partial

import numpy as np
import pytest

from nnfunc import (
    AnyArray,
    Array,
    Layer,
    LossFn,
    activation,
    adam,
    batch_norm,
    chain,
    dense,
    dropout,
    fit_scaler,
    huber,
    init,
    mae,
    masked,
    mlp,
    mse,
    overfit_check,
    quantile_loss,
    relu,
    sgd,
    softmax_cross_entropy,
    standardize,
    tanh,
)
from tests.numeric import bad
from tests.samples import ASKS, BN, CE, NET, P, X, Y
from tests.sentences import Cases, assert_sentence

INPUTS: Array = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
CLASSES: AnyArray = (INPUTS[:, 0] + INPUTS[:, 1] ** 2 > 0.5).astype(int)
NOISY = chain(hidden=dense(4, 8, relu), noise=dropout(0.2), out=dense(8, 2))
NOISY_P = init(NOISY, 0)
SOUND: dict[str, Layer] = {
    "dropout": chain(dense(4, 32, relu), dropout(0.2), dense(32, 2)),
    "batch norm": chain(hidden=dense(4, 8), norm=batch_norm(8), act=activation(relu), out=dense(8, 2)),
    "tanh": chain(dense(4, 16, tanh), dense(16, 2)),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_networks_fit_a_tiny_batch(name: str) -> None:
    net = SOUND[name]
    found = overfit_check(net, CE, init(net, 0), INPUTS, CLASSES)
    assert found["verdict"] == "fits", found
    assert found["last_loss"] <= found["target"] == pytest.approx(0.01 * found["first_loss"])
    assert found["rows"] == 16


UNSCALED: dict[str, LossFn] = {
    "mse": mse, "mae": mae, "huber": huber, "quantiles": partial(quantile_loss, levels=(0.1, 0.5, 0.9)),
    "masked": masked(mse), "of one's own": lambda outputs, y: mse(outputs, y),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSCALED)
@pytest.mark.parametrize("size", [1e2, 1e6])
def test_targets_far_from_outputs_are_named_and_the_advice_works(name: str, size: float) -> None:
    net = mlp([4, 32, 3 if name == "quantiles" else 1])
    y = (3 + INPUTS[:, :1]) * size
    params = init(net, 0)
    found = overfit_check(net, UNSCALED[name], params, INPUTS, y, steps=200)
    assert found["verdict"] == "does not fit"
    named = re.search(r": target scale: y reaches .*, the outputs .*; train on standardize\(y, fit_scaler\(y\)\)", found["text"])
    assert bool(named) == (name != "of one's own")
    scaled = overfit_check(net, UNSCALED[name], params, INPUTS, standardize(y, fit_scaler(y)), target=0.1)
    assert scaled["verdict"] == "fits", scaled


def test_targets_far_from_outputs_are_named_where_the_loss_overflows() -> None:
    net, y = dense(4, 1), INPUTS[:, :1] * np.float32(1e9)
    found = overfit_check(net, mse, init(net, 0), INPUTS, y, optimizer=sgd(), lr=1e9)
    assert "target scale: y reaches" in found["text"], found["text"]


def test_what_is_broken_does_not_fit() -> None:
    def wrong_sign(outputs: Array, y: AnyArray) -> tuple[Array, Array]:
        per_example, d = CE(outputs, y)
        return per_example, -d

    found = overfit_check(NOISY, wrong_sign, NOISY_P, INPUTS, CLASSES)
    assert (found["verdict"], "check_grads" in found["text"]) == ("does not fit", True)
    found = overfit_check(NOISY, CE, NOISY_P, np.ones((10, 4)), CLASSES[:10])
    assert (found["verdict"], "equal inputs" in found["text"]) == ("does not fit", True)
    zeros = {name: np.zeros_like(a) for name, a in NOISY_P.items()}
    found = overfit_check(NOISY, CE, zeros, INPUTS, CLASSES)
    assert (found["verdict"], "no gradient reaches hidden/W" in found["text"]) == ("does not fit", True)
    found = overfit_check(dense(4, 2), mse, init(dense(4, 2), 0), INPUTS, INPUTS[:, :2], lr=1e30, optimizer=sgd())
    assert (found["verdict"], "lower the learning rate" in found["text"]) == ("does not fit", True)


BAD: Cases = {
    "no rows": (
        lambda: overfit_check(NET, CE, P, X, Y, rows=0),
        ValueError,
        r"overfit_check: rows must be at least 1, got 0",
    ),
    "learning rate below 0": (
        lambda: overfit_check(NET, CE, P, X, Y, lr=-1),
        ValueError,
        r"overfit_check: lr must be above 0, got -1.0",
    ),
    "learning rate of 0": (
        lambda: overfit_check(NET, CE, P, X, Y, lr=0),
        ValueError,
        r"overfit_check: lr must be above 0, got 0.0",
    ),
    "optimiser not built": (
        lambda: overfit_check(NET, CE, P, X, Y, optimizer=bad(adam)),
        TypeError,
        r"overfit_check: optimizer must be a pair of functions \(init, step\), as adam\(\.\.\.\) is, got the function adam",
    ),
    "loss that falls below 0": (
        lambda: overfit_check(NET, lambda o, y: (o[:, 0] - 9, o), P, X, Y),
        ValueError,
        r"overfit_check: target must be given where the loss can fall below 0, got none; the loss starts at -.*",
    ),
    "x nan": (
        lambda: overfit_check(BN, mse, init(BN, 0), X * np.nan, X),
        FloatingPointError,
        r"calibrate: x must be finite, got nan .*",
    ),
    "layer that asks for a missing param": (
        lambda: overfit_check(ASKS, mse, {}, X, X),
        ValueError,
        r"calibrate: params\['s'\] must be there, got only \[\]",
    ),
    "too few targets": (
        lambda: overfit_check(NET, CE, P, X, Y[:2]),
        ValueError,
        r"overfit_check: y must have one target for each of the 5 rows .*",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])


@pytest.mark.parametrize("loss_fn", [softmax_cross_entropy, mse])
def test_columns_of_very_different_sizes_are_named_whatever_comes_of_it(loss_fn: LossFn) -> None:
    draw = np.random.default_rng(0)
    x = np.stack([draw.normal(mean, 5, 30) for mean in (44, 17, 200, 4200)], axis=1).astype(np.float32)
    y = draw.integers(0, 3, 30) if loss_fn is softmax_cross_entropy else draw.normal(size=(30, 3))
    net = mlp([4, 16, 3])
    found = overfit_check(net, loss_fn, init(net, 0), x, y, key=0)
    assert re.search(r"input scale: column 3 of x reaches 4.2.*, a usual one [\d.]+; standardize it", found["text"]), found
    scaled = overfit_check(net, loss_fn, init(net, 0), standardize(x, fit_scaler(x)), y, key=0)
    assert "input scale" not in scaled["text"]
