"""Chains and residuals: names change, values never."""

import pickle
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest

from nnfunc import (
    Array, Branch, InputGradient, Key, Layer, Params, adam, batch_norm, calibrate, chain, columns, combine, concatenate, dense, diagnose,
    dropout, elu, forward, generator, grads, init, layer_norm, layer_outputs, map_params, mlp, mse, relu, residual,
    sharded_value_and_grads, sigmoid, softmax_cross_entropy, summary, tanh, train, value_and_grads, vjp,
)  # fmt: skip
from nnfunc.testing import check_layer
from recipes.branches import Combined, product
from tests.layers import elementwise, shared
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


NOISY = chain(dense(3, 4, tanh), dropout(0.5), batch_norm(4), dense(4, 2))


def test_a_single_branch_is_the_layer() -> None:
    alone, params = concatenate(f=NOISY), init(NOISY, 3)
    assert same_bits(tuple(init(alone, 3).values()), tuple(params.values()))
    one = value_and_grads(NOISY, mse, params, INPUTS, INPUTS[:, :2], key=5)
    other = value_and_grads(alone, mse, init(alone, 3), INPUTS, INPUTS[:, :2], key=5)
    assert one[0] == other[0] and same_bits(tuple(one[1].values()), tuple(other[1].values()))


def test_branches_stand_side_by_side_each_with_its_own_params_and_key() -> None:
    a, b = chain(dense(3, 4, tanh), dropout(0.5)), chain(columns(1, 3), dense(2, 2, bias=False))
    net = concatenate(a, wide=b)
    params = init(net, 8, np.float64)
    assert list(params) == ["0/0/W", "0/0/b", "wide/1/W"]
    parts = [{name.partition("/")[2]: p for name, p in params.items() if name.startswith(way)} for way in ("0/", "wide/")]
    dy = np.random.default_rng(1).normal(size=(5, 6))
    y, pullback = vjp(net, params, INPUTS, key=9)
    (y_a, back_a), (y_b, back_b) = vjp(a, parts[0], INPUTS, key=(9, 0)), vjp(b, parts[1], INPUTS, key=(9, 1))
    assert same_bits(y, np.hstack([y_a, y_b]))
    (own, dx), (grads_a, dx_a), (grads_b, dx_b) = pullback(dy), back_a(dy[:, :4]), back_b(dy[:, 4:])
    assert same_bits(tuple(own.values()), (*grads_a.values(), *grads_b.values()))
    assert same_bits(dx(), dx_a() + dx_b())


def test_one_branch_run_twice_shares_its_weights() -> None:
    """A pair of towers with equal params has the same value, and gradients that add up."""
    tower = chain(dense(2, 4, tanh), dense(4, 3))
    one, two = combine(shared, tower=tower), chain(combine(apart, left=tower, right=tower))
    params = init(one, 0, np.float64)
    doubled = {f"0/{side}{name.removeprefix('tower')}": p for side in ("left", "right") for name, p in params.items()}
    x, y = np.random.default_rng(2).normal(size=(6, 4)), np.random.default_rng(3).normal(size=(6, 3))
    shared_grads, own = grads(one, mse, params, x, y), grads(two, mse, doubled, x, y)
    assert same_bits(forward(one, params, x), forward(two, doubled, x))
    for name, g in shared_grads.items():
        left, right = (own[f"0/{side}{name.removeprefix('tower')}"] for side in ("left", "right"))
        np.testing.assert_allclose(g, left + right, rtol=1e-13)


def apart(branches: Sequence[Branch], x: Array) -> Combined:
    """Do as `shared` with two branches."""
    (a, back_a), (b, back_b) = branches[0](x[:, :2]), branches[1](x[:, 2:])

    def pullback(dy: Array) -> tuple[Sequence[Params], InputGradient]:
        (grads_a, dx_a), (grads_b, dx_b) = back_a(dy), back_b(-dy)
        return (grads_a, grads_b), lambda: np.concatenate([dx_a(), dx_b()], axis=1)

    return a - b, pullback


def test_what_a_layer_of_ones_own_is_made_of_is_looked_into() -> None:
    net = chain(pair=combine(product, a=NOISY, b=concatenate(dense(3, 1, sigmoid), chain(dense(3, 1), dropout(0.1)))))
    params = init(net, 0)
    x = np.random.default_rng(4).normal(size=(7, 3)).astype(np.float32)
    with pytest.raises(ValueError, match=r"key must be given, as layer pair/a/1 is dropout 0.5|is dropout"):
        grads(net, mse, params, x, x[:, :2])
    calibrated = calibrate(net, params, x)
    a = calibrate(NOISY, {name[7:]: p for name, p in params.items() if name.startswith("pair/a/")}, x)
    assert same_bits(calibrated["pair/a/2/mean"], a["2/mean"])
    assert [row["layer"] for row in summary(net, params)][-4:] == ["pair/b/1/1", "pair/b", "pair", "total"]
    assert summary(net, params)[-2]["kind"] == "product"
    assert {"pair/a/0", "pair/b/1/0", "pair"} <= set(layer_outputs(net, calibrated, x))
    stages = diagnose(net, mse, {**calibrated, "pair/b/1/0/b": np.full(1, np.inf, np.float32)}, x, x[:, :2])["stages"]
    status = {stage["name"]: stage["status"] for stage in stages if stage["tensor"] == "output"}
    assert status["pair/a/3"] == "finite" and status["pair/b/1/0"] == status["pair/b"] == status["pair"] == "passed on"
    with pytest.raises(ValueError, match="net must have no batch norm"):
        sharded_value_and_grads(net, mse, params, x, x[:, :2], shards=2, key=1)


def test_branches_pickle() -> None:
    net = chain(concatenate(columns(0, 1), combine(product, dense(3, 2), dense(3, 2, bias=False))), dense(3, 1))
    back: Layer = pickle.loads(pickle.dumps(net))
    assert same_bits(forward(back, init(back, 0), INPUTS), forward(net, init(net, 0), INPUTS))


def test_a_layer_made_of_a_wrong_way_back_fails_its_check() -> None:
    def without_one(branches: Sequence[Branch], x: Array) -> Combined:
        y, pullback = product(branches, x)

        def wrong(dy: Array) -> tuple[Sequence[Params], InputGradient]:
            (grads_a, grads_b), dx = pullback(dy)
            return (grads_a, map_params(np.zeros_like, grads_b)), dx

        return y, wrong

    with pytest.raises(AssertionError, match="gradient"):
        check_layer(combine(without_one, dense(3, 2), dense(3, 2)), INPUTS)


def combined(f: object) -> Params:
    """Run and differentiate a layer that f makes of two branches."""
    net = chain(dense(3, 3), own=combine(bad(f), a=dense(3, 2), b=dense(3, 2)))
    return grads(net, mse, init(net, 0), INPUTS, INPUTS[:, :2])


def backward(change: Callable[[tuple[object, object]], object]) -> Callable[[Sequence[Branch], Array], object]:
    """Return `product` with its way back changed."""

    def f(branches: Sequence[Branch], x: Array) -> object:
        y, pullback = product(branches, x)
        return y, lambda dy: change(pullback(dy))

    return f


def writes_to_an_output(branches: Sequence[Branch], x: Array) -> object:
    y, pullback = branches[0](x)
    y *= 2
    return y, pullback


def test_what_a_branch_gives_is_locked_and_what_it_is_given_copied() -> None:
    with pytest.raises(ValueError, match=r"^layer own: .*read-only"):
        combined(writes_to_an_output)

    def reuses_memory(branches: Sequence[Branch], x: Array) -> Combined:
        memory = x.copy()
        a, back_a = branches[0](memory)
        memory.fill(0)
        b, back_b = branches[1](x)

        def pullback(dy: Array) -> tuple[Sequence[Params], InputGradient]:
            own = dy * b
            grads_a, dx_a = back_a(own)
            own.fill(0)
            grads_b, dx_b = back_b(dy * a)
            return (grads_a, grads_b), lambda: dx_a() + dx_b()

        return a * b, pullback

    assert same_bits(combined(reuses_memory), combined(product))


def own_layer(n: int) -> Layer:
    return dense(n, n)


SHARED_NORM = combine(shared, batch_norm(1))
BAD: Cases = {
    "no function to combine with": (
        lambda: combine(bad(dense(1, 1)), dense(1, 1)), TypeError,
        r"combine: f must be a function \(branches, x\) -> \(y, pullback\), got the functions .*",
    ),
    "a layer in place of the function": (
        lambda: combine(bad(relu), dense(1, 1)), TypeError, r"combine: f must be .*, got the function relu, which takes \(z\)"
    ),
    "no branches": (lambda: concatenate(), ValueError, r"concatenate: layers must hold at least one layer, got none"),
    "no branches to combine": (lambda: combine(product), ValueError, r"combine: layers must hold at least one .*, got none"),
    "a branch that is none": (
        lambda: concatenate(dense(1, 1), own=bad(relu)), TypeError, r"concatenate: layer own must be a pair of functions.*"
    ),
    "columns that are not there": (
        lambda: forward(concatenate(a=columns(2, 4)), {}, X[:, :3]), ValueError,
        r"columns: a/x must have shape \(rows, 4 or more\), got \(5, 3\)",
    ),
    "outputs of other shapes": (
        lambda: forward(concatenate(columns(0, 1), elementwise(lambda x, key: x[:, :, None], lambda dy, x: dy[:, :, 0])), {}, X),
        ValueError, r"concatenate: layers must put out arrays of one shape but for their columns, got \(5, 1\), \(5, 4, 1\)",
    ),
    "no columns": (lambda: columns(2, 2), ValueError, r"columns: stop must be at least 3, got 2"),
    "columns from the end": (lambda: columns(-1, 2), ValueError, r"columns: start must be at least 0, got -1"),
    "columns with params": (lambda: forward(columns(0, 1), P, X), ValueError, r"columns: .* must not be in params, .*"),
    "params of no branch": (
        lambda: forward(concatenate(a=columns(0, 1)), P, X), ValueError,
        r"chain: hidden/W must belong to one of its layers, got a",
    ),
    "a branch's params of another shape": (
        lambda: forward(chain(o=concatenate(a=dense(3, 1))), {"o/a/W": np.ones((3, 2)), "o/a/b": np.ones(1)}, X), ValueError,
        r"dense: o/a/W must have shape \(3, 1\), got \(3, 2\)",
    ),
    "f gives no pair": (lambda: combined(lambda branches, x: x), TypeError, r"combine: own/f must return a pair \(y, pullback\), got .*"),
    "f takes other arguments in use": (
        lambda: combined(lambda branches, x, *, more: x), TypeError, r"combine: f must be .*, which takes .*"
    ),
    "f gives a branch a list": (
        lambda: combined(lambda branches, x: branches[0](x.tolist())), TypeError,
        r"combine: own/what f gives a branch must be a float32 array, the dtype of x, got .*",
    ),
    "f gives a branch another dtype": (
        lambda: combined(lambda branches, x: branches[0](x.astype(np.float64))), TypeError,
        r"combine: own/what f gives a branch must be a float32 array, the dtype of x, got float64 array of shape .*",
    ),
    "f gives a branch too many columns": (
        lambda: combined(lambda branches, x: branches[1](np.hstack([x, x]))), ValueError,
        r"dense: own/b/x must have shape \(rows, 3\), got \(5, 6\)",
    ),
    "f gives the gradients of one branch of two": (
        lambda: combined(backward(lambda back: (bad(back[0])[:1], back[1]))), TypeError,
        r"combine: own/the pullback of f must give a pair \(grads, dx\), where grads holds one mapping for each of 2 branches, got .*",
    ),
    "f gives gradients in a mapping": (
        lambda: combined(backward(lambda back: ({}, back[1]))), TypeError,
        r"combine: own/the pullback of f must give a pair \(grads, dx\), .*",
    ),
    "f gives gradients of other names": (
        lambda: combined(backward(lambda back: ([{}, {"V": np.zeros(1)}], back[1]))), ValueError,
        r"pullback: own/grads must have names that are in params \(.*\), got b/V",
    ),
    "f gives dx itself": (
        lambda: combined(backward(lambda back: (back[0], np.zeros((5, 3))))), TypeError,
        r"pullback: own/dx must be a function that computes it, got .*",
    ),
    "f gives a branch a dy of another shape": (
        lambda: combined(lambda branches, x: (branches[0](x)[0], lambda dy: branches[0](x)[1](dy[:, :1]))), ValueError,
        r"combine: own/the dy of a branch must be a float32 array of shape \(5, 2\), that of its output, got .*",
    ),
    "a batch norm that a run would meet twice": (
        lambda: train(SHARED_NORM, mse, init(SHARED_NORM, 0), X[:, :2], X[:, :1], epochs=1, lr=0.1), ValueError,
        r"train: net must run each batch norm once in a pass, .*, got one in a branch that runs twice",
    ),
    "a batch norm that runs twice": (
        lambda: calibrate(combine(shared, batch_norm(1)), init(combine(shared, batch_norm(1)), 0), X[:, :2]), ValueError,
        r"calibrate: 0/net must run each batch norm once in a pass, as that has one mean and var .*, got a second run",
    ),
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
        r"chain: layer 1 must be a pair of functions \(init, forward\), as activation\(f\) is, got the function relu",
    ),
    "activation with options in place of a layer": (
        lambda: chain(dense(2, 3), bad(partial(elu, alpha=0.5))),
        TypeError,
        r"chain: layer 1 must be .*, as activation\(f\) is, got a partial of the function elu",
    ),
    "pair in place of a layer": (
        lambda: chain(dense(2, 3), bad((np.sin, np.cos))),
        TypeError,
        r"chain: layer 1 must be .*, got the functions \(sin, cos\) of other arguments",
    ),
    "factory in place of a layer": (
        lambda: chain(bad(dense), dropout(0.5)),
        TypeError,
        r"chain: layer 0 must be a pair of functions .*, as dense\(\.\.\.\) is, got the function dense",
    ),
    "factory in a residual": (
        lambda: residual(bad(dropout)),
        TypeError,
        r"residual: layer must be a pair of functions .*, as dropout\(\.\.\.\) is, got the function dropout",
    ),
    "factory in place of a network": (
        lambda: init(bad(chain), 0),
        TypeError,
        r"init: net must be a pair of functions .*, as chain\(\.\.\.\) is, got the function chain",
    ),
    "factory of a user's own": (
        lambda: forward(bad(own_layer), {}, X),
        TypeError,
        r"forward: net must be a pair of functions .*, as own_layer\(\.\.\.\) is, got the function own_layer",
    ),
    "layers in a list": (
        lambda: chain(bad([dense(2, 3), dense(3, 1)])),
        TypeError,
        r"chain: layer 0 must be a pair .*, as chain\(\*layers\) is, got a list of 2",
    ),
    "layers one after another": (
        lambda: chain(bad(dense(2, 2) for _ in range(2))),
        TypeError,
        r"chain: layer 0 must be a pair .*, got <generator.*",
    ),
    "layers in a list with another": (
        lambda: chain(bad([dense(2, 3), relu])),
        TypeError,
        r"chain: layer 0 must be a pair .*, as chain\(\*layers\) is, got a list of 2",
    ),
    "function in place of a layer": (
        lambda: chain(bad(lambda z: z * z)),
        TypeError,
        r"chain: layer 0 must be .*, got the function <lambda>",
    ),
    "half a factory in place of a layer": (
        lambda: chain(bad(partial(dense, 3))),
        TypeError,
        r"chain: layer 0 must be .*, as dense\(\.\.\.\) is, got a partial of the function dense",
    ),
    "layers in a dict": (
        lambda: chain(a=bad({"b": dense(2, 3)})),
        TypeError,
        r"chain: layer a must be a pair .*, as chain\(\*\*layers\) is, got a dict of 1",
    ),
    "layers in place of a network": (
        lambda: forward(bad((dense(2, 3), dense(3, 1))), {}, X),
        TypeError,
        r"forward: net must be a pair .*, as chain\(\*layers\) is, got a tuple of 2",
    ),
    "optimiser in place of a layer": (
        lambda: chain(bad(adam())),
        TypeError,
        r"chain: layer 0 must be \(init\(key, dtype\), forward\(.*\)\), got the functions \(initial, stepped\) of other arguments",
    ),
    "sizes side by side": (
        lambda: mlp(bad(784), bad(256), bad(10)),
        TypeError,
        r"mlp: sizes must be a sequence of integers, got 784",
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
