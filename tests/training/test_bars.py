"""Bars show how far a run is, wherever it is seen, and change nothing of what is run."""

import builtins
import io
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from nnfunc import (
    check_grads,
    early_stopping,
    finish,
    init,
    mlp,
    mse,
    overfit_check,
    progress_bar,
    step_bar,
    tanh,
    train,
)
from nnfunc.training import bars
from nnfunc.transforms import levenberg_marquardt
from tests.numeric import bad, same_bits
from tests.sentences import Cases, assert_sentence
from tests.training.runs import NET, P, X, Y, run

Given = Callable[[Mapping[str, object]], object]
SMALL = mlp([2, 3, 1], tanh)
SMALL_P = init(SMALL, 0)
ROWS, VALUES = np.eye(4, 2), np.ones((4, 1))


def without_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an import of tqdm fail, as where it is not installed."""
    own = builtins.__import__

    def refusing(name: str, *rest: Any, **options: Any) -> object:
        if name.startswith("tqdm"):
            raise ImportError(name)
        return own(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", refusing)


def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Return a stream that says that it is a terminal."""
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    return stream


def ticking(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let each look at the clock of the bars find that it has moved on by so much."""
    times = iter(float(i) * seconds for i in range(10**9))
    monkeypatch.setattr(bars, "perf_counter", lambda: next(times))


def seen(text: str) -> list[str]:
    """Return what a terminal shows in the end of what was written to it, line by line."""
    lines: list[str] = []
    for line in text.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def epochs(n: int, first: int = 1) -> Iterator[tuple[int, dict[str, object]]]:
    for i in range(first, n + 1):
        yield i, {"epoch": i, "epochs": n, "step": 7 * i, "loss": 1 / i}


# What is yielded


def test_a_run_is_the_same_with_a_bar_and_without() -> None:
    plain, barred = run(epochs=3), progress_bar(run(epochs=3), file=io.StringIO())
    for (state, report), (other, shown) in zip(plain, barred, strict=True):
        timeless = {name: value for name, value in report.items() if "second" not in name}
        assert same_bits(dict(state), dict(other))
        assert timeless == {name: value for name, value in shown.items() if "second" not in name}


def test_pairs_come_through_as_they_are() -> None:
    pairs = [(object(), object()), (None, None), (1, {"epoch": "one", "epochs": None, "metrics": 3, "loss": "high"})]
    pairs += [(X, {"step": X, "steps": X, "loss": X, "metrics": {"a": X, 3: None}}), (2, {"epoch": 1.0, "epochs": 2.0})]
    assert all(a is b for a, b in zip(progress_bar(pairs, file=io.StringIO()), pairs, strict=True))


def test_nothing_is_run_ahead_of_the_loop() -> None:
    begun: list[int] = []

    def noting() -> Iterator[tuple[int, None]]:
        for i in range(3):
            begun.append(i)
            yield i, None

    barred = progress_bar(noting(), file=io.StringIO())
    assert begun == []
    next(barred)
    assert begun == [0]


def test_a_run_can_be_gone_on_with_after_a_break() -> None:
    whole = epochs(5)
    for state, _ in progress_bar(whole, file=io.StringIO()):
        if state == 2:
            break
    assert [state for state, _ in whole] == [3, 4, 5]


# A file


def test_a_file_gets_whole_lines_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    ticking(monkeypatch, 0.5)  # each epoch is a second: two looks at the clock
    finish(progress_bar(epochs(100), file=(log := io.StringIO())))
    lines = log.getvalue().splitlines()
    assert "\r" not in log.getvalue()
    assert 5 <= len(lines) <= 12
    whole = r"epoch \d+/100  \d+ %  \d:\d\d gone(, \d:\d\d left)?  loss [\d.]+"
    assert all(re.fullmatch(whole, line) for line in lines)
    assert (lines[0].split()[1], lines[-1].split()[1]) == ("1/100", "100/100")


def test_a_file_gets_no_more_than_about_a_hundred_lines_of_a_long_run(monkeypatch: pytest.MonkeyPatch) -> None:
    ticking(monkeypatch, 60)
    finish(progress_bar(epochs(5000), file=(log := io.StringIO())))
    assert 50 < log.getvalue().count("\n") < 110


def test_a_run_without_an_end_in_sight_is_shown_hourly(monkeypatch: pytest.MonkeyPatch) -> None:
    ticking(monkeypatch, 60)
    run = ((i, {"epoch": i + 1, "epochs": 2**61}) for i in range(600))
    finish(progress_bar(run, file=(log := io.StringIO())))
    assert 8 < log.getvalue().count("\n") < 13


def test_the_last_epoch_is_always_shown() -> None:
    finish(progress_bar(epochs(50), file=(log := io.StringIO())))
    assert [line.split()[1] for line in log.getvalue().splitlines()] == ["1/50", "50/50"]
    for state, _ in progress_bar(epochs(50), file=(log := io.StringIO())):
        if state == 7:
            break
    assert [line.split()[1] for line in log.getvalue().splitlines()] == ["1/50", "7/50"]


def test_early_stopping_ends_the_line_where_it_ends_the_run() -> None:
    log = io.StringIO()
    _, reports = finish(progress_bar(run(epochs=30, lr=0.0, stopping=early_stopping(2)), file=log))
    assert log.getvalue().splitlines()[-1].startswith(f"epoch {len(reports)}/30 ")
    assert len(reports) == 3


def test_time_left_of_a_run_that_goes_on_counts_its_own_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "_LOG_EVERY", 0.0)
    ticking(monkeypatch, 1.0)
    finish(progress_bar(epochs(100, first=91), file=(log := io.StringIO())))
    first, second, *_ = log.getvalue().splitlines()
    assert first.startswith("epoch 91/100  91 %  0:01 gone, 0:09 left")
    assert re.match(r"epoch 92/100  92 %  0:0(\d) gone, 0:(\d\d) left", second)
    state, _ = finish(run(epochs=2))
    finish(progress_bar(run(params=state, epochs=4), file=(log := io.StringIO())))
    assert log.getvalue().startswith("epoch 3/4  75 %")


def test_what_says_no_total_is_counted() -> None:
    finish(progress_bar(((i, None) for i in range(3)), file=(log := io.StringIO())))
    assert log.getvalue() == "1 done  0:00 gone\n3 done  0:00 gone\n"


def test_second_order_fits_are_steps_of_steps() -> None:
    fit = levenberg_marquardt(SMALL, SMALL_P, ROWS, VALUES, steps=4)
    finish(progress_bar(fit, file=(log := io.StringIO())))
    assert re.fullmatch(r"step 0/4  0 %  0:00 gone  loss \S+\nstep \d/4 .*\n", log.getvalue())


def test_validation_and_metrics_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = run(validation=(np.ones((2, 4)), [0, 1]), metrics={"half": lambda outputs, y: 0.5})
    finish(progress_bar(measured, file=(log := io.StringIO())))
    assert re.search(r"  loss \S+  validation loss \S+  half 0.5\n", log.getvalue())


# A terminal


def test_a_terminal_shows_one_line_and_what_is_printed_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without_tqdm(monkeypatch)
    screen = terminal(monkeypatch)
    for state, _ in progress_bar(epochs(3), file=screen):
        assert seen(screen.getvalue())[-1] == ""  # the line has made way
        print("state", state, file=screen)
    *printed, line, end = seen(screen.getvalue())
    assert printed == ["state 1", "state 2", "state 3"]
    assert line.startswith("epoch 3/3 [####################] 0:00 gone  loss 0.3333")
    assert end == ""


def test_the_line_stands_while_the_next_epoch_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    without_tqdm(monkeypatch)
    screen, shown = terminal(monkeypatch), []

    def noting() -> Iterator[tuple[int, dict[str, object]]]:
        for pair in epochs(4):
            shown.append(seen(screen.getvalue())[-1])
            yield pair

    finish(progress_bar(noting(), file=screen))
    assert [line[:33] for line in shown] == ["", *(f"epoch {i}/4 [{'#' * (5 * i):-<20}] " for i in (1, 2, 3))]


@pytest.mark.parametrize("where", ["in the loop", "in the run"])
def test_an_error_finds_the_line_ended(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    without_tqdm(monkeypatch)
    screen = terminal(monkeypatch)

    def failing() -> Iterator[tuple[int, dict[str, object]]]:
        yield from epochs(2)
        raise FloatingPointError("in the run")

    with pytest.raises(FloatingPointError, match=where):
        for state, _ in progress_bar(failing(), file=screen):
            if state == 2 and where == "in the loop":
                raise FloatingPointError("in the loop")
    assert screen.getvalue().endswith("\n")
    assert seen(screen.getvalue())[-2].startswith("epoch 2/2 ")


def test_bars_within_bars_stand_one_below_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    without_tqdm(monkeypatch)
    screen = terminal(monkeypatch)
    for _ in progress_bar(epochs(2), file=screen):
        finish(progress_bar(epochs(5), file=screen))
    lines = seen(screen.getvalue())
    assert [line[:9] for line in lines] == ["epoch 5/5", "epoch 5/5", "epoch 2/2", ""]


def test_a_line_is_no_longer_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    without_tqdm(monkeypatch)
    screen = terminal(monkeypatch)
    long: Iterable[tuple[int, dict[str, object]]] = [(1, {"loss": 1.0, "metrics": {"a" * 300: 1.0}})]
    finish(progress_bar(long, file=screen))
    assert max(map(len, seen(screen.getvalue()))) == 79


def test_the_bar_makes_room_for_what_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    without_tqdm(monkeypatch)
    screen = terminal(monkeypatch)
    validated = {"epoch": 2, "epochs": 3, "loss": 0.09902, "validation_loss": 0.1234}
    for more in ({}, {"accuracy": 0.875}, {"accuracy": 0.875, "f1": 0.8125}):
        finish(progress_bar([(1, {**validated, "epoch": 1}), (2, {**validated, "metrics": more})], file=screen))
        line = seen(screen.getvalue())[-2]
        figures = "  loss 0.09902  validation loss 0.1234" + "".join(f"  {name} {value:.4g}" for name, value in more.items())
        assert line.startswith("epoch 2/3")
        assert line.endswith(figures)
        assert len(line) < 80


def test_a_shorter_line_leaves_nothing_of_a_longer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    without_tqdm(monkeypatch)
    screen = terminal(monkeypatch)
    ticking(monkeypatch, 1.0)
    with step_bar(file=screen) as bar:
        bar({"step": 1, "steps": 2, "loss": 0.123456})
        bar({"step": 2, "steps": 2})
    assert seen(screen.getvalue())[0].endswith("gone")


def test_a_stream_that_fails_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    without_tqdm(monkeypatch)
    closed = io.StringIO()
    closed.close()
    assert len(finish(progress_bar(epochs(3), file=closed))[1]) == 3
    broken = terminal(monkeypatch)

    def refusing(text: str) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(broken, "write", refusing)
    assert len(finish(progress_bar(epochs(3), file=broken))[1]) == 3
    monkeypatch.setattr(sys, "stderr", None)  # as in a program without a console
    assert len(finish(progress_bar(epochs(3)))[1]) == 3


def test_it_is_shown_beside_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    finish(progress_bar(epochs(1)))
    captured = capsys.readouterr()
    assert (captured.out, captured.err.split()[1]) == ("", "1/1")


def test_a_notebook_has_its_line_among_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    without_tqdm(monkeypatch)
    out, err = (type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})() for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    for state, _ in progress_bar(epochs(3)):
        print("state", state)
    assert err.getvalue() == ""
    *printed, line, end = seen(out.getvalue())
    assert (printed, line[:10], end) == (["state 1", "state 2", "state 3"], "epoch 3/3 ", "")


# Steps


WATCHED: dict[str, tuple[Callable[[Given | None], object], int]] = {
    "train": (lambda f: finish(train(NET, mse, P, X, np.eye(50, 2), epochs=2, lr=0.1, on_step=f))[0], 4),
    "overfit_check": (lambda f: overfit_check(SMALL, mse, SMALL_P, ROWS, VALUES, steps=13, target=0, on_step=f), 13),
    "check_grads": (lambda f: check_grads(SMALL, mse, SMALL_P, ROWS, VALUES, on_step=f), 13),
    "check_grads by directions": (lambda f: check_grads(SMALL, mse, SMALL_P, ROWS, VALUES, directions=3, on_step=f), 3),
}


@pytest.mark.parametrize("name", WATCHED)
def test_every_step_is_told_and_changes_nothing(name: str) -> None:
    function, steps = WATCHED[name]
    told: list[Mapping[str, object]] = []
    watched, alone = function(told.append), function(None)
    assert isinstance(watched, Mapping) and isinstance(alone, Mapping)
    assert watched.keys() == alone.keys()
    assert all(np.array_equal(watched[each], alone[each]) for each in alone)
    assert [(each["step"], each["steps"]) for each in told] == [(i + 1, steps) for i in range(steps)]
    assert all(a is not b for a, b in pairwise(told))
    with step_bar(file=(log := io.StringIO())) as bar:
        function(bar)
    assert [line.split()[:2] for line in log.getvalue().splitlines()] == [["step", f"{i}/{steps}"] for i in (1, steps)]


def test_a_wrong_gradient_is_found_as_before_when_steps_are_told() -> None:
    def doubled(outputs: Any, targets: Any) -> Any:
        value, d = mse(outputs, targets)
        return value, 2 * d

    told: list[Mapping[str, object]] = []
    found = check_grads(SMALL, doubled, SMALL_P, ROWS, VALUES, directions=2, on_step=told.append)
    assert found["verdict"] == "wrong"
    assert found == check_grads(SMALL, doubled, SMALL_P, ROWS, VALUES, directions=2)
    assert told == [{"step": 1, "steps": 2}, {"step": 2, "steps": 2}]


def test_the_loss_of_a_tiny_batch_is_told() -> None:
    told: list[Mapping[str, float]] = []
    found = overfit_check(SMALL, mse, SMALL_P, ROWS, VALUES, steps=5, target=0, on_step=told.append)
    assert told[0]["loss"] == pytest.approx(found["first_loss"])
    assert [each["loss"] for each in told] == sorted((each["loss"] for each in told), reverse=True)


def test_an_error_ends_the_line_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    without_tqdm(monkeypatch)
    screen = terminal(monkeypatch)
    with pytest.raises(KeyboardInterrupt), step_bar(file=screen) as bar:
        bar({"step": 1, "steps": 9})
        bar({"step": 2, "steps": 9})
        raise KeyboardInterrupt
    assert seen(screen.getvalue())[0].startswith("step 2/9 ")
    assert screen.getvalue().endswith("\n")


def test_after_its_end_a_bar_shows_nothing_and_hinders_nothing() -> None:
    with step_bar(file=(log := io.StringIO())) as bar:
        pass
    finish(run(epochs=2, on_step=bar))
    assert log.getvalue() == ""


def test_one_bar_shows_one_run_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "_LOG_EVERY", 0.0)
    ticking(monkeypatch, 1.0)
    with step_bar(file=(log := io.StringIO())) as bar:
        for i in (1, 2, 3, 4, 1, 2, 3, 4):
            bar({"step": i, "steps": 4})
    again = log.getvalue().splitlines()[4]
    assert re.match(r"step 1/4  25 %  0:0[123] gone, 0:0[3-9] left", again), again


def test_threads_may_tell_one_bar() -> None:
    with step_bar(file=io.StringIO()) as bar:
        told = [{"step": i, "steps": 999} for i in range(999)]
        threads = [threading.Thread(target=lambda: list(map(bar, told))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


# tqdm


def test_a_terminal_has_a_bar_of_tqdm_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm")
    screen = terminal(monkeypatch)
    for state, _ in progress_bar(epochs(40, first=21), file=screen):
        print("state", state, file=screen)
    *printed, line, end = seen(screen.getvalue())
    assert printed == [f"state {i}" for i in range(21, 41)]
    assert re.match(r"100%\|.*\| 40/40 \[00:00<00:00, .*epoch/s, loss 0.025\]", line), line
    assert end == ""


def test_steps_have_a_bar_of_tqdm_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm")
    screen = terminal(monkeypatch)
    with step_bar(file=screen) as bar:
        check_grads(SMALL, mse, SMALL_P, ROWS, VALUES, on_step=bar)
    assert re.match(r"100%\|.*\| 13/13 \[", seen(screen.getvalue())[0])


def test_tqdm_counts_what_says_no_total(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm")
    ticking(monkeypatch, 1.0)
    finish(progress_bar(((i, None) for i in range(30)), file=(screen := terminal(monkeypatch))))
    assert seen(screen.getvalue())[0].startswith("30it [00:")


def test_a_tqdm_that_fails_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    broken: Any = ModuleType("tqdm.auto")
    broken.tqdm = lambda **options: 1 / 0
    monkeypatch.setitem(sys.modules, "tqdm", ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", broken)
    assert len(finish(progress_bar(epochs(3), file=terminal(monkeypatch)))[1]) == 3


def test_a_file_has_no_bar_of_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    finish(progress_bar(epochs(2), file=(log := io.StringIO())))
    assert "\r" not in log.getvalue()


INVALID: Cases = {
    "a number": (lambda: progress_bar(bad(3)), TypeError, "progress_bar: run must be a generator of pairs .*, got 3"),
    "a generator of numbers": (
        lambda: list(progress_bar(bad([1]))), TypeError,
        "progress_bar: run must be a generator of pairs .*, got one of 1",
    ),
    "no function to check gradients by": (
        lambda: check_grads(SMALL, mse, SMALL_P, ROWS, VALUES, on_step=bad(3)), TypeError,
        "check_grads: on_step must be a function of one argument, got 3",
    ),
    "a function of none to check gradients by": (
        lambda: check_grads(SMALL, mse, SMALL_P, ROWS, VALUES, on_step=bad(lambda: None)), TypeError,
        r"check_grads: on_step must be a function of one argument, got .*, which takes \(\)",
    ),
    "no function to overfit by": (
        lambda: overfit_check(SMALL, mse, SMALL_P, ROWS, VALUES, on_step=bad(3)), TypeError,
        "overfit_check: on_step must be a function of one argument, got 3",
    ),
}


@pytest.mark.parametrize("name", INVALID)
def test_bad_input_is_told_in_a_sentence(name: str) -> None:
    assert_sentence(*INVALID[name])
