"""A small convolutional network on the handwritten digits, of layers that are no part of the library.

`recipes/convolution.py` holds them, in plain NumPy; they stand in `chain` and `train` like any others. The network has
two thirds of the parameters of the one in `digits.py` and makes three quarters of its mistakes.

    python examples/digits_convolution.py
"""

# %%
import numpy as np
from digits import load_digits
from recipes.convolution import convolution, max_pool

from nnfunc import (
    accuracy,
    activation,
    adam,
    chain,
    cosine_decay_schedule,
    count_steps,
    current_params,
    dense,
    finish,
    forward,
    init,
    progress_line,
    relu,
    softmax_cross_entropy,
    split_rows,
    summary,
    table,
    train,
)

# %%
EPOCHS = 12
NET = chain(
    first=convolution((8, 8, 1), filters=16, size=3),
    relu1=activation(relu),
    second=convolution((6, 6, 16), filters=32, size=3),
    relu2=activation(relu),
    pool=max_pool((4, 4, 32), 2),
    out=dense(128, 10),
)


# %%
def trained(split: int, progress: bool) -> tuple[float, float]:
    """Train on four fifths of the digits; return the accuracy on the fifth held out, and rows a second."""
    x, y = load_digits()
    rows, held = split_rows(split, len(x), 0.2, labels=y)
    schedule = cosine_decay_schedule(1e-2, decay_steps=count_steps(len(rows), epochs=EPOCHS))
    state, reports = finish(train(
        NET, softmax_cross_entropy, init(NET, split), x[rows], y[rows], epochs=EPOCHS, lr=schedule, optimizer=adam(),
        key=split, metrics={"accuracy": accuracy}, validation=(x[held], y[held]),
    ))  # fmt: skip
    if progress:
        print("\n".join(map(progress_line, reports)))
    right = accuracy(forward(NET, current_params(state), x[held]), y[held])
    return right, float(np.median([report["rows_per_second"] for report in reports]))


# %%
def main() -> float:
    """Print the network, the progress of one split, the accuracy of five, and return their mean."""
    print(table(summary(NET, init(NET, 0))))
    found = [trained(split, progress=split == 0) for split in range(5)]
    mean, rate = np.mean([right for right, _ in found]), np.median([rate for _, rate in found])
    print(f"mean held-out accuracy over {len(found)} splits: {mean:.2%}, {rate:,.0f} rows a second")
    return float(mean)


# %%
if __name__ == "__main__":
    main()
