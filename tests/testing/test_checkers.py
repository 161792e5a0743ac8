"""The checkers: every wrong piece is caught by the right law, right pieces written oddly are not, and messages help."""

import inspect
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from nnfunc import AnyArray, Array, accuracy, adam, clip_by_value, constant_schedule, dense, early_stopping, l2, mse, normal
from nnfunc import relu, rmsprop, sgd, testing
from nnfunc.testing import (
    LawResult,
    check_activation,
    check_initializer,
    check_layer,
    check_loss,
    check_metric,
    check_monitor,
    check_optimizer,
    check_penalty,
    check_pure,
    check_schedule,
    check_transform,
)
from tests.layers import elementwise
from tests.testing.makers import CLASSES, LOGITS, TARGETS, VALUES, X
from tests.testing.odd_pieces import ODD
from tests.testing.subtle_pieces import lookup
from tests.testing.wrong_pieces import WRONG


LOOKUP = lookup(6)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_pieces_are_caught_by_the_right_law(name: str) -> None:
    check, laws = WRONG[name]
    with pytest.raises(AssertionError) as caught:
        check()
    law = str(caught.value).rpartition("\n  law: ")[2]
    assert any(law.startswith(expected) for expected in laws.split("|")), str(caught.value)
    assert re.match(r"check_\w+: .* must .*", str(caught.value))


@pytest.mark.parametrize("name", ODD)
def test_right_pieces_pass_however_they_are_written(name: str) -> None:
    ODD[name]()


def test_there_are_enough_of_both() -> None:
    assert len(WRONG) >= 40
    assert len(ODD) >= 50


def test_a_message_says_what_where_why_and_shows_the_smallest_input() -> None:
    def averaged(outputs: Array, targets: AnyArray) -> tuple[Array, Array]:
        per_example, d_outputs = mse(outputs, targets)
        return per_example, d_outputs / len(outputs)

    with pytest.raises(AssertionError) as caught:
        check_loss(averaged, VALUES[:5], TARGETS[:5])
    assert re.fullmatch(
        r"check_loss: the gradient of outputs\[\d, \d\] must be .*, the slope of sum\(y\) that differences measure, got .*\n"
        r"  usual cause: too small by a factor of 5\.0 = the number of rows in the batch: the mean over rows is taken twice\?\n"
        r"  smallest input found: outputs = \[\[1\.0, 1\.0\], \[1\.0, 1\.0\]\], targets = .*\n"
        r"  law: gradient",
        str(caught.value),
    )


def test_report_mode_prints_all_laws_and_raises_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    results = check_activation(np.cos, np.sin, report=True)
    assert [r["law"] for r in results if r["status"] == "fail"] == ["gradient"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["law", "status", "detail"]
    assert len(lines) == 1 + len(results)
    assert any(re.match(r"gradient +fail +the gradient of z", line) for line in lines)
    no_pullback: Any = (lambda key, dtype: {}), lambda params, x, key: x
    bad_form = check_layer(no_pullback, X, report=True)
    assert [r["status"] for r in bad_form][:2] == ["fail", "not applicable"]


def test_what_cannot_be_measured_is_no_pass() -> None:
    with pytest.raises(AssertionError, match="must be measurable, got none that is") as caught:
        check_activation(lambda z: (z + 1e9) - 1e9 + 0 * z, np.ones_like)
    assert "law: gradient" in str(caught.value)


def test_corners_are_counted_and_left_out() -> None:
    found = {r["law"]: r["detail"] for r in check_activation(relu)}
    assert found["gradient"] == "96 slopes, 1 on corners left out"


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: check_layer(elementwise(lambda x, key: 1 * x, lambda dy, x: -dy), X), "surrogate=['x']"),
        (lambda: check_layer(LOOKUP, np.array([[1.0], [5.0], [3.0]])), "x_slope=False"),
        (lambda: check_activation(np.sign, np.ones_like), "surrogate=True"),
    ],
)
def test_a_message_names_the_argument_that_declares_what_is_meant(call: Callable[[], object], argument: str) -> None:
    with pytest.raises(AssertionError, match=rf"\n  if it is meant, declare it: .*{re.escape(argument)}"):
        call()


def test_a_report_says_what_was_not_tried() -> None:
    def details(results: list[LawResult]) -> dict[str, tuple[str, str]]:
        return {r["law"]: (r["status"], r["detail"]) for r in results}

    ids = details(check_layer(LOOKUP, np.array([[1.0], [5.0], [3.0]]), x_slope=False))
    assert ids["stable"] == ids["offset"] == ("not applicable", "declared")
    assert ids["gradient, inference"] == ("pass", "24 slopes, x not compared: declared")
    refused = details(check_layer(LOOKUP, np.arange(6.0)[:, None]))
    assert refused["stable"] == ("not applicable", "inputs of 30 are refused")
    exponential = details(check_activation(np.exp, np.exp))
    assert re.fullmatch(r"inputs up to 300, beyond float64 at 10000, \d+ of 68 values beyond float32 left out",
                        exponential["stable"][1])
    straight = details(check_activation(np.sign, np.ones_like, surrogate=True))
    assert straight["gradient"] == ("not applicable", "declared")
    large = details(check_layer(dense(40, 30), np.random.default_rng(0).normal(size=(3, 40))))
    assert re.fullmatch(r"\d+ slopes, some along directions, for 2780 elements", large["gradient, inference"][1])


def test_checkers_are_pure() -> None:
    before = X.copy()
    check_pure(check_layer, dense(3, 2, relu), X)
    check_pure(check_loss, mse, VALUES, TARGETS)
    check_pure(check_optimizer, adam())
    assert np.array_equal(before, X)


REFUSED: dict[str, tuple[Callable[..., object], tuple[object, ...], str]] = {
    "optimiser not built": (
        check_optimizer,
        (adam,),
        "check_optimizer: optimizer must be a pair of functions (init, step), as adam(...) is, got the function adam",
    ),
    "monitor not built": (
        check_monitor,
        (early_stopping,),
        "check_monitor: monitor must be a pair of functions (init, update), as early_stopping(...) is, got",
    ),
    "a number for a function": (check_pure, (3,), "check_pure: f must be a function of the arguments given, got 3"),
    "a number for a schedule": (
        check_schedule,
        (0.1,),
        "check_schedule: schedule must be a function of a step, got 0.1",
    ),
    "too few targets": (
        check_loss,
        (mse, VALUES, TARGETS[:2]),
        "check_loss: targets must have one target for each of the 6 outputs, got",
    ),
    "inputs of integers": (
        check_layer,
        (dense(3, 2), np.arange(6).reshape(2, 3)),
        "check_layer: x must be a float32 or float64 array",
    ),
    "activation by name": (check_activation, ("relu",), "check_activation: activation must be one of"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_checker_refuses_what_is_no_piece(name: str) -> None:
    check, arguments, message = REFUSED[name]
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(message)}"):
        check(*arguments)


DECLARED: dict[str, str] = {
    "transform: a name lost": "frozen=['hidden/W']",
    "transform: NaN taken for 0": "keeps_nan=False",
    "loss: NaN taken for no error": "keeps_nan=False",
    "other: column and vector": "equal_shapes=False",
    "other: grows without end": "bounded=False",
    "optimizer: decays what has no gradient": "rests=False",
    "optimizer: leaves a layer as it is": "frozen=['out/W']",
}


@pytest.mark.parametrize("name", DECLARED)
def test_a_message_names_what_declares_it(name: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(f"if it is meant, declare it: {DECLARED[name]}\n")):
        WRONG[name][0]()


def test_a_table_tells_what_was_not_tried() -> None:
    def status(results: list[LawResult], law: str) -> str:
        return next(r["status"] for r in results if r["law"] == law)

    assert status(check_loss(mse, np.ones((3, 2, 2)), np.zeros((3, 2, 2))), "target types") == "pass"
    assert status(check_loss(mse, VALUES, TARGETS), "target types") == "not applicable"
    assert status(check_optimizer(sgd()), "memory") == "not applicable"
    assert status(check_penalty(lambda params: (0.0, {})), "gradient") == "not applicable"
    assert status(check_metric(accuracy, LOGITS, CLASSES), "equal shapes") == "not applicable"


def test_an_optimizer_that_is_to_be_another_is_compared_where_eps_matters() -> None:
    with pytest.raises(AssertionError, match="be what the other gives for gradients of size (0.0001|1e-08)"):
        check_optimizer(rmsprop(eps=1e-9), like=rmsprop(eps=1.001e-9))


def test_of_many_names_some_are_moved_and_the_table_says_how_many() -> None:
    found = check_penalty(l2(0.1), {f"{i}/W": np.full((2, 2), 0.1 * i + 0.1) for i in range(100)})
    assert next(r["detail"] for r in found if r["law"] == "gradient").endswith(", 48 of 100 names")


EVERY_CHECKER: dict[str, Callable[[], list[LawResult]]] = {
    "check_activation": partial(check_activation, np.sin, np.cos),
    "check_initializer": partial(check_initializer, normal(0.1)),
    "check_layer": partial(check_layer, dense(40, 30), np.random.default_rng(0).normal(size=(3, 40))),
    "check_loss": partial(check_loss, mse, VALUES, TARGETS),
    "check_metric": partial(check_metric, accuracy, LOGITS, CLASSES),
    "check_monitor": partial(check_monitor, early_stopping(3)),
    "check_optimizer": partial(check_optimizer, (lambda p: {}, lambda p, g, s, lr: (dict(p), s)), frozen="*", report=True),
    "check_penalty": partial(check_penalty, l2(0.1)),
    "check_pure": partial(check_pure, np.sort, np.ones(2)),
    "check_schedule": partial(check_schedule, constant_schedule(0.1)),
    "check_transform": partial(check_transform, partial(clip_by_value, limit=1.0)),
}


def test_the_package_explains_every_checker_law_and_declaration() -> None:
    text = " ".join((testing.__doc__ or "").split())
    assert sorted(EVERY_CHECKER) == [name for name in testing.__all__ if name.startswith("check_")]
    for name, check in EVERY_CHECKER.items():
        assert f"{name}(" in text
        for result in check():
            assert re.search(rf"\b{result['law'].partition(', ')[0]}\b", text), (name, result["law"])
        options = {option for option in inspect.signature(getattr(testing, name)).parameters.values()
                   if option.kind is option.KEYWORD_ONLY and option.name not in ("report", "params", "noise", "steps")}
        for option in options:
            assert f"{option.name}=" in text, (name, option.name)
