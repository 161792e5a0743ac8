"""A network of every kind of layer, and a batch, to look inside of."""

import numpy as np

from nnfunc import Array, batch_norm, chain, dense, dropout, init, relu, residual, tanh

DEEP_PARTS = {
    "hidden": dense(3, 4, relu), "norm": batch_norm(4), "skip": residual(chain(dense(4, 4, tanh), dropout(0.5))),
    "out": dense(4, 2),
}  # fmt: skip
DEEP = chain(**DEEP_PARTS)
DEEP_P = init(DEEP, 0)
INPUTS: Array = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
VALUES: Array = np.random.default_rng(1).normal(size=(6, 2)).astype(np.float32)
