"""Walking a network: what its layers are, and the same network with others in their place.

A network of the library's own parts can be taken apart, as it is made of
partials over module functions. A layer of a user's own is one piece, whatever
it runs inside.
"""

from collections.abc import Callable, Iterator
from functools import partial

from nnfunc.combinators import chain_parts, inner_of_residual, residual_forward, with_forwards
from nnfunc.types import Layer

LayerMap = Callable[[str, Layer], Layer]


def map_layers(net: Layer, f: LayerMap, path: str = "") -> Layer:
    """Return the network with ``f(path, layer)`` in place of every layer that is no chain.

    Of a residual, the layers inside come before the residual itself.

    Example:
        >>> from nnfunc import chain, dense, residual
        >>> def seen(path, layer):
        ...     print(path)
        ...     return layer
        >>> net = map_layers(chain(a=dense(2, 2), b=residual(chain(dense(2, 2)))), seen)
        a
        b/0
        b
    """
    parts = chain_parts(net)
    if parts:
        return with_forwards(net, [map_layers(layer, f, joined(path, name))[1] for name, layer in parts])
    inner = inner_of_residual(net)
    if inner is None:
        return f(path, net)
    init, forward = map_layers(inner, f, path)
    return f(path, (init, partial(residual_forward, forward)))


def walk(net: Layer, path: str = "") -> Iterator[tuple[str, Layer]]:
    """Yield path and layer of every layer that is no chain, in the order of `map_layers`.

    Example:
        >>> from nnfunc import chain, dense, residual
        >>> [path for path, _ in walk(chain(a=dense(2, 2), b=residual(chain(dense(2, 2)))))]
        ['a', 'b/0', 'b']
    """
    parts = chain_parts(net)
    for name, layer in parts:
        yield from walk(layer, joined(path, name))
    if not parts:
        inner = inner_of_residual(net)
        if inner is not None:
            yield from walk(inner, path)
        yield path, net


def made_by(layer: Layer) -> object:
    """Return the function that a layer's forward is a partial of, and the forward itself if it is none.

    Example:
        >>> from nnfunc import dense
        >>> made_by(dense(2, 3)).__name__
        'dense_forward'
    """
    forward = layer[1]
    return forward.func if isinstance(forward, partial) else forward


def options(layer: Layer) -> tuple[object, ...]:
    """Return what was fixed when a layer of the library was made.

    Example:
        >>> from nnfunc import dense
        >>> options(dense(2, 3))
        (2, 3, None)
    """
    forward = layer[1]
    return forward.args if isinstance(forward, partial) else ()


def joined(path: str, name: str) -> str:
    """Join a path and a name with ``/``.

    Example:
        >>> joined("", "a"), joined("a", "W"), joined("a", "")
        ('a', 'a/W', 'a')
    """
    return f"{path}/{name}" if path and name else path or name
