"""All right pieces: name and the check that must pass."""

from collections.abc import Callable
from functools import partial

from nnfunc.testing import check_optimizer
from tests.testing import odd_functions, odd_layers, odd_optimizers, subtle_pieces

ODD: dict[str, Callable[[], object]] = {
    **{f"layer: {name}": call for name, call in odd_layers.LAYERS.items()},
    **{f"function: {name}": call for name, call in odd_functions.FUNCTIONS.items()},
    **{
        f"optimizer: {name}": partial(check_optimizer, optimizer)
        for name, optimizer in odd_optimizers.OPTIMIZERS.items()
    },
    "optimizer: amsgrad, declared": lambda: check_optimizer(odd_optimizers.UNCORRECTED, unbiased=False),
    **subtle_pieces.RIGHT,
    "optimizer: average of all params, declared": lambda: check_optimizer(odd_optimizers.AVERAGED, rests=False),
    **{f"other: {name}": call for name, call in odd_functions.OTHERS.items()},
}
