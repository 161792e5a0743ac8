"""The laws that hold for every function: purity, weights, shapes, dtypes, stability, algebra."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from numpy.typing import DTypeLike

import nnfunc
from nnfunc import (
    AnyArray,
    Array,
    DType,
    InputGradient,
    Key,
    Layer,
    LossFn,
    Monitor,
    Optimizer,
    Params,
    Pullback,
    Report,
    Schedule,
    State,
    accuracy,
    activation,
    activation_stats,
    adagrad,
    adam,
    adamw,
    batch_norm,
    batches,
    best_params,
    binary_cross_entropy,
    calibrate,
    chain,
    check_grads,
    check_params,
    class_weight,
    clip_by_global_norm,
    clip_by_value,
    constant,
    constant_schedule,
    cosine_decay_schedule,
    cosine_onecycle_schedule,
    cross_entropy,
    current_params,
    dense,
    diagnose,
    diff_params,
    dropout,
    early_stopping,
    elu,
    exponential_decay,
    fit_scaler,
    fold_in,
    forward,
    freeze,
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
    leaky_relu,
    lecun_normal,
    linear_schedule,
    load,
    log_softmax,
    loss,
    mae,
    map_params,
    mlp,
    momentum,
    mse,
    normal,
    one_hot,
    overfit_check,
    piecewise_constant_schedule,
    polynomial_schedule,
    progress_line,
    reduce_on_plateau,
    relu,
    residual,
    rmsprop,
    save,
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
    summary,
    table,
    tanh,
    train,
    update_ratio,
    value_and_grads,
    vjp,
    warmup_cosine_decay_schedule,
    watched,
    zeros,
)
from nnfunc.testing.purity import bits
from tests.numeric import same_bits

F32: DType = np.dtype(np.float32)
F64: DType = np.dtype(np.float64)
NET = chain(hidden=dense(3, 4, relu), skip=residual(dense(4, 4, tanh)), out=dense(4, 2))
PARAMS = init(NET, 0)
X: Array = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
Z: Array = np.random.default_rng(1).normal(size=(5, 2)).astype(np.float32)
Y: AnyArray = np.array([0, 1, 1, 0, 1])
YES: AnyArray = np.array([[0.0], [1.0], [1.0], [0.0], [1.0]], np.float32)
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


ACTIVATIONS = [relu, leaky_relu, elu, sigmoid, tanh, softmax, log_softmax, softplus, silu, gelu]
OPTIMIZERS = [sgd, momentum, rmsprop, adagrad, adam, adamw]
INITIALIZERS = [glorot_normal, glorot_uniform, he_normal, he_uniform, lecun_normal, zeros]

REPORT: Report = {
    "epoch": 1,
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
    "constant": lambda: constant(0.1)(0, (3, 4), F32),
    "activation": lambda: _layer(activation(relu)),
    "chain": lambda: _layer(chain(dense(3, 2))),
    "dense": lambda: _layer(dense(3, 2, gelu)),
    "mlp": lambda: _layer(mlp([3, 4, 2])),
    "residual": lambda: _layer(residual(dense(3, 3))),
    "mse": lambda: mse(X, X * 2),
    "mae": lambda: mae(X, X * 2),
    "huber": lambda: huber(X, X * 2),
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
    "watched": lambda: grads(watched(NET, lambda path, tensor: None), softmax_cross_entropy, PARAMS, X, Y),
    **{f.__name__: partial(lambda f: _steps(f()), f) for f in OPTIMIZERS},
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
    "current_params": lambda: current_params(_run()[-1]),
    "best_params": lambda: best_params(_run()[-1]),
    "progress_line": lambda: progress_line(REPORT),
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
    "split_rows": lambda: split_rows(0, 5, 0.4, labels=Y),
    "fit_scaler": lambda: fit_scaler(X),
    "standardize": lambda: standardize(X, fit_scaler(X)),
    "one_hot": lambda: one_hot(Y, 2),
    "class_weight": lambda: class_weight(Y, "balanced"),
    "accuracy": lambda: accuracy(Z, Y),
    "check_grads": lambda: dict(check_grads(NET, softmax_cross_entropy, PARAMS, X, Y)),
}


def test_every_public_function_is_in_the_table() -> None:
    public = {name for name in nnfunc.__all__ if name.islower()}
    assert public == set(CALLS)


def _global_random_state() -> tuple[object, str]:
    return random.getstate(), repr(np.random.get_state())


def _arrays(result: object) -> list[AnyArray]:
    if isinstance(result, np.ndarray):
        return [result]
    if isinstance(result, tuple):
        return [a for part in result for a in _arrays(part)]
    return [a for part in result.values() for a in _arrays(part)] if hasattr(result, "values") else []


@pytest.mark.parametrize("writeable", [True, False])
@pytest.mark.parametrize("name", CALLS)
def test_pure(name: str, writeable: bool) -> None:
    for array in ARGS:
        array.setflags(write=writeable)
    before, state = [a.tobytes() for a in ARGS], _global_random_state()
    first, second = CALLS[name](), CALLS[name]()
    assert same_bits(first, second)
    assert [a.tobytes() for a in ARGS] == before
    assert _global_random_state() == state
    for result in _arrays(first):
        assert not any(np.may_share_memory(result, argument) for argument in ARGS)


# Pieces of a user's own that hand back what they were given: the verbs must not let it through.


def view_layer(columns: slice) -> Layer:
    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {}, lambda: dy

        return x[:, columns], pullback

    return lambda key, dtype: {}, layer_forward


def bias_layer(n: int) -> Layer:
    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {"b": dy}, lambda: dy

        return x + params["b"], pullback

    return lambda key, dtype: {"b": np.zeros((5, n), dtype)}, layer_forward


@pytest.mark.parametrize("net", [view_layer(slice(None)), chain(view_layer(slice(0, 2)))])
def test_results_never_alias_arguments(net: Layer) -> None:
    x, dy = X.copy(), X.copy()
    y = forward(net, {}, x)
    assert not np.may_share_memory(y, x)
    assert y.flags.writeable
    y, pullback = vjp(view_layer(slice(None)), {}, x)
    assert not np.may_share_memory(y, x)
    _, dx = pullback(dy)
    assert not np.may_share_memory(dx(), dy)


def test_gradients_never_alias_or_lock_arguments() -> None:
    dy = X.copy()
    params = {"b": np.zeros((5, 3), np.float32)}
    _, pullback = vjp(bias_layer(3), params, X)
    g, _ = pullback(dy)
    assert not np.may_share_memory(g["b"], dy)
    stepped = sgd_step(params, {}, 0.1)
    assert not np.may_share_memory(stepped["b"], params["b"])
    assert dy.flags.writeable
    assert params["b"].flags.writeable


def test_outputs_of_vjp_can_change_without_changing_the_way_back() -> None:
    net = dense(3, 4, tanh)
    y, pullback = vjp(net, init(net, 0), X)
    before = pullback(y.copy())[0]
    dy = y.copy()
    y[:] = 7
    assert same_bits(before, pullback(dy)[0])


def test_custom_pieces_cannot_change_what_they_are_given() -> None:
    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        x *= 2
        return x, lambda dy: ({}, lambda: dy)

    greedy: Layer = (lambda key, dtype: {}, layer_forward)
    for net in (greedy, chain(dense(3, 3), greedy)):
        x = X.copy()
        with pytest.raises(ValueError, match="read-only"):
            forward(net, init(net, 0), x)
        assert same_bits(x, X)

    def greedy_loss(outputs: Array, y: AnyArray) -> tuple[Array, Array]:
        y *= 2
        return mse(outputs, y)

    with pytest.raises(ValueError, match="read-only"):
        loss(dense(3, 3), greedy_loss, init(dense(3, 3), 0), X, X.copy())


# Weights


def batch_loss(x: Array, y: AnyArray, weight: Array | None = None) -> tuple[float, Params]:
    params = init(NET, 0, np.float64)
    return value_and_grads(NET, softmax_cross_entropy, params, x, y, weight=weight)


def assert_close(a: tuple[float, Params], b: tuple[float, Params]) -> None:
    assert a[0] == pytest.approx(b[0], rel=1e-13)
    for name in a[1]:
        assert np.allclose(a[1][name], b[1][name], rtol=1e-12, atol=1e-15)


def test_weight_two_is_the_row_twice() -> None:
    twice = [0, 1, 1, 2, 3, 4, 4]
    assert_close(batch_loss(X, Y, np.array([1.0, 2, 1, 1, 2])), batch_loss(X[twice], Y[twice]))


def test_weight_zero_is_the_row_gone_even_if_it_is_nan() -> None:
    kept = [0, 2, 3]
    gone = X.copy()
    gone[[1, 4]] = np.nan
    assert same_bits(batch_loss(gone, Y, np.array([1.0, 0, 1, 1, 0])), batch_loss(X[kept], Y[kept], np.ones(3)))


@pytest.mark.parametrize("scale", [1e-300, 1e-3, 7.0, 1e307])
def test_scaling_all_weights_changes_nothing(scale: float) -> None:
    weight = np.array([1.0, 2, 0.5, 1, 4])
    assert_close(batch_loss(X, Y, weight * scale), batch_loss(X, Y, weight))


def test_equal_weights_are_no_weights() -> None:
    assert_close(batch_loss(X, Y, np.full(5, 3.0)), batch_loss(X, Y))


def test_gradients_of_shards_add_up() -> None:
    whole = batch_loss(X, Y)[1]
    parts = [(batch_loss(X[rows], Y[rows])[1], len(Y[rows])) for rows in (slice(0, 2), slice(2, 5))]
    for name in whole:
        assert np.allclose(whole[name], sum(g[name] * n for g, n in parts) / 5, rtol=1e-12, atol=1e-15)


# Shapes and dtypes

SHAPED: list[LossFn] = [mse, mae, huber, sigmoid_cross_entropy, binary_cross_entropy]


@pytest.mark.parametrize("loss_fn", SHAPED)
@pytest.mark.parametrize(("a", "b"), [((5,), (5, 1)), ((5, 1), (5,)), ((5, 1), (1, 1)), ((5, 3), (5, 1)), ((1,), (5,))])
def test_shapes_are_never_broadcast(loss_fn: LossFn, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="targets must have the shape"):
        loss_fn(np.full(a, 0.5), np.full(b, 0.5))


@pytest.mark.parametrize("loss_fn", [softmax_cross_entropy, cross_entropy])
@pytest.mark.parametrize("y", [np.zeros((5, 1), int), np.zeros((5, 2, 1)), np.zeros((1, 2)), np.zeros(4, int)])
def test_class_targets_are_never_broadcast(loss_fn: LossFn, y: AnyArray) -> None:
    with pytest.raises(ValueError, match="targets must have shape"):
        loss_fn(softmax(Z), y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("other", [np.float32, np.float64])
def test_dtype_is_closed(dtype: DTypeLike, other: DTypeLike) -> None:
    params = init(NET, 0, dtype)
    x, y = X.astype(other), np.array(Z, other)
    outputs = forward(NET, params, x)
    g = grads(NET, mse, params, x, y, weight=np.ones(5, other))
    stepped = sgd_step(params, g, np.float64(0.1))
    out, pullback = vjp(NET, params, x)
    vjp_grads, dx = pullback(np.array(out, other))
    found = [outputs, *g.values(), *stepped.values(), out, *vjp_grads.values(), dx()]
    assert {a.dtype for a in found} == {np.dtype(dtype)}


@pytest.mark.parametrize("f", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_keep_the_dtype(f: Callable[[Array], Array], dtype: DTypeLike) -> None:
    net = activation(f)
    y, pullback = vjp(net, {}, Z.astype(dtype))
    assert {f(Z.astype(dtype)).dtype, y.dtype, pullback(y)[1]().dtype} <= {np.dtype(dtype)}


def test_an_upcasting_layer_is_named() -> None:
    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        return x * np.float64(0.5), lambda dy: ({}, lambda: dy)

    net = chain(a=dense(3, 3), half=(lambda key, dtype: {}, layer_forward))
    with pytest.raises(TypeError, match="half/y must be a float32 array"):
        forward(net, init(net, 0), X)


# Stability

EXTREMES = {
    F32: np.array([0.0, 1e-45, -1e-45, 1.0, -1.0, 90, -90, 1e4, -1e4, 3.4e38, -3.4e38], np.float32),
    F64: np.array([0.0, 5e-324, -5e-324, 1, -1, 710, -710, 1e4, -1e4, 1e300, -1e300, 1.7e308, -1.7e308]),
}


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("f", ACTIVATIONS)
def test_activations_are_stable(f: Callable[[Array], Array], dtype: DType) -> None:
    for z in (EXTREMES[dtype][:, None], EXTREMES[dtype][None, :-2]):
        y = f(z)  # a warning would be an error here
        assert not np.isnan(y).any()
        assert np.isfinite(y).all()
        _, pullback = vjp(activation(f), {}, z)
        assert np.isfinite(pullback(np.ones_like(z))[1]()).all()


def test_activations_let_nan_through() -> None:
    for f in ACTIVATIONS:
        assert np.isnan(f(np.array([np.nan, 1.0]))[0])


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e4), (np.float64, 1e300)])
def test_cross_entropies_are_stable(dtype: DTypeLike, size: float) -> None:
    z = np.array([[size, -size, 0], [-size, size, size], [0, 0, -size]], dtype)
    for y in (0, 1, 2):
        per_example, d = softmax_cross_entropy(z, np.full(3, y))
        assert np.isfinite(per_example).all()
        assert np.isfinite(d).all()
    for t in (0.0, 0.5, 1.0):
        per_example, d = sigmoid_cross_entropy(z, np.full_like(z, t))
        assert np.isfinite(per_example).all()
        assert np.isfinite(d).all()


def test_cross_entropies_keep_small_losses() -> None:
    # log(1 + e^-30) and log(1 + 2 e^-30): a form that loses digits gives 0 or 1e-14 here
    assert sigmoid_cross_entropy(np.array([[-30.0]]), np.array([[0.0]]))[0][0] == pytest.approx(np.exp(-30), rel=1e-12)
    assert sigmoid_cross_entropy(np.array([[30.0]]), np.array([[1.0]]))[0][0] == pytest.approx(np.exp(-30), rel=1e-12)


@pytest.mark.parametrize(
    ("final", "on_probabilities", "on_logits"),
    [
        (softmax, cross_entropy, softmax_cross_entropy),
        (softmax, partial(cross_entropy, label_smoothing=0.1), partial(softmax_cross_entropy, label_smoothing=0.1)),
        (sigmoid, binary_cross_entropy, sigmoid_cross_entropy),
        (sigmoid, partial(binary_cross_entropy, pos_weight=2), partial(sigmoid_cross_entropy, pos_weight=2)),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 3e3])
def test_fused_is_unfused(
    final: Callable[[Array], Array], on_probabilities: LossFn, on_logits: LossFn, scale: float
) -> None:
    y = Y if final is softmax else one_hot(Y, 2)
    logits = chain(hidden=dense(3, 4, relu), out=dense(4, 2))
    params = {name: a * scale for name, a in init(logits, 0).items()}
    expected = value_and_grads(logits, on_logits, params, X, y)
    for net in (
        chain(hidden=dense(3, 4, relu), out=dense(4, 2, final)),
        chain(hidden=dense(3, 4, relu), out=dense(4, 2), last=activation(final)),
    ):
        assert same_bits(value_and_grads(net, on_probabilities, params, X, y), expected)
    if scale == 1:  # unfused, the same values to rounding
        per_example, _ = on_probabilities(final(forward(logits, params, X)), y)
        assert float(per_example.mean()) == pytest.approx(expected[0], rel=1e-5)


# Algebra


def test_rows_are_independent() -> None:
    changed = X.copy()
    changed[2] += 1
    a, b = forward(NET, PARAMS, X), forward(NET, PARAMS, changed)
    same = (a == b).all(axis=1)
    assert same.tolist() == [True, True, False, True, True]


def test_chain_of_one_is_the_layer() -> None:
    layer = dense(3, 2, tanh)
    single = init(chain(layer), 7)
    assert [same_bits(a, b) for a, b in zip(single.values(), init(layer, 7).values(), strict=True)] == [True, True]
    assert same_bits(forward(chain(layer), single, X), forward(layer, init(layer, 7), X))


def noise(rate: float) -> Layer:
    """Return a layer that adds noise drawn from its key."""

    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        drawn = 0 if key is None else rate * generator(key).standard_normal(x.shape).astype(x.dtype)
        return x + drawn, lambda dy: ({}, lambda: dy)

    return lambda key, dtype: {}, layer_forward


def test_nesting_chains_changes_names_and_never_values() -> None:
    a, b, c, d = dense(3, 4, tanh), noise(0.1), dense(4, 4, relu), noise(0.2)
    nests = [chain(a, b, c, d), chain(chain(a, b), chain(c, d)), chain(chain(chain(a), b, chain(chain(c, d))))]
    flat = nests[0]
    for net in nests[1:]:
        params = init(net, 3)
        assert list(params) != list(init(flat, 3))
        assert same_bits(tuple(params.values()), tuple(init(flat, 3).values()))
        for key in (None, 5):
            assert same_bits(forward(net, params, X, key), forward(flat, init(flat, 3), X, key))
    assert not same_bits(forward(flat, init(flat, 3), X, 5), forward(flat, init(flat, 3), X, 6))
    assert not same_bits(forward(flat, init(flat, 3), X, 5), forward(flat, init(flat, 3), X))


def test_value_and_grads_is_loss_and_grads() -> None:
    value, g = value_and_grads(NET, softmax_cross_entropy, PARAMS, X, Y, key=2)
    assert value == loss(NET, softmax_cross_entropy, PARAMS, X, Y, key=2)
    assert same_bits(g, grads(NET, softmax_cross_entropy, PARAMS, X, Y, key=2))
    assert list(g) == list(PARAMS)


def test_sgd_step_against_hand_worked_values() -> None:
    # p = [1, -2], g = p^3, five steps of 0.01; PyTorch and optax agree on the result
    params: Params = {"p": np.array([1.0, -2.0])}
    for _ in range(5):
        params = sgd_step(params, {"p": params["p"] ** 3}, 0.01)
    assert params["p"].tolist() == pytest.approx([0.95282989623658, -1.67732758993228], abs=1e-13)


def test_dropping_gradients_freezes_a_layer() -> None:
    g = grads(NET, softmax_cross_entropy, PARAMS, X, Y)
    stepped = sgd_step(PARAMS, {name: a for name, a in g.items() if not name.startswith("hidden/")}, 0.1)
    assert list(stepped) == list(PARAMS)
    for name in PARAMS:
        assert same_bits(stepped[name], PARAMS[name]) == name.startswith("hidden/")


def test_user_made_params_give_the_same_bits() -> None:
    expected = value_and_grads(NET, softmax_cross_entropy, PARAMS, X, Y)
    plain = {name: np.asfortranarray(a) for name, a in reversed(list(PARAMS.items()))}
    value, g = value_and_grads(NET, softmax_cross_entropy, plain, X, Y)
    assert value == pytest.approx(expected[0], rel=1e-6)
    assert list(g) == list(plain)
    copied = {name: a.copy() for name, a in PARAMS.items()}
    assert same_bits(value_and_grads(NET, softmax_cross_entropy, copied, X, Y), expected)
    assert all(a.flags.writeable for a in copied.values())


# Layout


def column_major(layer: Layer) -> Layer:
    """Return the layer with outputs and input gradients in column-major order."""

    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        y, pullback = layer[1](params, x, key)

        def pull(dy: Array) -> tuple[Params, InputGradient]:
            g, dx = pullback(np.asfortranarray(dy))
            return {name: np.asfortranarray(a) for name, a in g.items()}, lambda: np.asfortranarray(dx())

        return np.asfortranarray(y), pull

    return layer[0], layer_forward


@pytest.mark.parametrize(
    ("loss_fn", "y"),
    [
        (softmax_cross_entropy, Y),
        (softmax_cross_entropy, Y.astype(np.uint64)),
        (softmax_cross_entropy, np.eye(2)[Y]),
        (partial(softmax_cross_entropy, label_smoothing=0.1), Y),
        (sigmoid_cross_entropy, np.eye(2)[Y]),
        (mse, np.eye(2)[Y]),
        (mae, np.eye(2)[Y]),
        (huber, np.eye(2)[Y]),
    ],
)
def test_results_do_not_depend_on_memory_layout(loss_fn: LossFn, y: AnyArray) -> None:
    rows = chain(dense(3, 4, tanh), dense(4, 2))
    columns = chain(column_major(dense(3, 4, tanh)), column_major(dense(4, 2)))
    params = init(rows, 0, np.float64)
    x = X.astype(np.float64)
    expected = value_and_grads(rows, loss_fn, params, x, y)
    strided = np.repeat(x, 2, axis=0)[::2]
    for inputs in (x, np.asfortranarray(x), strided):
        held = {name: np.asfortranarray(a) for name, a in params.items()}
        assert_close(value_and_grads(columns, loss_fn, held, inputs, np.asfortranarray(y)), expected)


@pytest.mark.parametrize(
    ("loss_fn", "y"), [(cross_entropy, Y), (cross_entropy, np.eye(2)[Y]), (binary_cross_entropy, np.eye(2)[Y])]
)
def test_losses_on_probabilities_do_not_depend_on_memory_layout(loss_fn: LossFn, y: AnyArray) -> None:
    p = softmax(Z.astype(np.float64))
    assert same_bits(loss_fn(np.asfortranarray(p), np.asfortranarray(y)), loss_fn(p, y))


def test_a_way_back_belongs_to_its_call() -> None:
    x, params = X.copy(), {name: a.copy() for name, a in PARAMS.items()}
    _, pullback = vjp(NET, params, x)
    before = pullback(Z)
    x[:] = 0
    for array in params.values():
        array[:] = 0
    after = pullback(Z)
    assert same_bits(before[0], after[0])
    assert same_bits(before[1](), after[1]())


def test_a_loss_cannot_change_the_outputs() -> None:
    def greedy(outputs: Array, y: AnyArray) -> tuple[Array, Array]:
        outputs -= y
        return mse(outputs, 0 * y)

    with pytest.raises(ValueError, match="read-only"):
        grads(dense(3, 3, sigmoid), greedy, init(dense(3, 3), 0), X, X)


@pytest.mark.parametrize("name", CALLS)
def test_eight_threads_at_once_give_the_same_bits(name: str) -> None:
    expected = bits(CALLS[name]())
    with ThreadPoolExecutor(8) as pool:
        assert all(bits(found) == expected for found in pool.map(lambda i: CALLS[name](), range(16)))


def test_large_steps_in_eight_threads_give_the_same_bits() -> None:
    net = mlp([50, 256, 10])
    params, x = init(net, 0), np.random.default_rng(2).normal(size=(512, 50)).astype(np.float32)
    y = np.arange(512) % 10

    def step(_: int) -> tuple[Params, State]:
        opt_init, opt_step = adam()
        return opt_step(params, value_and_grads(net, softmax_cross_entropy, params, x, y)[1], opt_init(params), 0.1)

    expected = step(0)
    with ThreadPoolExecutor(8) as pool:
        assert all(same_bits(found, expected) for found in pool.map(step, range(64)))
