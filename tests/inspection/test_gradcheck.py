"""`check_grads`: its verdicts on right, wrong and undecidable gradients."""

import math

import numpy as np
import pytest

from nnfunc import (
    Array,
    InputGradient,
    Key,
    Layer,
    Params,
    Pullback,
    activation,
    chain,
    check_grads,
    dense,
    freeze,
    he_normal,
    init,
    leaky_relu,
    loss,
    mlp,
    mse,
    relu,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    tanh,
)
from tests.sentences import Cases, assert_sentence

NET = mlp([3, 4, 2], tanh)
P = init(NET, 0)
X = np.random.default_rng(0).normal(size=(5, 3))
Y = np.array([0, 1, 1, 0, 1])


def test_a_right_gradient_in_either_mode() -> None:
    report = check_grads(NET, softmax_cross_entropy, P, X, Y)
    assert report["verdict"] == "right"
    assert report["relative_error"] < 1e-8
    assert report["compared"] == sum(a.size for a in P.values())
    assert report["kinks"] == 0
    random = check_grads(NET, softmax_cross_entropy, P, X, Y, directions=7)
    assert (random["verdict"], random["compared"]) == ("right", 7)


def one_wrong(name: str, index: tuple[int, ...], factor: float, net: Layer = NET) -> Layer:
    """Return a network with one element of one gradient multiplied by a factor."""
    own_init, own_forward = net

    def wrong_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        y, pullback = own_forward(params, x, key)

        def wrong(dy: Array) -> tuple[Params, InputGradient]:
            g, dx = pullback(dy)
            changed = np.array(g[name])
            changed[index] *= factor
            return {**g, name: changed}, dx

        return y, wrong

    return own_init, wrong_forward


PLACES: dict[str, tuple[int, ...]] = {"0/W": (2, 1), "0/b": (3,), "1/W": (0, 1)}


@pytest.mark.parametrize("directions", [None, 10], ids=["element by element", "in 10 directions"])
@pytest.mark.parametrize("name", PLACES)
def test_one_wrong_element_is_named(name: str, directions: int | None) -> None:
    net = one_wrong(name, PLACES[name], 1.5)
    report = check_grads(net, softmax_cross_entropy, P, X, Y, directions=directions)
    assert report["verdict"] == "wrong"
    assert (report["worst"], report["index"]) == (name, PLACES[name])
    assert report["analytic"] == pytest.approx(1.5 * report["numeric"], rel=1e-6)


def test_directions_cost_the_same_for_any_network() -> None:
    calls = 0

    def counted(outputs: Array, y: Array) -> tuple[Array, Array]:
        nonlocal calls
        calls += 1
        return mse(outputs, y)

    for sizes in ([3, 4, 2], [3, 200, 2]):
        calls = 0
        net = mlp(sizes, tanh)
        assert check_grads(net, counted, init(net, 0), X, np.ones((5, 2)), directions=3)["verdict"] == "right"
        assert calls == 2 + 2 * 3


@pytest.mark.parametrize("directions", [None, 4])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_is_wrong_where_it_stands(bad: float, directions: int | None) -> None:
    net = one_wrong("1/W", (2, 0), bad)
    report = check_grads(net, softmax_cross_entropy, P, X, Y, directions=directions)
    assert (report["verdict"], report["worst"], report["index"]) == ("wrong", "1/W", (2, 0))
    assert not math.isfinite(report["analytic"]) and math.isfinite(report["numeric"])
    assert report["relative_error"] == math.inf


def test_in_a_large_network_some_elements_are_tried_and_one_wrong_among_all_is_found() -> None:
    net = mlp([100, 200, 10], tanh)
    params, rng = init(net, 0, np.float64), np.random.default_rng(0)
    x, y = rng.normal(size=(8, 100)), rng.integers(0, 10, 8)
    report = check_grads(net, softmax_cross_entropy, params, x, y)
    assert report == check_grads(net, softmax_cross_entropy, params, x, y)
    assert report["verdict"] == "right"
    assert report["elements"] == 22_210 and 100 < report["tried"] < 10_000
    for place, factor in (((70, 150), 1.1), ((3, 199), 0.5), ((99, 0), 0.0)):
        off = check_grads(one_wrong("0/W", place, factor, net), softmax_cross_entropy, params, x, y)
        assert (off["verdict"], off["worst"], off["index"]) == ("wrong", "0/W", place)


def test_every_element_is_tried_if_asked_for() -> None:
    net = mlp([40, 70, 3], tanh)
    x, y = np.random.default_rng(0).normal(size=(2, 40)), [0, 2]
    params = init(net, 0)
    some, every = (check_grads(net, softmax_cross_entropy, params, x, y, every=each) for each in (False, True))
    assert some["verdict"] == every["verdict"] == "right"
    assert every["tried"] == every["elements"] == every["compared"] == 40 * 70 + 70 + 70 * 3 + 3
    small = check_grads(NET, softmax_cross_entropy, P, X, Y)
    assert small["tried"] == small["elements"]


def test_a_kink_is_left_out_and_not_called_wrong() -> None:
    # the first unit sits exactly on its corner; its bias and its weight from the input that is 1 move it
    net = chain(dense(2, 2), activation(relu), dense(2, 1))
    params = freeze({"0/W": np.eye(2), "0/b": np.zeros(2), "2/W": np.ones((2, 1)), "2/b": np.zeros(1)})
    report = check_grads(net, mse, params, [[0.0, 1.0]], [[3.0]])
    assert report["verdict"] == "right"
    assert report["kinks"] == 2


def test_a_point_with_nothing_but_corners_is_doubtful() -> None:
    # an input of zeros and fresh biases: every hidden unit is on its corner
    x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [[0.0], [1.0], [1.0], [0.0]]
    for activation_fn in (relu, leaky_relu):
        net = mlp([2, 8, 8, 1], activation_fn, w_init=he_normal)
        for key in range(5):
            params = init(net, key)
            assert check_grads(net, sigmoid_cross_entropy, params, x, y)["verdict"] == "right"
            random = check_grads(net, sigmoid_cross_entropy, params, x, y, directions=5)
            assert (random["verdict"], random["kinks"]) == ("doubtful", 5)
            off = {name: a + 0.01 for name, a in params.items()}
            assert check_grads(net, sigmoid_cross_entropy, off, x, y, directions=5)["verdict"] == "right"


@pytest.mark.parametrize("key", [3, 40, 57])
def test_a_corner_whose_slopes_are_nearly_alike_is_not_held_against_the_gradient(key: int) -> None:
    x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [[0.0], [1.0], [1.0], [0.0]]
    net = mlp([2, 8, 8, 1])
    assert check_grads(net, sigmoid_cross_entropy, init(net, key), x, y)["verdict"] == "right"


@pytest.mark.parametrize("size", [1e-4, 1e-6])
def test_a_small_parameter_is_judged_by_itself(size: float) -> None:
    def layer_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        def pullback(dy: Array) -> tuple[Params, InputGradient]:
            slope = 3 * size * np.add.reduce(dy * x, axis=None)  # three times too large
            return {"s": slope.reshape(1)}, lambda: dy * (1 + size * params["s"])

        return x * (1 + size * params["s"]), pullback

    shrink: Layer = (lambda key, dtype: {"s": np.ones(1, dtype)}, layer_forward)
    net = chain(shrink, dense(3, 2))
    report = check_grads(net, mse, init(net, 0), X, np.ones((5, 2)))
    assert (report["verdict"], report["worst"], report["index"]) == ("wrong", "0/s", (0,))


def test_column_major_params() -> None:
    columns = {name: np.asfortranarray(a) for name, a in P.items()}
    report = check_grads(one_wrong("0/W", (2, 1), 1.5), softmax_cross_entropy, columns, X, Y, directions=10)
    assert (report["worst"], report["index"]) == ("0/W", (2, 1))


def test_corners_nearby_do_not_matter() -> None:
    # the corner is 3e-6 away: inside the first step of 1e-5, outside the second
    net = chain(dense(1, 1), activation(relu))
    params = freeze({"0/W": [[1.0]], "0/b": [3e-6]})
    report = check_grads(net, mse, params, [[0.0]], [[3.0]])
    assert (report["verdict"], report["kinks"]) == ("right", 0)


def test_slopes_that_drown_in_rounding_are_doubtful() -> None:
    # the loss is 1e18; its slope of about 1e-3 cannot be seen
    params = freeze({"W": [[1e-12]], "b": [0.0]})

    def far(outputs: Array, y: Array) -> tuple[Array, Array]:
        return outputs[:, 0] * 1e-3 + 1e18, np.full_like(outputs, 1e-3)

    assert check_grads(dense(1, 1), far, params, [[1.0]], [[0.0]])["verdict"] == "doubtful"


def test_computed_in_float64_and_nothing_changes() -> None:
    before = loss(NET, softmax_cross_entropy, P, X, Y)
    assert {a.dtype for a in P.values()} == {np.dtype(np.float32)}
    assert check_grads(NET, softmax_cross_entropy, P, X.astype(np.float32), Y)["relative_error"] < 1e-8
    assert loss(NET, softmax_cross_entropy, P, X, Y) == before


BAD: Cases = {
    "eps of 0": (
        lambda: check_grads(NET, softmax_cross_entropy, P, X, Y, eps=0),
        ValueError,
        r"check_grads: eps must be above 0, got 0.0",
    ),
    "no directions": (
        lambda: check_grads(NET, softmax_cross_entropy, P, X, Y, directions=0),
        ValueError,
        r"check_grads: directions must be at least 1, got 0",
    ),
    "no params": (
        lambda: check_grads(activation(relu), mse, {}, X, X),
        ValueError,
        r"check_grads: params must hold at least one .*",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
