"""Optimisers: values of PyTorch 2.13 and optax 0.2.8, descent, independence of names, misuse."""

import math
import pickle
from collections.abc import Callable

import numpy as np
import pytest

from nnfunc import (
    Optimizer,
    Params,
    State,
    adagrad,
    adam,
    adamw,
    chain,
    clip_by_global_norm,
    dense,
    freeze,
    init,
    loss,
    momentum,
    mse,
    rmsprop,
    sgd,
    tanh,
    value_and_grads,
)
from tests.numeric import bad, same_bits
from tests.samples import P, X
from tests.sentences import Cases, assert_sentence

# From p = [1, -2] with gradient p^3, five steps, in float64.
GOLDEN: dict[str, tuple[Optimizer, float, list[float]]] = {
    "sgd": (sgd(), 0.01, [0.95282989623658, -1.67732758993228]),
    "momentum": (momentum(0.9), 0.01, [0.87717611800539, -1.17348738840974]),
    "nesterov": (momentum(0.9, nesterov=True), 0.01, [0.84988577697053, -1.08401615446755]),
    "adam": (adam(), 0.1, [0.53392238230364, -1.51196636220827]),
    "adamw": (adamw(weight_decay=0.01), 0.1, [0.53037893062298, -1.50331211168148]),
    "rmsprop, eps inside": (rmsprop(eps_in_sqrt=True), 0.1, [0.43382177961056, -1.22353987087463]),
    "rmsprop, centred": (rmsprop(centered=True), 0.1, [0.41488682925074, -1.16443566018861]),
    "rmsprop, momentum": (rmsprop(beta=0.9), 0.01, [0.71529137973044, -1.70324984365177]),
    "adagrad": (adagrad(), 0.1, [0.73403609598066, -1.70562804688406]),
    "adagrad, optax": (adagrad(0.1, 1e-7, eps_in_sqrt=True), 0.1, [0.74094153005125, -1.70575628843594]),
}


def run(optimizer: Optimizer, params: Params, gradient: Callable[[Params], Params], lr: float, steps: int) -> Params:
    opt_init, step = optimizer
    state = opt_init(params)
    for _ in range(steps):
        params, state = step(params, gradient(params), state, lr)
    return params


@pytest.mark.parametrize("name", GOLDEN)
def test_values_of_pytorch_and_optax(name: str) -> None:
    optimizer, lr, expected = GOLDEN[name]
    params = run(optimizer, {"W": np.array([1.0, -2.0])}, lambda p: {"W": p["W"] ** 3}, lr, 5)
    assert params["W"].tolist() == pytest.approx(expected, abs=1e-13)


def test_l2_in_the_gradient_is_not_weight_decay() -> None:
    # PyTorch's SGD and Adam with a coupled weight_decay of 0.1
    for optimizer, lr, expected in (
        (sgd(), 0.01, [0.94820775898346, -1.66972938705916]),
        (adam(), 0.1, [0.53037304910359, -1.51165912833912]),
    ):
        params = run(optimizer, {"W": np.array([1.0, -2.0])}, lambda p: {"W": p["W"] ** 3 + 0.1 * p["W"]}, lr, 5)
        assert params["W"].tolist() == pytest.approx(expected, abs=1e-13)


# Descent: every optimiser on three problems, with a learning rate that suits it


WAVE = chain(hidden=dense(2, 8, tanh), out=dense(8, 1))
ROWS = np.random.default_rng(0).uniform(-1, 1, (64, 2))
HEIGHTS = np.sin(3 * ROWS[:, :1]) * ROWS[:, 1:]
OPTIMIZERS: dict[str, tuple[Optimizer, float, float, float]] = {  # with rates for: quadratic, Rosenbrock, network
    "sgd": (sgd(), 0.1, 1e-3, 0.3),
    "momentum": (momentum(), 0.03, 3e-4, 0.1),
    "nesterov": (momentum(nesterov=True), 0.03, 3e-4, 0.1),
    "rmsprop": (rmsprop(), 0.01, 1e-3, 0.01),
    "rmsprop, centred": (rmsprop(centered=True), 0.003, 3e-4, 0.003),
    "rmsprop, momentum": (rmsprop(beta=0.9), 0.001, 3e-4, 0.003),
    "adagrad": (adagrad(), 0.5, 0.3, 0.2),
    "adam": (adam(), 0.05, 0.01, 0.03),
    "adamw": (adamw(weight_decay=1e-4), 0.05, 0.01, 0.03),
}


def quadratic(p: Params) -> tuple[float, Params]:
    curvature = np.array([1.0, 10.0])
    return 0.5 * float(curvature @ p["W"] ** 2), {"W": curvature * p["W"]}


def rosenbrock(p: Params) -> tuple[float, Params]:
    (a, b) = p["W"]
    value = (1 - a) ** 2 + 100 * (b - a * a) ** 2
    return float(value), {"W": np.array([-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)])}


def network(p: Params) -> tuple[float, Params]:
    return value_and_grads(WAVE, mse, p, ROWS, HEIGHTS)


PROBLEMS: dict[str, tuple[Callable[[Params], tuple[float, Params]], Params, int, float]] = {
    "quadratic": (quadratic, {"W": np.array([3.0, -2.0])}, 500, 1e-3),
    "rosenbrock": (rosenbrock, {"W": np.array([-1.2, 1.0])}, 8000, 0.05),
    "network": (network, init(WAVE, 0, np.float64), 800, 0.2),
}


def descent(optimizer: Optimizer, problem: str, lr: float) -> float:
    f, start, steps, _ = PROBLEMS[problem]
    return f(run(optimizer, start, lambda p: f(p)[1], lr, steps))[0] / f(start)[0]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_descends(name: str, problem: str) -> None:
    optimizer, *rates = OPTIMIZERS[name]
    assert descent(optimizer, problem, rates[list(PROBLEMS).index(problem)]) < PROBLEMS[problem][3]


def test_the_descent_test_can_fail() -> None:
    opt_init, step = sgd()

    def uphill(params: Params, grads: Params, state: State, lr: object) -> tuple[Params, State]:
        return step(params, {name: -g for name, g in grads.items()}, state, 0.01)

    for problem in ("quadratic", "network"):
        assert descent((opt_init, uphill), problem, 0.01) > 1
    assert descent(sgd(), "rosenbrock", 1e-6) > PROBLEMS["rosenbrock"][3]


def test_loss_descends_with_what_is_clipped() -> None:
    start = init(WAVE, 0, np.float64)
    params = run(sgd(), start, lambda p: clip_by_global_norm(network(p)[1], 0.1), 0.3, 200)
    assert loss(WAVE, mse, params, ROWS, HEIGHTS) < 0.5 * loss(WAVE, mse, start, ROWS, HEIGHTS)


# Laws


START = freeze({"W": np.array([[1.0, -2.0]], np.float32), "b": np.array([0.5], np.float32)})
SLOPES = freeze({"W": np.array([[0.3, 4.0]], np.float32), "b": np.array([-2.0], np.float32)})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_parameter_is_stepped_by_itself(name: str) -> None:
    opt_init, step = OPTIMIZERS[name][0]
    both, state = START, opt_init(START)
    alone, backwards = freeze({"W": START["W"]}), freeze({"b": START["b"], "W": START["W"]})
    own, turned = opt_init(alone), opt_init(backwards)
    for _ in range(3):
        both, state = step(both, SLOPES, state, 0.1)
        alone, own = step(alone, {"W": SLOPES["W"]}, own, 0.1)
        backwards, turned = step(backwards, SLOPES, turned, 0.1)
    assert same_bits(both["W"], alone["W"])
    assert list(backwards) == ["b", "W"]
    assert all(same_bits(both[n], backwards[n]) for n in both)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_name_without_gradient_passes_through_with_its_state(name: str) -> None:
    opt_init, step = OPTIMIZERS[name][0]
    params, state = step(START, SLOPES, opt_init(START), 0.1)
    later, after = step(params, {"W": SLOPES["W"]}, state, 0.1)
    assert same_bits(later["b"], params["b"])
    assert list(later) == list(params)
    assert all(same_bits(after[n], state[n]) for n in state if n.endswith("/b"))
    # taken up again, it goes on as if nothing had happened between
    straight, _ = step(params, SLOPES, state, 0.1)
    assert same_bits(step(later, {"b": SLOPES["b"]}, after, 0.1)[0]["b"], straight["b"])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_results_are_frozen_and_of_one_dtype(name: str) -> None:
    opt_init, step = OPTIMIZERS[name][0]
    mine = {n: a.copy() for n, a in START.items()}
    params, state = step(mine, SLOPES, {n: a.copy() for n, a in opt_init(mine).items()}, np.float64(0.1))
    assert all(a.flags.writeable for a in mine.values())
    for array in (*params.values(), *state.values()):
        assert not array.flags.writeable
        assert array.dtype in (np.float32, np.int64)
    again = step(params, SLOPES, pickle.loads(pickle.dumps(state)), 0.1)
    assert same_bits(again, step(params, SLOPES, state, 0.1))


def test_a_user_made_state_is_neither_locked_nor_shared() -> None:
    opt_init, step = adam()
    mine = {n: a.copy() for n, a in opt_init(START).items()}
    _, state = step(START, {"W": SLOPES["W"]}, mine, 0.1)
    assert all(a.flags.writeable for a in mine.values())
    assert not any(np.may_share_memory(state[n], mine[n]) for n in mine)


def test_what_passes_through_an_optimizer_is_locked() -> None:
    opt_init, opt_step = adam()
    params: Params = {"W": np.ones(3), "b": np.ones(2)}
    state = {name: np.array(array) for name, array in opt_init(params).items()}
    stepped, new_state = opt_step(params, {"W": np.ones(3)}, state, 0.1)
    assert not any(array.flags.writeable for array in (*stepped.values(), *new_state.values()))
    assert all(array.flags.writeable for array in (*params.values(), *state.values()))


def test_algebra() -> None:
    for plain, special in ((sgd(), momentum(0.0)), (sgd(), momentum(0.0, nesterov=True)), (adam(), adamw(weight_decay=0))):
        a, b = (run(o, START, lambda p: {n: v * v for n, v in p.items()}, 0.1, 4) for o in (plain, special))
        assert same_bits(a, b)


def test_biases_do_not_decay() -> None:
    zero = {n: np.zeros_like(a) for n, a in START.items()}
    params = run(adamw(weight_decay=0.5), START, lambda p: zero, 0.1, 1)
    assert params["b"].tolist() == START["b"].tolist()
    assert np.allclose(params["W"], START["W"] * 0.95)


ADAPTIVE = {"adam": "v", "adamw": "v", "rmsprop": "mean_square", "rmsprop, centred": "mean_square", "adagrad": "square_sum"}


@pytest.mark.parametrize("name", ADAPTIVE)
def test_a_square_that_overflows_does_not_stop_a_parameter_in_silence(name: str) -> None:
    opt_init, step = OPTIMIZERS[name][0]
    for value, found in (
        (1e20, rf"state\['{ADAPTIVE[name]}/W'\] must stay finite \(clip the gradients, .* float32 .*\), got inf at \[0, 1\]"),
        (math.nan, r"grads\['W'\] must be finite, got nan at \[0, 1\] \(1 of 2 values\)"),
    ):
        with pytest.raises(FloatingPointError, match=found):
            step(START, {"W": np.array([[1, value]], np.float32)}, opt_init(START), 0.1)
    params, _ = step(START, {"W": np.full((1, 2), 1e16, np.float32)}, opt_init(START), 0.1)  # its square's square is too large
    assert all(np.isfinite(a).all() for a in params.values())


def test_gradients_are_cast_to_the_dtype_of_their_params() -> None:
    opt_init, step = adam()
    wide = {n: g.astype(np.float64) for n, g in SLOPES.items()}
    assert same_bits(step(START, wide, opt_init(START), 0.1), step(START, SLOPES, opt_init(START), 0.1))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parameters_of_any_size_and_number_of_axes(name: str) -> None:
    opt_init, step = OPTIMIZERS[name][0]
    shapes: list[tuple[int, ...]] = [(), (1,), (3, 2), (2, 3, 2), (0,), (100, 50)]
    draw = np.random.default_rng(0)
    params = freeze({f"p{i}": draw.normal(size=shape) for i, shape in enumerate(shapes)})
    g = freeze({f"p{i}": draw.normal(size=shape) for i, shape in enumerate(shapes)})
    together, state = params, opt_init(params)
    for _ in range(3):
        together, state = step(together, g, state, 0.1)
    for key, array in params.items():
        own, held = freeze({key: array}), opt_init({key: array})
        for _ in range(3):
            own, held = step(own, {key: g[key]}, held, 0.1)
        assert same_bits(together[key], own[key]), key
        assert together[key].shape == array.shape
        assert all(same_bits(state[full], held[full]) for full in held)


BAD: Cases = {
    "beta of momentum that becomes 1 in float32": (
        lambda: momentum(1 - 1e-9)[0](P),
        ValueError,
        r"momentum: beta must be a number that float32, .*, can hold, got 0.999999999",
    ),
    "decay of rmsprop that becomes 1 in float32": (
        lambda: rmsprop(1 - 1e-9)[0](P),
        ValueError,
        r"rmsprop: decay must be a number that float32, .*, can hold, got 0.999999999",
    ),
    "beta of rmsprop that becomes 1 in float32": (
        lambda: rmsprop(beta=1 - 1e-9)[0](P),
        ValueError,
        r"rmsprop: beta must be a number that float32, .*, can hold, got 0.999999999",
    ),
    "b1 of adam that becomes 1 in float32": (
        lambda: adam(b1=1 - 1e-9)[0](P),
        ValueError,
        r"adam: b1 must be a number that float32, .*, can hold, got 0.999999999",
    ),
    "b2 of adamw that becomes 1 in float32": (
        lambda: adamw(b2=1 - 1e-9)[0](P),
        ValueError,
        r"adamw: b2 must be a number that float32, .*, can hold, got 0.999999999",
    ),
    "decay of adamw that float32 cannot hold": (
        lambda: adamw(weight_decay=1e300)[0](P),
        ValueError,
        r"adamw: weight_decay must be a number that float32, .*, can hold, got 1e\+300",
    ),
    "beta of 1": (lambda: momentum(1.0), ValueError, r"momentum: beta must lie in \[0, 1\), got 1.0"),
    "decay below 0": (lambda: rmsprop(decay=-1), ValueError, r"rmsprop: decay must lie in \[0, 1\), got -1.0"),
    "eps of 0": (lambda: adagrad(eps=0), ValueError, r"adagrad: eps must be above 0, got 0.0"),
    "b1 above 1": (lambda: adam(b1=1.5), ValueError, r"adam: b1 must lie in \[0, 1\), got 1.5"),
    "weight_decay below 0": (
        lambda: adamw(weight_decay=-1),
        ValueError,
        r"adamw: weight_decay must be finite and at least 0, got -1.0",
    ),
    "learning rate below 0": (
        lambda: adam()[1](P, P, adam()[0](P), -1),
        ValueError,
        r"adam: lr must be finite and at least 0, got -1.0",
    ),
    "state None": (lambda: adam()[1](P, P, bad(None), 1), TypeError, r"adam: state must be a mapping .*, got None"),
    "gradient of an unknown name": (
        lambda: adam()[1](P, {"W": X}, adam()[0](P), 1),
        ValueError,
        r"adam: grads must have names that are in params .*, got W",
    ),
    "gradient of another shape": (
        lambda: adam()[1](P, {"out/b": X}, adam()[0](P), 1),
        ValueError,
        r"adam: grads\['out/b'\] must have shape \(2,\), got \(5, 4\)",
    ),
    "gradients None": (
        lambda: adam()[1](P, bad(None), adam()[0](P), 1),
        TypeError,
        r"adam: grads must be a mapping of names to arrays, got None",
    ),
    "name no string": (lambda: adam()[0](bad({1: X})), TypeError, r"adam: params must have strings as names, got 1"),
    "eps of adam that float32 cannot hold": (
        lambda: adam(eps=1e-50)[0](P),
        ValueError,
        r"adam: eps must be a number that float32, .*, can hold, got 1e-50",
    ),
    "eps of rmsprop that float32 cannot hold": (
        lambda: rmsprop(eps=1e-50)[0](P),
        ValueError,
        r"rmsprop: eps must be a number that float32, .*, can hold, got 1e-50",
    ),
    "start that float32 cannot hold": (
        lambda: adagrad(1e39)[0](P),
        ValueError,
        r"adagrad: initial_accumulator must be a number that float32, .*, got 1e\+39",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
