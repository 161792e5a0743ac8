"""Neural networks as pure functions over NumPy arrays.

    net    = chain(hidden=dense(64, 32, relu), out=dense(32, 10))
    params = init(net, key=0)
    g      = grads(net, softmax_cross_entropy, params, x, y)
    params = sgd_step(params, g, lr=0.1)
    y_hat  = forward(net, params, x)

There are four kinds of value: arrays, params (an immutable flat mapping of
arrays), keys (randomness as a value) and layers (pairs of pure functions).
"""

from nnfunc.activations import elu, gelu, leaky_relu, log_softmax, relu, sigmoid, silu, softmax, softplus, tanh
from nnfunc.calibration import calibrate
from nnfunc.checkpoint import load, save
from nnfunc.clipping import clip_by_global_norm, clip_by_value, global_norm
from nnfunc.combinators import chain, mlp, residual
from nnfunc.data import batches, class_weight, fit_scaler, one_hot, split_rows, standardize
from nnfunc.comparison import Difference, check_params, diff_params
from nnfunc.diagnosis import Diagnosis, diagnose
from nnfunc.dropout import dropout
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
from nnfunc.inspection import LayerStats, LayerSummary, activation_stats, summary, update_ratio
from nnfunc.joined_schedules import cosine_onecycle_schedule, join_schedules, warmup_cosine_decay_schedule
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
from nnfunc.monitors import early_stopping, reduce_on_plateau
from nnfunc.norms import batch_norm, layer_norm
from nnfunc.optimizers import adagrad, adam, adamw, momentum, rmsprop, sgd
from nnfunc.overfit import OverfitCheck, overfit_check
from nnfunc.params import freeze
from nnfunc.penalties import l1, l2
from nnfunc.replay import Stage
from nnfunc.run_state import Report, best_params, current_params, progress_line
from nnfunc.schedules import (
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    linear_schedule,
    piecewise_constant_schedule,
    polynomial_schedule,
)
from nnfunc.sharding import sharded_value_and_grads
from nnfunc.tables import table
from nnfunc.training import train
from nnfunc.types import (
    Activation,
    AnyArray,
    Array,
    DType,
    ElementwiseFn,
    GradTransform,
    Initializer,
    InputGradient,
    Key,
    Layer,
    LossFn,
    Metric,
    Monitor,
    Optimizer,
    Params,
    Penalty,
    Pullback,
    Rows,
    Schedule,
    State,
)
from nnfunc.verbs import forward, grads, init, loss, sgd_step, value_and_grads, vjp
from nnfunc.version import __version__ as __version__

__all__ = [
    "Activation",
    "AnyArray",
    "Array",
    "DType",
    "Diagnosis",
    "Difference",
    "ElementwiseFn",
    "GradCheck",
    "GradTransform",
    "Initializer",
    "InputGradient",
    "Key",
    "Layer",
    "LayerStats",
    "LayerSummary",
    "LossFn",
    "Metric",
    "Monitor",
    "Optimizer",
    "OverfitCheck",
    "Params",
    "Penalty",
    "Pullback",
    "Report",
    "Rows",
    "Schedule",
    "Stage",
    "State",
    "accuracy",
    "activation",
    "activation_stats",
    "adagrad",
    "adam",
    "adamw",
    "batch_norm",
    "batches",
    "best_params",
    "binary_cross_entropy",
    "calibrate",
    "chain",
    "check_grads",
    "check_params",
    "class_weight",
    "clip_by_global_norm",
    "clip_by_value",
    "constant",
    "constant_schedule",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "cross_entropy",
    "current_params",
    "dense",
    "diagnose",
    "diff_params",
    "dropout",
    "early_stopping",
    "elu",
    "exponential_decay",
    "fit_scaler",
    "fold_in",
    "forward",
    "freeze",
    "gelu",
    "generator",
    "global_norm",
    "glorot_normal",
    "glorot_uniform",
    "grads",
    "he_normal",
    "he_uniform",
    "huber",
    "init",
    "join_schedules",
    "l1",
    "l2",
    "layer_norm",
    "leaky_relu",
    "lecun_normal",
    "linear_schedule",
    "load",
    "log_softmax",
    "loss",
    "mae",
    "mlp",
    "momentum",
    "mse",
    "normal",
    "one_hot",
    "overfit_check",
    "piecewise_constant_schedule",
    "polynomial_schedule",
    "progress_line",
    "reduce_on_plateau",
    "relu",
    "residual",
    "rmsprop",
    "save",
    "sgd",
    "sgd_step",
    "sharded_value_and_grads",
    "sigmoid",
    "sigmoid_cross_entropy",
    "silu",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "split",
    "split_rows",
    "standardize",
    "summary",
    "table",
    "tanh",
    "train",
    "update_ratio",
    "value_and_grads",
    "vjp",
    "warmup_cosine_decay_schedule",
    "zeros",
]
