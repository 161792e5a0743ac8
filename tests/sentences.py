"""What bad input must meet, in every test file: one clear sentence with function, argument, constraint and value."""

import re
from collections.abc import Callable
from typing import TypeAlias

import pytest

Cases: TypeAlias = dict[str, tuple[Callable[[], object], type[Exception], str]]
"""By a telling name: a call, the exception it must raise, and the whole message as a pattern."""


def assert_sentence(call: Callable[[], object], kind: type[Exception], pattern: str) -> None:
    """Fail unless the call raises exactly this exception, with a message that matches from end to end."""
    with pytest.raises(kind) as caught:
        call()
    error = caught.value
    # An OSError puts its number in front of what it says.
    message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    assert caught.type is kind
    assert re.fullmatch(pattern, message), message
    assert len(message) < 1000, message
    assert re.fullmatch(r"\w+: .+ must .+, got .+", message, re.DOTALL), message
