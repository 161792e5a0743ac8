"""Combinators: layers made of layers.

`chain` runs layers one after another, `residual` adds a layer's input to its
output, `mlp` is a chain of dense layers. What they return is a layer again.
"""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import SupportsIndex

import numpy as np

from nnfunc.activations import relu
from nnfunc.bounds import as_tuple
from nnfunc.checks import as_size, describe, locked, problem
from nnfunc.keys import split
from nnfunc.layers import dense
from nnfunc.pieces import check_layer, checked_dx, checked_grads, checked_output, reraise
from nnfunc.types import (
    Activation,
    Array,
    DType,
    ForwardFn,
    InitFn,
    InputGradient,
    Key,
    Layer,
    Params,
    Pullback,
)

Names = tuple[str, ...]


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
        >>> net = chain(hidden=dense(2, 3, relu), out=dense(3, 1))
        >>> init, forward = net
        >>> params = init(0, np.dtype(np.float32))
        >>> list(params)
        ['hidden/W', 'hidden/b', 'out/W', 'out/b']
        >>> y, pullback = forward(params, np.ones((5, 2), np.float32), None)
        >>> y.shape
        (5, 1)
    """
    pairs = [(str(i), layer) for i, layer in enumerate(layers)] + list(named.items())
    if not pairs:
        raise ValueError(problem("chain", "layers", "hold at least one layer", "none"))
    names: list[str] = []
    parts: list[Layer] = []
    for i, (name, layer) in enumerate(pairs):
        if not name or "/" in name:
            raise ValueError(problem("chain", "layers", "have names that are not empty and have no '/'", repr(name)))
        if name in dict(pairs[:i]):
            raise ValueError(problem("chain", "layers", "have names that differ", f"{name!r} twice"))
        check_layer("chain", f"layer {name}", layer)
        for inner, part in chain_parts(layer) or (("", layer),):
            names.append(f"{name}/{inner}" if inner else name)
            parts.append(part)
    inits = tuple(init for init, _ in parts)
    forwards = tuple(forward for _, forward in parts)
    return partial(_chain_init, tuple(names), inits), partial(_chain_forward, tuple(names), forwards)


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
        >>> init, forward = residual(dense(2, 2))
        >>> y, _ = forward({"W": np.eye(2), "b": np.zeros(2)}, np.array([[1.0, 2.0]]), None)
        >>> y
        array([[2., 4.]])

    Reference:
        He, Zhang, Ren & Sun (2016), equation 1.
    """
    check_layer("residual", "layer", layer)
    init, forward = layer
    return init, partial(residual_forward, forward)


def mlp(sizes: Sequence[SupportsIndex], activation: Activation = relu, output: Activation | None = None) -> Layer:
    """Return a chain of dense layers, named "0", "1", ...

    Args:
        sizes: columns of the input, of each hidden layer and of the output.
        activation: of the hidden layers.
        output: activation of the last layer; none is the identity.

    Raises:
        TypeError, ValueError: fewer than two sizes, or a size below 1.

    Example:
        >>> init, forward = mlp([784, 256, 128, 10])
        >>> {name: a.shape for name, a in init(0, np.dtype(np.float32)).items() if "W" in name}
        {'0/W': (784, 256), '1/W': (256, 128), '2/W': (128, 10)}
    """
    widths = [as_size("mlp", "sizes", size) for size in as_tuple("mlp", "sizes", sizes, "integers")]
    if len(widths) < 2:
        raise ValueError(problem("mlp", "sizes", "hold at least two sizes", sizes))
    last = len(widths) - 2
    return chain(*(dense(widths[i], widths[i + 1], activation if i < last else output) for i in range(last + 1)))


def chain_parts(layer: Layer) -> tuple[tuple[str, Layer], ...]:
    """Return the names and layers of a chain, and nothing for any other layer.

    Example:
        >>> [name for name, _ in chain_parts(chain(a=dense(2, 3), b=dense(3, 1)))]
        ['a', 'b']
        >>> chain_parts(dense(2, 3))
        ()
    """
    init, forward = layer
    if not (isinstance(forward, partial) and isinstance(init, partial) and forward.func is _chain_forward):
        return ()
    names, forwards = forward.args
    _, inits = init.args
    return tuple(zip(names, zip(inits, forwards, strict=True), strict=True))


def with_forwards(layer: Layer, forwards: Sequence[ForwardFn]) -> Layer:
    """Return a chain with other forwards for its layers; all names stay.

    Example:
        >>> net = chain(a=dense(1, 1, relu))
        >>> linear = with_forwards(net, [dense(1, 1)[1]])
        >>> linear[1]({"a/W": -np.eye(1), "a/b": np.zeros(1)}, np.eye(1), None)[0]
        array([[-1.]])
    """
    names = tuple(name for name, _ in chain_parts(layer))
    return layer[0], partial(_chain_forward, names, tuple(forwards))


def inner_of_residual(layer: Layer) -> Layer | None:
    """Return the layer inside a residual, and none for any other layer.

    Example:
        >>> f = dense(2, 2)
        >>> inner_of_residual(residual(f)) == f, inner_of_residual(f)
        (True, None)
    """
    init, forward = layer
    if isinstance(forward, partial) and forward.func is residual_forward:
        return init, forward.args[0]
    return None


def layer_keys(key: Key, n: int) -> tuple[Key, ...]:
    """Deal a key out to the n layers of a chain; a single layer gets it whole.

    Example:
        >>> layer_keys(7, 1), layer_keys(7, 2)
        ((7,), ((7, 0), (7, 1)))
    """
    return (key,) if n == 1 else split(key, n)


def _chain_init(names: Names, inits: tuple[InitFn, ...], key: Key, dtype: DType) -> Params:
    params: dict[str, Array] = {}
    for name, init, layer_key in zip(names, inits, layer_keys(key, len(names)), strict=True):
        try:
            own = init(layer_key, dtype)
            if not hasattr(own, "items"):
                raise TypeError(problem("init", "params", "be a mapping of names to arrays", describe(own)))
        except Exception as error:
            reraise(error, name)
        params.update((f"{name}/{short}", array) for short, array in own.items())
    return params


def _chain_forward(
    names: Names, forwards: tuple[ForwardFn, ...], params: Params, x: Array, key: Key | None
) -> tuple[Array, Pullback]:
    fields = layer_names(names, tuple(params))
    keys = [None] * len(names) if key is None else layer_keys(key, len(names))
    pullbacks: list[Pullback] = []
    inputs: list[Array] = []
    y = x
    for name, forward, own_fields, layer_key in zip(names, forwards, fields, keys, strict=True):
        own = {short: params[full] for short, full in own_fields.items()}
        inputs.append(locked(y) if pullbacks else y)
        try:
            y, pullback = checked_output(forward(own, inputs[-1], layer_key), x.dtype)
        except Exception as error:
            reraise(error, name)
        pullbacks.append(pullback)

    def pull(dy: Array) -> tuple[Params, InputGradient]:
        grads: dict[str, Array] = {}
        for i in range(len(names) - 1, -1, -1):
            try:
                own, dx = checked_grads(pullbacks[i](dy))
                for short, array in own.items():
                    grads[fields[i][short]] = array
                if i:  # nobody may ask for the first layer's
                    dy = locked(checked_dx(dx(), inputs[i]))
            except Exception as error:
                reraise(error, names[i])
        return grads, dx

    return y, pull


@lru_cache(maxsize=1024)
def layer_names(names: Names, params: Names) -> tuple[dict[str, str], ...]:
    """Deal out full param names to the layers of a chain: per layer its own short names to full ones.

    Example:
        >>> layer_names(("a", "b"), ("a/W", "b/0/W"))
        ({'W': 'a/W'}, {'0/W': 'b/0/W'})
    """
    fields: dict[str, dict[str, str]] = {name: {} for name in names}
    for full in params:
        owner = next((name for name in names if str(full).startswith(name + "/")), None)
        if owner is None:
            raise ValueError(problem("chain", str(full), "belong to one of its layers", ", ".join(names)))
        fields[owner][full[len(owner) + 1 :]] = full
    return tuple(fields.values())


def residual_forward(forward: ForwardFn, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Compute y = x + f(x) and the way back; see `residual`.

    Example:
        >>> init, forward = dense(1, 1)
        >>> residual_forward(forward, {"W": np.eye(1), "b": np.ones(1)}, np.eye(1), None)[0]
        array([[3.]])
    """
    fx, pullback = checked_output(forward(params, x, key), x.dtype)
    if fx.shape != x.shape:
        raise ValueError(problem("residual", "layer", f"keep the shape {x.shape} of x", fx.shape))

    def pull(dy: Array) -> tuple[Params, InputGradient]:
        grads, dx = checked_grads(pullback(dy))
        return grads, lambda: dy + checked_dx(dx(), x)

    return x + fx, pull
