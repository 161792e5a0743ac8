"""The order in which names stand in a dict changes no bit of any result, and a network of every layer pickles."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from nnfunc import (
    AnyArray, Optimizer, Params, activation, adagrad, adam, adamw, batch_norm, calibrate, chain, clip_by_global_norm,
    current_params, dense, dropout, forward, gelu, global_norm, grads, init, l1, l2, layer_norm, load, loss, momentum, mse,
    relu, residual, rmsprop, save, sgd, train,
)  # fmt: skip
from tests.numeric import same_bits
from tests.samples import ROWS, TARGETS

NET = chain(
    a=dense(3, 4, relu), n=batch_norm(4), l=layer_norm(4),
    r=residual(chain(dense(4, 4), batch_norm(4), activation(gelu), dropout(0.3))), o=dense(4, 2),
)  # fmt: skip
P = calibrate(NET, init(NET, 0, np.float64), ROWS)
OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {
    "sgd": sgd, "momentum": momentum, "rmsprop": lambda: rmsprop(beta=0.5, centered=True), "adagrad": adagrad,
    "adam": adam, "adamw": adamw,
}  # fmt: skip


def turned(arrays: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    return {name: arrays[name] for name in reversed(list(arrays))}


def in_bits(a: Mapping[str, AnyArray], b: Mapping[str, AnyArray]) -> bool:
    return a.keys() == b.keys() and all(same_bits(a[name], b[name]) for name in a)


def test_of_passes() -> None:
    other = turned(P)
    assert list(other) != list(P)
    assert same_bits(forward(NET, other, ROWS), forward(NET, P, ROWS))
    g = grads(NET, mse, P, ROWS, TARGETS, key=1)
    assert in_bits(grads(NET, mse, other, ROWS, TARGETS, key=1), g)
    assert global_norm(turned(g)) == global_norm(g)
    assert in_bits(clip_by_global_norm(turned(g), 0.01), clip_by_global_norm(g, 0.01))


@pytest.mark.parametrize("make", [l1, l2])
def test_of_penalties(make: Callable[[float], Callable[[Params], tuple[float, Params]]]) -> None:
    draw = np.random.default_rng(0)
    for _ in range(20):
        params = {f"{i}/W": draw.normal(size=(3, 3)) for i in range(8)}
        assert make(0.1)(turned(params))[0] == make(0.1)(params)[0]
    value = loss(NET, mse, P, ROWS, TARGETS, penalty=make(0.1), key=3)
    assert loss(NET, mse, turned(P), ROWS, TARGETS, penalty=make(0.1), key=3) == value


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_of_runs_and_their_states(name: str, tmp_path: Path) -> None:
    def run(start: Mapping[str, AnyArray]) -> list[Mapping[str, AnyArray]]:
        made = OPTIMIZERS[name]()
        return [state for state, _ in train(NET, mse, start, ROWS, TARGETS, epochs=2, lr=0.01, size=3, optimizer=made)]

    first, last = run(P)
    assert in_bits(current_params(run(turned(P))[-1]), current_params(last))
    save(tmp_path / "state.npz", first)
    for state in (turned(first), load(tmp_path / "state.npz"), pickle.loads(pickle.dumps(first))):
        assert in_bits(run(state)[-1], last)


def test_a_network_of_every_layer_pickles() -> None:
    again = pickle.loads(pickle.dumps(NET))
    assert same_bits(forward(again, P, ROWS), forward(NET, P, ROWS))
    assert in_bits(grads(again, mse, P, ROWS, TARGETS, key=1), grads(NET, mse, P, ROWS, TARGETS, key=1))
