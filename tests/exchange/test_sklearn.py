"""scikit-learn's estimators: there and back, and both sides predict the same."""

import copy
import pickle
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nnfunc import (
    AnyArray, Array, Layer, Params, accuracy, activation, batch_norm, calibrate, chain, dense, dropout, fit_scaler, forward, init,
    layer_norm, map_params, relu, residual, sigmoid, softmax, standardize, tanh,
)  # fmt: skip
from nnfunc.exchange import from_sklearn, to_sklearn
from nnfunc.testing.purity import bits
from tests.numeric import bad, same_bits
from tests.samples import NET, P
from tests.sentences import Cases, assert_sentence

DRAW = np.random.default_rng(0)
X: Array = DRAW.normal(size=(60, 4))
TARGETS: dict[str, AnyArray] = {
    "two classes": np.where(X[:, 0] > 0, "yes", "no"),
    "three classes": np.digitize(X[:, 0], [-0.5, 0.5]) * 3 + 1,
    "labels": (X[:, :3] > 0).astype(int),
    "two labels": (X[:, :2] > 0).astype(int),
    "one number": X @ [1.0, 2.0, 0.0, -1.0],
    "two numbers": X[:, :2] * X[:, 2:],
    "counts": DRAW.poisson(np.exp(X[:, 0])).astype(float),
}
OPTIONS = [("relu", (6,)), ("tanh", (5, 4)), ("logistic", (3,)), ("identity", (4, 4)), ("relu", ())]


def fitted(kind: str, activation: str = "relu", sizes: tuple[int, ...] = (5,), x: Array = X, **options: Any) -> Any:
    """Return an estimator of theirs after a few steps."""
    there = pytest.importorskip("sklearn.neural_network")
    is_classifier = "class" in kind or "label" in kind
    if kind == "counts":
        options["loss"] = "poisson"
    kind_there = there.MLPClassifier if is_classifier else there.MLPRegressor
    made = kind_there(hidden_layer_sizes=sizes, activation=activation, max_iter=5, random_state=0, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return made.fit(x, TARGETS[kind])


def outputs(estimator: Any, x: Array) -> Array:
    """Return what an estimator of theirs puts out, as the network does."""
    y: Array = estimator.predict_proba(x) if hasattr(estimator, "predict_proba") else estimator.predict(x)
    if y.ndim == 2 and y.shape[1] == 2 and estimator.n_outputs_ == 1:
        y = y[:, 1:]
    return y if y.ndim == 2 else y[:, None]


def close(a: Array, b: Array) -> bool:
    return a.shape == b.shape and float(np.abs(a - b).max()) < 1e-6 * max(1.0, float(np.abs(b).max()))


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize(("activation", "sizes"), OPTIONS)
def test_predictions_are_the_same_there_and_back(kind: str, activation: str, sizes: tuple[int, ...]) -> None:
    estimator = fitted(kind, activation, sizes)
    net, params = from_sklearn(estimator)
    assert close(forward(net, params, X), outputs(estimator, X))
    assert not any(np.shares_memory(a, w) for a in params.values() for w in estimator.coefs_ + estimator.intercepts_)
    before = pickle.dumps(estimator)
    for given in (estimator, type(estimator)(**estimator.get_params())):
        if kind == "two classes" and given is not estimator:
            made = to_sklearn(net, params, given, classes=["no", "yes"])
        else:
            made = to_sklearn(net, params, given, classes=None if given is estimator or "class" not in kind else [1, 4, 7])
        assert same_bits(from_sklearn(made)[1], params)
        assert made.get_params() == {**estimator.get_params(), "hidden_layer_sizes": sizes}
        assert np.array_equal(made.predict(X), estimator.predict(X))
        assert made.score(X, TARGETS[kind]) == estimator.score(X, TARGETS[kind])
        assert not any(np.shares_memory(a, w) for a in params.values() for w in made.coefs_ + made.intercepts_)
        assert all(w.flags.writeable for w in made.coefs_ + made.intercepts_)
        made.partial_fit(X, TARGETS[kind])  # training goes on there
        assert not same_bits(from_sklearn(made)[1], params)
    assert pickle.dumps(estimator) == before


def test_float32_stays_float32() -> None:
    net, params = from_sklearn(fitted("three classes", x=X.astype(np.float32)))
    assert {a.dtype for a in params.values()} == {np.dtype(np.float32)}
    assert {w.dtype for w in to_sklearn(net, params, fitted("three classes")).coefs_} == {np.dtype(np.float32)}


def test_random_numbers_stay_where_they_are() -> None:
    there = pytest.importorskip("sklearn.neural_network")
    before = bits(np.random.get_state())
    generator = np.random.RandomState(3)
    made = to_sklearn(NET, P, there.MLPClassifier(random_state=generator, solver="lbfgs", early_stopping=True))
    assert bits(np.random.get_state()) == before
    assert bits(generator.get_state()) == bits(np.random.RandomState(3).get_state())
    assert made.random_state is not generator
    assert made.predict(np.ones((2, 4))).tolist() == forward(NET, P, np.ones((2, 4), np.float32)).argmax(axis=1).tolist()


def trained(*layers: Layer) -> tuple[Layer, Params]:
    net = chain(*layers)
    return net, calibrate(net, init(net, 3, np.float64), X)


LOGITS: dict[str, tuple[tuple[Layer, Params], bool]] = {  # and whether outputs are labels, each by itself
    "several classes": (trained(dense(4, 5, relu), dense(5, 3)), False),
    "their probabilities": (trained(dense(4, 5, relu), dense(5, 3, softmax)), False),
    "two classes": (trained(dense(4, 5, tanh), dense(5, 2)), False),
    "two probabilities": (trained(dense(4, 5, tanh), dense(5, 2, softmax)), False),
    "one output": (trained(dense(4, 5, tanh), dense(5, 1)), True),
    "labels": (trained(dense(4, 5, sigmoid), dense(5, 3, sigmoid)), True),
    "dropout, a norm, no bias": (trained(dense(4, 5, bias=False), batch_norm(5), dropout(0.5), dense(5, 3)), False),
}  # fmt: skip


@pytest.mark.parametrize("name", LOGITS)
def test_networks_that_end_in_logits(name: str) -> None:
    there = pytest.importorskip("sklearn.neural_network")
    (net, params), single = LOGITS[name]
    y = forward(net, params, X)
    if "probabilities" not in name and name != "labels":
        y = sigmoid(y) if single else softmax(y)
    made = to_sklearn(net, params, there.MLPClassifier())
    found = outputs(made, X)
    assert close(np.column_stack([1 - found, found]) if name.startswith("two") else found, y)
    if not single:
        assert accuracy(y, made.predict(X)) == 1


def test_logits_of_labels_are_told_by_a_fitted_estimator() -> None:
    net, params = trained(dense(4, 3))
    assert close(outputs(to_sklearn(net, params, fitted("labels")), X), sigmoid(forward(net, params, X)))
    assert close(outputs(to_sklearn(net, params, fitted("three classes")), X), softmax(forward(net, params, X)))


HISTORY = ("n_iter_", "t_", "loss_", "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_")


@pytest.mark.parametrize("is_early", [True, False])
def test_a_fitted_estimator_goes_on_as_it_would_have(is_early: bool) -> None:
    for kind in ("three classes", "one number"):
        estimator = fitted(kind, early_stopping=is_early, warm_start=True)
        made = to_sklearn(*from_sklearn(estimator), estimator)
        assert all(getattr(made, name) == getattr(estimator, name) for name in HISTORY)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not is_early:
                estimator.partial_fit(X, TARGETS[kind])
                made.partial_fit(X, TARGETS[kind])
            estimator.fit(X, TARGETS[kind])
            made.fit(X, TARGETS[kind])
        assert all(getattr(made, name) == getattr(estimator, name) for name in HISTORY)
        assert same_bits(from_sklearn(made)[1], from_sklearn(estimator)[1])


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("is_early", [True, False])
@pytest.mark.parametrize("is_warm", [True, False])
def test_a_fresh_estimator_or_one_of_other_sizes_has_no_history(solver: str, is_early: bool, is_warm: bool) -> None:
    there = pytest.importorskip("sklearn.neural_network")
    net, params = trained(dense(4, 6, relu), dense(6, 3))
    fresh = there.MLPClassifier(solver=solver, early_stopping=is_early, warm_start=is_warm, max_iter=3, random_state=0)
    options: dict[str, Any] = {"solver": solver, "early_stopping": is_early, "warm_start": is_warm}
    for given in (fresh, fitted("three classes", **options), fitted("three classes", sizes=(6,), **options)):
        made = to_sklearn(net, params, given, classes=[1, 4, 7])
        if given.hidden_layer_sizes != (6,):
            assert (made.n_iter_, made.t_, made.loss_curve_, hasattr(made, "loss_")) == (0, 0, [], False)
        else:
            assert made.n_iter_ == given.n_iter_ > 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if solver != "lbfgs" and not is_early:
                made.partial_fit(X, TARGETS["three classes"])
            made.fit(X, TARGETS["three classes"])
        assert made.n_iter_ > 0


def test_what_is_moved_before_weights_goes_into_them() -> None:
    there = pytest.importorskip("sklearn.neural_network")
    far = (1e4 + 10 * X).astype(np.float32)
    for layers in (
        (batch_norm(4), dense(4, 5, relu), dense(5, 2)),
        (batch_norm(4), dropout(0.5), batch_norm(4), dense(4, 5, tanh), batch_norm(5), dense(5, 3)),
        (dense(4, 5, relu), batch_norm(5), dense(5, 2, bias=False)),
    ):
        net = chain(*layers)
        scaler = fit_scaler(far)
        for given in (None, scaler):
            params = calibrate(net, init(net, 3), standardize(far, scaler) if given is scaler else far)
            # In float64, as in float32 the params themselves are good for less where x is so far from 0.
            wide = map_params(lambda a: a.astype(np.float64), params)
            inputs = standardize(far, scaler) if given is scaler else far.astype(np.float64)
            made = to_sklearn(net, params, there.MLPRegressor(), scaler=given)
            assert close(made.predict(far.astype(np.float64)), forward(net, wide, inputs))
            assert {W.dtype for W in made.coefs_ + made.intercepts_} == {np.dtype(np.float64)}


def test_names_of_columns_stay() -> None:
    net, params = trained(dense(4, 3))
    estimator = copy.deepcopy(fitted("three classes"))
    estimator.feature_names_in_ = np.array(["a", "b", "c", "d"], object)
    assert to_sklearn(net, params, estimator).feature_names_in_.tolist() == ["a", "b", "c", "d"]


FRESH = SimpleNamespace(hidden_layer_sizes=(3,), get_params=lambda deep: {"activation": "relu"}, predict_log_proba=None)
MIXED = chain(dense(2, 3, relu), dense(3, 3, tanh), dense(3, 2))
RESIDUAL = chain(a=residual(dense(4, 4)))
NORM = chain(dense(4, 4), layer_norm(4), dense(4, 2))
BAD: Cases = {
    "not fitted": (
        lambda: from_sklearn(FRESH), TypeError,
        r"from_sklearn: mlp must be a fitted MLPClassifier or MLPRegressor \(of a pipeline, pipeline\[-1\]\), got namespace.*",
    ),
    "another estimator": (lambda: from_sklearn(SimpleNamespace(coef_=1)), TypeError, "from_sklearn: mlp must be a fitted MLP.*, got .*"),
    "to another": (lambda: to_sklearn(NET, P, 3), TypeError, "to_sklearn: mlp must be an MLPClassifier or MLPRegressor, got 3"),
    "to a type": (lambda: to_sklearn(NET, P, SimpleNamespace), TypeError, "to_sklearn: mlp must be an MLPClassifier or MLPRegressor, got .*"),
    "two activations": (
        lambda: to_sklearn(MIXED, init(MIXED, 0), FRESH), ValueError,
        "to_sklearn: net must be a chain of dense layers with one of relu, tanh, sigmoid or nothing between them, the same all along, "
        "got relu, tanh between them",
    ),
    "a residual": (lambda: to_sklearn(RESIDUAL, init(RESIDUAL, 0), FRESH), ValueError, "to_sklearn: net must .*, got add in layer a"),
    "a norm": (lambda: to_sklearn(NORM, init(NORM, 0), FRESH), ValueError, "to_sklearn: net must .*, got layer norm in layer 1"),
    "a batch norm before an activation": (
        lambda: to_sklearn(*trained(dense(4, 3, relu), batch_norm(3), activation(relu), dense(3, 2)), FRESH), ValueError,
        "to_sklearn: net must be .*, got batch norm in layer 1 with no dense layer right before or behind it",
    ),
    "a batch norm at the end": (
        lambda: to_sklearn(*trained(dense(4, 2, relu), batch_norm(2)), FRESH), ValueError,
        "to_sklearn: net must be .*, got batch norm in layer 1 with no dense layer right before or behind it",
    ),
    "a scaler of other columns": (
        lambda: to_sklearn(NET, P, FRESH, scaler={"mean": np.zeros(3), "scale": np.ones(3)}), ValueError,
        "to_sklearn: scaler must have the 4 columns that net takes, got 3",
    ),
    "a scaler beyond the weights": (
        lambda: to_sklearn(NET, P, FRESH, scaler={"mean": np.zeros(4), "scale": np.full(4, 1e-310)}), FloatingPointError,
        "to_sklearn: the weights with a norm or the scaler in them must be finite, got .*",
    ),
    "no scaler": (lambda: to_sklearn(NET, P, FRESH, scaler={}), ValueError, "to_sklearn: scaler must hold 'mean', .*"),
    "an end that does not belong": (
        lambda: to_sklearn(chain(dense(4, 3, relu)), init(chain(dense(4, 3)), 0), FRESH), ValueError,
        "to_sklearn: net must end in softmax or identity for the type SimpleNamespace, got relu",
    ),
    "too few classes": (
        lambda: to_sklearn(NET, P, FRESH, classes=[1]), ValueError,
        r"to_sklearn: classes must be 2 in a row, sorted, for the network's outputs, got \[1\]",
    ),
    "classes in another order": (
        lambda: to_sklearn(NET, P, FRESH, classes=["b", "a"]), ValueError, r"to_sklearn: classes must be 2 .*, got \['b', 'a'\]",
    ),
    "params of another network": (lambda: to_sklearn(NET, init(MIXED, 0), FRESH), ValueError, "to_sklearn: params must (?s:.*)"),
    "no net": (lambda: to_sklearn(bad(1), P, FRESH), TypeError, "to_sklearn: net must .*"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_in_a_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
