"""PyTorch's state dicts: into params and back with the same bytes, and both sides predict the same."""

from functools import partial
from typing import Any

import numpy as np
import pytest

from nnfunc import (
    AnyArray, Layer, activation, batch_norm, calibrate, chain, columns, combine, dense, dropout, elu, embedding,
    gelu, init, layer_norm, leaky_relu, relu, residual, sigmoid, softmax, tanh,
)  # fmt: skip
from nnfunc.exchange import from_torch, to_torch
from nnfunc.network.kinds import children, facts, made_by, own_function, walk
from nnfunc.network.loop import chain_forward
from nnfunc.pieces.activations import is_custom, rule_name
from nnfunc.values.params import joined
from recipes.branches import product
from tests.exchange.networks import COUNT, drawn, error
from tests.numeric import bad, same_bits
from tests.samples import NET, P, custom
from tests.sentences import Cases, assert_sentence

STATE: dict[str, AnyArray] = {
    "0.weight": np.arange(12, dtype=np.float32).reshape(3, 4), "0.bias": np.arange(3, dtype=np.float32),
    "2.weight": np.ones((2, 3), np.float32), "2.bias": np.zeros(2, np.float32),
}  # fmt: skip
NORM = {"n.weight": np.ones(2), "n.bias": np.zeros(2), "n.running_mean": np.ones(2), "n.running_var": np.ones(2)}
CONV = {"c.weight": np.ones((4, 1, 3), np.float32), "c.bias": np.ones(4, np.float32)}
LSTM = {"l.weight_ih_l0": np.ones((8, 2)), "l.weight_hh_l0": np.ones((8, 2))}


class Tensor:
    """What NumPy can make an array of, and is none."""

    def __init__(self, array: AnyArray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> AnyArray:
        return self.array


def gain(n: int) -> Layer:
    return (lambda key, dtype: {"s": np.ones(n, dtype)}), bad(lambda p, x, k: (x * p["s"], None))


def test_weights_are_transposed_and_nothing_else() -> None:
    params = from_torch(NET, STATE)
    assert list(params) == ["hidden/W", "hidden/b", "out/W", "out/b"]
    assert params["hidden/W"].tolist() == STATE["0.weight"].T.tolist()
    assert params["hidden/b"].tolist() == [0, 1, 2]
    assert all(a.flags.c_contiguous and not a.flags.writeable and a.dtype == np.float32 for a in params.values())
    assert not any(np.shares_memory(a, b) for a in params.values() for b in STATE.values())


def test_what_becomes_an_array_is_taken() -> None:
    assert same_bits(from_torch(NET, bad({name: Tensor(a) for name, a in STATE.items()})), from_torch(NET, STATE))
    assert same_bits(from_torch(NET, {name: np.asfortranarray(a) for name, a in STATE.items()}), from_torch(NET, STATE))


def test_arrays_for_pytorch_are_new_contiguous_and_writable() -> None:
    state = to_torch(NET, P)
    assert list(state) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert all(a.flags.c_contiguous and a.flags.writeable and a.flags.owndata for a in state.values())
    assert not any(np.shares_memory(a, b) for a in state.values() for b in P.values())


NUMBERED: dict[str, tuple[Layer, list[str]]] = {
    "one layer": (dense(2, 3), ["0.weight", "0.bias"]),
    "an activation inside": (chain(dense(2, 3, relu), dense(3, 1, softmax)), ["0.weight", "0.bias", "2.weight", "2.bias"]),
    "one beside": (chain(dense(2, 3), activation(relu), dense(3, 1)), ["0.weight", "0.bias", "2.weight", "2.bias"]),
    "dropout": (chain(dense(2, 3, relu), dropout(0.1), dense(3, 1, bias=False)), ["0.weight", "0.bias", "3.weight"]),
    "norms": (
        chain(layer_norm(2), batch_norm(2), dense(2, 1, bias=False)),
        ["0.weight", "0.bias", *(f"1.{n}" for n in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")), "2.weight"],
    ),
    "embedding": (chain(embedding(5, 2), dense(2, 1)), ["0.weight", "2.weight", "2.bias"]),
    "a chain in a chain": (chain(a=chain(b=dense(2, 2, tanh)), c=dense(2, 2)), ["0.weight", "0.bias", "2.weight", "2.bias"]),
    "a layer of one's own without params": (chain(custom(lambda p, x, k: x), dense(2, 1, bias=False)), ["1.weight"]),
    "columns": (chain(columns(0, 1), dense(1, 1, bias=False)), ["1.weight"]),
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERED)
def test_names_are_those_of_a_sequential(name: str) -> None:
    net, names = NUMBERED[name]
    params = init(net, 0)
    if "norm" in name:
        params = calibrate(net, params, np.eye(3, 2))
    assert list(to_torch(net, params)) == names
    assert same_bits(from_torch(net, to_torch(net, params)), params)


def test_names_and_order_of_another_module_are_taken() -> None:
    like = {f"fc.{name}": STATE[name] for name in ("0.bias", "0.weight", "2.bias", "2.weight")}
    state = to_torch(NET, P, like)
    assert list(state) == list(like)
    assert same_bits(state["fc.2.weight"], np.ascontiguousarray(P["out/W"].T))
    assert same_bits(from_torch(NET, state), P)


def test_one_module_alone_has_no_prefix() -> None:
    params = from_torch(dense(3, 2), {"weight": np.ones((2, 3)), "bias": np.zeros(2)})
    assert {name: a.shape for name, a in params.items()} == {"W": (3, 2), "b": (2,)}
    assert list(to_torch(dense(3, 2), params, {"weight": np.ones((2, 3)), "bias": np.zeros(2)})) == ["weight", "bias"]


def test_a_batch_norm_may_have_no_statistics_yet() -> None:
    state = {name: a for name, a in NORM.items() if "running" not in name}
    assert list(from_torch(batch_norm(2), state)) == ["gamma", "beta"]
    assert list(to_torch(batch_norm(2), init(batch_norm(2), 0), state)) == ["n.weight", "n.bias"]


def test_modules_go_by_name_where_the_names_are_the_layers() -> None:
    net = chain(hid=dense(4, 4), out=dense(4, 4))
    params = init(net, 0)
    there = to_torch(net, params, like={f"{n}.{f}": np.ones((4, 4) if f == "weight" else 4) for n in ("out", "hid") for f in ("weight", "bias")})
    assert list(there) == ["out.weight", "out.bias", "hid.weight", "hid.bias"]
    assert same_bits(there["hid.weight"], np.ascontiguousarray(params["hid/W"].T))
    assert same_bits(from_torch(net, there), params)
    nested = chain(enc=chain(a=dense(4, 4), b=dense(4, 4)), out=dense(4, 4))
    fresh = init(nested, 1)
    named = {f"{path}.{f}": fresh[f"{path.replace('.', '/')}/{own}"].T for path in ("out", "enc.b", "enc.a") for f, own in (("weight", "W"), ("bias", "b"))}
    assert same_bits(from_torch(nested, named), fresh)


def test_numbered_modules_go_by_their_numbers_in_whatever_order_a_file_has_them() -> None:
    net = chain(*(dense(4, 4, relu) for _ in range(12)))
    params = init(net, 0)
    assert same_bits(from_torch(net, dict(sorted(to_torch(net, params).items()))), params)


BAD: Cases = {
    "a checkpoint around the state dict": (
        lambda: from_torch(NET, bad({"model": STATE, "epoch": 3})), TypeError,
        r"from_torch: arrays must be one state dict \(take arrays\['model'\]\), got a mapping of model, epoch",
    ),
    "the state of an optimiser": (
        lambda: from_torch(NET, bad({"state": {0: {"step": 1.0}}, "param_groups": [{"lr": 0.1}]})), TypeError,
        r"from_torch: arrays must be the state dict of a module, and not of an optimiser, got a mapping of state, param_groups",
    ),
    "one too few": (
        lambda: from_torch(NET, {n: a for n, a in STATE.items() if n != "2.bias"}), ValueError,
        r"from_torch: arrays must hold 2\.bias for out/b \(2,\), got only 0\.weight, 0\.bias, 2\.weight",
    ),
    "one too many": (
        lambda: from_torch(chain(dense(4, 3, bias=False), dense(3, 2)), STATE), ValueError,
        r"from_torch: arrays must hold no more than 0\.weight, 2\.weight, 2\.bias, got 0\.bias \(3,\)",
    ),
    "a module too few": (
        lambda: from_torch(chain(NET, last=dense(2, 2)), STATE), ValueError,
        r"from_torch: arrays must hold 3 modules, for 0/hidden, 0/out, last, got 2 \(0, 2\)",
    ),
    "a module too many": (
        lambda: from_torch(dense(4, 3), STATE), ValueError, r"from_torch: arrays must hold 1 modules, for dense, got 2 \(0, 2\)",
    ),
    "another shape": (
        lambda: from_torch(NET, {**STATE, "0.weight": STATE["0.weight"].T}), ValueError,
        r"from_torch: arrays\['0\.weight'\] must have shape \(3, 4\), as hidden/W has \(4, 3\) here, got \(4, 3\)",
    ),
    "another dtype": (
        lambda: from_torch(NET, {**STATE, "0.bias": STATE["0.bias"].astype(np.float16)}), TypeError,
        r"from_torch: arrays\['0\.bias'\] must be a float32 or float64 array \(array\.astype\(np\.float32\) makes one\), "
        r"got float16 array of shape \(3,\)",
    ),
    "two dtypes": (
        lambda: from_torch(NET, {**STATE, "0.bias": np.ones(3)}), TypeError,
        "from_torch: arrays must share one dtype, got float32 and float64",
    ),
    "a convolution": (
        lambda: from_torch(NET, {**CONV, **STATE}), ValueError,
        r"from_torch: arrays must be those of Linear, LayerNorm, BatchNorm1d and Embedding modules, got c\.weight \(4, 1, 3\) as well",
    ),
    "an LSTM": (
        lambda: from_torch(NET, {**STATE, **LSTM}), ValueError,
        r"from_torch: arrays must be those of .* modules, got l\.weight_ih_l0 \(8, 2\), l\.weight_hh_l0 \(8, 2\) as well",
    ),
    "a module": (
        lambda: from_torch(NET, bad(STATE.items())), TypeError,
        r"from_torch: arrays must be a mapping of names to arrays \(module\.state_dict\(\) is one\), got dict_items.*",
    ),
    "text": (lambda: from_torch(NET, bad({"0.weight": "a"})), TypeError, r"from_torch: arrays\['0\.weight'\] must hold numbers, got .*"),
    "no net": (lambda: from_torch(bad(relu), STATE), TypeError, "from_torch: net must be a pair of functions .*"),
    "params in a layer of one's own": (
        lambda: from_torch(chain(NET, g=gain(2)), STATE), ValueError,
        "from_torch: net must have params in the library's own layers only, got a layer of your own at g",
    ),
    "params of another network": (
        lambda: to_torch(NET, init(dense(1, 1), 0)), ValueError, "to_torch: params must be those of the network, got others:(?s:.*)hidden/W(?s:.*)",
    ),
    "no statistics": (
        lambda: to_torch(chain(n=batch_norm(2)), init(chain(n=batch_norm(2)), 0)), ValueError,
        r"to_torch: params must hold the statistics of the batch norms \(params = calibrate\(net, params, x\) puts them there\), "
        "got no mean and no var",
    ),
    "no statistics for a module that has some": (
        lambda: to_torch(batch_norm(2), init(batch_norm(2), 0), NORM), ValueError, "to_torch: params must hold the statistics .*",
    ),
    "like another module": (
        lambda: to_torch(NET, P, {**STATE, "2.weight": np.ones((3, 3))}), ValueError,
        r"to_torch: like\['2\.weight'\] must have shape \(2, 3\), as out/W has \(3, 2\) here, got \(3, 3\)",
    ),
    "a residual": (
        lambda: to_torch(chain(r=residual(dense(2, 2))), init(chain(r=residual(dense(2, 2))), 0)), ValueError,
        "to_torch: like must be given, as torch.nn.Sequential has nothing like the residual at r, got None",
    ),
    "a combination": (
        lambda: to_torch(combine(product, dense(2, 2), dense(2, 2)), init(combine(product, dense(2, 2), dense(2, 2)), 0)), ValueError,
        "to_torch: like must be given, as torch.nn.Sequential has nothing like the combination, got None",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_in_a_sentence(name: str) -> None:
    assert_sentence(*BAD[name])


# PyTorch itself


def activation_there(torch: Any, rule: Any) -> Any:
    """Return an activation of PyTorch's."""
    name, options = rule_name(rule), rule[0].keywords if isinstance(rule[0], partial) else {}
    options = {"dim": 1} if name.endswith("softmax") else options
    return partial(torch.sin if is_custom(rule) else getattr(torch.nn.functional, name), **options)


def module_there(torch: Any, known: Any) -> Any:
    """Return the module of PyTorch's for a layer with params."""
    word, shapes = known["word"], known["shapes"]
    if word == "dense":
        return torch.nn.Linear(*shapes["W"], bias="b" in shapes)
    if word == "embedding":
        return torch.nn.Embedding(*shapes["table"])
    kind = torch.nn.LayerNorm if word == "layer norm" else torch.nn.BatchNorm1d
    return kind(*shapes["gamma"], eps=known["numbers"]["eps"])


def run_there(torch: Any, modules: dict[str, Any], layer: Layer, path: str, x: Any) -> Any:
    """Compute with PyTorch's modules, by path, what a network does."""
    inside, known = children(layer), facts(layer)
    branches = [partial(run_there, torch, modules, child, joined(path, name)) for name, child in inside]
    if made_by(layer) is chain_forward:
        for branch in branches:
            x = branch(x)
        return x
    if own_function(layer) is product:
        return branches[0](x) * branches[1](x)
    assert known is not None
    if inside:
        return x + branches[0](x) if known["word"] == "residual" else torch.cat([branch(x) for branch in branches], dim=1)
    if known["word"] == "columns":
        x = x[:, int(known["numbers"]["start"]) : int(known["numbers"]["stop"])]
    elif known["word"] == "embedding":
        x = modules[path](x.long()).flatten(1)
    elif known["shapes"]:
        x = modules[path](x)
    return x if known["rule"] is None else activation_there(torch, known["rule"])(x)


def made_there(torch: Any, net: Layer, dtype: type[np.floating]) -> tuple[Any, dict[str, Any]]:
    """Return one module of a network's layers with params, in order, and each by its path."""
    found = [(path, facts(layer)) for path, layer in walk(net)]
    modules = {path: module_there(torch, known) for path, known in found if known and known["shapes"]}
    return torch.nn.ModuleList(modules.values()).to(getattr(torch, dtype.__name__)).eval(), modules


def test_random_networks_there_and_back() -> None:
    torch = pytest.importorskip("torch")
    worst: dict[type[np.floating], list[float]] = {np.float32: [], np.float64: []}
    for seed in range(COUNT):
        dtype: type[np.floating] = np.float64 if seed % 2 else np.float32
        net, params, x = drawn(seed, dtype)
        whole, modules = made_there(torch, net, dtype)
        state = to_torch(net, params, like=whole.state_dict())
        whole.load_state_dict({name: torch.from_numpy(a) for name, a in state.items()}, strict=True)
        with torch.no_grad():
            found = run_there(torch, modules, net, "", torch.from_numpy(x.copy())).numpy()
            for tensor in whole.parameters():
                tensor.mul_(2)  # which is not to reach the params
        worst[dtype].append(error(found, net, params, x))
        assert same_bits(from_torch(net, state), params), seed
    # A norm of a few columns may have lost the last digits here and there: the params are the same bytes.
    assert float(np.quantile(worst[np.float32], 0.9)) < 2e-6
    assert max(worst[np.float64]) < 1e-12


def test_a_sequential_takes_the_numbers_that_come_without_names() -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    net = chain(
        dense(4, 5, relu), dropout(0.2), batch_norm(5), dense(5, 3, partial(leaky_relu, negative_slope=0.2)), layer_norm(3),
        dense(3, 3, gelu, bias=False), activation(tanh), dense(3, 2, partial(elu, alpha=0.5)), dense(2, 2, sigmoid), dense(2, 3),
    )  # fmt: skip
    module = nn.Sequential(
        nn.Linear(4, 5), nn.ReLU(), nn.Dropout(0.2), nn.BatchNorm1d(5), nn.Linear(5, 3), nn.LeakyReLU(0.2), nn.LayerNorm(3),
        nn.Linear(3, 3, bias=False), nn.GELU(), nn.Tanh(), nn.Linear(3, 2), nn.ELU(0.5), nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 3),
    ).eval()  # fmt: skip
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    params = calibrate(net, init(net, 0), x)
    module.load_state_dict({name: torch.from_numpy(a) for name, a in to_torch(net, params).items()}, strict=True)
    assert error(module(torch.from_numpy(x)).detach().numpy(), net, params, x) < 2e-6
    fresh = nn.Sequential(*(each for each in module)).train()
    for _ in range(3):
        fresh(torch.from_numpy(x))  # which moves its running statistics
    params = from_torch(net, fresh.eval().state_dict())
    assert error(fresh(torch.from_numpy(x)).detach().numpy(), net, params, x) < 2e-6
    coded = chain(embedding(4, 3), dense(3, 2))
    there = nn.Sequential(nn.Embedding(4, 3), nn.Flatten(), nn.Linear(3, 2))
    there.load_state_dict({n: torch.from_numpy(a) for n, a in to_torch(coded, init(coded, 0)).items()}, strict=True)
    codes = np.array([[3.0], [0.0]], np.float32)
    assert error(there(torch.from_numpy(codes).long()).detach().numpy(), coded, init(coded, 0), codes) < 2e-6


def test_modules_that_are_none_of_ours_are_named() -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    for module, name in (
        (nn.Conv1d(1, 4, 3), "0.weight"), (nn.LSTM(2, 2), "0.weight_ih_l0"), (nn.MultiheadAttention(4, 2), "0.in_proj_weight"),
        (nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)), "0.parametrizations.weigh"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"^from_torch: arrays must be those of .* got {name}"):
            from_torch(NET, nn.Sequential(module, nn.Linear(2, 2)).state_dict())

