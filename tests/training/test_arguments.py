"""What a training run is given is tried before its first epoch, or as it first comes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnfunc import (
    Params,
    accuracy,
    adam,
    clip_by_value,
    constant_schedule,
    cosine_decay_schedule,
    early_stopping,
    mlp,
    reduce_on_plateau,
    relu,
)
from tests.samples import X, Y
from tests.sentences import Cases, assert_sentence
from tests.training.runs import run


def stepping(step: Callable[[Params], object]) -> Any:
    return (lambda params: {}), (lambda params, grads, state, lr: step(params))


def giving(value: object) -> Any:
    return {"m": lambda outputs, y: value}


def sum1(a: float) -> float:
    return a


BAD: Cases = {
    "no epochs": (lambda: run(epochs=0), ValueError, r"train: epochs must be at least 1, got 0"),
    "size of 0": (lambda: run(size=0), ValueError, r"train: size must be at least 1, got 0"),
    "learning rate below 0": (lambda: run(lr=-1), ValueError, r"train: lr must be finite and at least 0, got -1.0"),
    "learning rate a text": (lambda: run(lr="fast"), TypeError, r"train: lr must be a number, got 'fast'"),
    "schedule that falls below 0": (
        lambda: next(run(lr=lambda step: -1.0)),
        ValueError,
        r"train: lr at step 0 must be finite and at least 0, got -1.0",
    ),
    "optimiser not built": (
        lambda: run(optimizer=adam),
        TypeError,
        r"train: optimizer must be a pair of functions, as adam\(\.\.\.\) is, got the function adam",
    ),
    "optimiser a network": (
        lambda: run(optimizer=mlp([4, 3])),
        TypeError,
        r"train: optimizer must be a pair of functions of 1 and 4 arguments, got .*, of which chain_init takes .*",
    ),
    "stopping not built": (
        lambda: run(stopping=early_stopping),
        TypeError,
        r"train: stopping must be a pair of functions, as early_stopping\(\.\.\.\) is, got the function early_stopping",
    ),
    "stopping an optimiser": (
        lambda: run(stopping=adam()),
        TypeError,
        r"train: stopping must be a pair of functions of 0 and 2 arguments, got .*, of which initial takes \(params\)",
    ),
    "plateau a pair of other functions": (
        lambda: run(plateau=(lambda: {}, lambda state: state)),
        TypeError,
        r"train: plateau must be a pair of functions of 0 and 2 arguments, got .* takes \(state\)",
    ),
    "optimiser a text": (
        lambda: run(optimizer="a"),
        TypeError,
        r"train: optimizer must be a pair of functions, got 'a'",
    ),
    "stopping a number": (lambda: run(stopping=5), TypeError, r"train: stopping must be a pair of functions, got 5"),
    "transform a number": (
        lambda: run(transform=1.0),
        TypeError,
        r"train: transform must be a function of one argument, got 1.0",
    ),
    "loss a number": (lambda: run(loss_fn=1.0), TypeError, r"train: loss_fn must be a function .*, got 1.0"),
    "metrics without validation": (
        lambda: run(metrics={"accuracy": accuracy}),
        ValueError,
        r"train: metrics must come with validation data .*, got \['accuracy'\]",
    ),
    "metric a number": (
        lambda: run(metrics={"a": 1}, validation=(X, Y)),
        TypeError,
        r"train: metrics\['a'\] must be a function .*, got 1",
    ),
    "validation too narrow": (
        lambda: run(validation=(X[:, :3], Y)),
        ValueError,
        r"train: validation x must have rows of shape \(4,\), .*, got \(3,\)",
    ),
    "too few validation targets": (
        lambda: run(validation=(X, Y[:2])),
        ValueError,
        r"train: validation y must have one target for each of the 5 rows .*",
    ),
    "validation targets of another shape": (
        lambda: run(validation=(X, np.zeros((5, 2)))),
        ValueError,
        r"train: validation y must have rows of shape \(\), .*, got \(2,\)",
    ),
    "validation not a pair": (
        lambda: run(validation=X),
        TypeError,
        r"train: validation must be a pair \(x, y\), or \(x, y, weight\), got .*",
    ),
    "too few targets": (
        lambda: run(y=Y[:3]),
        ValueError,
        r"train: y must have one target for each of the 5 rows of x, got .*",
    ),
    "too few weights": (
        lambda: run(weight=[1, 2]),
        ValueError,
        r"train: weight must have shape \(5,\), one weight per row, got \(2,\)",
    ),
    "weights all 0": (
        lambda: run(weight=np.zeros(5)),
        ValueError,
        r"train: weight must be finite, at least 0 and not all 0, got weights from 0 to 0",
    ),
    "key below 0": (lambda: run(key=-1), ValueError, r"train: key must be at least 0, got -1"),
    "net a function": (
        lambda: run(net=relu),
        TypeError,
        r"train: net must be a pair of functions .*, got the function relu",
    ),
    "stopping that never stops": (
        lambda: run(stopping=reduce_on_plateau()),
        ValueError,
        r"train: stopping must have states with stop and improved, got .*'scale'.*",
    ),
    "plateau without a scale": (
        lambda: run(plateau=early_stopping()),
        ValueError,
        r"train: plateau must have states with scale, got .*'stop'.*",
    ),
    "plateau without a state": (
        lambda: run(plateau=(lambda: None, min)),
        TypeError,
        r"train: plateau must give arrays by name from its init, got None",
    ),
    "plateau with a state of numbers": (
        lambda: run(plateau=(lambda: {"scale": 1}, min)),
        TypeError,
        r"train: plateau must give arrays by name from its init, got 1 as scale",
    ),
    "stopping that returns the value": (
        lambda: run(stopping=(early_stopping()[0], lambda state, value: value)),
        TypeError,
        r"train: stopping must give arrays by name from its update, got 1.0",
    ),
    "optimiser without a state": (
        lambda: run(optimizer=(lambda p: None, max)),
        TypeError,
        r"train: optimizer must give arrays by name from its init, got None",
    ),
    "optimiser with a state of lists": (
        lambda: run(optimizer=(lambda p: {"n": [1]}, max)),
        TypeError,
        r"train: optimizer must give arrays by .*init, got \[1\] as n",
    ),
    "optimiser that returns params only": (
        lambda: run(optimizer=stepping(lambda p: p)),
        TypeError,
        r"train: optimizer must give a pair of mappings \(params, state\) from its step, got .*",
    ),
    "optimiser that loses its state": (
        lambda: run(optimizer=stepping(lambda p: (p, None))),
        TypeError,
        r"train: optimizer must give a pair of mappings \(params, state\) from its step, got .*",
    ),
    "optimiser that loses params": (
        lambda: run(optimizer=stepping(lambda p: ({}, {}))),
        ValueError,
        r"train: optimizer must step hidden/W, .*\[\]",
    ),
    "optimiser that upcasts": (
        lambda: run(optimizer=stepping(lambda p: ({n: a.astype(float) for n, a in p.items()}, {}))),
        TypeError,
        r"train: optimizer must keep hidden/W a float32 array of shape \(4, 3\), got float64 array .*",
    ),
    "metrics a list": (
        lambda: run(metrics=[accuracy], validation=(X, Y)),
        TypeError,
        r"train: metrics must be a mapping of names to functions, got .*",
    ),
    "metrics a function": (
        lambda: run(metrics=accuracy, validation=(X, Y)),
        TypeError,
        r"train: metrics must be a mapping .*, got the function accuracy",
    ),
    "metric of one argument": (
        lambda: run(metrics={"a": sum1}, validation=(X, Y)),
        TypeError,
        r"train: metrics\['a'\] must be a function .*, which takes \(a\)",
    ),
    "metric that gives None": (
        lambda: run(metrics=giving(None), validation=(X, Y)),
        TypeError,
        r"train: metrics\['m'\] must give a number, got None",
    ),
    "metric that gives a text": (
        lambda: run(metrics=giving("a"), validation=(X, Y)),
        TypeError,
        r"train: metrics\['m'\] must give a number, got 'a'",
    ),
    "metric that gives an array": (
        lambda: run(metrics=giving(X), validation=(X, Y)),
        TypeError,
        r"train: metrics\['m'\] must give a number, got float32 array .*",
    ),
    "metric that gives a complex number": (
        lambda: run(metrics=giving(1j), validation=(X, Y)),
        TypeError,
        r"train: metrics\['m'\] must give a number, got 1j",
    ),
    "transform of two arguments": (
        lambda: run(transform=clip_by_value),
        TypeError,
        r"train: transform must be .* clip_by_value, which takes \(grads, limit\)",
    ),
    "transform that gives None": (
        lambda: next(run(transform=lambda g: None)),
        TypeError,
        r"train: transform must give gradients by name, got None",
    ),
    "schedule not built": (
        lambda: run(lr=cosine_decay_schedule),
        TypeError,
        r"train: lr must be a function step -> float, .*, which takes \(init_value, .*",
    ),
    "schedule that gives a schedule": (
        lambda: next(run(lr=constant_schedule)),
        TypeError,
        r"train: lr at step 0 must be a number, got .*",
    ),
    "schedule that gives None": (
        lambda: next(run(lr=lambda step: None)),
        TypeError,
        r"train: lr at step 0 must be a number, got None",
    ),
    "schedule that gives a text": (
        lambda: next(run(lr=lambda step: "a")),
        TypeError,
        r"train: lr at step 0 must be a number, got 'a'",
    ),
    "schedule that gives infinity": (
        lambda: next(run(lr=lambda step: np.inf)),
        ValueError,
        r"train: lr at step 0 must be finite and at least 0, got inf",
    ),
    "loss of one argument": (
        lambda: run(loss_fn=sum1),
        TypeError,
        r"train: loss_fn must be a function .*, got the function sum1, which takes \(a\)",
    ),
    "monitor of no argument": (
        lambda: run(monitor=lambda: 1),
        TypeError,
        r"train: monitor must be a function of one argument, got .*, which takes \(\)",
    ),
    "monitor that gives a text": (
        lambda: next(run(monitor=lambda report: "low")),
        TypeError,
        r"train: monitor must give a number, got 'low'",
    ),
    "monitor that gives None": (
        lambda: next(run(monitor=lambda report: None)),
        TypeError,
        r"train: monitor must give a number, got None",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
