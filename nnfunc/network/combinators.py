"""Combinators: layers made of layers.

`chain` runs layers one after another, `residual` adds a layer's input to its
output, `mlp` is a chain of dense layers. What they return is a layer again.
What would otherwise be done in every pass is done once, when a network is made:
nested chains are taken apart, names joined, the guard put around layers of a user's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import SupportsIndex

from nnfunc.network.guard import check_layer
from nnfunc.network.kinds import children, guarded, made_by
from nnfunc.network.loop import chain_forward, chain_init, residual_forward
from nnfunc.pieces.activations import as_rule, relu
from nnfunc.pieces.initializers import made_for, zeros
from nnfunc.pieces.layers import dense
from nnfunc.values.checks import as_size, as_tuple, base_function, require
from nnfunc.values.params import joined
from nnfunc.values.types import Activation, Initializer, Layer


def chain(*layers: Layer, **named: Layer) -> Layer:
    """Return the layer that runs `layers` in order, each on the output of the one before.

    Params are named by keyword (``"hidden/W"``) or, for positional layers, by
    position (``"0/W"``); positional ones come first. Names of nested chains
    join with ``/``.

    Laws:
        ``chain(f)`` computes what `f` computes, from the same key the same. A
        chain inside a chain changes names, never values: keys are dealt out to
        the layers as they stand in a row.

    Raises:
        TypeError: an argument is not a pair of functions.
        ValueError: there is no layer, a name stands twice, is empty, or has a ``/``.

    Example:
        >>> import numpy as np
        >>> net = chain(hidden=dense(2, 3, relu), out=dense(3, 1))
        >>> init, forward = net
        >>> params = init(0, np.dtype(np.float32))
        >>> list(params)
        ['hidden/W', 'hidden/b', 'out/W', 'out/b']
        >>> y, pullback = forward(params, np.ones((5, 2), np.float32), None)
        >>> y.shape
        (5, 1)
    """
    pairs = [*((str(i), layer) for i, layer in enumerate(layers)), *named.items()]
    require(pairs, "chain", "layers", "hold at least one layer", "none")
    parts: list[tuple[str, Layer]] = []
    for i, (name, layer) in enumerate(pairs):
        plain = name and "/" not in name
        require(plain, "chain", "layers", "have names that are not empty and have no '/'", repr(name))
        require(name not in dict(pairs[:i]), "chain", "layers", "have names that differ", f"{name!r} twice")
        check_layer("chain", f"layer {name}", layer)
        is_plain = made_by(layer) is chain_forward and base_function(layer[0]) is chain_init
        inside = children(layer) if is_plain else (("", layer),)
        parts += [(joined(name, inner), part) for inner, part in inside]
    names = tuple(name for name, _ in parts)
    inits = tuple(init for _, (init, _) in parts)
    forwards = tuple(guarded(forward) for _, (_, forward) in parts)
    return partial(chain_init, names, inits), partial(chain_forward, names, forwards)


def residual(layer: Layer) -> Layer:
    """Return the layer y = x + f(x), a skip connection around `layer`.

    The params are those of `layer`, under the same names.

    Shapes:
        x (n, k), and f(x) the same.

    Gradients:
        dx = dy + the gradient through f.

    Raises:
        TypeError: `layer` is not a pair of functions.
        ValueError: in use, f(x) has another shape than x.

    Example:
        >>> import numpy as np
        >>> init, forward = residual(dense(2, 2))
        >>> y, _ = forward({"W": np.eye(2), "b": np.zeros(2)}, np.array([[1.0, 2.0]]), None)
        >>> y
        array([[2., 4.]])

    Reference:
        He, Zhang, Ren & Sun (2016), equation 1.
    """
    check_layer("residual", "layer", layer)
    init, forward = layer
    return init, partial(residual_forward, guarded(forward))


def mlp(
    sizes: Sequence[SupportsIndex], activation: Activation = relu, output: Activation | None = None, *,
    w_init: Initializer | None = None, b_init: Initializer = zeros,
) -> Layer:
    """Return a chain of dense layers, named "0", "1", ...

    Args:
        sizes: columns of the input, of each hidden layer and of the output.
        activation: of the hidden layers.
        output: activation of the last layer; none is the identity.
        w_init: initialiser of every W, as in `dense`.
        b_init: initialiser of every b, as in `dense`.

    Raises:
        TypeError, ValueError: fewer than two sizes, or a size below 1.

    Example:
        >>> import numpy as np
        >>> init, forward = mlp([784, 256, 128, 10])
        >>> {name: a.shape for name, a in init(0, np.dtype(np.float32)).items() if "W" in name}
        {'0/W': (784, 256), '1/W': (256, 128), '2/W': (128, 10)}
    """
    if not isinstance(sizes, Iterable):
        given = [size for size in (sizes, activation, output) if isinstance(size, SupportsIndex)]
        hint = f", as in mlp({given})" if len(given) > 1 else ""
        require(False, "mlp", "sizes", f"be a sequence of integers{hint}", kind=TypeError, value=sizes)
    for argument, f in (("activation", activation), ("output", output)):
        if f is not None:
            as_rule("mlp", f, argument)
    widths = [as_size("mlp", "sizes", size) for size in as_tuple("mlp", "sizes", sizes, "integers")]
    require(len(widths) > 1, "mlp", "sizes", "hold at least two sizes", sizes)
    layers: list[Layer] = []
    for n_in, n_out in pairwise(widths):
        f = activation if len(layers) < len(widths) - 2 else output
        w = None if w_init is None else made_for("mlp", "w_init", w_init, n_in, n_out)
        layers.append(dense(n_in, n_out, f, w_init=w, b_init=made_for("mlp", "b_init", b_init, n_in, n_out)))
    return chain(*layers)
