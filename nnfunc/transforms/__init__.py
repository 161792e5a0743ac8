"""Functions of a network: gradients by row, Jacobians, Hessian products, ensembles in one pass, second-order fits.

Knows nothing of training.

What this file lists is public, as what `nnfunc` lists.
"""

from nnfunc.transforms.derivatives import hvp
from nnfunc.transforms.ensembles import ensemble_forward, ensemble_value_and_grads, stack_params, unstack_params
from nnfunc.transforms.least_squares import FitReport, levenberg_marquardt
from nnfunc.transforms.rows import grad_variance, jacobian, params_jacobian, per_example_grad_norms, per_example_grads

__all__ = [
    "FitReport", "ensemble_forward", "ensemble_value_and_grads", "grad_variance", "hvp", "jacobian",
    "levenberg_marquardt", "params_jacobian", "per_example_grad_norms", "per_example_grads", "stack_params",
    "unstack_params",
]
