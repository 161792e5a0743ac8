"""Every piece of the library keeps the laws that the checkers try."""

from collections.abc import Callable
from functools import partial

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
    averaged,
    batch_norm,
    binary_cross_entropy,
    by_fans,
    by_name,
    chain,
    clip_by_global_norm,
    clip_by_value,
    columns,
    combine,
    concatenate,
    constant,
    constant_schedule,
    cosine_decay_schedule,
    cosine_onecycle_schedule,
    cross_entropy,
    dense,
    dropout,
    early_stopping,
    elu,
    embedding,
    exponential_decay,
    gaussian_nll,
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
    masked,
    mlp,
    momentum,
    mse,
    normal,
    piecewise_constant_schedule,
    poisson_nll,
    polynomial_schedule,
    quantile_loss,
    r2,
    reduce_on_plateau,
    relu,
    residual,
    rmsprop,
    scaled,
    sgd,
    sigmoid,
    sigmoid_cross_entropy,
    silu,
    softmax,
    softmax_cross_entropy,
    softplus,
    tanh,
    transforms,
    uniform,
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
    check_schedule,
    check_transform,
)
from recipes.branches import product
from tests.layers import shared
from tests.testing.makers import CLASSES, LOGITS, PROBABILITIES, TARGETS, VALUES, X

YES: Array = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
COUNTS: AnyArray = np.array([[0, 3], [1, 0], [7, 2], [0, 0], [2, 1], [4, 5]])
GAPS: Array = np.where(TARGETS > 0.7, np.nan, TARGETS)
SOFT: Array = np.array([[0.5, 0.5], [0.1, 0.9], [1.0, 0.0]])
CODES: Array = np.random.default_rng(5).integers(0, 6, (9, 2)).astype(float)
NOISY_NET = chain(dense(3, 4), batch_norm(4), activation(relu), dropout(0.5), residual(dense(4, 4, gelu)), dense(4, 2))
# The check, or checks, of every public piece.
PIECES: dict[str, list[Callable[[], object]]] = {
    **{
        f.__name__: [partial(check_activation, f), partial(check_layer, dense(3, 2, f), X)]
        for f in (relu, leaky_relu, elu, sigmoid, tanh, softmax, log_softmax, softplus, silu, gelu)
    },
    "activation": [lambda: check_layer(activation((np.sin, np.cos)), X)],
    "dense": [
        lambda: check_layer(dense(3, 2), X), lambda: check_layer(dense(3, 1), X[:1]),
        lambda: check_layer(dense(3, 2, tanh, bias=False), X),
    ],
    "dropout": [lambda: check_layer(dropout(0.3), X, noise=True), lambda: check_layer(dropout(0), X, noise=False)],
    "layer_norm": [lambda: check_layer(layer_norm(3), X)],
    "batch_norm": [
        lambda: check_layer(batch_norm(3), X),
        lambda: check_layer(batch_norm(3), X, params=init(batch_norm(3), 0), inference=False),
    ],
    "residual": [lambda: check_layer(residual(chain(dense(3, 5, tanh), dense(5, 3))), X)],
    "chain": [lambda: check_layer(chain(a=dense(3, 4, elu), b=layer_norm(4), c=dense(4, 2)), X), lambda: check_layer(NOISY_NET, X)],
    "embedding": [
        lambda: check_layer(embedding(6, 3), CODES), lambda: check_layer(embedding(90, 2), CODES),
        lambda: check_layer(concatenate(chain(columns(0, 1), embedding(6, 2)), columns(1, 2)), CODES),
    ],
    "columns": [lambda: check_layer(columns(1, 3), X)],
    "concatenate": [
        lambda: check_layer(concatenate(columns(0, 2), deep=chain(dense(3, 4, tanh), dropout(0.5), layer_norm(4))), X),
    ],
    "combine": [
        lambda: check_layer(combine(product, dense(3, 4, tanh), dense(3, 4, bias=False)), X),
        lambda: check_layer(chain(columns(0, 2), combine(shared, tower=dense(1, 3, sigmoid))), X),
    ],
    "mlp": [lambda: check_layer(mlp([3, 4, 5, 2]), X)],
    "mse": [
        lambda: check_loss(mse, VALUES, TARGETS),
        lambda: check_loss(mse, VALUES[:, 0], TARGETS[:, 0]),
        lambda: check_loss(partial(mse, sum_outputs=True), VALUES, TARGETS),
    ],
    "mae": [lambda: check_loss(mae, VALUES, TARGETS), lambda: check_loss(mae, VALUES[:, :1], TARGETS[:, :1])],
    "huber": [lambda: check_loss(partial(huber, delta=0.5), VALUES, TARGETS)],
    "quantile_loss": [
        lambda: check_loss(quantile_loss, LOGITS[:, :3], TARGETS[:, :1]),
        lambda: check_loss(partial(quantile_loss, levels=(0.3, 0.6), sum_outputs=True), LOGITS, TARGETS),
        lambda: check_loss(partial(quantile_loss, levels=0.5), VALUES, TARGETS),
    ],
    "gaussian_nll": [lambda: check_loss(gaussian_nll, LOGITS, TARGETS), lambda: check_loss(gaussian_nll, VALUES, TARGETS[:, :1])],
    "poisson_nll": [lambda: check_loss(poisson_nll, VALUES, COUNTS), lambda: check_loss(poisson_nll, VALUES[:, 0], COUNTS[:, 0])],
    "masked": [
        lambda: check_loss(masked(mse), VALUES, GAPS), lambda: check_loss(masked(gaussian_nll), LOGITS, GAPS),
        lambda: check_loss(masked(softmax_cross_entropy), LOGITS, CLASSES),
        lambda: check_loss(masked(softmax_cross_entropy), LOGITS, np.where(CLASSES == 3, np.nan, CLASSES)),
    ],
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
    "binary_cross_entropy": [
        lambda: check_loss(binary_cross_entropy, PROBABILITIES, YES),
        lambda: check_loss(partial(binary_cross_entropy, sum_outputs=True), PROBABILITIES, YES),
    ],
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
    "by_name": [
        lambda: check_optimizer(by_name({"*": adam()}), like=adam()),
        lambda: check_optimizer(by_name({"hidden/*": scaled(adam(), 0.1), "*/W": momentum(), "*": sgd()})),
        lambda: check_optimizer(by_name({"hidden/*": adam(), "*": None}), frozen=["out/*"]),
    ],
    "scaled": [lambda: check_optimizer(scaled(adam(), 0.5)), lambda: check_optimizer(scaled(sgd(), 1), like=sgd())],
    "averaged": [
        lambda: check_optimizer(averaged(adam(), 0.9), like=adam(), rests=False),
        lambda: check_optimizer(averaged(by_name({"hidden/*": sgd(), "*": adam()}), 0.99), rests=False),
        lambda: check_optimizer(by_name({"hidden/*": averaged(sgd(), 0.9), "*": adam()}), rests=False),
    ],
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
    "uniform": [lambda: check_initializer(uniform(0.3), std=0.3 / 3**0.5)],
    "by_fans": [lambda: check_initializer(by_fans(lambda n_in, n_out: uniform(n_in**-0.5)), std=(3 * 40) ** -0.5)],
    "zeros": [lambda: check_initializer(zeros)],
    "constant": [lambda: check_initializer(constant(0.1))],
    "accuracy": [
        lambda: check_metric(accuracy, LOGITS, CLASSES),
        lambda: check_metric(partial(accuracy, threshold=0), VALUES[:, :1], (TARGETS[:, :1] > 0) * 1),
    ],
    "r2": [lambda: check_metric(r2, VALUES, TARGETS), lambda: check_metric(r2, VALUES[:, :1], TARGETS[:, :1])],
}  # fmt: skip
# Public functions that are no piece to be swapped: what runs the pieces, and plain tools.
TOOLS = set(
    """init forward loss grads value_and_grads vjp sgd_step train finish count_steps calibrate freeze fold_in split generator map_params select ravel watched
    batches split_rows folds confusion_matrix fit_scaler standardize one_hot class_weight require_same_shape global_norm check_grads overfit_check diagnose
    summary activation_stats layer_outputs update_ratio table current_params best_params averaged_params progress progress_bar progress_line step_bar
    save load check_params diff_params sharded_value_and_grads stack_params unstack_params ensemble_forward ensemble_value_and_grads
    per_example_grads per_example_grad_norms grad_variance jacobian params_jacobian hvp levenberg_marquardt""".split()
)


def test_every_public_piece_is_in_the_table() -> None:
    public = {name for name in (*nnfunc.__all__, *transforms.__all__) if name.islower()}
    assert public == set(PIECES) | TOOLS
    assert not set(PIECES) & TOOLS


@pytest.mark.parametrize("name", PIECES)
def test_the_library_keeps_its_own_laws(name: str) -> None:
    for check in PIECES[name]:
        check()
