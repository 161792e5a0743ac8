"""Gradient checking: a right gradient passes, a wrong one is found and named.

    python examples/gradient_checking.py
"""

import numpy as np

from nnfunc import GradCheck, chain, check_grads, dense, init, relu, softmax_cross_entropy, tanh

# The slope of tanh is 1 - tanh(z)^2. Somebody forgot the square.
WRONG_TANH = (np.tanh, lambda z: 1 - np.tanh(z))


def main() -> tuple[GradCheck, GradCheck, GradCheck]:
    """Check three networks and return the three reports."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(8, 4)), draw.integers(0, 3, 8)

    right = chain(hidden=dense(4, 5, tanh), out=dense(5, 3))
    report = check_grads(right, softmax_cross_entropy, init(right, 0), x, y)
    print(f"tanh: {report['verdict']}, relative error {report['relative_error']:.1e} over {report['compared']} slopes")

    wrong = chain(hidden=dense(4, 5, WRONG_TANH), out=dense(5, 3))
    found = check_grads(wrong, softmax_cross_entropy, init(wrong, 0), x, y)
    print(f"a wrong slope: {found['verdict']}, relative error {found['relative_error']:.1e}")
    print(f"  worst at {found['worst']}{list(found['index'])}: {found['analytic']:.5f}, measured {found['numeric']:.5f}")

    # A large network needs no slope per weight: a few random directions see a wrong gradient too.
    large = chain(dense(4, 200, relu), dense(200, 200, relu), dense(200, 3))
    quick = check_grads(large, softmax_cross_entropy, init(large, 0), x, y, directions=10)
    print(f"{200 * 200 + 200 * 9 + 3:,} parameters in 10 directions: {quick['verdict']}")
    return report, found, quick


if __name__ == "__main__":
    main()
