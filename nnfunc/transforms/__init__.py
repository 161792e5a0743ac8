"""Functions of a network: ensembles in one pass. Knows nothing of training.

What this file lists is public, as what `nnfunc` lists.
"""

from nnfunc.transforms.ensembles import stack_params, unstack_params

__all__ = ["stack_params", "unstack_params"]
