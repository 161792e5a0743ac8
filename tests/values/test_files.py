"""Checkpoints: whole or the old one whatever happens, and nothing from a file that is not what `save` wrote.

NNFUNC_LONG=1 kills 200 processes and tries all changes of every byte.
"""

import hashlib
import io
import json
import os
import pickle
import random
import signal
import socket
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import resume
from numpy.typing import DTypeLike

from nnfunc import AnyArray, State, adam, forward, freeze, init, load, mlp, mse, save, train
from tests.numeric import bad, same_bits
from tests.sentences import assert_sentence

LONG = bool(os.environ.get("NNFUNC_LONG"))
VALUES: State = freeze(
    {
        "hidden/W": np.arange(6, dtype=np.float32).reshape(2, 3),
        "t": np.asarray(7),
        "key": np.array([1, 2], np.uint32),
        "on": np.array([True, False]),
        "empty": np.zeros((0, 3)),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "odd": np.array([np.nan, -0.0, np.inf, 5e-324]),
    }
)
# Names that go with params: of columns and classes.
TEXT: State = {
    "classes": np.array(["Hund", "Käse", "猫", "🐈", ""]),
    "one": np.array("a word"),
    "none": np.array([], dtype=str),
    "rows": np.asfortranarray([["a", "bc"], ["def", "g"]]),
    "swapped": np.array(["ab", "c"], ">U2"),
    "odd": np.array(["a\0b", "\ud800", "\n"]),
    "W": np.ones((2, 2)),
}


def written(tmp_path: Path, values: State = VALUES) -> bytes:
    save(tmp_path / "file", values)
    return (tmp_path / "file").read_bytes()


def refused(tmp_path: Path, data: bytes) -> str:
    """Return the fault that `load` tells of."""
    path = tmp_path / "bad"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"^load: .*bad must be a whole checkpoint that save wrote, got ") as caught:
        load(path)
    return str(caught.value).partition(", got ")[2]


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    written(tmp_path)
    read = load(tmp_path / "file")
    assert same_bits(dict(read), dict(VALUES))
    assert list(read) == list(VALUES)
    assert not any(a.flags.writeable for a in read.values())
    assert read["fortran"].flags.f_contiguous
    with pytest.raises(TypeError):
        changing: Any = read
        changing["t"] = read["t"]


def test_text_is_kept_beside_numbers(tmp_path: Path) -> None:
    save(tmp_path / "file", {**TEXT, "list": bad(["no", "yes"]), "word": bad("yes")})
    read = dict(load(tmp_path / "file"))
    assert read.pop("list").tolist() == ["no", "yes"]
    assert read.pop("word").tolist() == "yes"
    assert same_bits(read, dict(TEXT))
    assert not any(a.flags.writeable for a in read.values())
    with np.load(tmp_path / "file", allow_pickle=False) as file:
        assert file["classes"].tolist() == TEXT["classes"].tolist()
    strided = np.array(["aa", "b", "cc", "d"])[::2]
    save(tmp_path / "file", {"strided": strided})
    assert load(tmp_path / "file")["strided"].tolist() == ["aa", "cc"]


def test_params_go_on_when_the_text_beside_them_is_taken_out(tmp_path: Path) -> None:
    net, x = mlp([2, 3, 2]), np.ones((1, 2), np.float32)
    start = init(net, 0)
    save(tmp_path / "file", {**start, "classes": np.array(["no", "yes"])})
    params = load(tmp_path / "file")
    with pytest.raises(TypeError, match="take it out") as caught:
        forward(net, params, x)
    names: dict[str, Any] = {"params": params}
    exec(str(caught.value).split(": ", 2)[2].split("),")[0] + ")", names)
    assert names["params"].keys() == start.keys()
    assert np.array_equal(forward(net, names["params"], x), forward(net, start, x))


def test_plain_numpy_reads_it_and_the_header_says_what_is_in_it(tmp_path: Path) -> None:
    written(tmp_path)
    with np.load(tmp_path / "file", allow_pickle=False) as file:
        assert np.array_equal(file["hidden/W"], VALUES["hidden/W"])
        header = json.loads(file["nnfunc.json"])
    assert header["format"] == 1
    assert header["numpy"] == np.__version__
    assert header["arrays"]["hidden/W"] == ["<f4", [2, 3]]


def test_the_same_values_make_the_same_bytes(tmp_path: Path) -> None:
    assert written(tmp_path) == written(tmp_path)


def test_a_whole_training_state(tmp_path: Path) -> None:
    net = mlp([2, 3, 1])
    x = np.ones((4, 2), np.float32)
    runs = train(net, mse, init(net, 0), x, x[:, :1], epochs=2, lr=0.1, optimizer=adam())
    state, _ = next(runs)
    save(tmp_path / "state", state)
    again = train(net, mse, load(tmp_path / "state"), x, x[:, :1], epochs=2, lr=0.1, optimizer=adam())
    assert same_bits(dict(next(runs)[0]), dict(next(again)[0]))


@pytest.mark.parametrize(
    "name", ["../up", "a/../b", "/root", "a//b", "", ".", "a\\b", "c:d", "nul\0", "nnfunc.json"], ids=repr
)
def test_names_that_could_be_paths_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="save: values must have names of at most 1000 characters whose parts"):
        save(tmp_path / "file", {name: np.zeros(1)})
    assert not list(tmp_path.iterdir())


with os.scandir(os.fsencode(Path(__file__).parent)) as entries:
    BYTES = next(entries)  # a path of bytes
BAD: dict[str, tuple[Callable[[Path], object], type[Exception], str]] = {
    "values of objects": (
        lambda path: save(path / "f", {"a": np.array([None])}),
        TypeError,
        r"save: values\['a'\] must hold floats.*",
    ),
    "values a number": (lambda path: save(path / "f", bad(3)), TypeError, "save: values must be a mapping.*"),
    "save into no directory": (
        lambda path: save(path / "none" / "f", VALUES),
        FileNotFoundError,
        "save: .* must be writable, got No such file.*",
    ),
    "save over a directory": (
        lambda path: save(path, VALUES),
        IsADirectoryError,
        "save: .* must be writable, got Is a directory",
    ),
    "load of nothing": (
        lambda path: load(path / "f"),
        FileNotFoundError,
        "load: .* must be a file that can be read, got No such file.*",
    ),
    "load of a directory": (
        lambda path: load(path),
        IsADirectoryError,
        "load: .* must be a file that can be read, got Is a directory",
    ),
    "values with a mapping inside": (
        lambda path: save(path / "f", {"a": bad({"W": np.ones(1)})}),
        TypeError,
        r"save: values\['a'\] must be an array, as nothing is nested \(.*\), got a mapping of \['W'\]",
    ),
    "values with arrays of two shapes": (
        lambda path: save(path / "f", {"a": bad([np.ones(1), np.ones(2)])}),
        ValueError,
        r"save: values\['a'\] must have rows of one length, got a ragged sequence",
    ),
    "values of text and numbers": (
        lambda path: save(path / "f", {"a": bad(["a", 1])}),
        TypeError,
        r"save: values\['a'\] must hold floats, integers, booleans or text.*",
    ),
    "text of no characters": (
        lambda path: save(path / "f", {"a": np.array([2**31], np.uint32).view("U1")}),
        ValueError,
        r"save: values\['a'\] must hold text, got numbers that are no characters",
    ),
    "values a type": (lambda path: save(path / "f", bad(dict)), TypeError, "save: values must be a mapping.*"),
    **{
        f"{function.__name__} {what}": (
            partial(lambda call, _: call(), partial(function, bad(path), *rest)), kind, f"{function.__name__}: {sentence}",
        )
        for function, rest in ((save, (VALUES,)), (load, ()))
        for what, path, kind, sentence in (
            ("a number", 3, TypeError, "path must be a path, as a string or pathlib's, got 3"),
            ("bytes", b"f", TypeError, r"path must be .* \(os.fsdecode makes one of bytes\), got b'f'"),
            ("an entry of bytes", BYTES, TypeError, r"path must be .*os.fsdecode.*"),
            ("NUL", "f\0", ValueError, r"path must be made of characters .*, got 'f\\x00'"),
            ("a lone surrogate", "f\ud800", ValueError, r"path must be made of characters .*, got 'f\\ud800'"),
            ("a name too long", "f" * 300, OSError, "'fff.*fff' must be .*, got File name too long"),
            ("a path too long", "f/" * 10**6 + "f", OSError, "'f/f.*' must be .*, got File name too long"),
            ("not in a directory", f"{__file__}/f", NotADirectoryError, ".*f must be .*, got Not a directory"),
            ("a device", "/dev/zero", ValueError, "/dev/zero must be a plain file.*, got a device or pipe"),
        )
    },
    "save nothing": (lambda path: save("", VALUES), IsADirectoryError, "save: '' must be writable, got Is a directory"),
    "load nothing": (lambda path: load(""), FileNotFoundError, "load: '' must be a file .*, got No such file.*"),
    "load of no length": (lambda path: load("/proc/self/maps"), ValueError, "load: .*maps must be .*, got a file without its seal"),
    "save by a name for a directory": (
        lambda path: save(f"{path}/f/", VALUES),
        IsADirectoryError,
        "save: .*f/ must be writable, got Is a directory",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_values_and_places_meet_one_clear_sentence(tmp_path: Path, name: str) -> None:
    call, kind, pattern = BAD[name]
    assert_sentence(partial(call, tmp_path), kind, pattern)
    assert not list(tmp_path.iterdir())


def test_only_plain_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    for name in ("pipe", "link", "socket"):
        with pytest.raises(ValueError, match=f"^load: .*{name} must be a plain file, got a device or pipe"):
            load(tmp_path / name)
    for function in (partial(load, tmp_path / "loop"), partial(save, tmp_path / "loop", VALUES)):
        with pytest.raises(OSError, match="loop must be .*, got Too many levels of symbolic links"):
            function()
    save(tmp_path / "file", VALUES)
    (tmp_path / "good").symlink_to(tmp_path / "file")
    assert same_bits(dict(load(tmp_path / "good")), dict(VALUES))


def test_of_a_file_without_a_seal_no_more_is_read_than_its_ends(tmp_path: Path) -> None:
    with open(tmp_path / "bad", "wb") as file:
        file.truncate(1 << 40)  # a terabyte of nothing
    tracemalloc.start()
    with pytest.raises(ValueError, match="got a file without its seal"):
        load(tmp_path / "bad")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("letter", ["f", "é", "猫", "🐈"])
def test_names_may_be_as_long_as_the_system_lets_them(tmp_path: Path, letter: str) -> None:
    path = tmp_path / (letter * (255 // len(letter.encode())))
    save(path, VALUES)
    assert same_bits(dict(load(path)), dict(VALUES))


def as_npz(write: Callable[..., object], path: Path, *arrays: AnyArray, **named: AnyArray) -> None:
    """Write arrays as NumPy does, to just this path."""
    with path.open("wb") as file:
        write(file, *arrays, **named)


class Labels:
    """What holds an array, as the columns of a data frame do."""

    def __init__(self, held: AnyArray) -> None:
        self.held = held

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> AnyArray:
        return self.held if dtype is None else self.held.astype(dtype)


MIXED: Any = np.array([None, "a"])
FOREIGN: dict[str, tuple[Callable[[Path], object], str]] = {
    "savez": (lambda path: as_npz(np.savez, path, W=np.ones(2), classes=np.array(["a"])), "dict(np.load("),
    "savez_compressed": (lambda path: as_npz(np.savez_compressed, path, np.ones(2), np.ones(3)), "dict(np.load("),
    "savez of objects": (lambda path: as_npz(np.savez, path, a=np.ones(1), b=MIXED), "allow_pickle=True"),
    "compressed objects": (lambda path: as_npz(np.savez_compressed, path, a=MIXED), "allow_pickle=True"),
    "save": (lambda path: as_npz(np.save, path, np.ones(2)), "np.load("),
    "save of objects": (lambda path: as_npz(np.save, path, MIXED), "allow_pickle=True"),
}


@pytest.mark.parametrize("maker", FOREIGN)
def test_a_file_of_somebody_elses_is_told_its_way_in(tmp_path: Path, maker: str) -> None:
    write, call = FOREIGN[maker]
    path = tmp_path / "it's theirs"
    write(path)
    with pytest.raises(ValueError, match=r"got a file without its seal, as .* makes? them \(to read it: ") as caught:
        load(path)
    line = str(caught.value).partition("(to read it: ")[2].removesuffix(")").removesuffix(", if you trust it")
    assert repr(str(path)) in line and call in line
    eval(line, {"np": np})
    if "dict" in call and not maker.endswith("objects"):
        save(path, eval(line, {"np": np}))
        load(path)


@pytest.mark.parametrize(
    "values",
    [{"a": {"W": 1, 2: 2}, "b": np.ones(1)}, {"it's": {"'": {"W": 1}}}],
)
def test_nested_values_are_told_their_flat_form(tmp_path: Path, values: dict[str, Any]) -> None:
    flat = dict(values)
    for _ in range(3):
        try:
            save(tmp_path / "file", flat)
            break
        except (TypeError, ValueError) as error:
            name = next(name for name, value in flat.items() if not isinstance(value, np.ndarray))
            more = eval(str(error).partition("in its place give ")[2].rpartition("), got")[0], {"values": flat})
            del flat[name]
            flat |= more
    assert len(load(tmp_path / "file")) >= len(values)


@pytest.mark.parametrize(
    "names",
    [
        np.array(["a", "bc"], object),
        np.array(["a"], np.dtypes.StringDType()),
        Labels(np.array(["a"], object)),
    ],
)
def test_objects_that_are_text_are_told_how_to_become_it(tmp_path: Path, names: Any) -> None:
    values = {"names": names}
    with pytest.raises(TypeError, match="convert with") as caught:
        save(tmp_path / "file", values)
    line = str(caught.value).partition("convert with ")[2].rpartition("), got")[0]
    save(tmp_path / "file", {"names": eval(line, {"np": np, "values": values})})
    assert load(tmp_path / "file")["names"].tolist() == np.asarray(names).tolist()


def test_text_may_be_in_whatever_becomes_an_array(tmp_path: Path) -> None:
    save(tmp_path / "file", {"a": bad(Labels(np.array(["a", "b"]))), "b": np.char.array(["c"]), "c": bad([["d"], ["e"]])})
    assert {name: array.tolist() for name, array in load(tmp_path / "file").items()} == {
        "a": ["a", "b"], "b": ["c"], "c": [["d"], ["e"]],
    }  # fmt: skip


# CPython itself closes a file that an interrupt keeps from being closed, and warns.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_any_point_leaves_one_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = {"a": np.zeros(3)}, {"a": np.ones(3)}

    def interrupted(after: int, failing: bool) -> bool:
        """Save with an interrupt after so many instructions; say whether it came."""
        left = [after]

        def trace(frame: Any, event: str, arg: object) -> Any:
            if not frame.f_code.co_filename.endswith("files.py") or frame.f_code.co_name == "_packed":
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                left[0] -= 1
                if left[0] == 0:
                    raise KeyboardInterrupt
            return trace

        before = sys.gettrace()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda descriptor: os.close(10**6) if failing else None)
            sys.settrace(trace)
            try:
                save(tmp_path / "file", new)
            except KeyboardInterrupt:
                return True
            except OSError:
                return False
            finally:
                sys.settrace(before)
        return False

    data = written(tmp_path, old)
    for failing in (False, True):
        after = 1
        while True:
            (tmp_path / "file").write_bytes(data)
            came = interrupted(after, failing)
            assert [path.name for path in tmp_path.iterdir()] == ["file"], (after, failing)
            assert load(tmp_path / "file")["a"].tolist() in ([0.0] * 3, [1.0] * 3)
            if not came:
                break
            after += 1
        assert after > 100


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = written(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="must be writable, got No space left on device") as caught:
        save(tmp_path / "file", {"a": np.zeros(3)})
    assert caught.value.errno == 28
    assert (tmp_path / "file").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# Damage


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    data = written(tmp_path)
    draw = random.Random(0)
    for place in range(len(data)):
        others = [value for value in range(256) if value != data[place]]
        for value in others if LONG else draw.sample(others, 9):
            refused(tmp_path, data[:place] + bytes([value]) + data[place + 1 :])


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    data = written(tmp_path)
    for length in range(len(data)):
        refused(tmp_path, data[:length])
    refused(tmp_path, data + b"\0")


def test_random_damage_is_noticed(tmp_path: Path) -> None:
    data = written(tmp_path)
    draw = random.Random(1)
    for _ in range(2000):
        changed = bytearray(data)
        for _ in range(draw.randint(2, 40)):
            changed[draw.randrange(len(data))] = draw.randrange(256)
        if changed != data:
            refused(tmp_path, bytes(changed))


# Files made to harm, sealed as well as the library seals


SEAL_SIZE = len(b"nnfunc checkpoint 1 sha256 ") + 64


def seal(body: bytes) -> bytes:
    """Return what a checkpoint ends in, as anybody can make it who means harm."""
    return b"nnfunc checkpoint 1 sha256 " + hashlib.sha256(body).hexdigest().encode()


def sealed_archive(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch, zipfile.ZipFile(out, "w", compression) as archive:
        patch.setattr("warnings.warn", lambda *a, **k: None)  # zipfile warns of names that stand twice
        archive.comment = b" " * SEAL_SIZE
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    body = out.getvalue()[: -SEAL_SIZE]
    return body + seal(body)


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def described(dtype: str, shape: str) -> str:
    return f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"


def npy_of(dtype: str, shape: tuple[int, ...], data: bytes = b"") -> bytes:
    """Return an npy member as NumPy writes it, whatever its data."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": dtype, "fortran_order": False, "shape": shape})
    return out.getvalue() + data


def header(arrays: dict[str, Any], **changed: Any) -> tuple[str, bytes]:
    return "nnfunc.json", json.dumps({"format": 1, "nnfunc": "0", "numpy": "2", "arrays": arrays, **changed}).encode()


PICKLED = pickle.dumps(np.array([{"a": 1}], dtype=object))
GOOD = npy_of("<f4", (2,), bytes(8))
ONE = {"a": ["<f4", [2]]}
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "an empty file"),
    "text": (lambda: b"hello" * 100, "a file without its seal"),
    "pickle": (lambda: PICKLED, "a file without its seal"),
    "a newer format": (lambda: sealed_archive([header(ONE), ("a.npy", GOOD)])[:-73] + b"2 sha256 " + b"0" * 64, "format '2'"),
    "no archive": (lambda: b"x" * 50 + seal(b"x" * 50), "BadZipFile"),
    "zip bomb": (lambda: sealed_archive([header(ONE), ("a.npy", bytes(10**7))], zipfile.ZIP_DEFLATED), "claims to hold more"),
    "compressed": (lambda: sealed_archive([header(ONE), ("a.npy", os.urandom(500))], zipfile.ZIP_LZMA), "compressed"),
    "no header": (lambda: sealed_archive([("a.npy", GOOD)]), "without a header"),
    "no members": (lambda: sealed_archive([]), "without a header"),
    "a name twice": (lambda: sealed_archive([header(ONE), ("a.npy", GOOD), ("a.npy", GOOD)]), "a name twice"),
    "another name": (lambda: sealed_archive([header(ONE), ("b.npy", GOOD)]), "other arrays than the header says"),
    "path traversal": (lambda: sealed_archive([header({"../a": ["<f4", [2]]}), ("../a.npy", GOOD)]), "taken for a path"),
    "absolute path": (lambda: sealed_archive([header({"/a": ["<f4", [2]]}), ("/a.npy", GOOD)]), "taken for a path"),
    "header of another kind": (lambda: sealed_archive([("nnfunc.json", b"[1]")]), "a header of another kind"),
    "header no JSON": (lambda: sealed_archive([("nnfunc.json", b"{")]), "JSONDecodeError"),
    "header nested deep": (lambda: sealed_archive([("nnfunc.json", b"[" * 10**5)]), "RecursionError"),
    "pickled member": (
        lambda: sealed_archive([header({"a": ["|O", [1]]}), ("a.npy", npy(described("|O", "(1,)"), PICKLED))]),
        "an array of object",
    ),
    "claims a terabyte": (
        lambda: sealed_archive([header({"a": ["<f8", [10**12]]}), ("a.npy", npy_of("<f8", (10**12,)))]),
        "0 bytes for an array",
    ),
    "a shape that wraps around": (
        lambda: sealed_archive([header({"a": ["<f8", [2**32, 2**32]]}), ("a.npy", npy_of("<f8", (2**32, 2**32)))]),
        "0 bytes for an array",
    ),
    "a negative shape": (
        lambda: sealed_archive([header({"a": ["<f4", [-1, -2]]}), ("a.npy", npy_of("<f4", (-1, -2), bytes(8)))]),
        "an array of float32 and shape",
    ),
    "code in the npy header": (
        lambda: sealed_archive([header(ONE), ("a.npy", npy("__import__('os').abort()"))]),
        "another array than",
    ),
    "an oversized npy header": (
        lambda: sealed_archive([header(ONE), ("a.npy", GOOD[:10] + b" " * 50_000 + GOOD[10:])]),
        "another array than",
    ),
    "numbers of Python 2": (
        lambda: sealed_archive([header(ONE), ("a.npy", npy(described("<f4", "(2L,)"), bytes(8)))]),
        "another array than",
    ),
    "another shape than the header": (
        lambda: sealed_archive([header({"a": ["<f4", [3]]}), ("a.npy", GOOD)]),
        "another array than",
    ),
    "text of no characters": (
        lambda: sealed_archive([header({"a": ["<U1", [1]]}), ("a.npy", npy_of("<U1", (1,), b"\xff" * 4))]),
        "text with numbers in it that are no characters",
    ),
    "text of no length": (
        lambda: sealed_archive([header({"a": ["<U0", [1]]}), ("a.npy", npy_of("<U0", (1,)))]),
        "ValueError|another|itemsize",
    ),
    "data too long": (lambda: sealed_archive([header(ONE), ("a.npy", GOOD + b"\0")]), "9 bytes for an array"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_and_cost_no_more_than_their_length(tmp_path: Path, name: str) -> None:
    make, fault = HOSTILE[name]
    data = make()
    (tmp_path / "bad").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"^load: .*bad must be a whole checkpoint that save wrote, got .*({fault})"):
        load(tmp_path / "bad")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * len(data) + 2_000_000


def test_the_seal_of_the_tests_is_that_of_the_library(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(sealed_archive([header(ONE), ("a.npy", GOOD)]))
    assert np.array_equal(load(tmp_path / "good")["a"], np.zeros(2, np.float32))


def test_savers_and_loaders_in_threads_never_meet_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    save(path, {"a": np.zeros(1000)})

    def work(i: int) -> bool:
        for _ in range(15):
            if i % 2:
                save(path, {"a": np.full(1000, float(i))})
            elif len(np.unique(load(path)["a"])) != 1:
                return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(6)))
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_only_plain_files_are_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="save: .*pipe must be a plain file, or none yet, got a device or pipe"):
        save(tmp_path / "pipe", VALUES)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    save(tmp_path / "link", VALUES)
    assert (tmp_path / "link").is_symlink()
    os.chmod(tmp_path / "real", 0o664)
    save(tmp_path / "link", VALUES)
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o664


# Kills


SAVING = """
import sys
import numpy as np
from nnfunc import save
version = 0
while True:
    version += 1
    save(sys.argv[1], {name: np.full(50_000, version, np.float32) for name in "abc"})
    if version == 1:
        print("ready", flush=True)
"""


def test_a_killed_process_leaves_a_whole_file(tmp_path: Path) -> None:
    path, draw = tmp_path / "file", random.Random(2)
    for _ in range(200 if LONG else 6):
        with subprocess.Popen([sys.executable, "-c", SAVING, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(draw.uniform(0, 0.03))
            process.send_signal(signal.SIGKILL)
        arrays: list[AnyArray] = list(load(path).values())
        assert len(arrays) == 3
        assert len({float(value) for array in arrays for value in np.unique(array)}) == 1


def test_training_that_is_killed_again_and_again_ends_in_the_same_bytes(tmp_path: Path) -> None:
    expected, draw, kills = resume.main(tmp_path / "whole", progress=False), random.Random(3), 0
    command = [sys.executable, resume.__file__, str(tmp_path / "cut")]
    for _ in range(30 if LONG else 3):
        (tmp_path / "cut").unlink(missing_ok=True)
        out, starts = b"", 0
        while b"params" not in out:
            starts += 1
            assert starts <= resume.EPOCHS + 2  # each comes an epoch further
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                out = process.stdout.readline()  # of a run that was killed at its very end, all that there is
                time.sleep(draw.uniform(0, 0.15))
                kills += process.poll() is None
                process.send_signal(signal.SIGKILL if draw.random() < 0.8 else signal.SIGCONT)
                out += process.stdout.read()
        assert out.split()[-1].decode() == expected
    assert kills >= (20 if LONG else 1)
