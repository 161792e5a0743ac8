"""To and from other libraries, and predictors in other languages. Knows nothing of training.

What this file lists is public, as what `nnfunc` lists. A format is read and written by the library that
owns it, imported where it is needed.
"""

from nnfunc.exchange.c import to_c
from nnfunc.exchange.keras import from_keras, to_keras
from nnfunc.exchange.onnx import to_onnx
from nnfunc.exchange.python import to_python
from nnfunc.exchange.safetensors import load_safetensors, save_safetensors
from nnfunc.exchange.sklearn import from_sklearn, to_sklearn
from nnfunc.exchange.torch import from_torch, to_torch

__all__ = [
    "from_keras", "from_sklearn", "from_torch", "load_safetensors", "save_safetensors", "to_c", "to_keras", "to_onnx",
    "to_python", "to_sklearn", "to_torch",
]
