"""Read files in MNIST's IDX format, plain or gzipped.

The format: two zero bytes, a byte for the type (8: unsigned byte), a byte for
the number of dimensions, each dimension as a big-endian 32-bit integer, then
the data. Source: LeCun, Cortes & Burges, "The MNIST database".
"""

# %%
import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# %%
_MOST_BYTES = 1 << 30  # 60,000 images of 28 x 28 are 47 MB


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array of unsigned bytes in an IDX file.

    Raises:
        ValueError: the file is missing, truncated, corrupt, or of another kind.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else path.open("rb") as stream:
            start = stream.read(4)
            if len(start) < 4 or start[:3] != b"\0\0\x08":
                raise ValueError(_fault(path, "be an IDX file of unsigned bytes", f"a file that starts with {start!r}"))
            lengths = stream.read(4 * start[3])
            if len(lengths) < 4 * start[3]:
                raise ValueError(_fault(path, "hold a whole header", "a file that ends in it"))
            shape = struct.unpack(f">{start[3]}I", lengths)
            size = math.prod(shape)
            if size > _MOST_BYTES:
                raise ValueError(_fault(path, f"hold at most {_MOST_BYTES} bytes", f"a header that claims {size}"))
            data = stream.read(size + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(_fault(path, "be a whole gzip file", str(error))) from error
    except OSError as error:
        raise ValueError(_fault(path, "be a readable file", error.strerror or str(error))) from error
    if len(data) != size:
        got = f"only {len(data)}" if len(data) < size else "more"
        raise ValueError(_fault(path, f"hold {size} bytes of data, as its header says", got))
    return np.frombuffer(data, np.uint8).reshape(shape)


# %%
def find_pair(directory: Path, part: str) -> tuple[Path, Path] | None:
    """Return the image and label files of a part ("train" or "t10k"), or none if neither is there.

    Raises:
        ValueError: one of the two is missing.
    """
    found = []
    for kind, dims in (("images", 3), ("labels", 1)):
        names = [f"{part}-{kind}{dot}idx{dims}-ubyte{end}" for dot in "-." for end in ("", ".gz")]
        found.append(next((directory / name for name in names if (directory / name).exists()), directory / names[0]))
    images, labels = found
    if not images.exists() and not labels.exists():
        return None
    for path in found:
        if not path.exists():
            raise ValueError(_fault(path, "be there, plain or with .gz", "no such file"))
    return images, labels


def read_pair(images: Path, labels: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images (n, height, width) and their labels (n,), digits from 0 to 9.

    Raises:
        ValueError: a file is not whole, or the two do not belong together.
    """
    x, y = read_idx(images), read_idx(labels)
    if x.ndim != 3 or x.size == 0:
        raise ValueError(_fault(images, "hold images of shape (n, height, width)", str(x.shape)))
    if y.shape != x.shape[:1]:
        raise ValueError(_fault(labels, f"hold {len(x)} labels, one for each image", str(y.shape)))
    if y.max() > 9:
        raise ValueError(_fault(labels, "hold digits from 0 to 9", str(y.max())))
    return x, y


def _fault(path: Path, constraint: str, got: str) -> str:
    return f"read_idx: {path} must {constraint}, got {got}"
