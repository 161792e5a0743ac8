"""Watching what takes long: a bar in a terminal or a notebook, a line now and then in a log file.

`progress_bar` goes around a run, `step_bar` is told of steps. Both only show:
what is computed does not depend on them, and a stream that cannot be written to
is let be. Inside, a *place* is how far something is, and a *screen* shows
places: sent None it makes way, closed it ends.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from operator import index
from time import perf_counter
from typing import Any, TextIO, TypeAlias, TypedDict, TypeVar

import numpy as np

from nnfunc.training.loop import pairs_of

S = TypeVar("S")
R = TypeVar("R")

Place = TypedDict(
    "Place", {"unit": str, "start": int, "done": int, "total": int | None, "seconds": float, "numbers": str}
)
"""How far something is: of `total` units `done` are done, `start` of them before the `seconds` that it has taken."""

Screen: TypeAlias = Generator[None, Place | None, None]

_AWAY = object()  # sent to a watch, so that the line makes way
_WIDTH = 20
_LEAST = 5
_COLUMNS = 80
_LIVE_EVERY = 0.1
_LOG_EVERY = 10.0
_LOG_WITHIN = 3600.0


def progress_bar(run: Iterable[tuple[S, R]], *, file: TextIO | None = None) -> Iterator[tuple[S, R]]:
    """Yield what `run` yields, pairs ``(state, report)`` as of `train`, and show how far it is and the time left.

    In a terminal or a notebook it is a bar of `tqdm` where that is installed, and otherwise a line that is
    written over, in less than 0.1 milliseconds an epoch. While the loop's body runs the line makes way, so what is
    printed there stands above it. In a file it is a line of its own now and then: after each hundredth of the
    whole or each hour, whichever is sooner, but no two within ten seconds. However the loop ends, the line is ended.

    How far a run is, its reports say: ``epoch`` of ``epochs``, as of `train`, also one that is resumed, or else
    ``step`` of ``steps``, as of `levenberg_marquardt`. Without these, what was yielded is counted and there is no
    time left. ``loss``, ``validation_loss`` and ``metrics`` are shown if they are there. Where an epoch takes
    minutes, or a function is no generator, `step_bar` shows the steps.

    Args:
        run: a generator of pairs, or any other iterable of them.
        file: where it is shown, if not on ``sys.stderr`` (in a notebook, where what is printed goes).

    Raises:
        TypeError: `run` is no iterable, or yields something else; what the run raises comes through.

    Example:
        >>> import sys
        >>> from nnfunc import dense, mse, train
        >>> params = {"W": np.ones((1, 1)), "b": np.zeros(1)}
        >>> run = train(dense(1, 1), mse, params, [[1.0]], [[2.0]], epochs=2, lr=0.125)
        >>> for state, report in progress_bar(run, file=sys.stdout):
        ...     print(report["loss"])
        1.0
        epoch 1/2  50 %  0:00 gone, 0:00 left  loss 1
        0.25
        epoch 2/2  100 %  0:00 gone  loss 0.25
    """
    return _shown(pairs_of("progress_bar", run), file)


@contextmanager
def step_bar(*, file: TextIO | None = None) -> Iterator[Callable[[Mapping[str, object]], None]]:
    """Show the steps of what takes long as `progress_bar` does: ``with step_bar() as bar`` gives its ``on_step=bar``.

    `train`, `overfit_check` and `check_grads` call their ``on_step`` after each step, with a report that holds
    ``step`` and ``steps`` at least; a loop of your own may call it with ``{"step": i + 1, "steps": n}``. A call
    takes about a microsecond, as the line is drawn ten times a second at most. What is printed inside the ``with``
    goes onto the same line. At its end the line is ended, whatever happened; after that nothing is shown.

    Args:
        file: where it is shown, if not on ``sys.stderr`` (in a notebook, where what is printed goes).

    Example:
        >>> import sys
        >>> from nnfunc import check_grads, init, mlp, mse
        >>> net = mlp([2, 3, 1])
        >>> with step_bar(file=sys.stdout) as bar:
        ...     report = check_grads(net, mse, init(net, key=0), [[0.5, -1.0]], [[1.0]], on_step=bar)
        step 1/13  8 %  0:00 gone, 0:00 left
        step 13/13  100 %  0:00 gone
    """
    watch = _watch(_stream(file))
    next(watch)

    def tell(report: Mapping[str, object]) -> None:
        with suppress(StopIteration, ValueError):  # after its end, and in two threads at once
            watch.send(report)

    try:
        yield tell
    finally:
        with suppress(ValueError):  # another thread is telling it something
            watch.close()


def _shown(run: Iterator[tuple[S, R]], file: TextIO | None) -> Iterator[tuple[S, R]]:
    """Yield what a run yields and show each report after the loop's body, which may be the last one."""
    watch = _watch(_stream(file))
    next(watch)
    try:
        for pair in run:
            watch.send(_AWAY)
            try:
                yield pair
            finally:
                watch.send(pair[1])
    finally:
        watch.close()


def _watch(stream: TextIO | None) -> Generator[None, object, None]:
    """Take reports and show where they say that a run is, as often as can be read, and at the end."""
    live = stream is not None and _is_live(stream)
    screen = _screen(stream, live)
    next(screen)
    begun = now = perf_counter()
    start = last = count = 0
    due, visible, pending = now, False, False
    report: object = None
    try:
        while True:
            given = yield
            if given is _AWAY:
                if live and visible:
                    screen.send(None)
                    visible = False
                continue
            report, count, pending = given, count + 1, True
            if visible and perf_counter() < due:
                continue
            before, now = now, perf_counter()
            place = _place(report, count)
            if count == 1:
                start = max(0, place["done"] - 1)
            elif place["done"] < last:  # another run that is shown by the same bar
                begun, start = before, 0
            last, visible, pending = place["done"], True, False
            screen.send({**place, "start": start, "seconds": now - begun})
            hundredth = (place["total"] or 0) * (now - begun) / max(1, last - start) / 100
            due = now + (_LIVE_EVERY if live else min(max(_LOG_EVERY, hundredth), _LOG_WITHIN))
    finally:
        if pending:
            screen.send({**_place(report, count), "start": start, "seconds": perf_counter() - begun})
        screen.close()


def _place(report: object, count: int) -> Place:
    """Return what a report says of how far a run is, or else how many reports there were.

    Example:
        >>> place = _place({"epoch": 3, "epochs": 40, "step": 90, "loss": 0.51, "metrics": {"r2": 0.9}}, 1)
        >>> place["unit"], place["done"], place["total"], place["numbers"]
        ('epoch', 3, 40, 'loss 0.51  r2 0.9')
    """
    given = dict(report) if isinstance(report, Mapping) else {}
    place: Place = {"unit": "", "start": 0, "done": count, "total": None, "seconds": 0.0, "numbers": ""}
    for unit in ("step", "epoch"):
        with suppress(KeyError, TypeError):  # a report may hold something else under these names
            place.update({"unit": unit, "done": index(given[unit]), "total": index(given[f"{unit}s"])})
    metrics = given.get("metrics")
    named = {"loss": given.get("loss"), "validation loss": given.get("validation_loss")}
    named |= dict(metrics) if isinstance(metrics, Mapping) else {}
    numbers = [f"{name} {value:.4g}" for name, value in named.items() if isinstance(value, (int, float, np.number))]
    place["numbers"] = "  ".join(numbers)
    return place


def _fitted(place: Place, columns: int) -> str:
    """Return a place as a line of so many columns at most: first the bar makes room for the figures, then the times do.

    Example:
        >>> place = _place({"epoch": 3, "epochs": 40, "loss": 0.51, "metrics": {"accuracy": 0.9}}, 1)
        >>> for columns in (79, 64, 40, 20):
        ...     print(_fitted(place, columns))
        epoch 3/40 [#-------------------] 0:00 gone, 0:00 left  loss 0.51  accuracy 0.9
        epoch 3/40 [-----] 0:00 gone, 0:00 left  loss 0.51  accuracy 0.9
        epoch 3/40  loss 0.51  accuracy 0.9
        epoch 3/40  loss 0.5
    """
    text = _text(place, bar=True)
    if len(text) > columns:
        narrow = _WIDTH - (len(text) - columns)
        text = _text(place, bar=True, width=narrow) if narrow >= _LEAST else _text(place, bar=False)
    if len(text) > columns and place["numbers"]:
        text = _text(place, bar=False).split("  ", 1)[0] + f"  {place['numbers']}"
    return text[:columns]


def _text(place: Place, bar: bool, width: int = _WIDTH) -> str:
    """Return a place as a line.

    Example:
        >>> _text({"unit": "step", "start": 0, "done": 30, "total": 120, "seconds": 61.0, "numbers": "loss 2"}, True)
        'step 30/120 [#####---------------] 1:01 gone, 3:03 left  loss 2'
        >>> _text({"unit": "", "start": 0, "done": 3, "total": None, "seconds": 3700.0, "numbers": ""}, True)
        '3 done  1:01:40 gone'
    """
    done, total, seconds = place["done"], place["total"], place["seconds"]
    gone, numbers = f"{_clock(seconds)} gone", "  " * bool(place["numbers"]) + place["numbers"]
    if total is None:
        return f"{done} done  {gone}{numbers}"
    share = min(1.0, max(0.0, done / total)) if total > 0 else 1.0
    drawn = f" [{'#' * int(share * width):-<{width}}] " if bar else f"  {100 * share:.0f} %  "
    left = ""
    if done < total and done > place["start"]:
        left = f", {_clock(seconds / (done - place['start']) * (total - done))} left"
    return f"{place['unit']} {done}/{total}{drawn}{gone}{left}{numbers}"


def _clock(seconds: float) -> str:
    """Return seconds as minutes and seconds, and hours if there are any.

    Example:
        >>> _clock(5.7), _clock(3600.0)
        ('0:05', '1:00:00')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _stream(file: TextIO | None) -> TextIO | None:
    """Return where to show: if nothing is given stderr, and in a notebook stdout, where what is printed goes."""
    own = sys.stdout if _is_notebook(sys.stderr) else sys.stderr
    return own if file is None else file


def _is_notebook(stream: TextIO | None) -> bool:
    """Say whether a stream shows below the cell of a notebook."""
    return type(stream).__module__.partition(".")[0] == "ipykernel"


def _is_live(stream: TextIO) -> bool:
    """Say whether a line can be written over: in a terminal, or in a notebook."""
    with suppress(AttributeError, OSError, ValueError):  # of a stand-in, or closed
        return bool(stream.isatty()) or _is_notebook(stream)
    return False


def _screen(stream: TextIO | None, live: bool) -> Screen:
    """Return what shows places on a stream."""
    if stream is None:
        return _nothing()
    if not live:
        return _log(stream)
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _line(stream)
    return _bar(stream, tqdm)


def _nothing() -> Screen:
    """Show nothing, where there is no stream: a program without a console has none."""
    while True:
        yield


def _log(stream: TextIO) -> Screen:
    """Show each place on a line of its own."""
    while True:
        place = yield
        if place is not None:
            _write(stream, f"{_text(place, bar=False)}\n")


def _line(stream: TextIO) -> Screen:
    """Show each place on one line, which is written over."""
    width = 0
    try:
        while True:
            place = yield
            text = "" if place is None else _fitted(place, _columns(stream) - 1)
            _write(stream, f"\r{text:<{width}}" if text else f"\r{'':<{width}}\r")
            width = len(text)
    finally:
        if width:
            _write(stream, "\n")


def _bar(stream: TextIO, tqdm: Callable[..., object]) -> Screen:
    """Show places as a bar of tqdm's, whose troubles are no reason to end a run."""
    bar: Any = None
    try:
        while True:
            place = yield
            with suppress(Exception):
                if place is not None:
                    if bar is None:
                        begun = {"initial": place["start"], "total": place["total"], "unit": place["unit"] or "it"}
                        bar = tqdm(**begun, file=stream, dynamic_ncols=True)
                    bar.n, bar.initial, bar.total = place["done"], place["start"], place["total"]
                    bar.start_t = time.time() - place["seconds"]
                    bar.set_postfix_str(place["numbers"])
                elif bar is not None:
                    bar.clear()
    finally:
        if bar is not None:
            with suppress(Exception):
                bar.close()


def _columns(stream: TextIO) -> int:
    """Return how wide a terminal is."""
    with suppress(AttributeError, OSError, ValueError):
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    return _COLUMNS


def _write(stream: TextIO, text: str) -> None:
    """Write to a stream at once; one that is closed, or lacks a letter, ends no run."""
    with suppress(OSError, ValueError):
        stream.write(text)
        if not _is_notebook(stream):  # which shows it soon, and drops what comes in more than 1,000 pieces a second
            stream.flush()
