"""Transfer learning: a network that knows digits as white on black learns black on white from three images of each.

Left as it is, it is nearly always wrong. First a new output layer learns alone, on features that are frozen; then all goes
on, the features at a tenth of the rate, with an average of the params beside. That is right more often than training from
nothing. Each is an optimiser made of optimisers, of which `train` knows nothing.

    python examples/transfer.py
"""

# %%
import numpy as np
from digits import load_digits

from nnfunc import (
    AnyArray,
    Array,
    Optimizer,
    Params,
    State,
    accuracy,
    adam,
    averaged,
    averaged_params,
    by_name,
    chain,
    current_params,
    dense,
    finish,
    forward,
    generator,
    init,
    relu,
    scaled,
    select,
    softmax_cross_entropy,
    split_rows,
    train,
)

# %%
NET = chain(features=chain(dense(64, 64, relu), dense(64, 32, relu)), out=dense(32, 10))
SHOTS, TRIALS = 3, 5
FROZEN = by_name({"out/*": adam(), "features/*": None})
TUNED = averaged(by_name({"out/*": adam(), "features/*": scaled(adam(), 0.1)}), 0.95)


# %%
def trained(params: Params, x: Array, y: AnyArray, optimizer: Optimizer, epochs: int, lr: float = 3e-3) -> State:
    """Train, and return the state of the run."""
    run = train(NET, softmax_cross_entropy, params, x, y, epochs=epochs, lr=lr, optimizer=optimizer, size=20)
    return finish(run)[0]


# %%
def main() -> dict[str, float]:
    """Print and return the mean accuracy of each way on the images that none was trained on."""
    x, y = load_digits()
    known, other = split_rows(0, len(x), 0.5, labels=y)
    before = current_params(trained(init(NET, 0), x[known], y[known], adam(), epochs=30))
    x, y = 1 - x[other], y[other]
    found: dict[str, list[float]] = {}
    for trial in range(TRIALS):
        draw = generator((1, trial))
        few = np.concatenate([draw.permutation(np.flatnonzero(y == digit))[:SHOTS] for digit in range(10)])
        rest = np.setdiff1d(np.arange(len(x)), few)
        fresh = init(NET, (2, trial))
        start = {**before, "out/W": fresh["out/W"], "out/b": fresh["out/b"]}
        frozen = current_params(trained(start, x[few], y[few], FROZEN, epochs=60, lr=3e-2))
        tuned = trained(frozen, x[few], y[few], TUNED, epochs=60)
        ways = {
            "as it is": before,
            "from nothing": current_params(trained(fresh, x[few], y[few], adam(), epochs=120)),
            "a new output layer on frozen features": frozen,
            "then all, the features at a tenth of the rate": current_params(tuned),
            "and averaged": averaged_params(select(tuned, "optimizer")),
        }
        for name, params in ways.items():
            found.setdefault(name, []).append(accuracy(forward(NET, params, x[rest]), y[rest]))
    print(f"right on black digits on white after {SHOTS} images of each, mean of {TRIALS} draws:")
    for name, rights in found.items():
        print(f"  {name}: {np.mean(rights):.1%}")
    return {name: float(np.mean(rights)) for name, rights in found.items()}


# %%
if __name__ == "__main__":
    main()
