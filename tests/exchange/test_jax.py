"""JAX and its friends take `dict(params)` and give dicts that `freeze` takes; a mapping proxy is a single leaf to them."""

from typing import Any

import numpy as np
import pytest

from nnfunc import Array, Params, adam, chain, dense, forward, freeze, grads, init, layer_norm, map_params, mse, tanh
from tests.numeric import same_bits

NET = chain(hidden=dense(3, 4, tanh), deep=chain(norm=layer_norm(4)), out=dense(4, 2))
P = init(NET, 0)
DRAW = np.random.default_rng(0)
X: Array = DRAW.normal(size=(8, 3)).astype(np.float32)
Y: Array = DRAW.normal(size=(8, 2)).astype(np.float32)


def test_a_dict_is_a_tree_and_params_as_they_are_one_leaf() -> None:
    jax = pytest.importorskip("jax")
    assert len(jax.tree.leaves(dict(P))) == len(P) == 6
    assert len(jax.tree.leaves(P)) == 1


def test_there_and_back() -> None:
    jax = pytest.importorskip("jax")
    there = jax.tree.map(jax.numpy.asarray, dict(P))
    back = freeze(there)
    assert sorted(back) == sorted(P)
    assert all(same_bits(back[name], P[name]) for name in P)
    # JAX sorts names; these lines keep the order.
    assert same_bits(map_params(lambda own, new: new, P, there), P)
    assert same_bits(freeze({name: there[name] for name in P}), P)
    assert not any(a.flags.writeable for a in back.values())


def loss_there(params: Any, x: Any, y: Any) -> Any:
    """Return the loss of `NET` in JAX's own terms."""
    import jax.numpy as jnp

    h = jnp.tanh(x @ params["hidden/W"] + params["hidden/b"])
    h = (h - h.mean(1, keepdims=True)) / jnp.sqrt(h.var(1, keepdims=True) + 1e-5) * params["deep/norm/gamma"] + params["deep/norm/beta"]
    return ((h @ params["out/W"] + params["out/b"] - y) ** 2).mean()


def test_gradients_by_jax_are_those_of_here() -> None:
    jax = pytest.importorskip("jax")
    there, here = freeze(jax.jit(jax.grad(loss_there))(dict(P), X, Y)), grads(NET, mse, P, X, Y)
    assert all(np.allclose(there[name], here[name], rtol=1e-4, atol=1e-6) for name in P)


def test_optax_steps_params() -> None:
    optax = pytest.importorskip("optax")
    rule = optax.adam(0.01)
    ours, theirs = P, P
    state_there, (begin, step) = rule.init(dict(theirs)), adam()
    state = begin(ours)
    for _ in range(5):
        ours, state = step(ours, grads(NET, mse, ours, X, Y), state, 0.01)
        updates, state_there = rule.update(dict(grads(NET, mse, theirs, X, Y)), state_there, dict(theirs))
        theirs = freeze(optax.apply_updates(dict(theirs), updates))
    assert np.abs(forward(NET, ours, X) - forward(NET, P, X)).max() > 0.01
    assert np.allclose(forward(NET, theirs, X), forward(NET, ours, X), rtol=0, atol=1e-5)


def nested(params: Params) -> dict[str, Any]:
    """Return params as a tree of dicts, as Flax has them."""
    tree: dict[str, Any] = {}
    for name, array in params.items():
        *path, last = name.split("/")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = array
    return tree


def test_nested_names_there_and_back() -> None:
    jax = pytest.importorskip("jax")
    tree = nested(P)
    assert tree["deep"]["norm"].keys() == {"gamma", "beta"}
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    flat = {"/".join(step.key for step in path): leaf for path, leaf in leaves}
    assert same_bits(freeze({name: flat[name] for name in P}), P)


def test_flax_nests_names_itself() -> None:
    traverse = pytest.importorskip("flax.traverse_util")
    tree = traverse.unflatten_dict(dict(P), sep="/")
    assert same_bits(tree, nested(P))
    assert same_bits(freeze(traverse.flatten_dict(tree, sep="/")), P)
