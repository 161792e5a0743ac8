"""Checkers for pieces of one's own: each tries the laws that the library's own pieces keep.

    from nnfunc.testing import check_layer

    def test_my_layer():
        check_layer(my_layer(4), x)

A breach is an AssertionError that says which law is broken, where, what was
expected and what came, the usual cause, and the smallest input that shows it.
With ``report=True`` a checker prints a table of all its laws instead.
"""

from nnfunc.testing.activations import check_activation
from nnfunc.testing.laws import LawResult
from nnfunc.testing.layers import check_layer
from nnfunc.testing.losses import check_loss, check_metric
from nnfunc.testing.optimizers import check_optimizer
from nnfunc.testing.params_checks import check_penalty, check_transform
from nnfunc.testing.purity import check_pure
from nnfunc.testing.schedule_checks import (
    check_initializer,
    check_monitor,
    check_schedule,
)

__all__ = [
    "LawResult",
    "check_activation",
    "check_initializer",
    "check_layer",
    "check_loss",
    "check_metric",
    "check_monitor",
    "check_optimizer",
    "check_penalty",
    "check_pure",
    "check_schedule",
    "check_transform",
]
