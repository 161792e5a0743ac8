"""Check pieces of one's own: each checker tries the laws that the library's own pieces keep.

    from nnfunc.testing import check_layer

    def test_my_layer():
        check_layer(my_layer(4), x)

If a law is broken, a checker raises AssertionError and says which one, where,
what was expected and what came, the usual cause, and the smallest input that
shows it. With ``report=True`` it prints a table of all its laws instead.

There is a file for each kind of piece: layers, activations, losses (and
metrics), penalties (and what transforms gradients), optimizers, schedules (and
monitors) and initializers. They rest on four: ``laws`` goes through a list of
laws, ``purity`` holds those that every function keeps, ``gradients`` compares a
way back with slopes by differences, and ``samples`` makes inputs and compares
results. Only check_activation calls another checker, check_layer.

Nothing else in the library needs this package. It builds on the library's
types, keys and params, its checks on arguments and pieces, and its slopes by
differences; check_layer also walks networks and calibrates batch norms.
"""

from nnfunc.testing.activations import check_activation
from nnfunc.testing.initializers import check_initializer
from nnfunc.testing.laws import LawResult
from nnfunc.testing.layers import check_layer
from nnfunc.testing.losses import check_loss, check_metric
from nnfunc.testing.optimizers import check_optimizer
from nnfunc.testing.penalties import check_penalty, check_transform
from nnfunc.testing.purity import check_pure
from nnfunc.testing.schedules import check_monitor, check_schedule

__all__ = [
    "LawResult", "check_activation", "check_initializer", "check_layer", "check_loss", "check_metric", "check_monitor",
    "check_optimizer", "check_penalty", "check_pure", "check_schedule", "check_transform",
]
