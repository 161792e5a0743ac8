"""Tables: what they refuse. How they look, their users show."""

import pytest

from nnfunc import table
from tests.numeric import bad
from tests.sentences import Cases, assert_sentence

BAD: Cases = {
    "row a number": (
        lambda: table(bad([1])),
        TypeError,
        r"table: rows must be mappings of column names to values, got 1",
    ),
    "rows None": (lambda: table(bad(None)), TypeError, r"table: rows must be a sequence of mappings, or .*, got None"),
    "rows a number": (lambda: table(bad(5)), TypeError, r"table: rows must be a sequence of mappings, or .*, got 5"),
    "rows a generator": (
        lambda: table(bad(row for row in ({"a": 1},))),
        TypeError,
        r"table: rows must be a sequence of mappings, or .*, got <generator .*",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_meets_one_clear_sentence(name: str) -> None:
    assert_sentence(*BAD[name])
