"""What the library's own layers are, in one table; and walking a network, whose layers it tells apart.

A new layer is one file of `nnfunc.pieces` and one row here. A network can be
taken apart because it is made of partials over module functions. A layer of a
user's own is one piece, whatever it runs inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeAlias, TypedDict

from nnfunc.network.guard import guarded_forward
from nnfunc.network.loop import (
    chain_forward, chain_init, combined_forward, residual_forward, side_by_side, watched_forward,
)
from nnfunc.pieces.activations import Rule, rule_name
from nnfunc.pieces.dropout import dropout_forward
from nnfunc.pieces.embedding import embedding_forward
from nnfunc.pieces.layers import (
    activation_forward, columns_forward, dense_forward, dense_shapes, identity_forward, no_params,
)
from nnfunc.pieces.norms import STATISTICS, batch_norm_forward, fields, layer_norm_forward, statistics_among
from nnfunc.values.checks import base_function, label, looked_up, problem
from nnfunc.values.params import joined
from nnfunc.values.types import ForwardFn, Layer, OwnForward, Params

Width: TypeAlias = int | None
"""A number of columns, if it is known."""

Facts = TypedDict(
    "Facts",
    {
        "word": str,  # what it is
        "kind": str,  # the same with what was chosen in it
        "shapes": Mapping[str, tuple[int, ...]],  # of its params
        "columns": Callable[[Width], tuple[Width, Width]],  # in and out, from those that come in; none is not known
        "operations": int,  # per value put out, in inference: each +, -, *, /, root or function is one
        "rule": Rule | None,  # the activation in it
        "statistics": tuple[str, ...],  # which of its params data decide, and no gradient
        "numbers": Mapping[str, float],  # what its arithmetic has of numbers
    },
)


def _facts(
    word: str, kind: str = "", operations: int = 0, *, shapes: Mapping[str, tuple[int, ...]] | None = None,
    columns: Callable[[Width], tuple[Width, Width]] = lambda width: (width, width), rule: Rule | None = None,
    statistics: tuple[str, ...] = (), **numbers: float,
) -> Facts:
    """Put facts together; what is not said is what most layers have."""
    return {
        "word": word, "kind": kind or word, "shapes": shapes or {}, "columns": columns, "operations": operations,
        "rule": rule, "statistics": statistics, "numbers": numbers,
    }


def _dense_facts(n_in: int, n_out: int, rule: Rule | None, bias: bool) -> Facts:
    """Return the facts of a dense layer."""
    shapes, operations = dense_shapes(n_in, n_out, bias), 2 * n_in - (not bias) + (rule is not None)
    kind = f"dense {rule_name(rule)}" if rule else "dense"
    return _facts("dense", kind, operations, shapes=shapes, columns=lambda _: (n_in, n_out), rule=rule)


# By the function that a layer's forward is a partial of; each row takes what was fixed when the layer was made.
_OWN: dict[object, Callable[..., Facts | None]] = {
    dense_forward: _dense_facts,
    activation_forward: lambda rule: _facts("activation", rule_name(rule), 1, rule=rule),
    identity_forward: lambda: _facts("identity"),
    columns_forward: lambda start, stop: _facts(
        "columns", f"columns {start}:{stop}", columns=lambda width: (width, stop - start), start=start, stop=stop
    ),
    dropout_forward: lambda rate: _facts("dropout", f"dropout {rate}"),
    embedding_forward: lambda n, width: _facts(
        "embedding", shapes={"table": (n, width)}, columns=lambda k: (k, None if k is None else k * width)
    ),
    layer_norm_forward: lambda n, eps: _facts("layer norm", "", 8, shapes=fields(n), columns=lambda _: (n, n), eps=eps),
    batch_norm_forward: lambda n, eps: _facts(
        "batch norm", "", 4, shapes=fields(n, STATISTICS), columns=lambda _: (n, n), statistics=STATISTICS, eps=eps
    ),
    residual_forward: lambda forward: _facts("residual", "", 1),
    # What another function makes of its branches is a user's own.
    combined_forward: lambda f, names, forwards: _facts("concatenate") if f is side_by_side else None,
}
# A layer that computes something else in training has a row here too. It stands apart from the facts as it is asked
# for before every training pass, and making facts is slow.
_NEEDS_KEY: dict[object, Callable[..., bool]] = {
    dropout_forward: lambda rate: bool(rate > 0), batch_norm_forward: lambda n, eps: True,
}


def facts(layer: Layer) -> Facts | None:
    """Return the facts of a layer of the library, and nothing of a user's own.

    Example:
        >>> from nnfunc import dense, tanh
        >>> facts(dense(2, 3, tanh))["kind"], facts(dense(2, 3))["columns"](None)
        ('dense tanh', (2, 3))
    """
    forward = unwrapped(layer[1])
    row = looked_up(_OWN, forward)
    return None if row is None else row(*(forward.args if isinstance(forward, partial) else ()))


def guarded(forward: ForwardFn) -> OwnForward:
    """Return a forward of the library as it is, and any other with the guard around it.

    Example:
        >>> from nnfunc import dense
        >>> forward = dense(2, 3)[1]
        >>> guarded(forward) is forward, guarded(print).func.__name__
        (True, 'guarded_forward')
    """
    if isinstance(forward, partial):
        if forward.func in (chain_forward, guarded_forward, watched_forward) or facts((no_params, forward)) is not None:
            return forward
    return partial(guarded_forward, forward)


def made_by(layer: Layer) -> object:
    """Return the function that a layer's forward is a partial of, and the forward itself if it is none.

    Example:
        >>> from nnfunc import dense
        >>> made_by(dense(2, 3)).__name__
        'dense_forward'
    """
    return base_function(unwrapped(layer[1]))


def unwrapped(forward: ForwardFn) -> ForwardFn:
    """Return a forward without guard and tap around it.

    Example:
        >>> from nnfunc import dense, watched
        >>> unwrapped(watched(dense(2, 3), print)[1]).args[:2]
        (2, 3)
    """
    while isinstance(forward, partial) and forward.func in (guarded_forward, watched_forward):
        forward = forward.args[-1]
    return forward


def kind_of(layer: Layer) -> str:
    """Say in a word or two what a layer is; of a user's own, the name of its function.

    Example:
        >>> from nnfunc import combine, dense, dropout, tanh
        >>> kind_of(dense(2, 3, tanh)), kind_of(dropout(0.5)), kind_of(combine(print, dense(1, 1)))
        ('dense tanh', 'dropout 0.5', 'print')
    """
    own = facts(layer)
    return label(own_function(layer)) if own is None else own["kind"]


def own_function(layer: Layer) -> object:
    """Return the function that a layer runs, without guard and tap: its forward, or what it makes of its branches.

    Example:
        >>> from nnfunc import combine, dense
        >>> own_function(combine(print, dense(1, 1))) is own_function((len, print)) is print
        True
    """
    forward = unwrapped(layer[1])
    if not isinstance(forward, partial) or forward.func is not combined_forward:
        return forward
    f = forward.args[0]
    return f.args[0] if isinstance(f, partial) else f  # inside its guard


def children(layer: Layer) -> tuple[tuple[str, Layer], ...]:
    """Return the layers that a layer is made of, by name; the one inside a residual has none.

    They are those of `chain`, `residual`, `concatenate` and `combine`; any other layer is one piece.

    Example:
        >>> from nnfunc import chain, dense, residual
        >>> [name for name, _ in children(chain(a=dense(2, 3), b=dense(3, 1)))]
        ['a', 'b']
        >>> [name for name, _ in children(residual(dense(2, 2)))], children(dense(2, 3))
        ([''], ())
    """
    init, forward = layer[0], unwrapped(layer[1])
    if not isinstance(forward, partial) or forward.func not in (chain_forward, residual_forward, combined_forward):
        return ()
    if forward.func is residual_forward:
        return (("", (init, forward.args[0])),)
    names, forwards = forward.args[-2:]
    # An init of a user's own, of params that were trained before, say, is that of the whole.
    inits = init.args[1] if isinstance(init, partial) and init.func is chain_init else (init,) * len(names)
    return tuple(zip(names, zip(inits, forwards, strict=True), strict=True))


def with_forwards(layer: Layer, forwards: list[OwnForward]) -> OwnForward:
    """Return the forward of a layer made of layers with others for its children; all names stay.

    Example:
        >>> import numpy as np
        >>> from nnfunc import chain, dense, relu
        >>> linear = with_forwards(chain(a=dense(1, 1, relu)), [dense(1, 1)[1]])
        >>> linear({"a/W": -np.eye(1), "a/b": np.zeros(1)}, np.eye(1), None)[0]
        array([[-1.]])
    """
    init, forward = layer
    if not isinstance(forward, partial) or forward.func is residual_forward:
        return partial(residual_forward, forwards[0])
    if forward.func in (watched_forward, guarded_forward):
        return partial(forward.func, *forward.args[:-1], with_forwards((init, forward.args[-1]), forwards))
    return partial(forward.func, *forward.args[:-1], tuple(forwards))


LayerMap: TypeAlias = Callable[[str, Layer], OwnForward]


def map_layers(net: Layer, f: LayerMap, path: str = "") -> Layer:
    """Return the network with the forward ``f(path, layer)`` in place of that of every layer that is no chain.

    Of a residual, or branches, the layers inside come before the layer that is made of them.

    Example:
        >>> from nnfunc import chain, dense, residual
        >>> def seen(path, layer):
        ...     print(path)
        ...     return layer[1]
        >>> net = map_layers(chain(a=dense(2, 2), b=residual(chain(dense(2, 2)))), seen)
        a
        b/0
        b
    """
    return net[0], _mapped_forward(net, f, path)


def _mapped_forward(net: Layer, f: LayerMap, path: str) -> OwnForward:
    """Return the forward of a network whose layers are mapped."""
    inside = [_mapped_forward(layer, f, joined(path, name)) for name, layer in children(net)]
    forward = with_forwards(net, inside) if inside else guarded(net[1])
    return forward if made_by(net) is chain_forward else f(path, (net[0], forward))


def walk(net: Layer, path: str = "") -> Iterator[tuple[str, Layer]]:
    """Yield path and layer of every layer that is no chain, in the order of `map_layers`.

    Example:
        >>> from nnfunc import chain, dense, residual
        >>> [path for path, _ in walk(chain(a=dense(2, 2), b=residual(chain(dense(2, 2)))))]
        ['a', 'b/0', 'b']
    """
    for name, layer in children(net):
        yield from walk(layer, joined(path, name))
    if made_by(net) is not chain_forward:
        yield path, net


def takes_codes(net: Layer) -> bool:
    """Say whether all of a network's inputs are codes, as its first layer is an embedding.

    Example:
        >>> from nnfunc import chain, dense, embedding
        >>> takes_codes(chain(embedding(5, 2), dense(2, 1))), takes_codes(dense(2, 1))
        (True, False)
    """
    while made_by(net) is chain_forward:
        net = children(net)[0][1]
    return made_by(net) is embedding_forward


def statistics(net: Layer) -> dict[str, tuple[int, ...]]:
    """Return the full names and the shapes of a network's statistics: params that data decide, and no gradient.

    Example:
        >>> from nnfunc import batch_norm, chain, dense
        >>> statistics(chain(a=dense(2, 3), b=batch_norm(3)))
        {'b/mean': (3,), 'b/var': (3,)}
    """
    found = ((path, own) for path, layer in walk(net) if (own := facts(layer)) is not None)
    return {joined(path, name): own["shapes"][name] for path, own in found for name in own["statistics"]}


def trained(net: Layer, params: Params) -> Params:
    """Return params without the network's statistics, which no penalty and no optimiser is to see.

    Example:
        >>> from nnfunc import batch_norm
        >>> list(trained(batch_norm(1), dict.fromkeys(("gamma", "beta", "mean", "var"))))
        ['gamma', 'beta']
    """
    if not statistics_among(tuple(params)):
        return params
    none = statistics(net)
    return {name: array for name, array in params.items() if name not in none}


def check_needs_no_key(function: str, net: Layer, argument: str = "key") -> None:
    """Raise ValueError if training without a key would train another network than was meant.

    Example:
        >>> from nnfunc import chain, dropout
        >>> check_needs_no_key("grads", chain(noise=dropout(0.5)))
        Traceback (most recent call last):
        ...
        ValueError: grads: key must be given, as layer noise is dropout
        (for the gradients of inference, use vjp), got None
    """
    which = what_needs_key(net)
    if which:
        hint = "for the gradients of inference, use vjp" if function.endswith("grads") else f"{function} takes training passes only"
        constraint = f"be given, as {which} ({hint})"
        raise ValueError(problem(function, argument, constraint, None))


def what_needs_key(net: Layer) -> str:
    """Say which layer computes something else in training, or nothing if none does.

    Example:
        >>> from nnfunc import chain, dropout
        >>> what_needs_key(chain(noise=dropout(0.5))), what_needs_key(chain(noise=dropout(0)))
        ('layer noise is dropout', '')
    """
    if _needs_key(net[1]):
        for path, layer in walk(net):  # which comes to what is inside a residual first
            own = facts(layer)
            if own is not None and _needs_key(layer[1]):
                return f"{f'layer {path}' if path else 'the network'} is {own['word']}"
    return ""


def _needs_key(forward: ForwardFn) -> bool:
    """Say whether there is a layer inside that computes something else in training."""
    forward = unwrapped(forward)
    if not isinstance(forward, partial):
        return False
    made, args = forward.func, forward.args
    if made is chain_forward or made is residual_forward or made is combined_forward:
        for inner in args if made is residual_forward else args[-1]:
            if inner.func is not dense_forward and _needs_key(inner):
                return True
        return False
    needs = looked_up(_NEEDS_KEY, forward)
    return needs is not None and needs(*args)
