"""Neural networks as pure functions over NumPy arrays.

    net    = chain(hidden=dense(64, 32, relu), out=dense(32, 10))
    params = init(net, key=0)
    g      = grads(net, softmax_cross_entropy, params, x, y)
    params = sgd_step(params, g, lr=0.1)
    y_hat  = forward(net, params, x)

There are four kinds of value: arrays, params (an immutable flat mapping of
arrays), keys (randomness as a value) and layers (pairs of pure functions).
"""

from nnfunc.activations import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from nnfunc.combinators import chain, mlp, residual
from nnfunc.data import batches, class_weight, fit_scaler, one_hot, split_rows, standardize
from nnfunc.gradcheck import GradCheck, check_grads
from nnfunc.initializers import (
    constant,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    normal,
    zeros,
)
from nnfunc.keys import fold_in, generator, split
from nnfunc.layers import activation, dense
from nnfunc.losses import (
    binary_cross_entropy,
    cross_entropy,
    huber,
    mae,
    mse,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
)
from nnfunc.metrics import accuracy
from nnfunc.params import freeze
from nnfunc.types import (
    Activation,
    AnyArray,
    Array,
    DType,
    ElementwiseFn,
    Initializer,
    InputGradient,
    Key,
    Layer,
    LossFn,
    Params,
    Penalty,
    Pullback,
    Rows,
)
from nnfunc.verbs import forward, grads, init, loss, sgd_step, value_and_grads, vjp

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "AnyArray",
    "Array",
    "DType",
    "ElementwiseFn",
    "GradCheck",
    "Initializer",
    "InputGradient",
    "Key",
    "Layer",
    "LossFn",
    "Params",
    "Penalty",
    "Pullback",
    "Rows",
    "accuracy",
    "activation",
    "batches",
    "binary_cross_entropy",
    "chain",
    "check_grads",
    "class_weight",
    "constant",
    "cross_entropy",
    "dense",
    "elu",
    "fit_scaler",
    "fold_in",
    "forward",
    "freeze",
    "gelu",
    "generator",
    "glorot_normal",
    "glorot_uniform",
    "grads",
    "he_normal",
    "he_uniform",
    "huber",
    "init",
    "leaky_relu",
    "lecun_normal",
    "log_softmax",
    "loss",
    "mae",
    "mlp",
    "mse",
    "normal",
    "one_hot",
    "relu",
    "residual",
    "sgd_step",
    "sigmoid",
    "sigmoid_cross_entropy",
    "silu",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "split",
    "split_rows",
    "standardize",
    "tanh",
    "value_and_grads",
    "vjp",
    "zeros",
]
