"""Gradient checking: a right gradient passes, a wrong one is found and named.

    python examples/gradient_checking.py
    python examples/gradient_checking.py --pictures
"""

# %%
import sys
from pathlib import Path

import numpy as np
from drawing import BLUE, INK, ORANGE, RED, asked, picture

from nnfunc import (
    Activation,
    Array,
    GradCheck,
    chain,
    check_grads,
    dense,
    grads,
    init,
    loss,
    ravel,
    relu,
    softmax_cross_entropy,
    tanh,
)

# The slope of tanh is 1 - tanh(z)^2. Somebody forgot the square.
WRONG_TANH = (np.tanh, lambda z: 1 - np.tanh(z))


# %%
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


# %% How large a step?
STEPS: Array = 10.0 ** np.arange(-11, 0.25, 0.25)


def errors() -> dict[str, Array]:
    """Return the relative error between gradient and slopes in ten directions, for each size of the step."""
    draw, found = np.random.default_rng(0), {}
    x, y, directions = draw.normal(size=(8, 4)), draw.integers(0, 3, 8), draw.normal(size=(10, 43))
    tried: dict[str, Activation] = {"float32": tanh, "float64": tanh, "a wrong slope": WRONG_TANH}
    for name, f in tried.items():
        net = chain(hidden=dense(4, 5, f), out=dense(5, 3))
        params = init(net, 0, np.float32 if name == "float32" else np.float64)
        vector, unravel = ravel(params)
        analytic = directions @ ravel(grads(net, softmax_cross_entropy, params, x, y))[0]
        rows = []
        for h in STEPS:
            up, down = (
                np.array([loss(net, softmax_cross_entropy, unravel(vector + way * h * d), x, y) for d in directions])
                for way in (1, -1)
            )
            numeric = (up - down) / (2 * h)
            sizes = np.linalg.norm(analytic) + np.linalg.norm(numeric)
            rows.append(np.linalg.norm(analytic - numeric) / sizes)
        found[name] = np.array(rows)
    return found


def draw(directory: Path) -> None:
    """Print and draw the error against the step: a V whose arms are rounding and curvature, and a flat line."""
    found = errors()
    for name, error in found.items():
        print(f"{name}: least error {error.min():.0e}, at a step of {STEPS[error.argmin()]:.0e}")
    with picture(directory, "gradient_checking", 3.3) as (_, (axes,)):
        for (name, error), colour in zip(found.items(), (ORANGE, BLUE, RED), strict=True):
            axes.loglog(STEPS, error, color=colour)
        axes.text(1.6e-5, 0.17, "a wrong slope: no step helps", color=RED, va="top")
        axes.text(6e-4, 4e-4, "float32", color=ORANGE)
        axes.text(2e-8, 2e-7, "float64: rounding", color=BLUE)
        axes.text(1.3e-3, 4e-7, "float64: curvature", color=BLUE)
        axes.axvline(1e-5, color=INK, linestyle=":")
        axes.text(8e-6, 3e-12, "check_grads: 1e-5, in float64", ha="right")
        axes.set(xlabel="step h of (L(p + h) - L(p - h)) / 2h", ylabel="relative error", ylim=(1e-12, 3))


# %%
if __name__ == "__main__":
    main()
    if directory := asked(sys.argv):
        draw(directory)
