"""A call of every public function, for the laws that all of them keep."""

from collections.abc import Callable
from functools import partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from nnfunc import (
    AnyArray,
    Array,
    DType,
    Layer,
    Monitor,
    Optimizer,
    Params,
    Report,
    Schedule,
    State,
    accuracy,
    activation,
    activation_stats,
    adagrad,
    adam,
    adamw,
    averaged,
    averaged_params,
    batch_norm,
    batches,
    best_params,
    binary_cross_entropy,
    by_fans,
    by_name,
    calibrate,
    chain,
    check_grads,
    check_params,
    class_weight,
    clip_by_global_norm,
    clip_by_value,
    columns,
    combine,
    concatenate,
    confusion_matrix,
    constant,
    constant_schedule,
    cosine_decay_schedule,
    cosine_onecycle_schedule,
    count_steps,
    cross_entropy,
    current_params,
    dense,
    diagnose,
    diff_params,
    dropout,
    early_stopping,
    elu,
    embedding,
    exponential_decay,
    finish,
    fit_scaler,
    fold_in,
    folds,
    forward,
    freeze,
    gaussian_nll,
    gelu,
    generator,
    global_norm,
    glorot_normal,
    glorot_uniform,
    grads,
    he_normal,
    he_uniform,
    huber,
    init,
    join_schedules,
    l1,
    l2,
    layer_norm,
    layer_outputs,
    leaky_relu,
    lecun_normal,
    linear_schedule,
    load,
    log_softmax,
    loss,
    mae,
    map_params,
    masked,
    mlp,
    momentum,
    mse,
    normal,
    one_hot,
    overfit_check,
    piecewise_constant_schedule,
    poisson_nll,
    polynomial_schedule,
    progress,
    progress_bar,
    progress_line,
    quantile_loss,
    r2,
    ravel,
    reduce_on_plateau,
    relu,
    require_same_shape,
    residual,
    rmsprop,
    save,
    scaled,
    select,
    sgd,
    sgd_step,
    sharded_value_and_grads,
    sigmoid,
    sigmoid_cross_entropy,
    silu,
    softmax,
    softmax_cross_entropy,
    softplus,
    split,
    split_rows,
    standardize,
    step_bar,
    summary,
    table,
    tanh,
    train,
    uniform,
    update_ratio,
    value_and_grads,
    vjp,
    warmup_cosine_decay_schedule,
    watched,
    zeros,
)
from nnfunc.exchange import from_keras, from_torch, to_c, to_keras, to_python, to_torch
from nnfunc.transforms import (
    ensemble_forward, ensemble_value_and_grads, grad_variance, hvp, jacobian, levenberg_marquardt, params_jacobian,
    per_example_grad_norms, per_example_grads, stack_params, unstack_params,
)  # fmt: skip
from recipes.branches import product
from tests.laws.data import NET, PARAMS, YES, X, Y, Z

F32: DType = np.dtype(np.float32)
PLAIN = chain(a=dense(3, 4, tanh), b=dense(4, 2))
PLAIN_P = init(PLAIN, 1)
ARGS: list[AnyArray] = [X, Z, Y, YES]


def _layer(net: Layer) -> tuple[Params, Array]:
    params = init(net, 0)
    return params, forward(net, params, X)


def _vjp() -> object:
    y, pullback = vjp(NET, PARAMS, X)
    g, dx = pullback(Z)
    return y, g, dx()


def _trained(net: Layer) -> tuple[float, Params]:
    return value_and_grads(net, mse, calibrate(net, init(net, 0), X), X, X, key=4)


def _steps(optimizer: Optimizer) -> tuple[Params, State]:
    opt_init, step = optimizer
    params, state = step(PARAMS, PARAMS, opt_init(PARAMS), 0.1)
    return step(params, PARAMS, state, np.float64(0.1))


def _values(schedule: Schedule) -> tuple[float, ...]:
    return tuple(schedule(step) for step in range(8))


def _run() -> tuple[State, ...]:
    runs = train(NET, softmax_cross_entropy, PARAMS, X, Y, epochs=2, lr=0.1, size=2, weight=YES[:, 0] + 1, validation=(X, Y))
    return tuple(state for state, _ in runs)


def _stored() -> State:
    with TemporaryDirectory() as directory:
        save(Path(directory) / "file", PARAMS)
        return load(Path(directory) / "file")


def _watched(monitor: Monitor) -> State:
    monitor_init, update = monitor
    return update(update(monitor_init(), 1.0), 2.0)


def _step_bar() -> str:
    """Return what a bar shows of a step."""
    with step_bar(file=(shown := StringIO())) as bar:
        bar({"step": 1, "steps": 1})
    return shown.getvalue()


ACTIVATIONS = [relu, leaky_relu, elu, sigmoid, tanh, softmax, log_softmax, softplus, silu, gelu]
OPTIMIZERS = [sgd, momentum, rmsprop, adagrad, adam, adamw]
INITIALIZERS = [glorot_normal, glorot_uniform, he_normal, he_uniform, lecun_normal, zeros]
REPORT: Report = {
    "epoch": 1,
    "epochs": 2,
    "step": 2,
    "loss": 0.5,
    "validation_loss": None,
    "metrics": {},
    "lr": 0.1,
    "grad_norm": 1.0,
    "seconds": 1.0,
    "rows_per_second": 5.0,
}
# A call of every public function, on arguments that are checked not to change.
CALLS: dict[str, Callable[[], object]] = {
    **{f.__name__: partial(f, Z) for f in ACTIVATIONS},
    **{f.__name__: partial(f, 0, (3, 4), F32) for f in INITIALIZERS},
    "normal": lambda: normal(0.1)(0, (3, 4), F32),
    "uniform": lambda: uniform(0.1)(0, (3, 4), F32),
    "by_fans": lambda: by_fans(lambda n_in, n_out: normal(n_in**-0.5))(0, (3, 4), F32),
    "constant": lambda: constant(0.1)(0, (3, 4), F32),
    "activation": lambda: _layer(activation(relu)),
    "chain": lambda: _layer(chain(dense(3, 2))),
    "dense": lambda: _layer(dense(3, 2, gelu)),
    "mlp": lambda: _layer(mlp([3, 4, 2])),
    "residual": lambda: _layer(residual(dense(3, 3))),
    "concatenate": lambda: _layer(concatenate(columns(0, 2), dense(3, 3))),
    "combine": lambda: _layer(combine(product, dense(3, 2), dense(3, 2))),
    "embedding": lambda: forward(embedding(3, 2), init(embedding(3, 2), 0), X[:, :2] * 0 + 1),
    "columns": lambda: _layer(columns(1, 3)),
    "to_torch": lambda: to_torch(PLAIN, PLAIN_P),
    "from_torch": lambda: from_torch(PLAIN, to_torch(PLAIN, PLAIN_P)),
    "to_keras": lambda: tuple(to_keras(PLAIN, PLAIN_P)),
    "from_keras": lambda: from_keras(PLAIN, to_keras(PLAIN, PLAIN_P)),
    "to_python": lambda: to_python(NET, PARAMS, x=X[:1]),
    "to_c": lambda: to_c(NET, PARAMS, "net", x=X[:1]),
    "per_example_grads": lambda: per_example_grads(NET, softmax_cross_entropy, PARAMS, X, Y),
    "per_example_grad_norms": lambda: per_example_grad_norms(NET, softmax_cross_entropy, PARAMS, X, Y),
    "grad_variance": lambda: grad_variance(NET, softmax_cross_entropy, PARAMS, X, Y),
    "jacobian": lambda: jacobian(NET, PARAMS, X),
    "params_jacobian": lambda: params_jacobian(NET, PARAMS, X),
    "hvp": lambda: hvp(NET, softmax_cross_entropy, PARAMS, X, Y, PARAMS),
    "levenberg_marquardt": lambda: tuple(levenberg_marquardt(NET, PARAMS, X, Z[:, :2], steps=2)),
    "layer_outputs": lambda: layer_outputs(NET, PARAMS, X),
    "mse": lambda: mse(X, X * 2),
    "mae": lambda: mae(X, X * 2),
    "huber": lambda: huber(X, X * 2),
    "quantile_loss": lambda: quantile_loss(X, X[:, :1]),
    "gaussian_nll": lambda: gaussian_nll(Z, YES),
    "poisson_nll": lambda: poisson_nll(Z[:, :1], YES),
    "masked": lambda: masked(mse)(X, np.where(X > 1, np.nan, X * 2)),
    "require_same_shape": lambda: require_same_shape("f", X, X * 2),
    "softmax_cross_entropy": lambda: softmax_cross_entropy(Z, Y),
    "cross_entropy": lambda: cross_entropy(softmax(Z), Y),
    "sigmoid_cross_entropy": lambda: sigmoid_cross_entropy(Z[:, :1], YES),
    "binary_cross_entropy": lambda: binary_cross_entropy(sigmoid(Z[:, :1]), YES),
    "init": lambda: init(NET, (1, 2)),
    "forward": lambda: forward(NET, PARAMS, X),
    "loss": lambda: loss(NET, softmax_cross_entropy, PARAMS, X, Y, weight=YES[:, 0], key=3),
    "grads": lambda: grads(NET, softmax_cross_entropy, PARAMS, X, Y, weight=YES[:, 0], key=3),
    "value_and_grads": lambda: value_and_grads(NET, softmax_cross_entropy, PARAMS, X, Y),
    "vjp": _vjp,
    "sgd_step": lambda: sgd_step(PARAMS, PARAMS, 0.1),
    "map_params": lambda: map_params(np.add, PARAMS, PARAMS),
    "select": lambda: select({f"net/{name}": array for name, array in PARAMS.items()}, "net"),
    "ravel": lambda: (ravel(PARAMS), ravel(PARAMS)[1](ravel(PARAMS)[0])),
    "watched": lambda: grads(watched(NET, lambda path, tensor: None), softmax_cross_entropy, PARAMS, X, Y),
    **{f.__name__: partial(lambda f: _steps(f()), f) for f in OPTIMIZERS},
    "by_name": lambda: _steps(by_name({"*W": scaled(adam(), 0.1), "*": None})),
    "scaled": lambda: _steps(scaled(adam(), 0.1)),
    "averaged": lambda: _steps(averaged(momentum(), 0.5)),
    "averaged_params": lambda: averaged_params(_steps(averaged(sgd(), 0.5))[1]),
    "l1": lambda: l1(0.1)(PARAMS),
    "l2": lambda: l2(0.1)(PARAMS),
    "global_norm": lambda: global_norm(PARAMS),
    "clip_by_value": lambda: clip_by_value(PARAMS, 0.1),
    "clip_by_global_norm": lambda: clip_by_global_norm(PARAMS, 0.1),
    "dropout": lambda: _trained(chain(dense(3, 3), dropout(0.5))),
    "layer_norm": lambda: _trained(chain(dense(3, 3), layer_norm(3))),
    "batch_norm": lambda: _trained(chain(dense(3, 3), batch_norm(3))),
    "calibrate": lambda: calibrate(batch_norm(3), init(batch_norm(3), 0), X),
    "constant_schedule": lambda: _values(constant_schedule(1)),
    "linear_schedule": lambda: _values(linear_schedule(1, 0, 4, 2)),
    "polynomial_schedule": lambda: _values(polynomial_schedule(1, 0, 3, 4)),
    "exponential_decay": lambda: _values(exponential_decay(1, 2, 0.5)),
    "piecewise_constant_schedule": lambda: _values(piecewise_constant_schedule(1, {3: 0.1})),
    "cosine_decay_schedule": lambda: _values(cosine_decay_schedule(1, 5)),
    "join_schedules": lambda: _values(join_schedules([constant_schedule(1), constant_schedule(2)], [3])),
    "warmup_cosine_decay_schedule": lambda: _values(warmup_cosine_decay_schedule(0, 1, 2, 6)),
    "cosine_onecycle_schedule": lambda: _values(cosine_onecycle_schedule(6, 1, 0.4)),
    "early_stopping": lambda: _watched(early_stopping()),
    "reduce_on_plateau": lambda: _watched(reduce_on_plateau()),
    "summary": lambda: tuple(summary(NET, PARAMS)),
    "activation_stats": lambda: tuple(activation_stats(NET, PARAMS, X)),
    "update_ratio": lambda: update_ratio(PARAMS, {n: 2 * a for n, a in PARAMS.items()}),
    "table": lambda: table([{"a": 1.0}]),
    "diagnose": lambda: dict(diagnose(NET, mse, PARAMS, X, Z, penalty=l2(0.1), key=1)),
    "train": _run,
    "finish": lambda: finish((state, 1) for state in _run())[0],
    "count_steps": lambda: count_steps(10, epochs=2),
    "current_params": lambda: current_params(_run()[-1]),
    "best_params": lambda: best_params(_run()[-1]),
    "progress": lambda: progress(_run()[-1]),
    "progress_line": lambda: progress_line(REPORT),
    "progress_bar": lambda: tuple(progress_bar(((state, REPORT) for state in _run()), file=StringIO())),
    "step_bar": _step_bar,
    "overfit_check": lambda: dict(overfit_check(NET, softmax_cross_entropy, PARAMS, X, Y, steps=20)),
    "save": _stored,
    "load": _stored,
    "check_params": lambda: check_params(NET, PARAMS),
    "diff_params": lambda: tuple(diff_params(PARAMS, {n: 2 * a for n, a in PARAMS.items()})),
    "sharded_value_and_grads": lambda: sharded_value_and_grads(NET, softmax_cross_entropy, PARAMS, X, Y, shards=3),
    "freeze": lambda: freeze({"x": X}),
    "fold_in": lambda: fold_in(1, 2),
    "split": lambda: split(1, 2),
    "generator": lambda: generator(1).bytes(4),
    "batches": lambda: tuple(batches(0, 10, 3)),
    "folds": lambda: tuple(folds(0, 5, 2, Y)),
    "split_rows": lambda: split_rows(0, 5, 0.4, labels=Y),
    "fit_scaler": lambda: fit_scaler(X),
    "standardize": lambda: standardize(X, fit_scaler(X)),
    "one_hot": lambda: one_hot(Y, 2),
    "class_weight": lambda: class_weight(Y, "balanced"),
    "accuracy": lambda: accuracy(Z, Y),
    "confusion_matrix": lambda: confusion_matrix(Z, Y),
    "r2": lambda: r2(Z, np.roll(Z, 1)),
    "stack_params": lambda: stack_params([PARAMS, PARAMS]),
    "ensemble_forward": lambda: ensemble_forward(NET, stack_params([PARAMS, PARAMS]), X),
    "ensemble_value_and_grads": lambda: ensemble_value_and_grads(
        NET, softmax_cross_entropy, stack_params([PARAMS, PARAMS]), X, Y, weight=YES[:, 0], keys=[1, 2]
    ),
    "unstack_params": lambda: unstack_params(stack_params([PARAMS, PARAMS])),
    "check_grads": lambda: dict(check_grads(NET, softmax_cross_entropy, PARAMS, X, Y)),
}
