"""Random calls over the public functions: each returns what the laws require, or raises one clear sentence.

Every call is drawn from a seed of its own, which a failure prints;
``NNFUNC_FUZZ_SEED=123 pytest tests/laws/test_fuzz.py`` repeats that one, and
``NNFUNC_FUZZ=20000`` draws so many instead of 1,500.
"""

import os
import re
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import nnfunc as nf
from nnfunc import AnyArray, Layer
from nnfunc import transforms
from nnfunc.network.kinds import takes_codes
from nnfunc.testing.purity import arrays_in, bits, materialised
from recipes.branches import product

COUNT = int(os.environ.get("NNFUNC_FUZZ", "1500"))
ONLY = os.environ.get("NNFUNC_FUZZ_SEED")
SENTENCE = re.compile(r"^[\w ]+: .* must .*, got .*", re.DOTALL)
Draw = np.random.Generator


def pick(draw: Draw, *choices: Any) -> Any:
    return choices[int(draw.integers(len(choices)))]


def activation_of(draw: Draw) -> Any:
    own = (np.sin, np.cos)
    return pick(draw, nf.relu, nf.tanh, nf.gelu, nf.elu, nf.softmax, nf.sigmoid, nf.silu, None, own, nf.leaky_relu)


def network(draw: Draw) -> tuple[Layer, int, int]:
    """Return a network with its width in and out."""
    widths = [int(n) for n in draw.integers(1, 5, int(draw.integers(2, 5)))]
    parts: list[Layer] = []
    for a, b in zip(widths, widths[1:], strict=False):
        parts.append(nf.dense(a, b, activation_of(draw)))
        extra = pick(draw, None, None, nf.dropout(0.3), nf.layer_norm(b), nf.batch_norm(b), nf.activation(nf.tanh))
        if extra is not None:
            parts.append(extra)
        if draw.random() < 0.2:
            parts.append(nf.residual(nf.chain(nf.dense(b, b, nf.relu), nf.dense(b, b))))
        if draw.random() < 0.2:
            parts.append(nf.concatenate(nf.columns(0, 1), nf.chain(nf.dense(b, b, nf.tanh, bias=False), nf.layer_norm(b))))
            parts.append(nf.dense(b + 1, b))
        if draw.random() < 0.1:
            parts.append(nf.combine(product, nf.dense(b, b), nf.dropout(0.5)))
    if draw.random() < 0.1:
        return nf.chain(nf.embedding(5, widths[0]), *parts), 1, widths[-1]
    return (parts[0] if len(parts) == 1 else nf.chain(*parts)), widths[0], widths[-1]


def array(draw: Draw, shape: tuple[int, ...]) -> Any:
    """Return an array of odd values, dtype and layout, most often a good one."""
    a: AnyArray = draw.normal(size=shape).astype(pick(draw, np.float32, np.float64))
    if draw.random() < 0.2 and a.size:
        a.flat[int(draw.integers(a.size))] = pick(draw, 0.0, 1e-40, 1e30, -1e30, np.inf, -np.inf, np.nan, 1e38)
    if draw.random() < 0.1:
        a = a * pick(draw, 0.0, 1e20, 1e-30)
    layout = draw.random()
    if layout < 0.15:
        a = np.asfortranarray(a)
    elif layout < 0.3 and a.ndim:
        a = np.repeat(a, 2, axis=-1)[..., ::2]
    elif layout < 0.35 and a.ndim > 1:
        a = a[::-1]
    if draw.random() < 0.3:
        a = a.copy() if a.base is None else a
        a.setflags(write=False)
    if draw.random() < 0.08:
        return a.tolist()
    return a.astype(pick(draw, np.float16, np.int64, bool, complex, np.longdouble)) if draw.random() < 0.05 else a


def junk(draw: Draw) -> Any:
    return pick(
        draw, None, "a", 3, -1, 0, 0.5, np.nan, np.inf, -np.inf, 10**400, [], {}, (1, 2), [1, [2]], np.zeros(0),
        np.zeros((2, 2, 2)), np.array(3), object(), nf.relu, {"W": 1}, {1: np.zeros(2)}, b"x", True, {"a": None},
    )  # fmt: skip


def or_junk(draw: Draw, value: Any, chance: float = 0.06) -> Any:
    return junk(draw) if draw.random() < chance else value


def params_of(draw: Draw, net: Layer) -> Any:
    params: dict[str, Any] = dict(nf.init(net, int(draw.integers(5)), pick(draw, np.float32, np.float64)))
    change = draw.random()
    names = list(params)
    name = names[int(draw.integers(len(names)))]
    if change < 0.08:
        del params[name]
    elif change < 0.14:
        params[name + "x"] = params[name]
    elif change < 0.24:
        params[name] = or_junk(draw, array(draw, params[name].shape), 0.2)
    elif change < 0.3:
        params[name] = array(draw, tuple(int(n) for n in draw.integers(0, 4, 2)))
    elif change < 0.36:
        params = dict(reversed(list(params.items())))
    elif change < 0.42:
        params = {n: np.asfortranarray(np.array(a)) for n, a in params.items()}
    return params if draw.random() < 0.5 else or_junk(draw, params if change < 0.42 else nf.freeze(params), 0.03)


def targets_of(draw: Draw, n: int, k: int) -> Any:
    kind = draw.random()
    if kind < 0.4:
        return draw.integers(0, k, n)
    if kind < 0.5:
        return draw.integers(-1, k + 1, n).astype(pick(draw, np.int8, np.uint8, np.int64, ">i4"))
    return array(draw, pick(draw, (n, k), (n, k), (n, 1), (n,), (n + 1, k)))


def loss_of(draw: Draw) -> Any:
    own = nf.mse, nf.mae, nf.huber, nf.softmax_cross_entropy, nf.cross_entropy, nf.sigmoid_cross_entropy
    return pick(
        draw,
        *own,
        nf.binary_cross_entropy,
        partial(nf.huber, delta=0.3),
        partial(nf.quantile_loss, levels=0.3),
        nf.gaussian_nll,
        nf.poisson_nll,
        nf.masked(pick(draw, *own, nf.poisson_nll)),
        partial(nf.softmax_cross_entropy, label_smoothing=0.2),
    )


def key_of(draw: Draw) -> Any:
    return pick(draw, None, None, 0, 3, (1, 2), (0,), 2**70, -1, 1.5, (1, -1), "k", ())


def weight_of(draw: Draw, n: int) -> Any:
    plain = draw.uniform(0, 2, n)
    return pick(
        draw, None, None, None, plain, plain * (draw.random(n) < 0.5), -plain, plain[:-1], np.full(n, np.nan), [1] * n
    )


def on_network(draw: Draw) -> tuple[Callable[..., object], list[Any], dict[str, Any]]:
    """Return a call of a function of a network."""
    net, n_in, n_out = network(draw)
    n = int(draw.integers(0, 6))
    params, x = params_of(draw, net), or_junk(draw, array(draw, (n, n_in if draw.random() < 0.95 else n_in + 1)), 0.03)
    if takes_codes(net) and draw.random() < 0.8:
        x = draw.integers(0, 5 if draw.random() < 0.8 else 7, (n, 1)).astype(pick(draw, np.float32, np.float64))
    given = or_junk(draw, net, 0.02)
    if draw.random() < 0.3:
        try:
            params = nf.calibrate(net, params, np.ones((3, n_in)) * [[1.0], [2.0], [4.0]])
        except (ValueError, TypeError, FloatingPointError):
            pass
    kind = int(draw.integers(9))
    plain: list[tuple[Callable[..., object], dict[str, Any]]] = [
        (nf.forward, {"key": key_of(draw)}),
        (nf.activation_stats, {"key": key_of(draw)}),
        (nf.calibrate, {"size": or_junk(draw, 2)}),
    ]
    if kind < 3:
        return plain[kind][0], [given, params, x], plain[kind][1]
    if kind == 3:
        return pick(draw, nf.summary, nf.check_params), [given, params], {}
    if kind == 4:
        return through_vjp, [given, params, x, or_junk(draw, array(draw, (n, n_out)))], {"key": key_of(draw)}
    function = pick(
        draw, nf.loss, nf.grads, nf.value_and_grads, nf.value_and_grads, nf.diagnose, nf.sharded_value_and_grads,
        through_ensemble,
    )  # fmt: skip
    options = {
        "weight": weight_of(draw, n),
        "key": key_of(draw),
        "penalty": or_junk(draw, pick(draw, None, None, nf.l2(0.1), nf.l1(0.1)), 0.03),
    }
    if function is nf.sharded_value_and_grads:
        options["shards"] = or_junk(draw, int(draw.integers(1, 4)))
    return (
        function,
        [given, or_junk(draw, loss_of(draw), 0.03), params, x, or_junk(draw, targets_of(draw, n, n_out), 0.03)],
        options,
    )


def through_vjp(net: Any, params: Any, x: Any, dy: Any, key: Any = None) -> object:
    y, pullback = nf.vjp(net, params, x, key)
    grads, dx = pullback(dy)
    return y, grads, dx()


def through_ensemble(net: Any, loss_fn: Any, params: Any, x: Any, y: Any, weight: Any, key: Any, penalty: Any) -> object:
    stacked, keys = transforms.stack_params([params, params]), None if key is None else [key, 3]
    outputs = transforms.ensemble_forward(net, stacked, x, keys)
    found = transforms.ensemble_value_and_grads(net, loss_fn, stacked, x, y, weight=weight, penalty=penalty, keys=keys)
    return outputs, found, transforms.unstack_params(stacked)


def through_optimizer(optimizer: Any, params: Any, grads: Any, lr: Any) -> object:
    init, step = optimizer
    params, state = step(params, grads, init(params), lr)
    return step(params, grads, state, lr)


def on_params(draw: Draw) -> tuple[Callable[..., object], list[Any], dict[str, Any]]:
    """Return a call of a function of params and gradients."""
    net, _, _ = network(draw)
    params, grads = params_of(draw, net), params_of(draw, net)
    rate = or_junk(draw, pick(draw, 0.1, 0, np.float64(0.1), np.float32(0.1), 1e38, -0.1, np.array(0.1)), 0.1)
    optimizer = pick(
        draw, nf.sgd(), nf.momentum(nesterov=True), nf.rmsprop(centered=True), nf.adagrad(), nf.adam(), nf.adamw()
    )
    calls: list[tuple[Callable[..., object], list[Any]]] = [
        (nf.sgd_step, [params, grads, rate]),
        (through_optimizer, [optimizer, params, grads, rate]),
        (nf.clip_by_value, [grads, rate]),
        (nf.clip_by_global_norm, [grads, rate]),
        (nf.global_norm, [grads]),
        (nf.update_ratio, [params, grads]),
        (nf.diff_params, [params, grads]),
        (nf.freeze, [params]),
        (nf.l2(0.5), [params]),
        (nf.l1(0.5), [params]),
    ]
    function, arguments = calls[int(draw.integers(len(calls)))]
    return function, arguments, {}


def scaled(x: Any) -> object:
    return nf.standardize(x, nf.fit_scaler(x))


def watched(make: Callable[..., Any], argument: Any, metrics: list[Any]) -> object:
    init, update = make(argument)
    state = init()
    for metric in metrics:
        state = update(state, metric)
    return state


def scheduled(make: Callable[..., Any], arguments: list[Any], step: Any) -> object:
    return make(*arguments)(step)


def plain_call(draw: Draw) -> tuple[Callable[..., object], list[Any], dict[str, Any]]:
    """Return a call of one of the rest."""
    n, k = int(draw.integers(0, 6)), int(draw.integers(1, 4))
    small = partial(or_junk, draw)
    numbers = [small(pick(draw, 0, 1, 4, 0.5, 1e-3), 0.15) for _ in range(3)]
    schedule = pick(draw, nf.linear_schedule, nf.exponential_decay, nf.cosine_decay_schedule, nf.constant_schedule)
    count = {nf.constant_schedule: 1, nf.cosine_decay_schedule: 2}.get(schedule, 3)
    z, y = array(draw, (n, k)), targets_of(draw, n, k)
    calls: list[tuple[Callable[..., object], list[Any]]] = [
        (pick(draw, nf.relu, nf.gelu, nf.softmax, nf.log_softmax, nf.softplus, nf.elu, nf.sigmoid), [small(z)]),
        (loss_of(draw), [small(z), small(y)]),
        (nf.accuracy, [small(z), small(y)]),
        (nf.one_hot, [small(draw.integers(0, 4, n)), small(4)]),
        (nf.class_weight, [small(draw.integers(0, 4, n)), small("balanced")]),
        (scaled, [small(z)]),
        (nf.batches, [key_of(draw), small(n), small(2)]),
        (nf.split_rows, [key_of(draw), small(n), small(0.4)]),
        (nf.fold_in, [key_of(draw), small(3)]),
        (nf.split, [key_of(draw), small(3)]),
        (watched, [pick(draw, nf.early_stopping, nf.reduce_on_plateau), small(0.5), [small(1.0), small(np.nan)]]),
        (scheduled, [schedule, numbers[:count], small(2)]),
        (nf.dropout, [numbers[0]]),
        (nf.dense, [small(2), small(3), activation_of(draw)]),
        (nf.mlp, [small([2, 3, 1])]),
    ]  # fmt: skip
    function, arguments = calls[int(draw.integers(len(calls)))]
    return function, arguments, {}


def check(seed: int) -> str:
    """Draw one call, make it twice, and check what it did; return what came of it."""
    draw = np.random.default_rng(seed)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        function, arguments, options = pick(draw, on_network, on_network, on_params, plain_call)(draw)
    before = bits((arguments, options))
    results: list[Any] = []
    for _ in range(2):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                results.append(materialised(function(*arguments, **options)))
        except (ValueError, TypeError, FloatingPointError) as error:
            assert SENTENCE.match(str(error)), f"no clear sentence: {type(error).__name__}: {error}"
            results.append(f"{type(error).__name__}: {error}")
        assert bits((arguments, options)) == before, "an argument changed"
    assert bits(results[0]) == bits(results[1]), "another result for the same arguments"
    for result in arrays_in(results[0]):
        for given in arrays_in((arguments, list(options.values()))):
            assert not (given.flags.writeable and np.shares_memory(result, given)), "a result aliases an argument"
    return "raised" if isinstance(results[0], str) else "returned"


def test_random_calls() -> None:
    outcomes = {"raised": 0, "returned": 0}
    for seed in [int(ONLY)] if ONLY else range(COUNT):
        try:
            outcomes[check(seed)] += 1
        except Exception as error:
            pytest.fail(f"NNFUNC_FUZZ_SEED={seed}: {type(error).__name__}: {error}")
    print(f"{COUNT} calls: {outcomes}")
    if not ONLY:
        assert min(outcomes.values()) > 0.15 * COUNT
