"""Losses on probabilities, computed from logits where the network allows it.

A network that ends in softmax with `cross_entropy` is the same function as its
logits with `softmax_cross_entropy`, and only the second form is stable: log of
a probability that has rounded to 0 is lost. Likewise sigmoid and
`binary_cross_entropy`.
"""

from functools import partial

from nnfunc.activations import sigmoid, softmax
from nnfunc.combinators import chain_parts, with_forwards
from nnfunc.layers import activation_forward, dense_forward, identity_forward
from nnfunc.losses import binary_cross_entropy, cross_entropy, sigmoid_cross_entropy, softmax_cross_entropy
from nnfunc.rules import looked_up
from nnfunc.types import ElementwiseFn, Layer, LossFn

_LOGITS_FORM: dict[object, tuple[ElementwiseFn, LossFn]] = {
    cross_entropy: (softmax, softmax_cross_entropy),
    binary_cross_entropy: (sigmoid, sigmoid_cross_entropy),
}


def on_logits(net: Layer, loss_fn: LossFn) -> tuple[Layer, LossFn]:
    """Return an equal network and loss that meet at the logits, or both as they are.

    Options of the loss, given by `functools.partial`, are kept.

    Example:
        >>> from nnfunc.layers import dense
        >>> net, loss_fn = on_logits(dense(2, 3, softmax), cross_entropy)
        >>> loss_fn is softmax_cross_entropy
        True
    """
    options = loss_fn if isinstance(loss_fn, partial) else None
    known = looked_up(_LOGITS_FORM, loss_fn if options is None else options.func)
    if known is None:
        return net, loss_fn
    final, logits_loss = known
    logits_net = without_final(net, final)
    if logits_net is None:
        return net, loss_fn
    return logits_net, logits_loss if options is None else partial(logits_loss, *options.args, **options.keywords)


def without_final(net: Layer, f: ElementwiseFn) -> Layer | None:
    """Return the network without its final activation `f`, or none if it does not end in `f`.

    Params keep their names.

    Example:
        >>> from nnfunc import activation, chain, dense
        >>> net = without_final(chain(dense(2, 3), activation(softmax)), softmax)
        >>> net is None, without_final(dense(2, 3), softmax) is None
        (False, True)
    """
    init, forward = net
    parts = chain_parts(net)
    if parts:
        *others, last = (layer for _, layer in parts)
        bare = without_final(last, f)
        return None if bare is None else with_forwards(net, [*(layer[1] for layer in others), bare[1]])
    if isinstance(forward, partial):
        if forward.func is dense_forward:
            n_in, n_out, rule = forward.args
            return (init, partial(dense_forward, n_in, n_out, None)) if rule is not None and rule[0] is f else None
        if forward.func is activation_forward and forward.args[0][0] is f:
            return init, identity_forward
    return None
