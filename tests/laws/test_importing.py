"""Importing the library costs no more than NumPy does."""

import subprocess
import sys


def test_importing_takes_no_more_of_the_standard_library_than_numpy_does() -> None:
    code = "import sys, numpy; before = set(sys.modules); import nnfunc; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "nnfunc" in loaded
    assert not {"zipfile", "hashlib", "json", "inspect", "numpy.random", "asyncio", "tempfile"} & set(loaded)
