"""Keras: arrays and files in, arrays out, and Keras predicts what the network does; files made to harm are refused."""

import io
import json
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnfunc import (
    Array, Params, activation, batch_norm, calibrate, chain, dense, dropout, elu, embedding, gelu, init, layer_norm,
    leaky_relu, relu, residual, sigmoid, silu, softmax, softplus, tanh,
)  # fmt: skip
from nnfunc.exchange import from_keras, to_keras
from tests.exchange.networks import COUNT, drawn, error
from tests.numeric import bad, same_bits
from tests.samples import BN, NET, P
from tests.sentences import Cases, assert_sentence

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras's own

X: Array = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
ALL = chain(
    dense(4, 6, relu), batch_norm(6, 1e-3), dropout(0.2), dense(6, 5, partial(leaky_relu, negative_slope=0.2)), layer_norm(5, 1e-3),
    activation(partial(leaky_relu, negative_slope=0.3)), dense(5, 5, bias=False), activation(partial(elu, alpha=0.5)), batch_norm(5, 1e-4),
    dense(5, 4, silu), dense(4, 4, tanh), activation(gelu), dense(4, 4, sigmoid), dense(4, 4, softplus), dense(4, 3), activation(relu),
    dense(3, 3, softmax),
)  # fmt: skip


def keras_itself() -> Any:
    """Return Keras on JAX, or skip."""
    pytest.importorskip("jax")
    os.environ.setdefault("KERAS_BACKEND", "jax")
    return pytest.importorskip("keras")


def model_of_all() -> Any:
    """Return the model that `ALL` is of, after a few steps."""
    keras = keras_itself()
    at = keras.layers
    model = keras.Sequential([
        keras.Input((4,)), at.Dense(6, activation="relu", name="named"), at.BatchNormalization(), at.Dropout(0.2),
        at.Dense(5, activation="leaky_relu"), at.LayerNormalization(), at.LeakyReLU(), at.Dense(5, use_bias=False), at.ELU(alpha=0.5),
        at.BatchNormalization(epsilon=1e-4), at.Dense(4, activation="swish"), at.Dense(4, "tanh"), at.Activation("gelu"),
        at.Dense(4, "sigmoid"), at.Dense(4, "softplus"), at.Dense(3), at.ReLU(), at.Dense(3), at.Softmax(),
    ])  # fmt: skip
    model.compile("adam", "mse")
    model.fit(X, np.ones((20, 3)), epochs=2, verbose=0)
    return model


def test_a_model_there_and_back(tmp_path: Path) -> None:
    model = model_of_all()
    pytest.importorskip("h5py")
    expected = np.asarray(model.predict(X, verbose=0))
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    params = from_keras(ALL, model.get_weights())
    assert same_bits(from_keras(ALL, tmp_path / "model.keras"), params)
    assert same_bits(from_keras(ALL, str(tmp_path / "model.weights.h5")), params)
    assert error(expected, ALL, params, X) < 2e-6
    other = calibrate(ALL, {name: a * np.float32(0.9) for name, a in params.items()}, X)
    model.set_weights(to_keras(ALL, other))
    assert error(np.asarray(model.predict(X, verbose=0)), ALL, other, X) < 2e-6
    assert same_bits(from_keras(ALL, model.get_weights()), other)


def test_numbers_that_a_file_holds_are_never_silently_others(tmp_path: Path) -> None:
    model_of_all().save(tmp_path / "model.keras")
    read = partial(from_keras, source=tmp_path / "model.keras")
    parts = [
        dense(4, 6, relu), batch_norm(6, 1e-3), dense(6, 5, partial(leaky_relu, negative_slope=0.2)), layer_norm(5, 1e-3),
        activation(partial(leaky_relu, negative_slope=0.3)), dense(5, 5, bias=False), activation(partial(elu, alpha=0.5)),
        batch_norm(5, 1e-4), dense(5, 4, silu), dense(4, 4, tanh), activation(gelu), dense(4, 4, sigmoid), dense(4, 4, softplus),
        dense(4, 3), activation(relu), dense(3, 3, softmax),
    ]  # fmt: skip
    read(chain(*parts))
    for i, other, wanted, got in (
        (1, batch_norm(6), "batch norm with eps 0.001 at layer 1, as the file has at batch_normalization.*", "batch norm with eps 1e-05"),
        (3, layer_norm(5), "layer norm with eps 0.001 at layer 3, .*", "layer norm with eps 1e-05"),
        (2, dense(6, 5, leaky_relu), "leaky_relu with negative_slope 0.2 at layer 2, .*", "leaky_relu with negative_slope 0.01"),
        (4, activation(leaky_relu), "leaky_relu with negative_slope 0.3 at layer 4, .*", "leaky_relu with negative_slope 0.01"),
        (6, activation(elu), "elu with alpha 0.5 at layer 6, .*", "elu with alpha 1.0"),
        (0, dense(4, 6, tanh), "relu at layer 0, as the file has at named", "tanh"),
        (15, dense(3, 3), "softmax at the end, .*", "nothing"),
        (15, chain(dense(3, 3, softmax), activation(relu)), "nothing at layer 15/1, as the file has at the end", "relu"),
    ):
        call = partial(read, chain(*parts[:i], other, *parts[i + 1 :]))
        assert_sentence(call, ValueError, f"from_keras: net must have {wanted}, got {got}")


def test_other_layers_are_named(tmp_path: Path) -> None:
    keras = keras_itself()
    at = keras.layers
    for i, (layers, names) in enumerate((
        ([keras.Input((6,)), at.Reshape((6, 1)), at.Conv1D(2, 3), at.Flatten(), at.Dense(2)], "conv1d"),
        ([keras.Input((6, 1)), at.LSTM(2), at.Dense(2)], "lstm"),
        ([keras.Input((6,)), keras.Sequential([at.Dense(2)]), at.Dense(2)], "sequential"),
    )):  # fmt: skip
        path = tmp_path / f"{i}.weights.h5"
        keras.Sequential(layers).save_weights(path)
        with pytest.raises(ValueError, match=f"from_keras: source must hold Dense, .* side by side, got {names} as well"):
            from_keras(dense(6, 2), path)


def test_branches_and_codes(tmp_path: Path) -> None:
    keras = keras_itself()
    x = keras.Input((1,))
    h = keras.layers.Flatten()(keras.layers.Embedding(5, 4)(x))
    h = keras.layers.Add()([h, keras.layers.Dense(4, activation="tanh")(h)])
    model = keras.Model(x, keras.layers.Dense(2)(h))
    model.save(tmp_path / "model.keras")
    net = chain(embedding(5, 4), residual(dense(4, 4, tanh)), dense(4, 2))
    params = from_keras(net, model.get_weights())
    with pytest.raises(ValueError, match=r"source must be a model whose layers run one after another .*, got Add add.* after others"):
        from_keras(net, tmp_path / "model.keras")
    codes = np.array([[0.0], [3.0], [4.0]], np.float32)
    assert error(np.asarray(model.predict(codes, verbose=0)), net, params, codes) < 2e-6
    line, once = keras.Input((4,)), keras.layers.Dense(4, activation="relu")
    keras.Model(line, once(once(line))).save(tmp_path / "twice.keras")
    with pytest.raises(ValueError, match="whose layers run one after another"):
        from_keras(dense(4, 4, relu), tmp_path / "twice.keras")
    plain = keras.Model(line, keras.layers.Dense(2)(once(line)))
    plain.save(tmp_path / "plain.keras")
    two = chain(dense(4, 4, relu), dense(4, 2))
    assert same_bits(from_keras(two, tmp_path / "plain.keras"), from_keras(two, plain.get_weights()))


def test_random_networks_there_and_back() -> None:
    for seed in range(COUNT):
        net, params, _ = drawn(seed, np.float64 if seed % 2 else np.float32)
        arrays = to_keras(net, params)
        assert same_bits(from_keras(net, arrays), params), seed
        assert all(a.flags.c_contiguous and a.flags.writeable and a.flags.owndata for a in arrays)
        assert not any(np.shares_memory(a, b) for a, b in zip(arrays, params.values(), strict=True))


# Files made to harm, and files of others


def h5_of(**changed: Any) -> bytes:
    """Return a weights file as Keras writes it for `NET`, with datasets added or replaced by their path."""
    h5py = pytest.importorskip("h5py")
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        arrays = dict(zip(("dense/vars/0", "dense/vars/1", "dense_1/vars/0", "dense_1/vars/1"), P.values(), strict=True))
        for name, array in {**arrays, **changed.get("arrays", {})}.items():
            if array is not None:
                file[f"layers/{name}"] = array
        file.create_group("layers/dropout/vars")
        file["optimizer/vars/0"] = 3
        changed.get("more", lambda file: None)(file)
    return out.getvalue()


def archive_of(weights: bytes, config: bytes | None = None, compression: int = zipfile.ZIP_STORED, **named: bytes) -> bytes:
    layers = [{"class_name": "Dense", "config": {"activation": "relu"}}, {"class_name": "Dense", "config": {"activation": "linear"}}]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps({"config": {"layers": layers}}) if config is None else config)
        archive.writestr("model.weights.h5", weights)
        for name, data in named.items():
            archive.writestr(name, data)
    return out.getvalue()


def huge(file: Any) -> None:
    del file["layers/dense/vars/0"]
    file.create_dataset("layers/dense/vars/0", (10**6, 10**6), "f4", chunks=(1000, 1000), compression="gzip")


def of_the_right_shape_and_text(file: Any) -> None:
    del file["layers/dense/vars/1"]
    file["layers/dense/vars/1"] = ["a", "b", "c"]


def linked(file: Any) -> None:
    import h5py

    del file["layers/dense/vars/1"]
    file["layers/dense/vars/1"] = h5py.ExternalLink("/etc/passwd", "/a")


def linked_group(file: Any) -> None:
    import h5py

    del file["layers/dense"]
    file["layers/dense"] = h5py.SoftLink("/layers/dense_1")


def outside(file: Any) -> None:
    del file["layers/dense/vars/1"]
    file.create_dataset("layers/dense/vars/1", (3,), "f4", external=[("/etc/passwd", 0, 12)])


def circle(file: Any) -> None:
    file["layers/dense/vars/vars"] = file["layers"]


WHOLE = "from_keras: .*file must be a whole .keras or .weights.h5 file of Keras 3, got "
SOURCE = r"from_keras: source"
FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", WHOLE),
    "text": (lambda: b"hello" * 100, WHOLE),
    "cut": (lambda: h5_of()[:1500], WHOLE),
    "another HDF5 file": (lambda: h5_of(more=lambda file: file.pop("layers")), rf"{SOURCE} must be a file of Keras 3 .*, got one of optimizer"),
    "a list of layers that is an array": (
        lambda: h5_of(more=lambda file: (file.pop("layers"), file.create_dataset("layers", (3,), "f4"))), rf"{SOURCE} must be a file of Keras 3",
    ),
    "a layer that is an array": (lambda: h5_of(more=lambda file: file.create_dataset("layers/dense_2", (3,), "f4")), WHOLE),
    "one too few": (lambda: h5_of(arrays={"dense_1/vars/1": None}), rf"{SOURCE} must hold layers/dense_1/vars/1 for out/b \(2,\), got only"),
    "one too many": (lambda: h5_of(arrays={"dense_2/vars/0": P["out/W"]}), rf"{SOURCE} must hold no more than .*, got layers/dense_2/vars/0 "),
    "another shape": (
        lambda: h5_of(arrays={"dense/vars/0": np.ones((3, 4), np.float32)}),
        rf"{SOURCE}\['layers/dense/vars/0'\] must have shape \(4, 3\), as hidden/W has here, got \(3, 4\)",
    ),
    "another dtype": (lambda: h5_of(arrays={"dense/vars/1": np.ones(3, np.float16)}), rf"{SOURCE}\['layers/dense/vars/1'\] must be a float32"),
    "a table of a terabyte": (lambda: h5_of(more=huge), rf"{SOURCE}\['layers/dense/vars/0'\] must have shape"),
    "text of the right shape": (lambda: h5_of(more=of_the_right_shape_and_text), rf"{SOURCE}\['layers/dense/vars/1'\] must be a float32"),
    "a link to another file": (lambda: h5_of(more=linked), rf"{SOURCE} must hold its arrays itself, got 1 elsewhere"),
    "a link to another group": (lambda: h5_of(more=linked_group), rf"{SOURCE} must hold its arrays itself, got dense elsewhere"),
    "an array in another file": (lambda: h5_of(more=outside), rf"{SOURCE} must hold its arrays itself, got 1 elsewhere"),
    "a circle": (lambda: h5_of(more=circle), WHOLE),
    "other layers": (lambda: h5_of(arrays={"conv1d/vars/0": np.ones(3)}), f"{SOURCE} must hold Dense, .*, got conv1d as well"),
    "an archive of others": (lambda: archive_of(b"")[:-30], WHOLE),
    "no weights": (lambda: archive_of(b""), WHOLE),
    "no JSON": (lambda: archive_of(h5_of(), b"{"), WHOLE),
    "no layers": (lambda: archive_of(h5_of(), b"[1]"), WHOLE),
    "JSON nested deep": (lambda: archive_of(h5_of(), b"[" * 10**5), WHOLE),
    "a bomb of weights": (
        lambda: archive_of(bytes(10**8), compression=zipfile.ZIP_DEFLATED),
        rf"{SOURCE} must have a model.weights.h5 of at most [\d,]+ bytes, for a network of this size, got 100,000,000",
    ),
    "a bomb of a configuration": (
        lambda: archive_of(h5_of(), b" " * 10**8, zipfile.ZIP_DEFLATED), rf"{SOURCE} must have a config.json of at most 10,000,000 bytes",
    ),
    "a Lambda": (
        lambda: archive_of(h5_of(), json.dumps({"config": {"layers": [{"class_name": "Lambda", "config": {}}]}}).encode()),
        r"from_keras: source must be a model of layers .* known here \(of others take model.get_weights\(\)\), got a Lambda at Lambda",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_files_that_do_not_fit_are_refused_at_no_great_cost(tmp_path: Path, name: str) -> None:
    pytest.importorskip("h5py")
    make, message = FILES[name]
    data = make()
    (tmp_path / "file").write_bytes(data)
    tracemalloc.start()
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        from_keras(NET, tmp_path / "file")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * len(data) + 40_000_000


def test_the_files_of_the_tests_are_read_if_nothing_is_wrong_with_them(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    for data in (h5_of(), archive_of(h5_of()), archive_of(h5_of(), compression=zipfile.ZIP_DEFLATED)):
        (tmp_path / "file").write_bytes(data)
        assert same_bits(from_keras(NET, tmp_path / "file"), P)


def norm() -> Params:
    return calibrate(BN, init(BN, 0), np.eye(5, 4))


BAD: Cases = {
    "arrays of another number": (
        lambda: from_keras(NET, list(P.values())[:3]), ValueError,
        r"from_keras: source must hold 4 arrays \(hidden/W \(4, 3\), hidden/b \(3,\), out/W \(3, 2\), out/b \(2,\)\), "
        r"got 3 \(\(4, 3\), \(3,\), \(3, 2\)\)",
    ),
    "another shape": (
        lambda: from_keras(NET, [P["hidden/W"].T, *list(P.values())[1:]]), ValueError,
        r"from_keras: source\[0\] must have shape \(4, 3\), as hidden/W has here, got \(3, 4\)",
    ),
    "whole numbers": (lambda: from_keras(dense(1, 1), [[[1]], [0]]), TypeError, r"from_keras: source\[0\] must be a float32 or float64 .*"),
    "a mapping": (lambda: from_keras(NET, bad(P)), TypeError, "from_keras: source must be a sequence of arrays, or a path, got .*"),
    "bytes": (lambda: from_keras(NET, bad(b"a")), TypeError, "from_keras: source must be a sequence of arrays, or a path, got b'a'"),
    "a model": (lambda: from_keras(NET, bad(relu)), TypeError, "from_keras: source must be a sequence of arrays, or a path, got .*"),
    "no statistics": (lambda: to_keras(BN, init(BN, 0)), ValueError, "to_keras: params must hold the statistics of the batch norms .*"),
    "params of another": (lambda: to_keras(NET, norm()), ValueError, "to_keras: params must be those of the network, (?s:.*)"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_in_a_sentence(name: str) -> None:
    assert_sentence(*BAD[name])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    with pytest.raises(FileNotFoundError, match="from_keras: .* must be a file that can be read, got No such file"):
        from_keras(NET, tmp_path / "none")
