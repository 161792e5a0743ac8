"""Plain data as readable text."""

from collections.abc import Mapping, Sequence

from nnfunc.checks import describe, problem


def table(rows: Sequence[Mapping[str, object]] | Mapping[str, float]) -> str:
    """Return rows of plain data as an aligned table, one column per name.

    Numbers stand to the right, words to the left; floats have four digits, a
    missing value is a dash. A mapping of names to numbers is a table of two columns.

    Args:
        rows: as `summary`, `activation_stats` or ``diagnose(...)["stages"]`` give them, or `update_ratio`.

    Raises:
        TypeError: `rows` is neither (a generator has no second reading), or a row is no mapping.

    Example:
        >>> print(table([{"layer": "hidden", "mean": 0.25}, {"layer": "out", "mean": None}]))
        layer   mean
        hidden  0.25
        out        -
    """
    if isinstance(rows, Mapping):
        rows = [{"name": name, "value": value} for name, value in rows.items()]
    if not isinstance(rows, Sequence):
        raise TypeError(problem("table", "rows", "be a sequence of mappings, or a mapping of names to numbers", describe(rows)))
    for row in rows:
        if not isinstance(row, Mapping):
            raise TypeError(problem("table", "rows", "be mappings of column names to values", describe(row)))
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, *([_text(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    numeric = [any(_is_number(row.get(name)) for row in rows) for name in names]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    )


def _text(value: object) -> str:
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
    return isinstance(value, (int, float)) and not isinstance(value, bool)
