"""Ensembles: every member is what it is alone."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike

from nnfunc import (
    AnyArray, Array, Branch, InputGradient, Key, Layer, LossFn, Optimizer, Params, Penalty, Pullback, activation, adam,
    adamw, batch_norm, calibrate, chain, columns, combine, concatenate, cross_entropy, dense, dropout, elu, embedding,
    forward, gelu, init, l1, l2, layer_norm, log_softmax, masked, mse, relu, residual, sgd, softmax, split, tanh,
    value_and_grads, watched,
)  # fmt: skip
from nnfunc.transforms import ensemble_forward, ensemble_value_and_grads, stack_params, unstack_params
from recipes.branches import product
from tests.layers import bare, elementwise, scaling, shared
from tests.numeric import bad, relative_error, same_bits, with_value
from tests.samples import ASKS, CE, P, REGULARISED, X, Y
from tests.samples import NET as SMALL
from tests.sentences import Cases, assert_sentence

NET = chain(hidden=dense(4, 3, relu), norm=layer_norm(3), out=dense(3, 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", [1, 3])
def test_what_is_stacked_is_given_back_byte_for_byte(dtype: DTypeLike, m: int) -> None:
    members = tuple(init(NET, key, dtype) for key in split(0, m))
    stacked = stack_params(members)
    assert {name: array.shape for name, array in stacked.items()} == {n: (m, *a.shape) for n, a in members[0].items()}
    back = unstack_params(stacked)
    assert same_bits(back, members)
    for params in (stacked, *back):
        assert all(not a.flags.writeable and a.dtype == dtype for a in params.values())


def test_members_may_be_in_any_layout_and_order_and_share_no_memory() -> None:
    a, b = {"W": np.asfortranarray(np.eye(3)), "s": np.array(2.0)}, {"s": np.array(3.0), "W": np.ones((3, 3))}
    stacked = stack_params([a, b])
    assert list(stacked) == ["W", "s"]
    assert stacked["W"].flags.c_contiguous
    assert stacked["s"].tolist() == [2.0, 3.0]
    writable = {name: np.array(array) for name, array in stacked.items()}
    for given, made in ((a, stacked), (writable, unstack_params(writable)[0])):
        assert not any(np.may_share_memory(given[name], made[name]) for name in given)


M, N = 4, 7
DRAW = np.random.default_rng(8)
ROWS: Array = DRAW.normal(size=(M, N, 3))
TARGETS: Array = DRAW.normal(size=(M, N, 2))
# Each member leaves out other rows, and the second none.
WEIGHTS: AnyArray = np.array(
    [[1, 0, 2, 0, 0, 3, 1], [1, 2, 3, 1, 2, 3, 1], [0, 0, 0, 2, 1, 0, 0.5], [0, 1, 1, 1, 1, 1, 1]], dtype=float
)
KEYS: list[Key] = [7, (7, 1), (8,), 2**100]


def turned(branches: Sequence[Branch], x: Array) -> tuple[Array, Callable[[Array], tuple[list[Params], InputGradient]]]:
    """Run a branch on the columns in reverse, which is only right on two axes."""
    y, back = branches[0](x[:, ::-1])

    def pullback(dy: Array) -> tuple[list[Params], InputGradient]:
        grads, dx = back(dy)
        return [grads], lambda: dx()[:, ::-1]

    return y, pullback


NETS: dict[str, Layer] = {
    **REGULARISED,
    "one layer": dense(3, 2, tanh),
    "no bias": chain(dense(3, 4, (np.sin, np.cos), bias=False), dense(4, 2)),
    "activations": chain(dense(3, 4), activation(softmax), dense(4, 4, log_softmax), activation(elu), dense(4, 2, gelu)),
    "a chain of one": chain(chain(dropout(0.5)), dense(3, 2)),
    "side by side": concatenate(a=chain(columns(0, 1), dense(1, 1)), b=chain(columns(1, 3), dense(2, 1), dropout(0.5))),
    "branches of one's own": chain(combine(product, dense(3, 4), chain(dense(3, 4), dropout(0.2))), dense(4, 2)),
    "a branch on columns in reverse": combine(turned, dense(3, 2)),
    "shared weights": chain(dense(3, 4), combine(shared, dense(2, 2))),
    "a layer of one's own": chain(
        dense(3, 3), elementwise(lambda x, key: np.sin(x), lambda dy, x: dy * np.cos(x)), dense(3, 2)
    ),
    "watched": watched(chain(dense(3, 3), residual(dense(3, 3)), dense(3, 2)), lambda path, tensor: None),
}


def members_of(net: Layer, dtype: DTypeLike = np.float64) -> list[Params]:
    """Return params of different members, calibrated for inference."""
    return [calibrate(net, init(net, key, dtype), ROWS[0]) for key in split(5, M)]


def own(given: Any, axes: int, i: int) -> Any:
    """Return what belongs to member i: a place on the first axis if each has its own, and the whole if it is for all."""
    return given[i] if given is not None and np.ndim(given) > axes else given


def assert_as_alone(
    net: Layer, x: Array, y: AnyArray, weight: AnyArray | None, keys: list[Key] | None, dtype: DTypeLike = np.float64
) -> None:
    """Fail unless losses and gradients are those of networks by themselves."""
    members = members_of(net, dtype)
    stacked, tolerance = stack_params(members), 1e-12 if dtype == np.float64 else 1e-5
    values, g = ensemble_value_and_grads(net, mse, stacked, x, y, weight=weight, penalty=l2(0.01), keys=keys)
    assert values.dtype == np.float64
    assert all(a.dtype == dtype and not a.flags.writeable for a in g.values())
    for i, (member, own_g) in enumerate(zip(members, unstack_params(g), strict=True)):
        data, key = (own(x, 2, i), own(y, 2, i)), None if keys is None else keys[i]
        value, expected = value_and_grads(net, mse, member, *data, weight=own(weight, 1, i), penalty=l2(0.01), key=key)
        assert values[i] == pytest.approx(value, rel=tolerance)
        assert relative_error(own_g, expected) < tolerance


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("keys", [None, KEYS], ids=["inference", "training"])
@pytest.mark.parametrize("name", NETS)
def test_outputs_are_those_of_members_alone(name: str, keys: list[Key] | None, dtype: DTypeLike) -> None:
    net, members = NETS[name], members_of(NETS[name], dtype)
    for x in (ROWS, ROWS[0]):
        outputs = ensemble_forward(net, stack_params(members), x, keys)
        assert outputs.dtype == dtype
        for i, member in enumerate(members):
            alone = forward(net, member, own(x, 2, i), None if keys is None else keys[i])
            assert np.allclose(outputs[i], alone, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("weight", [None, WEIGHTS, WEIGHTS[1], WEIGHTS[0]], ids=["none", "own", "for all", "zeros for all"])
@pytest.mark.parametrize("name", NETS)
def test_losses_and_gradients_are_those_of_members_alone(name: str, weight: AnyArray | None) -> None:
    for x in (ROWS, ROWS[0]):
        for y in (TARGETS, TARGETS[0]):
            assert_as_alone(NETS[name], x, y, weight, KEYS)


@pytest.mark.parametrize("name", ["one layer", "layer norm", "shared weights"])
def test_without_keys_and_in_float32_too(name: str) -> None:
    assert_as_alone(NETS[name], ROWS, TARGETS[0], WEIGHTS, None, np.float32)


def test_the_comparison_can_fail() -> None:
    of_all_rows = (lambda z: z - z.mean(), np.ones_like)  # is not elementwise, and meets the rows of all members
    with pytest.raises(AssertionError):
        assert_as_alone(dense(3, 2, of_all_rows), ROWS, TARGETS, None, None)


def test_rows_that_count_stay_in_order_and_so_under_their_own_masks() -> None:
    net, x, y = NETS["dropout"], DRAW.normal(size=(60, 3)), DRAW.normal(size=(60, 2))
    assert_as_alone(net, x, y, DRAW.integers(0, 3, (M, 60)), KEYS)


def test_no_penalty_sees_what_calibrate_has_put_there() -> None:
    names: list[list[str]] = []

    def told(params: Params) -> tuple[float, Params]:
        names.append(list(params))
        return 0.0, {}

    stacked = stack_params(members_of(REGULARISED["batch norm"]))
    _, g = ensemble_value_and_grads(REGULARISED["batch norm"], mse, stacked, ROWS, TARGETS, penalty=told, keys=KEYS)
    assert names == [list(g)] * M
    assert "0/mean" in stacked
    assert "0/mean" not in g


@pytest.mark.parametrize(
    "penalty", [l2(0.3), l1(0.3), l1(0.3, ["gain/c"]), l2(0.3, ["*b", "*table"]), l2(0.3, ["*"]), lambda params: l2(0.3)(params)],
    ids=["l2", "l1", "of a vector", "of names", "of all", "a function of one's own"],
)
def test_a_penalty_is_that_of_members_alone_and_tells_weights_by_their_own_axes(penalty: Penalty) -> None:
    def gain(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        return x * params["c"], lambda dy: ({"c": np.add.reduce(dy * x, axis=0)}, lambda: dy * params["c"])

    own: Layer = (lambda key, dtype: {"c": np.arange(3.0)}, gain)
    net = chain(words=embedding(4, 2), hidden=dense(4, 3, tanh), gain=own, out=dense(3, 2))
    members = [init(net, key, np.float64) for key in split(3, M)]
    codes, y = DRAW.integers(0, 4, (N, 2)).astype(float), TARGETS[0]
    values, g = ensemble_value_and_grads(net, mse, stack_params(members), codes, y, penalty=penalty)
    for i, own_g in enumerate(unstack_params(g)):
        value, alone = value_and_grads(net, mse, members[i], codes, y, penalty=penalty)
        assert values[i] == pytest.approx(value, rel=1e-13)
        assert relative_error(own_g, alone) < 1e-13


def test_a_bootstrap_by_weights_is_one_by_rows() -> None:
    net, draws = NETS["one layer"], DRAW.integers(0, N, (M, N))
    stacked, x, y = stack_params(members_of(net)), ROWS[0], TARGETS[0]
    counts = np.array([np.bincount(draw, minlength=N) for draw in draws])
    by_weights = ensemble_value_and_grads(net, mse, stacked, x, y, weight=counts)
    by_rows = ensemble_value_and_grads(net, mse, stacked, x[draws], y[draws])
    assert np.allclose(by_weights[0], by_rows[0], rtol=1e-13)
    assert relative_error(by_weights[1], by_rows[1]) < 1e-13


def test_what_stands_in_rows_of_weight_0_does_not_count() -> None:
    """Neither do the rows that stand in their places: log is of none that is not a member's own."""
    more = elementwise(lambda x, key: x + 1, lambda dy, x: dy)
    net = chain(dense(3, 4), more, activation((np.log, np.reciprocal)), dense(4, 2))
    stacked = stack_params([{name: np.abs(a) for name, a in member.items()} for member in members_of(net)])
    x, y = np.abs(ROWS[0]), TARGETS[0]
    expected = ensemble_value_and_grads(net, mse, stacked, x, y, weight=WEIGHTS)
    x, y = np.broadcast_to(x, ROWS.shape).copy(), np.broadcast_to(y, TARGETS.shape).copy()
    x[WEIGHTS == 0], y[WEIGHTS == 0] = np.nan, np.inf
    assert all(np.isfinite(a).all() for a in (expected[0], *expected[1].values()))
    assert same_bits(ensemble_value_and_grads(net, mse, stacked, x, y, weight=WEIGHTS), expected)


@pytest.mark.parametrize("weight", [None, WEIGHTS])
def test_a_row_without_a_target_is_as_if_it_were_not_there(weight: AnyArray | None) -> None:
    net, y = chain(dense(3, 4, tanh), dense(4, 2)), TARGETS.copy()
    y[0, 2], y[1, :2], y[3, 6, 0] = np.nan, np.nan, np.nan
    members = [init(net, i, np.float64) for i in range(M)]
    values, g = ensemble_value_and_grads(net, masked(mse), stack_params(members), ROWS, y, weight=weight)
    for i, (member, own) in enumerate(zip(members, unstack_params(g), strict=True)):
        value, alone = value_and_grads(net, masked(mse), member, ROWS[i], y[i], weight=None if weight is None else weight[i])
        assert values[i] == pytest.approx(value, rel=1e-13)
        assert relative_error(own, alone) < 1e-13


def test_losses_on_probabilities_are_computed_from_logits() -> None:
    net, y = chain(dense(3, 2, softmax)), np.arange(N) % 2
    stacked = {name: 1e5 * array for name, array in stack_params(members_of(net)).items()}
    found = ensemble_value_and_grads(net, cross_entropy, stacked, ROWS, y)
    assert same_bits(found, ensemble_value_and_grads(chain(dense(3, 2)), CE, stacked, ROWS, y))
    assert np.isfinite(found[0]).all()


def test_a_loss_of_ones_own_sees_the_rows_of_all_members_and_changes_nothing() -> None:
    shapes: list[tuple[int, ...]] = []

    def own_loss(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
        shapes.append(outputs.shape)
        assert not (outputs.flags.writeable or targets.flags.writeable)
        return mse(outputs, targets)

    stacked = stack_params(members_of(NETS["one layer"]))
    values, g = ensemble_value_and_grads(NETS["one layer"], own_loss, stacked, ROWS, TARGETS)
    assert same_bits((values, g), ensemble_value_and_grads(NETS["one layer"], mse, stacked, ROWS, TARGETS))
    assert shapes == [(M * N, 2)]


@pytest.mark.parametrize("m", [2, 4])
def test_targets_of_as_many_rows_as_members(m: int) -> None:
    """They are then each member's own exactly if the rows are, whatever their dtype."""
    net = dense(3, m)
    stacked = stack_params([init(net, key, np.float64) for key in split(1, m)])
    x, y = DRAW.normal(size=(m, 3)), np.eye(m, dtype=int)[DRAW.integers(0, m, m)]
    for targets in (y, y.astype(float), y.tolist()):
        for loss_fn in (CE, mse):
            found = ensemble_value_and_grads(net, loss_fn, stacked, x, targets)
            assert same_bits(found, ensemble_value_and_grads(net, loss_fn, stacked, x, np.array([y] * m)))
    own_x, classes = np.array([x] * m), DRAW.integers(0, m, (m, m))
    values, _ = ensemble_value_and_grads(net, CE, stacked, own_x, classes)
    again, _ = ensemble_value_and_grads(net, CE, stacked, x, np.eye(m)[classes])
    assert np.allclose(values, again, rtol=1e-13)
    of_one_column = dense(3, 1)
    stacked, y = stack_params([init(of_one_column, key, np.float64) for key in split(1, m)]), DRAW.normal(size=(m, m))
    flat = chain(of_one_column, bare(lambda params, x, key: (x[:, 0], lambda dy: ({}, lambda: dy[:, None]))))
    stacked = {f"0/{name}": array for name, array in stacked.items()}
    for i, value in enumerate(ensemble_value_and_grads(flat, mse, stacked, own_x.tolist(), y)[0]):
        assert value == pytest.approx(value_and_grads(flat, mse, unstack_params(stacked)[i], x, y[i])[0], rel=1e-13)


@pytest.mark.parametrize("loss_fn", [mse, masked(mse)], ids=["mse", "masked"])
@pytest.mark.parametrize("mean_weight", [1.25, 2, np.array([0.5, 1.0, 2.0, 1e200])], ids=["float", "int", "own"])
@pytest.mark.parametrize("name", ["one layer", "dropout", "layer norm", "batch norm"])
def test_a_batch_of_a_bootstrap_may_weigh_nothing(name: str, mean_weight: float | Array, loss_fn: LossFn) -> None:
    net, members, y = NETS[name], members_of(NETS[name]), TARGETS.copy()
    weight = WEIGHTS.copy()
    weight[2] = 0
    if loss_fn is not mse:
        y[0, 2], y[2, 4], y[1, :2, 0] = np.nan, np.nan, np.nan
    data = {"weight": weight, "mean_weight": mean_weight, "penalty": l2(0.01)}
    values, g = ensemble_value_and_grads(net, loss_fn, stack_params(members), ROWS, y, **bad(data), keys=KEYS)
    for i, (member, own_g) in enumerate(zip(members, unstack_params(g), strict=True)):
        data |= {"weight": weight[i], "mean_weight": float(np.broadcast_to(mean_weight, M)[i])}
        value, alone = value_and_grads(net, loss_fn, member, ROWS[i], y[i], **bad(data), key=KEYS[i])
        assert values[i] == pytest.approx(value, rel=1e-12)
        assert relative_error(own_g, alone) < 1e-12


def test_batches_of_a_bootstrap_add_up_to_the_whole() -> None:
    net, stacked = NETS["one layer"], stack_params(members_of(NETS["one layer"]))
    counts = np.array([np.bincount(draw, minlength=N) for draw in DRAW.integers(0, N, (M, N))])
    whole = ensemble_value_and_grads(net, mse, stacked, ROWS[0], TARGETS[0], weight=counts)
    parts = [
        ensemble_value_and_grads(net, mse, stacked, ROWS[0][[i]], TARGETS[0][[i]], weight=counts[:, [i]], mean_weight=counts.mean(axis=1))
        for i in range(N)
    ]
    assert (counts == 0).any()
    assert np.allclose(np.mean([values for values, _ in parts], axis=0), whole[0], rtol=1e-13)
    assert np.allclose(np.mean([g["W"] for _, g in parts], axis=0), whole[1]["W"], rtol=1e-12)


@pytest.mark.parametrize("optimizer", [sgd(), adam(), adamw(weight_decay=0.1)], ids=["sgd", "adam", "adamw"])
def test_optimisers_step_members_as_alone(optimizer: Optimizer) -> None:
    net = NETS["one layer"]
    opt_init, step = optimizer
    members = members_of(net)
    together = stack_params(members)
    state, states = opt_init(together), [opt_init(member) for member in members]
    for _ in range(3):
        _, g = ensemble_value_and_grads(net, mse, together, ROWS, TARGETS)
        together, state = step(together, g, state, 0.1)
        for i in range(M):
            own_g = value_and_grads(net, mse, members[i], ROWS[i], TARGETS[i])[1]
            members[i], states[i] = step(members[i], own_g, states[i], 0.1)
    assert all(relative_error(a, b) < 1e-12 for a, b in zip(unstack_params(together), members, strict=True))


def test_own_activations_run_once_for_all_and_own_layers_member_by_member() -> None:
    shapes: list[tuple[int, ...]] = []

    def seen(z: Array, key: Key | None = None) -> Array:
        shapes.append(z.shape)
        return z

    pair = seen, np.ones_like
    net = chain(dense(3, 5, pair), activation(pair), elementwise(seen, lambda dy, x: dy))
    ensemble_forward(net, stack_params([init(net, key) for key in split(0, M)]), ROWS)
    assert shapes == [(M * N, 5)] * 2 + [(N, 5)] * M


def test_a_tap_is_told_of_each_members_tensors() -> None:
    told: list[tuple[str, tuple[int, ...]]] = []
    net = watched(chain(a=dense(3, 3), b=residual(dense(3, 3))), lambda path, x: told.append((path, x.shape)))
    members = [init(net, key) for key in split(0, M)]
    forward(net, members[0], ROWS[0])
    alone = told.copy()
    ensemble_forward(net, stack_params(members), ROWS)
    assert sorted(told[len(alone) :]) == sorted(alone * M)


def test_many_rows_go_through_in_blocks() -> None:
    net, x = NETS["activations"], DRAW.normal(size=(2500, 3))
    members = members_of(net)
    outputs = ensemble_forward(net, stack_params(members), x)
    assert outputs.shape == (M, 2500, 2)
    assert np.allclose(outputs[1], forward(net, members[1], x), rtol=1e-12)


def test_rows_of_more_axes_are_given_to_each() -> None:
    def flat(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        return x.reshape(len(x), -1), lambda dy: ({}, lambda: dy.reshape(x.shape))

    net, x = chain(activation(tanh), scaling(2.0, 2.0), bare(flat), dense(4, 2)), DRAW.normal(size=(5, 2, 2))
    members = [init(net, key, np.float64) for key in split(0, 3)]
    given = np.broadcast_to(x, (3, *x.shape))
    outputs = ensemble_forward(net, stack_params(members), given)
    values, _ = ensemble_value_and_grads(net, mse, stack_params(members), given, np.zeros((5, 2)))
    assert np.allclose(outputs[2], forward(net, members[2], x), rtol=1e-13)
    assert values[2] == pytest.approx(value_and_grads(net, mse, members[2], x, np.zeros((5, 2)))[0], rel=1e-13)


STACKED = stack_params([P, {name: 2 * array for name, array in P.items()}, P])


def spoiled(i: int, name: str, value: float) -> Params:
    """Return the stacked params with a value of member i changed."""
    array = STACKED[name]
    return {**STACKED, name: with_value(array, (i, *[0] * (array.ndim - 1)), value)}


def odd(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Put out as many columns as k says, or x where k is below 0, but give no gradient."""
    k = int(params["k"])
    grads: Params = {} if k < 0 else {"k": np.zeros_like(params["k"])}
    return x[:, :k] if k > 0 else x, lambda dy: (grads, lambda: dy)


ODD: Layer = (lambda key, dtype: {"k": np.zeros((), dtype)}, odd)
TWO_ROWS = np.array([[0, 1, 1, 1, 1], [0, 0, 0, 0, 2]])


BAD: Cases = {
    "stack_params of nothing": (
        lambda: stack_params([]), ValueError, r"stack_params: members must hold the params of one network at least, got none",
    ),
    "stack_params of params": (
        lambda: stack_params(bad(P)), TypeError, r"stack_params: members must be a sequence of params, got .*",
    ),
    "stack_params of numbers": (
        lambda: stack_params(bad([1])), TypeError, r"stack_params: members\[0\] must be a mapping of names to arrays, got 1",
    ),
    "stack_params of no params": (
        lambda: stack_params([{}, {}]), ValueError, r"stack_params: members\[0\] must hold an array at least, .*, got none",
    ),
    "stack_params of other names": (
        lambda: stack_params([P, {"W": X}]),
        ValueError, r"stack_params: members\[1\] must have the names that members\[0\] has \(hidden/W, .*\), got \['W'\]",
    ),
    "stack_params of another shape": (
        lambda: stack_params([P, P, {**P, "out/b": np.zeros(3, np.float32)}]),
        ValueError,
        r"stack_params: members\[2\]\['out/b'\] must have shape \(2,\), as in members\[0\], got float32 array of shape \(3,\)",
    ),
    "stack_params of another dtype": (
        lambda: stack_params([P, P, {name: a.astype(float) for name, a in P.items()}]),
        TypeError, r"stack_params: members\[2\] must be float32, as members\[0\], got float64",
    ),
    "unstack_params of no mapping": (
        lambda: unstack_params(bad([P])), TypeError, r"unstack_params: stacked must be a mapping of names to arrays, got .*",
    ),
    "unstack_params of nothing": (
        lambda: unstack_params({}),
        ValueError, r"unstack_params: stacked must hold arrays with a first axis of one length, .*, got none",
    ),
    "unstack_params of a number": (
        lambda: unstack_params({"W": X, "s": np.array(1, np.float32)}),
        ValueError, r"unstack_params: stacked must hold arrays with a first axis of one length, .*, got W \(5, 4\), s \(\)",
    ),
    "unstack_params of one network's params": (
        lambda: unstack_params(P),
        ValueError, r"unstack_params: stacked must hold arrays .* \(stack_params makes them\), got hidden/W \(4, 3\), .*",
    ),
    "params of one network": (
        lambda: ensemble_forward(SMALL, P, X),
        ValueError, r"ensemble_forward: stacked must hold arrays .* \(stack_params makes them\), got hidden/W \(4, 3\), .*",
    ),
    "params of one network whose shapes are as those of an ensemble": (
        lambda: ensemble_forward(dense(3, 3), init(dense(3, 3), 0), np.ones((5, 3))),
        ValueError, r"dense: W must have shape \(3, 3\), got \(3,\)",
    ),
    "params of another network": (
        lambda: ensemble_forward(chain(out=dense(4, 2)), STACKED, X),
        ValueError, r"chain: hidden/W must belong to one of its layers, got out",
    ),
    "a name that a layer asks for and nobody gives": (
        lambda: ensemble_forward(chain(a=dense(4, 3), b=ASKS), {f"a/{name[7:]}": STACKED[name] for name in list(P)[:2]}, X),
        ValueError, r"layer: b/s must be in params, got no such name",
    ),
    "no network": (
        lambda: ensemble_forward(bad(relu), STACKED, X), TypeError, r"ensemble_forward: net must be a pair of functions .*, got .*",
    ),
    "x of other columns": (
        lambda: ensemble_forward(SMALL, STACKED, X[:, :3]),
        ValueError, r"dense: hidden/x must have shape \(rows, 4\), got \(5, 3\)",
    ),
    "x of another number of members": (
        lambda: ensemble_forward(SMALL, STACKED, np.ones((2, 5, 4))),
        ValueError,
        r"ensemble_forward: x must have shape \(rows, columns\), for all members, or \(3, rows, columns\), each its own, got \(2, 5, 4\)",
    ),
    "x of no rows": (
        lambda: ensemble_forward(SMALL, STACKED, np.ones((3, 0, 4))),
        ValueError, r"ensemble_forward: x must have shape \(rows, columns\), .*, got \(3, 0, 4\)",
    ),
    "too few keys": (
        lambda: ensemble_forward(SMALL, STACKED, X, [1, 2]),
        ValueError, r"ensemble_forward: keys must hold one key for each of 3 members, got \(1, 2\)",
    ),
    "one key": (
        lambda: ensemble_forward(SMALL, STACKED, X, bad(1)),
        TypeError, r"ensemble_forward: keys must be a sequence of keys, one for each member, got 1",
    ),
    "no key": (
        lambda: ensemble_forward(SMALL, STACKED, X, [1, 2, -1]), ValueError, r"ensemble_forward: key must be at least 0, got -1",
    ),
    "no keys in training": (
        lambda: ensemble_value_and_grads(chain(dense(4, 2), b=dropout(0.5)), CE, bad(STACKED), X, Y),
        ValueError, r"ensemble_value_and_grads: keys must be given, as layer b is dropout \(.*\), got None",
    ),
    "too few targets": (
        lambda: ensemble_value_and_grads(SMALL, CE, STACKED, X, Y[:4]),
        ValueError,
        r"ensemble_value_and_grads: y must have shape \(5, ...\), one target for each row of x, "
        r"or \(3, 5, ...\), each its own, got int64 array of shape \(4,\)",
    ),
    "targets of another number of members": (
        lambda: ensemble_value_and_grads(SMALL, mse, STACKED, X, np.zeros((2, 5, 2))),
        ValueError, r"ensemble_value_and_grads: y must have shape .*, each its own, got float32 array of shape \(2, 5, 2\)",
    ),
    "targets that are no classes": (
        lambda: ensemble_value_and_grads(SMALL, CE, STACKED, X, [[0, 1, 0, 1, 0], [0, 1, 0, 1, 0], [0, 1, 0, 2, 0]]),
        ValueError, r"softmax_cross_entropy: targets must be classes from 0 to 1, got 2 at row 3 \(in member 2\)",
    ),
    "a loss that is no function": (
        lambda: ensemble_value_and_grads(SMALL, bad(3), STACKED, X, Y),
        TypeError, r"ensemble_value_and_grads: loss_fn must be a function .*, got 3",
    ),
    "a loss that does not belong to the network": (
        lambda: ensemble_value_and_grads(chain(SMALL, activation(softmax)), CE, STACKED, X, Y),
        ValueError, r"softmax_cross_entropy: the network must end in logits .*, got softmax at its end",
    ),
    "a member without targets": (
        lambda: ensemble_value_and_grads(SMALL, masked(mse), STACKED, X, [[[0.0] * 2] * 5, [[np.nan] * 2] * 5, [[0.0] * 2] * 5]),
        ValueError, r"ensemble_value_and_grads: y must hold a target in one row .*, got NaN in all 5 \(in member 1\)",
    ),
    "a member whose targets are all in rows of weight 0": (
        lambda: ensemble_value_and_grads(
            SMALL, masked(mse), STACKED, X, [[0.0] * 2] + [[np.nan] * 2] * 4, weight=[[1] * 5, [1] * 5, [0, 1, 1, 1, 1]]
        ),
        ValueError, r"ensemble_value_and_grads: .* must .*, got .* \(in member 2\)",
    ),
    "weights of another number of members": (
        lambda: ensemble_value_and_grads(SMALL, CE, STACKED, X, Y, weight=np.ones((2, 5))),
        ValueError,
        r"ensemble_value_and_grads: weight must have shape \(5,\), one weight per row, or \(3, 5\), each its own, got \(2, 5\)",
    ),
    "a member of no rows": (
        lambda: ensemble_value_and_grads(SMALL, CE, STACKED, X, Y, weight=[[1] * 5, [0] * 5, [1] * 5]),
        ValueError, r"ensemble_value_and_grads: weight must be finite, .*, got weights from 0 to 0 \(in member 1\)",
    ),
    "a mean weight without weights": (
        lambda: ensemble_value_and_grads(SMALL, CE, STACKED, X, Y, mean_weight=1.0),
        ValueError, r"ensemble_value_and_grads: mean_weight must come with weight, the weights of these rows, got 1.0",
    ),
    "mean weights of another number of members": (
        lambda: ensemble_value_and_grads(SMALL, CE, STACKED, X, Y, weight=Y, mean_weight=[1.0, 1.0]),
        ValueError, r"ensemble_value_and_grads: mean_weight must be a number, or one for each of 3 members, got float64 .* \(2,\)",
    ),
    "a mean weight of 0": (
        lambda: ensemble_value_and_grads(SMALL, CE, STACKED, X, Y, weight=Y, mean_weight=[1.0, 0.0, 1.0]),
        ValueError, r"ensemble_value_and_grads: mean_weight must be above 0, got 0.0",
    ),
    "no target for a member, and a mean weight": (
        lambda: ensemble_value_and_grads(
            SMALL, masked(mse), STACKED, X, [np.zeros((5, 2)), np.full((5, 2), np.nan), np.zeros((5, 2))], weight=[1] * 5,
            mean_weight=1,
        ),
        ValueError, r"ensemble_value_and_grads: y must hold a target in one row at least, got NaN in all 5 \(in member 1\)",
    ),
    "targets of too few rows, of as many as members": (
        lambda: ensemble_value_and_grads(SMALL, CE, STACKED, X[:3], Y[:2]),
        ValueError,
        r"ensemble_value_and_grads: y must have shape \(3, ...\), .*, each its own "
        r"\(shape \(3, 3\) is each its own if x is, else for all\), got int64 array of shape \(2,\)",
    ),
    "a weight below 0": (
        lambda: ensemble_value_and_grads(SMALL, CE, STACKED, X, Y, weight=[1, 2, 3, 4, -1]),
        ValueError, r"ensemble_value_and_grads: weight must be finite, at least 0 and not all 0, got weights from -1 to 4",
    ),
    "a batch norm on one row that counts": (
        lambda: ensemble_value_and_grads(
            batch_norm(4), mse, stack_params([init(batch_norm(4), 0)] * 2), X, X, weight=TWO_ROWS, keys=[1, 2]
        ),
        ValueError, r"batch_norm: x must hold at least two rows .*, got one row \(rows of weight 0 not counted; in member 1\)",
    ),
    "x that is not finite": (
        lambda: ensemble_value_and_grads(SMALL, CE, STACKED, with_value(X, (2, 1), np.nan), Y),
        FloatingPointError, r"ensemble_value_and_grads: x must be finite, got nan at \[2, 1\] \(1 of 20 values\)",
    ),
    "a parameter of one member that is not finite": (
        lambda: ensemble_value_and_grads(SMALL, CE, spoiled(1, "out/b", np.nan), X, Y),
        FloatingPointError,
        r"ensemble_value_and_grads: out/b must be finite, got nan at \[0\] \(1 of 2 values\) \(in member 1\)",
    ),
    "a layer's output of one member that is not finite": (
        lambda: ensemble_value_and_grads(SMALL, mse, spoiled(2, "hidden/W", 3e38), 10 * X, np.zeros((5, 2))),
        FloatingPointError,
        r"ensemble_value_and_grads: the output of layer hidden must be finite, .*, got .*inf at .* \(in member 2\)",
    ),
    "a penalty of one member that is not finite": (
        lambda: ensemble_value_and_grads(SMALL, CE, spoiled(1, "out/W", 1e38), 0 * X, Y, penalty=l2(1e300)),
        FloatingPointError, r"ensemble_value_and_grads: penalty must be finite, got inf \(in member 1\)",
    ),
    "a penalty that is no function": (
        lambda: ensemble_value_and_grads(SMALL, CE, STACKED, X, Y, penalty=bad(0.1)),
        TypeError, r"ensemble_value_and_grads: penalty must be a function params -> \(value, grads\), got 0.1",
    ),
    "a layer whose outputs differ in shape": (
        lambda: ensemble_forward(chain(own=ODD), {"own/k": np.array([1.0, 2.0])}, X),
        ValueError, r"forward: own/y must have one shape for all members, got \[\(5, 1\), \(5, 2\)\]",
    ),
    "a layer that gives gradients to some": (
        lambda: ensemble_value_and_grads(chain(own=ODD), mse, {"own/k": np.array([0.0, -1.0])}, X, X),
        ValueError, r"pullback: own/the grads must have the same names for all members, got \[\(\), \('k',\)\]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
