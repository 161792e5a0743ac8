"""A header in C gives what `forward` gives, compiled as strictly as the compiler can; skipped where there is none."""

import re
import shutil
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from nnfunc import (
    Array, ElementwiseFn, Layer, Params, activation, batch_norm, calibrate, chain, columns, concatenate, dense, dropout, elu, embedding, fit_scaler, forward,
    gelu, init, layer_norm, leaky_relu, log_softmax, relu, residual, sigmoid, silu, softmax, softplus, standardize, tanh,
)  # fmt: skip
from nnfunc.exchange import to_c
from tests.exchange.networks import error, plain
from tests.numeric import bad
from tests.samples import BN, BNP, CODED, CODED_ROWS, NET, P
from tests.sentences import Cases, assert_sentence

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-Wdouble-promotion", "-pedantic"]
CC = shutil.which("cc") or ""
compiled = pytest.mark.skipif(not CC, reason="no C compiler")


def built(where: Path, source: str, *options: str) -> Path:
    """Compile a C file, and return the program."""
    (where / "main.c").write_text(source)
    command = [CC, *STRICT, *options, "-o", "main", "main.c", "-lm"]
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    return where / "main"


def outputs(where: Path, headers: list[str], batches: list[Array], *options: str) -> list[Array]:
    """Return what headers n0, n1, ... put out for a batch each, compiled into one program."""
    kind = "float" if batches[0].dtype == np.float32 else "double"
    source, body = "#include <stdio.h>\n", ""
    for i, (header, x) in enumerate(zip(headers, batches, strict=True)):
        (where / f"n{i}.h").write_text(header)
        numbers = ", ".join("NAN" if np.isnan(v) else float(v).hex() + "f" * (kind == "float") for v in x.ravel())
        source += f'#include "n{i}.h"\nstatic const {kind} x{i}[] = {{{numbers}}};\n'
        body += f"    for (int i = 0; i < {len(x)}; i++) {{\n        {kind} y[N{i}_OUTPUTS];\n"
        body += f"        n{i}_predict(x{i} + i * N{i}_INPUTS, y);\n"
        body += f'        for (int j = 0; j < N{i}_OUTPUTS; j++) printf("%.17g ", (double)y[j]);\n    }}\n    puts("");\n'
    program = built(where, f"{source}int main(void) {{\n{body}    return 0;\n}}\n", *options)
    lines = subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()
    return [np.array(line.split(), x.dtype).reshape(len(x), -1) for line, x in zip(lines, batches, strict=True)]


def one(where: Path, net: Layer, params: Params, x: Array, scaler: Params | None = None) -> Array:
    """Return what the header of one network puts out."""
    return outputs(where, [to_c(net, params, "n0", scaler=scaler, x=x)], [x])[0]


@compiled
@pytest.mark.parametrize(("dtype", "option", "most"), [(np.float32, "-O2", 8e-6), (np.float64, "-O0", 1e-14)])
def test_random_networks_give_what_forward_gives(tmp_path: Path, dtype: type[np.floating], option: str, most: float) -> None:
    cases = plain(dtype)
    headers = [to_c(net, params, f"n{i}", x=x) for i, (net, params, x) in enumerate(cases)]
    found = outputs(tmp_path, headers, [x for _, _, x in cases], option)
    errors = [error(y, *case) for y, case in zip(found, cases, strict=True)]
    assert max(errors) < most  # in float32 forward itself is up to 5e-6 from what it gives in float64
    assert np.quantile(errors, 0.9) < most / 4


@compiled
def test_the_comparison_tells_a_wrong_header(tmp_path: Path) -> None:
    x = np.array([[1, 1, 1, 1], [-1, -1, -1, -1]], np.float32)
    wrong = to_c(NET, P, "n0").replace("n0_relu(h0, 3, h0);", "")
    assert error(outputs(tmp_path, [wrong], [x])[0], NET, P, x) > 1e-3


ACTIVATIONS: list[ElementwiseFn] = [
    relu, leaky_relu, partial(leaky_relu, negative_slope=0.2), elu, partial(elu, alpha=0.5), sigmoid, tanh, softmax,
    log_softmax, softplus, silu, gelu,
]


@compiled
@pytest.mark.parametrize(("dtype", "far"), [(np.float32, 1e4), (np.float64, 1e300)])
def test_activations_are_stable_and_let_nan_through(tmp_path: Path, dtype: type[np.floating], far: float) -> None:
    rows = [[-3, -1e-3, 0], [1e-3, 1, 30], [-far, 0, far], [far, far, far], [-90, -20, -9], [np.nan, 1, 2], [1, np.nan, 2]]
    x = np.array(rows, dtype)
    nets = [activation(f) for f in ACTIVATIONS]
    headers = [to_c(net, {}, f"n{i}", x=x) for i, net in enumerate(nets)]
    if dtype == np.float32:  # a network without params computes in float64 by itself
        nets = [chain(dense(3, 3, bias=False), net) for net in nets]
        headers = [to_c(net, {"0/W": np.eye(3, dtype=dtype)}, f"n{i}") for i, net in enumerate(nets)]
        x = x[:5]  # as NaN times 0 is NaN in every column
    for net, y in zip(nets, outputs(tmp_path, headers, [x] * len(nets)), strict=True):
        expected = forward(net, {"0/W": np.eye(3, dtype=dtype)} if dtype == np.float32 else {}, x)
        np.testing.assert_allclose(y, expected, rtol=1e-5 if dtype == np.float32 else 1e-13, atol=0)


@compiled
def test_buffers_are_used_again_once_their_value_is(tmp_path: Path) -> None:
    inner = chain(dense(8, 8, tanh), residual(chain(layer_norm(8), dense(8, 8, relu))), dense(8, 8))
    net = chain(dense(5, 8), *[residual(inner) for _ in range(6)], concatenate(columns(3, 8), residual(dense(8, 8))), dense(13, 2))
    params, x = init(net, 0, np.float64), np.random.default_rng(0).normal(size=(4, 5))
    assert error(one(tmp_path, net, params, x), net, params, x) < 1e-14
    buffers = re.findall(r"double h\d+\[(\d+)\]", to_c(net, params, "net"))
    assert sorted(map(int, buffers)) == [8, 8, 8, 13]


@compiled
def test_a_scaler_in_front_keeps_the_digits_of_rows_far_from_0(tmp_path: Path) -> None:
    x: Array = (np.random.default_rng(0).normal(size=(6, 4)) * [1, 100, 1e-3, 1] + [1e5, -50, 0, 7]).astype(np.float32)
    x[:, 3] = 7  # a constant column
    scaler = fit_scaler(x)
    assert error(one(tmp_path, NET, P, x, scaler), NET, P, standardize(x, scaler)) < 2e-6


@compiled
def test_codes_beside_numbers_and_a_code_that_is_none(tmp_path: Path) -> None:
    params = init(CODED, 0, np.float64)
    assert error(one(tmp_path, CODED, params, CODED_ROWS), CODED, params, CODED_ROWS) < 1e-14
    table = {"table": np.array([[1.0], [2.0], [3.0]])}
    x = np.array([[0.0, 2.0], [-1.0, 3.0], [np.nan, 1e300]])
    (y,) = outputs(tmp_path, [to_c(embedding(3, 1), table, "n0", x=[0.0, 1.0])], [x])
    np.testing.assert_array_equal(y, [[1, 3], [3, 3], [3, 3]])


@compiled
def test_a_network_that_does_nothing_copies(tmp_path: Path) -> None:
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(one(tmp_path, chain(dropout(0.5)), {}, x), x)


@compiled
@pytest.mark.parametrize("net", [NET, chain(dense(4, 3), batch_norm(3), activation(log_softmax))])
def test_a_header_tries_itself(tmp_path: Path, net: Layer) -> None:
    params = calibrate(net, init(net, 0), np.eye(5, 4))
    text = to_c(net, params, "my_net")
    command = [CC, *STRICT, "-DMY_NET_TEST", "-x", "c", "my_net.h", "-lm", "-o", "main"]

    def tried(source: str) -> tuple[int, str]:
        (tmp_path / "my_net.h").write_text(source)
        subprocess.run(command, cwd=tmp_path, check=True)
        done = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    n = 2 if net is NET else 3
    assert tried(text) == (0, f"{n} of {n} outputs agree with nnfunc\n")
    first = re.search(r"(W\[\d+\] = \{.*\n +)(-?)([\d.])", text)
    assert first
    code, said = tried(text[: first.start(3)] + "9" + text[first.end(3) :])
    assert code == 1, said


def test_names_that_are_alike_in_c_stay_apart() -> None:
    odd = chain(**{"a b": dense(1, 1), "a-b": dense(1, 1), "*": dense(1, 1, bias=False), "é\n": dense(1, 1)})
    text = to_c(odd, init(odd, 0), "net")
    names = re.findall(r"static const float (net\w+)\[", text)
    assert names == ["net_a_b_W", "net_a_b_b", "net_a_b_W_", "net_a_b_b_", "net___W", "net____W", "net____b"]
    assert text.isascii()


def test_the_head_counts_bytes() -> None:
    text = to_c(NET, P, "net")
    assert f"{4 * (4 * 3 + 3 + 3 * 2 + 2)} bytes of constant tables, and 12 of buffers" in text
    assert "#define NET_INPUTS 4\n#define NET_OUTPUTS 2\n" in text


def test_float32_has_nine_digits_and_float64_seventeen() -> None:
    params: Params = {"W": np.array([[1 / 3, 1.0]]), "b": np.zeros(2)}
    assert "0.33333333333333331, 1.0\n" in to_c(dense(1, 2), params, "net")
    floats = {name: a.astype(np.float32) for name, a in params.items()}
    assert "0.333333343f, 1.0f\n" in to_c(dense(1, 2), floats, "net")


IDENTIFIER = r"to_c: name must be a C identifier that begins with a letter, got "
BAD: Cases = {
    "an empty name": (partial(to_c, NET, P, ""), ValueError, IDENTIFIER + "''"),
    "two words": (partial(to_c, NET, P, "my net"), ValueError, IDENTIFIER + "'my net'"),
    "a number first": (partial(to_c, NET, P, "1st"), ValueError, IDENTIFIER + "'1st'"),
    "a reserved name": (partial(to_c, NET, P, "_net"), ValueError, IDENTIFIER + "'_net'"),
    "a Greek name": (partial(to_c, NET, P, "ψ"), ValueError, IDENTIFIER + "'ψ'"),
    "a line's end": (partial(to_c, NET, P, "net\n"), ValueError, IDENTIFIER + r"'net\\n'"),
    "a name of another kind": (partial(to_c, NET, P, bad(None)), TypeError, r"to_c: name must be text, got None"),
    "no statistics": (
        partial(to_c, BN, init(BN, 0), "net"), ValueError,
        r"to_c: params must hold the statistics of layer n \(params = calibrate\(net, params, x\) puts them there\), .*",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_raises(case: str) -> None:
    assert_sentence(*BAD[case])


def test_the_advice_on_statistics_works() -> None:
    to_c(BN, BNP, "net")
