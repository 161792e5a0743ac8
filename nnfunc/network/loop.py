"""The one loop: layers run one after another, and their ways back in reverse; beside it residual, branches and tap.

It trusts its layers: those of the library keep their promises, and around any
other stands `nnfunc.network.guard`. Nobody writes to what was handed in, so
nothing is locked or copied here. An error gets the layer's name on its way up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial, reduce
from itertools import accumulate
from typing import NoReturn, ParamSpec, TypeAlias, TypeVar

import numpy as np

from nnfunc.pieces.activations import Rule
from nnfunc.pieces.layers import column_sums, dense_forward, dense_outputs, product
from nnfunc.values.arrays import locked
from nnfunc.values.checks import listed, problem, restated, shortened
from nnfunc.values.keys import key_path, split
from nnfunc.values.params import check_names, joined, paths_above
from nnfunc.values.types import (
    Array, Branch, CombineFn, DType, ForwardFn, InitFn, InputGradient, Key, OwnForward, Params, Pullback,
)

P = ParamSpec("P")
T = TypeVar("T")

Names: TypeAlias = tuple[str, ...]

Fields: TypeAlias = tuple[Names, Names]
"""The names of one layer's params, short and full."""

_DENSE: Names = ("W", "b")

DensePass: TypeAlias = tuple[Rule | None, Array, Array, Array, Array]
"""What a dense layer leaves for its way back: its activation, W, x, z and y."""

Note: TypeAlias = Callable[[str, Array], object]
"""``note(path, tensor)``, called for every tensor; what it returns does not matter."""


def chain_init(names: Names, inits: tuple[InitFn, ...], key: Key, dtype: DType) -> Params:
    """Return the params of all layers, each from its own key; see `nnfunc.chain`.

    Example:
        >>> from nnfunc import chain, dense
        >>> init, forward = chain(a=dense(1, 2), b=dense(2, 1))
        >>> init.func is chain_init, list(init(0, "float32"))
        (True, ['a/W', 'a/b', 'b/W', 'b/b'])
    """
    params: dict[str, Array] = {}
    keys = (key_path("split", key),) if len(names) == 1 else split(key, len(names))
    for name, init, own_key in zip(names, inits, keys, strict=True):
        own = _named(name, init, own_key, dtype)
        _named(name, check_names, "init", "params", own)
        params.update((f"{name}/{short}", array) for short, array in own.items())
    return params


def chain_forward(
    names: Names, forwards: tuple[OwnForward, ...], params: Params, x: Array, key: Key | None
) -> tuple[Array, Pullback]:
    """Run layers one after another; see `nnfunc.chain`.

    Dense layers run on the spot, by the arithmetic of `dense_forward`: in small
    networks the dict, the call and the closures of a layer take as long as its
    products. One whose params stand in another order than W, b is called, to the same bits.

    Example:
        >>> from nnfunc import dense
        >>> import numpy as np
        >>> params = {"a/W": np.eye(1), "a/b": np.ones(1), "b/W": 2 * np.eye(1), "b/b": np.zeros(1)}
        >>> chain_forward(("a", "b"), (dense(1, 1)[1], dense(1, 1)[1]), params, np.eye(1), None)[0]
        array([[4.]])
    """
    fields, n = _layer_fields(names, tuple(params)), len(names)
    keys = (None,) * n if key is None else _layer_keys(key, n)
    backs: list[Pullback | DensePass] = []
    y = x
    for i, forward in enumerate(forwards):
        short, full = fields[i]
        try:
            if forward.func is dense_forward and short == _DENSE and forward.args[3]:
                n_in, n_out, rule, _ = forward.args
                x, W = y, params[full[0]]
                z, y = dense_outputs(n_in, n_out, rule, W, params[full[1]], x)
                backs.append((rule, W, x, z, y))
            else:
                own = {name: params[path] for name, path in zip(short, full, strict=True)}
                y, back = forward(own, y, keys[i])
                backs.append(back)
        except Exception as error:
            reraise(error, names[i])

    def pull(dy: Array) -> tuple[Params, InputGradient]:
        grads: dict[str, Array] = {}
        for i in range(n - 1, -1, -1):
            (short, full), back = fields[i], backs[i]
            try:
                if isinstance(back, tuple):
                    rule, W, x, z, y = back
                    dz = dy if rule is None else rule[1](dy, z, y)
                    grads[full[0]], grads[full[1]] = product(x.T, dz), column_sums(dz)
                    dx: InputGradient = partial(product, dz, W.T)
                else:
                    found, dx = back(dy)
                    grads |= {path: found[name] for name, path in zip(short, full, strict=True) if name in found}
                if i:  # nobody may ask for the first layer's
                    dy = dx()
            except Exception as error:
                reraise(error, names[i])
        return grads, dx

    return y, pull


def residual_forward(forward: ForwardFn, params: Params, x: Array, key: Key | None) -> tuple[Array, Pullback]:
    """Compute y = x + f(x) and the way back; see `nnfunc.residual`.

    Example:
        >>> from nnfunc import dense
        >>> import numpy as np
        >>> init, forward = dense(1, 1)
        >>> residual_forward(forward, {"W": np.eye(1), "b": np.ones(1)}, np.eye(1), None)[0]
        array([[3.]])
    """
    fx, pullback = forward(params, x, key)
    if fx.shape != x.shape:
        raise ValueError(problem("residual", "layer", f"keep the shape {x.shape} of x", fx.shape))

    def pull(dy: Array) -> tuple[Params, InputGradient]:
        grads, dx = pullback(dy)
        return grads, lambda: dy + dx()

    return x + fx, pull


def combined_forward(
    f: CombineFn, names: Names, forwards: tuple[OwnForward, ...], params: Params, x: Array, key: Key | None
) -> tuple[Array, Pullback]:
    """Run layers as f says, each with its own params and key; see `nnfunc.combine`.

    Example:
        >>> from nnfunc import dense
        >>> import numpy as np
        >>> params = {"a/W": np.eye(1), "b/W": 2 * np.eye(1)}
        >>> bare = dense(1, 1, bias=False)[1]
        >>> combined_forward(side_by_side, ("a", "b"), (bare, bare), params, np.eye(1), None)[0]
        array([[1., 2.]])
    """
    fields, keys = _layer_fields(names, tuple(params)), _layer_keys(key, len(names))
    branches = [
        partial(_run_branch, name, forward, {short: params[path] for short, path in zip(*field, strict=True)}, own_key)
        for name, forward, field, own_key in zip(names, forwards, fields, keys, strict=True)
    ]
    y, pullback = f(branches, x)

    def pull(dy: Array) -> tuple[Params, InputGradient]:
        grads, dx = pullback(dy)
        return {f"{name}/{short}": g for name, own in zip(names, grads, strict=True) for short, g in own.items()}, dx

    return y, pull


def _run_branch(name: str, forward: OwnForward, params: Params, key: Key | None, x: Array) -> tuple[Array, Pullback]:
    """Run one layer of several; an error gets its name, there and back."""
    y, pullback = _named(name, forward, params, x, key)

    def pull(dy: Array) -> tuple[Params, InputGradient]:
        grads, dx = _named(name, pullback, dy)
        return grads, partial(_named, name, dx)

    return y, pull


def _named(name: str, f: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Call a function of one layer; an error gets the layer's name."""
    try:
        return f(*args, **options)
    except Exception as error:
        reraise(error, name)


def side_by_side(branches: Sequence[Branch], x: Array) -> tuple[Array, Callable[[Array], tuple[list[Params], InputGradient]]]:
    """Run every branch on x and put their outputs side by side, and the way back; see `nnfunc.concatenate`.

    Example:
        >>> import numpy as np
        >>> side_by_side([lambda x: (x, lambda dy: ({}, lambda: dy))] * 2, np.eye(1))[0]
        array([[1., 1.]])
    """
    done = [branch(x) for branch in branches]
    rows = {y.shape[:-1] for y, _ in done}
    if len(rows) > 1:
        constraint = "put out arrays of one shape but for their columns"
        raise ValueError(problem("concatenate", "layers", constraint, listed([str(y.shape) for y, _ in done])))
    ends = list(accumulate(y.shape[-1] for y, _ in done))

    def pullback(dy: Array) -> tuple[list[Params], InputGradient]:
        back = [pull(dy[..., end - y.shape[-1] : end]) for end, (y, pull) in zip(ends, done, strict=True)]

        def dx() -> Array:
            return reduce(np.add, [own_dx() for _, own_dx in back])

        return [grads for grads, _ in back], dx

    return np.concatenate([y for y, _ in done], axis=-1), pullback


def watched_forward(
    note: Note, path: str, has_z: bool, own_grads: bool, forward: ForwardFn, params: Params, x: Array, key: Key | None
) -> tuple[Array, Pullback]:
    """Run a layer, and tell of its tensors, there and back; `has_z` adds z, `own_grads` the gradients of its params.

    Example:
        >>> from nnfunc import dense
        >>> import numpy as np
        >>> params = {"W": np.eye(1), "b": np.ones(1)}
        >>> y, _ = watched_forward(print, "a", False, True, dense(1, 1)[1], params, np.eye(1), None)
        a/x [[1.]]
        a/y [[2.]]
    """
    note(joined(path, "x"), locked(x))
    y, pullback = forward(params, x, key)
    if has_z:
        z = product(x, params["W"])
        note(joined(path, "z"), locked(z + params["b"] if "b" in params else z))
    note(joined(path, "y"), locked(y))

    def pull(dy: Array) -> tuple[Params, InputGradient]:
        note(joined(path, "dy"), locked(dy))
        grads, dx = pullback(dy)
        for name, gradient in grads.items() if own_grads else ():
            inner, _, short = joined(path, name).rpartition("/")
            note(joined(inner, f"d{short}"), locked(gradient))

        def input_gradient() -> Array:
            gradient = dx()
            note(joined(path, "dx"), locked(gradient))
            return gradient

        return grads, input_gradient

    return y, pull


def _layer_keys(key: Key | None, n: int) -> tuple[Key | None, ...]:
    """Deal a key, or none, out to n layers; a single layer gets it whole."""
    if key is None or n == 1:
        return (key,) * n
    path = key if isinstance(key, tuple) else (key,)
    return tuple([(*path, i) for i in range(n)])


@lru_cache(maxsize=1024)
def _layer_fields(names: Names, params: Names) -> tuple[Fields, ...]:
    """Deal the names of params out to the layers of a chain.

    Example:
        >>> _layer_fields(("a", "b/0"), ("a/W", "b/0/W"))
        ((('W',), ('a/W',)), (('W',), ('b/0/W',)))
    """
    fields: dict[str, tuple[list[str], list[str]]] = {name: ([], []) for name in names}
    for full in params:
        name = next((path for path in paths_above(full) if path in fields), None)
        if name is None:
            raise ValueError(problem("chain", full, "belong to one of its layers", listed(names)))
        fields[name][0].append(full[len(name) + 1 :])
        fields[name][1].append(full)
    return tuple((tuple(short), tuple(full)) for short, full in fields.values())


def reraise(error: Exception, name: str) -> NoReturn:
    """Raise the error again with the layer's name in it.

    In a message of the library's form the name goes before the argument, so a
    nested network spells out the whole path: ``dense: block/0/W must ...``.

    Example:
        >>> reraise(ValueError("dense: W must have shape (2, 3), got (2, 2)"), "hidden")
        Traceback (most recent call last):
        ...
        ValueError: dense: hidden/W must have shape (2, 3), got (2, 2)
    """
    if type(error) is LookupError:  # as the guard says it
        missing = problem("layer", f"{name}/{error.args[0]}", "be in params", "no such name")
        raise ValueError(missing) from error
    if isinstance(error, (ValueError, TypeError, FloatingPointError)):
        function, colon, rest = str(error).partition(": ")
        name = shortened(name, 200)
        house = colon and " must " in rest
        raise restated(error, f"{function}: {name}/{rest}" if house else f"layer {name}: {error}") from error
    error.add_note(f"in layer {name}")
    raise error
