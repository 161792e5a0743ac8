"""Go through the laws of a piece: stop at the first that is broken, or report on all of them.

A law is a name and a function that tries it; its verdict is a status and a word on it.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NoReturn, TypeAlias, TypedDict

import numpy as np

from nnfunc.inspection.tables import table
from nnfunc.values.checks import describe

Status: TypeAlias = Literal["pass", "fail", "undecided", "not applicable"]
Verdict: TypeAlias = tuple[Status, str]

Law: TypeAlias = tuple[str, Callable[[], Verdict]]
"""A name, and a function that tries the law: it returns a verdict, or raises
AssertionError with a sentence that says what is wrong."""

LawResult = TypedDict("LawResult", {"law": str, "status": Status, "detail": str})


def judged(checker: str, laws: Sequence[Law], report: bool) -> list[LawResult]:
    """Try laws in order and return the results; without `report`, raise at the first that is not kept.

    The first law of a list is the form of the piece. If that is broken, the
    others would only stumble over it, and are not tried.

    Raises:
        AssertionError: a law is broken, or could not be decided.

    Example:
        >>> def broken():
        ...     breach("the answer", "be 42", 41)
        >>> judged("check_it", [("sense", lambda: ("pass", "")), ("answer", broken)], report=False)
        Traceback (most recent call last):
        ...
        AssertionError: check_it: the answer must be 42, got 41
          law: answer
    """
    results: list[LawResult] = []
    for name, law in laws:
        cause: Exception | None = None
        status: Status = "fail"
        try:
            with set_back():
                status, detail = law()
        except Exception as error:
            detail, cause = _told(name, error), error
        results.append({"law": name, "status": status, "detail": detail})
        if status in ("fail", "undecided") and not report:
            told = AssertionError(f"{checker}: {detail}\n  law: {name}")
            raise told from (None if isinstance(cause, AssertionError) else cause)
        if status == "fail" and len(results) == 1:
            results += [{"law": other, "status": "not applicable", "detail": "not tried"} for other, _ in laws[1:]]
            break
    if report:
        print(table([{**result, "detail": _first_line(result["detail"])} for result in results]))
    return results


@contextmanager
def set_back() -> Iterator[None]:
    """Try a piece: floating-point errors are ignored, and what it sets for everybody does not outlive the trial.

    Example:
        >>> with set_back():
        ...     _ = np.seterr(all="raise")
        >>> np.geterr()["over"]
        'warn'
    """
    environment, depth, size = dict(os.environ), sys.getrecursionlimit(), np.getbufsize()
    try:
        with np.errstate(all="ignore"), np.printoptions(), warnings.catch_warnings():
            yield
    finally:
        sys.setrecursionlimit(depth)
        np.setbufsize(size)
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)


def _told(name: str, error: Exception) -> str:
    """Return what a law said, or put into a sentence what the piece raised."""
    text = str(error)
    if isinstance(error, AssertionError) and " must " in text:
        return text
    if "read-only" in text:
        return f"the arguments must stay as they are, got an attempt to change one in place ({text})"
    return f"{name} must hold without an error, got {type(error).__name__}: {text}"


def stumbled(error: Exception) -> Law:
    """Return a law that stands in for the rest, where a piece fails before they can be tried.

    Example:
        >>> judged("check_it", [("form", lambda: ("pass", "")), stumbled(KeyError("W"))], report=False)
        Traceback (most recent call last):
        ...
        AssertionError: check_it: runs must hold without an error, got KeyError: 'W'
          law: runs
    """

    def law() -> Verdict:
        raise error

    return "runs", law


def not_applicable(why: str) -> Verdict:
    """Return the verdict of a law that is passed over.

    Example:
        >>> not_applicable("declared")
        ('not applicable', 'declared')
    """
    return "not applicable", why


def breach(
    subject: str, constraint: str, got: object, cause: str = "", *, shown_by: str = "", declared_by: str = ""
) -> NoReturn:
    """Raise AssertionError: one sentence, then the usual cause, the input that shows it, and the argument by which
    it is declared if it is meant, as far as there are any.

    Example:
        >>> breach("y", "be new", "a view of x", "return x.copy()", shown_by="x = [[1.0]]")
        Traceback (most recent call last):
        ...
        AssertionError: y must be new, got a view of x
          usual cause: return x.copy()
          smallest input found: x = [[1.0]]
    """
    text = f"{subject} must {constraint}, got {got if isinstance(got, str) else describe(got)}"
    text += f"\n  usual cause: {cause}" if cause else ""
    text += f"\n  smallest input found: {shown_by}" if shown_by else ""
    text += f"\n  if it is meant, declare it: {declared_by}" if declared_by else ""
    raise AssertionError(text)


def _first_line(text: str) -> str:
    """Return the first line of a text, cut at 100 characters."""
    line = text.partition("\n")[0]
    return line if len(line) <= 100 else line[:97] + "..."
