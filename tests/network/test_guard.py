"""Pieces of a user's own in a network: they can neither change what they are given nor let it through."""

from functools import partial

import numpy as np
import pytest

from nnfunc import (
    AnyArray,
    Array,
    InputGradient,
    Key,
    Layer,
    Params,
    Penalty,
    Pullback,
    adam,
    chain,
    dense,
    forward,
    grads,
    init,
    l2,
    loss,
    mse,
    relu,
    residual,
    sgd_step,
    sigmoid,
    tanh,
    vjp,
)
from tests.layers import bare, elementwise
from tests.numeric import bad, same_bits
from tests.samples import AFFINE, CE, NET, P, X, Y, custom
from tests.sentences import Cases, assert_sentence

INPUTS: Array = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def view_layer(columns: slice) -> Layer:
    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {}, lambda: dy

        return x[:, columns], pullback

    return bare(layer_forward)


def bias_layer(n: int) -> Layer:
    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return {"b": dy}, lambda: dy

        return x + params["b"], pullback

    return lambda key, dtype: {"b": np.zeros((5, n), dtype)}, layer_forward


VIEWS: dict[str, Layer] = {"alone": view_layer(slice(None)), "in a chain": chain(view_layer(slice(0, 2)))}


@pytest.mark.parametrize("name", VIEWS)
def test_outputs_never_alias_inputs(name: str) -> None:
    x = INPUTS.copy()
    y = forward(VIEWS[name], {}, x)
    assert not np.may_share_memory(y, x)
    assert y.flags.writeable


def test_outputs_and_input_gradients_of_vjp_never_alias_arguments() -> None:
    x, dy = INPUTS.copy(), INPUTS.copy()
    y, pullback = vjp(VIEWS["alone"], {}, x)
    assert not np.may_share_memory(y, x)
    _, dx = pullback(dy)
    assert not np.may_share_memory(dx(), dy)


def test_gradients_never_alias_or_lock_arguments() -> None:
    dy = INPUTS.copy()
    params = {"b": np.zeros((5, 3), np.float32)}
    _, pullback = vjp(bias_layer(3), params, INPUTS)
    g, _ = pullback(dy)
    assert not np.may_share_memory(g["b"], dy)
    stepped = sgd_step(params, {}, 0.1)
    assert not np.may_share_memory(stepped["b"], params["b"])
    assert dy.flags.writeable
    assert params["b"].flags.writeable


def test_outputs_of_vjp_can_change_without_changing_the_way_back() -> None:
    net = dense(3, 4, tanh)
    y, pullback = vjp(net, init(net, 0), INPUTS)
    before = pullback(y.copy())[0]
    dy = y.copy()
    y[:] = 7
    assert same_bits(before, pullback(dy)[0])


def test_custom_pieces_cannot_change_what_they_are_given() -> None:
    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        x *= 2
        return x, lambda dy: ({}, lambda: dy)

    greedy = bare(layer_forward)
    for net in (greedy, chain(dense(3, 3), greedy)):
        x = INPUTS.copy()
        with pytest.raises(ValueError, match="read-only"):
            forward(net, init(net, 0), x)
        assert same_bits(x, INPUTS)

    def greedy_loss(outputs: Array, y: AnyArray) -> tuple[Array, Array]:
        y *= 2
        return mse(outputs, y)

    with pytest.raises(ValueError, match="read-only"):
        loss(dense(3, 3), greedy_loss, init(dense(3, 3), 0), INPUTS, INPUTS.copy())


def test_a_loss_cannot_change_the_outputs() -> None:
    def greedy(outputs: Array, y: AnyArray) -> tuple[Array, Array]:
        outputs -= y
        return mse(outputs, 0 * y)

    with pytest.raises(ValueError, match="read-only"):
        grads(dense(3, 3, sigmoid), greedy, init(dense(3, 3), 0), INPUTS, INPUTS)


def test_a_way_back_belongs_to_its_call() -> None:
    net = chain(hidden=dense(3, 4, relu), skip=residual(dense(4, 4, tanh)), out=dense(4, 2))
    x, params = INPUTS.copy(), {name: a.copy() for name, a in init(net, 0).items()}
    dy = np.random.default_rng(1).normal(size=(5, 2))
    _, pullback = vjp(net, params, x)
    before = pullback(dy)
    x[:] = 0
    for array in params.values():
        array[:] = 0
    after = pullback(dy)
    assert same_bits(before[0], after[0])
    assert same_bits(before[1](), after[1]())


def test_an_upcasting_layer_is_named() -> None:
    net = chain(a=dense(3, 3), half=elementwise(lambda x, key: x * np.float64(0.5), lambda dy, x: dy))
    with pytest.raises(TypeError, match="half/y must be a float32 array"):
        forward(net, init(net, 0), INPUTS)


ONE: Params = {"b": np.ones(1, np.float32)}


def own_penalty(rate: float) -> Penalty:
    return lambda params: (rate, {})


def test_a_layers_own_key_error_is_shown_as_it_is() -> None:
    table = {"cat": 1.0}
    own = custom(lambda p, x, k: (x * table["dog"], lambda dy: ({}, lambda: dy)))
    late = custom(lambda p, x, k: (x, lambda dy: ({"W": table["W"]}, lambda: dy)))
    for net in (own, chain(a=own), chain(a=chain(b=own)), residual(own)):
        with pytest.raises(KeyError, match="dog"):
            forward(net, {}, X)
    with pytest.raises(KeyError, match="W") as caught:
        grads(chain(a=late), mse, {}, X, X)
    assert caught.value.__notes__ == ["in layer a"]
    failing: Layer = bad(((lambda key, dtype: {"W": table["dog"]}), own[1]))
    with pytest.raises(KeyError, match="dog"):
        init(chain(a=failing), 0)


BAD: Cases = {
    "loss that returns one number": (
        lambda: loss(NET, bad(lambda o, y: o.mean()), P, X, Y),
        TypeError,
        r"loss: loss_fn must return a pair .*",
    ),
    "loss that is a mean already": (
        lambda: loss(NET, lambda o, y: (o.mean(), o), P, X, Y),
        ValueError,
        r"loss: loss_fn must return .* \(5,\), not yet .*",
    ),
    "loss with a gradient of one axis": (
        lambda: loss(NET, lambda o, y: (o[:, 0], o[:, 0]), P, X, Y),
        ValueError,
        r"loss: loss_fn must return a gradient .*",
    ),
    "loss with a gradient that is upcast": (
        lambda: loss(NET, lambda o, y: (o[:, 0], o.astype(float)), P, X, Y),
        TypeError,
        r"loss: loss_fn must keep the dtype float32 .*, got float64 array.*",
    ),
    "penalty that returns a number": (
        lambda: loss(NET, CE, P, X, Y, penalty=bad(lambda p: 0.1)),
        TypeError,
        r"loss: penalty must return a pair .*, got 0.1",
    ),
    "penalty with an unknown name": (
        lambda: grads(NET, CE, P, X, Y, penalty=lambda p: (0.0, {"W": X})),
        ValueError,
        r"grads: the penalty's grads must have names that are in params .*, got W",
    ),
    "init that returns None": (
        lambda: init(bad(((lambda key, dtype: None), dense(1, 1)[1])), 0),
        TypeError,
        r"init: net must give a mapping .*",
    ),
    "layer without a way back": (
        lambda: forward(custom(lambda p, x, k: x), {}, X),
        TypeError,
        r"forward: result must be a pair \(y, pullback\).*",
    ),
    "layer that asks for a missing param": (
        lambda: forward(custom(lambda p, x, k: p["V"]), P, X),
        ValueError,
        r"forward: params\['V'\] must be there.*",
    ),
    "layer in a chain that asks for a missing param": (
        lambda: forward(chain(a=custom(lambda p, x, k: p["V"])), {}, X),
        ValueError,
        r"layer: a/V must be in params, got no such name",
    ),
    "dx not put off": (
        lambda: grads(chain(a=dense(4, 4), b=custom(lambda p, x, k: (x, lambda dy: ({}, dy)))), mse, AFFINE, X, X),
        TypeError,
        r"pullback: b/dx must be a function that computes it, got float32 array of shape \(5, 4\)",
    ),
    "dx of another shape": (
        lambda: grads(chain(a=dense(4, 4), b=custom(lambda p, x, k: (x, lambda dy: ({}, lambda: dy[0])))), mse, AFFINE, X, X),
        ValueError,
        r"pullback: b/dx must have the shape \(5, 4\) of x, got float32 array of shape \(4,\)",
    ),
    "grads None": (
        lambda: grads(chain(a=dense(4, 4), b=custom(lambda p, x, k: (x, lambda dy: (None, lambda: dy)))), mse, AFFINE, X, X),
        TypeError,
        r"pullback: b/result must be a pair \(grads by name, dx\), got .*",
    ),
    "penalty with a list of gradients": (
        lambda: grads(dense(4, 4), mse, {n[2:]: a for n, a in AFFINE.items()}, X, X, penalty=bad(lambda p: (0.0, [1]))),
        TypeError,
        r"grads: penalty must return a pair \(value, grads by name\), got .*",
    ),
    "forward of two arguments": (
        lambda: forward(custom(lambda p, x: x), {}, X),
        TypeError,
        r"forward: the layer's forward must take \(params, x, key\), got \(p, x\)",
    ),
    "pullback of two arguments": (
        lambda: grads(custom(lambda p, x, k: (x, lambda dy, key: ({}, lambda: dy))), mse, {}, X, X),
        TypeError,
        r"pullback: the layer's pullback must take \(dy\), got \(dy, key\)",
    ),
    "dx of an argument": (
        lambda: vjp(custom(lambda p, x, k: (x, lambda dy: ({}, lambda d: d))), {}, X)[1](X)[1](),
        TypeError,
        r"pullback: dx must take no argument, got \(d\)",
    ),
    "a missing param on the way back": (
        lambda: grads(chain(a=custom(lambda p, x, k: (x, lambda dy: ({"W": p["W"]}, lambda: dy)))), mse, {}, X, X),
        ValueError,
        r"layer: a/W must be in params, got no such name",
    ),
    "y a matrix": (
        lambda: forward(custom(lambda p, x, k: (x.view(np.matrix), lambda dy: ({}, lambda: dy))), {}, X),
        TypeError,
        r"forward: y must be a float32 array, the dtype of x, got float32 matrix of shape \(5, 4\)",
    ),
    "y masked": (
        lambda: forward(custom(lambda p, x, k: (np.ma.masked_array(x), lambda dy: ({}, lambda: dy))), {}, X),
        TypeError,
        r"forward: y must be a float32 array, the dtype of x, got float32 MaskedArray of shape \(5, 4\)",
    ),
    "dx a matrix": (
        lambda: vjp(custom(lambda p, x, k: (x, lambda dy: ({}, lambda: dy.view(np.matrix)))), {}, X)[1](X)[1](),
        ValueError,
        r"pullback: dx must have the shape .*, got float32 matrix of shape \(5, 4\)",
    ),
    "gradient masked": (
        lambda: grads(custom(lambda p, x, k: (x, lambda dy: ({"b": np.ma.masked_array(p["b"])}, lambda: dy))), mse, ONE, X, X),
        TypeError,
        r"pullback: grads\['b'\] must be a plain array, as a mask would be lost, got float32 MaskedArray of shape \(1,\)",
    ),
    "gradient none": (
        lambda: grads(custom(lambda p, x, k: (x, lambda dy: ({"b": None}, lambda: dy))), mse, ONE, X, X),
        ValueError,
        r"pullback: grads\['b'\] must be a float32 array of shape \(1,\), got object array of shape \(\)",
    ),
    "loss with a matrix as gradient": (
        lambda: loss(NET, lambda o, y: (o[:, 0], o.view(np.matrix)), P, X, Y),
        ValueError,
        r"loss: loss_fn must return a gradient of shape \(5, 2\), .*, got float32 matrix of shape \(5, 2\)",
    ),
    "loss another piece": (
        lambda: loss(NET, bad(adam), P, X, Y),
        TypeError,
        r"loss: loss_fn must be a function \(outputs, targets\) .*, got the function adam",
    ),
    "loss with an option of another": (
        lambda: loss(NET, partial(bad(mse), delta=1.0), P, X, Y),
        TypeError,
        r"loss: loss_fn must have the options given, got mse\(\) got an unexpected keyword argument 'delta'",
    ),
    "penalty not made": (
        lambda: loss(NET, CE, P, X, Y, penalty=bad(l2)),
        TypeError,
        r"loss: penalty must be a function params -> \(value, grads\), as l2\(\.\.\.\) is, got the function l2",
    ),
    "penalty of a user's own not made": (
        lambda: loss(NET, CE, P, X, Y, penalty=bad(own_penalty)),
        TypeError,
        r"loss: penalty must return a pair \(value, grads by name\), as own_penalty\(\.\.\.\) is, got the function .*",
    ),
    "penalty another piece": (
        lambda: loss(NET, CE, P, X, Y, penalty=bad(relu)),
        TypeError,
        r"loss: penalty must be a function params -> \(value, grads\), got the function relu",
    ),
    "penalty of two arguments": (
        lambda: loss(NET, CE, P, X, Y, penalty=bad(lambda p, rate: (0.0, {}))),
        TypeError,
        r"loss: penalty must be a function params .*, got the function <lambda>, which takes \(p, rate\)",
    ),
    "net an optimiser": (
        lambda: forward(bad(adam()), P, X),
        TypeError,
        r"forward: the layer's forward must take \(params, x, key\), got \(params, grads, state, lr.*\)",
    ),
    "init not finite": (
        lambda: init(chain(a=dense(2, 2, w_init=lambda k, s, d: np.full(s, np.nan, d))), 0),
        FloatingPointError,
        r"init: a/W must be finite, got nan at \[0, 0\] \(4 of 4 values\)",
    ),
    "init beyond float32": (
        lambda: init(chain(a=dense(2, 2, w_init=lambda k, s, d: np.full(s, 1e300))), 0),
        FloatingPointError,
        r"init: a/W must be finite, got inf at .*",
    ),
    "init of another shape": (
        lambda: init(chain(a=dense(2, 2, w_init=lambda k, s, d: np.ones(2, d))), 0),
        ValueError,
        r"dense: a/w_init must return an array of shape \(2, 2\), got float32 array of shape \(2,\)",
    ),
    "init of a ragged list": (
        lambda: init(chain(a=dense(1, 2, w_init=bad(lambda k, s, d: [[1], [2, 3]]))), 0),
        ValueError,
        r"dense: a/w_init must have rows of one length, got a ragged sequence",
    ),
    "forward by name only": (
        lambda: forward(custom(lambda *, params, x, key: x), {}, X),
        TypeError,
        r"forward: the layer's forward must take \(params, x, key\), got \(\*, params, x, key\)",
    ),
    "init of complex numbers": (
        lambda: init(chain(a=dense(2, 2, w_init=bad(lambda k, s, d: np.ones(s, complex)))), 0),
        TypeError,
        r"dense: a/w_init must give numbers, got complex128 array of shape \(2, 2\)",
    ),
    "init in a chain that returns None": (
        lambda: init(chain(a=bad((lambda key, dtype: None, dense(1, 1)[1]))), 0),
        TypeError,
        r"init: a/params must be a map.*",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
