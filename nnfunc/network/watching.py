"""The one tap: a network that tells of every tensor that passes through it."""

from __future__ import annotations

from functools import partial

from nnfunc.network.guard import check_layer
from nnfunc.network.kinds import children, facts, map_layers
from nnfunc.network.loop import Note, watched_forward
from nnfunc.values.checks import check_callable
from nnfunc.values.types import Layer, OwnForward


def watched(net: Layer, note: Note) -> Layer:
    """Return the network as one that tells ``note(path, tensor)`` of everything that passes, and computes the same.

    A path is the layer's path, then which tensor it is. Forwards, layer by
    layer: ``hidden/x``, what goes in; ``hidden/z``, before the activation, if
    there is one inside; ``hidden/y``, what comes out. Backwards, last layer
    first: ``hidden/dy``; ``hidden/dW``, ``hidden/db`` and so on, the gradients
    of its params; ``hidden/dx``, if anybody asks for it. A residual, and what is
    made of branches, tells after the layers inside, under its own path; a branch
    that runs twice tells twice. A network of one layer has the path "": ``x``, ``y``.

    Where a loss on probabilities is computed from logits, the final softmax or
    sigmoid is not run, and the last ``y`` is the logits. A pass whose loss is
    not finite is run again, to find out why, and so told twice.

    Args:
        net: a network; a layer of one's own is one piece, whatever it runs inside.
        note: called with the path and the tensor, which it cannot change, and which may
            be part of a longer array: keep a copy.

    Laws:
        Params, outputs and gradients are those of `net`, to the bit.

    Raises:
        TypeError: `net` is not a pair of functions, or `note` is no function.

    Example:
        >>> import numpy as np
        >>> from nnfunc import chain, dense, forward, relu
        >>> params = {"a/W": np.eye(1), "a/b": np.array([-3.0]), "b/W": np.eye(1), "b/b": np.ones(1)}
        >>> net = watched(chain(a=dense(1, 1, relu), b=dense(1, 1)), lambda path, tensor: print(path, tensor))
        >>> y = forward(net, params, [[2.0]])
        a/x [[2.]]
        a/z [[-1.]]
        a/y [[0.]]
        b/x [[0.]]
        b/y [[1.]]
    """
    check_layer("watched", "net", net)
    check_callable("watched", "note", note, "(path, tensor)", 2)
    return map_layers(net, partial(_watched_layer, note))


def _watched_layer(note: Note, path: str, layer: Layer) -> OwnForward:
    """Return the forward of one layer that tells of its tensors."""
    own = facts(layer)
    has_z = own is not None and own["rule"] is not None and "W" in own["shapes"]
    own_grads = not children(layer)  # whose gradients they have told of
    return partial(watched_forward, note, path, has_z, own_grads, layer[1])
