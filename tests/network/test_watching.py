"""The tap tells of every tensor of a pass, and changes none."""

from collections.abc import Callable

import numpy as np
import pytest

from nnfunc import (
    Array, Layer, LossFn, activation, batch_norm, binary_cross_entropy, calibrate, chain, cross_entropy, dense, dropout,
    forward, grads, init, layer_norm, mse, relu, residual, sigmoid, softmax, summary, tanh, value_and_grads, vjp, watched,
)  # fmt: skip
from tests.numeric import bad, same_bits

X: Array = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
NET = chain(
    hidden=dense(3, 4, tanh), norm=batch_norm(4), drop=dropout(0.5),
    block=residual(chain(a=dense(4, 4, relu), b=layer_norm(4))), out=dense(4, 3), last=activation(softmax),
)  # fmt: skip
Y = np.array([0, 1, 2, 1, 0])


def told(net: Layer, run: Callable[[Layer], object]) -> dict[str, Array]:
    """Return what the tap tells of in a run, by path, in its order."""
    found: dict[str, Array] = {}

    def note(path: str, tensor: Array) -> None:
        assert path not in found
        assert not tensor.flags.writeable
        found[path] = tensor.copy()

    run(watched(net, note))
    return found


@pytest.mark.parametrize(
    ("net", "loss_fn", "y"),
    [
        (NET, cross_entropy, Y),
        (chain(dense(3, 1, sigmoid)), binary_cross_entropy, np.array([[0], [1], [1], [0], [1]])),
        (dense(3, 3, softmax), cross_entropy, Y),
        (residual(dense(3, 3)), mse, X),
    ],
    ids=["all layers", "final sigmoid", "a layer by itself", "a residual by itself"],
)
def test_a_watched_network_computes_the_same_bits(net: Layer, loss_fn: LossFn, y: Array) -> None:
    params = calibrate(net, init(net, 0), X)
    other = watched(net, lambda path, tensor: None)
    assert same_bits(init(other, 0), init(net, 0))
    assert same_bits(forward(other, params, X), forward(net, params, X))
    assert same_bits(calibrate(other, params, X), params)
    # The loss meets the logits of a watched network too.
    assert same_bits(value_and_grads(other, loss_fn, params, X, y, key=3), value_and_grads(net, loss_fn, params, X, y, key=3))
    assert summary(other, params) == summary(net, params)


def test_it_tells_of_every_tensor_in_order() -> None:
    net = chain(a=dense(3, 4, relu), b=residual(chain(dense(4, 4))), c=activation(tanh))
    params = init(net, 0)
    forth = ["a/x", "a/z", "a/y", "b/x", "b/0/x", "b/0/y", "b/y", "c/x", "c/y"]
    back = ["c/dy", "c/dx", "b/dy", "b/0/dy", "b/0/dW", "b/0/db", "b/0/dx", "b/dx", "a/dy", "a/dW", "a/db"]
    assert list(told(net, lambda tapped: forward(tapped, params, X))) == forth
    found = told(net, lambda tapped: grads(tapped, mse, params, X, np.zeros((5, 4))))
    assert list(found) == forth + back
    assert list(told(net, lambda tapped: vjp(tapped, params, X)[1](np.ones((5, 4)))[1]())) == [*forth, *back, "a/dx"]


def test_what_it_tells_is_what_is_computed() -> None:
    net = chain(a=dense(3, 4, relu), b=residual(dense(4, 4)))
    params = init(net, 1)
    y = forward(net, params, X)
    found: dict[str, Array] = {}
    g = grads(watched(net, lambda path, tensor: found.update({path: tensor.copy()})), mse, params, X, 0 * y)
    z = X @ params["a/W"] + params["a/b"]
    assert np.allclose(found["a/z"], z, rtol=1e-6)
    assert np.array_equal(found["a/y"], np.maximum(found["a/z"], 0))
    assert same_bits(found["b/y"], y)
    assert same_bits(found["b/dy"], (2 * y / 4) / np.float32(5))
    assert all(same_bits(found[name.replace("/", "/d")], array) for name, array in g.items())


def test_a_layer_of_ones_own_is_one_piece_and_tells_of_its_gradients_by_their_paths() -> None:
    inside = chain(left=dense(3, 3))

    def layer_init(key: object, dtype: object) -> dict[str, Array]:
        return {f"way/{name}": array for name, array in init(inside, 0).items()}

    def layer_forward(params: object, x: Array, key: object) -> object:
        own = {name[4:]: array for name, array in bad(params).items()}
        y, pullback = inside[1](own, x, None)

        def pull(dy: Array) -> object:
            found, dx = pullback(dy)
            return {f"way/{name}": array for name, array in found.items()}, dx

        return y, pull

    net = chain(own=bad((layer_init, layer_forward)))
    params = init(net, 0)
    found = told(net, lambda tapped: grads(tapped, mse, params, X, X))
    assert list(found) == ["own/x", "own/y", "own/dy", "own/way/left/dW", "own/way/left/db"]


BAD_INPUT: dict[str, tuple[Callable[[], object], str]] = {
    "no network": (lambda: watched(bad(relu), print), r"^watched: net must be a pair of functions .*, got the function relu$"),
    "no function": (lambda: watched(NET, bad("print")), r"^watched: note must be a function \(path, tensor\), got 'print'$"),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    call, message = BAD_INPUT[name]
    with pytest.raises(TypeError, match=message):
        call()
