"""The test of the test: what is not one clear sentence, or not the one expected, fails."""

from collections.abc import Callable
from typing import NoReturn

import pytest

from tests.sentences import assert_sentence

RIGHT = "dense: n_in must be at least 1, got 0"


def raising(error: Exception) -> Callable[[], NoReturn]:
    def call() -> NoReturn:
        raise error

    return call


NOT_THE_ONE: dict[str, tuple[Exception, str]] = {
    "a subclass": (UnicodeError(RIGHT), ".*"),
    "more in front": (ValueError("so " + RIGHT), RIGHT),
    "more behind": (ValueError(RIGHT + "."), RIGHT),
    "no constraint": (ValueError("dense: n_in is 0"), ".*"),
    "no value": (ValueError("dense: n_in must be at least 1"), ".*"),
    "too long": (ValueError(RIGHT + " " * 1000), ".*"),
    "no function": (ValueError("n_in must be at least 1, got 0"), ".*"),
}


@pytest.mark.parametrize("name", NOT_THE_ONE)
def test_another_message_fails(name: str) -> None:
    error, pattern = NOT_THE_ONE[name]
    with pytest.raises(AssertionError):
        assert_sentence(raising(error), ValueError, pattern)


def test_no_exception_fails() -> None:
    with pytest.raises(pytest.fail.Exception):
        assert_sentence(lambda: None, ValueError, ".*")


def test_the_right_sentence_passes() -> None:
    assert_sentence(raising(ValueError(RIGHT)), ValueError, RIGHT)
    assert_sentence(raising(FileNotFoundError(2, "load: f must be there, got none")), FileNotFoundError, "load: .*")
