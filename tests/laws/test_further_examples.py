"""The examples beyond the article's chapters keep what their docstrings claim."""

import re

import cross_validation
import digits_convolution
import learning_rate
import numpy as np
import online
import policy_gradient
import predictors
import pytest
import recommender
import transfer
import uncertainty
import why_this_digit

from nnfunc import check_grads, current_params, forward, init, map_params, mse, softmax


def test_a_convolution_makes_fewer_mistakes_than_a_dense_layer(capsys: pytest.CaptureFixture[str]) -> None:
    assert digits_convolution.main() >= 0.98
    assert re.search(r"mean held-out accuracy over 5 splits: 9\d\.\d\d%, [\d,]+ rows a second", capsys.readouterr().out)


def test_a_predictor_is_a_little_more_than_its_params(capsys: pytest.CaptureFixture[str]) -> None:
    found = predictors.main(rounds=1, sizes=[[3, 4, 2], [40, 30, 2]])
    bytes_of_params = 4 * (40 * 30 + 30 + 30 * 2 + 2)
    assert {"nnfunc", "Python with NumPy", "Python alone"} <= set(found)
    assert found["nnfunc"][1][1] == bytes_of_params
    assert all(bytes_of_params <= costs[1][1] < 2 * bytes_of_params + 4000 for costs in found.values())
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(found)


def test_shares_of_pixels_add_up_and_find_what_counts() -> None:
    gap, right = why_this_digit.main()
    assert gap < 0.05
    assert right["nothing"] > 0.95
    assert right["eight pixels with ink"] > 0.7 > 0.2 > right["the eight largest shares"]


def test_who_goes_on_learning_recovers() -> None:
    learner, stopped = online.main()
    assert learner[:3] == stopped[:3]
    assert learner[2] > learner[0] + 0.1
    assert learner[5] > 0.8 > 0.3 > max(stopped[3:])


def test_a_rate_thirty_times_too_small_or_too_large_trains_worse() -> None:
    for name, (low, good, high) in learning_rate.main().items():
        assert good > 0.93, name
        assert max(low, high) < good - 0.02, name


def test_what_was_learnt_before_helps_most_when_all_goes_on_slowly() -> None:
    as_it_is, nothing, frozen, tuned, averaged = transfer.main().values()
    assert as_it_is < 0.1
    assert nothing < frozen < tuned
    assert min(tuned, averaged) > nothing + 0.03


def test_frozen_features_stay_to_the_bit() -> None:
    x, start = np.ones((6, 64), np.float32), init(transfer.NET, 0)
    params = current_params(transfer.trained(start, x, np.arange(6), transfer.FROZEN, epochs=3))
    moved = [name for name in start if not np.array_equal(start[name], params[name])]
    assert moved == ["out/W", "out/b"]


def test_folds_in_processes_find_the_same_bits() -> None:
    in_turn, in_processes = cross_validation.main(epochs=5)
    assert in_turn == in_processes
    assert min(in_turn) > 0.9
    assert len(set(in_turn)) > 1


def test_an_ensemble_tells_noise_from_what_was_never_seen() -> None:
    inside, columns = uncertainty.main()
    assert inside == pytest.approx(0.9, abs=0.05)
    assert columns["noise, found"][:5] == pytest.approx(columns["noise, true"][:5], rel=0.25)
    for name, times in (("members differ by", 3.0), ("dropout differs by", 1.3)):
        left, near, gap, middle, right, beyond = columns[name]
        assert min(gap, beyond) > times * max(left, near, middle, right), name


def test_tastes_are_learnt_to_near_the_noise() -> None:
    found, message = recommender.main()
    assert found["the noise"] < found["users and items"] < 1.2 * found["the noise"]
    assert found["features alone"] > 2 * found["users and items"]
    assert found["users never seen"] < found["users never seen, features alone"]
    assert "input scale: column 3 of x reaches" in message


def test_products_of_embeddings_have_the_slopes_of_their_loss() -> None:
    net, (codes, features, y) = recommender.network(), recommender.ratings(40)
    x = np.hstack([codes, features / 3_600_000])
    assert check_grads(net, mse, init(net, 0), x, y)["verdict"] == "right"


# The policy gradient, its environment and its estimate


def test_the_pole_learns_to_stand() -> None:
    lengths = policy_gradient.main()
    assert lengths[0] < 60
    assert np.mean(lengths[-10:]) > 150


def test_a_push_from_rest() -> None:
    new, standing = policy_gradient.cart_pole(np.zeros((1, 4)), np.array([1]))
    assert new[0] == pytest.approx([0, 0.195122, 0, -0.292683], abs=1e-6)  # 0.02 * 400 / 41, 0.02 * -600 / 41
    assert standing.all()


def test_a_push_in_a_mirror_is_mirrored() -> None:
    states = np.random.default_rng(0).normal(0, 0.2, (50, 4))
    actions = np.arange(50) % 2
    new, standing = policy_gradient.cart_pole(states, actions)
    mirrored, still = policy_gradient.cart_pole(-states, 1 - actions)
    assert np.allclose(new, -mirrored, rtol=0, atol=1e-15)
    assert standing.tolist() == still.tolist()
    assert 0 < standing.sum() < 50


def test_the_gradient_climbs_the_expected_reward_whatever_the_baseline() -> None:
    net, state, rewards = policy_gradient.POLICY, np.array([[0.3, -0.2, 0.1, 0.4]]), np.array([1.0, 3.0])
    params, direction = init(net, 0, np.float64), init(net, 1, np.float64)

    def expected(step: float) -> float:
        moved = map_params(lambda a, d: a + step * d, params, direction)
        return float(softmax(forward(net, moved, state))[0] @ rewards)

    slope = (expected(1e-5) - expected(-1e-5)) / 2e-5
    p = softmax(forward(net, params, state))[0]
    for baseline in (0.0, 2.0):
        advantages = 2 * p * (rewards - baseline)  # both actions, as often as the policy takes them
        g = policy_gradient.policy_grads(net, params, np.repeat(state, 2, axis=0), np.arange(2), advantages)
        assert -sum(float(np.sum(g[name] * direction[name])) for name in g) == pytest.approx(slope, rel=1e-7)
        assert abs(slope) > 0.01
