"""A file in Python gives what `forward` gives, without nnfunc, and with `numpy=False` without NumPy."""

import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from nnfunc import (
    Array, Params, activation, batch_norm, calibrate, chain, columns, combine, concatenate, dense, elu, embedding, fit_scaler, forward,
    gelu, init, layer_norm, leaky_relu, log_softmax, mlp, relu, residual, sigmoid, silu, softmax, softplus, standardize, tanh,
)  # fmt: skip
from nnfunc.exchange import to_c, to_python
from recipes.branches import product
from tests.exchange.networks import error, plain
from tests.numeric import bad
from tests.samples import CODED, CODED_ROWS, NET, P
from tests.sentences import Cases, assert_sentence


def predictor_of(text: str) -> Callable[[Array], Array]:
    """Return what a file's predict puts out, as an array."""
    space: dict[str, object] = {"__name__": "predict"}
    exec(text, space)
    predict, agrees = space["predict"], space["agrees"]
    assert callable(predict)
    assert callable(agrees)
    assert agrees()

    def outputs(x: Array) -> Array:
        y = predict(x if "np" in space else x.tolist())
        assert ("np" in space) == isinstance(y, np.ndarray)
        found: Array = np.asarray(y) if "np" in space else np.asarray(y, x.dtype)
        return found

    return outputs


@pytest.mark.parametrize("numpy", [True, False])
@pytest.mark.parametrize(("dtype", "most"), [(np.float32, 1.2e-5), (np.float64, 1e-14)])
def test_random_networks_give_what_forward_gives(numpy: bool, dtype: type[np.floating], most: float) -> None:
    for net, params, x in plain(dtype):
        assert error(predictor_of(to_python(net, params, numpy=numpy, x=x))(x), net, params, x) < most


def test_the_comparison_tells_a_wrong_file() -> None:
    text = to_python(NET, P).replace("np.maximum(z, 0)", "z").replace("TOLERANCE = ", "TOLERANCE = 1e9 + ")
    x = np.array([[1, 1, 1, 1], [-1, -1, -1, -1]], np.float32)
    assert error(predictor_of(text)(x), NET, P, x) > 1e-3


@pytest.mark.parametrize("numpy", [True, False])
@pytest.mark.parametrize("f", [
    relu, leaky_relu, partial(leaky_relu, negative_slope=0.2), elu, partial(elu, alpha=0.5), sigmoid, tanh, softmax,
    log_softmax, softplus, silu, gelu,
])  # fmt: skip
def test_activations_are_stable_and_let_nan_through(numpy: bool, f: Callable[[Array], Array]) -> None:
    x = np.array([[-3, -1e-3, 0], [1e-3, 1, 30], [-1e300, 0, 1e300], [1e300] * 3, [-90, -20, -9]])
    predict = predictor_of(to_python(activation(f), {}, numpy=numpy, x=x))
    np.testing.assert_allclose(predict(x), f(x), rtol=1e-13)
    assert np.isnan(predict(np.array([[np.nan, 1, 2]]))[0, 0])


@pytest.mark.parametrize("numpy", [True, False])
def test_a_scaler_in_front(numpy: bool) -> None:
    x: Array = np.random.default_rng(0).normal(size=(6, 4)) * [1, 100, 1e-3, 1] + [1e9, -50, 0, 7]
    x[:, 3] = 7  # a constant column
    scaler = fit_scaler(x)
    y = predictor_of(to_python(NET, P, numpy=numpy, scaler=scaler))(x)
    np.testing.assert_allclose(y, forward(NET, P, standardize(x, scaler)), rtol=2e-5)


def test_a_scaler_says_how_many_columns_there_are_and_may_be_of_a_constant_beyond_float64s_digits() -> None:
    scaler = fit_scaler(np.array([[2**63 - 1, 1, 4], [2**63 - 1, 2, 7]]))
    assert "the outputs of a row of 3" in to_python(UNKNOWN, init(UNKNOWN, 0), scaler=scaler)


@pytest.mark.parametrize("numpy", [True, False])
def test_what_is_no_code_is_refused(numpy: bool) -> None:
    params = init(CODED, 0, np.float64)
    predict = predictor_of(to_python(CODED, params, numpy=numpy, x=CODED_ROWS))
    assert error(predict(CODED_ROWS), CODED, params, CODED_ROWS) < 1e-15
    for value in (-1, 4, 0.5, np.nan):
        rows = CODED_ROWS.copy()
        rows[2, 1] = value
        with pytest.raises(ValueError, match="^codes must be whole numbers from 0 to 3$"):
            predict(rows)


# As a user does


def run(where: Path, text: str, *arguments: str, options: tuple[str, ...] = ()) -> tuple[int, str, str]:
    """Run the file in a process of its own, where nobody can import nnfunc."""
    (where / "predict.py").write_text(text)
    (where / "nnfunc.py").write_text("raise ImportError('nnfunc is not here')\n")
    command = [sys.executable, *options, "predict.py", *arguments]
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("numpy", "options"), [(True, ()), (False, ("-I", "-S"))])
def test_a_file_is_run(tmp_path: Path, dtype: type[np.floating], numpy: bool, options: tuple[str, ...]) -> None:
    net = chain(a=dense(2, 3), n=batch_norm(3), r=residual(chain(layer_norm(3), dense(3, 3, gelu))), out=dense(3, 2, softmax))
    params = calibrate(net, init(net, 0, np.dtype(dtype)), np.eye(5, 2, dtype=dtype))
    text = to_python(net, params, numpy=numpy)
    assert run(tmp_path, text, options=options) == (0, "agrees with nnfunc\n", "")
    code, said, _ = run(tmp_path, text, "0.5", "-1.25", options=options)
    assert code == 0
    np.testing.assert_allclose([*map(float, said.split())], forward(net, params, [[0.5, -1.25]])[0], rtol=1e-5)
    wrong = re.sub(r"OUTPUTS = \[0\.(\d)", lambda found: f"OUTPUTS = [0.{(int(found[1]) + 1) % 10}", text)
    code, said, complaint = run(tmp_path, wrong, options=options)
    assert (code, said) == (1, "")
    assert complaint.startswith("does not agree with nnfunc: got ")
    assert run(tmp_path, text, "0.5", options=options)[::2] == (
        1, "rows must have shape (n, 2), got (1, 1)\n" if numpy else "a row must have 2 numbers, got 1\n"
    )
    assert run(tmp_path, text, "0.5", "x", options=options)[::2] == (1, "could not convert string to float: 'x'\n")


def test_every_bit_of_the_params_is_there() -> None:
    odd = np.array([1 / 3, 5e-324, -0.0, np.finfo(np.float64).max])
    for dtype in (np.float64, np.float32):
        params: Params = {"W": odd.clip(-1, np.finfo(dtype).max / 2)[None].astype(dtype), "b": np.zeros(4, dtype)}
        space: dict[str, dict[str, Array]] = {}
        exec(to_python(dense(1, 4), params, x=[0.5]), space)
        assert space["PARAMS"]["W"].tobytes() == params["W"].tobytes()


def test_names_of_any_kind_stand_in_the_file() -> None:
    net = chain(**{name: dense(1, 1) for name in ('"', "'", "\\", "\"'", '"""', "é\n", "{x}", "scaler")})
    params = init(net, 0, np.float64)
    text = to_python(net, params, scaler={"mean": np.ones(1), "scale": np.full(1, 2.0)})
    assert text.isascii()
    x = np.array([[3.0], [-2.0]])
    assert error(predictor_of(text)(x), net, params, (x - 1) / 2) < 1e-14


def test_the_text_is_readable() -> None:
    net = chain(hidden=dense(2, 3, relu), skip=residual(dense(3, 3, tanh)), out=dense(3, 1))
    text = to_python(net, init(net, 0))
    assert """
    h2 = relu(affine(x, PARAMS["hidden/W"], PARAMS["hidden/b"]))
    h4 = tanh(affine(h2, PARAMS["skip/W"], PARAMS["skip/b"]))
    h5 = add(h2, h4)
    return affine(h5, PARAMS["out/W"], PARAMS["out/b"])
""" in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_same_call_gives_the_same_text_and_another_row_another() -> None:
    assert to_python(NET, P) == to_python(NET, P)
    assert "ROW = [1.0, 2.0, 3.0, 4.0]\n" in to_python(NET, P, x=[[1, 2, 3, 4], [5, 6, 7, 8]])
    assert to_python(NET, P, x=[1, 2, 3, 4]) == to_python(NET, P, x=[[1.0, 2.0, 3.0, 4.0]])


def test_a_size_in_bytes() -> None:
    net = mlp([784, 32, 10])
    assert len(to_python(net, init(net, 0))) < 5.5 * (784 * 32 + 32 + 32 * 10 + 10) + 9 * 784 + 3000


UNKNOWN = chain(concatenate(columns(0, 1), columns(1, 3)), dense(3, 1))
NAN = {**P, "out/b": np.array([0, np.nan], np.float32)}
HUGE = {**P, "out/W": np.full((3, 2), 3e38, np.float32), "hidden/b": np.full(3, 100, np.float32)}
OWN = chain(a=dense(4, 2), mine=combine(product, dense(2, 2), dense(2, 2)))
BOUND = "must be made of the library's own layers and activations, got "
BAD: Cases = {
    "a layer of one's own": (
        partial(to_c, OWN, init(OWN, 0), "net"), ValueError, f"to_c: net {BOUND}product in layer mine",
    ),
    "an activation of one's own": (
        lambda: to_python(dense(1, 1, (np.sin, np.cos)), init(dense(1, 1), 0)), ValueError,
        f"to_python: net {BOUND}sin in it",
    ),
    "params of another network": (
        lambda: to_python(NET, init(dense(4, 2), 0)), ValueError,
        r"to_python: params must belong to a layer of the network \(hidden, out\), got W, b",
    ),
    "params that are none": (lambda: to_python(NET, bad(3)), TypeError, r"to_python: params must be a mapping .*, got 3"),
    "NaN in params": (
        lambda: to_python(NET, NAN), FloatingPointError, r"to_python: out/b must be finite, got nan at \[1\] \(1 of 2 values\)",
    ),
    "outputs beyond the dtype": (
        lambda: to_python(NET, HUGE), FloatingPointError,
        r"to_python: the outputs of the row that is carried must be finite, got inf at \[0\] \(2 of 2 values\)",
    ),
    "no statistics": (
        lambda: to_python(chain(n=batch_norm(2)), init(chain(n=batch_norm(2)), 0)), ValueError,
        r"to_python: params must hold the statistics of layer n \(params = calibrate\(net, params, x\) puts them there\), .*",
    ),
    "no row, and columns of unknown number": (
        lambda: to_python(UNKNOWN, init(UNKNOWN, 0)), ValueError,
        "to_python: x must be a row of inputs, as the network does not say how many it takes, got None",
    ),
    "a row of another width": (
        lambda: to_python(NET, P, x=[1.0, 2.0]), ValueError, r"dense: hidden/x must have shape \(rows, 4\), got \(1, 2\)",
    ),
    "a row with a gap": (
        lambda: to_python(NET, P, x=[1.0, np.nan, 2.0, 3.0]), FloatingPointError,
        r"to_python: x must be finite, got nan at \[1\] \(1 of 4 values\)",
    ),
    "an image": (
        lambda: to_python(NET, P, x=np.ones((1, 2, 2))), ValueError,
        r"to_python: x must be a row \(k,\), or rows \(n, k\), got \(1, 2, 2\)",
    ),
    "a number": (lambda: to_python(NET, P, x=3.0), ValueError, r"to_python: x must hold at least one row, got .*"),
    "a code that is none": (
        lambda: to_python(embedding(3, 1), {"table": np.ones((3, 1))}, x=[3.0]), ValueError,
        "embedding: x must hold whole numbers from 0 to 2, got 3.0 at .*",
    ),
    "another scaler": (
        lambda: to_python(NET, P, scaler=fit_scaler(np.eye(3))), ValueError,
        r"to_python: scaler must have the 4 columns that net takes, got 3",
    ),
    "a row that the scaler was not fitted on": (
        lambda: to_python(UNKNOWN, init(UNKNOWN, 0), scaler=fit_scaler(np.eye(3)), x=[1.0, 2.0]), ValueError,
        r"standardize: x must have the 3 columns that the scaler was fitted on, got \(1, 2\)",
    ),
    "no scaler": (
        lambda: to_python(NET, P, scaler=P), ValueError, r"to_python: scaler must hold 'mean', as fit_scaler makes it, got .*",
    ),
    "a layer's init": (lambda: to_python(bad(NET[0]), P), TypeError, "to_python: net must be .*"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_raises(case: str) -> None:
    assert_sentence(*BAD[case])


def test_advice_works() -> None:
    to_python(UNKNOWN, init(UNKNOWN, 0), x=[1.0, 2.0, 3.0])
