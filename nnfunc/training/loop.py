"""Training: a generator that yields the new state and a report after each epoch.

The loop stays the user's: `progress_bar` wraps the generator, printing, plotting
and saving happen between two of its values, ``break`` stops it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import SupportsFloat, SupportsIndex, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.inspection.comparison import refuse_misfits
from nnfunc.network.boundary import value_and_grads_pass
from nnfunc.network.calibration import calibrate
from nnfunc.network.guard import check_layer
from nnfunc.network.kinds import statistics, trained
from nnfunc.pieces.clipping import global_norm
from nnfunc.pieces.data import as_rows, batches
from nnfunc.pieces.masking import is_masked
from nnfunc.pieces.monitors import early_stopping
from nnfunc.pieces.norms import statistics_among
from nnfunc.pieces.optimizers import sgd
from nnfunc.pieces.schedules import constant_schedule
from nnfunc.training.arguments import (
    Order, Run, Validation, as_given, check_functions, misfit_of_targets, scores, training_data, try_pieces,
    validation_data,
)
from nnfunc.training.failures import Step, batch_of, failure, refused_row
from nnfunc.training.state import Report, StepReport, key_words, packed, resumed, unpacked
from nnfunc.values.arrays import all_finite, lasting
from nnfunc.values.checks import as_number, as_size, describe, problem, require, restated
from nnfunc.values.keys import fold_in
from nnfunc.values.params import checked_params, mapped, sealed, section
from nnfunc.values.types import (
    GradTransform, Key, Layer, LossFn, Metric, Monitor, Optimizer, Params, Penalty, Rows, Schedule, State,
)

S = TypeVar("S")
R = TypeVar("R")

_NEVER = 2**61
_PAIRS = "be a generator of pairs (state, report), as train is"
_OVERFLOW = "a batch norm's inputs overflow over all rows: lower the learning rate, or standardize x"


def train(
    net: Layer, loss_fn: LossFn, params: Params | State, x: ArrayLike, y: ArrayLike, *, epochs: SupportsIndex,
    lr: SupportsFloat | Schedule, optimizer: Optimizer | None = None, size: SupportsIndex = 32, key: Key = 0,
    weight: ArrayLike | None = None, penalty: Penalty | None = None, transform: GradTransform | None = None,
    validation: Validation | None = None, metrics: Mapping[str, Metric] | None = None, stopping: Monitor | None = None,
    plateau: Monitor | None = None, monitor: Callable[[Report], float] | None = None, order: Order | None = None,
    on_step: Callable[[StepReport], object] | None = None,
) -> Iterator[tuple[State, Report]]:
    """Train, and yield ``(state, report)`` after each epoch.

    Each epoch takes the rows in a fresh random order, or in that of `order`, `size` at a time. Batch
    norms are calibrated on all training rows at its end (and a last batch of
    one row, which they cannot normalise, joins the one before).

    Args:
        net, loss_fn: as for `grads`.
        params: params to start from; or a state that was yielded, to go on from it as if nothing had
            come between. As what is watched is compared with the best so far, `loss_fn`, the validation
            data and `monitor` must be the same then, of which only whether the last two are given can be
            checked. To change them, start from ``current_params(state)``.
        x, y: training inputs and targets, as for `grads`. Batches are made of rows that count: that have a
            weight above 0 and, under a `masked` loss, a target. The arrays are copied, so that what is done to
            them between two epochs changes nothing, unless they can never change: locked, and no view;
            or a map of a file that is open for reading, of which only a batch at a time is in memory.
        epochs: how many in all, those of a given state included; one more than are done is
            ``progress(state)["epoch"] + 1``.
        lr: learning rate, a float or a schedule of the step (0 the first update).
        optimizer: `sgd()` if none.
        size: rows per batch.
        key: decides the order of rows and all noise; that of a given state must be the same.
        weight: (n,) row weights. The weighted sum of a batch is divided by its rows times the mean
            weight of all rows that are trained on, so that a weight counts in batches of any size.
            A batch norm takes its statistics of the rows above weight 0, whatever they weigh.
        penalty: ``params -> (value, grads)``.
        transform: ``grads -> grads``, before the optimiser: ``partial(clip_by_global_norm, limit=1.0)``.
        validation: ``(x, y)`` that the loss and metrics are computed on after each epoch, or
            ``(x, y, weight)`` for the weighted loss; metrics are given the rows of weight above 0.
            What is not finite there is NaN in the report, and no improvement.
        metrics: functions ``(outputs, targets) -> float`` by name, on the validation data.
        stopping: `early_stopping`, or another monitor whose states have ``stop`` and ``improved``.
        plateau: `reduce_on_plateau`, or another monitor whose states have a ``scale`` for the learning rate.
        monitor: ``report -> float``, the lower the better, what `stopping` and `plateau`
            watch: the validation loss if there is one, else the loss.
        order: ``(epoch, key) -> rows``, the numbers of the rows of an epoch, the first of which is 0, in
            the order they are taken in: ``lambda epoch, key: np.arange(n)`` for rows as they stand. It may
            leave rows out and repeat them, and draws from its key alone, if at all.
        on_step: called with a report after each step: a dict of ``epoch``, the number of the one that
            goes on, ``step``, how many are done, ``steps``, how many the run will take in all,
            ``loss`` of the batch and ``lr``. `step_bar` is one that shows them.

    Yields:
        The state, for `best_params`, `current_params` and for going on from; and
        a dict: ``epoch`` and ``step``, how many are done; ``epochs``, how many it
        will be in all unless `stopping` ends it; ``loss``, the mean over
        the epoch's batches, penalty included; ``validation_loss`` without it;
        ``metrics`` by name; ``lr`` and ``grad_norm`` (untransformed) of the last
        step; ``seconds`` of the epoch's steps and ``rows_per_second``.

    Raises:
        FloatingPointError: a loss, a gradient that is clipped, a param or a batch norm's
            statistics are not finite; with `diagnose`'s report of the step, and the
            row of `x` or `y` it begins in. The last state stays good.
        TypeError, ValueError: an argument does not fit; most before the first epoch. So does a
            state that `stopping` has ended, unless this call's `stopping` would not have; one of a
            run with validation data, or a `monitor`, if there are none now, or the other way round; and
            fewer epochs than are done.

    Example:
        >>> from nnfunc import best_params, dense, init, mse
        >>> x = np.linspace(-1, 1, 64).reshape(64, 1)
        >>> net = dense(1, 1)
        >>> state, reports = finish(train(net, mse, init(net, 0, np.float64), x, 3 * x + 2, epochs=40, lr=0.3))
        >>> len(reports), reports[-1]["step"], {name: a.round(3) for name, a in best_params(state).items()}
        (40, 80, {'W': array([[3.]]), 'b': array([2.])})
    """
    check_layer("train", "net", net)
    state = resumed("train", params)
    given, _ = checked_params("train", params if state is None else section(state, "params"))
    held = mapped(lasting, given)  # so that no piece of the run can change the caller's
    data, numbers = training_data(x, y, weight, net, held, loss_fn)
    if state is not None:
        refuse_misfits("train", net, held)
        forgotten = plateau is None and section(state, "plateau")
        require(not forgotten, "train", "plateau", "be given again, as the state was made with one", plateau)
    schedule = lr if callable(lr) else constant_schedule(as_number("train", "lr", lr, least=0))
    check_functions(loss_fn, schedule, penalty, transform, monitor, order, on_step, metrics)
    useless = metrics and validation is None
    require(not useless, "train", "metrics", "come with validation data to compute them on", list(metrics or ()))
    run: Run = {
        "net": net, "statistics": list(statistics(net)), "loss_fn": loss_fn, "data": data, "numbers": numbers,
        "validation": validation_data(validation, data, loss_fn), "metrics": dict(metrics or {}),
        "epochs": as_size("train", "epochs", epochs), "size": as_size("train", "size", size), "key": key,
        "order": order, "on_step": on_step, "schedule": schedule, "optimizer": sgd() if optimizer is None else optimizer, "penalty": penalty,
        "transform": transform, "stopping": early_stopping(_NEVER) if stopping is None else stopping,
        "plateau": plateau, "monitor": monitor or _default_monitor,
    }
    words = key_words("train", key)
    same = state is None or np.array_equal(state["train/key"], words)
    require(same, "train", "key", "be that of the state, which decides the run", key)
    if state is not None:
        _check_watched(run, state)
    try_pieces(run, held, lambda name: None if state is None else section(state, name))
    start = _start(run, held) if state is None else _resumed(run, state)
    if run["order"] is not None:
        _row_batches(run, int(start["train/epoch"]))
    return _epochs(run, start)


def finish(run: Iterable[tuple[S, R]]) -> tuple[S, list[R]]:
    """Run `train`, or any other generator of pairs ``(state, report)``, to its end; return the last state and all reports.

    Raises:
        TypeError: `run` yields something else.
        ValueError: it yields nothing, as a run that is done does.
        FloatingPointError, and the like: what the run raises. A loop of your
            own has the state before that.

    Example:
        >>> from nnfunc import current_params, dense, mse
        >>> params = {"W": np.ones((1, 1)), "b": np.zeros(1)}
        >>> state, reports = finish(train(dense(1, 1), mse, params, [[1.0]], [[2.0]], epochs=2, lr=0.125))
        >>> [report["loss"] for report in reports], dict(current_params(state))
        ([1.0, 0.25], {'W': array([[1.375]]), 'b': array([0.375])})
    """
    last: list[S] = []
    reports: list[R] = []
    for state, report in pairs_of("finish", run):
        last = [state]
        reports.append(report)
    none = "none (more epochs than are done give more)"
    require(last, "finish", "run", "yield at least one pair (state, report)", none)
    return last[0], reports


def pairs_of(function: str, run: Iterable[tuple[S, R]]) -> Iterator[tuple[S, R]]:
    """Return an iterator of what a run yields, which must be pairs.

    Example:
        >>> list(pairs_of("finish", [({}, 1)]))
        [({}, 1)]
    """
    try:
        return _pairs(function, iter(run))
    except TypeError as error:
        raise TypeError(problem(function, "run", _PAIRS, describe(run))) from error


def _pairs(function: str, run: Iterator[tuple[S, R]]) -> Iterator[tuple[S, R]]:
    """Yield what a run yields, if it is pairs."""
    for pair in run:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(problem(function, "run", _PAIRS, f"one of {describe(pair)}"))
        yield pair


def count_steps(n: SupportsIndex, *, epochs: SupportsIndex, size: SupportsIndex = 32) -> int:
    """Return how many steps `train` takes on n rows: epochs * ceil(n / size), as ``decay_steps=`` of a schedule wants it.

    Rows of weight 0 are left out there, so with weights n is ``np.count_nonzero(weight)``; under a `masked`
    loss so are rows without any target. Two things make other counts: with batch norm a last batch of one row
    joins the one before (a step an epoch less, where n is k * size + 1), and an `order` of your own may leave
    rows out or repeat them.

    Args:
        n: rows that are trained on, at least 1.
        epochs, size: as for `train`.

    Raises:
        TypeError, ValueError: an argument is no whole number of at least 1.

    Example:
        >>> count_steps(100, epochs=5), count_steps(100, epochs=5, size=50)
        (20, 10)
    """
    rows, batch = as_size("count_steps", "n", n), as_size("count_steps", "size", size)
    return as_size("count_steps", "epochs", epochs) * -(-rows // batch)


def _default_monitor(report: Report) -> float:
    """Return the validation loss, or without one the loss."""
    return report["loss"] if report["validation_loss"] is None else report["validation_loss"]


def _watches(run: Run) -> int:
    """Return what a run watches, as a state says it: 0 the loss, 1 the validation loss, 2 what `monitor` says."""
    return 2 if run["monitor"] is not _default_monitor else int(run["validation"] is not None)


def _check_watched(run: Run, state: State) -> None:
    """Raise unless a run watches what the state's run did, whose best value so far it would be compared with."""
    now = _watches(run)
    if "train/watches" not in state or np.array_equal(state["train/watches"], now):
        return
    of_monitor = now == 2 or np.array_equal(state["train/watches"], 2)
    argument, given = ("monitor", now == 2) if of_monitor else ("validation", now == 1)
    constraint = f"{'not be given' if given else 'be given again'}, as in the run so far"
    got = (describe(run["monitor"]) if of_monitor else "data") if given else "None"
    raise ValueError(problem("train", argument, f"{constraint} (or start from current_params(state))", got))


def _start(run: Run, params: Params) -> State:
    """Return the state of a run before its first step."""
    sections = {"params": params, "optimizer": run["optimizer"][0](trained(run["net"], params)), "stopping": run["stopping"][0]()}
    if run["plateau"] is not None:
        sections["plateau"] = run["plateau"][0]()
    counts = {"epoch": np.asarray(0), "step": np.asarray(0), "key": key_words("train", run["key"])}
    return mapped(lasting, packed({**sections, "train": counts}))


def _resumed(run: Run, state: State) -> State:
    """Return a state to go on from; one that was stopped goes on if what stops this run would not have stopped it."""
    done = int(state["train/epoch"])
    require(run["epochs"] >= done, "train", "epochs", f"be at least the {done} that are done", run["epochs"])
    if not section(state, "stopping")["stop"] or run["epochs"] == done:
        return state
    if "train/monitored" in state:
        verdict = run["stopping"][1](section(state, "train/before"), float(state["train/monitored"]))
    else:
        verdict = section(state, "stopping")
    constraint = "be one that goes on (give stopping more patience, or none; or start from current_params(state))"
    require(not verdict["stop"], "train", "state", constraint, f"one that stopping has ended after epoch {done}")
    return mapped(lasting, {**state, **{f"stopping/{name}": array for name, array in verdict.items()}})


def _epochs(run: Run, state: State) -> Iterator[tuple[State, Report]]:
    """Yield state and report of one epoch after another."""
    sections: dict[str, State] = {**dict.fromkeys(("params", "best", "optimizer"), {}), **unpacked(state)}
    while int(sections["train"]["epoch"]) < run["epochs"] and not sections["stopping"]["stop"]:
        sections, report = _epoch(run, sections)
        yield packed(sections), report


def _epoch(run: Run, before: dict[str, State]) -> tuple[dict[str, State], Report]:
    """Run one epoch of steps, then calibrate, validate and watch; take and return the sections of a state."""
    started = time.perf_counter()
    params, optimizer_state, report, last, rows = _steps(run, before)
    sections: dict[str, State] = {"best": before["best"], "optimizer": mapped(lasting, optimizer_state)}
    report["seconds"] = time.perf_counter() - started
    report["rows_per_second"] = rows / report["seconds"]
    if run["statistics"]:
        params = _calibrated(run, params, report, last)
    report["validation_loss"], report["metrics"] = scores(run, params)
    watched = as_given("monitor", run["monitor"](report.copy()))
    sections["stopping"] = mapped(lasting, run["stopping"][1](before["stopping"], watched))
    if run["plateau"] is not None:
        sections["plateau"] = mapped(lasting, run["plateau"][1](before.get("plateau", {}), watched))
    sections["params"] = mapped(lasting, params)
    if sections["stopping"]["improved"]:
        sections["best"] = sections["params"]
    sections["train/before"] = before["stopping"]
    counts = {"epoch": np.asarray(report["epoch"]), "step": np.asarray(report["step"]), "key": before["train"]["key"]}
    sections["train"] = sealed({**counts, "monitored": np.asarray(watched), "watches": np.asarray(_watches(run))})
    return sections, report


def _calibrated(run: Run, params: Params, report: Report, last: Step) -> Params:
    """Return the params with the statistics of all training rows."""
    try:
        x, numbers = run["data"][0], run["numbers"]
        return calibrate(run["net"], params, x if len(numbers) == len(x) else x[numbers])
    except FloatingPointError as error:
        message = problem("train", "calibration on all rows", "give finite statistics", str(error))
        told = failure(run, message, report["epoch"] - 1, report["step"] - 1, (params, *last[1:]), None, _OVERFLOW)
        raise FloatingPointError(told) from error


def _steps(run: Run, sections: Mapping[str, State]) -> tuple[Params, State, Report, Step, int]:
    """Take one step per batch, and count the rows; a failing step is replayed and explained."""
    transform, (_, optimizer_step) = run["transform"], run["optimizer"]
    net, loss_fn, penalty = run["net"], run["loss_fn"], run["penalty"]
    schedule, on_step = run["schedule"], run["on_step"]
    epoch, step = int(sections["train"]["epoch"]), int(sections["train"]["step"])
    params, scale = trained(net, sections["params"]), float(sections.get("plateau", {}).get("scale", 1.0))
    # In a layer of the user's own, as those of the network are left out; a step cannot tell them apart by their names.
    alike = {name: params[name] for name in statistics_among(tuple(params))}
    optimizer_state = sections["optimizer"]
    before: Step | None = None
    total = 0.0
    mean_weight, noise = None if run["data"][2] is None else 1.0, fold_in(run["key"], 1)
    found = _row_batches(run, epoch)
    count, steps = sum(map(len, found)), step + len(found) * (run["epochs"] - epoch)
    for rows in found:
        now: Step = params, rows, (*noise, step)
        rate = schedule(step)  # and, if it is what it nearly always is, checked without a call
        if type(rate) is not float or not 0 <= rate < math.inf:
            rate = as_number("train", f"lr at step {step}", rate, least=0)
        lr = rate * scale
        try:
            batch = batch_of(run, rows)
            value, g = value_and_grads_pass("train", net, loss_fn, params, *batch, mean_weight, penalty, now[2])
            sent = g if transform is None else transform(g)
            if transform is not None and not hasattr(sent, "items"):
                raise TypeError(problem("train", "transform", "give gradients by name", describe(sent)))
            stepped = optimizer_step(params, sent, optimizer_state, lr)
        except FloatingPointError as error:
            raise FloatingPointError(failure(run, str(error), epoch, step, now, before)) from error
        except (TypeError, ValueError) as error:
            misfit = misfit_of_targets(run, params, rows, now[2])
            if misfit:
                raise ValueError(misfit) from error
            row = refused_row(run, now)
            if not row:
                raise
            raise restated(error, f"{error} ({row})") from error
        before, (params, optimizer_state) = now, stepped
        if alike:
            params = {name: params[name] if name in params else alike[name] for name in now[0]}
        total += value * len(rows)
        step += 1
        if on_step is not None:
            on_step({"epoch": epoch + 1, "step": step, "steps": steps, "loss": value, "lr": float(lr)})
    if not all_finite(*params.values()):
        message = "train: params must be finite, got a step that made them not so"
        raise FloatingPointError(failure(run, message, epoch, step - 1, now, None))
    report: Report = {
        "epoch": epoch + 1, "epochs": run["epochs"], "step": step, "loss": total / count, "validation_loss": None,
        "metrics": {}, "lr": float(lr), "grad_norm": _norm_of(g), "seconds": 0.0, "rows_per_second": 0.0,
    }
    return params, optimizer_state, report, now, count


def _norm_of(grads: Params) -> float:
    """Return the norm of gradients, NaN if one is not finite."""
    try:
        return global_norm(grads)
    except FloatingPointError:
        return math.nan


def _row_batches(run: Run, epoch: int) -> list[Rows]:
    """Return the rows of each batch of an epoch, those that count; a batch norm gets no batch of one row."""
    key, numbers, (x, _, _) = fold_in(fold_in(run["key"], 0), epoch), run["numbers"], run["data"]
    if run["order"] is None:
        found = [numbers[rows] for rows in batches(key, len(numbers), run["size"])]
    else:
        rows = as_rows("train", f"order for epoch {epoch}", run["order"](epoch, key), len(x))
        rows = rows if len(numbers) == len(x) else rows[np.isin(rows, numbers)]
        constraint = "give rows of weight above 0" + " that have a target" * is_masked(run["loss_fn"])
        require(len(rows) > 0, "train", f"order for epoch {epoch}", constraint, "none")
        found = [rows[start : start + run["size"]] for start in range(0, len(rows), run["size"])]
    if len(found) > 1 and len(found[-1]) == 1 and run["statistics"]:
        found[-2:] = [np.concatenate(found[-2:])]
    return found
