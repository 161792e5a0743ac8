"""safetensors files: the same bytes back, here and in PyTorch, whatever the arrays' layout."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnfunc import AnyArray, adam
from nnfunc.exchange import load_safetensors, save_safetensors
from tests.exchange.networks import COUNT, drawn
from tests.numeric import bad, same_bits
from tests.samples import NET, P
from tests.sentences import Cases, assert_sentence

ODD: dict[str, AnyArray] = {
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(12, dtype=np.float32).reshape(3, 4)[::2, ::-1],
    "swapped": np.arange(3, dtype=">f4"),
    "one": np.asarray(7),
    "none": np.zeros((0, 3), np.float16),
    "flags": np.array([True, False]),
    "numbers": np.array([np.nan, -0.0, np.inf, 5e-324]),
    "a name/ with ä": np.arange(2, dtype=np.uint8),
}


def test_random_networks_there_and_back(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    for seed in range(COUNT):
        net, params, _ = drawn(seed, np.float64 if seed % 2 else np.float32)
        if params:
            save_safetensors(tmp_path / "file", params)
            assert same_bits(load_safetensors(tmp_path / "file", net), params), seed


def test_params_are_frozen(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    save_safetensors(tmp_path / "file", P)
    read = load_safetensors(tmp_path / "file")
    assert not any(a.flags.writeable for a in read.values())
    with pytest.raises(TypeError):
        bad(read)["a"] = 1


def test_arrays_of_any_layout_and_type_are_read_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    save_safetensors(tmp_path / "file", ODD, {"made by": "nnfunc", "ü": "é"})
    for name, array in load_safetensors(tmp_path / "file").items():
        assert array.dtype == ODD[name].dtype.newbyteorder("=")
        assert np.array_equal(array, ODD[name], equal_nan=array.dtype.kind == "f")
    torch = pytest.importorskip("torch")
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    there = load_file(tmp_path / "file")
    assert there.keys() == ODD.keys()
    for name, tensor in there.items():
        assert tensor.shape == ODD[name].shape
        assert np.array_equal(tensor.numpy(), ODD[name], equal_nan=ODD[name].dtype.kind == "f"), name
    with safe_open(tmp_path / "file", "numpy") as file:
        assert file.metadata() == {"made by": "nnfunc", "ü": "é"}
    save_file({name: torch.from_numpy(a.copy()) for name, a in P.items()}, tmp_path / "theirs")
    assert same_bits(load_safetensors(tmp_path / "theirs", NET), P)


def test_a_state_of_an_optimiser_is_kept(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    state = adam()[0](P)
    save_safetensors(tmp_path / "file", state)
    read = load_safetensors(tmp_path / "file")
    assert same_bits({name: read[name] for name in state}, dict(state))


def test_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("safetensors")
    save_safetensors(tmp_path / "file", P)
    before = (tmp_path / "file").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="save_safetensors: .* must be writable, got No space left on device"):
            save_safetensors(tmp_path / "file", {"a": np.zeros(3)})
    with pytest.raises(TypeError):
        save_safetensors(tmp_path / "file", bad({"a": "text"}))
    assert (tmp_path / "file").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[:-1],
    "cut in its header": lambda data: data[:20],
    "longer": lambda data: data + b"\0",
    "empty": lambda data: b"",
    "a header of a terabyte": lambda data: (1 << 40).to_bytes(8, "little") + data[8:],
    "another shape": lambda data: data.replace(b"[4,3]", b"[9,9]"),
    "a type that NumPy has not": lambda data: data.replace(b'"F32"', b'"U32"').replace(b'"U32"', b'"BF9"'),
    "another file": lambda data: b"PK\3\4" * 30,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_not_whole_is_refused(tmp_path: Path, name: str) -> None:
    pytest.importorskip("safetensors")
    save_safetensors(tmp_path / "file", P)
    (tmp_path / "file").write_bytes(BROKEN[name]((tmp_path / "file").read_bytes()))
    with pytest.raises(ValueError, match=r"^load_safetensors: .*file must be a whole safetensors file of .*, got .*Error while"):
        load_safetensors(tmp_path / "file")


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    save_safetensors(tmp_path / "file", {**P, "more": np.ones(1, np.float32)})
    with pytest.raises(ValueError, match=r"load_safetensors: params must be those of the network, got others:\n(?s:.*)more +extra"):
        load_safetensors(tmp_path / "file", NET)
    with pytest.raises(FileNotFoundError, match="load_safetensors: .*none must be a file that can be read, got No such file"):
        load_safetensors(tmp_path / "none")
    with pytest.raises(IsADirectoryError, match="load_safetensors: .* must be a file that can be read, got Is a directory"):
        load_safetensors(tmp_path)


def test_arrays_come_in_one_order_whatever_the_process(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    save_safetensors(tmp_path / "file", P)
    assert list(load_safetensors(tmp_path / "file")) == sorted(P)
    assert list(load_safetensors(tmp_path / "file", NET)) == list(P)


BAD: Cases = {
    "a name that the format keeps for itself": (
        lambda: save_safetensors("file", {"__metadata__": np.ones(2)}), ValueError,
        r"save_safetensors: params must have names that the format can hold, got '__metadata__'",
    ),
    "a name that is no text": (
        lambda: save_safetensors("file", {"\ud800": np.ones(2)}), ValueError,
        r"save_safetensors: params must have names that the format can hold, got '\\ud800'",
    ),
    "metadata of numbers": (
        lambda: save_safetensors("file", P, bad({"epoch": 3})), TypeError,
        r"save_safetensors: metadata must be a mapping of text to text, got \{'epoch': 3\}",
    ),
    "metadata that are text": (lambda: save_safetensors("file", P, bad("a")), TypeError, "save_safetensors: metadata must be .*, got 'a'"),
    "nested": (lambda: save_safetensors("file", bad({"a": {"b": 1}})), TypeError, r"save_safetensors: params\['a'\] must be .*, got .*"),
    "no params": (lambda: save_safetensors("file", bad([1])), TypeError, r"save_safetensors: params must be .*, got \[1\]"),
    "text": (lambda: save_safetensors("file", {"a": np.array(["b"])}), TypeError, "save_safetensors: a must hold numbers, got .*"),
    "wide": (
        lambda: save_safetensors("file", {"a": np.zeros(2, np.longdouble)}), TypeError,
        r"save_safetensors: a must hold numbers of at most 64 bits, got float128 array of shape \(2,\)",
    ),
    "no net": (lambda: load_safetensors("file", bad(3)), TypeError, "load_safetensors: net must be .*, got 3"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_in_a_sentence(name: str) -> None:
    assert_sentence(*BAD[name])


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    blocked: Any = sys.modules
    monkeypatch.setitem(blocked, "safetensors", None)
    monkeypatch.setitem(blocked, "safetensors.numpy", None)
    for call in (lambda: save_safetensors("file", P), lambda: load_safetensors("file")):
        with pytest.raises(ModuleNotFoundError, match=r"must be installed \(pip install safetensors\), got no such module"):
            call()
