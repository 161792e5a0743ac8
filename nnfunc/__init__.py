"""Neural networks as pure functions over NumPy arrays.

    net    = chain(hidden=dense(64, 32, relu), out=dense(32, 10))
    params = init(net, key=0)
    g      = grads(net, softmax_cross_entropy, params, x, y)
    params = sgd_step(params, g, lr=0.1)
    y_hat  = forward(net, params, x)

All functions by kind. ``help(nnfunc.train)`` is the page of one:

    running        init, forward, loss, grads, value_and_grads, vjp, sharded_value_and_grads, calibrate
    layers         dense, activation, embedding, dropout, batch_norm, layer_norm, columns
    networks       chain, residual, concatenate, combine, mlp
    activations    relu, leaky_relu, elu, gelu, silu, sigmoid, tanh, softplus, softmax, log_softmax
    initialisers   glorot_uniform, glorot_normal, he_uniform, he_normal, lecun_normal, uniform, normal, by_fans,
                   constant, zeros
    losses         mse, mae, huber, quantile_loss, gaussian_nll, poisson_nll, softmax_cross_entropy, cross_entropy,
                   sigmoid_cross_entropy, binary_cross_entropy, masked, require_same_shape
    penalties      l1, l2
    optimisers     sgd, momentum, rmsprop, adagrad, adam, adamw, by_name, scaled, averaged, sgd_step
    clipping       clip_by_value, clip_by_global_norm, global_norm
    schedules      constant_schedule, linear_schedule, polynomial_schedule, exponential_decay, cosine_decay_schedule,
                   piecewise_constant_schedule, cosine_onecycle_schedule, warmup_cosine_decay_schedule, join_schedules
    monitors       early_stopping, reduce_on_plateau
    training       train, finish, count_steps, current_params, best_params, averaged_params
    watching       progress, progress_line, progress_bar, step_bar
    data           batches, split_rows, folds, fit_scaler, standardize, one_hot, class_weight
    metrics        accuracy, confusion_matrix, r2
    params         freeze, map_params, select, ravel, save, load, check_params, diff_params
    keys           fold_in, split, generator
    looking in     summary, layer_outputs, activation_stats, update_ratio, watched, diagnose, check_grads,
                   overfit_check, table

    nnfunc.transforms    per_example_grads, per_example_grad_norms, grad_variance, jacobian, params_jacobian, hvp,
                         stack_params, unstack_params, ensemble_forward, ensemble_value_and_grads, levenberg_marquardt
    nnfunc.exchange      from_torch, to_torch, from_sklearn, to_sklearn, from_keras, to_keras, save_safetensors,
                         load_safetensors, to_onnx, to_python, to_c
    nnfunc.testing       check_layer, check_activation, check_loss, check_metric, check_penalty, check_transform,
                         check_optimizer, check_schedule, check_monitor, check_initializer, check_pure

There are four kinds of value. ``help("nnfunc.values.types")`` has a line for each type:

    array    a NumPy array, float32 by default, float64 on request. Types: Array, AnyArray, Rows, DType
    params   an immutable flat mapping of names to arrays, {"hidden/W": ..., "hidden/b": ...}. Gradients, the state of
             an optimiser and that of a whole run are the same kind of value. Types: Params, State
    key      randomness as a value, an int or a tuple of ints. A key means a training pass, none an inference pass,
             and nothing ever draws from a global generator. Type: Key
    layer    a pair of pure functions, init(key, dtype) -> params and forward(params, x, key) -> (y, pullback), where
             pullback(dy) -> (grads, dx). A network is a layer. Types: Layer, InitFn, ForwardFn, Pullback,
             InputGradient, Note; of what `combine` takes: CombineFn, Branch

What people write and swap is functions, or pairs of them. Types: Activation, ElementwiseFn, Initializer, LossFn,
Penalty, Optimizer, OptimizerStep, GradTransform, Schedule, Monitor, Metric. What a function reports is a dict, and its
help says what that holds. Types: Report, StepReport, Progress, LayerSummary, LayerStats, Diagnosis, Stage, GradCheck,
OverfitCheck, Difference; FitReport of `nnfunc.transforms` and LawResult of `nnfunc.testing`.

The house, in the order that the data goes. A room imports only from rooms above it:

    values       what everything is made of: types, checks and the one error message, arrays, keys, params, files
    pieces       what people compose or swap: activations, initializers, layers (with dropout, embedding and norms),
                 losses (with the targets that they take, and masking of those that are missing), penalties, optimizers
                 (whose one step is in stepping), wrappers of them, clipping, schedules, monitors, data, metrics
    network      pieces put together and run:
      loop         the one loop, and beside it residual, branches and tap
      guard        every check on a layer, loss or penalty that is not the library's own
      kinds        the table of the library's own layers, and walking a network
      combinators  chain, residual, concatenate, combine, mlp: what is compiled when a network is made
      watching     watched, the one tap: every tensor of a pass
      logits       losses that meet the logits of a network in place of its softmax or sigmoid
      boundary     what the verbs are given, checked once; weights, the mean over the batch
      verbs        init, forward, loss, grads and their like; calibration
    inspection   what is inside, and is it right: summary, statistics, diagnosis, gradcheck, overfit, comparison, tables
    transforms   functions of a network: rows (gradients by row, Jacobians), derivatives, ensembles, least_squares
    training     train: its arguments, state, loop and failures; bars that show how far it is; a batch in shards
    exchange     to and from other libraries, a file for each; predictors in Python and C; graph is what exporters read
    testing      the laws, as checkers for pieces of one's own

A new optimiser is a function in its file of `pieces` and a rule for `stepped`. A new activation is a function and its
way back, with a row of the table at the end of `pieces/activations.py`; a new loss a function and a row at the end of
`pieces/losses.py`; a new layer a function in a file of `pieces` and a row of the table in `network/kinds.py`. Each is
named here, and in the table of `tests/testing/test_library.py`, which puts it through its checker. What this file
lists, and `nnfunc.transforms`, `nnfunc.exchange` and `nnfunc.testing`, is public; the rest may change.
"""

from nnfunc.inspection.comparison import Difference, check_params, diff_params
from nnfunc.inspection.diagnosis import Diagnosis, Stage, diagnose
from nnfunc.inspection.gradcheck import GradCheck, check_grads
from nnfunc.inspection.overfit import OverfitCheck, overfit_check
from nnfunc.inspection.statistics import LayerStats, activation_stats, layer_outputs, update_ratio
from nnfunc.inspection.summary import LayerSummary, summary
from nnfunc.inspection.tables import table
from nnfunc.network.calibration import calibrate
from nnfunc.network.combinators import chain, combine, concatenate, mlp, residual
from nnfunc.network.loop import Note
from nnfunc.network.verbs import forward, grads, init, loss, value_and_grads, vjp
from nnfunc.network.watching import watched
from nnfunc.pieces.activations import elu, gelu, leaky_relu, log_softmax, relu, sigmoid, silu, softmax, softplus, tanh
from nnfunc.pieces.clipping import clip_by_global_norm, clip_by_value, global_norm
from nnfunc.pieces.data import batches, class_weight, fit_scaler, folds, one_hot, split_rows, standardize
from nnfunc.pieces.dropout import dropout
from nnfunc.pieces.embedding import embedding
from nnfunc.pieces.initializers import by_fans, constant, glorot_normal, glorot_uniform, he_normal, he_uniform
from nnfunc.pieces.initializers import lecun_normal, normal, uniform, zeros
from nnfunc.pieces.layers import activation, columns, dense
from nnfunc.pieces.losses import binary_cross_entropy, cross_entropy, gaussian_nll, huber, mae, mse, poisson_nll
from nnfunc.pieces.losses import quantile_loss, sigmoid_cross_entropy, softmax_cross_entropy
from nnfunc.pieces.masking import masked
from nnfunc.pieces.metrics import accuracy, confusion_matrix, r2
from nnfunc.pieces.monitors import early_stopping, reduce_on_plateau
from nnfunc.pieces.norms import batch_norm, layer_norm
from nnfunc.pieces.optimizers import adagrad, adam, adamw, momentum, rmsprop, sgd
from nnfunc.pieces.penalties import l1, l2
from nnfunc.pieces.schedules import constant_schedule, cosine_decay_schedule, cosine_onecycle_schedule
from nnfunc.pieces.schedules import exponential_decay, join_schedules, linear_schedule, piecewise_constant_schedule
from nnfunc.pieces.schedules import polynomial_schedule, warmup_cosine_decay_schedule
from nnfunc.pieces.stepping import sgd_step
from nnfunc.pieces.targets import require_same_shape
from nnfunc.pieces.wrappers import averaged, by_name, scaled
from nnfunc.training.bars import progress_bar, step_bar
from nnfunc.training.loop import count_steps, finish, train
from nnfunc.training.shards import sharded_value_and_grads
from nnfunc.training.state import Progress, Report, StepReport, averaged_params, best_params, current_params, progress
from nnfunc.training.state import progress_line
from nnfunc.values.files import load, save
from nnfunc.values.keys import fold_in, generator, split
from nnfunc.values.params import freeze, map_params, ravel, select
from nnfunc.values.types import Activation, AnyArray, Array, Branch, CombineFn, DType, ElementwiseFn, ForwardFn
from nnfunc.values.types import GradTransform, InitFn, Initializer, InputGradient, Key, Layer, LossFn, Metric, Monitor
from nnfunc.values.types import Optimizer, OptimizerStep, Params, Penalty, Pullback, Rows, Schedule, State
from nnfunc.version import __version__ as __version__

__all__ = [
    "Activation", "AnyArray", "Array", "Branch", "CombineFn", "DType", "Diagnosis", "Difference", "ElementwiseFn",
    "ForwardFn", "GradCheck", "GradTransform", "InitFn", "Initializer", "InputGradient", "Key", "Layer", "LayerStats",
    "LayerSummary", "LossFn", "Metric", "Monitor", "Note", "Optimizer", "OptimizerStep", "OverfitCheck", "Params",
    "Penalty", "Progress", "Pullback", "Report", "Rows", "Schedule", "Stage", "State", "StepReport", "accuracy",
    "activation", "activation_stats", "adagrad", "adam", "adamw", "averaged", "averaged_params", "batch_norm",
    "batches", "best_params", "binary_cross_entropy", "by_fans", "by_name", "calibrate", "chain", "check_grads",
    "check_params", "class_weight", "clip_by_global_norm", "clip_by_value", "columns", "combine", "concatenate",
    "confusion_matrix", "constant", "constant_schedule", "cosine_decay_schedule", "cosine_onecycle_schedule",
    "count_steps", "cross_entropy", "current_params", "dense", "diagnose", "diff_params", "dropout", "early_stopping",
    "elu", "embedding", "exponential_decay", "finish", "fit_scaler", "fold_in", "folds", "forward", "freeze",
    "gaussian_nll", "gelu", "generator", "global_norm", "glorot_normal", "glorot_uniform", "grads", "he_normal",
    "he_uniform", "huber", "init", "join_schedules", "l1", "l2", "layer_norm", "layer_outputs", "leaky_relu",
    "lecun_normal", "linear_schedule", "load", "log_softmax", "loss", "mae", "map_params", "masked", "mlp", "momentum",
    "mse", "normal", "one_hot", "overfit_check", "piecewise_constant_schedule", "poisson_nll", "polynomial_schedule",
    "progress", "progress_bar", "progress_line", "quantile_loss", "r2", "ravel", "reduce_on_plateau", "relu",
    "require_same_shape", "residual", "rmsprop", "save", "scaled", "select", "sgd", "sgd_step",
    "sharded_value_and_grads", "sigmoid", "sigmoid_cross_entropy", "silu", "softmax", "softmax_cross_entropy",
    "softplus", "split", "split_rows", "standardize", "step_bar", "summary", "table", "tanh", "train", "uniform",
    "update_ratio", "value_and_grads", "vjp", "warmup_cosine_decay_schedule", "watched", "zeros",
]


def __dir__() -> list[str]:
    """Return the names here, without the types of reports: help() has 130 lines for each, of what any dict can do."""
    return sorted(name for name, value in globals().items() if name != "__dir__" and not hasattr(value, "__total__"))
