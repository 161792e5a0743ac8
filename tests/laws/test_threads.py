"""Many threads at once give the bits of one."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nnfunc import Params, State, adam, init, mlp, softmax_cross_entropy, value_and_grads
from nnfunc.testing.purity import bits
from tests.laws.calls import CALLS
from tests.numeric import same_bits


@pytest.mark.parametrize("name", CALLS)
def test_eight_threads_at_once_give_the_same_bits(name: str) -> None:
    expected = bits(CALLS[name]())
    with ThreadPoolExecutor(8) as pool:
        assert all(bits(found) == expected for found in pool.map(lambda i: CALLS[name](), range(16)))


def test_large_steps_in_eight_threads_give_the_same_bits() -> None:
    net = mlp([50, 256, 10])
    params, x = init(net, 0), np.random.default_rng(2).normal(size=(512, 50)).astype(np.float32)
    y = np.arange(512) % 10

    def step(_: int) -> tuple[Params, State]:
        opt_init, opt_step = adam()
        return opt_step(params, value_and_grads(net, softmax_cross_entropy, params, x, y)[1], opt_init(params), 0.1)

    expected = step(0)
    with ThreadPoolExecutor(8) as pool:
        assert all(same_bits(found, expected) for found in pool.map(step, range(64)))
