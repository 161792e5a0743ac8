"""What the pictures of the examples share: colours that read on white and on dark pages, words as large as the page's.

An example draws when it is asked to, and needs matplotlib only then. Without a directory the files lie in `examples/pictures`:

    .venv/bin/pip install -e '.[pictures]' && .venv/bin/python examples/moons.py --pictures [DIRECTORY]
"""

from __future__ import annotations

# %%
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from command_line import HERE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# %%
PICTURES = HERE / "pictures"

# None is bright or dark: each has a contrast of 3 or more with white and with the pages of dark mode.
INK, GRID = "#7a7f87", "#7a7f8738"
BLUE, ORANGE, GREEN, RED, VIOLET = "#3d85c6", "#d9722b", "#3a9a5b", "#d64f4f", "#9a6fd0"

PLACES = re.compile(r'\b(d|x|y|transform)="[^"]*"')

WIDTH = 8.85  # inches of 96 pixels: as wide as a README
STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "nnfunc", "lines.markeredgewidth": 0,
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none", "legend.frameon": False,
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 10.5, "axes.titlesize": 10.5,
    "axes.labelsize": 10.5, "xtick.labelsize": 9.5, "ytick.labelsize": 9.5, "legend.fontsize": 10,
    "text.color": INK, "axes.labelcolor": INK, "axes.titlecolor": INK, "axes.edgecolor": INK,
    "xtick.color": INK, "ytick.color": INK, "grid.color": GRID, "axes.grid": True, "axes.axisbelow": True,
    "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 1.8,
}  # fmt: skip


# %%
def asked(arguments: Sequence[str]) -> Path | None:
    """Return the directory that ``--pictures [DIRECTORY]`` names, `PICTURES` if none; None where no pictures are wanted."""
    if "--pictures" not in arguments:
        return None
    named = [word for word in arguments[arguments.index("--pictures") + 1 :] if not word.startswith("-")]
    return Path(named[0]) if named else PICTURES


# %%
@contextmanager
def picture(
    directory: Path, name: str, height: float, rows: int = 1, columns: int = 1, widths: Sequence[float] | None = None
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Give a figure and its axes to draw on, row by row, and write them to NAME.svg: the same bytes for the same drawing."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("picture: matplotlib must be installed: pip install -e '.[pictures]'") from None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, width_ratios=widths)
        yield figure, list(grid.flat)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.svg"
    path.write_text(PLACES.sub(rounded, written.getvalue()), encoding="utf-8", newline="\n")
    print(f"drawn: {path}")


def rounded(places: re.Match[str]) -> str:
    """Return an attribute with its numbers to a hundredth of a point, which no eye sees and which halves a file."""
    return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), places[0])
