"""Training: equal to the loop by hand, stoppable, and its own master whatever the caller does in between."""

import inspect
import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest

from nnfunc import (
    AnyArray,
    Array,
    accuracy,
    adam,
    batches,
    best_params,
    calibrate,
    class_weight,
    clip_by_global_norm,
    count_steps,
    current_params,
    dense,
    early_stopping,
    finish,
    fold_in,
    forward,
    init,
    l2,
    linear_schedule,
    loss,
    masked,
    mse,
    reduce_on_plateau,
    train,
    value_and_grads,
)
from nnfunc.training import loop
from tests.numeric import bad, same_bits
from tests.samples import CE
from tests.sentences import Cases, assert_sentence
from tests.training.runs import BN, NET, XV, YV, P, X, Y, last, run


def test_it_is_the_loop_by_hand() -> None:
    key, (opt_init, step), schedule = (7, 1), adam(), linear_schedule(0.02, 0.001, 10)
    clip = partial(clip_by_global_norm, limit=0.5)
    params, state, done = P, opt_init(P), 0
    runs = train(
        NET, CE, P, X, Y, epochs=3, lr=schedule, optimizer=adam(), size=16, key=key, penalty=l2(1e-3), transform=clip,
        validation=(XV, YV), metrics={"accuracy": accuracy},
    )  # fmt: skip
    for epoch, (held, report) in enumerate(runs):
        total = 0.0
        for rows in batches(fold_in(fold_in(key, 0), epoch), len(X), 16):
            noise = fold_in(fold_in(key, 1), done)
            value, g = value_and_grads(NET, CE, params, X[rows], Y[rows], penalty=l2(1e-3), key=noise)
            params, state = step(params, clip(g), state, schedule(done))
            total, done = total + value * len(rows), done + 1
        assert same_bits(dict(current_params(held)), dict(params))
        assert (report["epoch"], report["step"], report["lr"]) == (epoch + 1, done, schedule(done - 1))
        assert report["loss"] == pytest.approx(total / 50, rel=1e-12)
        assert report["validation_loss"] == loss(NET, CE, params, XV, YV)
        assert report["metrics"] == {"accuracy": accuracy(forward(NET, params, XV), YV)}
        assert report["grad_norm"] == pytest.approx(math.sqrt(sum(float((a.astype(float) ** 2).sum()) for a in g.values())))
        assert report["rows_per_second"] == pytest.approx(50 / report["seconds"])
    assert done == 12  # 16 + 16 + 16 + 2 rows, three times


def test_row_weights() -> None:
    weight = class_weight(Y, "balanced") * (np.arange(50) % 5 > 0)
    kept = np.flatnonzero(weight)
    a, report = last(train(NET, CE, P, X, Y, epochs=2, lr=0.1, weight=weight))
    b, _ = last(train(NET, CE, P, X[kept], Y[kept], epochs=2, lr=0.1, weight=weight[kept]))
    assert same_bits(current_params(a), current_params(b))
    one, other = (last(train(NET, CE, P, X, Y, epochs=1, lr=0.1, size=50, weight=w))[1] for w in (weight, 3 * weight))
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-12)


def test_the_key_decides_everything() -> None:
    a, b, c = (last(train(NET, CE, P, X, Y, epochs=2, lr=0.1, key=key))[0] for key in (1, 1, 2))
    assert same_bits(dict(a), dict(b))
    assert not same_bits(current_params(a), current_params(c))


def test_epochs_are_shuffled_afresh() -> None:
    seen: list[list[int]] = []

    def noted(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
        seen.append(targets[:, 0].astype(int).tolist())
        return mse(outputs, targets)

    rows = np.arange(10.0)[:, None]
    net = dense(1, 1)
    list(train(net, noted, init(net, 0), rows, rows, epochs=2, lr=0.0, size=4))
    first, second = sum(seen[:3], []), sum(seen[3:], [])
    assert [len(batch) for batch in seen] == [4, 4, 2] * 2
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


# Monitors in a run


def scripted(values: list[float]) -> partial[float]:
    return partial(lambda values, report: values[report["epoch"] - 1], values)


def test_early_stopping_hands_back_the_best() -> None:
    script = [3.0, 1.0, math.nan, 0.95, 2.0, 0.1]
    found = {
        report["epoch"]: state
        for state, report in train(
            NET, CE, P, X, Y, epochs=9, lr=0.1, stopping=early_stopping(3, min_delta=0.1), monitor=scripted(script)
        )
    }
    assert list(found) == [1, 2, 3, 4, 5]  # 0.95 is not 0.1 better than 1
    assert same_bits(best_params(found[5]), current_params(found[2]))
    assert not same_bits(best_params(found[5]), current_params(found[5]))


def test_the_validation_loss_is_what_is_watched() -> None:
    runs = list(train(NET, CE, P, X, Y, epochs=60, lr=1.0, validation=(XV, YV)))
    losses = [report["validation_loss"] or math.inf for _, report in runs]
    assert same_bits(best_params(runs[-1][0]), current_params(runs[losses.index(min(losses))][0]))
    assert 0 < losses.index(min(losses)) < 59


def test_nothing_monitored_is_finite() -> None:
    state, _ = last(train(NET, CE, P, X, Y, epochs=9, lr=0.1, stopping=early_stopping(2), monitor=lambda report: math.nan))
    assert int(state["train/epoch"]) == 2
    assert same_bits(best_params(state), current_params(state))


def test_a_plateau_lowers_the_learning_rate() -> None:
    script = scripted([1.0, 1.0, 1.0, 0.5, 0.5, 0.5])
    runs = train(NET, CE, P, X, Y, epochs=6, lr=0.4, plateau=reduce_on_plateau(0.5, patience=1), monitor=script)
    assert [report["lr"] for _, report in runs] == [0.4, 0.4, 0.4, 0.2, 0.2, 0.2]


def test_breaking_off_leaves_the_state() -> None:
    for state, report in train(NET, CE, P, X, Y, epochs=100, lr=0.1):
        if report["epoch"] == 2:
            break
    straight, _ = last(train(NET, CE, P, X, Y, epochs=2, lr=0.1))
    assert same_bits(dict(state), dict(straight))


# Batch norm


def test_batch_norm_is_calibrated_before_validation() -> None:
    for state, report in train(BN, CE, init(BN, 0), X, Y, epochs=3, lr=0.1, size=16, validation=(XV, YV)):
        params = current_params(state)
        assert same_bits(params, calibrate(BN, params, X))
        assert report["validation_loss"] == loss(BN, CE, params, XV, YV)
    assert "norm/var" in params


def test_a_lone_last_row_joins_the_batch_before() -> None:
    _, report = last(train(BN, CE, init(BN, 0), X[:49], Y[:49], epochs=1, lr=0.1, size=16))
    assert report["step"] == 3
    _, report = last(train(NET, CE, P, X[:49], Y[:49], epochs=1, lr=0.1, size=16))
    assert report["step"] == 4


# Validation


def test_a_validation_loss_that_overflows_never_improves() -> None:
    net, far = dense(4, 4), np.full((2, 4), 3e38, np.float32)
    params = {"W": np.full((4, 4), 2, np.float32), "b": np.zeros(4, np.float32)}
    metrics = {"width": lambda outputs, y: np.abs(outputs).max(), "accuracy": lambda outputs, y: accuracy(outputs, [0, 1])}
    runs = list(
        train(net, mse, params, X, X, epochs=9, lr=0.1, validation=(far, -far), stopping=early_stopping(3),
              plateau=reduce_on_plateau(0.5, patience=0), metrics=metrics)  # fmt: skip
    )
    assert [report["epoch"] for _, report in runs] == [1, 2, 3]
    assert all(math.isnan(report["validation_loss"] or 0) for _, report in runs)
    assert [report["lr"] for _, report in runs] == [0.1, 0.05, 0.025]
    assert not math.isfinite(runs[0][1]["metrics"]["width"])
    assert math.isnan(runs[0][1]["metrics"]["accuracy"])


def test_a_metric_cannot_change_what_the_next_one_sees() -> None:
    def spoiling(outputs: Array, y: AnyArray) -> float:
        outputs[:] = 0
        return 0.0

    with pytest.raises(ValueError, match="read-only"):
        next(train(NET, CE, P, X, Y, epochs=1, lr=0.1, validation=(XV, YV), metrics={"a": spoiling}))


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_data_that_change_between_epochs_change_nothing(weighted: bool) -> None:
    weight = np.arange(50.0) if weighted else None
    straight, _ = last(train(NET, CE, P, X, Y, epochs=3, lr=0.1, weight=weight, validation=(XV, YV)))
    given = x, y, xv, yv = X.copy(), Y.copy(), XV.copy(), YV.copy()
    runs = train(NET, CE, P, x, y, epochs=3, lr=0.1, weight=weight, validation=(xv[:], yv))
    for state, _ in runs:
        for array in given:
            array[:] = 0
    assert same_bits(dict(state), dict(straight))


# To the end, in one go


def test_finish_gives_the_last_state_and_every_report() -> None:
    state, reports = finish(train(NET, CE, P, X, Y, epochs=3, lr=0.1))
    pairs = list(train(NET, CE, P, X, Y, epochs=3, lr=0.1))
    assert same_bits(dict(state), dict(pairs[-1][0]))
    assert [report["loss"] for report in reports] == [report["loss"] for _, report in pairs]
    assert finish([(1, "a"), (2, "b")]) == (2, ["a", "b"])


def test_finish_writes_no_state_out() -> None:
    written: list[int] = []

    class State:
        def __repr__(self) -> str:
            written.append(1)
            return "state"

    finish([(State(), 0)])
    assert not written


def test_finish_holds_one_state_at_a_time() -> None:
    taken: list[int] = []

    def pairs() -> Iterator[tuple[list[int], int]]:
        for i in range(3):
            yield [i], i
            taken.append(i)

    assert finish(pairs()) == ([2], [0, 1, 2])
    assert taken == [0, 1, 2]


@pytest.mark.parametrize("n", [1, 31, 32, 33, 64, 65])
def test_steps_are_counted_as_train_takes_them(n: int) -> None:
    x, y = np.resize(X, (n, 4)), np.resize(Y, n)
    for epochs, size in ((1, 32), (3, 7), (2, 100)):
        _, reports = finish(train(NET, CE, P, x, y, epochs=epochs, lr=0.1, size=size))
        assert reports[-1]["step"] == count_steps(n, epochs=epochs, size=size)
    weight = np.arange(n) % 3 - np.arange(n) % 2
    weight = np.where(weight > 0, weight, np.arange(n) == 0)
    _, reports = finish(train(NET, CE, P, x, y, epochs=2, lr=0.1, weight=weight))
    assert reports[-1]["step"] == count_steps(np.count_nonzero(weight), epochs=2)
    gaps = np.where(weight > 0, y, np.nan)
    _, reports = finish(train(NET, masked(CE), P, x, gaps, epochs=2, lr=0.1))
    assert reports[-1]["step"] == count_steps(np.count_nonzero(~np.isnan(gaps)), epochs=2)
    if n > 1:
        less = 2 if n % 32 == 1 else 0
        _, reports = finish(train(BN, CE, init(BN, 0), x, y, epochs=2, lr=0.1))
        assert reports[-1]["step"] == count_steps(n, epochs=2) - less


def test_steps_are_counted_for_the_batches_of_train() -> None:
    defaults = [inspect.signature(f).parameters["size"].default for f in (count_steps, train)]
    assert defaults[0] == defaults[1] == 32


BAD: Cases = {
    "a run that yields nothing": (
        lambda: finish(iter(())),
        ValueError, r"finish: run must yield at least one pair \(state, report\), got none \(more epochs than are done give more\)",
    ),
    "a run that is done": (
        lambda: finish(run(params=next(run())[0])), ValueError, r"finish: run must yield at least one pair .*, got none .*",
    ),
    "a state in place of a run": (
        lambda: finish(bad(next(run())[0])), TypeError, r"finish: run must be a generator of pairs \(state, report\), .*, got one of 'best/.*",
    ),
    "a pair in place of a run": (
        lambda: finish(bad(next(run()))), TypeError, r"finish: run must be a generator of pairs .*, got one of mappingproxy\(.*",
    ),
    "words in place of pairs": (lambda: finish(bad(["ab"])), TypeError, r"finish: run must be a generator .*, got one of 'ab'"),
    "a number": (lambda: finish(bad(3)), TypeError, r"finish: run must be a generator of pairs .*, as train is, got 3"),
    "an array without axes": (lambda: finish(bad(np.array(3))), TypeError, r"finish: run must be a generator .*, got int64 array .*"),
    "train itself": (lambda: finish(bad(train)), TypeError, r"finish: run must be a generator .*, got the function train"),
    "no rows": (lambda: count_steps(0, epochs=1), ValueError, r"count_steps: n must be at least 1, got 0"),
    "half an epoch": (lambda: count_steps(5, epochs=bad(0.5)), TypeError, r"count_steps: epochs must be an integer, got 0.5"),
    "data for their number": (lambda: count_steps(bad(X), epochs=1), TypeError, r"count_steps: n must be an integer, got float32 .*"),
    "size of 0": (lambda: count_steps(5, epochs=1, size=0), ValueError, r"count_steps: size must be at least 1, got 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])


def test_the_advice_to_a_run_that_is_done_works() -> None:
    state, _ = finish(run())
    assert len(finish(run(params=state, epochs=2))[1]) == 1


def test_what_cannot_change_in_a_run_is_found_once_and_not_at_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    for module, name in ((loop, "statistics"), (loop, "fold_in"), (loop, "as_number"), (loop, "section")):
        monkeypatch.setattr(module, name, partial(_counted, counted, name, getattr(module, name)))
    net = dense(1, 1)
    found: list[Counter[str]] = []
    for epochs, n in ((2, 4), (2, 400), (6, 4)):
        counted.clear()
        finish(train(net, mse, init(net, 0), np.ones((n, 1)), np.ones((n, 1)), epochs=epochs, lr=0.1, size=4))
        found.append(Counter(counted))
    assert found[0] == found[1]  # a hundred times as many steps
    assert found[2] - found[0] == Counter(fold_in=3 * 4)  # the keys of an epoch's order and of its noise


def _counted(counted: list[str], name: str, f: Callable[..., object], *args: object, **options: object) -> object:
    counted.append(name)
    return f(*args, **options)
