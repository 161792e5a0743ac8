"""The examples do on real data what the gallery says."""

import gzip
import math
import re
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import architectures
import backprop_by_hand
import benchmark
import custom_pieces
import digits
import gradient_checking
import idx
import initialisation
import initialisation_study
import losses_compared
import mini_batches
import mnist
import network
import neuron
import numpy as np
import pytest
import silent_nan
from benchmarks import by_bare, by_nnfunc, by_numpy, child
from benchmarks.workload import EPOCHS, PENALTY, ROWS, VARIANTS, weights
from numpy.typing import NDArray

from tests.sentences import assert_sentence


def test_digits_reach_97_percent(capsys: pytest.CaptureFixture[str]) -> None:
    assert digits.main() >= 0.97
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if re.match(r"epoch +\d+  loss \d\.\d{4}  held-out", line)]) == digits.EPOCHS
    assert re.match(r"mean held-out accuracy over 5 splits: 9[78]\.\d\d%", lines[-1])


# One example for each chapter of the article


def test_the_neuron_and_the_network_of_the_article() -> None:
    assert neuron.main()[:, 0].round(3).tolist() == [0.332, 0.525, 0.769, 0.0]
    hidden, y = network.main()
    assert [round(float(a), 4) for a in (*hidden[0], y[0, 0])] == [0.9526, 0.9526, 0.7216]


def test_losses_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    rows = losses_compared.main()
    assert [row["binary_cross_entropy"] for row in rows] == pytest.approx([-math.log(p) for p in (0.9, 0.5, 0.1, 0.001)])
    assert [row["mse"] for row in rows] == pytest.approx([0.01, 0.25, 0.81, 0.998001])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[-3:]] == ["1000.0", "inf", "1000.0"]


def test_backprop_by_hand_is_grads() -> None:
    assert backprop_by_hand.main() < 1e-15
    assert backprop_by_hand.article() == pytest.approx(np.array([[-0.0448, 0.04032], [-0.0672, 0.06048]]))


def test_gradient_checking_tells_right_from_wrong() -> None:
    right, wrong, quick = gradient_checking.main()
    assert (right["verdict"], wrong["verdict"], quick["verdict"]) == ("right", "wrong", "right")
    assert wrong["worst"].startswith("hidden/")


def test_small_shuffled_batches_learn_faster() -> None:
    found = mini_batches.main()
    assert found["batches of 8"] > found["batches of 128"] > found["batches of 1437"]
    assert found["batches of 32"] > found["batches of 32, sorted and never shuffled"] + 0.2
    assert found["train"] > 0.94


def test_initialisation_does_what_the_article_says() -> None:
    found = initialisation.main()
    assert all(row["variance"] == 0 for row in found["tanh", "zeros"])
    assert found["tanh", "normal(0.01), too small"][5]["variance"] < 1e-10
    assert (found["tanh", "normal(1), too large"][5]["saturated"] or 0) > 0.5
    assert found["relu", "normal(1), too large"][5]["variance"] > 1e6
    first, last = (found["relu", "he_normal"][i]["variance"] for i in (0, 5))
    assert 0.5 < last / first < 2
    assert found["relu", "glorot_uniform"][5]["variance"] < last / 10


def test_outputs_start_as_large_as_targets_by_he_and_smaller_by_glorot(capsys: pytest.CaptureFixture[str]) -> None:
    found = initialisation_study.main(splits=2, depths=(2,), epochs=8)
    he, glorot = (found[2, "digits", scheme] for scheme in ("He", "Glorot uniform"))
    assert he[:, 2].mean() > 0.8 > glorot[:, 2].mean()
    assert min(rows[:, :2].min() for (_, name, _), rows in found.items() if name == "digits") > 85
    assert [line[2:16] for line in capsys.readouterr().out.splitlines()].count("Glorot uniform") == 2


def test_regularised_networks_reach_97_percent() -> None:
    found = architectures.main()
    for name in ("dropout", "batch norm", "layer norm", "residual"):
        assert found[name] >= 0.97, name  # five splits of 360 rows: the last bits of a loss are worth 0.3 points
    assert min(found.values()) > 0.96


def test_custom_pieces_learn(capsys: pytest.CaptureFixture[str]) -> None:
    before, after = custom_pieces.main()
    assert after < 0.02 * before
    assert "are right" in capsys.readouterr().out


def test_the_silent_nan_is_caught_named_and_cured(capsys: pytest.CaptureFixture[str]) -> None:
    without, message, cured = silent_nan.main()
    assert "serves nan" in capsys.readouterr().out
    assert message.startswith("train: the loss mse must be finite")
    assert "input scale: column 5 of x reaches" in message
    assert cured < 0.5 * without


MAKERS = (by_nnfunc.training, by_bare.training)


@pytest.mark.parametrize("row", ["xor", "tiny"])
def test_the_benchmark_measures_the_same_arithmetic(row: str) -> None:
    losses = []
    for make in (by_nnfunc.training, by_numpy.plain):
        step, *_ = make(*ROWS[row], "sgd")
        losses.append([step() for _ in range(5)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0][4] < losses[0][0]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("row", ["xor", "tiny", "seed"])
def test_the_bare_numpy_calls_that_bound_a_step_take_the_same_steps(row: str, optimizer: str) -> None:
    losses = [[step() for _ in range(5)] for step, *_ in (make(*ROWS[row], optimizer) for make in MAKERS)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0][4] < losses[0][0]


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant != "dropout"])
def test_they_train_every_network_of_the_benchmark_alike_and_predict_alike(variant: str) -> None:
    losses = [[step() for _ in range(5)] for step, *_ in (make(*ROWS["tiny"], "sgd", variant) for make in MAKERS)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    ours, bare = (library.inference(*ROWS["tiny"], variant)[0]() for library in (by_nnfunc, by_bare))
    assert bare == pytest.approx(ours, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_network_of_the_benchmark_learns_and_predicts(variant: str) -> None:
    step, _, told = by_nnfunc.training(*ROWS["tiny"], "sgd", variant)
    first, last = step(), [told() for _ in range(20)][-1]
    assert last < first
    z = by_nnfunc.inference(*ROWS["tiny"], variant)[0]()
    assert z.shape == (32, 10) and z.std() > 0.1


def test_what_a_step_of_the_benchmark_changes_shows_in_its_loss() -> None:
    first = {variant: by_nnfunc.training(*ROWS["tiny"], "sgd", variant)[0]() for variant in VARIANTS}
    assert first["clipping"] == first["momentum"] == first["plain"]
    penalty = PENALTY * sum(float(np.square(W).sum()) for W, _ in weights(ROWS["tiny"][0]))
    assert first["L2"] == pytest.approx(first["plain"] + penalty, rel=1e-5)
    assert len(set(first.values())) == len(VARIANTS) - 2


@pytest.mark.parametrize("row", EPOCHS)
def test_the_epochs_of_the_benchmark_are_those_of_a_loop_by_hand(row: str) -> None:
    losses = [[run(), run()] for run, *_ in (make(*EPOCHS[row]) for make in (by_nnfunc.epochs, by_nnfunc.by_hand))]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0][1] < losses[0][0]


def test_the_benchmark_prints_what_it_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(child.rows("A2", "gelu,L2"))[:3] == ["gelu, tiny", "L2, tiny", "gelu, mnist32"]
    table = {"xor": {"nnfunc": [2.0, 1.0], "torch": [3.0], "jax": [1.0], "jax, loss read": [1.5]}}
    benchmark.show(benchmark.shown_steps("A. Step", table), tmp_path / "tables.md")
    assert capsys.readouterr().out.splitlines()[-1].split() == "xor 1.0 3.0 1.0 1.5 3.00 1.50 1.00 1.00".split()
    assert "| xor | 1.0 | 3.0 | 1.0 | 1.5 | 3.00 | 1.50 | 1.00 | 1.00 |" in (tmp_path / "tables.md").read_text()


# IDX files, made by hand


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_digits(directory: Path, part: str, n: int, end: str = "", dot: str = "-") -> None:
    """Write n easy images: a bright row whose place is the digit."""
    labels = (np.arange(n) % 10).astype(np.uint8)
    images = np.random.default_rng(0).integers(0, 60, (n, 28, 28)).astype(np.uint8)
    images[np.arange(n), labels * 2 + 4] = 255
    for kind, array in (("images", images), ("labels", labels)):
        data = idx_bytes(array)
        name = f"{part}-{kind}{dot}idx{array.ndim}-ubyte{end}"
        (directory / name).write_bytes(gzip.compress(data) if end else data)


@pytest.mark.parametrize("end", ["", ".gz"], ids=["plain", "gzip"])
@pytest.mark.parametrize("dot", ["-", "."], ids=["images-idx3", "images.idx3"])
def test_mnist_with_one_file_splits_it(tmp_path: Path, capsys: pytest.CaptureFixture[str], end: str, dot: str) -> None:
    write_digits(tmp_path, "t10k", 400, end, dot)
    assert mnist.run(tmp_path, epochs=3) > 0.9
    out = capsys.readouterr().out
    assert "split 3 of 3: 320 images to train on, 80 held out" in out
    assert re.search(r"epoch  3  loss \d\.\d{4}  accuracy \d+\.\d\d%  [\d,]+ rows/s", out)


def test_mnist_with_both_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_digits(tmp_path, "train", 400)
    write_digits(tmp_path, "t10k", 50, ".gz")
    assert mnist.run(tmp_path, epochs=3) > 0.9
    assert "accuracy on 50 test images" in capsys.readouterr().out


def test_idx_round_trip(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "a").write_bytes(idx_bytes(array))
    (tmp_path / "b").write_bytes(gzip.compress(idx_bytes(array)))
    assert np.array_equal(idx.read_idx(tmp_path / "a"), array)
    assert np.array_equal(idx.read_idx(tmp_path / "b"), array)


WHOLE = idx_bytes(np.zeros((4, 3), np.uint8))
FAULTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "be an IDX file"),
    "another kind": (b"PK\x03\x04 and so on", "be an IDX file"),
    "of floats": (b"\0\0\x0d\x01\0\0\0\1\0\0\0\0", "be an IDX file of unsigned bytes"),
    "ends in the header": (WHOLE[:9], "hold a whole header"),
    "truncated": (WHOLE[:-1], "hold 12 bytes of data, as its header says, got only 11"),
    "too long": (WHOLE + b"\0", "hold 12 bytes of data, as its header says, got more"),
    "claims too much": (WHOLE[:4] + b"\xff" * 8 + WHOLE[12:], "hold at most"),
    "gzip truncated": (gzip.compress(WHOLE)[:-9], "be a whole gzip file"),
    "gzip corrupt": (gzip.compress(WHOLE)[:12] + b"\xff\xff\xff" + gzip.compress(WHOLE)[15:], "be a whole gzip file"),
    "gzip checksum": (gzip.compress(WHOLE)[:-8] + b"\0" * 8, "be a whole gzip file"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faulty_files_get_one_sentence(tmp_path: Path, name: str) -> None:
    data, constraint = FAULTS[name]
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"^read_idx: {re.escape(str(path))} must {constraint}"):
        idx.read_idx(path)


def _nothing(directory: Path) -> None:
    pass


def _labels_missing(directory: Path) -> None:
    write_digits(directory, "t10k", 10)
    (directory / "t10k-labels-idx1-ubyte").unlink()


def _labels_of_another(directory: Path) -> None:
    write_digits(directory, "t10k", 10)
    (directory / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(9, np.uint8)))


def _labels_too_large(directory: Path) -> None:
    write_digits(directory, "t10k", 10)
    (directory / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.full(10, 10, np.uint8)))


def _images_too_small(directory: Path) -> None:
    write_digits(directory, "t10k", 10)
    (directory / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((10, 8, 8), np.uint8)))


FAULTY_DIRECTORIES: dict[str, tuple[Callable[[Path], None], str]] = {
    "nothing in it": (_nothing, "mnist: DIRECTORY must hold train-images-idx3-ubyte or t10k-.*, got .*"),
    "labels missing": (
        _labels_missing,
        "read_idx: .*t10k-labels-idx1-ubyte must be there, plain or with .gz, got no such file",
    ),
    "labels of other images": (
        _labels_of_another,
        r"read_idx: .* must hold 10 labels, one for each image, got \(9,\)",
    ),
    "labels too large": (_labels_too_large, "read_idx: .* must hold digits from 0 to 9, got 10"),
    "images too small": (_images_too_small, r"mnist: .* must hold images of 28 x 28 pixels, got \(8, 8\)"),
}


@pytest.mark.parametrize("name", FAULTY_DIRECTORIES)
def test_faulty_directories_get_one_sentence(tmp_path: Path, name: str) -> None:
    make, pattern = FAULTY_DIRECTORIES[name]
    make(tmp_path)
    assert_sentence(partial(mnist.run, tmp_path, epochs=1), ValueError, pattern)


def test_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mnist: DIRECTORY must be a directory, got"):
        mnist.run(tmp_path / "none", epochs=1)
