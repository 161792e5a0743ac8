"""Optimisers made of optimisers: values of optax 0.2.8, laws beside the plain ones, batch norm, going on from a file, misuse."""

import math
import pickle
from pathlib import Path
from typing import SupportsFloat

import numpy as np
import pytest

from nnfunc import (
    DType,
    Optimizer,
    Params,
    State,
    adagrad,
    adam,
    adamw,
    averaged,
    averaged_params,
    batch_norm,
    best_params,
    by_name,
    calibrate,
    chain,
    current_params,
    dense,
    finish,
    forward,
    freeze,
    grads,
    init,
    load,
    momentum,
    rmsprop,
    save,
    scaled,
    select,
    sgd,
    train,
)
from tests.numeric import bad, same_bits
from tests.samples import CE, NET, P
from tests.sentences import Cases, assert_sentence
from tests.training.runs import BN, X, Y

START = freeze({"a/W": [[1.0, -2.0]], "a/b": [0.5], "c/W": [[3.0]], "c/b": [-1.0]})
PLAIN: dict[str, Optimizer] = {
    "sgd": sgd(), "momentum": momentum(), "rmsprop": rmsprop(centered=True, beta=0.5), "adagrad": adagrad(), "adam": adam(),
    "adamw": adamw(),
}  # fmt: skip
GROUPS = by_name({"hidden/*": scaled(adam(), 0.1), "norm/*": None, "*/b": sgd(), "*": momentum()})


def steps(optimizer: Optimizer, n: int, params: Params = START, lr: float = 0.1, few: bool = False) -> list[tuple[Params, State]]:
    """Take steps along gradients that go with the params, every second one without some of them."""
    opt_init, step = optimizer
    state = opt_init(params)
    found = []
    for i in range(n):
        g = {name: a**3 + np.cos(a + i) for name, a in params.items() if not (few and i % 2 and name.startswith("a"))}
        params, state = step(params, g, state, lr)
        found.append((params, state))
    return found


# Groups of params


def test_groups_and_their_average_are_those_of_optax() -> None:
    # multi_transform of adam(0.01), sgd(0.1, momentum=0.9) and set_to_zero, and ema(0.9, debias=True) of the params
    params: Params = {name: np.array([1.0, -2.0]) for name in ("a", "b", "c")}
    opt_init, step = averaged(by_name({"a": scaled(adam(), 0.1), "b": momentum(), "*": None}), 0.9)
    state = opt_init(params)
    for _ in range(5):
        params, state = step(params, {name: 0.1 * p**3 for name, p in params.items()}, state, 0.1)
    average = averaged_params(state)
    assert params["a"].tolist() == pytest.approx([0.95015100462167, -1.95007019641958], abs=1e-13)
    assert params["b"].tolist() == pytest.approx([0.87717611800539, -1.17348738840974], abs=1e-13)
    assert average["a"].tolist() == pytest.approx([0.96796509933401, -1.96793181849603], abs=1e-13)
    assert average["b"].tolist() == pytest.approx([0.93345607341595, -1.53017218166499], abs=1e-13)
    assert params["c"].tolist() == average["c"].tolist() == [1.0, -2.0]


@pytest.mark.parametrize("few", [False, True], ids=["all gradients", "some gradients"])
@pytest.mark.parametrize("name", PLAIN)
def test_wrappers_that_change_nothing(name: str, few: bool) -> None:
    o = PLAIN[name]
    dtypes: list[DType] = [np.dtype(np.float32), np.dtype(np.float64)]
    for dtype in dtypes:
        start: Params = {n: a.astype(dtype) for n, a in START.items()}
        plain = steps(o, 5, start, few=few)
        for same in (by_name({"*": o}), scaled(o, 1), averaged(o, 0.9), by_name({"a*": o, "c/W": o, "*": o})):
            assert all(same_bits(a, b) for (a, _), (b, _) in zip(steps(same, 5, start, few=few), plain, strict=True))
        state = {f"0/{full}": array for full, array in plain[-1][1].items()}
        assert same_bits(dict(steps(by_name({"*": o}), 5, start, few=few)[-1][1]), state)


def test_the_first_pattern_that_matches_wins_and_states_are_numbered() -> None:
    (params, state), *_ = steps(by_name({"a/W": None, "a/*": momentum(), "[xc]/b": adam(), "*": sgd()}), 1)
    assert list(params) == list(START)
    assert list(state) == ["1/velocity/a/b", "2/t/c/b", "2/m/c/b", "2/v/c/b"]
    assert same_bits(params["a/W"], START["a/W"])
    for name, o in (("a/b", momentum()), ("c/b", adam()), ("c/W", sgd())):
        assert same_bits(params[name], steps(o, 1)[0][0][name])


def test_none_leaves_params_and_shares_nothing_with_those_that_are_given() -> None:
    mine = {name: a.copy() for name, a in START.items()}
    (params, state), *_ = steps(by_name({"*": None}), 1, mine)
    assert same_bits(dict(params), dict(START)) and dict(state) == {}
    assert not any(a.flags.writeable or np.may_share_memory(a, mine[name]) for name, a in params.items())
    assert all(a.flags.writeable for a in mine.values())
    assert not by_name({"*": None})[1]({}, {}, {}, 1)[0]


def test_an_optimizer_may_name_its_state_as_it_likes() -> None:
    def own_init(params: Params) -> State:
        return {"0/1": np.asarray(0), "t": np.asarray(1.0), "": np.asarray(2)}

    def own_step(params: Params, grads: Params, state: State, lr: SupportsFloat) -> tuple[Params, State]:
        new = {name: p - float(lr) * float(state["t"]) * grads[name] for name, p in params.items()}
        return new, {"0/1": state["0/1"] + 1, "t": state["t"] / 2, "": state[""]}

    own = (own_init, own_step)
    params, state = steps(averaged(by_name({"a/*": own, "c/*": own}), 0.5), 3)[-1]
    assert same_bits(dict(params), dict(steps(own, 3)[-1][0]))
    assert [float(state[f"inner/{name}"]) for name in ("0/0/1", "1/t", "1/")] == [3, 0.125, 2]


NORM = calibrate(BN, init(BN, 0), X)
WRAPPED: dict[str, Optimizer] = {
    "all by one": by_name({"*": adam()}), "beside gamma": by_name({"norm/*": adam(), "*": sgd()}),
    "apart from gamma": by_name({"hidden/*": adam(), "*/gamma": adam(), "*": adam()}), "left": by_name({"norm/*": None, "*": adam()}),
    "scaled": scaled(adam(), 0.5), "averaged": averaged(adam(), 0.9), "averaged groups": averaged(by_name({"*/gamma": adam(), "*": sgd()}), 0.9),
}  # fmt: skip


@pytest.mark.parametrize("name", WRAPPED)
def test_statistics_are_left_out_by_each_step(name: str) -> None:
    opt_init, step = WRAPPED[name]
    params, state = NORM, opt_init(NORM)
    stay, state = step(params, {}, state, 0.1)
    assert same_bits(dict(stay), dict(params))
    for key in range(3):
        g = grads(BN, CE, params, X, Y, key=key)
        params, state = step(params, g, state, 0.1)
        assert list(params) == [each for each in NORM if each not in ("norm/mean", "norm/var")]
        params = calibrate(BN, params, X)
    if name.startswith("averaged"):
        average = averaged_params(state)
        assert list(average) == [each for each in NORM if each not in ("norm/mean", "norm/var")]
        with pytest.raises(ValueError, match="must be in params for inference"):
            forward(BN, average, X)
        mean = np.mean(X @ average["hidden/W"] + average["hidden/b"], axis=0)
        assert calibrate(BN, average, X)["norm/mean"] == pytest.approx(mean, abs=1e-6)


def test_a_layer_with_the_names_of_statistics_that_are_trained() -> None:
    params: Params = {name: np.ones(1) for name in ("gamma", "beta", "mean", "var")}
    for o in (by_name({"*": sgd()}), averaged(sgd(), 0.0)):
        new, state = o[1](params, params, o[0](params), 0.25)
        assert {name: a.tolist() for name, a in new.items()} == dict.fromkeys(params, [0.75])
    assert same_bits(dict(averaged_params(state)), dict(new))


# Rates


def test_a_scaled_rate_is_another_rate_and_no_scaled_gradient() -> None:
    for o in PLAIN.values():
        assert same_bits(dict(steps(scaled(o, 0.5), 4)[-1][0]), dict(steps(o, 4, lr=0.05)[-1][0]))
        assert same_bits(dict(steps(scaled(scaled(o, 0.5), 0.5), 4)[-1][0]), dict(steps(o, 4, lr=0.025)[-1][0]))
    opt_init, step = adam()
    g = {name: np.cos(a) for name, a in START.items()}
    full, tenth = (step(START, {n: factor * a for n, a in g.items()}, opt_init(START), 0.1)[0] for factor in (1.0, 0.1))
    assert all(np.allclose(full[name], tenth[name], atol=1e-7) for name in START)
    slow, state = scaled(adam(), 0)[1](START, g, opt_init(START), 0.1)
    assert same_bits(dict(slow), dict(START)) and state["t/a/W"] == 1


# Averages


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 0.9999])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_average_is_the_weighted_mean_of_the_params_after_each_step(decay: float, dtype: type) -> None:
    start: Params = {name: a.astype(dtype) for name, a in START.items()}
    found = steps(averaged(momentum(), decay), 60, start, lr=0.02, few=True)
    for t in (1, 2, 5, 60):
        weights = np.array([decay ** (t - i) for i in range(1, t + 1)])
        average = averaged_params(found[t - 1][1])
        assert list(average) == list(start)
        for name, array in average.items():
            exact = sum(w * params[name].astype(float) for w, (params, _) in zip(weights, found, strict=False)) / weights.sum()
            assert array.dtype == dtype and not array.flags.writeable
            assert np.allclose(array, exact, rtol=2e-5 if dtype == np.float32 else 1e-13)
            if t == 1 or decay == 0:
                assert same_bits(array, found[t - 1][0][name])


def test_the_params_before_the_first_step_do_not_count_and_those_that_stay_do() -> None:
    far = {name: 1e30 * a for name, a in START.items()}
    opt_init, step = averaged(sgd(), 0.9)
    assert same_bits(dict(averaged_params(opt_init(far))), dict(far))
    _, state = step(START, {"a/W": START["a/W"]}, opt_init(far), 0.1)
    for _ in range(5):
        params, state = step(START, {}, state, 0.1)
    average = averaged_params(state)
    assert same_bits(dict(params), dict(START))
    assert all(same_bits(average[name], START[name]) for name in START if name != "a/W")


def test_averages_of_some_params_are_found_under_their_number() -> None:
    found = steps(by_name({"a/*": averaged(adam(), 0.9), "*": sgd()}), 4)
    alone = steps(averaged(adam(), 0.9), 4)
    expected = {name: a for name, a in averaged_params(alone[-1][1]).items() if name.startswith("a/")}
    assert same_bits(dict(averaged_params(select(found[-1][1], "0"))), expected)
    state, _ = finish(train(BN, CE, init(BN, 0), X, Y, epochs=2, lr=0.05, optimizer=RUNS["an averaged group"]))
    average = averaged_params(select(state, "optimizer/0"))
    assert list(average) == ["out/W", "out/b"]
    assert all(np.any(average[name] != current_params(state)[name]) for name in average)


def test_best_params_are_no_average() -> None:
    """Nor is what is validated: without the average beside, a run is the same."""
    ends = []
    for optimizer in (adam(), averaged(adam(), 0.9)):
        run = train(BN, CE, init(BN, 0), X, Y, epochs=5, lr=0.5, optimizer=optimizer, validation=(X, Y))
        state, reports = finish(run)
        ends.append((dict(best_params(state)), [report["validation_loss"] for report in reports]))
    assert same_bits(ends[0], ends[1])


def test_a_batch_norm_that_is_left_alone_is_calibrated_and_outputs_of_a_part_are_not() -> None:
    start = calibrate(BN, init(BN, 0), X[:3])
    frozen = by_name({"out/*": sgd(), "*": None})
    params = current_params(finish(train(BN, CE, start, X, Y, epochs=1, lr=0.1, optimizer=frozen))[0])
    changed = [name for name in start if not same_bits(params[name], start[name])]
    assert changed == ["norm/mean", "norm/var", "out/W", "out/b"]
    part, out = chain(norm=batch_norm(4)), dense(4, 2)
    whole = chain(part=part, out=out)
    start = calibrate(whole, init(whole, 0), X[:3])
    features = forward(part, select(start, "part"), X)
    rest = current_params(finish(train(out, CE, select(start, "out"), features, Y, epochs=1, lr=0.1))[0])
    together = {**start, **{f"out/{name}": a for name, a in rest.items()}}
    assert np.allclose(forward(whole, together, X), forward(out, rest, features), rtol=1e-6)


def test_an_average_inside_a_scaled_optimizer_is_found() -> None:
    assert same_bits(
        dict(averaged_params(steps(scaled(averaged(adam(), 0.9), 0.5), 3)[-1][1])),
        dict(averaged_params(steps(averaged(adam(), 0.9), 3, lr=0.05)[-1][1])),
    )


# In a run


RUNS: dict[str, Optimizer] = {
    "groups": GROUPS, "scaled": scaled(adam(), 0.3), "averaged": averaged(adam(), 0.9), "averaged groups": averaged(GROUPS, 0.9),
    "an averaged group": by_name({"out/*": averaged(adam(), 0.9), "*": sgd()}),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_saved_and_loaded_a_run_goes_on_to_the_same_bytes(name: str, tmp_path: Path) -> None:
    def end(start: Params | State, epochs: int) -> State:
        return finish(train(BN, CE, start, X, Y, epochs=epochs, lr=0.05, optimizer=pickle.loads(pickle.dumps(RUNS[name]))))[0]

    save(tmp_path / "run", end(init(BN, 0), 2))
    state = end(load(tmp_path / "run"), 4)
    assert same_bits(dict(state), dict(end(init(BN, 0), 4)))
    if name.startswith("averaged"):
        average = averaged_params(state)
        assert same_bits(dict(average), dict(averaged_params(select(state, "optimizer"))))
        outputs = [forward(BN, params, X) for params in (calibrate(BN, average, X), current_params(state), best_params(state))]
        assert 0 < np.abs(outputs[0] - outputs[1]).max() < 1


GROUPS_OF_P = by_name({"out/*": adam(), "*": None})


def misstep(result: object) -> Optimizer:
    own: Optimizer = bad((lambda params: {}, lambda params, grads, state, lr: result))
    return own


def one_step(optimizer: Optimizer, state: object = None, g: object = P, lr: object = 0.1) -> object:
    opt_init, step = optimizer
    return step(P, bad(g), bad(opt_init(P) if state is None else state), bad(lr))


def trained(optimizer: Optimizer, before: Optimizer | None = None) -> object:
    start: State = init(BN, 0)
    if before is not None:
        start, _ = finish(train(BN, CE, start, X, Y, epochs=1, lr=0.1, optimizer=before))
    return train(BN, CE, start, X, Y, epochs=2, lr=0.1, optimizer=optimizer)


BAD: Cases = {
    "a parameter without a pattern": (
        lambda: by_name({"hidden/*": adam()})[0](P),
        ValueError,
        r"by_name: optimizers must have a pattern for each parameter \('\*': None, put last, leaves all others as they are\),"
        r" got none for out/W, out/b",
    ),
    "a mistyped pattern": (
        lambda: trained(by_name({"hiden/*": adam(), "*": sgd()})),
        ValueError,
        r"by_name: optimizers must have patterns that names of params match \(hidden/W, .*, out/b\), got 'hiden/\*', which none matches",
    ),
    "a pattern that comes too late": (
        lambda: by_name({"*": adam(), "out/*": sgd()})[0](P),
        ValueError,
        r"by_name: optimizers must have patterns .*, got 'out/\*', of whose names earlier ones leave none \(out/W, out/b\)",
    ),
    "a pattern for statistics alone": (
        lambda: by_name({"*/mean": adam(), "*": sgd()})[0](NORM),
        ValueError, r"by_name: optimizers must have patterns .*, got '\*/mean', which none matches",
    ),
    "no patterns": (lambda: by_name({}), TypeError, r"by_name: optimizers must be a mapping of patterns, one or more, .*, got \{\}"),
    "a list": (lambda: by_name(bad([adam()])), TypeError, r"by_name: optimizers must be a mapping of patterns, .*, got \[\(functools.partial\(the function initial, .*"),
    "a number for a pattern": (lambda: by_name(bad({0: sgd()})), TypeError, r"by_name: optimizers must be a mapping of .*"),
    "a factory": (
        lambda: by_name({"*": bad(adam)}),
        TypeError, r"by_name: optimizers\['\*'\] must be a pair of functions, as adam\(\.\.\.\) is, got the function adam",
    ),
    "a layer": (
        lambda: averaged(bad(NET), 0.5),
        TypeError, r"averaged: optimizer must be a pair of functions of 1 and 4 arguments, got .*, of which .* takes .*",
    ),
    "scaled of none": (lambda: scaled(bad(None), 0.5), TypeError, r"scaled: optimizer must be a pair of functions, got None"),
    "factor below 0": (lambda: scaled(adam(), -1), ValueError, r"scaled: factor must be finite and at least 0, got -1.0"),
    "factor infinite": (lambda: scaled(adam(), math.inf), ValueError, r"scaled: factor must be finite .*, got inf"),
    "rate that overflows": (
        lambda: one_step(scaled(sgd(), 1e200), lr=1e200), ValueError, r"scaled: factor \* lr must be finite, got inf",
    ),
    "scaled rate a text": (lambda: one_step(scaled(sgd(), 1), lr="1"), TypeError, r"scaled: lr must be a number, got '1'"),
    "decay of 1": (lambda: averaged(adam(), 1), ValueError, r"averaged: decay must lie in \[0, 1\), got 1.0"),
    "decay that becomes 1 in float32": (
        lambda: averaged(adam(), 1 - 1e-9)[0](P),
        ValueError, r"averaged: decay must be a number that float32, .*, can hold, got 0.999999999",
    ),
    "rate of groups": (lambda: one_step(GROUPS_OF_P, lr=-1), ValueError, r"by_name: lr must be finite and at least 0, got -1.0"),
    "gradient of an unknown name": (
        lambda: one_step(GROUPS_OF_P, g={"W": P["out/b"]}), ValueError, r"by_name: grads must have names that are in params .*, got W",
    ),
    "gradient of another shape": (
        lambda: one_step(GROUPS_OF_P, g={"out/b": P["out/W"]}),
        ValueError, r"by_name: grads\['out/b'\] must have shape \(2,\), got \(3, 2\)",
    ),
    "what an optimizer inside says": (
        lambda: one_step(GROUPS_OF_P, g={"out/b": P["out/b"] * np.nan}),
        FloatingPointError, r"adam: grads\['out/b'\] must be finite, got nan .*",
    ),
    "state of another optimizer": (
        lambda: one_step(GROUPS_OF_P, state=adam()[0](P)),
        ValueError, r"by_name: state must hold only what is below the numbers of optimisers that have params \(0\), got 't/hidden/W'",
    ),
    "state of no group": (lambda: one_step(GROUPS_OF_P, state={}), ValueError, r"adam: state must hold 't/out/W' .*, got \[\]"),
    "state None": (
        lambda: by_name({"*": sgd()})[1](P, P, bad(None), 1), TypeError, r"by_name: state must be a mapping .*, got None",
    ),
    "averages missing": (
        lambda: one_step(averaged(sgd(), 0.5), state={}), ValueError, r"averaged: state must hold 't/hidden/W' .*, got \[\]",
    ),
    "averages a list": (lambda: one_step(averaged(sgd(), 0.5), state=[1]), TypeError, r"averaged: state must be a mapping .*"),
    "a step that gives none": (
        lambda: one_step(by_name({"*": misstep(None)})),
        TypeError, r"by_name: optimizers\['\*'\] must give a pair of mappings \(params, state\) from its step, got None",
    ),
    "a step that gives params alone": (
        lambda: one_step(averaged(misstep(P), 0.5)), TypeError, r"averaged: optimizer must give a pair .*, got mappingproxy\(.*",
    ),
    "a step that loses params": (
        lambda: one_step(by_name({"*": misstep(({"out/W": P["out/W"]}, {}))})),
        ValueError, r"by_name: optimizers\['\*'\] must step hidden/W, .* and no others, got \['out/W'\]",
    ),
    "an average that loses params": (
        lambda: one_step(averaged(misstep(({"out/W": P["out/W"]}, {})), 0.5)),
        ValueError, r"averaged: optimizer must step hidden/W, hidden/b, out/W, out/b and no others, got \['out/W'\]",
    ),
    "an average of nothing": (
        lambda: one_step(averaged(misstep(({}, {})), 0.5)), ValueError, r"averaged: optimizer must step hidden/W, .*, got \[\]",
    ),
    "an average of another dtype": (
        lambda: one_step(averaged(misstep(({name: a.astype(float) for name, a in P.items()}, {})), 0.5)),
        TypeError, r"averaged: optimizer must keep hidden/W a float32 array of shape \(4, 3\), got float64 array of shape \(4, 3\)",
    ),
    "an average of text": (
        lambda: one_step(averaged(misstep(({**P, "out/b": ["a", "b"]}, {})), 0.5)),
        TypeError, r"averaged: optimizer must keep out/b a float32 array of shape \(2,\), got \['a', 'b'\]",
    ),
    "an init that gives none": (
        lambda: by_name({"*": bad((lambda params: None, sgd()[1]))})[0](P),
        TypeError, r"by_name: the state of optimizers\['\*'\] must be a mapping of names to arrays, got None",
    ),
    "a run with other groups": (
        lambda: trained(by_name({"*": sgd()}), by_name({"*": adam()})),
        ValueError, r"train: optimizer must be the one that the state was made with, got one whose own state holds nothing, where the state of the run so far holds \['0/t/.*",
    ),
    "a run with an average from now on": (
        lambda: trained(averaged(adam(), 0.5), adam()), ValueError, r"train: optimizer must be the one that the state was made with, .*",
    ),
    "a run without its average": (
        lambda: trained(adam(), averaged(adam(), 0.5)), ValueError, r"train: optimizer must be the one that the state was made with, .*",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])


def test_the_advice_for_params_without_a_pattern_works() -> None:
    opt_init, step = by_name({"hidden/*": adam(), "*": None})
    assert same_bits(step(P, P, opt_init(P), 0.1)[0]["out/W"], P["out/W"])
