"""k-fold cross-validation, each fold in a process of its own.

Folds, params and optimisers are values, so a fold is one call of a function and needs nothing but its number; any executor
maps it. Processes find the same accuracies, to the bit, as one fold after the other; they take some tenths of a second to
start, and pay where a fold takes longer.

    python examples/cross_validation.py
"""

# %%
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
from digits import load_digits

from nnfunc import accuracy, adam, current_params, finish, folds, forward, init, mlp, relu, softmax_cross_entropy, train

# %%
NET = mlp([64, 64, 10], relu)
FOLDS = 5


# %%
def held_out_accuracy(epochs: int, fold: int) -> float:
    """Train on all folds but one, and return the accuracy on that one."""
    x, y = load_digits()
    rows, held = folds(0, len(x), FOLDS, labels=y)[fold]
    run = train(NET, softmax_cross_entropy, init(NET, fold), x[rows], y[rows], epochs=epochs, lr=3e-3, optimizer=adam(), key=fold)
    state, _ = finish(run)
    return accuracy(forward(NET, current_params(state), x[held]), y[held])


def told(name: str, found: Iterable[float]) -> list[float]:
    """Print the accuracies as they come, and how long they took."""
    started, rights = time.perf_counter(), list(found)
    each = "  ".join(f"{right:.1%}" for right in rights)
    error = np.std(rights, ddof=1) / len(rights) ** 0.5
    print(f"{name}: {each}, mean {np.mean(rights):.2%} +- {error:.2%} in {time.perf_counter() - started:.1f} s")
    return rights


# %%
def main(epochs: int = 30) -> tuple[list[float], list[float]]:
    """Print and return the accuracy of every fold, found in turn and in processes."""
    from cross_validation import held_out_accuracy  # by the file's name: other processes cannot look into a notebook

    one = partial(held_out_accuracy, epochs)
    in_turn = told("in turn", map(one, range(FOLDS)))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        in_processes = told("two processes", pool.map(one, range(FOLDS)))
    return in_turn, in_processes


# %%
if __name__ == "__main__":
    main()
