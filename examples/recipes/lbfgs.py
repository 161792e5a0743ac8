"""L-BFGS through SciPy: params as one vector, the loss of all rows and its gradient.

`test_lbfgs.py` proves it. Wants SciPy, which `pip install -e '.[examples]'` brings.
"""

try:
    from scipy.optimize import minimize
except ModuleNotFoundError:
    raise ModuleNotFoundError("recipes/lbfgs: SciPy must be installed: pip install -e '.[examples]'") from None

from nnfunc import AnyArray, Array, Layer, LossFn, Params, Penalty, ravel, value_and_grads


def lbfgs(
    net: Layer, loss_fn: LossFn, params: Params, x: Array, y: AnyArray, penalty: Penalty | None = None,
    steps: int = 200, tolerance: float = 1e-5,
) -> Params:
    """Return params of least loss over all rows, of a network without dropout and batch norm.

    Params of float64 do best, as a line search compares losses that are nearly equal.

    Reference:
        Byrd, Lu, Nocedal and Zhu 1995.
    """
    start, unravel = ravel(params)

    def value_and_slopes(vector: Array) -> tuple[float, Array]:
        value, g = value_and_grads(net, loss_fn, unravel(vector), x, y, penalty=penalty)
        return value, ravel(g)[0]

    options = {"maxiter": steps, "gtol": tolerance, "maxfun": 15000}
    return unravel(minimize(value_and_slopes, start, jac=True, method="L-BFGS-B", options=options).x)
