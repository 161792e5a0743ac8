"""What `combine` makes of branches: their product, their difference, one branch on several inputs with the same weights.

Two inputs of a network are columns of one x: ``np.hstack([user, item])``, of which each branch takes its own by `columns`.

    pair = combine(partial(shared, 2), tower=chain(dense(8, 16, relu), dense(16, 4)))      # a siamese pair
    score = combine(product, user=chain(columns(0, 5), dense(5, 3)), item=chain(columns(5, 9), dense(4, 3)))
"""

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from nnfunc import Array, Branch, InputGradient, Params, map_params

Combined = tuple[Array, Callable[[Array], tuple[Sequence[Params], InputGradient]]]


def product(branches: Sequence[Branch], x: Array) -> Combined:
    """Return a * b, what two branches put out multiplied: dy * b for the one, dy * a for the other."""
    (a, back_a), (b, back_b) = (branch(x) for branch in branches)

    def pullback(dy: Array) -> tuple[Sequence[Params], InputGradient]:
        (grads_a, dx_a), (grads_b, dx_b) = back_a(dy * b), back_b(dy * a)
        return (grads_a, grads_b), lambda: dx_a() + dx_b()

    return a * b, pullback


def difference(branches: Sequence[Branch], x: Array) -> Combined:
    """Return a - b: dy for the one, -dy for the other."""
    (a, back_a), (b, back_b) = (branch(x) for branch in branches)

    def pullback(dy: Array) -> tuple[Sequence[Params], InputGradient]:
        (grads_a, dx_a), (grads_b, dx_b) = back_a(dy), back_b(-dy)
        return (grads_a, grads_b), lambda: dx_a() + dx_b()

    return a - b, pullback


def shared(parts: int, branches: Sequence[Branch], x: Array) -> Combined:
    """Run one branch on each of `parts` equal groups of columns, outputs side by side; its gradients add up."""
    done = [branches[0](part) for part in np.split(x, parts, axis=1)]

    def pullback(dy: Array) -> tuple[Sequence[Params], InputGradient]:
        back = [pull(part) for (_, pull), part in zip(done, np.split(dy, parts, axis=1), strict=True)]
        total = reduce(lambda a, b: map_params(np.add, a, b), [grads for grads, _ in back])
        return [total], lambda: np.concatenate([dx() for _, dx in back], axis=1)

    return np.concatenate([y for y, _ in done], axis=1), pullback
