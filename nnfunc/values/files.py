"""Files: params, or the state of a whole run, and the names that go with them, in one file that is always whole.

The file is NumPy's own npz without compression or pickles, readable by plain
``np.load``: a header ``nnfunc.json`` and one array per name. Its last bytes are
a SHA-256 of all before, so a file that was damaged or cut is never taken for
another. `save` writes beside the file, flushes to the disk and renames: at
every instant the path holds the old file or the new one, whatever stops the
process. What `load` reads may come from anybody: nothing in it is executed,
and it takes about three times as much memory as the file is long.
"""

from __future__ import annotations

import contextlib
import errno
import io
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from nnfunc.values.arrays import as_array, as_real
from nnfunc.values.checks import describe, problem, require, shortened
from nnfunc.values.params import check_names, refuse_nested, sealed
from nnfunc.values.types import AnyArray, State
from nnfunc.version import __version__

FileName: TypeAlias = str | os.PathLike[str]

_FORMAT = 1
_HEADER = "nnfunc.json"
_MARK = b"nnfunc checkpoint "
_SEAL_SIZE = len(_MARK) + len(b"1 sha256 ") + 64
_END_SIZE = 22  # of a zip's end record, which the seal follows as the archive's comment
_KINDS = "fiubU"
_LAST_CHARACTER = 0x10FFFF
# A fixed date: the same values make the same bytes.
_DATE = (1980, 1, 1, 0, 0, 0)


def save(path: FileName, values: State) -> None:
    """Write params, or a training state, to one file, all or nothing.

    A file that is there is replaced in one instant, and kept if anything goes
    wrong; any number of threads and processes may save to one path, and the
    last wins. A process that is killed while it writes may leave a hidden file
    ``.NAME.PID.….part`` beside it, which nothing reads.

    Args:
        path: of the file; its directory must be there.
        values: a flat mapping of names to arrays of floats, integers, booleans
            or text; names are parts joined by ``/``, none of them ``..``.

    Raises:
        TypeError: `values` are no mapping of names to such arrays.
        ValueError: a name could be taken for a path elsewhere, or the path is
            that of a device.
        OSError: the file cannot be written, the disk being full, say.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     save(f"{directory}/params.npz", {"W": np.array([1.0, 2.0]), "classes": np.array(["no", "yes"])})
        ...     dict(load(f"{directory}/params.npz"))
        {'W': array([1., 2.]), 'classes': array(['no', 'yes'], dtype='<U3')}
    """
    replace_file("save", path, _packed(values))


def replace_file(function: str, path: FileName, data: memoryview | bytes) -> None:
    """Put data into the file at a path, all or nothing; see `save`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     replace_file("save", f"{directory}/file", b"data")
        ...     Path(f"{directory}/file").read_bytes(), os.listdir(directory)
        (b'data', ['file'])
    """
    name = _checked_path(function, path)
    try:
        target, mode = _target(function, name)
        beginning = os.fsencode(target.name)[:80].decode(errors="ignore")  # it is bytes that a file system counts
        part = target.with_name(f".{beginning}.{os.getpid()}.{os.urandom(6).hex()}.part")
        try:
            try:
                _write(part, data, mode)
                os.replace(part, target)
            finally:
                _remove(part)
            _sync_directory(target.parent)
        finally:
            _remove(part)  # again, as an interrupt may have come in the middle of the first
    except OSError as error:
        raise _told(function, name, "be writable", error) from error


def load(path: FileName) -> State:
    """Return what `save` wrote, frozen, the same bytes under the same names in the same order.

    Raises:
        FileNotFoundError, OSError: the file is not there, or cannot be read.
        ValueError: it is no plain file, or not a whole checkpoint of this
            format; the message names the file and the fault.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     np.savez(f"{directory}/other.npz", W=np.zeros(2))
        ...     try:
        ...         load(f"{directory}/other.npz")
        ...     except ValueError as error:
        ...         print(str(error).partition(" must ")[2].replace(directory, "."))
        be a whole checkpoint that save wrote, got a file without its seal,
        as np.savez makes them (to read it: dict(np.load('./other.npz')))
    """
    with plain_file("load", path) as (name, file):
        size = os.fstat(file.fileno()).st_size
        file.seek(max(size - _SEAL_SIZE, 0))
        data = file.read(_SEAL_SIZE)
        file.seek(0)
        # Without a seal no more is read: the file may be longer than the memory.
        foreign = "" if data.startswith(_MARK) else _foreign(name, file)
        data = data if foreign else file.read(size)
    try:
        if foreign:
            raise ValueError(foreign)
        _check_seal(data)
        return sealed(_unpacked(data))
    except MemoryError:
        raise  # of a file that may be good
    except Exception as error:
        # A hostile archive can raise nearly anything on its way through zipfile; all of it means the same.
        fault = str(error) if type(error) is ValueError else f"{type(error).__name__} while reading it: {error}"
        raise ValueError(problem("load", shown(name), "be a whole checkpoint that save wrote", fault)) from error


@contextlib.contextmanager
def plain_file(function: str, path: FileName) -> Iterator[tuple[str, BinaryIO]]:
    """Open a plain file for reading; gives its name as a string, and the file.

    Example:
        >>> with plain_file("load", "/dev/null"):
        ...     pass
        Traceback (most recent call last):
        ...
        ValueError: load: /dev/null must be a plain file, got a device or pipe
    """
    name = _checked_path(function, path)
    try:
        _check_plain(function, name, os.stat(name).st_mode, "be a plain file")  # before it is opened: a pipe would wait
        with open(name, "rb", opener=_at_once) as file:
            # Which it may have been no longer.
            _check_plain(function, name, os.fstat(file.fileno()).st_mode, "be a plain file")
            yield name, file
    except OSError as error:
        raise _told(function, name, "be a file that can be read", error) from error


def _checked_path(function: str, path: FileName) -> str:
    """Return a path as a string, if it is one that the system can hold."""
    name: object = None
    with contextlib.suppress(Exception):  # of a path of a user's own
        name = os.fspath(path)
    hint = " (os.fsdecode makes one of bytes)" if isinstance(name, bytes) else ""
    if not isinstance(name, str):
        raise TypeError(problem(function, "path", f"be a path, as a string or pathlib's{hint}", describe(path)))
    try:
        sound = b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        sound = False
    require(sound, function, "path", "be made of characters that can be in a file's name", value=name)
    return name


def shown(name: str) -> str:
    """Return a path as it stands in a message.

    Example:
        >>> shown("a.npz"), shown("a\\n")
        ('a.npz', "'a\\\\n'")
    """
    return name if 0 < len(name) <= 200 and name.isprintable() else shortened(repr(name), 200)


def _told(function: str, name: str, constraint: str, error: OSError) -> OSError:
    """Return an error of the system as one sentence, of the same kind."""
    return OSError(error.errno, problem(function, shown(name), constraint, error.strerror or str(error)))


def _check_plain(function: str, name: str, mode: int, constraint: str) -> None:
    """Raise unless this is the mode of a plain file."""
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    require(stat.S_ISREG(mode), function, shown(name), constraint, "a device or pipe")


def _at_once(name: str, flags: int) -> int:
    """Open a file without waiting for anybody at its other end."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def _target(function: str, name: str) -> tuple[Path, int | None]:
    """Return the file that a path leads to, links followed, and its mode; if it is there it must be a plain file."""
    try:
        # First, as realpath takes minutes for a path that is too long.
        mode = stat.S_IFDIR if name.endswith(("/", os.sep)) else os.stat(name).st_mode
    except FileNotFoundError:
        return Path(os.path.realpath(name)), None
    _check_plain(function, name, mode, "be a plain file, or none yet")
    return Path(os.path.realpath(name)), mode & 0o777


def _foreign(name: str, file: BinaryIO) -> str:
    """Say that a file has no seal, and if it is one of NumPy's, the line that reads it: with pickles for objects."""
    start = file.read(4096)
    maker, line, heads = "np.save", "np.load({})", [start] if start.startswith(b"\x93NUMPY") else []
    if start.startswith(b"PK"):
        maker, line, heads = "np.savez", "dict(np.load({}))", _heads(file)
    fault = "a file without its seal" if start else "an empty file"
    if not heads:
        return fault
    path, objects = repr(name) if len(name) <= 120 else "path", any(b"'|O'" in head for head in heads)
    read = f"{line.format(f'{path}, allow_pickle=True')}, if you trust it" if objects else line.format(path)
    return f"{fault}, as {maker} makes them (to read it: {read})"


def _heads(file: BinaryIO) -> list[bytes]:
    """Return the beginnings of what an archive of arrays holds, and nothing of any other archive."""
    import zipfile

    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            plain = all(m.filename.endswith(".npy") and m.compress_type in (0, zipfile.ZIP_DEFLATED) for m in members)
            return [archive.open(member).read(256) for member in members] if plain else []
    except Exception:  # cut, or made to harm
        return []


def _packed(values: State) -> memoryview:
    """Return the bytes of the whole file."""
    check_names("save", "values", values)
    refuse_nested("save", "values", values)
    arrays: dict[str, AnyArray] = {}
    for name, value in values.items():
        arrays[name] = _storable(name, value)
        parts = "have names of at most 1000 characters whose parts are not empty, '.' or '..', without \\, : or NUL"
        require(_is_plain(name), "save", "values", parts, value=name)
    import json  # with zipfile and hashlib 13 ms, which a process without files need not spend
    import zipfile

    header = {
        "format": _FORMAT,
        "nnfunc": __version__,
        "numpy": np.__version__,
        "arrays": {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()},
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = b" " * _SEAL_SIZE
        archive.writestr(zipfile.ZipInfo(_HEADER, _DATE), json.dumps(header))
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _DATE), member.getbuffer())
    data = out.getbuffer()
    data[-_SEAL_SIZE:] = _seal(data[:-_SEAL_SIZE])
    return data


def _storable(name: str, value: ArrayLike) -> AnyArray:
    """Return a value as an array of numbers or text."""
    argument = f"values[{shortened(name, 100)!r}]"
    array = _as_text(value)
    if array is not None:
        require(_is_text(array), "save", argument, "hold text", "numbers that are no characters")
        return array
    hint = "hold floats, integers, booleans or text"
    kind = as_array("save", argument, value).dtype.kind
    if kind in "OT" and hasattr(value, "__array__") and all(type(each) is str for each in np.asarray(value).flat):
        hint += f" (convert with np.array(values[{name!r}]{'.tolist()' * (kind == 'T')}, dtype=str))"
    return as_real("save", argument, value, hint)


def _as_text(value: ArrayLike) -> AnyArray | None:
    """Return text, or lists of nothing but text, as an array."""
    with contextlib.suppress(ValueError):
        array: AnyArray = np.asarray(value)
        if hasattr(value, "__array__"):
            return array if array.dtype.kind == "U" and not hasattr(value, "mask") else None
        # Of text beside numbers NumPy makes text.
        if array.dtype.kind == "U" and all(isinstance(each, str) for each in np.asarray(value, dtype=object).flat):
            return array
    return None


def _is_text(array: AnyArray) -> bool:
    """Say whether every number in an array of text is that of a character."""
    if array.size == 0:
        return True
    codes = np.ascontiguousarray(array).reshape(-1).view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
    return int(codes.max()) <= _LAST_CHARACTER


def _seal(body: bytes | memoryview) -> bytes:
    """Return the seal of all that comes before it."""
    import hashlib

    return _MARK + f"{_FORMAT} sha256 {hashlib.sha256(body).hexdigest()}".encode()


def _check_seal(data: bytes) -> None:
    """Raise ValueError unless the file ends in the seal of all that comes before."""
    body, seal = memoryview(data)[:-_SEAL_SIZE], data[-_SEAL_SIZE:]
    if not seal.startswith(_MARK) or len(body) < _END_SIZE:
        raise ValueError("a file without its seal" if data else "an empty file")
    version = seal[len(_MARK) :].split(b" ")[0].decode("ascii", "replace")
    if version != str(_FORMAT):
        raise ValueError(f"format {version!r}, where this version reads format {_FORMAT}")
    if seal != _seal(body):
        raise ValueError("a damaged file: its bytes are not those that were sealed")


def _unpacked(data: bytes) -> dict[str, AnyArray]:
    """Return the arrays in the bytes of a whole file."""
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > len(data):
            raise ValueError("an archive that claims to hold more than the file is long")
        if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 for member in members):
            raise ValueError("an archive with compressed or encrypted members")
        names = [member.filename for member in members]
        if names[:1] != [_HEADER] or len(set(names)) != len(names):
            raise ValueError("an archive without a header, or with a name twice")
        described = _described(archive.read(members[0]))
        if names[1:] != [f"{name}.npy" for name in described]:
            raise ValueError("other arrays than the header says")
        return {name: _array(archive.read(f"{name}.npy"), *described[name]) for name in described}


def _described(text: bytes) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return dtype and shape by name, as the header says."""
    import json

    header = json.loads(text)
    if not isinstance(header, dict) or header.get("format") != _FORMAT or not isinstance(header.get("arrays"), dict):
        raise ValueError(f"a header of another kind: {describe(header)}")
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name, entry in header["arrays"].items():
        if not _is_plain(name):
            raise ValueError(f"a name that could be taken for a path: {name!r}")
        dtype, shape = entry
        found[name] = str(dtype), tuple(int(size) for size in shape)
    return found


def _array(data: bytes, dtype: str, shape: tuple[int, ...]) -> AnyArray:
    """Return the array in an npy member, which must begin as the header says it does, and be as long."""
    kind = np.dtype(dtype)
    if kind.kind not in _KINDS or any(size < 0 for size in shape):
        raise ValueError(f"an array of {kind} and shape {shape}")
    for fortran in (False, True):
        # Made here and compared: nothing that a file says of itself is parsed.
        start = io.BytesIO()
        np.lib.format.write_array_header_1_0(start, {"descr": dtype, "fortran_order": fortran, "shape": shape})
        if data.startswith(start.getvalue()):
            rest = memoryview(data)[start.tell() :]
            if len(rest) != kind.itemsize * math.prod(shape):
                raise ValueError(f"{len(rest)} bytes for an array of shape {shape}")
            flat: AnyArray = np.frombuffer(rest, kind)
            if kind.kind == "U" and not _is_text(flat):
                raise ValueError("text with numbers in it that are no characters")
            return np.array(flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape), order="K")
    raise ValueError(f"another array than the {dtype} of shape {shape} that the header says")


def _is_plain(name: str) -> bool:
    """Say whether a name is made of parts that mean nothing to a file system."""
    parts = name.split("/")
    strange = any(part in ("", ".", "..") or set(part) & {"\\", "\0", ":"} for part in parts)
    return not strange and len(name) <= 1000 and name != _HEADER and name.isprintable()


def _write(part: Path, data: memoryview | bytes, mode: int | None) -> None:
    """Write a new file to the disk, with the mode of the one whose place it will take."""
    with open(part, "xb") as file:
        if mode is not None and hasattr(os, "fchmod"):
            os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _remove(part: Path) -> None:
    """Remove a file if it is there."""
    with contextlib.suppress(OSError):
        part.unlink()


def _sync_directory(directory: Path) -> None:
    """Flush a rename to the disk, where the system lets directories be opened."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
