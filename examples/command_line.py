"""What an example asks of the world around it, answered in the cells of a notebook too."""

# %%
import sys
from pathlib import Path

HERE = Path(__file__).parent  # a notebook has no __file__


# %%
def given() -> list[str]:
    """Return the words after the script's name; those of a notebook's kernel are its own and not meant for an example."""
    script, *words = sys.argv
    return [] if Path(script).name.startswith(("ipykernel", "colab_kernel")) else words
