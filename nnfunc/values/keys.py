"""Randomness as a value: a key names a stream of random numbers.

The same key always gives the same numbers and different keys give independent
ones. A key is an int (the root) or a tuple of ints (a root and a path below
it), so it can be printed, compared, stored and typed in by hand.
"""

from __future__ import annotations

from typing import SupportsIndex

import numpy as np

from nnfunc.values.checks import as_size, problem, require
from nnfunc.values.types import Key

# A longer root would spill into the words that the path occupies, and a wider
# step would look like two steps: two different keys could then share a stream.
_ROOT_BITS = 128
_STEP_BITS = 32


def key_path(function: str, key: Key) -> tuple[int, ...]:
    """Return a key as a tuple of ints in range.

    Example:
        >>> key_path("init", 7)
        (7,)
    """
    steps = tuple(key) if isinstance(key, tuple) else (key,)
    for step in steps:
        if type(step) is not int or step >> _STEP_BITS:
            break
    else:  # as nearly every key is, in a quarter of the time: every step of a run has one
        if steps:
            return steps
    require(steps, function, "key", "hold at least one int", key)
    path = tuple(as_size(function, "key", step, least=0, bits=_ROOT_BITS) for step in steps)
    for step, bits in zip(path, (_ROOT_BITS, *[_STEP_BITS] * len(path)), strict=False):
        if step >> bits:
            raise ValueError(problem(function, "key", f"hold ints below 2**{bits}", key))
    return path


def fold_in(key: Key, i: SupportsIndex) -> tuple[int, ...]:
    """Return the key of stream number `i` below `key`: the same tuple, one longer.

    Args:
        key: a root in [0, 2**128), or a tuple that starts with one.
        i: which stream, in [0, 2**32); an epoch or a step number, say.

    Raises:
        TypeError, ValueError: an int is missing, or out of its range.

    Example:
        >>> fold_in(0, 7)
        (0, 7)
        >>> fold_in((0, 7), 1)
        (0, 7, 1)
    """
    return key_path("fold_in", (*key_path("fold_in", key), as_size("fold_in", "i", i, least=0, bits=_ROOT_BITS)))


def split(key: Key, n: SupportsIndex) -> tuple[tuple[int, ...], ...]:
    """Return `n` independent keys: ``fold_in(key, 0), ..., fold_in(key, n - 1)``.

    Raises:
        TypeError, ValueError: `n` is below 1, or `key` is not a key.

    Example:
        >>> split(5, 2)
        ((5, 0), (5, 1))
    """
    path = key_path("split", key)
    return tuple((*path, i) for i in range(as_size("split", "n", n)))


def generator(key: Key) -> "np.random.Generator":  # quoted, as evaluating it would import numpy.random
    """Return a new NumPy generator at the start of the key's stream.

    This is how an initialiser or a layer of one's own draws: make the
    generator, draw, forget it.

    Raises:
        TypeError, ValueError: `key` is not a key.

    Example:
        >>> bool(generator(3).random() == generator(3).random())
        True
        >>> bool(generator((3, 0)).random() == generator(3).random())
        False

    Reference:
        NumPy's SeedSequence with a spawn key (O'Neill's seed_seq hash, 2015);
        a root and a path are kept apart there, so ``3`` and ``(3, 0)`` differ.
    """
    root, *steps = key_path("generator", key)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(root, spawn_key=steps)))
