"""The one place where losses meet logits: a network that ends in softmax or sigmoid is not run to its end for a loss on it."""

from __future__ import annotations

from functools import partial

from nnfunc.network.kinds import children, guarded, unwrapped, with_forwards
from nnfunc.network.loop import chain_forward, watched_forward
from nnfunc.pieces.activations import Rule
from nnfunc.pieces.dropout import dropout_forward
from nnfunc.pieces.layers import activation_forward, dense_forward, identity_forward
from nnfunc.pieces.losses import OWN_LOSSES
from nnfunc.pieces.masking import is_masked, masked_loss, unmasked
from nnfunc.values.checks import base_function, label, looked_up, problem, restated
from nnfunc.values.types import ElementwiseFn, ForwardFn, Layer, LossFn


def on_logits(net: Layer, loss_fn: LossFn) -> tuple[Layer, LossFn]:
    """Return an equal network and loss that meet at the logits, or both as they are.

    A network that ends in softmax with `cross_entropy` is the same function as
    its logits with `softmax_cross_entropy`, and only the second form is stable:
    log of a probability that has rounded to 0 is lost. Likewise sigmoid and
    `binary_cross_entropy`. Options of the loss, given by a partial, are kept.

    Raises:
        ValueError: the network ends in an activation that does not belong to the loss.

    Example:
        >>> from nnfunc import cross_entropy, dense, softmax
        >>> on_logits(dense(2, 3, softmax), cross_entropy)[1].__name__
        'softmax_cross_entropy'
    """
    ends = looked_up(OWN_LOSSES, loss_fn)
    if not ends:
        if not isinstance(loss_fn, partial) or not is_masked(loss_fn):
            return net, loss_fn
        net, inner = on_logits(net, unmasked(loss_fn))
        return net, partial(masked_loss, inner, **loss_fn.keywords)
    final = final_activation(net[1])
    form = None if final is None else looked_up(ends, final)
    if form is None:
        return net, loss_fn
    if isinstance(form, str):
        raise ValueError(misfit(net, loss_fn))
    bare = _without_final(net, base_function(final))
    if bare is None:
        return net, loss_fn
    return bare, partial(form, *loss_fn.args, **loss_fn.keywords) if isinstance(loss_fn, partial) else form


def of_given_loss(error: Exception, used: LossFn, given: LossFn) -> Exception:
    """Return an error of the loss that is used on logits, under the name of the loss that was given.

    Example:
        >>> from nnfunc.pieces.losses import binary_cross_entropy, sigmoid_cross_entropy
        >>> error = ValueError("sigmoid_cross_entropy: targets must fit, got none")
        >>> of_given_loss(error, sigmoid_cross_entropy, binary_cross_entropy)
        ValueError('binary_cross_entropy: targets must fit, got none')
    """
    text, inner, outer = str(error), label(unmasked(used)), label(unmasked(given))
    for before in ("", "the loss ", "got "):
        start, found, end = text.partition(f"{before}{inner}")
        if inner != outer and found and (before or not start):
            return restated(error, f"{start}{before}{outer}{end}")
    return error


def misfit(net: Layer, loss_fn: LossFn) -> str:
    """Say why a network's last activation does not belong to the loss, or nothing if it does.

    Example:
        >>> from nnfunc import dense, softmax, softmax_cross_entropy
        >>> misfit(dense(2, 3, softmax), softmax_cross_entropy)
        'softmax_cross_entropy: the network must end in logits (leave the last activation out, or use cross_entropy;
        a function of your own around the loss takes it as it is), got softmax at its end'
    """
    final, loss_fn = final_activation(net[1]), unmasked(loss_fn)
    form = None if final is None else looked_up(looked_up(OWN_LOSSES, loss_fn) or {}, final)
    return problem(label(loss_fn), "the network", form, f"{label(final)} at its end") if isinstance(form, str) else ""


def final_activation(forward: ForwardFn) -> ElementwiseFn | None:
    """Return the activation that a network ends in, if it is seen to end in one.

    Example:
        >>> from nnfunc import chain, dense, dropout, tanh
        >>> final_activation(chain(dense(2, 3, tanh), dropout(0.5))[1]).__name__
        'tanh'
    """
    forward = unwrapped(forward)
    if not isinstance(forward, partial):
        return None
    made, args = forward.func, forward.args
    if made is chain_forward:
        last = args[1][-1]
        if last.func in _PASSES:
            last = next((each for each in reversed(args[1]) if each.func not in _PASSES), last)
        return final_activation(last)
    rule: Rule | None = args[2] if made is dense_forward else args[0] if made is activation_forward else None
    return None if rule is None else rule[0]


_PASSES = frozenset({dropout_forward, identity_forward})
"""Layers after which an activation is still the last."""


def _without_final(net: Layer, f: object) -> Layer | None:
    """Return the network without its final activation `f`, or none if it does not end in `f`; params keep their names."""
    init, forward = net
    if not isinstance(forward, partial):
        return None
    if forward.func is watched_forward:
        note, path, _, own_grads, inner = forward.args
        bare = _without_final((init, inner), f)
        return None if bare is None else (init, partial(watched_forward, note, path, False, own_grads, bare[1]))
    if forward.func is dense_forward:
        n_in, n_out, rule, bias = forward.args
        return (init, partial(dense_forward, n_in, n_out, None, bias)) if rule is not None and rule[0] is f else None
    if forward.func is activation_forward:
        return (init, partial(identity_forward)) if forward.args[0][0] is f else None
    if forward.func is not chain_forward:
        return None
    inside = [layer for _, layer in children(net)]
    bare = _without_final(inside[-1], f)
    return None if bare is None else (init, with_forwards(net, [guarded(layer[1]) for layer in (*inside[:-1], bare)]))
