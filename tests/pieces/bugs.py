"""All seeded bugs: name, the check to run, and the law that must catch it."""

from collections.abc import Callable
from functools import partial

import numpy as np

from nnfunc.testing import (
    check_layer,
    check_loss,
    check_optimizer,
    check_penalty,
    check_transform,
)
from tests.pieces import function_bugs, layer_bugs, optimizer_bugs, other_bugs
from tests.pieces.makers import CLASSES, LOGITS, PROBABILITIES, TARGETS, VALUES, X

BUGS: dict[str, tuple[Callable[[], object], str]] = {
    **{f"layer: {name}": (partial(check_layer, layer, X), law) for name, (layer, law) in layer_bugs.LAYERS.items()},
    **{f"activation: {name}": bug for name, bug in function_bugs.ACTIVATIONS.items()},
    **{
        f"loss: {name}": (partial(check_loss, loss_fn, VALUES, TARGETS), law)
        for name, (loss_fn, law) in function_bugs.LOSSES.items()
    },
    **{
        f"loss: {name}": (partial(check_loss, loss_fn, LOGITS, CLASSES), law)
        for name, (loss_fn, law) in function_bugs.CLASS_LOSSES.items()
    },
    "loss: clipped": (lambda: check_loss(function_bugs.clipped, 9 * LOGITS, CLASSES), "gradient"),
    "loss: 0 log 0": (
        lambda: check_loss(function_bugs.zero_times_log_zero, PROBABILITIES, np.array([[0.0, 1], [1, 0], [1, 0]])),
        "exact outputs",
    ),
    **{
        f"penalty: {name}": (partial(check_penalty, penalty), law)
        for name, (penalty, law) in function_bugs.PENALTIES.items()
    },
    **{
        f"transform: {name}": (partial(check_transform, transform), law)
        for name, (transform, law) in function_bugs.TRANSFORMS.items()
    },
    **{
        f"optimizer: {name}": (partial(check_optimizer, optimizer), law)
        for name, (optimizer, law) in optimizer_bugs.OPTIMIZERS.items()
    },
    **{f"other: {name}": bug for name, bug in other_bugs.OTHERS.items()},
}
