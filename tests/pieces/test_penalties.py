"""Penalties: their share of the loss and of its gradients, weights only."""

from functools import partial

import numpy as np
import pytest

from nnfunc import (
    Array,
    LossFn,
    adam,
    chain,
    check_grads,
    dense,
    freeze,
    grads,
    init,
    l1,
    l2,
    loss,
    mse,
    sgd_step,
    sigmoid,
    sigmoid_cross_entropy,
    softmax,
    softmax_cross_entropy,
    tanh,
)
from tests.numeric import bad, relative_error, same_bits, slopes
from tests.samples import ROWS, TARGETS, X
from tests.sentences import Cases, assert_sentence


def test_penalties_count_weights_only() -> None:
    params = freeze({"a/W": np.array([[1.0, -2.0]]), "a/b": np.array([9.0]), "filter": np.full((2, 2, 1), 0.5), "gamma": [7.0]})
    value, g = l2(0.1)(params)
    assert value == pytest.approx(0.1 * (1 + 4 + 4 * 0.25))
    assert {n: a.ravel().tolist() for n, a in g.items()} == {"a/W": [0.2, -0.4], "filter": [0.1] * 4}
    value, g = l1(0.1)(params)
    assert value == pytest.approx(0.1 * (3 + 2))
    assert {n: a.ravel().tolist() for n, a in g.items()} == {"a/W": [0.1, -0.1], "filter": [0.1] * 4}


def test_names_of_what_is_not_counted_unless_asked() -> None:
    params = freeze({"words/table": [[1.0, -2.0]], "out/W": [[3.0]], "out/b": [[5.0]], "filter": [[7.0]]})
    cases: list[tuple[list[str] | None, list[str]]] = [
        (None, ["out/W", "filter"]), (["words/table"], ["words/table"]), (["*/W", "*/table"], ["words/table", "out/W"]),
        (["out/*"], ["out/W", "out/b"]), (["*table"], ["words/table"]),
    ]  # fmt: skip
    for names, counted in cases:
        value, g = l2(0.5, names)(params)
        assert value == 0.5 * sum(float(np.sum(params[n] ** 2)) for n in counted)
        assert same_bits(dict(g), {n: params[n] for n in counted})
        value, g = l1(0.5, names)(params)
        assert value == 0.5 * sum(float(np.sum(np.abs(params[n]))) for n in counted)
        assert same_bits(dict(g), {n: 0.5 * np.sign(params[n]) for n in counted})
    assert l2(0.5, ["*/W"])({})[0] == 0
    assert l2(0.5, ["*table"])(freeze({"table": [[1.0, -2.0]]}))[0] == 2.5  # of an embedding by itself


def test_names_count_in_a_loss_and_its_gradient() -> None:
    net = chain(hidden=dense(3, 4, tanh), out=dense(4, 2))
    params, penalty = init(net, 1, np.float64), l2(0.3, ["out/*"])
    assert check_grads(net, mse, params, ROWS, TARGETS, penalty=penalty)["verdict"] == "right"
    plain, g = grads(net, mse, params, ROWS, TARGETS), grads(net, mse, params, ROWS, TARGETS, penalty=penalty)
    assert [n for n in g if not np.array_equal(g[n], plain[n])] == ["out/W"]  # the bias is 0 yet


# scikit-learn's loss, its alpha for a rate at n rows and k outputs, and how many times its gradient is that of here.
N, K = 7, 3
SKLEARN: dict[str, tuple[LossFn, int, float, float]] = {
    "one output of a regression": (mse, 1, N, 2),
    "a regression": (partial(mse, sum_outputs=True), K, N, 2),
    "a regression, the mean over outputs": (mse, K, N * K, 2 / K),
    "classes": (softmax_cross_entropy, K, 2 * N, 1),
    "yes or no": (sigmoid_cross_entropy, 1, 2 * N, 1),
    "labels": (partial(sigmoid_cross_entropy, sum_outputs=True), K, 2 * N, 1),
    "labels, the mean over outputs": (sigmoid_cross_entropy, K, 2 * N * K, 1 / K),
}


@pytest.mark.parametrize("name", SKLEARN)
def test_the_alpha_of_scikit_learn(name: str) -> None:
    loss_fn, k, per_rate, times = SKLEARN[name]
    rate = 0.05
    alpha = per_rate * rate
    draw = np.random.default_rng(0)
    x, y, params = draw.normal(size=(N, 4)), np.eye(K)[np.arange(N) % K][:, :k], init(dense(4, k), 0, np.float64)
    z = x @ params["W"] + params["b"]
    predicted: Array = softmax(z) if name == "classes" else z if "regression" in name else sigmoid(z)
    # sklearn 1.9, _multilayer_perceptron.py: deltas = activations - y; coef_grads = (x.T @ deltas + alpha * W) / n
    theirs: Array = (x.T @ (predicted - y) + alpha * params["W"]) / N
    ours = grads(dense(4, k), loss_fn, params, x, y, penalty=l2(rate))["W"]
    assert np.allclose(ours, times * theirs, rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in SKLEARN if name != "yes or no"])
def test_a_step_of_scikit_learn(name: str) -> None:
    networks = pytest.importorskip("sklearn.neural_network")
    loss_fn, k, per_rate, times = SKLEARN[name]
    draw = np.random.default_rng(0)
    x = draw.normal(size=(N, 4))
    y: Array = np.eye(K)[np.arange(N) % K][:, :k]
    kind = networks.MLPRegressor if "regression" in name else networks.MLPClassifier
    if name.startswith("labels"):
        y = (draw.random((N, k)) > 0.4).astype(np.float64)
    given = np.argmax(y, axis=1) if name == "classes" else y if k > 1 else y[:, 0]
    options = {"solver": "sgd", "momentum": 0, "learning_rate_init": 0.1, "batch_size": N, "random_state": 0}
    model = kind(hidden_layer_sizes=(), alpha=per_rate * 0.05, **options)
    more = {} if "regression" in name else {"classes": np.arange(K)}
    model.partial_fit(x, given, **more)
    before = {"W": model.coefs_[0].copy(), "b": model.intercepts_[0].copy()}
    model.partial_fit(x, given)
    g = grads(dense(4, k), loss_fn, before, x, y, penalty=l2(0.05))
    assert np.allclose(sgd_step(before, g, 0.1 / times)["W"], model.coefs_[0], rtol=1e-10)


def test_the_weight_decay_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    x, y, params = ROWS, TARGETS, init(dense(3, 2), 0, np.float64)
    W, b = (torch.tensor(params[name].copy(), requires_grad=True) for name in ("W", "b"))
    step = torch.optim.Adam([{"params": [W], "weight_decay": 2 * 0.05}, {"params": [b]}], lr=0.1)
    torch.nn.functional.mse_loss(torch.tensor(x) @ W + b, torch.tensor(y)).backward()
    step.step()
    opt_init, ours = adam()
    stepped, _ = ours(params, grads(dense(3, 2), mse, params, x, y, penalty=l2(0.05)), opt_init(params), 0.1)
    assert np.allclose(stepped["W"], W.detach().numpy(), rtol=1e-12)


PENALTIES = {"l2": l2(0.3), "l1": l1(0.3)}


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_have_their_gradients(name: str) -> None:
    penalty, net = PENALTIES[name], chain(dense(3, 4, tanh), dense(4, 2))
    params = init(net, 1, np.float64)
    weights = {n: a for n, a in params.items() if n.endswith("W")}
    assert relative_error(dict(penalty(params)[1]), slopes(lambda p: penalty(p)[0], weights)) < 1e-9
    assert check_grads(net, mse, params, ROWS, TARGETS, penalty=penalty)["verdict"] == "right"
    plain = loss(net, mse, params, ROWS, TARGETS)
    assert loss(net, mse, params, ROWS, TARGETS, penalty=penalty) == plain + penalty(params)[0]


def test_penalties_too_large_for_the_dtype_leak_no_warning() -> None:
    large = {"W": np.full(2, 1e37, np.float32)}
    value, g = l2(1e3)(large)
    assert value == pytest.approx(2e77)
    assert np.isinf(g["W"]).all()
    value, g = l1(1e39)(large)
    assert value == pytest.approx(2e76)
    assert np.isinf(g["W"]).all()


def test_the_update_of_the_article() -> None:
    # W -= lr (dL/dW + 2 rate W)
    net = dense(3, 2)
    params = init(net, 0, np.float64)
    g = grads(net, mse, params, ROWS, TARGETS)
    stepped = sgd_step(params, grads(net, mse, params, ROWS, TARGETS, penalty=l2(0.05)), 0.1)
    assert np.allclose(stepped["W"], params["W"] - 0.1 * (g["W"] + 2 * 0.05 * params["W"]), rtol=1e-14)
    assert np.allclose(stepped["b"], params["b"] - 0.1 * g["b"], rtol=1e-14)


BAD: Cases = {
    "rate below 0": (lambda: l2(-1), ValueError, r"l2: rate must be finite and at least 0, got -1.0"),
    "rate a text": (lambda: l1(bad("a")), TypeError, r"l1: rate must be a number, got 'a'"),
    "names of nothing": (
        lambda: loss(dense(3, 2), mse, init(dense(3, 2), 0, np.float64), ROWS, TARGETS, penalty=l2(0.1, ["words/table"])),
        ValueError,
        r"l2: names must have patterns that names of params match \(W, b\), got 'words/table', which none matches",
    ),
    "names a text": (lambda: l2(1, "W"), TypeError, r"l2: names must be a sequence of patterns, got 'W'"),
    "no names": (lambda: l1(1, []), TypeError, r"l1: names must be a sequence of patterns, one or more, got \[\]"),
    "names of numbers": (lambda: l1(1, bad([3])), TypeError, r"l1: names must be a sequence of patterns, .*, got \[3\]"),
    "name no string": (lambda: l2(1)(bad({1: X})), TypeError, r"l2: params must have strings as names, got 1"),
    "rate too large for a float": (
        lambda: l2(10**400),
        ValueError,
        r"l2: rate must be a number that a float can hold, got 1000.*",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
