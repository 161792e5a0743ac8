"""Doctests that want another library run where it is installed."""

from importlib.util import find_spec

import pytest

NEEDS = {
    "nnfunc.exchange.onnx.": "onnx", "nnfunc.exchange.safetensors.": "safetensors",
    "nnfunc.exchange.sklearn.to_sklearn": "sklearn",
}  # fmt: skip
MISSING = {start: package for start, package in NEEDS.items() if find_spec(package) is None}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for start, package in MISSING.items():
            if isinstance(item, pytest.DoctestItem) and item.name.startswith(start):
                item.add_marker(pytest.mark.skip(reason=f"could not import {package!r}"))
