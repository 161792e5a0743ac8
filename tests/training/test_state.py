"""The state of a run: flat and frozen, saved and loaded, and gone on from to the same bytes."""

import pickle
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnfunc import (
    Array,
    DType,
    Key,
    Monitor,
    Optimizer,
    Params,
    Pullback,
    Report,
    State,
    accuracy,
    adagrad,
    adam,
    adamw,
    averaged,
    averaged_params,
    best_params,
    by_name,
    chain,
    current_params,
    dense,
    early_stopping,
    init,
    linear_schedule,
    momentum,
    progress,
    progress_line,
    reduce_on_plateau,
    rmsprop,
    sgd,
    train,
)
from tests import samples
from tests.numeric import bad, same_bits
from tests.samples import CE
from tests.sentences import Cases, assert_sentence
from tests.training.runs import BN, NET, XV, YV, P, X, Y, last, run


@pytest.mark.parametrize("cut", [1, 3])
def test_going_on_from_a_state_gives_the_same_bytes(cut: int) -> None:
    def runs(start: Params | State, epochs: int) -> Iterator[tuple[State, Report]]:
        return train(
            BN, CE, start, X, Y, epochs=epochs, lr=linear_schedule(0.05, 0.01, 8), optimizer=momentum(), size=16, key=3,
            validation=(XV, YV), stopping=early_stopping(50), plateau=reduce_on_plateau(0.5, patience=0),
        )  # fmt: skip

    whole, _ = last(runs(init(BN, 0), 5))
    half, _ = last(runs(init(BN, 0), cut))
    rest, report = last(runs(pickle.loads(pickle.dumps(half)), 5))
    assert same_bits(dict(whole), dict(rest))
    assert report["epoch"] == 5
    assert list(runs(whole, 5)) == []


def test_a_state_is_flat_frozen_and_of_arrays() -> None:
    state, _ = last(train(BN, CE, init(BN, 0), X, Y, epochs=1, lr=0.1, optimizer=adam(), validation=(XV, YV)))
    assert all(isinstance(a, np.ndarray) and not a.flags.writeable for a in state.values())
    assert {name.partition("/")[0] for name in state} == {"params", "best", "optimizer", "stopping", "train"}
    assert "optimizer/m/hidden/W" in state
    with pytest.raises(TypeError):
        frozen: Any = state
        frozen["train/epoch"] = np.asarray(0)


def test_params_of_a_state_are_frozen_and_its_own() -> None:
    state, _ = last(train(NET, CE, P, X, Y, epochs=1, lr=0.1))
    loaded = {name: a.copy() for name, a in state.items()}
    for params in (current_params(loaded), best_params(loaded)):
        kept = {name: a.copy() for name, a in params.items()}
        for array in loaded.values():
            array[...] = 0
        assert same_bits(dict(params), kept)
        assert not any(a.flags.writeable for a in params.values())
        with pytest.raises(TypeError):
            frozen: Any = params
            frozen["out/b"] = np.zeros(2)
        loaded = {name: a.copy() for name, a in state.items()}


def test_a_state_that_changes_before_the_run_starts_changes_nothing() -> None:
    state, _ = last(train(NET, CE, P, X, Y, epochs=1, lr=0.1))
    loaded = {name: a.copy() for name, a in state.items()}
    runs = train(NET, CE, loaded, X, Y, epochs=2, lr=0.1)
    loaded["params/out/b"][:] = 9
    assert same_bits(dict(last(runs)[0]), dict(last(train(NET, CE, P, X, Y, epochs=2, lr=0.1))[0]))


OPTIMIZERS: dict[str, Optimizer | None] = {
    "none given": None,
    "sgd": sgd(),
    "momentum": momentum(),
    "nesterov": momentum(nesterov=True),
    "rmsprop, centred": rmsprop(centered=True),
    "adagrad": adagrad(),
    "adam": adam(),
    "adamw": adamw(),
}
STOPPING: dict[str, Monitor | None] = {"no stopping": None, "stopping": early_stopping(9, 0.01)}
PLATEAUS: dict[str, Monitor | None] = {"no plateau": None, "plateau": reduce_on_plateau(0.5, patience=0)}


@pytest.mark.parametrize("stopping", STOPPING)
@pytest.mark.parametrize("plateau", PLATEAUS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_saved_and_loaded_it_goes_on_to_the_same_bytes(
    optimizer: str, plateau: str, stopping: str, tmp_path: Path
) -> None:
    def end(start: Params | State, epochs: int) -> State:
        return last(
            train(
                BN, CE, start, X, Y, epochs=epochs, lr=0.05, optimizer=OPTIMIZERS[optimizer],
                plateau=PLATEAUS[plateau], stopping=STOPPING[stopping],
            )  # fmt: skip
        )[0]

    np.savez(tmp_path / "run.npz", allow_pickle=False, **end(init(BN, 0), 2))
    with np.load(tmp_path / "run.npz") as file:
        loaded = dict(file)
    assert same_bits(dict(end(loaded, 4)), dict(end(init(BN, 0), 4)))


def test_a_layer_called_train_may_have_a_parameter_called_epoch() -> None:
    def named_init(key: Key, dtype: DType) -> Params:
        return {"epoch": np.zeros(4, dtype)}

    def named_forward(params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
        return x + params["epoch"], lambda dy: ({"epoch": dy.sum(axis=0)}, lambda: dy)

    net = chain(train=(named_init, named_forward), out=dense(4, 2))
    (half, _), (whole, _) = train(net, CE, init(net, 0), X, Y, epochs=2, lr=0.1)
    assert list(current_params(half)) == ["train/epoch", "out/W", "out/b"]
    assert same_bits(dict(last(train(net, CE, half, X, Y, epochs=2, lr=0.1))[0]), dict(whole))


def test_a_plateau_is_not_dropped_without_a_word() -> None:
    state, _ = last(train(NET, CE, P, X, Y, epochs=1, lr=0.1, plateau=reduce_on_plateau()))
    with pytest.raises(ValueError, match="train: plateau must be given again, as the state was made with one, got None"):
        train(NET, CE, state, X, Y, epochs=2, lr=0.1)


def test_progress_lines_read_well() -> None:
    _, report = last(train(NET, CE, P, X, Y, epochs=1, lr=0.1, validation=(XV, YV), metrics={"accuracy": accuracy}))
    pattern = r"epoch   1  loss \d\.\d{4}  validation loss \d\.\d{4}  accuracy \d\.\d{4}  lr 0\.1  \|g\| \S+  [\d,]+ rows/s"
    assert re.fullmatch(pattern, progress_line(report))


def resume(gone: str) -> Iterator[tuple[State, Report]]:
    """Go on from a state of which what starts so is gone."""
    return run(params={name: a for name, a in next(run())[0].items() if not name.startswith(gone)}, epochs=2)


BAD: Cases = {
    "key of another run": (
        lambda: run(params=next(run())[0], key=5),
        ValueError,
        r"train: key must be that of the state.*, got 5",
    ),
    "optimiser of another run": (
        lambda: run(params=next(run())[0], optimizer=adam(), epochs=9),
        ValueError,
        r"train: optimizer must be the one that the state was made with, got one whose own state holds \['t/hid.*, where the state of the run so far holds nothing",
    ),
    "net of another run": (
        lambda: next(run(params=next(run())[0], net=samples.BN, epochs=9)),
        ValueError,
        r"(?s)train: params must be those of the network.*hidden/W +extra.*",
    ),
    "best of plain params": (
        lambda: best_params(samples.P),
        ValueError,
        r"best_params: state must be one that train yields, got a mapping of .*",
    ),
    "current of None": (
        lambda: current_params(bad(None)),
        TypeError,
        r"current_params: state must be one that train yields, got None",
    ),
    "state without its step": (
        lambda: resume("train/step"),
        ValueError,
        r"train: state must be one that train yields, which holds train/step, got a mapping .*",
    ),
    "state without its key": (
        lambda: resume("train/key"),
        ValueError,
        r"train: state must be one that train yields, which holds train/key, got a mapping .*",
    ),
    "state without its epoch": (
        lambda: resume("train/epoch"),
        ValueError,
        r"train: state must be one .*, which holds train/epoch, got a mapping .*",
    ),
    "state without its stopping": (
        lambda: resume("stopping/"),
        ValueError,
        r"train: state must be one .*, which holds stopping/..., got a mapping .*",
    ),
    "stopping of another kind": (
        lambda: resume("stopping/stop"),
        ValueError,
        r"train: stopping must be the one that the state was made with, got one whose own state holds .*'stop'\], where the state .*'improved'\]",
    ),
    "plateau of another run": (
        lambda: run(params=next(run())[0], plateau=reduce_on_plateau()),
        ValueError,
        r"train: plateau must be the one .* holds nothing",
    ),
    "params a list": (
        lambda: run(params={**next(run())[0], "params/out/b": [0, 0]}),
        TypeError,
        r"train: state\['params/out/b'\] must be an array, got .*",
    ),
    "step an array": (
        lambda: run(params={**next(run())[0], "train/step": samples.X}),
        TypeError,
        r"train: state\['train/step'\] must be a count, got float32 .*",
    ),
    "step below 0": (
        lambda: run(params={**next(run())[0], "train/step": np.asarray(-1)}),
        ValueError,
        r"train: state\['train/step'\] must be at least 0, got -1",
    ),
    "best of half a state": (
        lambda: best_params({"train/epoch": samples.X}),
        ValueError,
        r"best_params: state must be one that train yields, which holds train/step, .*",
    ),
    "average of plain params": (
        lambda: averaged_params(samples.P),
        ValueError,
        r"averaged_params: state must be that of an optimiser averaged\(...\), or of a run with it,"
        r" got a mapping of \['hidden/W', .*",
    ),
    "average of another run": (
        lambda: averaged_params(next(run(optimizer=adam()))[0]),
        ValueError,
        r"averaged_params: state must be that of .*, got a mapping of \['best/hidden/W', .*",
    ),
    "average of params of a layer called average": (
        lambda: averaged_params({"average/W": samples.X}),
        ValueError,
        r"averaged_params: state must be that of .*, got a mapping of \['average/W'\]",
    ),
    "average inside groups": (
        lambda: averaged_params(by_name({"*": averaged(adam(), 0.5)})[0](samples.P)),
        ValueError,
        r"averaged_params: state must be that of .* \(select\(state, '0'\) is that of one inside another\), got a mapping of \['0/t/.*",
    ),
    "average inside the groups of a run": (
        lambda: averaged_params(next(run(optimizer=by_name({"*": averaged(adam(), 0.5)})))[0]),
        ValueError,
        r"averaged_params: state must be that of .* \(select\(state, 'optimizer/0'\) is that of one inside another\), got .*",
    ),
    "average of None": (
        lambda: averaged_params(bad(None)),
        TypeError,
        r"averaged_params: state must be a mapping of names to arrays, got None",
    ),
    "average of text": (
        lambda: averaged_params(bad({"average/W": "x", "t/W": np.asarray(1)})),
        TypeError,
        r"averaged_params: state\['average/W'\] must hold numbers, got <U1 .*",
    ),
    "report empty": (
        lambda: progress_line(bad({})),
        ValueError,
        r"progress_line: report must hold epoch, .*, as one that train yields, got \[\]",
    ),
    "report None": (
        lambda: progress_line(bad(None)),
        TypeError,
        r"progress_line: report must be one that train yields, got None",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])


# What goes on and what does not


def stopped(**changed: Any) -> State:
    return last(run(**{"epochs": 9, "stopping": early_stopping(1, min_delta=9.0), **changed}))[0]


def test_a_stopped_run_goes_on_when_nothing_stops_it_or_later() -> None:
    state = stopped()
    assert progress(state) == {"epoch": 2, "step": 2, "stopped": True}
    assert [report["epoch"] for _, report in run(params=state, epochs=5)] == [3, 4, 5]
    assert [report["epoch"] for _, report in run(params=state, epochs=9, stopping=early_stopping(2, min_delta=9.0))] == [3]
    assert [report["epoch"] for _, report in run(params=state, epochs=9, stopping=early_stopping(3, min_delta=9.0))] == [3, 4]
    # The same bytes as a run with that patience from the start.
    patient = {"epochs": 9, "stopping": early_stopping(3, min_delta=9.0)}
    assert same_bits(dict(last(run(params=state, **patient))[0]), dict(last(run(**patient))[0]))


def test_a_run_that_is_done_has_nothing_more_to_give() -> None:
    assert list(run(params=stopped(), epochs=2, stopping=early_stopping(1, min_delta=9.0))) == []
    state, _ = last(run(epochs=3))
    assert list(run(params=state, epochs=3)) == []
    assert [report["epoch"] for _, report in run(params=state, epochs=progress(state)["epoch"] + 1)] == [4]


def test_a_stopped_state_of_a_file_without_what_was_monitored_is_refused_too() -> None:
    state = {name: a for name, a in stopped().items() if not name.startswith(("train/before", "train/monitored"))}
    assert_sentence(lambda: run(params=state, epochs=9), ValueError, r"train: state must be one that goes on .*")


STOPPED: Cases = {
    "the same stopping": (
        lambda: run(params=stopped(), epochs=9, stopping=early_stopping(1, min_delta=9.0)),
        ValueError,
        r"train: state must be one that goes on \(give stopping more patience, or none; or start from current_params\(state\)\),"
        r" got one that stopping has ended after epoch 2",
    ),
    "fewer epochs than are done": (
        lambda: run(params=last(run(epochs=5))[0], epochs=2),
        ValueError,
        r"train: epochs must be at least the 5 that are done, got 2",
    ),
    "no state": (
        lambda: progress({"W": np.ones(1)}),
        ValueError,
        r"progress: state must be one that train yields, got a mapping of \['W'\]",
    ),
}


@pytest.mark.parametrize("case", STOPPED)
def test_a_run_that_does_not_go_on_says_so(case: str) -> None:
    assert_sentence(*STOPPED[case])


# What is watched stays the same


def watching(start: Params | State, epochs: int, **changed: Any) -> Iterator[tuple[State, Report]]:
    return train(NET, CE, start, X, Y, epochs=epochs, lr=0.1, stopping=early_stopping(9), **changed)


HELD = {"validation": (XV, YV)}
WATCHING: dict[str, dict[str, Any]] = {
    "the loss": {},
    "the validation loss": HELD,
    "a metric": {**HELD, "metrics": {"accuracy": accuracy}, "monitor": lambda report: -report["metrics"]["accuracy"]},
    "the loss beside validation data": {**HELD, "monitor": lambda report: report["loss"]},
}
AGAIN = r"be given again, as in the run so far \(or start from current_params\(state\)\), got None"
NOT = r"not be given, as in the run so far \(or start from current_params\(state\)\), got"
CHANGED = [
    ("the validation loss", "the loss", f"train: validation must {AGAIN}"),
    ("the loss", "the validation loss", f"train: validation must {NOT} data"),
    ("a metric", "the validation loss", f"train: monitor must {AGAIN}"),
    ("a metric", "the loss", f"train: monitor must {AGAIN}"),
    ("the loss", "a metric", f"train: monitor must {NOT} the function <lambda>"),
    ("the validation loss", "the loss beside validation data", f"train: monitor must {NOT} the function <lambda>"),
]


@pytest.mark.parametrize("before, after, message", CHANGED)
def test_another_value_is_not_compared_with_the_best_so_far(before: str, after: str, message: str) -> None:
    state, _ = last(watching(P, 3, **WATCHING[before]))
    for epochs in (3, 9):
        assert_sentence(partial(watching, state, epochs, **WATCHING[after]), ValueError, message)
    _, report = last(watching(current_params(state), 2, **WATCHING[after]))
    assert report["epoch"] == 2


@pytest.mark.parametrize("watched", WATCHING)
def test_what_is_watched_again_goes_on_to_the_same_bytes(watched: str) -> None:
    whole, _ = last(watching(P, 5, **WATCHING[watched]))
    half, _ = last(watching(P, 2, **WATCHING[watched]))
    assert same_bits(dict(last(watching(half, 5, **WATCHING[watched]))[0]), dict(whole))
    # A file from before this was kept goes on too, and from then on it is known.
    older = {name: array for name, array in half.items() if name != "train/watches"}
    assert same_bits(dict(last(watching(older, 5, **WATCHING[watched]))[0]), dict(whole))


def test_what_a_damaged_state_says_of_it_is_refused() -> None:
    state, _ = last(watching(P, 1))
    damaged = {**state, "train/watches": np.zeros(3)}
    assert_sentence(lambda: watching(damaged, 2), ValueError, r"train: validation must be .*")


def test_its_advice_works() -> None:
    fresh = current_params(stopped())
    assert [report["epoch"] for _, report in run(params=fresh, epochs=2)] == [1, 2]
