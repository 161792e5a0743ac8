"""To and from other libraries, and predictors in other languages. Knows nothing of training."""

from nnfunc.exchange.c import to_c
from nnfunc.exchange.python import to_python

__all__ = ["to_c", "to_python"]
