"""Params side by side: what differs between two sets, and between a network's and those given."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

import numpy as np

from nnfunc.inspection.tables import table
from nnfunc.network.guard import check_layer
from nnfunc.network.kinds import statistics
from nnfunc.values.arrays import as_real
from nnfunc.values.checks import FLOAT32, FLOAT64, problem, shortened
from nnfunc.values.params import check_names, refuse_state
from nnfunc.values.types import AnyArray, Layer, Params, State

Kind: TypeAlias = Literal["missing", "extra", "shape", "dtype", "values"]

Difference = TypedDict("Difference", {"name": str, "difference": Kind, "a": str, "b": str, "largest": float | None})


def diff_params(a: State, b: State) -> list[Difference]:
    """Return what differs between two mappings of arrays, one row per name; nothing if nothing does.

    ``print(table(diff_params(a, b)))`` shows it. Columns: ``name``; the
    ``difference``, the gravest one: "missing" in b or "extra" in it, another
    "shape" or "dtype", or other "values"; dtype and shape in ``a`` and in ``b``;
    and the ``largest`` absolute difference of values, where shapes agree. Equal
    values are equal bits but for the sign of zero; NaN equals NaN.

    Raises:
        TypeError: an argument is no mapping of names to arrays.

    Example:
        >>> a = {"W": np.zeros((2, 3)), "b": np.zeros(3)}
        >>> b = {"W": np.zeros((2, 3)) + 0.5, "c": np.zeros(3)}
        >>> print(table(diff_params(a, b)))
        name  difference  a               b               largest
        W     values      float64 (2, 3)  float64 (2, 3)      0.5
        b     missing     float64 (3)     -                     -
        c     extra       -               float64 (3)           -
    """
    for argument, given in (("a", a), ("b", b)):
        check_names("diff_params", argument, given)
    firsts, seconds = ({name: _numbers_or_text(name, value) for name, value in each.items()} for each in (a, b))
    rows: list[Difference] = []
    for name in [*firsts, *(name for name in seconds if name not in firsts)]:
        first, second = firsts.get(name), seconds.get(name)
        kind, largest = _compared(first, second)
        if kind is not None:
            shown_a, shown_b = _kind_of(first), _kind_of(second)
            rows.append({"name": name, "difference": kind, "a": shown_a, "b": shown_b, "largest": largest})
    return rows


def check_params(net: Layer, params: Params) -> None:
    """Raise with a table of what does not fit, unless params have the names and shapes of the network's, and one dtype.

    The network's are those that its init makes, and the statistics of its
    batch norms if they are there.

    Raises:
        ValueError: a name is missing, unknown, or of another shape or dtype.
        TypeError: `net` is no layer, or `params` are no mapping.

    Example:
        >>> from nnfunc import chain, dense, init
        >>> net = chain(hidden=dense(2, 3), out=dense(3, 1))
        >>> check_params(net, init(net, key=0))
        >>> check_params(net, init(chain(hidden=dense(2, 4), out=dense(4, 1)), key=0))
        Traceback (most recent call last):
        ...
        ValueError: check_params: params must be those of the network, got others:
        name      difference  the network     given
        hidden/W  shape       float32 (2, 3)  float32 (2, 4)
        hidden/b  shape       float32 (3)     float32 (4)
        out/W     shape       float32 (3, 1)  float32 (4, 1)
    """
    refuse_misfits("check_params", net, params)


def refuse_misfits(function: str, net: Layer, params: Params) -> None:
    """Do as `check_params`, for the function of this name.

    Example:
        >>> from nnfunc import dense
        >>> refuse_misfits("train", dense(1, 1), {"W": np.ones((1, 1)), "b": np.ones(1)})
    """
    check_layer(function, "net", net)
    check_names(function, "params", params)
    refuse_state(function, "params", params)
    held = {name: as_real(function, name, value) for name, value in params.items()}
    dtypes = {array.dtype for array in held.values()}
    dtype = FLOAT64 if dtypes == {FLOAT64} else FLOAT32
    own = {name: np.asarray(array, dtype) for name, array in net[0](0, np.dtype(np.float32)).items()}
    own |= {name: np.zeros(shape, dtype) for name, shape in statistics(net).items() if name in params}
    rows = [row for row in diff_params(own, held) if row["difference"] != "values"]
    if rows:
        shown = table([
            {"name": shortened(r["name"], 40), "difference": r["difference"], "the network": r["a"], "given": r["b"]}
            for r in rows[:7]
        ])
        if len(rows) > 7:
            shown += f"\nand {len(rows) - 7} more, which diff_params tells of"
        raise ValueError(problem(function, "params", "be those of the network", f"others:\n{shown}"))


def _numbers_or_text(name: str, value: AnyArray) -> AnyArray:
    """Return a value as an array, as they are in a file."""
    return value if isinstance(value, np.ndarray) and value.dtype.kind == "U" else as_real("diff_params", name, value)


def _compared(a: AnyArray | None, b: AnyArray | None) -> tuple[Kind | None, float | None]:
    """Return the gravest difference of two arrays, and the largest of their values."""
    if a is None or b is None:
        return ("extra" if a is None else "missing"), None
    if a.shape != b.shape:
        return "shape", None
    if "U" in (a.dtype.kind, b.dtype.kind):
        return ("dtype" if a.dtype != b.dtype else "values" if (a != b).any() else None), None
    with np.errstate(all="ignore"):
        differ = np.asarray((a != b) & ~((a != a) & (b != b)))
        # long double holds every 64-bit integer
        gaps = np.abs(np.subtract(a, b, dtype=np.longdouble, casting="unsafe"))
        largest = float(np.max(np.where(differ, gaps, 0), initial=0))
    if a.dtype != b.dtype:
        return "dtype", largest
    return ("values" if differ.any() else None), largest


def _kind_of(array: AnyArray | None) -> str:
    """Say dtype and shape."""
    return "-" if array is None else f"{array.dtype} ({', '.join(map(str, array.shape))})"
