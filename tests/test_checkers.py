"""The checkers: every piece of the library passes, every seeded bug is caught, right pieces written oddly are not."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import nnfunc
from nnfunc import (
    AnyArray,
    Array,
    accuracy,
    activation,
    adagrad,
    adam,
    adamw,
    batch_norm,
    binary_cross_entropy,
    chain,
    clip_by_global_norm,
    clip_by_value,
    constant,
    constant_schedule,
    cosine_decay_schedule,
    cosine_onecycle_schedule,
    cross_entropy,
    dense,
    dropout,
    early_stopping,
    elu,
    exponential_decay,
    gelu,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    huber,
    init,
    join_schedules,
    l1,
    l2,
    layer_norm,
    leaky_relu,
    lecun_normal,
    linear_schedule,
    log_softmax,
    mae,
    mlp,
    momentum,
    mse,
    normal,
    piecewise_constant_schedule,
    polynomial_schedule,
    reduce_on_plateau,
    relu,
    residual,
    rmsprop,
    sgd,
    sigmoid,
    sigmoid_cross_entropy,
    silu,
    softmax,
    softmax_cross_entropy,
    softplus,
    tanh,
    warmup_cosine_decay_schedule,
    zeros,
)
from nnfunc.testing import (
    check_activation,
    check_initializer,
    check_layer,
    check_loss,
    check_metric,
    check_monitor,
    check_optimizer,
    check_penalty,
    check_pure,
    check_schedule,
    check_transform,
)
from tests.pieces.bugs import BUGS
from tests.pieces.makers import CLASSES, LOGITS, PROBABILITIES, TARGETS, VALUES, X
from tests.pieces.oddities import ODDITIES

YES: Array = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
SOFT: Array = np.array([[0.5, 0.5], [0.1, 0.9], [1.0, 0.0]])
NOISY_NET = chain(dense(3, 4), batch_norm(4), activation(relu), dropout(0.5), residual(dense(4, 4, gelu)), dense(4, 2))

# The check, or checks, of every public piece.
PIECES: dict[str, list[Callable[[], object]]] = {
    **{
        f.__name__: [partial(check_activation, f), partial(check_layer, dense(3, 2, f), X)]
        for f in (relu, leaky_relu, elu, sigmoid, tanh, softmax, log_softmax, softplus, silu, gelu)
    },
    "activation": [lambda: check_layer(activation((np.sin, np.cos)), X)],
    "dense": [lambda: check_layer(dense(3, 2), X), lambda: check_layer(dense(3, 1), X[:1])],
    "dropout": [lambda: check_layer(dropout(0.3), X, noise=True), lambda: check_layer(dropout(0), X, noise=False)],
    "layer_norm": [lambda: check_layer(layer_norm(3), X)],
    "batch_norm": [
        lambda: check_layer(batch_norm(3), X),
        lambda: check_layer(batch_norm(3), X, params=init(batch_norm(3), 0), inference=False),
    ],
    "residual": [lambda: check_layer(residual(chain(dense(3, 5, tanh), dense(5, 3))), X)],
    "chain": [lambda: check_layer(chain(a=dense(3, 4, elu), b=layer_norm(4), c=dense(4, 2)), X), lambda: check_layer(NOISY_NET, X)],
    "mlp": [lambda: check_layer(mlp([3, 4, 5, 2]), X)],
    "mse": [lambda: check_loss(mse, VALUES, TARGETS), lambda: check_loss(mse, VALUES[:, 0], TARGETS[:, 0])],
    "mae": [lambda: check_loss(mae, VALUES, TARGETS), lambda: check_loss(mae, VALUES[:, :1], TARGETS[:, :1])],
    "huber": [lambda: check_loss(partial(huber, delta=0.5), VALUES, TARGETS)],
    "softmax_cross_entropy": [
        lambda: check_loss(softmax_cross_entropy, LOGITS, CLASSES),
        lambda: check_loss(partial(softmax_cross_entropy, label_smoothing=0.1), LOGITS, CLASSES),
        lambda: check_loss(softmax_cross_entropy, VALUES[:3], SOFT),
    ],
    "cross_entropy": [
        lambda: check_loss(cross_entropy, PROBABILITIES, np.array([1, 0, 0])),
        lambda: check_loss(cross_entropy, PROBABILITIES, SOFT),
    ],
    "sigmoid_cross_entropy": [lambda: check_loss(partial(sigmoid_cross_entropy, pos_weight=3), VALUES[:3], YES)],
    "binary_cross_entropy": [lambda: check_loss(binary_cross_entropy, PROBABILITIES, YES)],
    "l1": [lambda: check_penalty(l1(0.1))],
    "l2": [lambda: check_penalty(l2(0.1)), lambda: check_penalty(l2(0.1), {"W": np.zeros((2, 2))})],
    "clip_by_value": [lambda: check_transform(partial(clip_by_value, limit=0.5))],
    "clip_by_global_norm": [lambda: check_transform(partial(clip_by_global_norm, limit=limit)) for limit in (0.5, 50)],
    "sgd": [lambda: check_optimizer(sgd(), like=momentum(0))],
    "momentum": [lambda: check_optimizer(momentum()), lambda: check_optimizer(momentum(nesterov=True))],
    "rmsprop": [lambda: check_optimizer(rmsprop()), lambda: check_optimizer(rmsprop(0.99, centered=True, beta=0.9))],
    "adagrad": [lambda: check_optimizer(adagrad())],
    "adam": [lambda: check_optimizer(adam(), like=adamw(weight_decay=0))],
    "adamw": [lambda: check_optimizer(adamw())],
    "constant_schedule": [lambda: check_schedule(constant_schedule(0.5), {0: 0.5, 9: 0.5})],
    "linear_schedule": [lambda: check_schedule(linear_schedule(1, 0, 4, 2), {2: 1.0, 3: 0.75, 6: 0.0, 7: 0.0})],
    "polynomial_schedule": [lambda: check_schedule(polynomial_schedule(1, 0.1, 2, 4), {0: 1, 1: 0.60625, 2: 0.325, 4: 0.1})],
    "exponential_decay": [lambda: check_schedule(exponential_decay(1, 2, 0.5), {0: 1, 2: 0.5, 4: 0.25})],
    "piecewise_constant_schedule": [lambda: check_schedule(piecewise_constant_schedule(1, {2: 0.1}), {1: 1, 2: 0.1, 3: 0.1})],
    "cosine_decay_schedule": [lambda: check_schedule(cosine_decay_schedule(1, 4, 0.1), {0: 1, 2: 0.55, 4: 0.1, 5: 0.1})],
    "join_schedules": [
        lambda: check_schedule(join_schedules([constant_schedule(1), linear_schedule(2, 1, 2)], [3]), {2: 1, 3: 2, 4: 1.5})
    ],
    "warmup_cosine_decay_schedule": [lambda: check_schedule(warmup_cosine_decay_schedule(0, 1, 2, 6), {0: 0, 1: 0.5, 2: 1, 6: 0})],
    "cosine_onecycle_schedule": [lambda: check_schedule(cosine_onecycle_schedule(10, 1), {0: 0.04, 1: 0.28, 3: 1, 10: 4e-6})],
    "early_stopping": [lambda: check_monitor(early_stopping(3, 0.1))],
    "reduce_on_plateau": [lambda: check_monitor(reduce_on_plateau(0.5, 1))],
    "glorot_uniform": [lambda: check_initializer(glorot_uniform, std=(2 / 70) ** 0.5)],
    "glorot_normal": [lambda: check_initializer(glorot_normal, std=(2 / 70) ** 0.5)],
    "he_uniform": [lambda: check_initializer(he_uniform, std=(2 / 40) ** 0.5)],
    "he_normal": [lambda: check_initializer(he_normal, std=(2 / 40) ** 0.5)],
    "lecun_normal": [lambda: check_initializer(lecun_normal, std=(1 / 40) ** 0.5)],
    "normal": [lambda: check_initializer(normal(0.1), std=0.1)],
    "zeros": [lambda: check_initializer(zeros)],
    "constant": [lambda: check_initializer(constant(0.1))],
    "accuracy": [
        lambda: check_metric(accuracy, LOGITS, CLASSES),
        lambda: check_metric(partial(accuracy, threshold=0), VALUES[:, :1], (TARGETS[:, :1] > 0) * 1),
    ],
}  # fmt: skip

# Public functions that are no piece to be swapped: what runs the pieces, and plain tools.
TOOLS = set(
    """init forward loss grads value_and_grads vjp sgd_step train calibrate freeze fold_in split generator map_params watched
    batches split_rows fit_scaler standardize one_hot class_weight global_norm check_grads overfit_check diagnose
    summary activation_stats update_ratio table current_params best_params progress_line
    save load check_params diff_params sharded_value_and_grads""".split()
)


def test_every_public_piece_is_in_the_table() -> None:
    public = {name for name in nnfunc.__all__ if name.islower()}
    assert public == set(PIECES) | TOOLS
    assert not set(PIECES) & TOOLS


@pytest.mark.parametrize("name", PIECES)
def test_the_library_keeps_its_own_laws(name: str) -> None:
    for check in PIECES[name]:
        check()


@pytest.mark.parametrize("name", BUGS)
def test_seeded_bugs_are_caught_by_the_right_law(name: str) -> None:
    check, laws = BUGS[name]
    with pytest.raises(AssertionError) as caught:
        check()
    law = str(caught.value).rpartition("\n  law: ")[2]
    assert any(law.startswith(expected) for expected in laws.split("|")), str(caught.value)
    assert re.match(r"check_\w+: .* must .*", str(caught.value))


@pytest.mark.parametrize("name", ODDITIES)
def test_right_pieces_pass_however_they_are_written(name: str) -> None:
    ODDITIES[name]()


def test_there_are_enough_of_both() -> None:
    assert len(BUGS) >= 40
    assert len(ODDITIES) >= 50


def test_a_message_says_what_where_why_and_shows_the_smallest_input() -> None:
    def averaged(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
        per_example, d_outputs = mse(outputs, targets)
        return per_example, d_outputs / len(outputs)

    with pytest.raises(AssertionError) as caught:
        check_loss(averaged, VALUES[:5], TARGETS[:5])
    assert re.fullmatch(
        r"check_loss: the gradient of outputs\[\d, \d\] must be .*, the slope of sum\(y\) that differences measure, got .*\n"
        r"  usual cause: too small by a factor of 5\.0 = the number of rows in the batch: the mean over rows is taken twice\?\n"
        r"  smallest input found: outputs = \[\[1\.0, 1\.0\], \[1\.0, 1\.0\]\], targets = .*\n"
        r"  law: gradient",
        str(caught.value),
    )


def test_report_mode_prints_all_laws_and_raises_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    results = check_activation(np.cos, np.sin, report=True)
    assert [r["law"] for r in results if r["status"] == "fail"] == ["gradient"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["law", "status", "detail"]
    assert len(lines) == 1 + len(results)
    assert any(re.match(r"gradient +fail +the gradient of z", line) for line in lines)
    no_pullback: Any = (lambda key, dtype: {}), lambda params, x, key: x
    bad_form = check_layer(no_pullback, X, report=True)
    assert [r["status"] for r in bad_form][:2] == ["fail", "not applicable"]


def test_what_cannot_be_measured_is_no_pass() -> None:
    with pytest.raises(AssertionError, match="must be measurable, got none that is") as caught:
        check_activation(lambda z: (z + 1e9) - 1e9 + 0 * z, np.ones_like)
    assert "law: gradient" in str(caught.value)


def test_corners_are_counted_and_left_out() -> None:
    found = {r["law"]: r["detail"] for r in check_activation(relu)}
    assert found["gradient"] == "16 slopes, 1 on corners left out"


def test_checkers_are_pure() -> None:
    before = X.copy()
    check_pure(check_layer, dense(3, 2, relu), X)
    check_pure(check_loss, mse, VALUES, TARGETS)
    check_pure(check_optimizer, adam())
    assert np.array_equal(before, X)


REFUSED: list[tuple[Callable[..., object], tuple[object, ...], str]] = [
    (
        check_optimizer,
        (adam,),
        "check_optimizer: optimizer must be a pair of functions (init, step), got the function adam",
    ),
    (check_monitor, (early_stopping,), "check_monitor: monitor must be a pair of functions (init, update), got"),
    (check_pure, (3,), "check_pure: f must be a function of the arguments given, got 3"),
    (check_schedule, (0.1,), "check_schedule: schedule must be a function of a step, got 0.1"),
    (check_loss, (mse, VALUES, TARGETS[:2]), "check_loss: targets must have one target for each of the 6 outputs, got"),
    (check_layer, (dense(3, 2), np.arange(6).reshape(2, 3)), "check_layer: x must be a float32 or float64 array"),
    (check_activation, ("relu",), "check_activation: activation must be one of"),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_a_checker_refuses_what_is_no_piece(case: int) -> None:
    check, arguments, message = REFUSED[case]
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(message)}"):
        check(*arguments)
