"""Training: a generator that yields the new state and a report after each epoch.

The loop stays the user's: a progress bar wraps the generator, printing, plotting
and saving happen between two of its values, ``break`` stops it.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import SupportsFloat, SupportsIndex, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.calibration import calibrate, has_batch_norm
from nnfunc.checks import as_number, as_size, problem
from nnfunc.clipping import global_norm
from nnfunc.comparison import refuse_misfits
from nnfunc.data import batches
from nnfunc.failure import Step, failure, refused_row
from nnfunc.keys import fold_in
from nnfunc.monitors import early_stopping
from nnfunc.optimizers import sgd
from nnfunc.passes import value_and_grads_pass
from nnfunc.pieces import check_pair
from nnfunc.replay import all_finite
from nnfunc.run_state import Report, key_words, packed, resumed, section
from nnfunc.schedules import constant_schedule
from nnfunc.train_arguments import (
    check_functions,
    check_monitor,
    check_optimizer,
    check_pair_of_functions,
    transformed,
)
from nnfunc.training_data import Rowwise, row_numbers, training_rows, undisturbed
from nnfunc.validation import any_number, check_validation, scores, try_scores
from nnfunc.types import (
    GradTransform,
    Key,
    Layer,
    LossFn,
    Metric,
    Monitor,
    Optimizer,
    Params,
    Penalty,
    Rows,
    Schedule,
    State,
)

_NEVER = 2**61
_OVERFLOW = "a batch norm's inputs overflow over all rows: lower the learning rate, or standardize x"

_Run = TypedDict(
    "_Run",
    {
        "net": Layer,
        "loss_fn": LossFn,
        "data": Rowwise,
        "numbers": Rows,
        "validation": Rowwise | None,
        "metrics": dict[str, Metric],
        "epochs": int,
        "size": int,
        "key": Key,
        "schedule": Schedule,
        "optimizer": Optimizer,
        "penalty": Penalty | None,
        "transform": GradTransform | None,
        "stopping": Monitor,
        "plateau": Monitor | None,
        "monitor": Callable[[Report], float],
    },
)


def train(
    net: Layer,
    loss_fn: LossFn,
    params: Params | State,
    x: ArrayLike,
    y: ArrayLike,
    *,
    epochs: SupportsIndex,
    lr: SupportsFloat | Schedule,
    optimizer: Optimizer | None = None,
    size: SupportsIndex = 32,
    key: Key = 0,
    weight: ArrayLike | None = None,
    penalty: Penalty | None = None,
    transform: GradTransform | None = None,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    metrics: Mapping[str, Metric] | None = None,
    stopping: Monitor | None = None,
    plateau: Monitor | None = None,
    monitor: Callable[[Report], float] | None = None,
) -> Iterator[tuple[State, Report]]:
    """Train, and yield ``(state, report)`` after each epoch.

    Each epoch takes the rows in a fresh random order, `size` at a time. Batch
    norms are calibrated on all training rows at its end (and a last batch of
    one row, which they cannot normalise, joins the one before).

    Args:
        net, loss_fn: as for `grads`.
        params: params to start from; or a state that was yielded, to go on from
            it as if nothing had come between.
        x, y: training inputs and targets, as for `grads`. They are copied, so what is done to
            them between two epochs changes nothing; an array that is locked and no view is not.
        epochs: how many in all, those of a given state included.
        lr: learning rate, a float or a schedule of the step (0 the first update).
        optimizer: `sgd()` if none.
        size: rows per batch.
        key: decides the order of rows and all noise; that of a given state must be the same.
        weight: (n,) row weights.
        penalty: ``params -> (value, grads)``.
        transform: ``grads -> grads``, before the optimiser: ``partial(clip_by_global_norm, limit=1.0)``.
        validation: ``(x, y)`` that the loss and metrics are computed on after each epoch;
            what is not finite there is NaN in the report, and no improvement.
        metrics: functions ``(outputs, targets) -> float`` by name, on the validation data.
        stopping: `early_stopping`, or another monitor whose states have ``stop`` and ``improved``.
        plateau: `reduce_on_plateau`, or another monitor whose states have a ``scale`` for the learning rate.
        monitor: ``report -> float``, the lower the better, what those two watch: the
            validation loss if there is one, else the loss.

    Yields:
        The state, for `best_params`, `current_params` and for going on from; and
        a dict: ``epoch`` and ``step``, how many are done; ``loss``, the mean over
        the epoch's batches, penalty included; ``validation_loss`` without it;
        ``metrics`` by name; ``lr`` and ``grad_norm`` (untransformed) of the last
        step; ``seconds`` of the epoch's steps and ``rows_per_second``.

    Raises:
        FloatingPointError: a loss, a gradient that is clipped, a param or a batch norm's
            statistics are not finite; with `diagnose`'s report of the step, and the
            row of `x` or `y` it begins in. The last state stays good.
        TypeError, ValueError: an argument does not fit; most before the first epoch.

    Example:
        >>> from nnfunc import best_params, dense, init, mse
        >>> x = np.linspace(-1, 1, 64).reshape(64, 1)
        >>> net = dense(1, 1)
        >>> for state, report in train(net, mse, init(net, 0, np.float64), x, 3 * x + 2, epochs=40, lr=0.3):
        ...     pass
        >>> report["epoch"], report["step"], {name: a.round(3) for name, a in best_params(state).items()}
        (40, 80, {'W': array([[3.]]), 'b': array([2.])})
    """
    check_pair("train", "net", net)
    state = resumed("train", params)
    data, held = training_rows("train", x, y, weight, params if state is None else state)
    if state is not None:
        refuse_misfits("train", net, held)
        if plateau is None and section(state, "plateau"):
            raise ValueError(problem("train", "plateau", "be given again, as the state was made with one", plateau))
    schedule = lr if callable(lr) else constant_schedule(as_number("train", "lr", lr, least=0))
    check_functions(loss_fn, schedule, penalty, transform, monitor, metrics)
    if metrics and validation is None:
        raise ValueError(problem("train", "metrics", "come with validation data to compute them on", list(metrics)))
    run: _Run = {
        "net": net,
        "loss_fn": loss_fn,
        "data": {**data, "x": undisturbed(data["x"], x), "y": undisturbed(data["y"], y)},
        "numbers": row_numbers(weight, len(data["x"])),
        "validation": None if validation is None else check_validation(validation, data),
        "metrics": dict(metrics or {}),
        "epochs": as_size("train", "epochs", epochs),
        "size": as_size("train", "size", size),
        "key": key,
        "schedule": schedule,
        "optimizer": sgd() if optimizer is None else optimizer,
        "penalty": penalty,
        "transform": transform,
        "stopping": early_stopping(_NEVER) if stopping is None else stopping,
        "plateau": plateau,
        "monitor": monitor or _default_monitor,
    }
    if state is not None and not np.array_equal(state["train/key"], key_words("train", key)):
        raise ValueError(problem("train", "key", "be that of the state, which decides the run", key))
    _try_pieces(run, held, state)
    return _epochs(run, _start(run, held) if state is None else state)


def _try_pieces(run: _Run, params: Params, state: State | None) -> None:
    """Raise before the first epoch what the run's pieces would raise in it, or after it."""
    check_pair_of_functions("optimizer", run["optimizer"])
    check_optimizer(run["optimizer"], params, None if state is None else section(state, "optimizer"))
    for name, needed in (("stopping", ("stop", "improved")), ("plateau", ("scale",))):
        pair = run["stopping"] if name == "stopping" else run["plateau"]
        if pair is not None:
            check_pair_of_functions(name, pair)
            check_monitor(name, pair, needed, None if state is None else section(state, name))
    if run["validation"] is not None:
        try_scores(run["net"], run["loss_fn"], params, run["data"], run["validation"], run["metrics"])


def _default_monitor(report: Report) -> float:
    return report["loss"] if report["validation_loss"] is None else report["validation_loss"]


def _start(run: _Run, params: Params) -> State:
    sections = {"params": params, "optimizer": run["optimizer"][0](params), "stopping": run["stopping"][0]()}
    if run["plateau"] is not None:
        sections["plateau"] = run["plateau"][0]()
    counts = {"epoch": np.asarray(0), "step": np.asarray(0), "key": key_words("train", run["key"])}
    return packed({**sections, "train": counts})


def _epochs(run: _Run, state: State) -> Iterator[tuple[State, Report]]:
    while int(state["train/epoch"]) < run["epochs"] and not section(state, "stopping")["stop"]:
        state, report = _epoch(run, state)
        yield state, report


def _epoch(run: _Run, state: State) -> tuple[State, Report]:
    """Run one epoch of steps, then calibrate, validate and watch."""
    plateau = section(state, "plateau")
    sections: dict[str, State] = {"best": section(state, "best")}
    started = time.perf_counter()
    params, sections["optimizer"], report, last = _steps(run, state, float(plateau.get("scale", 1.0)))
    report["seconds"] = time.perf_counter() - started
    report["rows_per_second"] = len(run["data"]["x"]) / report["seconds"]
    if has_batch_norm(run["net"]):
        params = _calibrated(run, params, report, last)
    if run["validation"] is not None:
        found = scores(run["net"], run["loss_fn"], params, run["validation"], run["metrics"])
        report["validation_loss"], report["metrics"] = found
    watched = any_number("monitor", run["monitor"](report))
    sections["stopping"] = run["stopping"][1](section(state, "stopping"), watched)
    if run["plateau"] is not None:
        sections["plateau"] = run["plateau"][1](plateau, watched)
    sections["params"] = params
    if sections["stopping"]["improved"]:
        sections["best"] = params
    counts = {"epoch": np.asarray(report["epoch"]), "step": np.asarray(report["step"]), "key": state["train/key"]}
    return packed({**sections, "train": counts}), report


def _calibrated(run: _Run, params: Params, report: Report, last: Step) -> Params:
    try:
        return calibrate(run["net"], params, run["data"]["x"])
    except FloatingPointError as error:
        message = problem("train", "calibration on all rows", "give finite statistics", str(error))
        told = failure(run, message, report["epoch"] - 1, report["step"] - 1, (params, *last[1:]), None, _OVERFLOW)
        raise FloatingPointError(told) from error


def _steps(run: _Run, state: State, scale: float) -> tuple[Params, State, Report, Step]:
    """Take one step per batch; a failing one is replayed and explained."""
    data, transform, (_, optimizer_step) = run["data"], run["transform"], run["optimizer"]
    epoch, step = int(state["train/epoch"]), int(state["train/step"])
    params: Params = section(state, "params")
    optimizer_state: State = section(state, "optimizer")
    total = mass = 0.0
    before: Step | None = None
    for rows in _row_batches(run, epoch):
        x, y, weight = data["x"][rows], data["y"][rows], None if data["weight"] is None else data["weight"][rows]
        noise = fold_in(fold_in(run["key"], 1), step)
        now: Step = params, {"x": x, "y": y, "weight": weight}, noise, rows
        lr = as_number("train", f"lr at step {step}", run["schedule"](step), least=0) * scale
        try:
            value, g = value_and_grads_pass(
                "train", run["net"], run["loss_fn"], params, x, y, weight, run["penalty"], noise
            )
            sent = g if transform is None else transformed(transform, g)
            stepped = optimizer_step(params, sent, optimizer_state, lr)
        except FloatingPointError as error:
            raise FloatingPointError(failure(run, str(error), epoch, step, now, before)) from error
        except (TypeError, ValueError) as error:
            row = refused_row(run, now)
            if not row:
                raise
            raise (ValueError if isinstance(error, ValueError) else TypeError)(f"{error} ({row})") from error
        before, (params, optimizer_state) = now, stepped
        share = float(len(rows) if weight is None else weight.sum(dtype=np.float64))
        total, mass, step = total + value * share, mass + share, step + 1
    if not all_finite(*params.values()):
        message = "train: params must be finite, got a step that made them not so"
        raise FloatingPointError(failure(run, message, epoch, step - 1, now, None))
    report: Report = {
        "epoch": epoch + 1,
        "step": step,
        "loss": total / mass,
        "validation_loss": None,
        "metrics": {},
        "lr": float(lr),
        "grad_norm": global_norm(g) if all_finite(*g.values()) else math.nan,
        "seconds": 0.0,
        "rows_per_second": 0.0,
    }
    return params, optimizer_state, report, now


def _row_batches(run: _Run, epoch: int) -> list[Rows]:
    found = list(batches(fold_in(fold_in(run["key"], 0), epoch), len(run["data"]["x"]), run["size"]))
    if len(found) > 1 and len(found[-1]) == 1 and has_batch_norm(run["net"]):
        found[-2:] = [np.concatenate(found[-2:])]
    return found
