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

from nnfunc import AnyArray, State, adam, freeze, init, load, mlp, mse, save, train
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
}


@pytest.mark.parametrize("name", BAD)
def test_bad_values_and_places_meet_one_clear_sentence(tmp_path: Path, name: str) -> None:
    call, kind, pattern = BAD[name]
    assert_sentence(partial(call, tmp_path), kind, pattern)
    assert not list(tmp_path.iterdir())


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
