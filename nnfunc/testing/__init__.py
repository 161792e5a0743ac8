"""Check pieces of one's own: each checker tries the laws that the library's own pieces keep.

    from nnfunc.testing import check_layer

    def test_my_layer():
        check_layer(my_layer(4), x)

A broken law is an AssertionError that says which one, where, what was expected and what came, the usual cause, and the
smallest input that shows it. With ``report=True`` a checker prints a table of all its laws instead, and raises nothing.

    piece               form                                                  checker
    layer, network      (init, forward)                                       check_layer(layer, x)
    activation          f and its elementwise derivative                      check_activation(f, df)
    loss                (outputs, targets) -> (per_example, d_outputs)        check_loss(loss_fn, outputs, targets)
    metric              (outputs, targets) -> float                           check_metric(metric, outputs, targets)
    penalty             params -> (value, grads)                              check_penalty(penalty, params)
    gradient transform  grads -> grads                                        check_transform(transform)
    optimizer           (init, step); step(params, grads, state, lr)          check_optimizer(optimizer)
    schedule            step -> float                                         check_schedule(schedule, values)
    monitor             (init, update); update(state, metric)                 check_monitor(monitor)
    initializer         (key, shape, dtype) -> array                          check_initializer(initializer, std=std)
    any function        of arrays, numbers, lists, mappings and the like      check_pure(f, *args)

Laws, by the names that a report gives them. Those of all kinds of piece, as far as they make sense for one:

    form                  it takes and returns what the table says, finite numbers of the right shapes
    arguments unchanged   nothing that is handed in is changed
    global random state   that of NumPy and of `random` stays as it is
    global settings       those of NumPy, `warnings` and the environment stay as they are
    same bits             the same call gives the same bits, also after calls with other values
    no aliasing           no result shares memory with an argument that can be written to, or with another result
    gradient              it is the slope that differences measure
    dtype                 float32 gives float32, float64 gives float64, with the same results
    precision             float64 is float64 all the way, nothing between is float32
    stable                large inputs give finite numbers
    memory layout         it does not matter how arrays lie in memory
    order of names        it does not matter in which order params and gradients stand
    zero params, no params, zero gradients, NaN
                          what is 0, empty or no number gives no surprise: NaN stays NaN, nothing else becomes NaN

Layers:

    init                  the same key gives the same params, in the dtype asked for, which share nothing
    finite                no NaN wherever x is finite, at params of 0 and at rows of zeros too
    calls apart           calls in between change neither a result nor a way back
    one row               a row gives by itself what it gives in batches of any size and order
    rows independent      at inference, a row changes no other
    gradients add up      those of a batch are the sum of those of its rows
    keys                  they decide the noise, all of it, and its mean is inference
    offset                inputs far from 0 cost no digits beyond those of rounding them
    linear way back       twice dy gives twice the gradients
    same at the end       after all these calls the layer is what it was
    training              of a large layer that does the same with a key: not tried twice

Activations, losses and metrics:

    elementwise           a value of an activation depends on its own z alone
    rows independent      a row's loss and gradient are its own; nothing is averaged over rows
    equal shapes          unequal shapes are refused, also where they broadcast
    weights               weight 2 is the row twice, weight 0 the row gone
    exact outputs         outputs that are exactly right give no NaN
    target types          whole numbers mean the same in any type
    NaN outputs           they show in the loss
    NaN targets           they show in the loss, or in no gradient
    with the rows in another order, with the rows backwards, in float32, in another memory layout,
    with its columns first in memory
                          a metric is the same

Gradient transforms and optimizers:

    large gradients, tiny gradients
                          those whose squares are beyond the dtype give numbers too
    other gradients       a single one, a 0-d one and none at all keep their form, or are refused
    learning rate of 0    it moves nothing at first; another learning rate matters later
    unmentioned names     a parameter without a gradient stays, and so does its state
    unknown names         a gradient makes no parameter
    frozen names          those that are declared stay as they are
    memory                every array of the state changes, and is used later
    stored state          one that was saved and loaded goes on the same
    huge and tiny gradients
                          they give no NaN, unless they are refused
    first steps           along a constant gradient they are not far longer than later ones
    descent               at some learning rate it gets to the bottom of a bowl
    agreement             it takes the steps of the optimizer that ``like=`` names

Schedules, monitors and initializers:

    order of calls        the value of a schedule depends on its step alone
    values                they are those that are expected
    sequences             the same metrics give the same states, also from a state that was stored
    best                  it never rises, and is never below what was seen
    keys                  each draws something else
    spread                the standard deviation is the one that is expected

What is meant to break a law is declared, and the message of the law names the argument:

    check_layer       independent_rows=False for rows that touch at inference; inference=False for a layer that wants a
                      key; fixed=["scale"] for params without a gradient; surrogate=["x"], or names of params, for a
                      gradient that is another on purpose (straight-through, reversed, stopped); unbiased=False for
                      noise whose mean is not inference; x_slope=False for a layer that looks x up as indices
    check_activation  surrogate=True
    check_loss        keeps_nan=False for what takes NaN away, as in check_transform
    check_metric      equal_shapes=False for one that broadcasts
    check_transform   frozen=["hidden/*"] for names that it leaves out
    check_optimizer   frozen=["hidden/*"] for names that it does not step; unbiased=False for averages that are not
                      corrected; rests=False for one that moves what has no gradient
    check_schedule    bounded=False for one that grows without end

No law can know which values are meant. They are given: ``values=`` of a schedule, ``std=`` of an initializer, and
``like=adam()`` for an optimizer that is to be an Adam, since one with the roles of its moments swapped descends too.

Example:
    >>> import numpy as np
    >>> results = check_pure(np.transpose, np.ones((1, 2)), report=True)
    law                  status  detail
    arguments unchanged  pass    1 compared
    global random state  pass
    global settings      pass    7 settings
    same bits            pass    also after calls with other values
    no aliasing          fail    the result must share no memory with a writable argument, got memory of argument 0
    >>> def brier(outputs, targets):
    ...     e = outputs - targets
    ...     return np.add.reduce(e * e, axis=1), 2 * e / len(e)
    >>> check_loss(brier, outputs=[[0.2, 0.8], [0.6, 0.4], [0.9, 0.1]], targets=[[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    Traceback (most recent call last):
    ...
    AssertionError: check_loss: the gradient of outputs[0, 1] must be 2, the slope of sum(y) that differences measure, got 1
      usual cause: too small by a factor of 3.0 = the number of rows in the batch: the mean over rows is taken twice?
      smallest input found: outputs = [[1.0, 1.0], [1.0, 1.0]], targets = [[1.0, 0.0], [0.0, 1.0]]
      law: gradient

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
