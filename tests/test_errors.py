"""Bad input meets one clear sentence: function, argument, constraint, value."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from nnfunc import (
    Params,
    Report,
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
    dropout,
    early_stopping,
    elu,
    exponential_decay,
    fit_scaler,
    fold_in,
    forward,
    freeze,
    global_norm,
    glorot_uniform,
    grads,
    huber,
    init,
    join_schedules,
    l1,
    l2,
    layer_norm,
    leaky_relu,
    linear_schedule,
    loss,
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
    sgd,
    sgd_step,
    sigmoid,
    sigmoid_cross_entropy,
    softmax,
    softmax_cross_entropy,
    split,
    split_rows,
    standardize,
    summary,
    table,
    train,
    update_ratio,
    value_and_grads,
    vjp,
    warmup_cosine_decay_schedule,
)
from tests.numeric import bad

NET = chain(hidden=dense(4, 3, relu), out=dense(3, 2))
P = init(NET, 0)
X = np.ones((5, 4), np.float32)
Y = np.array([0, 1, 1, 0, 1])
CE = softmax_cross_entropy
AFFINE = init(chain(a=dense(4, 4)), 0)
MISFIT = chain(a=residual(chain(dense(4, 3), dense(2, 4))))


BN = chain(n=batch_norm(4))
BNP = calibrate(BN, init(BN, 0), np.eye(5, 4))
STEADY = constant_schedule(1)
WATCHED = early_stopping()[0]()


def run(**changed: Any) -> Iterator[tuple[State, Report]]:
    """Start a small training run with some arguments changed."""
    own: dict[str, Any] = {"net": NET, "loss_fn": CE, "params": P, "x": X, "y": Y, "epochs": 1, "lr": 0.1}
    return train(**{**own, **changed})


def resume(gone: str) -> Iterator[tuple[State, Report]]:
    """Go on from a state of which what starts so is gone."""
    return run(params={name: a for name, a in next(run())[0].items() if not name.startswith(gone)}, epochs=2)


def stepping(step: Callable[[Params], object]) -> Any:
    return (lambda params: {}), (lambda params, grads, state, lr: step(params))


def giving(value: object) -> Any:
    return {"m": lambda outputs, y: value}


def sum1(a: float) -> float:
    return a


def without(name: str) -> dict[str, Any]:
    return {n: a for n, a in P.items() if n != name}


def custom(forward_fn: Callable[..., Any]) -> Any:
    return (lambda key, dtype: {}), forward_fn


ASKS = custom(lambda p, x, k: (x * p["s"], lambda dy: ({}, lambda: dy)))

# (call, exception, the whole message as a pattern)
CASES: list[tuple[Callable[[], object], type[Exception], str]] = [
    # inputs
    (lambda: forward(NET, P, X[:, :3]), ValueError, r"dense: hidden/x must have shape \(rows, 4\), got \(5, 3\)"),
    (lambda: forward(NET, P, X[0]), ValueError, r"dense: hidden/x must have shape \(rows, 4\); .*, got \(4,\)"),
    (lambda: forward(NET, P, X[:0]), ValueError, r"forward: x must hold at least one row, got .*\(0, 4\)"),
    (lambda: forward(NET, P, 1.0), ValueError, r"forward: x must hold at least one row, got .*"),
    (lambda: forward(NET, P, X.astype(int)), TypeError, r"forward: x must be a float32 .*, got int64 array.*"),
    (lambda: forward(NET, P, X > 0), TypeError, r"forward: x must be a float32 .*, got bool array.*"),
    (lambda: forward(NET, P, X.astype(np.float16)), TypeError, r"forward: x must be a float32 .*, got float16 array.*"),
    (lambda: forward(NET, P, X.astype(object)), TypeError, r"forward: x must be a float32 .*, got object array.*"),
    (lambda: forward(NET, P, X.astype(complex)), TypeError, r"forward: x must be a float32 .*, got complex128 array.*"),
    (lambda: forward(NET, P, bad([["a"] * 4])), TypeError, r"forward: x must hold numbers, got <U1 array.*"),
    (lambda: forward(NET, P, bad([[1.0], [1.0, 2.0]])), ValueError, r"forward: x must have rows of one length, .*"),
    (lambda: forward(NET, P, bad(None)), TypeError, r"forward: x must hold numbers, got object array.*"),
    (lambda: forward(NET, P, np.ma.masked_array(X)), TypeError, r"forward: x must be a plain array.*"),
    (lambda: vjp(NET, P, X)[1](np.ones((5, 3))), ValueError, r"vjp: dy must have the shape \(5, 2\) of y, got \(5, 3\)"),
    # params
    (lambda: forward(NET, without("hidden/b"), X), ValueError, r"dense: hidden/b must be in params, got only \['W'\]"),
    (lambda: forward(NET, {}, X), ValueError, r"dense: hidden/W must be in params, got only \[\]"),
    (lambda: forward(NET, {**P, "hidden/c": P["out/b"]}, X), ValueError, r"dense: hidden/c must not be in params.*"),
    (lambda: forward(NET, {**P, "foo": P["out/b"]}, X), ValueError, r"chain: foo must belong to .*, got hidden, out"),
    (
        lambda: forward(NET, {**P, "out/W": P["out/b"]}, X),
        ValueError,
        r"dense: out/W must have shape \(3, 2\), got \(2,\)",
    ),
    (lambda: forward(activation(relu), P, X), ValueError, r"activation: hidden/W must not be in params.*"),
    (
        lambda: forward(NET, {**P, "out/b": np.zeros(2)}, X),
        TypeError,
        r"forward: params must share one dtype, got .*out/b float64",
    ),
    (
        lambda: forward(NET, {**P, "out/b": bad(np.zeros(2, int))}, X),
        TypeError,
        r"forward: out/b must be a float32 or float64 array, got int64 array.*",
    ),
    (lambda: forward(NET, bad(None), X), TypeError, r"forward: params must be a mapping .*, got None"),
    (lambda: forward(NET, bad([X]), X), TypeError, r"forward: params must be a mapping .*"),
    (lambda: freeze(bad([1])), TypeError, r"freeze: mapping must be a mapping of names to arrays, got \[1\]"),
    (lambda: freeze(bad({1: X})), TypeError, r"freeze: mapping must have strings as names, got 1"),
    (lambda: freeze({"a": bad("x")}), TypeError, r"freeze: a must hold numbers, got <U1 array.*"),
    # targets
    (lambda: loss(NET, CE, P, X, Y[:3]), ValueError, r"loss: y must have one target for each of the 5 rows of x, got .*"),
    (lambda: grads(NET, CE, P, X[:0], Y[:0]), ValueError, r"grads: x must hold at least one row, got .*"),
    (lambda: loss(NET, CE, P, X, Y + 1), ValueError, r"softmax_cross_entropy: targets must be classes from 0 to 1, got 2 at row 1"),
    (lambda: loss(NET, CE, P, X, Y - 1), ValueError, r"softmax_cross_entropy: targets must be classes .*, got -1 at row 0"),
    (lambda: loss(NET, CE, P, X, Y + 0.5), TypeError, r"softmax_cross_entropy: targets must be integers.*, got float32 .*"),
    (lambda: loss(NET, CE, P, X, Y > 0), TypeError, r"softmax_cross_entropy: targets must be integers.*, got bool .*"),
    (lambda: loss(NET, CE, P, X, bad(["a"] * 5)), TypeError, r"loss: y must hold numbers, got .*"),
    (lambda: loss(NET, CE, P, X, np.ones((5, 2))), ValueError, r"softmax_cross_entropy: targets must be prob.*sum to 1.*"),
    (lambda: loss(NET, mse, P, X, Y), ValueError, r"mse: targets must have the shape \(5, 2\) of the outputs, got \(5,\)"),
    (lambda: mse(np.zeros(0), np.zeros(0)), ValueError, r"mse: outputs must hold at least one row .*"),
    (
        lambda: sigmoid_cross_entropy(np.zeros((2, 1)), np.array([[-1], [1]])),
        ValueError,
        r"sigmoid_cross_entropy: targets must lie in \[0, 1\], got -1.0",
    ),
    (lambda: cross_entropy(np.array([[-2.0, 3]]), np.array([1])), ValueError, r"cross_entropy: outputs must be prob.*, got -2.0"),
    (
        lambda: binary_cross_entropy(np.array([[3.0]]), np.array([[1]])),
        ValueError,
        r"binary_cross_entropy: outputs must be probabilities .*, got 3.0",
    ),
    (lambda: cross_entropy(np.array([0.5]), np.array([0])), ValueError, r"cross_entropy: outputs must have shape \(n, k\).*"),
    # weights, options
    (lambda: loss(NET, CE, P, X, Y, weight=[1, 2]), ValueError, r"loss: weight must have shape \(5,\).*, got \(2,\)"),
    (lambda: loss(NET, CE, P, X, Y, weight=[-1, 1, 1, 1, 1]), ValueError, r"loss: weight must be finite, .*got .* -1 to 1"),
    (lambda: loss(NET, CE, P, X, Y, weight=np.zeros(5)), ValueError, r"loss: weight must be .*not all 0, got .* 0 to 0"),
    (lambda: loss(NET, CE, P, X, Y, weight=[np.nan] * 5), ValueError, r"loss: weight must be finite.*nan to nan"),
    (lambda: loss(NET, CE, P, X, Y, weight=[np.inf] * 5), ValueError, r"loss: weight must be finite.*inf to inf"),
    (lambda: CE(X, Y, label_smoothing=1), ValueError, r"softmax_cross_entropy: label_smoothing must lie in \[0, 1\), got 1.0"),
    (lambda: CE(X, Y, label_smoothing=-0.1), ValueError, r"softmax_cross_entropy: label_smoothing must lie in \[0, 1\), got .*"),
    (lambda: huber(X, X, delta=-1), ValueError, r"huber: delta must be finite and at least 0, got -1.0"),
    (lambda: huber(X, X, delta=bad("a")), TypeError, r"huber: delta must be a number, got 'a'"),
    (lambda: dense(1, 1, partial(leaky_relu, negative_slope=1)), ValueError, r"leaky_relu: negative_slope must lie in \[0, 1\).*"),
    (lambda: dense(1, 1, partial(elu, alpha=-1)), ValueError, r"elu: alpha must be finite and at least 0, got -1.0"),
    (lambda: dense(1, 1, bad(partial)(relu, slope=1)), TypeError, r"dense: activation must have the options given, got .*"),
    # custom pieces
    (lambda: loss(NET, bad(5), P, X, Y), TypeError, r"loss: loss_fn must be a function .*, got 5"),
    (lambda: loss(NET, bad(lambda o, y: o.mean()), P, X, Y), TypeError, r"loss: loss_fn must return a pair .*"),
    (lambda: loss(NET, lambda o, y: (o.mean(), o), P, X, Y), ValueError, r"loss: loss_fn must return .* \(5,\), not yet .*"),
    (lambda: loss(NET, lambda o, y: (o[:, 0], o[:, 0]), P, X, Y), ValueError, r"loss: loss_fn must return a gradient .*"),
    (
        lambda: loss(NET, lambda o, y: (o[:, 0], o.astype(float)), P, X, Y),
        TypeError,
        r"loss: loss_fn must keep the dtype float32 .*, got float64 array.*",
    ),
    (lambda: loss(NET, CE, P, X, Y, penalty=bad(0.1)), TypeError, r"loss: penalty must be a function .*, got 0.1"),
    (lambda: loss(NET, CE, P, X, Y, penalty=bad(lambda p: 0.1)), TypeError, r"loss: penalty must return a pair .*, got 0.1"),
    (
        lambda: grads(NET, CE, P, X, Y, penalty=lambda p: (0.0, {"W": X})),
        ValueError,
        r"grads: the penalty's grads must have names that are in params .*, got W",
    ),
    (lambda: forward(bad(relu), P, X), TypeError, r"forward: net must be a pair of functions .*, got the function relu"),
    (lambda: init(bad(dense(1, 1)[::-1]), 0), TypeError, r"init: net must be \(init\(key, dtype\), forward\(.*"),
    (lambda: chain(bad(dense(1, 1)[::-1])), TypeError, r"chain: layer 0 must be \(init\(key, dtype\), forward\(.*"),
    (lambda: residual(bad(relu)), TypeError, r"residual: layer must be a pair of functions .*"),
    (lambda: init(bad(((lambda key, dtype: None), dense(1, 1)[1])), 0), TypeError, r"init: net must give a mapping .*"),
    (lambda: forward(custom(lambda p, x, k: x), {}, X), TypeError, r"forward: result must be a pair \(y, pullback\).*"),
    (lambda: forward(custom(lambda p, x, k: p["V"]), P, X), ValueError, r"forward: params\['V'\] must be there.*"),
    (
        lambda: forward(chain(a=custom(lambda p, x, k: p["V"])), {}, X),
        ValueError,
        r"layer: a/V must be in params, got no such name",
    ),
    (
        lambda: forward(chain(a=residual(dense(4, 3))), {"a/W": P["hidden/W"], "a/b": P["hidden/b"]}, X),
        ValueError,
        r"residual: a/layer must keep the shape \(5, 4\) of x, got \(5, 3\)",
    ),
    (
        lambda: forward(MISFIT, init(MISFIT, 0), X),
        ValueError,
        r"dense: a/1/x must have shape \(rows, 2\), got \(5, 3\)",
    ),
    (lambda: forward(dense(4, 2, (np.sum, np.cos)), init(dense(4, 2), 0), X), ValueError, r"activation: f must return .*"),
    (
        lambda: forward(dense(4, 2, (lambda z: z * np.float64(2), np.cos)), init(dense(4, 2), 0), X),
        TypeError,
        r"activation: f must keep the dtype float32, got float64 array.*",
    ),
    (
        lambda: grads(chain(a=dense(4, 4), b=custom(lambda p, x, k: (x, lambda dy: ({}, dy)))), mse, AFFINE, X, X),
        TypeError,
        r"pullback: b/dx must be a function that computes it, got float32 array of shape \(5, 4\)",
    ),
    (
        lambda: grads(chain(a=dense(4, 4), b=custom(lambda p, x, k: (x, lambda dy: ({}, lambda: dy[0])))), mse, AFFINE, X, X),
        ValueError,
        r"pullback: b/dx must have the shape \(5, 4\) of x, got float32 array of shape \(4,\)",
    ),
    (
        lambda: grads(chain(a=dense(4, 4), b=custom(lambda p, x, k: (x, lambda dy: (None, lambda: dy)))), mse, AFFINE, X, X),
        TypeError,
        r"pullback: b/result must be a pair \(grads by name, dx\), got .*",
    ),
    (
        lambda: grads(dense(4, 4), mse, {n[2:]: a for n, a in AFFINE.items()}, X, X, penalty=bad(lambda p: (0.0, [1]))),
        TypeError,
        r"grads: penalty must return a pair \(value, grads by name\), got .*",
    ),
    (
        lambda: loss(NET, CE, P, X, Y * 2, weight=[0, 0, 1, 1, 0]),
        ValueError,
        r"softmax_cross_entropy: targets must be .*, got 2 at row 0 \(rows of weight 0 not counted\)",
    ),
    (lambda: init(chain(a=bad((lambda key, dtype: None, dense(1, 1)[1]))), 0), TypeError, r"init: a/params must be a map.*"),
    (lambda: forward(NET, bad({1: X}), X), TypeError, r"forward: params must have strings as names, got 1"),
    (lambda: dense(1, 1, bad([1])), TypeError, r"dense: activation must be one of relu, .*, got \[1\]"),
    (lambda: dense(1, 1, bad((np.sin, {}))), TypeError, r"dense: activation must be one of relu, .*"),
    (lambda: dense(1, 1, bad(partial)(elu, 0.5)), TypeError, r"dense: activation must be .*options as keywords.*"),
    (lambda: mlp(bad(3)), TypeError, r"mlp: sizes must be a sequence of integers, got 3"),
    (lambda: fit_scaler([[1e300], [-1e300]]), FloatingPointError, r"fit_scaler: x must have a finite spread, got column 0.*"),
    (lambda: accuracy(Y[:, None] + X, np.full((5, 4), 7)), ValueError, r"accuracy: y must have one 1 and else 0 .*"),
    # sizes, names, keys
    (lambda: dense(0, 1), ValueError, r"dense: n_in must be at least 1, got 0"),
    (lambda: dense(1, -2), ValueError, r"dense: n_out must be at least 1, got -2"),
    (lambda: dense(bad(1.5), 1), TypeError, r"dense: n_in must be an integer, got 1.5"),
    (lambda: dense(bad(True), 1), TypeError, r"dense: n_in must be an integer, got True"),
    (lambda: dense(1, 1, bad("relu")), TypeError, r"dense: activation must be one of relu, .*, got 'relu'"),
    (lambda: dense(1, 1, np.sin), TypeError, r"dense: activation must be one of .*, got .*sin.*"),
    (lambda: dense(1, 1, w_init=bad(0.1)), TypeError, r"dense: w_init must be a function \(key, shape, dtype\) .*, got 0.1"),
    (lambda: init(dense(1, 2, w_init=lambda k, s, d: np.zeros(3)), 0), ValueError, r"dense: w_init must return .*\(1, 2\).*"),
    (lambda: mlp([3]), ValueError, r"mlp: sizes must hold at least two sizes, got \[3\]"),
    (lambda: mlp([3, 0]), ValueError, r"mlp: sizes must be at least 1, got 0"),
    (lambda: chain(), ValueError, r"chain: layers must hold at least one layer, got none"),
    (lambda: chain(dense(1, 1), **{"0": dense(1, 1)}), ValueError, r"chain: layers must have names that differ, got '0' twice"),
    (lambda: chain(**{"a/b": dense(1, 1)}), ValueError, r"chain: layers must have names .*, got 'a/b'"),
    (lambda: chain(**{"": dense(1, 1)}), ValueError, r"chain: layers must have names .*, got ''"),
    (lambda: init(NET, -1), ValueError, r"split: key must be at least 0, got -1"),
    (lambda: init(NET, bad("seed")), TypeError, r"split: key must be an integer, got 'seed'"),
    (lambda: init(NET, 0, np.int32), TypeError, r"init: dtype must be float32 or float64, got the type int32"),
    (lambda: init(NET, 0, np.float16), TypeError, r"init: dtype must be float32 or float64, got the type float16"),
    (lambda: init(NET, 0, bad("f5")), TypeError, r"init: dtype must be float32 or float64, got 'f5'"),
    (lambda: fold_in(0, -1), ValueError, r"fold_in: i must be at least 0, got -1"),
    (lambda: fold_in(0, 2**32), ValueError, r"fold_in: key must hold ints below 2\*\*32, got .*"),
    (lambda: split(0, 0), ValueError, r"split: n must be at least 1, got 0"),
    (lambda: glorot_uniform(0, (3,), np.dtype(np.float32)), ValueError, r"glorot_uniform: shape must be \(n_in, n_out\), got \(3,\)"),
    (lambda: normal(-1), ValueError, r"normal: stddev must be finite and at least 0, got -1.0"),
    (lambda: constant(np.inf), ValueError, r"constant: value must be finite, got inf"),
    # steps
    (lambda: sgd_step(P, P, -0.1), ValueError, r"sgd_step: lr must be finite and at least 0, got -0.1"),
    (lambda: sgd_step(P, P, np.nan), ValueError, r"sgd_step: lr must be finite and at least 0, got nan"),
    (lambda: sgd_step(P, P, bad("1")), TypeError, r"sgd_step: lr must be a number, got '1'"),
    (lambda: sgd_step(P, {"W": X}, 0.1), ValueError, r"sgd_step: grads must have names that are in params .*, got W"),
    (lambda: sgd_step(P, {"out/b": X}, 0.1), ValueError, r"sgd_step: grads\['out/b'\] must have shape \(2,\), got \(5, 4\)"),
    # data
    (lambda: batches(0, 0, 1), ValueError, r"batches: n must be at least 1, got 0"),
    (lambda: batches(0, 5, -1), ValueError, r"batches: size must be at least 1, got -1"),
    (lambda: batches(-1, 5, 1), ValueError, r"generator: key must be at least 0, got -1"),
    (lambda: split_rows(0, 10, 1.0), ValueError, r"split_rows: fraction must lie in \(0, 1\), got 1.0"),
    (lambda: split_rows(0, 10, 0.01), ValueError, r"split_rows: fraction must leave rows of 10 in both parts, got 0.01"),
    (lambda: split_rows(0, 10, 0.5, labels=Y), ValueError, r"split_rows: labels must have shape \(10,\).*, got \(5,\)"),
    (lambda: one_hot(Y, 1), ValueError, r"one_hot: y must be classes from 0 to 0, got 1 at row 1"),
    (lambda: one_hot([0.5], 2), TypeError, r"one_hot: y must be integers.*, got float64 array.*"),
    (lambda: class_weight(Y, [1.0]), ValueError, r"class_weight: y must be classes from 0 to 0, got 1 at row 1"),
    (lambda: class_weight(Y, [1.0, -1.0]), ValueError, r"class_weight: weights must be finite and at least 0, .*"),
    (lambda: class_weight(Y, bad("even")), ValueError, r"class_weight: weights must be one per class.*, got 'even'"),
    (lambda: class_weight([0, -1], "balanced"), ValueError, r"class_weight: y must be classes from 0 on, got -1 at row 1"),
    (lambda: fit_scaler([[np.nan]]), FloatingPointError, r"fit_scaler: x must be finite, got nan at \[0, 0\].*"),
    (lambda: fit_scaler([1.0]), ValueError, r"fit_scaler: x must have shape \(n, k\).*, got \(1,\)"),
    (lambda: standardize(X, fit_scaler(X[:, :2])), ValueError, r"standardize: x must have the 2 columns .*, got \(5, 4\)"),
    (lambda: standardize(X, P), ValueError, r"standardize: scaler must hold 'mean', .*"),
    (lambda: accuracy(X, Y[:2]), ValueError, r"accuracy: y must have shape \(5,\).*, got \(2,\)"),
    (lambda: accuracy(X[:, :1], Y[:, None]), ValueError, r"accuracy: threshold must be given .*, got None"),
    (lambda: accuracy(X[:, :1], Y[:, None] * 2, threshold=0), ValueError, r"accuracy: y must be 0 or 1 .*"),
    (lambda: accuracy(X * np.nan, Y), FloatingPointError, r"accuracy: outputs must be finite, got nan at \[0, 0\].*"),
    (lambda: softmax(np.zeros((2, 0))), ValueError, r"softmax: z must have a last axis .*"),
    (lambda: sigmoid(bad(["a"])), TypeError, r"sigmoid: z must hold numbers, got .*"),
    (lambda: check_grads(NET, CE, P, X, Y, eps=0), ValueError, r"check_grads: eps must be above 0, got 0.0"),
    (lambda: check_grads(NET, CE, P, X, Y, directions=0), ValueError, r"check_grads: directions must be at least 1, got 0"),
    (lambda: check_grads(activation(relu), mse, {}, X, X), ValueError, r"check_grads: params must hold at least one .*"),
    # regularisation
    (lambda: l2(-1), ValueError, r"l2: rate must be finite and at least 0, got -1.0"),
    (lambda: l1(bad("a")), TypeError, r"l1: rate must be a number, got 'a'"),
    (lambda: dropout(1), ValueError, r"dropout: rate must lie in \[0, 1\), got 1.0"),
    (lambda: dropout(-0.1), ValueError, r"dropout: rate must lie in \[0, 1\), got -0.1"),
    (lambda: forward(dropout(0.1), P, X), ValueError, r"dropout: hidden/W must not be in params, which are none, got shape .*"),
    (lambda: layer_norm(0), ValueError, r"layer_norm: n must be at least 1, got 0"),
    (lambda: batch_norm(2, eps=0), ValueError, r"batch_norm: eps must be above 0, got 0.0"),
    (lambda: forward(layer_norm(3), init(layer_norm(3), 0), X), ValueError, r"layer_norm: x must have shape \(rows, 3\), got \(5, 4\)"),
    (lambda: forward(layer_norm(4), {"gamma": X[0]}, X), ValueError, r"layer_norm: beta must be in params, got only \['gamma'\]"),
    (
        lambda: forward(BN, init(BN, 0), X),
        ValueError,
        r"batch_norm: n/mean must be in params for inference \(calibrate puts it there; a training pass takes a key\), got only .*",
    ),
    (
        lambda: grads(BN, mse, init(BN, 0), X[:1], X[:1], key=0),
        ValueError,
        r"batch_norm: n/x must hold at least two rows in a training pass, whose statistics are the batch's, got one row",
    ),
    (lambda: calibrate(BN, init(BN, 0), X[:1]), ValueError, r"batch_norm: n/x must hold at least two rows .*, got one row"),
    (lambda: calibrate(BN, init(BN, 0), X[:, :3]), ValueError, r"batch_norm: n/x must have shape \(rows, 4\), got \(5, 3\)"),
    (lambda: calibrate(BN, init(BN, 0), X * np.inf), FloatingPointError, r"calibrate: x must be finite, got inf at \[0, 0\] .*"),
    (
        lambda: calibrate(BN, {**init(BN, 0), "n/beta": np.full(4, np.nan, np.float32)}, bad(np.eye(5, 4)) * 1e30),
        FloatingPointError,
        r"calibrate: n/beta must be finite, got nan at \[0\] .*",
    ),
    (
        lambda: calibrate(BN, init(BN, 0), np.eye(5, 4, dtype=np.float32) * 1e30),
        FloatingPointError,
        r"batch_norm: n/the var of x must be finite, got column 0",
    ),
    (lambda: calibrate(ASKS, {}, X), ValueError, r"calibrate: params\['s'\] must be there, got only \[\]"),
    (lambda: calibrate(residual(ASKS), {}, X), ValueError, r"calibrate: params\['s'\] must be there, got only \[\]"),
    (lambda: calibrate(BN, init(BN, 0), X, size=0), ValueError, r"calibrate: size must be at least 1, got 0"),
    (lambda: forward(BN, {**BNP, "n/var": -BNP["n/gamma"]}, X), ValueError, r"batch_norm: n/var must be at least 0, got -1.0"),
    (lambda: grads(BN, mse, init(BN, 0), X, X), ValueError, r"grads: key must be given, as layer n is batch norm .*, got None"),
    # optimisers
    (lambda: momentum(1.0), ValueError, r"momentum: beta must lie in \[0, 1\), got 1.0"),
    (lambda: rmsprop(decay=-1), ValueError, r"rmsprop: decay must lie in \[0, 1\), got -1.0"),
    (lambda: adagrad(eps=0), ValueError, r"adagrad: eps must be above 0, got 0.0"),
    (lambda: adam(b1=1.5), ValueError, r"adam: b1 must lie in \[0, 1\), got 1.5"),
    (lambda: adamw(weight_decay=-1), ValueError, r"adamw: weight_decay must be finite and at least 0, got -1.0"),
    (lambda: adam()[1](P, P, adam()[0](P), -1), ValueError, r"adam: lr must be finite and at least 0, got -1.0"),
    (lambda: adam()[1](P, P, momentum()[0](P), 1), ValueError, r"adam: state must hold only t, m, v of each .*, got 'velocity/hidden/W'"),
    (lambda: sgd()[1](P, P, adam()[0](P), 1), ValueError, r"sgd: state must be empty, as sgd remembers nothing, got 't/hidden/W'"),
    (lambda: adam()[1](P, P, {}, 1), ValueError, r"adam: state must hold 't/hidden/W' .*, got \[\]"),
    (lambda: adam()[1](AFFINE, AFFINE, adam()[0](P), 1), ValueError, r"adam: state must hold only .*, got 't/hidden/W'"),
    (
        lambda: momentum()[1](P, P, {**momentum()[0](P), "velocity/out/b": X}, 1),
        ValueError,
        r"momentum: state\['velocity/out/b'\] must have shape \(2,\), got float32 array of shape \(5, 4\)",
    ),
    (
        lambda: momentum()[1](P, P, {**momentum()[0](P), "velocity/out/b": np.zeros(2)}, 1),
        TypeError,
        r"momentum: state\['velocity/out/b'\] must be float32, got float64 array of shape \(2,\)",
    ),
    (lambda: adam()[1](P, P, bad(None), 1), TypeError, r"adam: state must be a mapping .*, got None"),
    (lambda: adam()[1](P, {"W": X}, adam()[0](P), 1), ValueError, r"adam: grads must have names that are in params .*, got W"),
    (lambda: adam()[1](P, {"out/b": X}, adam()[0](P), 1), ValueError, r"adam: grads\['out/b'\] must have shape \(2,\), got \(5, 4\)"),
    (lambda: clip_by_value(P, 0), ValueError, r"clip_by_value: limit must be above 0, got 0.0"),
    (lambda: clip_by_global_norm(P, np.nan), ValueError, r"clip_by_global_norm: limit must be finite, got nan"),
    (lambda: global_norm(bad([X])), TypeError, r"global_norm: grads must be a mapping of names to arrays, got .*"),
    (lambda: sgd_step(P, bad(None), 0.1), TypeError, r"sgd_step: grads must be a mapping of names to arrays, got None"),
    (lambda: adam()[1](P, bad(None), adam()[0](P), 1), TypeError, r"adam: grads must be a mapping of names to arrays, got None"),
    (lambda: clip_by_value(bad(None), 1), TypeError, r"clip_by_value: grads must be a mapping of names to arrays, got None"),
    (lambda: adam()[0](bad({1: X})), TypeError, r"adam: params must have strings as names, got 1"),
    (lambda: l2(1)(bad({1: X})), TypeError, r"l2: params must have strings as names, got 1"),
    (lambda: sgd_step(P, bad({1: X}), 0.1), TypeError, r"sgd_step: grads must have strings as names, got 1"),
    (lambda: sgd_step(P, {"out/b": bad(X > 0)}, 1), TypeError, r"sgd_step: grads\['out/b'\] must be a float32 .*, got bool .*"),
    (lambda: clip_by_value(P, 10**400), ValueError, r"clip_by_value: limit must be a number that a float can hold, got 1000.*"),
    (lambda: sgd_step(P, P, 10**5000), ValueError, r"sgd_step: lr must be a number that a float can hold, got a very long int"),
    (lambda: l2(10**400), ValueError, r"l2: rate must be a number that a float can hold, got 1000.*"),
    (lambda: sgd_step(P, P, bad(np.array([0.1]))), TypeError, r"sgd_step: lr must be a number, got float64 array of shape \(1,\)"),
    (lambda: batch_norm(bad(np.array([3]))), TypeError, r"batch_norm: n must be an integer, got int64 array of shape \(1,\)"),
    (
        lambda: calibrate(BN, init(BN, 0), X, size=bad(np.array([0.1]))),
        TypeError,
        r"calibrate: size must be an integer, got float64 array of shape \(1,\)",
    ),
    (lambda: adam(eps=1e-50)[0](P), ValueError, r"adam: eps must be a number that float32, .*, can hold, got 1e-50"),
    (lambda: rmsprop(eps=1e-50)[0](P), ValueError, r"rmsprop: eps must be a number that float32, .*, can hold, got 1e-50"),
    (lambda: adagrad(1e39)[0](P), ValueError, r"adagrad: initial_accumulator must be a number that float32, .*, got 1e\+39"),
    (
        lambda: adam()[1](P, P, {**adam()[0](P), "t/out/b": np.asarray(-1)}, 1),
        ValueError,
        r"adam: state\['t/out/b'\] must be at least 0, got -1",
    ),
    # schedules and monitors
    (lambda: linear_schedule(1, 0, -3), ValueError, r"linear_schedule: transition_steps must be at least 1, got -3"),
    (lambda: linear_schedule(1, 0, 3, -1), ValueError, r"linear_schedule: transition_begin must be at least 0, got -1"),
    (lambda: linear_schedule(np.nan, 0, 3), ValueError, r"linear_schedule: init_value must be finite, got nan"),
    (lambda: constant_schedule(1)(-1), ValueError, r"constant_schedule: step must be at least 0, got -1"),
    (lambda: polynomial_schedule(1, 0, 0, 3), ValueError, r"polynomial_schedule: power must be above 0, got 0.0"),
    (lambda: exponential_decay(1, 0, 0.5), ValueError, r"exponential_decay: transition_steps must be at least 1, got 0"),
    (lambda: exponential_decay(1, 2, 0), ValueError, r"exponential_decay: decay_rate must be above 0, got 0.0"),
    (lambda: piecewise_constant_schedule(1, {-1: 0.5}), ValueError, r"piecewise_constant_schedule: bound.* at least 0, got -1"),
    (lambda: piecewise_constant_schedule(1, bad([1])), TypeError, r"piecewise_constant_schedule: bound.* be a mapping .*"),
    (lambda: cosine_decay_schedule(1, -5), ValueError, r"cosine_decay_schedule: decay_steps must be at least 1, got -5"),
    (lambda: cosine_decay_schedule(1, 5, exponent=0), ValueError, r"cosine_decay_schedule: exponent must be above 0, got 0.0"),
    (lambda: warmup_cosine_decay_schedule(0, 1, 5, 5), ValueError, r"warmup_cosine_.*: decay_steps must be above warmup_steps.*, got 5"),
    (lambda: cosine_onecycle_schedule(10, 1, 0.01), ValueError, r"cosine_onecycle_schedule: pct_start must leave .*, got 0.01"),
    (lambda: cosine_onecycle_schedule(10, 1, 0.3, 0), ValueError, r"cosine_onecycle_schedule: div_factor and .* above 0, got .*"),
    (lambda: join_schedules([], []), ValueError, r"join_schedules: schedules must be one more than the 0 boundaries, got 0"),
    (lambda: join_schedules([STEADY] * 3, [5, 2]), ValueError, r"join_schedules: boundaries must rise, got \[5, 2\]"),
    (lambda: join_schedules(bad([0.1]), []), TypeError, r"join_schedules: schedules must be a function step -> float, got 0.1"),
    (lambda: join_schedules(bad(None), [1]), TypeError, r"join_schedules: schedules must be a sequence of schedules, got None"),
    (lambda: join_schedules([STEADY] * 2, bad(1)), TypeError, r"join_schedules: boundaries must be a sequence of steps, got 1"),
    (lambda: early_stopping()[1](WATCHED, 10**400), ValueError, r"early_stopping: metric must be a number that a float .*, got 1000.*"),
    (
        lambda: early_stopping()[1]({**WATCHED, "best": bad("x")}, 1.0),
        TypeError,
        r"early_stopping: state\['best'\] must be a single number, got 'x'",
    ),
    (
        lambda: early_stopping()[1]({**WATCHED, "wait": np.asarray(np.nan)}, 1.0),
        TypeError,
        r"early_stopping: state\['wait'\] must be a single integer, got float64 array of shape \(\)",
    ),
    (
        lambda: reduce_on_plateau()[1]({**reduce_on_plateau()[0](), "scale": X}, 1.0),
        TypeError,
        r"reduce_on_plateau: state\['scale'\] must be a single number, got float32 array of shape \(5, 4\)",
    ),
    (lambda: early_stopping(0), ValueError, r"early_stopping: patience must be at least 1, got 0"),
    (lambda: early_stopping(3, -1), ValueError, r"early_stopping: min_delta must be finite and at least 0, got -1.0"),
    (lambda: early_stopping()[1]({}, 1.0), ValueError, r"early_stopping: state must hold best, wait, improved, stop, got \[\]"),
    (lambda: early_stopping()[1](early_stopping()[0](), bad("x")), TypeError, r"early_stopping: metric must be a number, got 'x'"),
    (lambda: reduce_on_plateau(factor=1), ValueError, r"reduce_on_plateau: factor must lie in \[0, 1\), got 1.0"),
    (lambda: reduce_on_plateau(patience=-1), ValueError, r"reduce_on_plateau: patience must be at least 0, got -1"),
    (lambda: reduce_on_plateau()[1](early_stopping()[0](), 1.0), ValueError, r"reduce_on_plateau: state must hold scale, .*, got .*"),
    # training
    (lambda: run(epochs=0), ValueError, r"train: epochs must be at least 1, got 0"),
    (lambda: run(size=0), ValueError, r"train: size must be at least 1, got 0"),
    (lambda: run(lr=-1), ValueError, r"train: lr must be finite and at least 0, got -1.0"),
    (lambda: run(lr="fast"), TypeError, r"train: lr must be a number, got 'fast'"),
    (lambda: next(run(lr=lambda step: -1.0)), ValueError, r"train: lr at step 0 must be finite and at least 0, got -1.0"),
    (lambda: run(optimizer=adam), TypeError, r"train: optimizer must be a pair of functions, got the function adam"),
    (lambda: run(stopping=5), TypeError, r"train: stopping must be a pair of functions, got 5"),
    (lambda: run(transform=1.0), TypeError, r"train: transform must be a function of one argument, got 1.0"),
    (lambda: run(loss_fn=1.0), TypeError, r"train: loss_fn must be a function .*, got 1.0"),
    (lambda: run(metrics={"accuracy": accuracy}), ValueError, r"train: metrics must come with validation data .*, got \['accuracy'\]"),
    (lambda: run(metrics={"a": 1}, validation=(X, Y)), TypeError, r"train: metrics\['a'\] must be a function .*, got 1"),
    (lambda: run(validation=(X[:, :3], Y)), ValueError, r"train: validation x must have rows of shape \(4,\), .*, got \(3,\)"),
    (lambda: run(validation=(X, Y[:2])), ValueError, r"train: validation y must have one target for each of the 5 rows .*"),
    (lambda: run(validation=(X, np.zeros((5, 2)))), ValueError, r"train: validation y must have rows of shape \(\), .*, got \(2,\)"),
    (lambda: run(validation=X), TypeError, r"train: validation must be a pair \(x, y\), got .*"),
    (lambda: run(y=Y[:3]), ValueError, r"train: y must have one target for each of the 5 rows of x, got .*"),
    (lambda: run(weight=[1, 2]), ValueError, r"train: weight must have shape \(5,\), one weight per row, got \(2,\)"),
    (lambda: run(weight=np.zeros(5)), ValueError, r"train: weight must be finite, at least 0 and not all 0, got weights from 0 to 0"),
    (lambda: run(key=-1), ValueError, r"train: key must be at least 0, got -1"),
    (lambda: run(net=relu), TypeError, r"train: net must be a pair of functions .*, got the function relu"),
    (lambda: run(params=next(run())[0], key=5), ValueError, r"train: key must be that of the state.*, got 5"),
    (
        lambda: run(params=next(run())[0], optimizer=adam(), epochs=9),
        ValueError,
        r"train: optimizer must be the one that the state was made with, got another: its state holds \['t/hid.*, the given one \[\]",
    ),
    (lambda: next(run(params=next(run())[0], net=BN, epochs=9)), ValueError, r"(?s)train: params must be those of the network.*hidden/W +extra.*"),
    (lambda: best_params(P), ValueError, r"best_params: state must be one that train yields, got a mapping of .*"),
    (lambda: current_params(bad(None)), TypeError, r"current_params: state must be one that train yields, got None"),
    # looking inside
    (lambda: summary(NET, AFFINE), ValueError, r"summary: a/W must belong to one of the network's layers, got hidden, out"),
    (lambda: summary(bad(relu), P), TypeError, r"summary: net must be a pair of functions .*"),
    (lambda: summary(NET, {}), ValueError, r"dense: hidden/W must be in params, got only \[\]"),
    (lambda: summary(NET, {**P, "out/W": X}), ValueError, r"dense: out/W must have shape \(3, 2\), got \(5, 4\)"),
    (lambda: summary(NET, {**P, "out/c": X}), ValueError, r"dense: out/c must not be in params.*"),
    (lambda: summary(dense(4, 3), {**init(dense(4, 3), 0), "c": X}), ValueError, r"dense: c must not be in params.*"),
    (lambda: summary(chain(a=activation(relu)), {"a/c": X}), ValueError, r"activation: a/c must not be in params.*"),
    (lambda: summary(chain(a=dropout(0.5)), {"a/c": X}), ValueError, r"dropout: a/c must not be in params.*"),
    (lambda: summary(BN, {**BNP, "n/var": X}), ValueError, r"batch_norm: n/var must have shape \(4,\), got \(5, 4\)"),
    (
        lambda: summary(MISFIT, {**init(MISFIT, 0), "a/c": X}),
        ValueError,
        r"summary: a/c must belong to one of the network's layers, got a/0, a/1",
    ),
    (lambda: activation_stats(NET, P, X[:, :3]), ValueError, r"dense: hidden/x must have shape \(rows, 4\), got \(5, 3\)"),
    (lambda: update_ratio(P, AFFINE), ValueError, r"update_ratio: after must have the names of before .*, got .*"),
    (lambda: update_ratio(bad(None), P), TypeError, r"update_ratio: before must be a mapping .*, got None"),
    (lambda: update_ratio(P, bad({1: X})), TypeError, r"update_ratio: after must have strings as names, got 1"),
    (lambda: update_ratio(P, {**P, "out/b": P["out/b"] + np.inf}), FloatingPointError, r"update_ratio: after\['out/b'\] .*, got inf .*"),
    (lambda: update_ratio(P, {**P, "out/b": X}), ValueError, r"update_ratio: after\['out/b'\] must have shape \(2,\), got \(5, 4\)"),
    (lambda: table(bad([1])), TypeError, r"table: rows must be mappings of column names to values, got 1"),
    (lambda: table(bad(None)), TypeError, r"table: rows must be a sequence of mappings, or .*, got None"),
    (lambda: table(bad(5)), TypeError, r"table: rows must be a sequence of mappings, or .*, got 5"),
    (lambda: table(bad(row for row in ({"a": 1},))), TypeError, r"table: rows must be a sequence of mappings, or .*, got <generator .*"),
    (lambda: diagnose(NET, CE, P, X, Y[:2]), ValueError, r"diagnose: y must have one target for each of the 5 rows .*"),
    (lambda: diagnose(NET, bad(1), P, X, Y), TypeError, r"diagnose: loss_fn must be a function .*, got 1"),
    (lambda: diagnose(NET, CE, P, X, Y + 2), ValueError, r"softmax_cross_entropy: targets must be classes from 0 to 1, got 2 .*"),
    (lambda: overfit_check(NET, CE, P, X, Y, rows=0), ValueError, r"overfit_check: rows must be at least 1, got 0"),
    (lambda: overfit_check(NET, CE, P, X, Y, lr=-1), ValueError, r"overfit_check: lr must be above 0, got -1.0"),
    (lambda: overfit_check(NET, CE, P, X, Y, lr=0), ValueError, r"overfit_check: lr must be above 0, got 0.0"),
    (
        lambda: overfit_check(NET, CE, P, X, Y, optimizer=bad(adam)),
        TypeError,
        r"overfit_check: optimizer must be a pair of functions \(init, step\), got the function adam",
    ),
    (
        lambda: overfit_check(NET, lambda o, y: (o[:, 0] - 9, o), P, X, Y),
        ValueError,
        r"overfit_check: target must be given where the loss can fall below 0, got none; the loss starts at -.*",
    ),
    (lambda: overfit_check(BN, mse, init(BN, 0), X * np.nan, X), FloatingPointError, r"calibrate: x must be finite, got nan .*"),
    (lambda: overfit_check(ASKS, mse, {}, X, X), ValueError, r"calibrate: params\['s'\] must be there, got only \[\]"),
    (lambda: diagnose(ASKS, mse, {}, X, X), ValueError, r"diagnose: params\['s'\] must be there, got only \[\]"),
    (lambda: diagnose(residual(ASKS), mse, {}, X, X), ValueError, r"diagnose: params\['s'\] must be there, got only \[\]"),
    (lambda: diagnose(NET, CE, P, X, Y, penalty=bad(0.1)), TypeError, r"diagnose: penalty must be a function .*, got 0.1"),
    (lambda: diagnose(NET, CE, P, X, Y, penalty=bad(lambda p: 0.1)), TypeError, r"diagnose: penalty must return a pair .*, got 0.1"),
    (
        lambda: diagnose(NET, CE, P, X, Y, penalty=lambda p: (0.0, {"W": X})),
        ValueError,
        r"diagnose: the penalty's grads must have names that are in params .*, got W",
    ),
    (lambda: diagnose(NET, bad(lambda o, y: 0.1), P, X, Y), TypeError, r"diagnose: loss_fn must return a pair .*, got 0.1"),
    (lambda: overfit_check(NET, CE, P, X, Y[:2]), ValueError, r"overfit_check: y must have one target for each of the 5 rows .*"),
    # what a training run is given
    (lambda: run(optimizer="a"), TypeError, r"train: optimizer must be a pair of functions, got 'a'"),
    (lambda: run(stopping=reduce_on_plateau()), ValueError, r"train: stopping must have states with stop and improved, got .*'scale'.*"),
    (lambda: run(plateau=early_stopping()), ValueError, r"train: plateau must have states with scale, got .*'stop'.*"),
    (lambda: run(plateau=(lambda: None, min)), TypeError, r"train: plateau must give arrays by name from its init, got None"),
    (lambda: run(plateau=(lambda: {"scale": 1}, min)), TypeError, r"train: plateau must give arrays by name from its init, got 1 as scale"),
    (
        lambda: run(stopping=(early_stopping()[0], lambda state, value: value)),
        TypeError,
        r"train: stopping must give arrays by name from its update, got 1.0",
    ),
    (lambda: run(optimizer=(lambda p: None, max)), TypeError, r"train: optimizer must give arrays by name from its init, got None"),
    (lambda: run(optimizer=(lambda p: {"n": [1]}, max)), TypeError, r"train: optimizer must give arrays by .*init, got \[1\] as n"),
    (lambda: run(optimizer=stepping(lambda p: p)), TypeError, r"train: optimizer must give a pair \(params, state\) from its step, got .*"),
    (lambda: run(optimizer=stepping(lambda p: (p, None))), TypeError, r"train: optimizer must give arrays by name from its step, got None"),
    (lambda: run(optimizer=stepping(lambda p: ({}, {}))), ValueError, r"train: optimizer must step all params \(hidden/W, .*\[\]"),
    (
        lambda: run(optimizer=stepping(lambda p: ({n: a.astype(float) for n, a in p.items()}, {}))),
        ValueError,
        r"train: optimizer must keep hidden/W a float32 array of shape \(4, 3\), got float64 array .*",
    ),
    (lambda: run(metrics=[accuracy], validation=(X, Y)), TypeError, r"train: metrics must be a mapping of names to functions, got .*"),
    (lambda: run(metrics=accuracy, validation=(X, Y)), TypeError, r"train: metrics must be a mapping .*, got the function accuracy"),
    (lambda: run(metrics={"a": sum1}, validation=(X, Y)), TypeError, r"train: metrics\['a'\] must be a function .*, which takes \(a\)"),
    (lambda: run(metrics=giving(None), validation=(X, Y)), TypeError, r"train: metrics\['m'\] must give a number, got None"),
    (lambda: run(metrics=giving("a"), validation=(X, Y)), TypeError, r"train: metrics\['m'\] must give a number, got 'a'"),
    (lambda: run(metrics=giving(X), validation=(X, Y)), TypeError, r"train: metrics\['m'\] must give a number, got float32 array .*"),
    (lambda: run(metrics=giving(1j), validation=(X, Y)), TypeError, r"train: metrics\['m'\] must give a number, got 1j"),
    (lambda: run(transform=clip_by_value), TypeError, r"train: transform must be .* clip_by_value, which takes \(grads, limit\)"),
    (lambda: next(run(transform=lambda g: None)), TypeError, r"train: transform must give gradients by name, got None"),
    (lambda: run(lr=cosine_decay_schedule), TypeError, r"train: lr must be a function step -> float, .*, which takes \(init_value, .*"),
    (lambda: next(run(lr=constant_schedule)), TypeError, r"train: lr at step 0 must be a number, got .*"),
    (lambda: next(run(lr=lambda step: None)), TypeError, r"train: lr at step 0 must be a number, got None"),
    (lambda: next(run(lr=lambda step: "a")), TypeError, r"train: lr at step 0 must be a number, got 'a'"),
    (lambda: next(run(lr=lambda step: np.inf)), ValueError, r"train: lr at step 0 must be finite and at least 0, got inf"),
    (lambda: run(loss_fn=sum1), TypeError, r"train: loss_fn must be a function .*, got the function sum1, which takes \(a\)"),
    (lambda: run(monitor=lambda: 1), TypeError, r"train: monitor must be a function of one argument, got .*, which takes \(\)"),
    (lambda: next(run(monitor=lambda report: "low")), TypeError, r"train: monitor must give a number, got 'low'"),
    (lambda: next(run(monitor=lambda report: None)), TypeError, r"train: monitor must give a number, got None"),
    (lambda: resume("train/step"), ValueError, r"train: state must be one that train yields, which holds train/step, got a mapping .*"),
    (lambda: resume("train/key"), ValueError, r"train: state must be one that train yields, which holds train/key, got a mapping .*"),
    (lambda: resume("train/epoch"), ValueError, r"train: state must be one .*, which holds train/epoch, got a mapping .*"),
    (lambda: resume("stopping/"), ValueError, r"train: state must be one .*, which holds stopping/..., got a mapping .*"),
    (
        lambda: resume("stopping/stop"),
        ValueError,
        r"train: stopping must be the one that the state was made with, got another: its state holds .*'stop'\], the given .*'improved'\]",
    ),
    (lambda: run(params=next(run())[0], plateau=reduce_on_plateau()), ValueError, r"train: plateau must be the one .* one \[\]"),
    (lambda: run(params={**next(run())[0], "params/out/b": [0, 0]}), TypeError, r"train: state\['params/out/b'\] must be an array, got .*"),
    (lambda: run(params={**next(run())[0], "train/step": X}), TypeError, r"train: state\['train/step'\] must be a count, got float32 .*"),
    (
        lambda: run(params={**next(run())[0], "train/step": np.asarray(-1)}),
        ValueError,
        r"train: state\['train/step'\] must be at least 0, got -1",
    ),
    (lambda: best_params({"train/epoch": X}), ValueError, r"best_params: state must be one that train yields, which holds train/step, .*"),
    (lambda: progress_line(bad({})), ValueError, r"progress_line: report must hold epoch, .*, as one that train yields, got \[\]"),
    (lambda: progress_line(bad(None)), TypeError, r"progress_line: report must be one that train yields, got None"),
]


@pytest.mark.parametrize(("call", "kind", "pattern"), CASES, ids=[f"{i}-{c[2][:40]}" for i, c in enumerate(CASES)])
def test_one_clear_sentence(call: Callable[[], object], kind: type[Exception], pattern: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert caught.type is kind
    assert re.fullmatch(pattern, message), message
    assert re.fullmatch(r"\w+: .+ must .+, got .+", message, re.DOTALL), message


def test_lists_are_converted() -> None:
    expected = value_and_grads(NET, CE, P, X, Y)
    got = value_and_grads(NET, CE, P, X.astype(int).tolist(), Y.tolist())
    assert got[0] == expected[0]
    lists = {name: bad(a.tolist()) for name, a in P.items()}
    assert loss(NET, CE, lists, X.tolist(), Y.tolist()) == expected[0]
