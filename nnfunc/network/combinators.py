"""Combinators: layers made of layers.

`chain` runs layers one after another, `residual` adds a layer's input to its
output, `concatenate` puts outputs side by side, `combine` does with layers what
a function of one's own says, `mlp` is a chain of dense layers. What they return is a layer again.
What would otherwise be done in every pass is done once, when a network is made:
nested chains are taken apart, names joined, the guard put around layers of a user's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import SupportsIndex

from nnfunc.network.guard import check_layer, guarded_combination
from nnfunc.network.kinds import children, guarded, made_by
from nnfunc.network.loop import chain_forward, chain_init, combined_forward, residual_forward, side_by_side
from nnfunc.pieces.activations import as_rule, relu
from nnfunc.pieces.initializers import made_for, zeros
from nnfunc.pieces.layers import dense
from nnfunc.values.checks import as_size, as_tuple, base_function, check_callable, require
from nnfunc.values.params import joined
from nnfunc.values.types import Activation, CombineFn, Initializer, Layer


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
    parts: list[tuple[str, Layer]] = []
    for name, layer in _named("chain", layers, named):
        is_plain = made_by(layer) is chain_forward and base_function(layer[0]) is chain_init
        inside = children(layer) if is_plain else (("", layer),)
        parts += [(joined(name, inner), part) for inner, part in inside]
    names = tuple(name for name, _ in parts)
    inits = tuple(init for _, (init, _) in parts)
    forwards = tuple(guarded(forward) for _, (_, forward) in parts)
    return partial(chain_init, names, inits), partial(chain_forward, names, forwards)


def _named(function: str, layers: Sequence[Layer], named: Mapping[str, Layer]) -> list[tuple[str, Layer]]:
    """Return layers with their names, positional ones first, which go by position."""
    pairs = [*((str(i), layer) for i, layer in enumerate(layers)), *named.items()]
    require(pairs, function, "layers", "hold at least one layer", "none")
    seen: set[str] = set()
    for name, layer in pairs:
        plain = name and "/" not in name
        require(plain, function, "layers", "have names that are not empty and have no '/'", repr(name))
        require(name not in seen, function, "layers", "have names that differ", f"{name!r} twice")
        seen.add(name)
        check_layer(function, f"layer {name}", layer)
    return pairs


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


def concatenate(*layers: Layer, **named: Layer) -> Layer:
    """Return the layer whose branches each see x, and whose output is theirs side by side.

    Names and keys are those of `chain`. With `columns` a branch sees a part of
    x: codes for an embedding, say, beside numbers.

    Shapes:
        x (n, k); of branches that put out (n, k_i), y (n, sum of k_i).

    Gradients:
        Each branch gets its columns of dy; dx is the sum of theirs.

    Laws:
        ``concatenate(f)`` computes what `f` computes, from the same key the same.

    Raises:
        TypeError, ValueError: as `chain`.

    Example:
        >>> import numpy as np
        >>> from nnfunc import columns
        >>> init, forward = concatenate(columns(0, 1), wide=dense(2, 2))
        >>> y, pullback = forward({"wide/W": np.eye(2), "wide/b": np.ones(2)}, np.array([[1.0, 2.0]]), None)
        >>> y, pullback(np.ones((1, 3)))[1]()
        (array([[1., 2., 3.]]), array([[2., 1.]]))
    """
    return _combined(side_by_side, _named("concatenate", layers, named))


def combine(f: CombineFn, /, *layers: Layer, **named: Layer) -> Layer:
    """Return the layer that a function of one's own makes of layers: their product, say, or one run twice.

    ``f(branches, x) -> (y, pullback)`` is given the layers as functions of their
    input, ``branch(x) -> (y, pullback)``, with params and key already in them, and
    ``pullback(dy) -> (grads, dx)`` gives the gradients of each branch, in order.
    A branch may run more than once, which is how weights are shared: add up its
    gradients with ``map_params(np.add, ...)``. It draws the same noise each time.

    Names and keys are dealt out as by `chain`: branch ``tower`` has the params
    ``"tower/..."``, and branch i of several the key ``(*key, i)``. What is inside is
    known to all that looks into a network: `summary`, `diagnose`, `calibrate`,
    shards, and the check that a key is given.

    Args:
        f: what is made of the branches; a function of a module, if the network is to pickle.
        layers, named: the branches.

    Raises:
        TypeError: an argument is not a pair of functions, or `f` is no function of (branches, x); in
            use, what `f` gives, or gives a branch, is of another form or dtype.
        ValueError: as `chain`; in use, shapes do not fit.

    Example:
        >>> import numpy as np
        >>> def product(branches, x):
        ...     (a, back_a), (b, back_b) = (branch(x) for branch in branches)
        ...     def pullback(dy):
        ...         (grads_a, dx_a), (grads_b, dx_b) = back_a(dy * b), back_b(dy * a)
        ...         return (grads_a, grads_b), lambda: dx_a() + dx_b()
        ...     return a * b, pullback
        >>> init, forward = combine(product, a=dense(1, 1, bias=False), b=dense(1, 1, bias=False))
        >>> params = {"a/W": np.array([[2.0]]), "b/W": np.array([[3.0]])}
        >>> y, pullback = forward(params, np.array([[5.0]]), None)
        >>> y, pullback(np.ones((1, 1)))[0]["a/W"]  # 2 * 5 * 3 * 5, and 5 * 3 * 5
        (array([[150.]]), array([[75.]]))
    """
    check_callable("combine", "f", f, "(branches, x) -> (y, pullback)", 2)
    return _combined(partial(guarded_combination, f), _named("combine", layers, named))


def _combined(f: CombineFn, parts: list[tuple[str, Layer]]) -> Layer:
    """Return the layer made of others by f."""
    names = tuple(name for name, _ in parts)
    forwards = tuple(guarded(forward) for _, (_, forward) in parts)
    begin = partial(chain_init, names, tuple(init for _, (init, _) in parts))
    return begin, guarded(partial(combined_forward, f, names, forwards))


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
    widths = [as_size("mlp", "sizes", size) for size in as_tuple("mlp", "sizes", sizes, "integers")]
    require(len(widths) > 1, "mlp", "sizes", "hold at least two sizes", sizes)
    for argument, f in (("activation", activation), ("output", output)):
        if f is not None:
            as_rule("mlp", f, argument)
    layers: list[Layer] = []
    for n_in, n_out in pairwise(widths):
        f = activation if len(layers) < len(widths) - 2 else output
        w = None if w_init is None else made_for("mlp", "w_init", w_init, n_in, n_out)
        layers.append(dense(n_in, n_out, f, w_init=w, b_init=made_for("mlp", "b_init", b_init, n_in, n_out)))
    return chain(*layers)
