"""Every argument of the public functions replaced by what does not belong there: one clear sentence, and a short one.

What a function takes although it stands in the list of wrong values (a 3 for a number, say) must not be an error.
"""

import re
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import nnfunc as nf
from nnfunc import Layer
from nnfunc.transforms import ensemble_forward, ensemble_value_and_grads, stack_params, unstack_params
from recipes.branches import product
from tests.laws.data import NET, PARAMS, YES, X, Y, Z
from tests.numeric import bad

ENTROPY = nf.softmax_cross_entropy
SENTENCE = re.compile(r"^\w+: .+ must .+, got .+", re.DOTALL)
F32 = np.dtype(np.float32)


def unprintable() -> object:
    """Return what raises when it is printed."""

    def fail(self: object) -> str:
        raise RuntimeError

    return type("Unprintable", (), {"__repr__": fail})()


STATE, REPORT = next(nf.train(NET, nf.softmax_cross_entropy, PARAMS, X, Y, epochs=1, lr=0.1))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    MATRIX = np.matrix(X)
WRONG: dict[str, Any] = {
    "none": None, "true": True, "bool": np.True_, "zero": 0, "below zero": -1, "three": 3, "huge": 10**400, "half": 0.5,
    "nan": np.nan, "inf": np.inf, "word": "0.1", "true as a word": "true", "empty word": "", "a long word": "w" * 10**6,
    "bytes": b"x", "complex": 1j, "NumPy's complex": np.complex128(1), "empty list": [], "empty tuple": (), "list": [1, 2],
    "ragged": [1, [2]], "words": ["a", "b"], "nones": [None], "dict": {}, "number by name": {"W": 1}, "number as name": {1: 1.0},
    "none by name": {"a": None}, "no numbers": np.zeros(0), "three axes": np.zeros((2, 2, 2)), "no axes": np.array(3),
    "whole": np.arange(3), "objects": np.array([None, 1]), "text": np.array(["a"]), "complex array": X * 1j, "matrix": MATRIX,
    "masked": np.ma.masked_array(X), "records": np.zeros(2, [("a", "f4")]), "half precision": X.astype(np.float16),
    "dates": np.array(["2020"], "M8[D]"), "object": object(), "unprintable": unprintable(), "function": nf.relu,
    "factory": nf.adam, "optimizer": nf.adam(), "layer": nf.dense(3, 4), "layers": [nf.dense(3, 4), nf.dense(4, 2)],
    "monitor": nf.early_stopping(), "loss": nf.mse, "no arguments": lambda: 0, "three arguments": lambda a, b, c: None,
    "state": STATE, "report": REPORT, "both": (STATE, REPORT), "names": {f"layer{i}/W": np.zeros(1) for i in range(30_000)},
    "a long name": {"n" * 10**6: np.zeros(1)}, "set": {1, 2}, "long list": list(range(10**5)), "not finite": X * np.nan,
    "no rows": X[:0], "nested": [[[[[[[[1]]]]]]]], "range": range(3), "slice": slice(3),
}  # fmt: skip


def back(dy: Any) -> object:
    return nf.vjp(NET, PARAMS, X)[1](dy)


def chained(layer: Any) -> Layer:
    return nf.chain(nf.dense(3, 3), layer)


def joined(schedule: Any, boundary: Any, step: Any) -> float:
    return nf.join_schedules([schedule, nf.constant_schedule(1)], [boundary])(step)


def trained(net: Any, loss_fn: Any, params: Any, x: Any, y: Any, epochs: Any, lr: Any, size: Any, weight: Any) -> object:
    return list(nf.train(net, loss_fn, params, x, y, epochs=epochs, lr=lr, size=size, weight=weight))


def with_loss(function: Any, net: Any, loss_fn: Any, params: Any, x: Any, y: Any, weight: Any, penalty: Any, key: Any) -> object:
    return function(net, loss_fn, params, x, y, weight=weight, penalty=penalty, key=key)


def of_ensemble(net: Any, loss_fn: Any, stacked: Any, x: Any, y: Any, weight: Any, penalty: Any, keys: Any) -> object:
    return ensemble_value_and_grads(net, loss_fn, stacked, x, y, weight=weight, penalty=penalty, keys=keys)


STACKED = stack_params([PARAMS, PARAMS])
ON_LOSS = [NET, ENTROPY, PARAMS, X, Y, YES[:, 0] + 1, nf.l2(0.1), 3]
FIXED = [0, (3, 4), F32]
GROUPS, AVERAGED = nf.by_name({"*W": nf.adam(), "*": nf.adam()}), nf.averaged(nf.adam(), 0.5)
# By the name in the message, or in front of a blank: a call, and right arguments for it.
CALLS: dict[str, tuple[Callable[..., object], list[Any]]] = {
    "dense": (lambda n, k, f: nf.dense(n, k, f), [3, 4, nf.relu]),
    "activation": (nf.activation, [nf.relu]),
    "dropout": (nf.dropout, [0.5]),
    "layer_norm": (nf.layer_norm, [3, 1e-5]),
    "batch_norm": (nf.batch_norm, [3, 1e-5]),
    "residual": (nf.residual, [nf.dense(3, 3)]),
    "embedding": (nf.embedding, [5, 3]),
    "columns": (nf.columns, [1, 3]),
    "concatenate": (nf.concatenate, [nf.dense(3, 4), nf.columns(0, 2)]),
    "combine": (nf.combine, [product, nf.dense(3, 4), nf.dense(3, 4)]),
    "layer_outputs": (nf.layer_outputs, [NET, PARAMS, X, 3]),
    "mlp": (nf.mlp, [[3, 4], nf.relu, nf.tanh]),
    "chain": (chained, [nf.dense(3, 4)]),
    "init": (nf.init, [NET, 0, np.float32]),
    "forward": (nf.forward, [NET, PARAMS, X, 3]),
    "vjp": (nf.vjp, [NET, PARAMS, X, 3]),
    "vjp back": (back, [Z]),
    "watched": (nf.watched, [NET, print]),
    "summary": (nf.summary, [NET, PARAMS]),
    "activation_stats": (nf.activation_stats, [NET, PARAMS, X, 3]),
    "check_params": (nf.check_params, [NET, PARAMS]),
    "check_grads": (lambda net, params: nf.check_grads(net, ENTROPY, params, X, Y, directions=1), [NET, PARAMS]),
    "overfit_check": (lambda net, params: nf.overfit_check(net, ENTROPY, params, X, Y, steps=2), [NET, PARAMS]),
    "diff_params": (nf.diff_params, [PARAMS, PARAMS]),
    **{f.__name__: (partial(with_loss, f), ON_LOSS) for f in (nf.loss, nf.grads, nf.value_and_grads, nf.diagnose)},
    "train": (trained, [NET, ENTROPY, PARAMS, X, Y, 1, 0.1, 2, YES[:, 0] + 1]),
    "sgd_step": (nf.sgd_step, [PARAMS, PARAMS, 0.1]),
    "freeze": (nf.freeze, [PARAMS]),
    "select": (nf.select, [{f"net/{name}": a for name, a in PARAMS.items()}, "net"]),
    "ravel": (nf.ravel, [PARAMS]),
    "unravel": (nf.ravel(PARAMS)[1], [nf.ravel(PARAMS)[0]]),
    "finish": (nf.finish, [[(STATE, REPORT)]]),
    "count_steps": (lambda n, epochs, size: nf.count_steps(n, epochs=epochs, size=size), [10, 2, 3]),
    "map_params": (partial(nf.map_params, np.add), [PARAMS, PARAMS]),
    "adam": (nf.adam, [0.9, 0.999, 1e-8]),
    "adam steps": (nf.adam()[1], [PARAMS, PARAMS, nf.adam()[0](PARAMS), 0.1]),
    "by_name": (lambda o: nf.by_name({"*": o}), [nf.adam()]),
    "by_name of a mapping": (nf.by_name, [{"*": nf.adam()}]),
    "by_name steps": (GROUPS[1], [PARAMS, PARAMS, GROUPS[0](PARAMS), 0.1]),
    "scaled": (nf.scaled, [nf.adam(), 0.1]),
    "scaled steps": (nf.scaled(nf.adam(), 0.1)[1], [PARAMS, PARAMS, nf.adam()[0](PARAMS), 0.1]),
    "averaged": (nf.averaged, [nf.adam(), 0.1]),
    "averaged steps": (AVERAGED[1], [PARAMS, PARAMS, AVERAGED[0](PARAMS), 0.1]),
    "averaged_params": (nf.averaged_params, [AVERAGED[0](PARAMS)]),
    "momentum": (nf.momentum, [0.9, True]),
    "rmsprop": (lambda d, e, c, b, i: nf.rmsprop(d, e, centered=c, beta=b, eps_in_sqrt=i), [0.9, 1e-8, True, 0.1, True]),
    "adagrad": (lambda a, e, i: nf.adagrad(a, e, eps_in_sqrt=i), [0.1, 1e-8, True]),
    "l1": (nf.l1, [0.1, ["W"]]),
    "l2": (nf.l2, [0.1, ["W"]]),
    "l2 of params": (nf.l2(0.1), [PARAMS]),
    "global_norm": (nf.global_norm, [PARAMS]),
    "clip_by_value": (nf.clip_by_value, [PARAMS, 1.0]),
    "clip_by_global_norm": (nf.clip_by_global_norm, [PARAMS, 1.0]),
    "leaky_relu": (nf.leaky_relu, [Z, 0.1]),
    "elu": (nf.elu, [Z, 1.0]),
    "softmax": (nf.softmax, [Z]),
    "he_normal": (nf.he_normal, FIXED),
    "glorot_uniform": (nf.glorot_uniform, FIXED),
    "normal": (nf.normal, [0.1]),
    "normal drawn": (nf.normal(0.1), FIXED),
    "constant": (nf.constant, [0.1]),
    "constant filled": (partial(nf.constant(0.1), 0), FIXED[1:]),
    "zeros": (partial(nf.zeros, 0), FIXED[1:]),
    "huber": (nf.huber, [Z, Z, 1.0]),
    "quantile_loss": (lambda z, t, levels: nf.quantile_loss(z, t, levels), [Z, Z[:, :1], (0.1, 0.9)]),
    "gaussian_nll": (nf.gaussian_nll, [Z, Z[:, :1]]),
    "poisson_nll": (nf.poisson_nll, [Z, np.abs(Z)]),
    "masked": (nf.masked, [nf.mse]),
    "masked calls": (nf.masked(nf.mse), [Z, Z]),
    "softmax_cross_entropy": (nf.softmax_cross_entropy, [Z, Y, 0.1]),
    "linear_schedule": (nf.linear_schedule, [1, 0, 3, 1]),
    "polynomial_schedule": (nf.polynomial_schedule, [1, 0, 2, 3, 1]),
    "exponential_decay": (nf.exponential_decay, [1, 2, 0.5, 1, True, 0.1]),
    "piecewise_constant_schedule": (nf.piecewise_constant_schedule, [1, {2: 0.1}]),
    "cosine_decay_schedule": (nf.cosine_decay_schedule, [1, 3, 0.1, 1.0]),
    "warmup_cosine_decay_schedule": (nf.warmup_cosine_decay_schedule, [0, 1, 1, 5, 0.1, 1.0]),
    "cosine_onecycle_schedule": (nf.cosine_onecycle_schedule, [10, 1, 0.3, 25.0, 1e4]),
    "join_schedules": (joined, [nf.constant_schedule(1), 3, 4]),
    "early_stopping": (nf.early_stopping, [3, 0.0]),
    "early_stopping updates": (nf.early_stopping()[1], [nf.early_stopping()[0](), 1.0]),
    "reduce_on_plateau": (nf.reduce_on_plateau, [0.1, 3, 1e-4, 0.0, 0, 0.0]),
    "reduce_on_plateau updates": (nf.reduce_on_plateau()[1], [nf.reduce_on_plateau()[0](), 1.0]),
    "folds": (nf.folds, [0, 5, 2, Y]),
    "confusion_matrix": (nf.confusion_matrix, [Z, Y]),
    "r2": (nf.r2, [Z, Z]),
    "fold_in": (nf.fold_in, [1, 2]),
    "split": (nf.split, [1, 2]),
    "generator": (nf.generator, [1]),
    "load": (nf.load, ["none"]),
    "stack_params": (lambda *members: stack_params(members), [PARAMS, PARAMS]),
    "stack_params of all": (stack_params, [[PARAMS, PARAMS]]),
    "unstack_params": (unstack_params, [STACKED]),
    "ensemble_forward": (ensemble_forward, [NET, STACKED, X, [1, 2]]),
    "ensemble_value_and_grads": (of_ensemble, [NET, ENTROPY, STACKED, X, Y, YES[:, 0] + 1, nf.l2(0.1), [1, 2]]),
}
# Layers and losses are pieces that a verb only runs, and name themselves.
NAMES_OF_PIECES = {"adam", "chain", "dense", "forward", "pullback", "softmax_cross_entropy", "mse", "constant_schedule"}


@pytest.mark.parametrize("name", CALLS)
def test_every_wrong_argument_meets_one_short_sentence_of_the_function_that_was_called(name: str) -> None:
    call, right = CALLS[name]
    faults = []
    for i in range(len(right)):
        for kind, wrong in WRONG.items():
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    call(*right[:i], wrong, *right[i + 1 :])
            except (ValueError, TypeError, FloatingPointError, OSError) as error:
                message = str(error.strerror if isinstance(error, OSError) else error)
                known = message.partition(":")[0] in NAMES_OF_PIECES | {name.partition(" ")[0]}
                if not SENTENCE.match(message) or len(message) >= 1000 or not known:
                    faults.append(f"{kind} as argument {i}: {type(error).__name__}: {message[:200]}")
    assert not faults


LONG = "n" * 10**6
DEEP = nf.dense(3, 3)
for _ in range(50):
    DEEP = nf.residual(nf.chain(**{"block" * 10: DEEP}))
NETS: dict[str, Layer] = {
    "long": nf.chain(**{LONG: nf.dense(3, 4, nf.relu), "out" + LONG: nf.chain(**{LONG: nf.dense(4, 2)})}),
    "deep": nf.chain(DEEP, nf.dense(3, 2)),
    "wide": nf.chain(*(nf.dense(3, 3) for _ in range(400)), nf.dense(3, 2)),
}
# What is wrong with one of the params, here called W.
SPOILED: dict[str, Callable[[dict[str, Any], str], dict[str, Any]]] = {
    "missing": lambda params, W: {name: a for name, a in params.items() if name != W},
    "extra": lambda params, W: {**params, W + "x": params[W]},
    "shape": lambda params, W: {**params, W: params[W][:1]},
    "nan": lambda params, W: {**params, W: params[W] * np.nan},
    "huge": lambda params, W: {name: a * 1e30 for name, a in params.items()},
    "dtype": lambda params, W: {**params, W: params[W].astype(float)},
    "text": lambda params, W: {**params, W: np.array(["a"])},
    "nested": lambda params, W: {**params, W: {LONG: 1}},
}


@pytest.mark.parametrize("spoiled", SPOILED)
@pytest.mark.parametrize("name", NETS)
def test_messages_stay_short_however_long_the_names_are(name: str, spoiled: str) -> None:
    net = NETS[name]
    good = dict(nf.init(net, 0))
    W = next(iter(good))
    params = SPOILED[spoiled](good, W)
    grown = {**params, "params/" + LONG: np.ones(1)}
    calls: list[Callable[[], object]] = [
        lambda: nf.forward(net, params, X),
        lambda: nf.grads(net, ENTROPY, params, X, Y),
        lambda: nf.loss(net, nf.mse, good, X, Z, penalty=lambda p: (0.0, {W + "x": np.ones(1)})),
        lambda: nf.sgd_step(good, params, 0.1),
        lambda: nf.sgd_step(params, good, 0.1),
        lambda: nf.adam()[1](good, params, nf.adam()[0](good), 0.1),
        lambda: nf.adam()[1](good, good, nf.adam()[0](params), 0.1),
        lambda: nf.summary(net, params),
        lambda: nf.check_params(net, params),
        lambda: nf.calibrate(net, params, X),
        lambda: nf.diagnose(net, ENTROPY, params, X, Y),
        lambda: nf.map_params(np.add, good, params),
        lambda: nf.update_ratio(good, params),
        lambda: list(nf.train(net, ENTROPY, params, X, Y, epochs=1, lr=0.1)),
        lambda: nf.current_params(grown),
        lambda: nf.save("none/none", params),
    ]
    raised = 0
    with np.errstate(all="ignore"):
        for call in calls:
            try:
                call()
            except (ValueError, TypeError, FloatingPointError, OSError) as error:
                raised += 1
                assert len(str(error)) < 1000
    assert raised > 1


@pytest.mark.parametrize("wrong", [True, np.True_, 1, "true", "0.5", None, b"", [True]], ids=repr)
def test_words_and_numbers_are_no_booleans_and_none_of_them_a_rate(wrong: Any) -> None:
    is_flag = isinstance(wrong, bool | np.bool_)
    for call in (
        lambda: nf.momentum(nesterov=wrong),
        lambda: nf.rmsprop(centered=wrong),
        lambda: nf.rmsprop(eps_in_sqrt=wrong),
        lambda: nf.adagrad(eps_in_sqrt=wrong),
        lambda: nf.exponential_decay(1.0, 2, 0.5, staircase=wrong),
    ):
        if is_flag:
            call()
        else:
            with pytest.raises(TypeError, match="must be True or False, got"):
                call()
    for make in (nf.l2, nf.adam, nf.constant_schedule, partial(nf.rmsprop, 0.9), partial(nf.layer_norm, 3), nf.normal):
        if wrong != 1 or is_flag:
            with pytest.raises(TypeError, match="must be a number, got"):
                make(wrong)


def test_a_training_state_in_place_of_params_is_told_the_way_out() -> None:
    for call in (
        lambda state: nf.forward(NET, state, X),
        lambda state: nf.loss(NET, nf.softmax_cross_entropy, state, X, Y),
        lambda state: nf.vjp(NET, state, X),
        lambda state: nf.sgd_step(state, PARAMS, 0.1),
        lambda state: nf.calibrate(NET, state, X),
        lambda state: nf.summary(NET, state),
        lambda state: nf.check_params(NET, state),
        lambda state: nf.check_grads(NET, nf.softmax_cross_entropy, state, X, Y),
        lambda state: nf.overfit_check(NET, nf.softmax_cross_entropy, state, X, Y),
        lambda state: nf.diagnose(NET, nf.softmax_cross_entropy, state, X, Y),
        lambda state: nf.adam()[0](state),
        nf.l2(0.1),
        nf.global_norm,
    ):
        with pytest.raises(TypeError, match=r"got a training state \(current_params\(state\) takes its params out\)"):
            bad(call)(STATE)
        bad(call)(nf.current_params(STATE))
