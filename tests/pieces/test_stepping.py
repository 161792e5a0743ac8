"""One step: down the gradient by hand, for a part of the params, at any rate; and what state and gradients must be."""

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from nnfunc import (
    Array,
    Params,
    State,
    adam,
    adamw,
    averaged,
    clip_by_value,
    freeze,
    generator,
    grads,
    l2,
    momentum,
    rmsprop,
    sgd,
    sgd_step,
)
from tests.numeric import bad, same_bits
from tests.samples import AFFINE, CE, NET, P, X, Y
from tests.sentences import Cases, assert_sentence

HALF: Params = {"W": np.ones(3), "b": np.ones(2)}
SLOTS: dict[str, tuple[Any, type[Exception], str]] = {
    "a list": ([0.0, 0.0], ValueError, r"adam: state\['m/b'\] must have shape \(2,\), got \[0.0, 0.0\]"),
    "of another shape": (
        np.zeros(3),
        ValueError,
        r"adam: state\['m/b'\] must have shape \(2,\), got float64 array of shape \(3,\)",
    ),
    "of another dtype": (
        np.zeros(2, np.float32),
        TypeError,
        r"adam: state\['m/b'\] must be float64, got float32 array of shape \(2,\)",
    ),
    "masked": (np.ma.zeros(2), TypeError, r"adam: state\['m/b'\] must be a plain array .*, got a MaskedArray"),
}


def test_sgd_step_against_hand_worked_values() -> None:
    # p = [1, -2], g = p^3, five steps of 0.01; PyTorch and optax agree on the result
    params: Params = {"p": np.array([1.0, -2.0])}
    for _ in range(5):
        params = sgd_step(params, {"p": params["p"] ** 3}, 0.01)
    assert params["p"].tolist() == pytest.approx([0.95282989623658, -1.67732758993228], abs=1e-13)


def test_dropping_gradients_freezes_a_layer() -> None:
    g = grads(NET, CE, P, X, Y)
    stepped = sgd_step(P, {name: a for name, a in g.items() if not name.startswith("hidden/")}, 0.1)
    assert list(stepped) == list(P)
    for name in P:
        assert same_bits(stepped[name], P[name]) == name.startswith("hidden/")


@pytest.mark.parametrize("names", [("W", "b"), ("W",)], ids=["all gradients", "one gradient"])
def test_a_rate_beyond_the_dtype_makes_no_warning(names: tuple[str, ...]) -> None:
    params: Params = {"W": np.ones(2, np.float32), "b": np.ones(1, np.float32)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isinf(sgd_step(params, {name: params[name] for name in names}, 1e300)["W"]).all()


@pytest.mark.parametrize("given", [("W", "b"), ("W",)], ids=["all gradients", "gradients of others"])
@pytest.mark.parametrize("name", SLOTS)
def test_every_slot_that_is_there_must_fit(name: str, given: tuple[str, ...]) -> None:
    slot, kind, pattern = SLOTS[name]
    opt_init, opt_step = adam()
    grads, state = {n: HALF[n] for n in given}, {**opt_init(HALF), "m/b": slot}
    assert_sentence(lambda: opt_step(HALF, grads, state, 0.1), kind, pattern)


def test_a_state_of_a_part_of_the_params_steps_that_part() -> None:
    opt_init, opt_step = momentum()
    params = freeze({"W": np.ones(3), "b": np.ones(2)})
    stepped, state = opt_step(params, {"W": np.ones(3)}, opt_init({"W": params["W"]}), 0.5)
    assert stepped["W"].tolist() == [0.5] * 3
    assert stepped["b"] is params["b"]
    assert list(state) == ["velocity/W"]


def test_a_parameter_steps_with_others_as_it_does_alone() -> None:
    draw = generator(0)
    params: dict[str, Array] = {
        "by columns": draw.normal(size=(3, 4)).T, "with gaps": draw.normal(size=10)[::2], "no axes": np.array(0.5),
        "nothing": np.zeros((0, 3)), "neither": np.zeros(0), "plain": draw.normal(size=(2, 3, 4)),
        "large": draw.normal(size=(70, 60)).T, "W": draw.normal(size=3),
    }  # fmt: skip
    for opt_init, opt_step in (adamw(), momentum(), rmsprop(centered=True, beta=0.5), averaged(adam(), 0.9)):
        together, state = dict(params), dict(opt_init(params))
        alone: dict[str, tuple[Params, State]] = {name: (params, opt_init({name: a})) for name, a in params.items()}
        for step in range(4):
            g = {name: np.asarray(draw.normal(size=array.shape)) for name, array in params.items()}
            if step == 1:
                del g["W"], g["large"], g["no axes"]
            new, after = opt_step(together, g, state, 0.1)
            for name in params:
                of = {name: alone[name][0][name]}
                alone[name] = opt_step(of, {name: g[name]} if name in g else {}, alone[name][1], 0.1)
                assert same_bits(new[name], alone[name][0][name])
                assert all(same_bits(after[full], array) for full, array in alone[name][1].items())
            assert list(new) == list(params) and after.keys() == state.keys()
            assert not any(array.flags.writeable for array in (*new.values(), *after.values()))
            together, state = dict(new), {full: after[full] for full in reversed(list(after))}


def test_a_step_that_fails_leaves_gradients_as_they_are() -> None:
    for shape in ((3,), (70, 60)):
        params, g = {"W": np.zeros(shape), "b": np.zeros(2)}, {"W": np.full(shape, np.nan), "b": np.ones(2)}
        with pytest.raises(FloatingPointError, match=r"adam: grads\['W'\] must be finite"):
            adam()[1](params, g, adam()[0](params), 0.1)
        assert g["W"].flags.writeable and g["b"].flags.writeable


BAD: Cases = {
    "learning rate below 0": (
        lambda: sgd_step(P, P, -0.1),
        ValueError,
        r"sgd_step: lr must be finite and at least 0, got -0.1",
    ),
    "learning rate nan": (
        lambda: sgd_step(P, P, np.nan),
        ValueError,
        r"sgd_step: lr must be finite and at least 0, got nan",
    ),
    "learning rate a text": (lambda: sgd_step(P, P, bad("1")), TypeError, r"sgd_step: lr must be a number, got '1'"),
    "gradient of an unknown name": (
        lambda: sgd_step(P, {"W": X}, 0.1),
        ValueError,
        r"sgd_step: grads must have names that are in params .*, got W",
    ),
    "gradient of another shape": (
        lambda: sgd_step(P, {"out/b": X}, 0.1),
        ValueError,
        r"sgd_step: grads\['out/b'\] must have shape \(2,\), got \(5, 4\)",
    ),
    "gradients None": (
        lambda: sgd_step(P, bad(None), 0.1),
        TypeError,
        r"sgd_step: grads must be a mapping of names to arrays, got None",
    ),
    "name no string": (
        lambda: sgd_step(P, bad({1: X}), 0.1),
        TypeError,
        r"sgd_step: grads must have strings as names, got 1",
    ),
    "gradient of bools": (
        lambda: sgd_step(P, {"out/b": bad(X > 0)}, 1),
        TypeError,
        r"sgd_step: grads\['out/b'\] must be a float32 .*, got bool .*",
    ),
    "learning rate too large for a float": (
        lambda: sgd_step(P, P, 10**5000),
        ValueError,
        r"sgd_step: lr must be a number that a float can hold, got a very long int",
    ),
    "learning rate an array": (
        lambda: sgd_step(P, P, bad(np.array([0.1]))),
        TypeError,
        r"sgd_step: lr must be a number, got float64 array of shape \(1,\)",
    ),
    "state of another optimiser": (
        lambda: adam()[1](P, P, momentum()[0](P), 1),
        ValueError,
        r"adam: state must hold only t, m, v of each .*, got 'velocity/hidden/W'",
    ),
    "state where none is kept": (
        lambda: sgd()[1](P, P, adam()[0](P), 1),
        ValueError,
        r"sgd: state must be empty, as sgd remembers nothing, got 't/hidden/W'",
    ),
    "state empty": (lambda: adam()[1](P, P, {}, 1), ValueError, r"adam: state must hold 't/hidden/W' .*, got \[\]"),
    "state of other params": (
        lambda: adam()[1](AFFINE, AFFINE, adam()[0](P), 1),
        ValueError,
        r"adam: state must hold only .*, got 't/hidden/W'",
    ),
    "slot of another shape": (
        lambda: momentum()[1](P, P, {**momentum()[0](P), "velocity/out/b": X}, 1),
        ValueError,
        r"momentum: state\['velocity/out/b'\] must have shape \(2,\), got float32 array of shape \(5, 4\)",
    ),
    "slot of another dtype": (
        lambda: momentum()[1](P, P, {**momentum()[0](P), "velocity/out/b": np.zeros(2)}, 1),
        TypeError,
        r"momentum: state\['velocity/out/b'\] must be float32, got float64 array of shape \(2,\)",
    ),
    "count below 0": (
        lambda: adam()[1](P, P, {**adam()[0](P), "t/out/b": np.asarray(-1)}, 1),
        ValueError,
        r"adam: state\['t/out/b'\] must be at least 0, got -1",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])


@pytest.mark.parametrize("given", [[0.1], np.array([0.1]).tolist(), (0.1,)])
def test_gradients_that_are_lists_take_the_dtype_of_the_params(given: ArrayLike) -> None:
    params = {"W": np.array([1.0])}
    exact = np.array([0.1])
    assert sgd_step(params, bad({"W": given}), 1.0)["W"] == 1 - 0.1
    optimizer = adam()
    found, _ = optimizer[1](params, bad({"W": given}), optimizer[0](params), 0.1)
    expected, _ = optimizer[1](params, {"W": exact}, optimizer[0](params), 0.1)
    assert found["W"].tobytes() == expected["W"].tobytes()
    assert clip_by_value(bad({"W": given}), 1.0)["W"].tobytes() == exact.tobytes()
    assert l2(1.0)(bad({"W": given}))[0] == 0.1 * 0.1
    narrow = sgd_step({"W": np.ones(1, np.float32)}, bad({"W": given}), 1.0)["W"]
    assert narrow.dtype == np.float32 and narrow[0] == np.float32(1) - np.float32(0.1)


@pytest.mark.parametrize("scalar", [np.float64(0.1), np.asarray(0.1), 0.1])
def test_gradients_that_are_scalars_take_the_dtype_of_the_params(scalar: ArrayLike) -> None:
    assert sgd_step({"s": np.asarray(1.0)}, bad({"s": scalar}), 1.0)["s"] == 1 - 0.1
    assert sgd_step(bad({"s": 1.0}), bad({"s": scalar}), 1.0)["s"] == 1 - 0.1
