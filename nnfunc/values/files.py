"""Files: params, or the state of a whole run, in one file that is always whole.

The file is NumPy's own npz without compression or pickles, readable by plain
``np.load``: a header ``nnfunc.json`` and one array per name. Its last bytes are
a SHA-256 of all before, so a file that was damaged or cut is never taken for
another. `save` writes beside the file, flushes to the disk and renames: at
every instant the path holds the old file or the new one, whatever stops the
process. What `load` reads may come from anybody: nothing in it is executed,
and the memory it takes is some three times the length of the file.
"""

import contextlib
import io
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np

from nnfunc.values.arrays import as_real
from nnfunc.values.checks import describe, problem, require
from nnfunc.values.params import check_names, sealed
from nnfunc.values.types import AnyArray, State
from nnfunc.version import __version__

FileName: TypeAlias = str | os.PathLike[str]

_FORMAT = 1
_HEADER = "nnfunc.json"
_MARK = b"nnfunc checkpoint "
_SEAL_SIZE = len(_MARK) + len(b"1 sha256 ") + 64
_END_SIZE = 22  # of a zip's end record, which the seal follows as the archive's comment
_KINDS = "fiub"
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
        values: a flat mapping of names to arrays of floats, integers or
            booleans; names are parts joined by ``/``, none of them ``..``.

    Raises:
        TypeError: `values` are no mapping of names to such arrays.
        ValueError: a name could be taken for a path elsewhere, or the path is
            that of a device.
        OSError: the file cannot be written, the disk being full, say.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     save(f"{directory}/params.npz", {"W": np.array([1.0, 2.0])})
        ...     dict(load(f"{directory}/params.npz"))
        {'W': array([1., 2.])}
    """
    data, target = _packed(values), _target(path)
    part = target.with_name(f".{target.name[:80]}.{os.getpid()}.{os.urandom(6).hex()}.part")
    try:
        with _in_place_of(target, part) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _sync_directory(target.parent)
    except OSError as error:
        raise type(error)(error.errno, f"save: {path} must be writable, got {error.strerror}") from error


def load(path: FileName) -> State:
    """Return what `save` wrote, frozen, the same bytes under the same names in the same order.

    Raises:
        FileNotFoundError, OSError: the file is not there, or cannot be read.
        ValueError: it is not a whole checkpoint of this format; the message
            names the file and the fault.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     np.savez(f"{directory}/other.npz", W=np.zeros(2))
        ...     try:
        ...         load(f"{directory}/other.npz")
        ...     except ValueError as error:
        ...         print(str(error).partition(" must ")[2])
        be a whole checkpoint that save wrote, got a file without its seal
    """
    try:
        data = Path(_checked_path("load", path)).read_bytes()
    except OSError as error:
        raise type(error)(error.errno, f"load: {path} must be a file that can be read, got {error.strerror}") from error
    try:
        _check_seal(data)
        return sealed(_unpacked(data))
    except MemoryError:
        raise  # of a file that may be good
    except Exception as error:
        # A hostile archive can raise nearly anything on its way through zipfile; all of it means the same.
        fault = str(error) if type(error) is ValueError else f"{type(error).__name__} while reading it: {error}"
        raise ValueError(problem("load", str(path), "be a whole checkpoint that save wrote", fault)) from error


def _checked_path(function: str, path: FileName) -> str:
    """Return a path as a string, if it is one."""
    is_path = isinstance(path, (str, os.PathLike)) and "\0" not in os.fspath(path)
    require(is_path, function, "path", "be a path, as a string or pathlib's", kind=TypeError, value=path)
    return os.fspath(path)


def _target(path: FileName) -> Path:
    """Return the file that a path leads to, links followed; if it is there it must be a plain file."""
    target = Path(os.path.realpath(_checked_path("save", path)))
    strange = target.exists() and not target.is_file() and not target.is_dir()
    require(not strange, "save", str(path), "be a plain file, or none yet", "a device or pipe")
    return target


def _packed(values: State) -> memoryview:
    """Return the bytes of the whole file."""
    check_names("save", "values", values)
    arrays: dict[str, AnyArray] = {}
    for name, value in values.items():
        arrays[name] = as_real("save", f"values[{name!r}]", value, "hold floats, integers or booleans")
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
            return np.array(flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape), order="K")
    raise ValueError(f"another array than the {dtype} of shape {shape} that the header says")


def _is_plain(name: str) -> bool:
    """Say whether a name is made of parts that mean nothing to a file system."""
    parts = name.split("/")
    strange = any(part in ("", ".", "..") or set(part) & {"\\", "\0", ":"} for part in parts)
    return not strange and len(name) <= 1000 and name != _HEADER and name.isprintable()


@contextlib.contextmanager
def _in_place_of(target: Path, part: Path) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `target` in the end; nothing of it is left if anything fails."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(part, flags, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if target.exists() and hasattr(os, "fchmod"):
                os.fchmod(descriptor, target.stat().st_mode & 0o777)
            yield file
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


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
