"""Doctests of what needs an extra run where it is installed."""

from importlib.util import find_spec

NEEDS = {"onnx": "nnfunc/exchange/onnx.py"}
collect_ignore = [file for package, file in NEEDS.items() if find_spec(package) is None]
