"""A layer that breaks its promises meets the guard whichever way it comes in, and nothing of anybody else's changes."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from nnfunc import (
    AnyArray, Array, InputGradient, Key, Layer, Params, Pullback, activation_stats, batch_norm, calibrate, chain,
    check_grads, combine, concatenate, dense, diagnose, forward, grads, init, layer_outputs, loss, mse, overfit_check,
    relu, residual, sharded_value_and_grads, summary, train, value_and_grads, vjp, watched,
)  # fmt: skip
from nnfunc.transforms import (
    ensemble_forward, ensemble_value_and_grads, grad_variance, hvp, jacobian, levenberg_marquardt, params_jacobian,
    per_example_grad_norms, per_example_grads,
)  # fmt: skip
from recipes.branches import product
from tests.numeric import bad, same_bits

Back = Callable[[Params, Array, Array], tuple[Params, InputGradient]]
Forth = Callable[[Params, Array], Array]

KEPT: list[Array] = []
"""What hostile layers keep of what they return."""


def layer(forth: Forth, back: Back) -> Layer:
    """Return a layer of three columns with a parameter s."""

    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            return back(params, x, dy)

        return forth(params, x), pullback

    return lambda key, dtype: {"s": np.ones(3, dtype)}, layer_forward


def scaled(params: Params, x: Array) -> Array:
    y: Array = x * params["s"]
    return y


def right_back(params: Params, x: Array, dy: Array) -> tuple[Params, InputGradient]:
    return {"s": np.add.reduce(dy * x, axis=0)}, lambda: dy * params["s"]


def kept(array: Array) -> Array:
    """Return the array, and keep it."""
    KEPT.append(array)
    return array


def changing_x(params: Params, x: Array) -> Array:
    x *= 2
    return x


def changing_params(params: Params, x: Array) -> Array:
    array = params["s"]
    array *= 2
    return x * array


def changing_dy(params: Params, x: Array, dy: Array) -> tuple[Params, InputGradient]:
    dy *= 2
    return right_back(params, x, dy)


def changing_x_on_the_way_back(params: Params, x: Array, dy: Array) -> tuple[Params, InputGradient]:
    x *= 2
    return right_back(params, x, dy)


def gradient(**named: Callable[[Array], AnyArray]) -> Back:
    """Return a way back with these gradients in place of that of s."""

    def back(params: Params, x: Array, dy: Array) -> tuple[Params, InputGradient]:
        return {name: make(dy) for name, make in named.items()}, lambda: dy * params["s"]

    return back


READ_ONLY = "read-only"
REFUSED: dict[str, tuple[Layer, str]] = {
    "changes x": (layer(changing_x, right_back), READ_ONLY),
    "changes params": (layer(changing_params, right_back), READ_ONLY),
    "gives y of another dtype": (layer(lambda p, x: scaled(p, x).astype(np.float16), right_back), r"y must be a float"),
    "gives y of a subclass": (layer(lambda p, x: bad(np.ma.masked_array(scaled(p, x))), right_back), r"y must be a float"),
    "gives no pair": ((lambda key, dtype: {"s": np.ones(3, dtype)}, bad(lambda p, x, key: x)), r"result must be a pair"),
}
REFUSED_ON_THE_WAY_BACK: dict[str, tuple[Layer, str]] = {
    "changes dy": (layer(scaled, changing_dy), READ_ONLY),
    "changes x": (layer(scaled, changing_x_on_the_way_back), READ_ONLY),
    "gives a gradient of another name": (layer(scaled, gradient(t=lambda dy: dy[0])), r"grads must have names .*got t"),
    "gives a gradient of another shape": (layer(scaled, gradient(s=lambda dy: dy)), r"grads\['s'\] must be a float"),
    "gives a gradient of another dtype": (
        layer(scaled, gradient(s=lambda dy: dy[0].astype(np.float16))), r"grads\['s'\] must be a float",
    ),
    "gives dx itself": (layer(scaled, bad(lambda p, x, dy: ({"s": dy[0]}, dy))), r"dx must be a function"),
}
ODD: dict[str, Layer] = {
    "gives x itself as y": layer(lambda p, x: x, gradient(s=lambda dy: np.zeros_like(dy[0]))),
    "gives a view of x": layer(lambda p, x: x[:, ::-1], gradient(s=lambda dy: np.zeros_like(dy[0]))),
    "keeps y": layer(lambda p, x: kept(scaled(p, x)), right_back),
    "keeps its gradients": layer(scaled, gradient(s=lambda dy: kept(np.add.reduce(dy, axis=0)))),
    "gives dy as dx": layer(scaled, lambda p, x, dy: ({"s": np.add.reduce(dy * x, axis=0)}, lambda: dy)),
    "gives part of dy as a gradient": layer(scaled, gradient(s=lambda dy: dy[0])),
    "gives params as gradients": layer(scaled, lambda p, x, dy: (p, lambda: dy * p["s"])),
}

# Ways in for a layer of three columns. A chain and a residual put dense layers around it, so that dx is asked for.
NETS: dict[str, Callable[[Layer], Layer]] = {
    "bare": lambda inner: inner,
    "chain": lambda inner: chain(dense(3, 3), own=inner),
    "residual": lambda inner: chain(dense(3, 3), residual(inner)),
    "nested": lambda inner: chain(dense(3, 3, relu), chain(residual(chain(own=inner, last=dense(3, 3))))),
    "concatenate": lambda inner: chain(dense(3, 3), concatenate(own=inner)),
    "combine": lambda inner: chain(dense(3, 3), combine(product, own=inner, other=dense(3, 3))),
    "watched combine": lambda inner: watched(combine(product, own=inner, other=dense(3, 3)), lambda path, tensor: None),
    "watched": lambda inner: watched(chain(dense(3, 3), own=inner), lambda path, tensor: None),
    "watched chain in a chain": lambda inner: chain(dense(3, 3), watched(chain(inner), lambda path, tensor: None)),
}

Call = Callable[[Layer, Params, Array, Array], object]
FORTH: dict[str, Call] = {
    "forward": lambda net, params, x, y: forward(net, params, x),
    "loss": lambda net, params, x, y: loss(net, mse, params, x, y),
    "vjp": lambda net, params, x, y: vjp(net, params, x)[0],
    "calibrate": lambda net, params, x, y: calibrate(chain(net, batch_norm(3)), with_norm(params), x),
    "activation_stats": lambda net, params, x, y: activation_stats(net, params, x),
    "ensemble_forward": lambda net, params, x, y: ensemble_forward(net, of_one(params), x),
    "layer_outputs": lambda net, params, x, y: list(layer_outputs(net, params, x).values()),
    "summary": lambda net, params, x, y: len(summary(net, params, x)),
}
BACK: dict[str, Call] = {
    "grads": lambda net, params, x, y: grads(net, mse, params, x, y),
    "grads with weights": lambda net, params, x, y: grads(net, mse, params, x, y, weight=np.arange(5.0)),
    "value_and_grads": lambda net, params, x, y: value_and_grads(net, mse, params, x, y, key=1),
    "pullback of vjp": lambda net, params, x, y: back_of(net, params, x, y),
    "shards": lambda net, params, x, y: sharded_value_and_grads(net, mse, params, x, y, shards=2),
    "ensemble": lambda net, params, x, y: ensemble_value_and_grads(net, mse, of_one(params), x[None], y),
    "diagnose": lambda net, params, x, y: diagnose(net, mse, params, x, y),
    "train": lambda net, params, x, y: list(train(net, mse, params, x, y, epochs=1, lr=0.1))[0][0],
    "overfit_check": lambda net, params, x, y: overfit_check(net, mse, params, x, y, steps=3),
    "check_grads": lambda net, params, x, y: check_grads(net, mse, params, x, y, directions=2),
    "per_example_grads": lambda net, params, x, y: per_example_grads(net, mse, params, x, y),
    "per_example_grad_norms": lambda net, params, x, y: per_example_grad_norms(net, mse, params, x, y),
    "grad_variance": lambda net, params, x, y: grad_variance(net, mse, params, x, y),
    "params_jacobian": lambda net, params, x, y: params_jacobian(net, params, x),
    "jacobian": lambda net, params, x, y: jacobian(net, params, x),
    "hvp": lambda net, params, x, y: hvp(net, mse, params, x, y, params),
    "levenberg_marquardt": lambda net, params, x, y: list(levenberg_marquardt(net, params, x, y, steps=2))[-1][0],
}


def with_norm(params: Params) -> Params:
    own: dict[str, Array] = {f"0/{name}": array for name, array in params.items()}
    dtype = next(iter(params.values())).dtype
    return {**own, "1/gamma": np.ones(3, dtype), "1/beta": np.zeros(3, dtype)}


def of_one(params: Params) -> Params:
    """Return params as those of an ensemble of one member, in the same memory."""
    return {name: array[None] for name, array in params.items()}


def back_of(net: Layer, params: Params, x: Array, y: Array) -> object:
    own, dx = vjp(net, params, x)[1](y)
    return dict(own), dx()


def arrays_in(value: object) -> list[AnyArray]:
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, Mapping):
        return [array for each in value.values() for array in arrays_in(each)]
    return [array for each in value for array in arrays_in(each)] if isinstance(value, (tuple, list)) else []


def given(net: Layer) -> tuple[Params, Array, Array]:
    """Return params, x and y of a caller, all of which can be written to."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(5, 3)), draw.normal(size=(5, 3))
    return {name: np.array(array) for name, array in init(net, 0, np.float64).items()}, x, y


def unchanged(call: Call, net: Layer) -> object:
    """Make the call; whatever comes of it, what the caller gave is as it was, and can be written to."""
    params, x, y = given(net)
    before = {name: array.copy() for name, array in params.items()}, x.copy(), y.copy()
    try:
        return call(net, params, x, y)
    finally:
        assert same_bits((params, x, y), before)
        assert all(array.flags.writeable for array in (*params.values(), x, y))


@pytest.mark.parametrize("call", [*FORTH, *BACK])
@pytest.mark.parametrize("way", NETS)
@pytest.mark.parametrize("hostile", REFUSED)
def test_what_breaks_a_promise_is_refused(hostile: str, way: str, call: str) -> None:
    own, message = REFUSED[hostile]
    with pytest.raises((TypeError, ValueError), match=message):
        unchanged({**FORTH, **BACK}[call], NETS[way](own))


@pytest.mark.parametrize("call", BACK)
@pytest.mark.parametrize("way", NETS)
@pytest.mark.parametrize("hostile", REFUSED_ON_THE_WAY_BACK)
def test_what_breaks_a_promise_on_the_way_back_is_refused(hostile: str, way: str, call: str) -> None:
    own, message = REFUSED_ON_THE_WAY_BACK[hostile]
    with pytest.raises((TypeError, ValueError), match=message):
        unchanged(BACK[call], NETS[way](own))


@pytest.mark.parametrize("call", [*FORTH, *BACK])
@pytest.mark.parametrize("way", NETS)
@pytest.mark.parametrize("odd", ODD)
def test_what_is_odd_keeps_its_own_and_gets_nobody_elses(odd: str, way: str, call: str) -> None:
    KEPT.clear()
    net, run = NETS[way](ODD[odd]), {**FORTH, **BACK}[call]
    params, x, y = given(net)
    results = arrays_in(run(net, params, x, y))
    assert same_bits(tuple(results), tuple(arrays_in(unchanged(run, net))))
    for result in results:
        assert not any(np.may_share_memory(result, array) for array in (*params.values(), x, y, *KEPT))
    assert all(array.flags.writeable for array in KEPT)


def test_the_guard_names_the_layer() -> None:
    net = chain(dense(3, 3), block=residual(chain(own=REFUSED_ON_THE_WAY_BACK["gives a gradient of another shape"][0])))
    params, x, y = given(net)
    with pytest.raises(ValueError, match=r"^pullback: block/own/grads\['s'\] must be a float64 array of shape \(3,\), got"):
        grads(net, mse, params, x, y)
