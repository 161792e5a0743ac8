"""A network with its params, and data of every kind, that the laws are tried on."""

import numpy as np

from nnfunc import AnyArray, Array, chain, dense, init, relu, residual, tanh

NET = chain(hidden=dense(3, 4, relu), skip=residual(dense(4, 4, tanh)), out=dense(4, 2))
PARAMS = init(NET, 0)
X: Array = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
Z: Array = np.random.default_rng(1).normal(size=(5, 2)).astype(np.float32)
Y: AnyArray = np.array([0, 1, 1, 0, 1])
YES: AnyArray = np.array([[0.0], [1.0], [1.0], [0.0], [1.0]], np.float32)
