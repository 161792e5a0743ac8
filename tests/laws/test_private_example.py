"""Private training: how far one row can move a step, what the noise is, and epsilon beside an accountant's."""

import math

import numpy as np
import private
import pytest

from nnfunc import AnyArray, Array, Params, chain, dense, grads, init, map_params, ravel, relu, softmax_cross_entropy
from tests.numeric import same_bits

NET = chain(hidden=dense(5, 7, relu), out=dense(7, 3))
PARAMS = init(NET, 0, np.float64)
DRAW = np.random.default_rng(0)
X: Array = DRAW.normal(size=(40, 5)) * np.geomspace(1e-3, 1e3, 40)[:, None]  # short gradients and long ones
Y: AnyArray = DRAW.integers(0, 3, 40)
LIMIT = 2.0


def distance(a: Params, b: Params) -> float:
    return float(np.linalg.norm(ravel(map_params(np.subtract, a, b))[0]))


def plain_sum(x: Array, y: AnyArray) -> Params:
    return map_params(lambda a: a * len(x), grads(NET, softmax_cross_entropy, PARAMS, x, y))


def test_without_one_row_the_sum_moves_by_the_limit_at_most() -> None:
    whole, moved, unclipped = private.clipped_sum(NET, PARAMS, X, Y, LIMIT), [], []
    for i in range(len(X)):
        x, y = np.delete(X, i, axis=0), np.delete(Y, i)
        moved.append(distance(whole, private.clipped_sum(NET, PARAMS, x, y, LIMIT)))
        unclipped.append(distance(plain_sum(X, Y), plain_sum(x, y)))
    assert max(moved) == pytest.approx(LIMIT, rel=1e-9)
    assert moved == pytest.approx(np.minimum(unclipped, LIMIT), rel=1e-9, abs=1e-9)
    assert min(unclipped) < LIMIT < 100 < max(unclipped)


def test_another_row_in_place_of_one_moves_it_by_twice_the_limit_at_most() -> None:
    whole, moved = private.clipped_sum(NET, PARAMS, X, Y, LIMIT), []
    for i in range(len(X)):
        for row, label in ((-1e6 * X[i], (Y[i] + 1) % 3), (np.zeros(5), 0)):
            x, y = X.copy(), Y.copy()
            x[i], y[i] = row, label
            moved.append(distance(whole, private.clipped_sum(NET, PARAMS, x, y, LIMIT)))
    assert LIMIT < max(moved) <= 2 * LIMIT * (1 + 1e-9)


def test_lengths_and_weights_give_what_gradients_of_every_row_do() -> None:
    one, other = (f(NET, PARAMS, X, Y, LIMIT) for f in (private.clipped_sum, private.clipped_sum_by_rows))
    rows = [grads(NET, softmax_cross_entropy, PARAMS, X[i : i + 1], Y[i : i + 1]) for i in range(len(X))]
    lengths = [float(np.linalg.norm(ravel(g)[0])) for g in rows]
    by_hand = sum(ravel(g)[0] * LIMIT / max(size, LIMIT) for g, size in zip(rows, lengths, strict=True))
    for found in (one, other):
        np.testing.assert_allclose(ravel(found)[0], by_hand, rtol=1e-9, atol=1e-12)


def test_no_rows_and_rows_without_a_slope() -> None:
    assert same_bits(dict(private.clipped_sum(NET, PARAMS, X[:0], Y[:0], LIMIT)), map_params(np.zeros_like, PARAMS))
    sure = {**PARAMS, "out/W": np.zeros((7, 3)), "out/b": np.array([1e4, 0, 0])}
    assert not ravel(private.clipped_sum(NET, sure, X, np.zeros(40, int), LIMIT))[0].any()


def test_noise_is_as_wide_as_it_should_be_and_a_value_of_the_key() -> None:
    net = dense(100, 100)
    params, x, y = init(net, 0, np.float64), DRAW.normal(size=(50, 100)), DRAW.integers(0, 100, 50)
    rows = private.sampled((3, 0), 50, 0.5)
    exact = private.clipped_sum(net, params, x[rows], y[rows], LIMIT)
    noisy = private.noisy_grads(3, net, params, x, y, 0.5, LIMIT, 4.0)
    noise = ravel(noisy)[0] * 25 - ravel(exact)[0]  # 25 rows on average, whatever this step had
    assert noise.std() == pytest.approx(4 * LIMIT, rel=0.03)
    assert abs(noise.mean()) < 0.1 * noise.std()
    assert same_bits(dict(noisy), dict(private.noisy_grads(3, net, params, x, y, 0.5, LIMIT, 4.0)))
    assert distance(noisy, private.noisy_grads(4, net, params, x, y, 0.5, LIMIT, 4.0)) > 1


def test_each_row_is_drawn_by_itself() -> None:
    times = np.zeros((2000, 30))
    for i in range(2000):
        times[i, private.sampled(i, 30, 0.2)] = 1
    assert times.mean(axis=0) == pytest.approx(0.2, abs=0.04)
    assert times.sum(axis=1).var() == pytest.approx(30 * 0.2 * 0.8, rel=0.15)  # a fixed number of rows has none


def test_epsilon_is_a_little_above_that_of_an_accountant() -> None:
    """dp-accounting 0.6.0, PLDAccountant of a PoissonSampledDpEvent of a GaussianDpEvent, delta 1e-4."""
    accountant = {(2.0, 0.15, 300): 5.7916, (8.0, 0.15, 300): 1.0536, (1.0, 0.01, 1000): 1.5127}
    for (noise, rate, steps), tight in accountant.items():
        assert tight < private.epsilon(noise, rate, steps, 1e-4) < 1.5 * tight
    in_all = [a * 10 / (2 * 3.0**2) + math.log(1e5) / (a - 1) for a in range(2, 257)]  # with every row in every step
    assert private.epsilon(3.0, 1 - 1e-12, 10, 1e-5) == pytest.approx(min(in_all), rel=1e-6)


def test_noise_costs_accuracy_and_less_of_it_less(capsys: pytest.CaptureFixture[str]) -> None:
    found = private.main()
    little, much = private.NOISE
    assert found["ordinary"] > found[f"noise {little:g}"] > found[f"noise {much:g}"] > 0.8
    assert found["ordinary"] > 0.94
    assert found[f"epsilon {much:g}"] < 2 < found[f"epsilon {little:g}"]
    assert "of 256 rows" in capsys.readouterr().out
