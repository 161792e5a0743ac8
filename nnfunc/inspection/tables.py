"""Plain data as readable text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nnfunc.values.checks import require


def table(rows: Sequence[Mapping[str, object]] | Mapping[str, float]) -> str:
    """Return rows of plain data as an aligned table, one column per name.

    Numbers stand to the right, words to the left; floats have four digits, a
    missing value is a dash. A mapping of names to numbers is a table of two columns.

    Args:
        rows: what `summary`, `activation_stats`, ``diagnose(...)["stages"]`` or `update_ratio` return.

    Raises:
        TypeError: `rows` is neither (a generator can be read only once), or a row is no mapping.

    Example:
        >>> print(table([{"layer": "hidden", "mean": 0.25}, {"layer": "out", "mean": None}]))
        layer   mean
        hidden  0.25
        out        -
    """
    if isinstance(rows, Mapping):
        rows = [{"name": name, "value": value} for name, value in rows.items()]
    constraint = "be a sequence of mappings, or a mapping of names to numbers"
    require(isinstance(rows, Sequence), "table", "rows", constraint, kind=TypeError, value=rows)
    for row in rows:
        is_row = isinstance(row, Mapping)
        require(is_row, "table", "rows", "be mappings of column names to values", kind=TypeError, value=row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, *([_text(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    numeric = [any(_is_number(row.get(name)) for row in rows) for name in names]
    sides = [f"{'>' if right else '<'}{width}" for width, right in zip(widths, numeric, strict=True)]
    return "\n".join("  ".join(map(format, line, sides)).rstrip() for line in lines)


def _text(value: object) -> str:
    """Return a value as it is shown."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(value)


def _is_number(value: object) -> bool:
    """Say whether a value is a number, which stands to the right."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
