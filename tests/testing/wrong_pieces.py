"""All wrong pieces: name, the check to run, and the law that must catch it."""

from collections.abc import Callable
from functools import partial

import numpy as np

from nnfunc import adam
from nnfunc.testing import (
    check_layer,
    check_loss,
    check_optimizer,
    check_penalty,
    check_transform,
)
from tests.testing import subtle_pieces, wrong_functions, wrong_layers, wrong_optimizers, wrong_others
from tests.testing.makers import CLASSES, LOGITS, PROBABILITIES, TARGETS, VALUES, X

WRONG: dict[str, tuple[Callable[[], object], str]] = {
    **{f"layer: {name}": (partial(check_layer, layer, X), law) for name, (layer, law) in wrong_layers.LAYERS.items()},
    **{f"activation: {name}": bug for name, bug in wrong_functions.ACTIVATIONS.items()},
    **{
        f"loss: {name}": (partial(check_loss, loss_fn, VALUES, TARGETS), law)
        for name, (loss_fn, law) in wrong_functions.LOSSES.items()
    },
    **{
        f"loss: {name}": (partial(check_loss, loss_fn, LOGITS, CLASSES), law)
        for name, (loss_fn, law) in wrong_functions.CLASS_LOSSES.items()
    },
    "loss: clipped": (lambda: check_loss(wrong_functions.clipped, 9 * LOGITS, CLASSES), "gradient"),
    "loss: 0 log 0": (
        lambda: check_loss(wrong_functions.zero_times_log_zero, PROBABILITIES, np.array([[0.0, 1], [1, 0], [1, 0]])),
        "exact outputs",
    ),
    "loss: bytes wrap": (lambda: check_loss(wrong_functions.wrapping, VALUES, (TARGETS > 0) * 1.0), "target types"),
    **{
        f"penalty: {name}": (partial(check_penalty, penalty), law)
        for name, (penalty, law) in wrong_functions.PENALTIES.items()
    },
    **{
        f"transform: {name}": (partial(check_transform, transform), law)
        for name, (transform, law) in wrong_functions.TRANSFORMS.items()
    },
    **{
        f"optimizer: {name}": (partial(check_optimizer, optimizer), law)
        for name, (optimizer, law) in wrong_optimizers.OPTIMIZERS.items()
    },
    "optimizer: moves what is declared to stay": (lambda: check_optimizer(adam(), frozen="out/*"), "frozen names"),
    **subtle_pieces.WRONG,
    **{f"other: {name}": bug for name, bug in wrong_others.OTHERS.items()},
}
