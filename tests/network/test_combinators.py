"""Chains and residuals: names change, values never."""

import pickle
from functools import partial

import numpy as np
import pytest

from nnfunc import (
    Array,
    Key,
    Layer,
    adam,
    batch_norm,
    calibrate,
    chain,
    dense,
    dropout,
    elu,
    forward,
    generator,
    init,
    layer_norm,
    mlp,
    relu,
    residual,
    softmax_cross_entropy,
    tanh,
    value_and_grads,
)
from tests.layers import elementwise
from tests.numeric import bad, same_bits
from tests.samples import MISFIT, NET, ROWS, P, X
from tests.sentences import Cases, assert_sentence

INPUTS: Array = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def test_chain_of_one_is_the_layer() -> None:
    layer = dense(3, 2, tanh)
    single = init(chain(layer), 7)
    assert [same_bits(a, b) for a, b in zip(single.values(), init(layer, 7).values(), strict=True)] == [True, True]
    assert same_bits(forward(chain(layer), single, INPUTS), forward(layer, init(layer, 7), INPUTS))


def noise(rate: float) -> Layer:
    """Return a layer that adds noise drawn from its key."""

    def drawn(x: Array, key: Key | None) -> Array:
        return x + (0 if key is None else rate * generator(key).standard_normal(x.shape).astype(x.dtype))

    return elementwise(drawn, lambda dy, x: dy)


def test_nesting_chains_changes_names_and_never_values() -> None:
    a, b, c, d = dense(3, 4, tanh), noise(0.1), dense(4, 4, relu), noise(0.2)
    nests = [chain(a, b, c, d), chain(chain(a, b), chain(c, d)), chain(chain(chain(a), b, chain(chain(c, d))))]
    flat = nests[0]
    for net in nests[1:]:
        params = init(net, 3)
        assert list(params) != list(init(flat, 3))
        assert same_bits(tuple(params.values()), tuple(init(flat, 3).values()))
        for key in (None, 5):
            assert same_bits(forward(net, params, INPUTS, key), forward(flat, init(flat, 3), INPUTS, key))
    assert not same_bits(forward(flat, init(flat, 3), INPUTS, 5), forward(flat, init(flat, 3), INPUTS, 6))
    assert not same_bits(forward(flat, init(flat, 3), INPUTS, 5), forward(flat, init(flat, 3), INPUTS))


def test_nesting_with_noise_and_norms_changes_names_only() -> None:
    parts = (dense(3, 4, relu), batch_norm(4), dropout(0.5), dense(4, 2), layer_norm(2))
    flat, nested = chain(*parts), chain(chain(*parts[:2]), chain(parts[2], chain(*parts[3:])))
    x, y = ROWS.astype(np.float32), np.zeros(7, int)
    a = value_and_grads(flat, softmax_cross_entropy, init(flat, 5), x, y, key=6)
    b = value_and_grads(nested, softmax_cross_entropy, init(nested, 5), x, y, key=6)
    assert a[0] == b[0]
    assert same_bits(tuple(a[1].values()), tuple(b[1].values()))
    assert same_bits(
        tuple(calibrate(flat, init(flat, 5), x).values()), tuple(calibrate(nested, init(nested, 5), x).values())
    )


def test_networks_pickle() -> None:
    net = chain(hidden=dense(3, 3, relu), skip=residual(mlp([3, 5, 3])), out=dense(3, 2))
    back: Layer = pickle.loads(pickle.dumps(net))
    assert same_bits(init(back, 0), init(net, 0))
    assert same_bits(forward(back, init(net, 0), INPUTS), forward(net, init(net, 0), INPUTS))


def own_layer(n: int) -> Layer:
    return dense(n, n)


BAD: Cases = {
    "params of no layer": (
        lambda: forward(NET, {**P, "foo": P["out/b"]}, X),
        ValueError,
        r"chain: foo must belong to .*, got hidden, out",
    ),
    "layer swapped": (
        lambda: chain(bad(dense(1, 1)[::-1])),
        TypeError,
        r"chain: layer 0 must be \(init\(key, dtype\), forward\(.*",
    ),
    "activation in place of a layer": (
        lambda: chain(dense(2, 3), bad(relu)),
        TypeError,
        r"chain: layer 1 must be a pair of functions \(init, forward\), as activation\(relu\) is, got the function relu",
    ),
    "activation with options in place of a layer": (
        lambda: chain(dense(2, 3), bad(partial(elu, alpha=0.5))),
        TypeError,
        r"chain: layer 1 must be .*, as activation\(f\) is, got a partial of the function elu",
    ),
    "pair in place of a layer": (
        lambda: chain(dense(2, 3), bad((np.sin, np.cos))),
        TypeError,
        r"chain: layer 1 must be .*, as activation\(\(sin, cos\)\) is, got functions of other arguments",
    ),
    "factory in place of a layer": (
        lambda: chain(bad(dense), dropout(0.5)),
        TypeError,
        r"chain: layer 0 must be a pair of functions .*, as dense\(n_in, n_out\) is, got the function dense",
    ),
    "factory in a residual": (
        lambda: residual(bad(dropout)),
        TypeError,
        r"residual: layer must be a pair of functions .*, as dropout\(rate\) is, got the function dropout",
    ),
    "factory in place of a network": (
        lambda: init(bad(chain), 0),
        TypeError,
        r"init: net must be a pair of functions .*, as chain\(\*layers\) is, got the function chain",
    ),
    "factory of a user's own": (
        lambda: forward(bad(own_layer), {}, X),
        TypeError,
        r"forward: net must be a pair of functions .*, as own_layer\(n\) is, got the function own_layer",
    ),
    "layers in a list": (
        lambda: chain(bad([dense(2, 3), dense(3, 1)])),
        TypeError,
        r"chain: layer 0 must be a pair .*, as chain\(\*layers\) is of a list of layers, got a list of 2",
    ),
    "layers one after another": (
        lambda: chain(bad(dense(2, 2) for _ in range(2))),
        TypeError,
        r"chain: layer 0 must be a pair .*, as chain\(\*layers\) is of layers one after another, got <generator.*",
    ),
    "layers in a list with another": (
        lambda: chain(bad([dense(2, 3), relu])),
        TypeError,
        r"chain: layer 0 must be a pair .*, as chain\(\*layers\) is of a list of layers, got a list of 2",
    ),
    "function in place of a layer": (
        lambda: chain(bad(lambda z: z * z)),
        TypeError,
        r"chain: layer 0 must be .*, as activation\(\(f, df\)\) is of a function and its slope, got the function <lambda>",
    ),
    "half a factory in place of a layer": (
        lambda: chain(bad(partial(dense, 3))),
        TypeError,
        r"chain: layer 0 must be .*, as dense\(n_out\) is, got a partial of the function dense",
    ),
    "layers in a dict": (
        lambda: chain(a=bad({"b": dense(2, 3)})),
        TypeError,
        r"chain: layer a must be a pair .*, as chain\(\*\*layers\) is of a dict of layers, got a dict of 1",
    ),
    "layers in place of a network": (
        lambda: forward(bad((dense(2, 3), dense(3, 1))), {}, X),
        TypeError,
        r"forward: net must be a pair .*, as chain\(\*layers\) is of a tuple of layers, got a tuple of 2",
    ),
    "optimiser in place of a layer": (
        lambda: chain(bad(adam())),
        TypeError,
        r"chain: layer 0 must be \(init\(key, dtype\), forward\(.*\)\), got functions of other arguments",
    ),
    "sizes side by side": (
        lambda: mlp(bad(784), bad(256), bad(10)),
        TypeError,
        r"mlp: sizes must be a sequence of integers, as in mlp\(\[784, 256, 10\]\), got 784",
    ),
    "sizes text": (lambda: mlp(bad("37")), TypeError, r"mlp: sizes must be a sequence of integers, got '37'"),
    "sizes a set": (lambda: mlp(bad({3, 7})), TypeError, r"mlp: sizes must be a sequence of integers, got \{.*"),
    "output no activation": (
        lambda: mlp([3, 2], relu, bad(0.5)),
        TypeError,
        r"mlp: output must be one of relu, .*, got 0.5",
    ),
    "activation of none of the layers": (
        lambda: mlp([3, 2], bad("relu")),
        TypeError,
        r"mlp: activation must be one of relu, .*, got 'relu'",
    ),
    "a name of a million letters": (
        lambda: forward(chain(**{"n" * 10**6: residual(chain(**{"m" * 10**6: dense(3, 4)}))}), {}, X),
        ValueError,
        r"chain: .* must .*, got .*|dense: n.*\.\.\..*n/.*m/W must be in params, got only \[\]",
    ),
    "params of many layers": (
        lambda: forward(chain(**{f"layer{i}": dropout(0.1) for i in range(9000)}), P, X),
        ValueError,
        r"chain: hidden/W must belong to one of its layers, got layer0, .*, layer7 and 8992 more",
    ),
    "layer a function": (lambda: residual(bad(relu)), TypeError, r"residual: layer must be a pair of functions .*"),
    "residual that narrows": (
        lambda: forward(chain(a=residual(dense(4, 3))), {"a/W": P["hidden/W"], "a/b": P["hidden/b"]}, X),
        ValueError,
        r"residual: a/layer must keep the shape \(5, 4\) of x, got \(5, 3\)",
    ),
    "chain of misfits within a residual": (
        lambda: forward(MISFIT, init(MISFIT, 0), X),
        ValueError,
        r"dense: a/1/x must have shape \(rows, 2\), got \(5, 3\)",
    ),
    "sizes a number": (lambda: mlp(bad(3)), TypeError, r"mlp: sizes must be a sequence of integers, got 3"),
    "one size": (lambda: mlp([3]), ValueError, r"mlp: sizes must hold at least two sizes, got \[3\]"),
    "size of 0": (lambda: mlp([3, 0]), ValueError, r"mlp: sizes must be at least 1, got 0"),
    "no layers": (lambda: chain(), ValueError, r"chain: layers must hold at least one layer, got none"),
    "name twice": (
        lambda: chain(dense(1, 1), **{"0": dense(1, 1)}),
        ValueError,
        r"chain: layers must have names that differ, got '0' twice",
    ),
    "name with a slash": (
        lambda: chain(**{"a/b": dense(1, 1)}),
        ValueError,
        r"chain: layers must have names .*, got 'a/b'",
    ),
    "name empty": (lambda: chain(**{"": dense(1, 1)}), ValueError, r"chain: layers must have names .*, got ''"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
