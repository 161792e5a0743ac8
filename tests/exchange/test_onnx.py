"""Models of networks give what `forward` gives, in ONNX's own reference and in onnxruntime."""

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest

from nnfunc import (
    AnyArray, Array, InputGradient, Key, Layer, Params, Pullback, activation, batch_norm, calibrate, chain, columns, combine, concatenate, dense,
    dropout, elu, embedding, fit_scaler, forward, gelu, init, layer_norm, leaky_relu, log_softmax, relu, residual, silu,
    standardize, tanh,
)  # fmt: skip
from nnfunc.exchange import to_onnx
from nnfunc.pieces.activations import BACK_RULES
from nnfunc.pieces.layers import no_params
from nnfunc.values.checks import label
from recipes.branches import product
from tests.exchange.networks import COUNT, drawn, error
from tests.numeric import bad
from tests.samples import CODED, CODED_ROWS, NET, P
from tests.sentences import Cases, assert_sentence

onnx = pytest.importorskip("onnx")
BOTH = (np.float32, np.float64)
Runner = Callable[[Any, Array], Array]


def by_reference(model: Any, x: Array) -> Array:
    from onnx.reference import ReferenceEvaluator

    with np.errstate(all="ignore"):  # its Sigmoid overflows on the way to 0
        y: Array = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: x})[0]
    return y


def by_runtime(model: Any, x: Array) -> Array:
    runtime = pytest.importorskip("onnxruntime")
    y: Array = runtime.InferenceSession(model.SerializeToString()).run(None, {model.graph.input[0].name: x})[0]
    return y


RUNNERS: dict[str, Runner] = {"onnx.reference": by_reference, "onnxruntime": by_runtime}
with_each = pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)


def sine_nodes(params: Params, x: str, y: str) -> tuple[list[Any], Mapping[str, AnyArray]]:
    return [onnx.helper.make_node("Sin", [x], [y])], {}


def product_nodes(params: Params, x: str, y: str) -> tuple[list[Any], Mapping[str, AnyArray]]:
    """Make the nodes of a product of a dense layer and a dropout."""
    first = onnx.helper.make_node("Gemm", [x, f"{y}/W", f"{y}/b"], [f"{y}/z"])
    return [first, onnx.helper.make_node("Mul", [x, f"{y}/z"], [y])], {f"{y}/W": params["0/W"], f"{y}/b": params["0/b"]}


MAKERS = {np.sin: sine_nodes, product: product_nodes}


def own_rounding(net: Layer, params: Params, x: Array) -> float:
    """Return how far `forward` itself is off in float32: norms of nearly equal values magnify its rounding."""
    exact = forward(net, {name: a.astype(np.float64) for name, a in params.items()}, x.astype(np.float64))
    return float(np.abs(forward(net, params, x) - exact).max() / max(np.abs(exact).max(), 1e-30))


@with_each
def test_random_networks_in_float64(run: Runner) -> None:
    for seed in range(COUNT):
        net, params, x = drawn(seed, np.float64)
        model = to_onnx(net, params, layers=MAKERS)
        for rows in (x, x[:1]):
            assert error(run(model, rows), net, params, rows) < 1e-12, seed


@with_each
def test_random_networks_in_float32(run: Runner) -> None:
    close = 0
    for seed in range(COUNT):
        net, params, x = drawn(seed, np.float32)
        model = to_onnx(net, params, layers=MAKERS)
        for rows in (x, x[:1]):
            off = error(run(model, rows), net, params, rows)
            close += off < 2e-6
            assert off < 2e-6 + 16 * own_rounding(net, params, rows), seed
    assert close > 0.9 * 2 * COUNT


def test_the_comparison_tells_a_wrong_weight() -> None:
    model = to_onnx(NET, P)
    x: Array = np.ones((3, 4), np.float32)
    assert error(by_reference(model, x), NET, P, x) < 2e-6
    wrong = P["out/b"] + np.float32(1e-4)
    assert error(by_reference(to_onnx(NET, {**P, "out/b": wrong}), x), NET, P, x) > 1e-5


# What a model looks like


def dims(value: Any) -> list[str | int]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def test_versions_names_and_shapes() -> None:
    model = to_onnx(NET, P)
    assert model.ir_version == 8
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 17)]
    assert model.producer_name == "nnfunc"
    (x,), (y,) = model.graph.input, model.graph.output
    assert (x.name, dims(x), y.name, dims(y)) == ("x", ["n", 4], "y", ["n", 2])
    assert [array.name for array in model.graph.initializer] == list(P)
    for array in model.graph.initializer:
        assert np.array_equal(onnx.numpy_helper.to_array(array), P[array.name])
    other = to_onnx(NET, P, input_name="pixels", output_name="logits").graph
    assert (other.input[0].name, other.output[0].name, other.node[-1].output[0]) == ("pixels", "logits", "logits")


@with_each
@pytest.mark.parametrize("dtype", BOTH)
def test_no_rows_and_many(run: Runner, dtype: type[np.floating]) -> None:
    net = chain(concatenate(chain(columns(0, 1), embedding(4, 2)), columns(1, 3)), layer_norm(4), dense(4, 2, gelu))
    params = init(net, 0, dtype)
    for n in (0, 5000) if run is by_runtime else (5000,):  # the reference cannot flatten what is empty
        x = np.random.default_rng(0).integers(0, 4, (n, 3)).astype(dtype)
        y = run(to_onnx(net, params), x)
        assert y.shape == (n, 2)
        assert n == 0 or error(y, net, params, x) < 2e-6


def test_two_layers_at_one_path_have_names_of_their_own() -> None:
    net = chain(a=residual(residual(dense(2, 2))), b=dense(2, 1))
    params, x = init(net, 0, np.float64), np.eye(3, 2)
    model = to_onnx(net, params)
    assert [node.name for node in model.graph.node] == ["a/affine", "a/add", "a/add.2", "y"]
    assert error(by_reference(model, x), net, params, x) < 1e-15


def test_columns_that_no_layer_tells_have_a_name() -> None:
    params = init(CODED, 0)
    assert dims(to_onnx(CODED, params).graph.input[0]) == ["n", "columns"]
    assert dims(to_onnx(CODED, params, scaler=fit_scaler(CODED_ROWS)).graph.input[0]) == ["n", 4]
    net = chain(dropout(0.1), activation(tanh), dense(3, 1))
    assert dims(to_onnx(net, init(net, 0)).graph.input[0]) == ["n", 3]


def test_a_network_that_does_nothing_passes_its_rows_on() -> None:
    model = to_onnx(chain(dropout(0.5)), {})
    x: Array = np.ones((2, 3), np.float32)
    assert np.array_equal(by_reference(model, x), x)


# Operations


FAR = [-1e4, -90.0, -20.0, -5.0, -1.0, -1e-3, -1e-6, 0.0, 1e-6, 1e-3, 1.0, 5.0, 20.0, 90.0, 1e4]
ACTIVATIONS = [
    *BACK_RULES, partial(elu, alpha=0.3), partial(elu, alpha=0), partial(leaky_relu, negative_slope=0.3),
    partial(leaky_relu, negative_slope=0),
]  # fmt: skip


@with_each
@pytest.mark.parametrize("dtype", BOTH)
@pytest.mark.parametrize("f", ACTIVATIONS, ids=str)
def test_activations_far_from_0_and_near_it(f: Any, dtype: type[np.floating], run: Runner) -> None:
    if f is log_softmax and run is by_reference:
        pytest.skip("the reference takes the logarithm of softmax, which is 0 there")
    net, x = activation(f), np.array([FAR, FAR[::-1]], dtype)
    found = run(to_onnx(net, {}, input_dtype=dtype), x)
    expected = forward(net, {}, x.astype(np.float64)).astype(dtype)
    rounding = float(np.finfo(dtype).eps)
    assert np.allclose(found, expected, rtol=20 * rounding, atol=8 * rounding)  # onnxruntime's Sigmoid is off by 1
    if label(f) in ("elu", "leaky_relu", "softplus"):  # small results keep their digits
        assert np.allclose(found, expected, rtol=20 * rounding, atol=1e-30)


def times(factor: float, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    def pullback(dy: Array) -> tuple[Params, InputGradient]:
        return {"s": (dy * x * factor).sum(axis=0)}, lambda: dy * (factor * params["s"])

    return x * factor * params["s"], pullback


def times_nodes(factor: float, params: Params, x: str, y: str) -> tuple[list[Any], Mapping[str, AnyArray]]:
    return [onnx.helper.make_node("Mul", [x, f"{y}/s"], [y])], {f"{y}/s": factor * params["s"]}


@with_each
def test_norms_far_from_0_keep_the_digits_of_float32(run: Runner) -> None:
    x: Array = (1e4 + np.random.default_rng(0).normal(size=(50, 8))).astype(np.float32)
    for net in (layer_norm(8), chain(batch_norm(8), dense(8, 2)), chain(layer_norm(8), dense(8, 2), batch_norm(2))):
        params = calibrate(net, init(net, 0), x)
        assert error(run(to_onnx(net, params), x), net, params, x) < 2e-6


def test_a_batch_norm_is_in_the_weights_before_it() -> None:
    net = chain(a=dense(3, 2, bias=False), b=batch_norm(2), c=activation(silu))
    params = calibrate(net, init(net, 0), np.eye(5, 3))
    model = to_onnx(net, params)
    assert [node.op_type for node in model.graph.node] == ["Gemm", "Sigmoid", "Mul"]
    assert [array.name for array in model.graph.initializer] == ["a/W", "a/b"]


@with_each
def test_columns_of_codes_beside_numbers(run: Runner) -> None:
    params = init(CODED, 0, np.float64)
    assert error(run(to_onnx(CODED, params), CODED_ROWS), CODED, params, CODED_ROWS) < 1e-14


# A scaler in front


@with_each
@pytest.mark.parametrize("dtype", BOTH)
def test_a_scaler_takes_rows_as_they_were(dtype: type[np.floating], run: Runner) -> None:
    raw = (np.random.default_rng(0).normal(size=(40, 4)) * [1, 100, 1e-3, 5] + [0, 1e6, 7, -300]).astype(dtype)
    scaler = fit_scaler(raw)
    only = run(to_onnx(chain(activation(relu)), {}, scaler=scaler), raw.astype(np.float32))
    assert np.array_equal(only, np.maximum(standardize(raw.astype(np.float32), scaler), 0))
    params = {name: a.astype(dtype) for name, a in P.items()}
    model = to_onnx(NET, params, scaler=scaler)
    assert error(run(model, raw), NET, params, standardize(raw, scaler)) < (2e-6 if dtype is np.float32 else 1e-13)


@with_each
def test_seconds_of_a_clock_need_an_input_in_float64(run: Runner) -> None:
    seconds = 1.7e9 + np.arange(50.0)[:, None]
    scaler = fit_scaler(seconds)
    net = dense(1, 2, tanh)
    params = init(net, 0)
    expected = standardize(seconds, scaler).astype(np.float32)
    assert error(run(to_onnx(net, params, scaler=scaler, input_dtype=np.float64), seconds), net, params, expected) < 2e-6
    assert error(run(to_onnx(net, params, scaler=scaler), seconds.astype(np.float32)), net, params, expected) > 0.1
    x = np.eye(1)
    assert error(run(to_onnx(net, params, input_dtype="float64"), x), net, params, x.astype(np.float32)) < 2e-6


def test_a_layer_may_be_called_as_the_scaler_is() -> None:
    net = chain(scaler=batch_norm(2), x=dense(2, 2), y=residual(dense(2, 2)))
    x = np.arange(10.0).reshape(5, 2)
    scaler = fit_scaler(x)
    params = calibrate(net, init(net, 0, np.float64), x)
    assert error(by_reference(to_onnx(net, params, scaler=scaler), x), net, params, standardize(x, scaler)) < 1e-14


# Layers of a user's own


@with_each
def test_layers_of_ones_own_make_their_nodes(run: Runner) -> None:
    own: Layer = (lambda key, dtype: {"s": np.full(2, 3, dtype)}), partial(times, 2.0)
    net = chain(a=dense(3, 2, (np.sin, np.cos)), b=own, c=combine(product, dense(2, 2), dropout(0.1)))
    params, x = init(net, 0, np.float64), np.eye(4, 3)
    model = to_onnx(net, params, layers={**MAKERS, times: times_nodes})
    assert error(run(model, x), net, params, x) < 1e-15
    assert "b/own/s" in [array.name for array in model.graph.initializer]


def test_a_maker_cannot_change_what_it_is_given() -> None:
    def writing(factor: float, params: Params, x: str, y: str) -> tuple[list[Any], Mapping[str, AnyArray]]:
        params["s"][0] = 1
        return [], {}

    with pytest.raises(ValueError, match="read-only"):
        to_onnx((no_params, partial(times, 2.0)), {"s": np.ones(2)}, layers={times: writing})


def test_operators_of_another_domain_are_imported() -> None:
    def maker(params: Params, x: str, y: str) -> tuple[list[Any], Mapping[str, AnyArray]]:
        return [onnx.helper.make_node("Sine", [x], [y], domain="mine")], {}

    model = to_onnx(chain(dense(3, 2, (np.sin, np.cos))), init(chain(dense(3, 2)), 0), layers={np.sin: maker})
    assert {each.domain: each.version for each in model.opset_import} == {"": 17, "mine": 1}


def clashing_nodes(params: Params, x: str, y: str) -> tuple[list[Any], Mapping[str, AnyArray]]:
    return sine_nodes(params, x, y)[0], {"a/W": np.eye(1)}


OWN = chain(a=activation((np.sin, np.cos)))
BN = chain(n=batch_norm(2))
BAD: Cases = {
    "a layer of ones own": (
        lambda: to_onnx(OWN, {}), ValueError,
        r"to_onnx: layers must hold a function that makes the nodes of sin, the layer a \(layers=\{sin: ...\}\), "
        "got functions for none",
    ),
    "the function that makes it in place of its forward": (
        lambda: to_onnx(chain((no_params, partial(times, 2))), {}, layers={OWN[0]: times_nodes}), ValueError,
        r"to_onnx: layers must hold a function that makes the nodes of times, the layer 0 \(layers=\{times: ...\}\), "
        "got functions for chain_init",
    ),
    "a maker that gives nodes only": (
        lambda: to_onnx(OWN, {}, layers={np.sin: bad(lambda params, x, y: [])}), TypeError,
        r"to_onnx: layers must return \(nodes, arrays\), a sequence and a mapping, from that of sin, got \[\]",
    ),
    "a maker of nodes that lead nowhere": (
        lambda: to_onnx(OWN, {}, layers={np.sin: lambda params, x, y: ([], {})}), ValueError,
        "to_onnx: net must be one that ONNX's checker accepts, got .*",
    ),
    "makers that are no mapping": (
        lambda: to_onnx(OWN, {}, layers=bad(sine_nodes)), TypeError,
        "to_onnx: layers must be a mapping of functions, got the function sine_nodes",
    ),
    "layers that do not fit": (
        lambda: to_onnx(chain(dense(4, 3), dense(2, 1)), init(chain(dense(4, 3), dense(2, 1)), 0)), ValueError,
        r"dense: 1/x must have shape \(rows, 2\), got \(1, 3\)",
    ),
    "a scaler of other columns": (
        lambda: to_onnx(NET, P, scaler={"mean": np.zeros(3), "scale": np.ones(3)}), ValueError,
        "to_onnx: scaler must have the 4 columns that net takes, got 3",
    ),
    "no scaler": (
        lambda: to_onnx(NET, P, scaler=bad("standard")), ValueError,
        "to_onnx: scaler must hold 'mean', as fit_scaler makes it, got 'standard'",
    ),
    "a scale of 0": (
        lambda: to_onnx(NET, P, scaler={"mean": np.zeros(4), "scale": np.zeros(4)}), ValueError,
        "to_onnx: scaler must hold finite means and a scale above 0 for each, got .*",
    ),
    "a half float": (
        lambda: to_onnx(NET, P, input_dtype=np.float16), TypeError, "to_onnx: input_dtype must be float32 or float64, got .*",
    ),
    "no name": (lambda: to_onnx(NET, P, input_name=""), TypeError, "to_onnx: input_name must be a name, got ''"),
    "a number for a name": (lambda: to_onnx(NET, P, output_name=bad(3)), TypeError, "to_onnx: output_name must be a name, got 3"),
    "one name for both": (
        lambda: to_onnx(NET, P, output_name="x"), ValueError,
        "to_onnx: names must differ, of input and output and of the arrays of all layers, got x",
    ),
    "an array's name for the input": (
        lambda: to_onnx(NET, P, input_name="out/W"), ValueError,
        "to_onnx: names must differ, of input and output and of the arrays of all layers, got out/W",
    ),
    "an array's name for an array of a maker": (
        lambda: to_onnx(chain(a=dense(1, 1), b=OWN), init(chain(a=dense(1, 1)), 0), layers={np.sin: clashing_nodes}), ValueError,
        "to_onnx: names must differ, of input and output and of the arrays of all layers, got a/W",
    ),
    "a training state": (
        lambda: to_onnx(NET, {**P, "train/epoch": bad(0), "train/step": bad(0)}), TypeError, "to_onnx: params must .*",
    ),
    "no statistics": (
        lambda: to_onnx(BN, init(BN, 0)), ValueError, r"to_onnx: params must hold the statistics of layer n .*",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str) -> None:
    assert_sentence(*BAD[name])


def test_without_onnx_a_sentence_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    pattern = r"to_onnx: onnx must be installed \(pip install onnx\), got .*"
    assert_sentence(lambda: to_onnx(NET, P), ModuleNotFoundError, pattern)


def test_nothing_foreign_is_imported_before_it_is_needed() -> None:
    code = "import sys, nnfunc.exchange; print({'onnx', 'torch', 'h5py', 'safetensors', 'sklearn'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_the_example_gives_the_same_classes(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    import onnx_runtime

    right, others = onnx_runtime.main()
    assert right > 0.95
    assert others == 0
    assert re.search(r"params 9,640 bytes, file [\d,]+ bytes\n.* 1 at a time: nnfunc [\d.]+, ", capsys.readouterr().out)
