"""Networks that may be gone through in a quicker way: the same bits, and the same refusals, as any other way."""

import pickle
from collections import OrderedDict, UserDict, defaultdict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from nnfunc import (
    Activation,
    AnyArray,
    Array,
    Layer,
    forward,
    grads,
    init,
    loss,
    mlp,
    mse,
    relu,
    sgd_step,
    sigmoid,
    softmax_cross_entropy,
    value_and_grads,
    vjp,
)
from tests.numeric import bad, same_bits

NET = mlp([3, 4, 2])
PARAMS = init(NET, 0)
X: Array = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
Y: AnyArray = np.array([0, 1, 1, 0, 1])


def one_by_one(net: Layer) -> Layer:
    """Return the same network as a pair that is not known to be a stack of dense layers."""
    return net[0], lambda params, x, key: net[1](params, x, key)


HIDDEN: dict[str, Activation] = {"relu": relu, "sigmoid": sigmoid, "own": (np.sin, np.cos)}
STACKS: dict[str, tuple[tuple[int, ...], int]] = {
    "small": ((3, 5, 2), 7),
    "deep": ((40, 64, 48, 2), 96),
    "one row, one unit": ((3, 1, 2), 1),
    "one row, 1024 units": ((3, 1024, 2), 1),
    "one row, 8192 units": ((3, 8192, 2), 1),
    "three rows, 8192 units": ((3, 8192, 2), 3),
}


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("stack", STACKS)
def test_a_dense_stack_in_one_go_gives_the_bits_of_its_layers(stack: str, hidden: str) -> None:
    sizes, n = STACKS[stack]
    net = mlp(sizes, HIDDEN[hidden])
    x = np.random.default_rng(0).normal(size=(n, sizes[0])).astype(np.float32)
    params, y = init(net, 1), np.arange(n) % 2
    expected = value_and_grads(one_by_one(net), softmax_cross_entropy, params, x, y)
    assert same_bits(value_and_grads(net, softmax_cross_entropy, params, x, y), expected)
    assert same_bits(forward(net, params, x), forward(one_by_one(net), params, x))


def test_what_has_been_pickled_gives_the_same_bits() -> None:
    # unpickled arrays have a dtype that is equal to float32 and not the same object
    own, x = pickle.loads(pickle.dumps((dict(PARAMS), X)))
    assert x.dtype is not X.dtype
    assert same_bits(forward(NET, own, x), forward(NET, PARAMS, X))
    g = grads(NET, softmax_cross_entropy, own, x, Y)
    assert same_bits(g, grads(NET, softmax_cross_entropy, PARAMS, X, Y))
    expected = sgd_step(PARAMS, g, 0.1)
    assert same_bits(sgd_step(own, g, 0.1), expected)
    assert same_bits(sgd_step(dict(PARAMS) | {"0/W": own["0/W"]}, g, 0.1), expected)


MAPPINGS: dict[str, Callable[[dict[str, Array]], Mapping[str, Array]]] = {
    "dict": dict,
    "OrderedDict": OrderedDict,
    "UserDict": UserDict,
    "MappingProxyType": MappingProxyType,
    "defaultdict": lambda held: defaultdict(lambda: np.zeros(1), held),
}


@pytest.mark.parametrize("kind", MAPPINGS)
def test_params_of_any_mapping_give_the_same_bits(kind: str) -> None:
    held = MAPPINGS[kind]({name: array.copy() for name, array in PARAMS.items()})
    g = grads(NET, softmax_cross_entropy, held, X, Y)
    assert same_bits(g, grads(NET, softmax_cross_entropy, PARAMS, X, Y))
    expected = sgd_step(PARAMS, g, 0.1)
    assert same_bits(sgd_step(held, g, 0.1), expected)
    # float64 holds what float32 holds: converted first, the same step
    assert same_bits(sgd_step(held, {name: a.astype(np.float64) for name, a in g.items()}, 0.1), expected)
    assert list(held) == list(PARAMS)


def test_a_missing_name_is_not_made_up_by_a_default() -> None:
    held = defaultdict(lambda: np.zeros(2, np.float32), {name: PARAMS[name] for name in PARAMS if name != "1/b"})
    with pytest.raises(ValueError, match="1/b must be in params"):
        forward(NET, held, X)
    assert "1/b" not in held


REFUSED: dict[str, tuple[Callable[[Any], object], str]] = {
    "loss None": (lambda x: grads(NET, bad(None), PARAMS, x, Y), "grads: loss_fn must be a function"),
    "loss by name": (lambda x: grads(NET, bad("mse"), PARAMS, x, Y), "grads: loss_fn must be a function"),
    "net a list": (lambda x: forward(bad(list(NET)), PARAMS, x), "forward: net must be a pair of functions"),
    "net without init": (lambda x: forward(bad((None, NET[1])), PARAMS, x), "forward: net must be a pair of functions"),
    "forward with a key by name": (
        lambda x: forward(NET, PARAMS, x, key=bad("foo")),
        "forward: key must be an integer, got 'foo'",
    ),
    "grads with a key by name": (
        lambda x: grads(NET, mse, PARAMS, x, np.zeros((5, 2)), key=bad("foo")),
        "grads: key must be an integer, got 'foo'",
    ),
    "loss with a key by name": (
        lambda x: loss(NET, mse, PARAMS, x, np.zeros((5, 2)), key=bad("foo")),
        "loss: key must be an integer, got 'foo'",
    ),
    "vjp with a key by name": (
        lambda x: vjp(NET, PARAMS, x, key=bad("foo")),
        "vjp: key must be an integer, got 'foo'",
    ),
}


@pytest.mark.parametrize("x", [X, X.tolist()], ids=["array", "lists"])
@pytest.mark.parametrize("name", REFUSED)
def test_arrays_and_lists_are_refused_the_same(name: str, x: object) -> None:
    call, pattern = REFUSED[name]
    with pytest.raises(TypeError, match=f"^{pattern}"):
        call(x)
