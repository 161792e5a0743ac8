"""scikit-learn: a network and params out of an `MLPClassifier` or `MLPRegressor`, and an estimator out of params."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.exchange.foreign import fitting
from nnfunc.exchange.graph import Node, columns_in, folded, graph
from nnfunc.network.combinators import chain
from nnfunc.pieces.activations import relu, sigmoid, softmax, tanh
from nnfunc.pieces.data import mean_and_scale
from nnfunc.pieces.layers import dense
from nnfunc.values.arrays import as_array, check_finite
from nnfunc.values.checks import describe, label, listed, require
from nnfunc.values.params import freeze
from nnfunc.values.types import Activation, AnyArray, Array, Layer, Params

Estimator = TypeVar("Estimator")

_ACTIVATIONS: Mapping[str, Activation | None] = {
    "identity": None, "logistic": sigmoid, "tanh": tanh, "relu": relu, "softmax": softmax, "exp": (np.exp, np.exp),
}
_NAMES = {"identity": "identity", "exp": "exp"} | {label(f): name for name, f in _ACTIVATIONS.items() if callable(f)}
_HIDDEN = ("identity", "logistic", "tanh", "relu")


def from_sklearn(mlp: object) -> tuple[Layer, Params]:
    """Return ``(net, params)`` of a fitted `MLPClassifier` or `MLPRegressor`.

    ``forward(net, params, x)`` is its ``predict_proba(x)``: of several classes their probabilities, with
    ``mlp.classes_[forward(net, params, x).argmax(axis=1)]`` for what it predicts; of two, or of several labels at once,
    sigmoids in columns. Of a regression it is the prediction, (n, k). To train on, `cross_entropy`,
    `binary_cross_entropy` or `mse` goes with it. Layers are named "0", "1", ..., and everything is copied.

    Args:
        mlp: the estimator; of a pipeline the last step, ``pipeline[-1]``.

    Raises:
        TypeError: `mlp` is no such estimator, or is not fitted.

    Example:
        >>> from types import SimpleNamespace
        >>> from nnfunc import forward
        >>> fitted = SimpleNamespace(  # as scikit-learn has it
        ...     coefs_=[np.array([[1.0, -1.0]]), np.ones((2, 1))], intercepts_=[np.zeros(2), np.ones(1)],
        ...     activation="relu", out_activation_="identity")
        >>> net, params = from_sklearn(fitted)
        >>> forward(net, params, [[-3.0]])
        array([[4.]])
    """
    given: Any = mlp
    is_fitted = all(hasattr(mlp, name) for name in ("coefs_", "intercepts_", "activation", "out_activation_"))
    constraint = "be a fitted MLPClassifier or MLPRegressor (of a pipeline, pipeline[-1])"
    is_fitted = is_fitted and {given.activation, given.out_activation_} <= _ACTIVATIONS.keys()
    require(is_fitted, "from_sklearn", "mlp", constraint, kind=TypeError, value=mlp)
    layers: list[Layer] = []
    arrays: dict[str, AnyArray] = {}
    for i, (w, b) in enumerate(zip(given.coefs_, given.intercepts_, strict=True)):
        f = given.activation if i < len(given.coefs_) - 1 else given.out_activation_
        layers.append(dense(w.shape[0], w.shape[1], _ACTIVATIONS[f]))
        arrays |= {f"{i}/W": w, f"{i}/b": b}
    return chain(*layers), freeze(arrays)


def to_sklearn(
    net: Layer, params: Params, mlp: Estimator, classes: ArrayLike | None = None, *, scaler: Params | None = None
) -> Estimator:
    """Return an estimator like `mlp`, an `MLPClassifier` or `MLPRegressor`, fitted or fresh, that predicts as the network.

    It has the options of `mlp`, the sizes and the activation of the network, and copies of the params; `mlp` itself
    stays as it is. The history of a fitted one goes on: its loss curve, its best score, what a warm start needs; one
    that is fresh, or of other sizes, has seen no row. The network is a chain of dense layers with one of `relu`,
    `tanh`, `sigmoid` or nothing between them. Dropout is left out. A batch norm goes into the weights of the dense
    layer right before it, or else right behind it, and then all weights are float64. A classifier's last layer may put
    out logits: several are of as many classes, unless a fitted `mlp` has several labels at once, or the last
    activation is `sigmoid`, and one is of two classes. A softmax of two becomes the one sigmoid that scikit-learn has.

    Args:
        net: the network.
        params: its params.
        mlp: an estimator of the kind that is wanted.
        classes: what a classifier's outputs stand for, in scikit-learn's order, which is sorted; else those of a
            fitted `mlp`, else 0, 1, 2, ...
        scaler: of `fit_scaler`; it goes into the first weights, in float64, and rows are then as before `standardize`.

    Laws:
        ``from_sklearn(to_sklearn(net, params, mlp))[1]`` holds the same bytes as the params of a chain of dense layers
        named "0", "1", ..., without a scaler; but a softmax of two comes back as one sigmoid.

    Raises:
        TypeError, ValueError: the network has what scikit-learn's have not, or there are not as many classes as outputs.

    Example:
        >>> from sklearn.neural_network import MLPClassifier
        >>> params = {"0/W": np.array([[2.0]]), "0/b": np.zeros(1), "1/W": np.array([[-1.0, 1.0]]), "1/b": np.array([0.0, -1.0])}
        >>> mlp = to_sklearn(chain(dense(1, 1, relu), dense(1, 2)), params, MLPClassifier(), classes=["no", "yes"])
        >>> [str(each) for each in mlp.predict([[-3.0], [3.0]])]  # logits 0 and -1; -6 and 5
        ['no', 'yes']
    """
    fitting("to_sklearn", net, params)
    given: Any = mlp
    is_classifier = hasattr(mlp, "predict_log_proba")
    is_mlp = hasattr(mlp, "hidden_layer_sizes") and not isinstance(mlp, type)
    require(is_mlp, "to_sklearn", "mlp", "be an MLPClassifier or MLPRegressor", kind=TypeError, value=mlp)
    nodes = folded(graph("to_sklearn", net, params))
    weights, biases, hidden, last = _stacked(nodes, None if scaler is None else mean_and_scale("to_sklearn", scaler))
    k, options = len(biases[-1]), copy.deepcopy(given.get_params(deep=False))
    rows = np.zeros((2, len(weights[0])), weights[0].dtype)
    labelled: dict[str, AnyArray] = {}
    ends: tuple[str, ...]
    if is_classifier:
        several = k > 1 and (last == "logistic" or last == "identity" and getattr(given, "out_activation_", "") == "logistic")
        ends = ("logistic" if several or k == 1 else "softmax", "identity")
        labelled["classes"] = _classes(given, classes, k if several else max(k, 2), several)
        targets = np.eye(2, k, dtype=int) if several else labelled["classes"][:2]
        if k == 2 and not several:  # a softmax of two logits is the sigmoid of their difference
            weights[-1], biases[-1] = np.diff(weights[-1]), np.diff(biases[-1])
    else:
        ends, targets = ("exp" if options.get("loss") == "poisson" else "identity",), np.ones((2, k) if k > 1 else 2)
    require(last in ends, "to_sklearn", "net", f"end in {' or '.join(ends)} for {describe(type(mlp))}", last)
    own = {"hidden_layer_sizes": tuple(map(len, biases[:-1])), "activation": hidden or options["activation"]}
    # A step on nothing makes whatever a fitted one of these sizes has, in any version; the rest stays as it was given.
    made = type(given)(**own, random_state=0, **{name: options[name] for name in ("loss",) if name in options})
    made.partial_fit(rows, targets, **labelled)
    result = copy.deepcopy(mlp)
    held = vars(result)
    held |= {name: value for name, value in vars(made).items() if name in _OF_SIZES} | own
    held |= {"coefs_": weights, "intercepts_": biases}
    held |= {"_best_coefs": weights, "_best_intercepts": biases}  # as their own early stopping leaves them
    if list(map(np.shape, getattr(mlp, "coefs_", ()))) != list(map(np.shape, weights)):  # fresh, or of another network
        for name in ("_optimizer", "loss_"):
            held.pop(name, None)
        held |= _untrained(bool(options.get("early_stopping")))
    if len(held.get("feature_names_in_", ())) != len(weights[0]):
        held.pop("feature_names_in_", None)
    return result


_OF_SIZES = ("n_layers_", "n_outputs_", "n_features_in_", "out_activation_", "classes_", "_label_binarizer")
"""What an estimator has by its sizes and its classes, and not by its training."""


def _untrained(is_early: bool) -> dict[str, object]:
    """Return the history of an estimator that has not seen a row, with or without early stopping, as theirs begins."""
    best: tuple[object, ...] = ([], -np.inf, None) if is_early else (None, None, np.inf)
    scores = dict(zip(("validation_scores_", "best_validation_score_", "best_loss_"), best, strict=True))
    return {"n_iter_": 0, "t_": 0, "loss_curve_": [], "_no_improvement_count": 0, **scores}


def _classes(mlp: Any, classes: ArrayLike | None, count: int, several: bool) -> AnyArray:
    """Return what a classifier's outputs stand for."""
    fitted = getattr(mlp, "classes_", np.arange(count))
    known = as_array("to_sklearn", "classes", np.arange(count) if several else fitted if classes is None else classes)
    is_sorted = known.ndim == 1 and len(known) == count and np.array_equal(np.unique(known), known)
    require(is_sorted, "to_sklearn", "classes", f"be {count} in a row, sorted, for the network's outputs", value=known.tolist())
    return known.copy()


def _stacked(nodes: list[Node], means: tuple[Array, Array] | None) -> tuple[list[Array], list[Array], str, str]:
    """Return weights, biases, and the names of the hidden activation, "" if there is none, and of the last.

    `means` are the mean and the scale of columns that are to be standardised.
    """
    weights: list[Array] = []
    biases: list[Array] = []
    found: list[str] = []
    ahead: list[Mapping[str, Array]] = []  # scales and shifts that wait for the next weights
    waiting = ""
    if means is not None:
        constraint = f"have the {columns_in(nodes)} columns that net takes"
        require(columns_in(nodes) in (None, means[0].size), "to_sklearn", "scaler", constraint, means[0].size)
        with np.errstate(over="ignore"):  # what is not finite then is told of the weights
            ahead.append({"mean": means[0], "scale": 1 / means[1], "shift": np.zeros(means[0].size)})
    constraint = "be a chain of dense layers with one of relu, tanh, sigmoid or nothing between them, the same all along"
    for node in nodes:
        op, place = node["op"].replace("_", " "), f"in layer {node['path'] or 0}"
        if op == "scale shift":
            ahead.append(node["arrays"])
            waiting = waiting or f"batch norm {place} with no dense layer right before or behind it"
            continue
        require(op == "affine" or not waiting, "to_sklearn", "net", constraint, waiting)
        if op == "affine":
            W = node["arrays"]["W"]
            b = node["arrays"].get("b", np.zeros(W.shape[1], W.dtype))
            for norm in reversed(ahead):
                W, b = _moved(norm, W, b)
            weights.append(np.array(W, order="C"))
            biases.append(np.array(b))
            found.append("identity")
            ahead, waiting = [], ""
            continue
        name = "exp" if node["function"] is np.exp else _NAMES.get(node["op"], "")
        require(name and found and found[-1] == "identity", "to_sklearn", "net", constraint, f"{op} {place}")
        found[-1] = name
    require(not waiting, "to_sklearn", "net", constraint, waiting)
    hidden = set(found[:-1])
    require(found and len(hidden) < 2 and hidden <= set(_HIDDEN), "to_sklearn", "net", constraint, f"{listed(found[:-1])} between them")
    dtype = np.result_type(*weights)
    return [W.astype(dtype) for W in weights], [b.astype(dtype) for b in biases], "".join(hidden), found[-1]


def _moved(norm: Mapping[str, Array], W: Array, b: Array) -> tuple[Array, Array]:
    """Return W and b with a scale and shift of what comes in, in float64, which large means need.

    Example:
        >>> _moved({"mean": np.ones(1), "scale": np.full(1, 3.0), "shift": np.ones(1)}, np.full((1, 1), 2.0), np.ones(1))
        (array([[6.]]), array([-3.]))
    """
    mean, scale, shift = (norm[name].astype(np.float64) for name in ("mean", "scale", "shift"))
    with np.errstate(all="ignore"):
        moved = scale[:, None] * W, (shift - mean * scale).dot(W) + b
    for array in moved:
        check_finite("to_sklearn", "the weights with a norm or the scaler in them", array)
    return moved
