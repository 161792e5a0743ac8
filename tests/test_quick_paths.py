"""Arguments of every kind give the same, and are refused the same way."""

import math
import pickle
import subprocess
import sys
import warnings
from collections import OrderedDict, UserDict, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pytest

from nnfunc import (
    AnyArray,
    Array,
    Layer,
    Params,
    accuracy,
    activation,
    adam,
    cross_entropy,
    forward,
    freeze,
    grads,
    init,
    loss,
    mlp,
    momentum,
    mse,
    relu,
    sgd_step,
    sigmoid,
    sigmoid_cross_entropy,
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


@pytest.mark.parametrize("activation_of_hidden", [relu, sigmoid, (np.sin, np.cos)])
@pytest.mark.parametrize(
    ("sizes", "n"),
    [((3, 5, 2), 7), ((40, 64, 48, 2), 96), ((3, 1, 2), 1), ((3, 1024, 2), 1), ((3, 8192, 2), 1), ((3, 8192, 2), 3)],
)
def test_a_dense_stack_in_one_go_gives_the_bits_of_its_layers(
    activation_of_hidden: Callable[[Array], Array], sizes: tuple[int, ...], n: int
) -> None:
    net = mlp(sizes, activation_of_hidden)
    x = np.random.default_rng(0).normal(size=(n, sizes[0])).astype(np.float32)
    params, y = init(net, 1), np.arange(n) % 2
    expected = value_and_grads(one_by_one(net), softmax_cross_entropy, params, x, y)
    assert same_bits(value_and_grads(net, softmax_cross_entropy, params, x, y), expected)
    assert same_bits(forward(net, params, x), forward(one_by_one(net), params, x))


def test_what_has_been_pickled_is_taken_the_same_way_to_the_same_bits() -> None:
    # unpickled arrays have a dtype that is equal to float32 and not the same object
    own, x = pickle.loads(pickle.dumps((dict(PARAMS), X)))
    assert x.dtype is not X.dtype
    assert same_bits(forward(NET, own, x), forward(NET, PARAMS, X))
    g = grads(NET, softmax_cross_entropy, own, x, Y)
    assert same_bits(g, grads(NET, softmax_cross_entropy, PARAMS, X, Y))
    stepped = sgd_step(own, g, 0.1)
    assert same_bits(stepped, sgd_step(PARAMS, g, 0.1))
    assert same_bits(sgd_step(dict(PARAMS) | {"0/W": own["0/W"]}, g, 0.1), stepped)


@pytest.mark.parametrize("kind", [dict, OrderedDict, UserDict, MappingProxyType, lambda held: defaultdict(list, held)])
def test_params_of_any_mapping_give_the_same_bits(kind: Callable[[dict[str, Array]], Mapping[str, Array]]) -> None:
    held = kind({name: array.copy() for name, array in PARAMS.items()})
    g = grads(NET, softmax_cross_entropy, held, X, Y)
    assert same_bits(g, grads(NET, softmax_cross_entropy, PARAMS, X, Y))
    assert same_bits(sgd_step(held, g, 0.1), sgd_step(PARAMS, g, 0.1))
    assert list(held) == list(PARAMS)


def test_a_missing_name_is_not_made_up_by_a_default() -> None:
    held = defaultdict(lambda: np.zeros(2, np.float32), {name: PARAMS[name] for name in PARAMS if name != "1/b"})
    with pytest.raises(ValueError, match="1/b must be in params"):
        forward(NET, held, X)
    assert "1/b" not in held


@pytest.mark.parametrize("n", [1, 2, 1023, 1024, 2048, 2049, 8191, 8192, 8193, 16384, 20000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_relu_and_its_way_back_do_not_depend_on_size(n: int, dtype: type) -> None:
    z: Array = np.random.default_rng(n).normal(size=n).astype(dtype)
    z[0], z[-1] = (np.nan, -0.0) if n > 1 else (np.nan, np.nan)
    assert np.array_equal(relu(z), np.where(z > 0, z, np.where(np.isnan(z), z, 0)), equal_nan=True)
    _, pullback = vjp(activation(relu), {}, z[None])
    assert np.array_equal(pullback(np.full((1, n), 3.0, dtype))[1]()[0], np.where(z > 0, 3.0, 0.0))


@dataclass
class Scaled:
    """A loss that can be called and not hashed, as any plain dataclass."""

    scale: float = 2.0

    def __call__(self, outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
        per_example, d = mse(outputs, targets)
        return per_example * self.scale, d * self.scale


def test_a_loss_that_cannot_be_hashed() -> None:
    y = np.zeros((5, 2), np.float32)
    once, twice = (value_and_grads(NET, loss_fn, PARAMS, X, y) for loss_fn in (mse, Scaled()))
    assert twice[0] == 2 * once[0] == loss(NET, Scaled(), PARAMS, X, y)
    assert all((twice[1][name] == 2 * once[1][name]).all() for name in PARAMS)


def test_a_value_in_extended_precision_is_a_float() -> None:
    def precise(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
        per_example, d = mse(outputs, targets)
        return per_example.astype(np.longdouble), d

    assert type(loss(NET, precise, PARAMS, X, np.zeros((5, 2), np.float32))) is float


def test_minus_zero_does_not_stay_in_what_is_kept() -> None:
    opt_init, opt_step = adam(b1=-0.0)
    opt_step(PARAMS, PARAMS, opt_init(PARAMS), 0.1)
    assert not np.signbit(relu(np.array([-1.0], np.float32)))[0]


# Labels in few bits


@pytest.mark.parametrize(("dtype", "k"), [(np.int8, 200), (np.int16, 40_000), (np.int64, 200), (np.uint8, 100)])
def test_a_class_out_of_range_is_met_whatever_the_integers(dtype: type, k: int) -> None:
    outputs = np.zeros((2, k), np.float32)
    wrong: AnyArray = np.array([0, 255 if dtype is np.uint8 else -100]).astype(dtype)
    calls: list[Callable[[], object]] = [
        lambda: softmax_cross_entropy(outputs, wrong),
        lambda: cross_entropy(outputs, wrong),
        lambda: accuracy(outputs, wrong),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=rf"must be classes from 0 to {k - 1}, got (-100|255) at row 1"):
            call()
    right: AnyArray = np.array([0, 99]).astype(dtype)
    assert softmax_cross_entropy(outputs, right)[0] == pytest.approx(math.log(k))


@pytest.mark.parametrize("n", [1, 64, 65, 1000])
@pytest.mark.parametrize(("target", "fine"), [(-0.0, True), (1 + 1e-7, True), (1.5, False), (-0.5, False)])
def test_a_target_outside_0_and_1_is_met_at_every_size(n: int, target: float, fine: bool) -> None:
    outputs, targets = np.zeros((n, 1)), np.ones((n, 1))
    targets[-1] = target
    if fine:
        assert np.isfinite(sigmoid_cross_entropy(outputs, targets)[0]).all()
        return
    with pytest.raises(ValueError, match=rf"targets must lie in \[0, 1\], got {target}"):
        sigmoid_cross_entropy(outputs, targets)


@pytest.mark.parametrize("n", [1, 64, 65])
def test_a_target_that_is_nan_makes_the_loss_nan_and_hides_no_other(n: int) -> None:
    outputs, targets = np.zeros((n + 1, 1)), np.ones((n + 1, 1))
    targets[0] = np.nan
    assert np.isnan(sigmoid_cross_entropy(outputs, targets)[0][0])


# What is refused is refused on either path


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize(
    ("call", "pattern"),
    [
        (lambda x: grads(NET, bad(None), PARAMS, x, Y), "grads: loss_fn must be a function"),
        (lambda x: grads(NET, bad("mse"), PARAMS, x, Y), "grads: loss_fn must be a function"),
        (lambda x: forward(bad(list(NET)), PARAMS, x), "forward: net must be a pair of functions"),
        (lambda x: forward(bad((None, NET[1])), PARAMS, x), "forward: net must be a pair of functions"),
        (lambda x: forward(NET, PARAMS, x, key=bad("foo")), "forward: key must be an integer, got 'foo'"),
        (
            lambda x: grads(NET, mse, PARAMS, x, np.zeros((5, 2)), key=bad("foo")),
            "grads: key must be an integer, got 'foo'",
        ),
        (
            lambda x: loss(NET, mse, PARAMS, x, np.zeros((5, 2)), key=bad("foo")),
            "loss: key must be an integer, got 'foo'",
        ),
        (lambda x: vjp(NET, PARAMS, x, key=bad("foo")), "vjp: key must be an integer, got 'foo'"),
    ],
)
def test_both_paths_refuse_the_same(call: Callable[[object], object], pattern: str, quick: bool) -> None:
    with pytest.raises(TypeError, match=f"^{pattern}"):
        call(X if quick else X.tolist())


# States and partial gradients


def test_what_passes_through_an_optimizer_is_locked() -> None:
    opt_init, opt_step = adam()
    params: Params = {"W": np.ones(3), "b": np.ones(2)}
    state = {name: np.array(array) for name, array in opt_init(params).items()}
    stepped, new_state = opt_step(params, {"W": np.ones(3)}, state, 0.1)
    assert not any(array.flags.writeable for array in (*stepped.values(), *new_state.values()))
    assert all(array.flags.writeable for array in (*params.values(), *state.values()))


@pytest.mark.parametrize("given", [("W", "b"), ("W",)])
@pytest.mark.parametrize(
    ("slot", "pattern"),
    [
        ([0.0, 0.0], r"state\['m/b'\] must have shape \(2,\), got \[0.0, 0.0\]"),
        (np.zeros(3), r"state\['m/b'\] must have shape \(2,\), got float64 array of shape \(3,\)"),
        (np.zeros(2, np.float32), r"state\['m/b'\] must be float64, got float32 array of shape \(2,\)"),
        (np.ma.zeros(2), r"state\['m/b'\] must be a plain array .*, got a MaskedArray"),
    ],
)
def test_every_slot_that_is_there_must_fit(given: tuple[str, ...], slot: AnyArray, pattern: str) -> None:
    opt_init, opt_step = adam()
    params: Params = {"W": np.ones(3), "b": np.ones(2)}
    with pytest.raises((TypeError, ValueError), match=f"^adam: {pattern}$"):
        opt_step(params, {name: params[name] for name in given}, {**opt_init(params), "m/b": slot}, 0.1)


def test_a_state_of_a_part_of_the_params_steps_that_part() -> None:
    opt_init, opt_step = momentum()
    params = freeze({"W": np.ones(3), "b": np.ones(2)})
    stepped, state = opt_step(params, {"W": np.ones(3)}, opt_init({"W": params["W"]}), 0.5)
    assert stepped["W"].tolist() == [0.5] * 3
    assert stepped["b"] is params["b"]
    assert list(state) == ["velocity/W"]


def test_a_rate_beyond_the_dtype_makes_no_warning_on_either_path() -> None:
    params: Params = {"W": np.ones(2, np.float32), "b": np.ones(1, np.float32)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isinf(sgd_step(params, params, 1e300)["W"]).all()
        assert np.isinf(sgd_step(params, {"W": params["W"]}, 1e300)["W"]).all()


def test_importing_takes_no_more_of_the_standard_library_than_numpy_does() -> None:
    code = "import sys, numpy; before = set(sys.modules); import nnfunc; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "nnfunc" in loaded
    assert not {"zipfile", "hashlib", "json", "inspect", "numpy.random", "asyncio", "tempfile"} & set(loaded)
