"""A network's operations, run one by one, give what `forward` gives; folded too."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

import nnfunc
from nnfunc import (
    Array, Key, Layer, Params, activation, batch_norm, calibrate, chain, columns, combine, concatenate, dense, dropout, elu, embedding, forward,
    init, layer_norm, leaky_relu, map_params, relu, residual, tanh,
)  # fmt: skip
from nnfunc.exchange import to_c, to_python
from nnfunc.exchange.graph import _STEPS, Node, folded, graph
from nnfunc.exchange.onnx import _FORMULAS
from nnfunc.network.kinds import _OWN, facts
from nnfunc.pieces.activations import BACK_RULES
from nnfunc.pieces.layers import no_params
from nnfunc.values.checks import label
from recipes.branches import product
from tests.exchange.networks import COUNT, drawn, error
from tests.samples import CODED, CODED_ROWS, P, NET
from tests.numeric import bad
from tests.sentences import Cases, assert_sentence


def normalised(x: Array, eps: float) -> Array:
    away: Array = x - x.mean(axis=1, keepdims=True)
    y: Array = away / np.sqrt((away * away).mean(axis=1, keepdims=True) + eps)
    return y


def put_out(node: Node, inputs: list[Array]) -> Array:
    """Compute one operation as its definition says."""
    x, a, numbers = inputs[0], node["arrays"], node["numbers"]
    match node["op"]:
        case "affine":
            y: Array = x @ a["W"] + a.get("b", np.zeros(1, x.dtype))
            return y
        case "scale_shift":
            return (x - a["mean"]) * a["scale"] + a["shift"]
        case "layer_norm":
            return normalised(x, numbers["eps"]) * a["gamma"] + a["beta"]
        case "lookup":
            return np.concatenate([a["table"][column.astype(int)] for column in x.T], axis=1)
        case "columns":
            return x[:, int(numbers["start"]) : int(numbers["stop"])]
        case "add":
            return x + inputs[1]
        case "concatenate":
            return np.concatenate(inputs, axis=1)
        case "own":
            f = node["function"]
            assert callable(f)
            own: Array = (x @ a["0/W"] + a["0/b"]) * x if f is product else f(x)
            return own
    f = getattr(nnfunc, node["op"])
    value: Array = partial(f, **numbers)(x)
    return value


def interpreted(nodes: list[Node], x: Array) -> Array:
    """Run operations in their order; a value must be there before it is used."""
    values = [x]
    for node in nodes:
        values.append(put_out(node, [values[i] for i in node["inputs"]]))
    return values[-1]


def test_operations_give_what_forward_gives_folded_too() -> None:
    fewer = 0
    for seed in range(COUNT):
        net, params, x = drawn(seed, np.float64)
        nodes = graph("to_onnx", net, params)
        less = folded(nodes)
        assert error(interpreted(nodes, x), net, params, x) < 1e-12, seed
        assert error(interpreted(less, x), net, params, x) < 1e-12, seed
        fewer += len(less) < len(nodes)
    assert fewer > COUNT / 20


def test_float32_stays_float32() -> None:
    for seed in range(COUNT):
        net, params, x = drawn(seed, np.float32)
        for nodes in (graph("to_onnx", net, params), folded(graph("to_onnx", net, params))):
            assert {a.dtype for node in nodes for a in node["arrays"].values()} <= {np.dtype(np.float32)}
            assert error(interpreted(nodes, x), net, params, x) < 2e-5, seed


def test_the_interpreter_tells_a_wrong_operation() -> None:
    nodes = graph("to_onnx", NET, P)
    x: Array = np.ones((2, 4), np.float32)
    assert error(interpreted(nodes, x), NET, P, x) < 1e-6
    wrong: list[Node] = [{**nodes[0], "arrays": {**nodes[0]["arrays"], "b": nodes[0]["arrays"]["b"] + 1}}, *nodes[1:]]
    assert error(interpreted(wrong, x), NET, P, x) > 1e-3


LAYERS = [
    dense(2, 2), activation(relu), dropout(0.5), columns(0, 1), layer_norm(2), batch_norm(2), embedding(9, 2),
    residual(dense(2, 2)), concatenate(dense(2, 1)),
]  # fmt: skip
EVERY = [*LAYERS, *(activation(bad(f)) for f in BACK_RULES)]


def test_no_layer_of_the_table_is_left_out() -> None:
    words = {known["word"] for known in map(facts, LAYERS) if known}
    assert words | {"identity"} == set(_STEPS) | {"residual", "concatenate"}
    assert len(_OWN) == len(words) + 1  # every row has a word of its own here


def operations() -> set[str]:
    """Return the operations that layers and activations of the library come to."""
    nets = ((net, calibrate(net, init(net, 0), [[0, 1], [2, 3], [2, 0]])) for net in EVERY)
    return {node["op"] for net, params in nets for node in graph("to_onnx", net, params)}


def test_no_exporter_leaves_an_operation_out() -> None:
    assert len(operations()) == len(BACK_RULES) + 7
    assert operations() <= set(_FORMULAS)
    for net in EVERY:
        params, x = calibrate(net, init(net, 0), [[0, 1], [2, 3], [2, 0]]), [1.0, 2.0]
        assert all([to_c(net, params, "net", x=x), to_python(net, params, x=x), to_python(net, params, numpy=False, x=x)])


@pytest.mark.parametrize("f", BACK_RULES, ids=label)
def test_every_activation_is_an_operation_by_its_name(f: Callable[[Array], Array]) -> None:
    net = dense(3, 3, f)
    params, x = init(net, 0, np.float64), np.linspace(-3, 3, 12).reshape(4, 3)
    nodes = graph("to_onnx", net, params)
    assert nodes[-1]["op"] == label(f)
    assert error(interpreted(nodes, x), net, params, x) < 1e-15


@pytest.mark.parametrize("f", [partial(elu, alpha=0.3), partial(elu, alpha=2), partial(leaky_relu, negative_slope=0)])
def test_options_of_activations_are_numbers(f: Callable[[Array], Array]) -> None:
    net = chain(activation(f))
    x = np.linspace(-3, 3, 12).reshape(4, 3)
    nodes = graph("to_onnx", net, {})
    assert all(type(number) is float for number in nodes[0]["numbers"].values())
    assert error(interpreted(nodes, x), net, {}, x) == 0


def test_columns_of_codes_beside_numbers() -> None:
    params = init(CODED, 0, np.float64)
    assert error(interpreted(graph("to_onnx", CODED, params), CODED_ROWS), CODED, params, CODED_ROWS) < 1e-15


# Batch norms


def test_a_norm_of_raw_columns_far_from_0_keeps_the_digits_of_float32() -> None:
    draw = np.random.default_rng(0)
    x: Array = (1e6 + draw.normal(size=(50, 3))).astype(np.float32)
    net = chain(batch_norm(3), dense(3, 2))
    params = calibrate(net, init(net, 0), x)
    for nodes in (graph("to_onnx", net, params), folded(graph("to_onnx", net, params))):
        assert error(interpreted(nodes, x), net, params, x) < 1e-6


def ops(net: Layer) -> list[str]:
    params = calibrate(net, init(net, 0, np.float64), np.eye(5, 3))
    return [node["op"] for node in folded(graph("to_onnx", net, params))]


def test_a_norm_is_folded_only_where_nothing_else_takes_what_it_norms() -> None:
    assert ops(chain(dense(3, 2), batch_norm(2), batch_norm(2))) == ["affine"]
    assert ops(chain(dense(3, 2, bias=False), dropout(0.5), batch_norm(2), activation(tanh))) == ["affine", "tanh"]
    assert ops(chain(dense(3, 2), residual(batch_norm(2)))) == ["affine", "scale_shift", "add"]
    assert ops(chain(dense(3, 2, relu), batch_norm(2))) == ["affine", "relu", "scale_shift"]
    assert ops(chain(batch_norm(3), dense(3, 2))) == ["scale_shift", "affine"]
    large = chain(dense(1, 1), batch_norm(1))
    numbers = {"0/W": [[1e20]], "0/b": [0], "1/gamma": [1e30], "1/beta": [0], "1/mean": [1e20], "1/var": [1]}
    nodes = graph("to_c", large, {name: np.array(a, np.float32) for name, a in numbers.items()})
    assert folded(nodes) == nodes  # as the product is beyond float32
    branches = concatenate(batch_norm(2), a=chain(dense(2, 2), batch_norm(2)))
    assert ops(chain(dense(3, 2), branches)) == ["affine", "scale_shift", "affine", "concatenate"]


def test_a_network_that_does_nothing_has_no_operation() -> None:
    assert graph("to_onnx", chain(dropout(0.5), chain(dropout(0.1))), {}) == []


# Layers of a user's own


def test_a_layer_of_ones_own_keeps_what_it_was_fixed_with() -> None:
    fixed = partial(bad(gain_forward), 3.0)
    nodes = graph("to_onnx", chain(a=(no_params, fixed)), {"a/s": np.ones(1), "a/in/t": np.ones(2)})
    assert [(node["op"], node["path"], list(node["arrays"])) for node in nodes] == [("own", "a", ["s", "in/t"])]
    assert nodes[0]["function"] is fixed
    pair = combine(partial(product), dense(1, 1), dropout(0.5))
    node = graph("to_onnx", pair, init(pair, 0))[0]
    assert (label(node["function"]), list(node["arrays"])) == ("product", ["0/W", "0/b"])


def gain_forward(factor: float, params: Params, x: Array, key: Key | None) -> None: ...


BATCH = chain(n=batch_norm(2))
BATCH_P = calibrate(BATCH, init(BATCH, 0), np.eye(4, 2))
BAD: Cases = {
    "a name of no layer": (
        lambda: graph("to_c", NET, {**P, "last/W": np.ones((1, 1), np.float32)}), ValueError,
        r"to_c: params must belong to a layer of the network \(hidden, out\), got last/W",
    ),
    "a name too many": (
        lambda: graph("to_c", NET, {**P, "out/V": np.ones(2, np.float32)}), ValueError,
        r"to_c: out/V must not be in params, which are W, b, got shape \(2,\)",
    ),
    "a name too few": (
        lambda: graph("to_c", NET, {name: a for name, a in P.items() if name != "out/b"}), ValueError,
        r"to_c: out/b must be in params, got only \['W'\]",
    ),
    "another shape": (
        lambda: graph("to_c", NET, {**P, "out/b": np.ones(3, np.float32)}), ValueError,
        r"to_c: out/b must have shape \(2,\), got \(3,\)",
    ),
    "not finite": (
        lambda: graph("to_c", NET, {**P, "out/b": np.array([1, np.nan], np.float32)}), FloatingPointError,
        r"to_c: out/b must be finite, got nan at \[1\] .*",
    ),
    "no statistics": (
        lambda: graph("to_c", BATCH, init(BATCH, 0)), ValueError,
        r"to_c: params must hold the statistics of layer n \(params = calibrate\(net, params, x\) puts them there\), "
        "got no mean and var",
    ),
    "no statistics of the network itself": (
        lambda: graph("to_c", batch_norm(1), init(batch_norm(1), 0)), ValueError,
        "to_c: params must hold the statistics of layer batch norm .*, got no mean and var",
    ),
    "a scale beyond float32": (
        lambda: graph("to_c", BATCH, {**BATCH_P, "n/gamma": np.full(2, 3e38, np.float32)}), FloatingPointError,
        r"batch_norm: n/gamma / sqrt\(var \+ eps\) must be finite, got inf at \[0\] .*",
    ),
    "a negative variance": (
        lambda: graph("to_c", BATCH, {**BATCH_P, "n/var": np.array([1, -2], np.float32)}), ValueError,
        "batch_norm: n/var must be at least 0, got -2.0",
    ),
    "layers that do not fit": (
        lambda: graph("to_c", chain(dense(3, 1), layer_norm(2)), init(chain(dense(3, 1), layer_norm(2)), 0)), ValueError,
        r"layer_norm: 1/x must have shape \(rows, 2\), got \(1, 1\)",
    ),
    "a sum of another shape": (
        lambda: graph("to_c", residual(dense(3, 1)), init(dense(3, 1), 0)), ValueError,
        r"residual: layer must keep the shape \(1, 3\) of x, got \(1, 1\)",
    ),
    "columns that are not there": (
        lambda: graph("to_c", chain(dense(3, 2), columns(1, 3)), init(chain(dense(3, 2)), 0)), ValueError,
        r"columns: 1/x must have shape \(rows, 3 or more\), got \(1, 2\)",
    ),
    "mixed dtypes": (
        lambda: graph("to_c", NET, {**P, "out/b": np.ones(2)}), TypeError, "to_c: params must share one dtype, got .*",
    ),
    "no network": (lambda: graph("to_c", bad(None), P), TypeError, "to_c: net must be a pair .*"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str) -> None:
    assert_sentence(*BAD[name])


def test_the_advice_about_statistics_works() -> None:
    params = calibrate(BATCH, init(BATCH, 0), np.eye(4, 2))
    x: Array = np.eye(3, 2, dtype=np.float32)
    assert np.array_equal(interpreted(graph("to_c", BATCH, params), x), forward(BATCH, params, x))


def test_arrays_of_params_are_as_they_were_given() -> None:
    nodes = graph("to_onnx", NET, map_params(np.negative, P))
    assert np.array_equal(nodes[0]["arrays"]["W"], -P["hidden/W"])
