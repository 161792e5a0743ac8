"""Adam in one compiled loop: where NumPy goes over memory a dozen times, an optimiser of one's own goes once.

A step of the library's `adam` is a dozen passes over all params, each about as fast as memory is. Here numba compiles the
whole update to one loop, on one thread, behind the same pair ``(init, step)``: `check_optimizer` proves that it takes the
steps of `adam`, it is timed beside that, and `train` uses it. The state is that of `adam`, under the same names, so a run
may go on with either. numba needs a second to compile at first, and keeps what it made beside this file.

    pip install -e '.[compiled]'
    python examples/compiled_adam.py
"""

# %%
import math
import time
from collections.abc import Callable
from functools import lru_cache, partial
from types import MappingProxyType
from typing import SupportsFloat

import numpy as np

try:
    import numba
except ModuleNotFoundError:
    raise ModuleNotFoundError("compiled_adam: numba must be installed: pip install -e '.[compiled]'") from None

from nnfunc import (
    AnyArray,
    Array,
    Optimizer,
    Params,
    State,
    adam,
    finish,
    generator,
    init,
    mlp,
    relu,
    softmax_cross_entropy,
    table,
    train,
)
from nnfunc.testing import check_optimizer

# %%
SIZES = {"2-8-2": [2, 8, 2], "64-64-10": [64, 64, 10], "784-64-10": [784, 64, 10], "784-256-128-10": [784, 256, 128, 10]}

Loop = Callable[..., bool]


def update(
    p: Array, g: Array, m: Array, v: Array, new_p: Array, new_m: Array, new_v: Array,
    b1: float, b2: float, eps: float, lr: float, t: int,
) -> bool:  # fmt: skip
    """Write step t of Adam into the last three arrays, and say whether the mean of squares stayed finite."""
    number, root = p.dtype.type, math.sqrt(1 - b2**t)
    own1, new1, own2, new2 = number(b1), number(1 - b1), number(b2), number(1 - b2)
    small, rate, most, lost = number(eps * root), number(lr * root / (1 - b1**t)), number(math.inf), False
    for i in range(p.size):
        mean = m[i] * own1 + g[i] * new1
        square = v[i] * own2 + g[i] * g[i] * new2
        new_m[i], new_v[i] = mean, square
        new_p[i] = p[i] - mean / (np.sqrt(square) + small) * rate
        lost |= not square < most
    return not lost


@lru_cache(maxsize=1)
def compiled() -> Loop:
    """Return `update`, compiled for both dtypes."""
    signatures = []
    for number in (numba.float32, numba.float64):
        # Arrays that may be written are taken where read-only ones are declared, not the other way round.
        held, new = (numba.types.Array(number, 1, "C", readonly=readonly) for readonly in (True, False))
        signatures.append(numba.boolean(*[held] * 4, *[new] * 3, *[numba.float64] * 4, numba.int64))
    # As NumPy divides: with Python's test for 0 in each turn, no loop runs on several elements at once.
    loop: Loop = numba.njit(signatures, error_model="numpy", nogil=True, cache=True)(update)
    return loop


# %%
def compiled_adam(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """Return `adam` with its arithmetic compiled."""
    begin, _ = adam(b1, b2, eps)
    return begin, partial(compiled_step, compiled(), b1, b2, eps)


def compiled_step(
    loop: Loop, b1: float, b2: float, eps: float, params: Params, grads: Params, state: State, lr: SupportsFloat
) -> tuple[Params, State]:
    """Step each parameter that has a gradient; the others, and their part of the state, stay."""
    new, after, rate = dict(params), dict(state), float(lr)
    for name, gradient in grads.items():
        p = params[name]
        g, t, m, v = np.asarray(gradient, p.dtype), *(state[f"{slot}/{name}"] for slot in "tmv")
        # Nothing compiled asks where an array ends, or what it is.
        if not g.shape == p.shape == m.shape == v.shape or not p.dtype == m.dtype == v.dtype:
            raise ValueError(f"compiled_adam: grads and state must fit {name}, a {p.dtype} array of shape {p.shape}")
        found, count = [np.empty(p.shape, p.dtype) for _ in range(3)], int(t) + 1
        flat = [array.ravel() for array in (p, g, m, v, *found)]
        if not loop(*flat, b1, b2, eps, rate, count):
            raise FloatingPointError(f"compiled_adam: grads[{name!r}] and its square must be finite")
        new[name], after[f"m/{name}"], after[f"v/{name}"] = found
        after[f"t/{name}"] = np.asarray(count)
    return locked(new, params), locked(after, state)


def locked(arrays: dict[str, AnyArray], before: Params | State) -> MappingProxyType[str, AnyArray]:
    """Return a mapping that nobody can change, of new arrays, and copies of old ones."""
    for name, array in arrays.items():
        if array is before[name] and array.flags.writeable:
            arrays[name] = array.copy()
        arrays[name].setflags(write=False)
    return MappingProxyType(arrays)


# %%
def microseconds(optimizer: Optimizer, params: Params) -> float:
    """Return the least time of a step."""
    begin, step = optimizer
    state, least = begin(params), math.inf
    for _ in range(200):
        started = time.perf_counter()
        params, state = step(params, params, state, 1e-3)
        least = min(least, time.perf_counter() - started)
    return 1e6 * least


# %%
def main() -> dict[str, tuple[float, float]]:
    """Print the proof, the time of a step by both, and the last loss of a run by both; return these losses by size."""
    started = time.perf_counter()
    optimizers = compiled_adam(), adam()
    print(f"compiled, or read again, in {time.perf_counter() - started:.1f} s")
    results = check_optimizer(optimizers[0], like=adam())
    kept = sum(result["status"] == "pass" for result in results)
    print(f"{kept} of {len(results)} laws hold, one that its steps are those of adam, up to rounding")
    rows: list[dict[str, object]] = []
    losses: dict[str, tuple[float, float]] = {}
    for name, sizes in SIZES.items():
        net = mlp(sizes, relu)
        params = init(net, 0)
        draw = generator(1)
        x, labels = draw.normal(size=(64, sizes[0])).astype(np.float32), draw.integers(0, sizes[-1], 64)
        runs = [
            finish(train(net, softmax_cross_entropy, params, x, labels, epochs=5, lr=1e-3, optimizer=each, size=32))
            for each in optimizers
        ]
        losses[name] = runs[0][1][-1]["loss"], runs[1][1][-1]["loss"]
        ours, theirs = (round(microseconds(each, params), 1) for each in optimizers)
        count = sum(array.size for array in params.values())
        rows.append({"network": name, "params": count, "compiled, us": ours, "adam, us": theirs})
    print(table(rows))
    return losses


# %%
if __name__ == "__main__":
    main()
