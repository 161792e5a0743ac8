"""Which learning rate? A range test answers in two hundred steps, for each optimiser its own.

The rate grows from step to step. While it is too small nothing happens, then the loss falls, and at last it bursts. A
third of the rate where it is least is a good start: a thirtieth of that, or thirty times it, trains worse.

    python examples/learning_rate.py
"""

# %%
from digits import load_digits
from recipes.lr_range import lr_range_test, suggested

from nnfunc import (
    accuracy,
    adam,
    current_params,
    finish,
    forward,
    init,
    mlp,
    momentum,
    relu,
    sgd,
    softmax_cross_entropy,
    split_rows,
    train,
)

# %%
NET = mlp([64, 64, 10], relu)
OPTIMIZERS = {"sgd": sgd(), "momentum": momentum(0.9), "adam": adam()}


# %%
def main() -> dict[str, list[float]]:
    """Print the range test of each optimiser, and return its accuracies at a thirtieth of the rate, at it, and above."""
    x, y = load_digits()
    rows, held = split_rows(0, len(x), 0.2, labels=y)
    x, y, x_held, y_held = x[rows], y[rows], x[held], y[held]
    start, found = init(NET, key=0), {}
    for name, optimizer in OPTIMIZERS.items():
        tried = lr_range_test(NET, softmax_cross_entropy, start, x, y, optimizer)
        rate = suggested(tried)
        print(f"{name}: start with {rate:.2g}")
        for lr, value in tried[9::15]:
            print(f"  rate {lr:8.1e}  loss {value:5.2f} {'#' * round(10 * value)}")
        rights = []
        for lr in (rate / 30, rate, 30 * rate):
            state, _ = finish(train(NET, softmax_cross_entropy, start, x, y, epochs=5, lr=lr, optimizer=optimizer))
            rights.append(accuracy(forward(NET, current_params(state), x_held), y_held))
            print(f"  after five epochs at {lr:.2g}: {rights[-1]:.1%} right")
        found[name] = rights
    return found


# %%
if __name__ == "__main__":
    main()
