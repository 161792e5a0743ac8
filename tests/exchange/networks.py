"""Random networks with params and rows, which every exit of the library is tried on."""

from itertools import islice

import numpy as np

from nnfunc import Array, Layer, Params, batch_norm, calibrate, chain, columns, concatenate, dense, embedding, forward, init
from nnfunc.exchange.graph import graph
from nnfunc.network.kinds import takes_codes
from nnfunc.values.types import DType
from tests.laws.test_fuzz import network

COUNT = 200


def drawn(seed: int, dtype: type[np.floating]) -> tuple[Layer, Params, Array]:
    """Return a network with params that no init would give, its batch norms calibrated, and rows for it."""
    draw = np.random.default_rng(seed)
    net, n_in, _ = network(draw)
    beside = seed % 10 == 0 and not takes_codes(net)
    if beside:  # two columns of codes beside the numbers
        net, n_in = chain(concatenate(chain(columns(0, 2), embedding(4, 3)), columns(2, 4)), dense(8, n_in), net), 4
    elif seed % 10 == 1 and not takes_codes(net):  # a norm that can be folded
        net = chain(dense(n_in, n_in, bias=seed % 20 == 1), batch_norm(n_in), net)
    kind: DType = np.dtype(dtype)
    params = {name: (a + draw.normal(0, 0.3, a.shape)).astype(kind) for name, a in init(net, seed, kind).items()}
    x: Array = draw.normal(0, 2, (9, n_in)).astype(kind)
    if takes_codes(net):
        x = draw.integers(0, 5, (9, 1)).astype(kind)
    elif beside:
        x[:, :2] = draw.integers(0, 4, (9, 2))
    return net, calibrate(net, params, x), x


def error(found: Array, net: Layer, params: Params, x: Array) -> float:
    """Return the largest difference from what `forward` gives, as a share of its largest value."""
    expected: Array = forward(net, params, x)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))


def plain(dtype: type[np.floating]) -> list[tuple[Layer, Params, Array]]:
    """Return as many networks that are made of the library's own layers and activations alone."""
    cases = (drawn(seed, dtype) for seed in range(3 * COUNT))
    found = islice((c for c in cases if all(node["op"] != "own" for node in graph("to_c", *c[:2]))), COUNT)
    return list(found)
