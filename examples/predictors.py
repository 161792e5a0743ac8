"""What a prediction of one row costs, by who makes it: nnfunc, the files that it writes, PyTorch, ONNX Runtime.

Each is measured in a process of its own, all in turns; printed are the medians of the rounds, in microseconds a row,
and the bytes of what is shipped. Who is not installed is left out; C wants a compiler.

    python examples/predictors.py [--rounds 5]
"""

# %%
import argparse
import importlib
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from command_line import HERE, given

from nnfunc import Array, Layer, Params, forward, init, mlp, softmax
from nnfunc.exchange import to_c, to_python

# %%
SIZES = [[8, 32, 32, 1], [64, 64, 10], [784, 256, 128, 10]]
WHO = ["nnfunc", "Python with NumPy", "Python alone", "C", "PyTorch", "ONNX Runtime"]
NEEDS = {"PyTorch": ["torch"], "ONNX Runtime": ["onnx", "onnxruntime"]}
TIMER = """
#include <stdio.h>
#include <time.h>
#include "net.h"
int main(void) {
    static float x[NET_INPUTS], y[NET_OUTPUTS];
    double least = 1e9;
    for (int turn = 0; turn < 9; turn++) {
        const clock_t start = clock();
        for (int i = 0; i < REPEATS; i++) {
            x[0] = y[0]; /* so that no prediction can be left out */
            net_predict(x, y);
        }
        const double took = 1e6 * (double)(clock() - start) / CLOCKS_PER_SEC / REPEATS;
        least = took < least ? took : least;
    }
    printf("%g\\n", least);
    return y[0] > 2.0f;
}
"""


def network(sizes: list[int]) -> tuple[Layer, Params, Array]:
    """Return a network, its params and a row."""
    net = mlp(sizes, output=softmax) if sizes[-1] > 1 else mlp(sizes)
    return net, init(net, 0), np.random.default_rng(0).normal(size=(1, sizes[0])).astype(np.float32)


def timed(predict: Callable[[], object]) -> float:
    """Return microseconds a call: the least of nine averages."""
    predict()
    start = time.perf_counter()
    predict()
    repeats = max(1, int(0.02 / (time.perf_counter() - start)))
    found = []
    for _ in range(9):
        start = time.perf_counter()
        for _ in range(repeats):
            predict()
        found.append(1e6 * (time.perf_counter() - start) / repeats)
    return min(found)


# %% Who predicts
def by_c(net: Layer, params: Params) -> tuple[float, int]:
    """Return microseconds a row, and the bytes of machine code and tables, by the compiler at -O2."""
    with tempfile.TemporaryDirectory() as name:
        where = Path(name)
        (where / "net.h").write_text(to_c(net, params, "net"))
        (where / "timer.c").write_text(TIMER)
        (where / "only.c").write_text('#include "net.h"\nvoid f(const float *x, float *y) { net_predict(x, y); }\n')
        repeats = max(10, 20_000_000 // sum(a.size for a in params.values()) // 9)
        built = ["cc", "-std=c99", "-O2", f"-DREPEATS={repeats}"]
        subprocess.run([*built, "-o", "timer", "timer.c", "-lm"], cwd=where, check=True)
        subprocess.run([*built, "-c", "only.c"], cwd=where, check=True)
        took = float(subprocess.run([where / "timer"], capture_output=True, check=False).stdout)
        sizes = subprocess.run(["size", "only.o"], cwd=where, capture_output=True, text=True, check=True).stdout
        return took, int(sizes.splitlines()[1].split()[0])


def by_torch(net: Layer, params: Params, x: Array) -> tuple[float, int]:
    """Return microseconds a row of an eager Sequential, and the bytes of its state."""
    torch = importlib.import_module("torch")
    layers = []
    for i in range(len(params) // 2):
        linear = torch.nn.Linear(*params[f"{i}/W"].shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(params[f"{i}/W"].T.copy()))
            linear.bias.copy_(torch.from_numpy(params[f"{i}/b"].copy()))
        layers += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1], torch.nn.Softmax(1) if params[f"{i}/b"].size > 1 else torch.nn.Identity())
    row = torch.from_numpy(x)
    with torch.inference_mode():
        np.testing.assert_allclose(model(row).numpy(), forward(net, params, x), rtol=1e-4, atol=1e-6)
        return timed(lambda: model(row)), sum(a.nbytes for a in params.values())


def by_onnx(net: Layer, params: Params, x: Array) -> tuple[float, int]:
    """Return microseconds a row of ONNX Runtime, and the bytes of the file."""
    model = importlib.import_module("nnfunc.exchange").to_onnx(net, params).SerializeToString()
    session = importlib.import_module("onnxruntime").InferenceSession(model, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": x})[0], forward(net, params, x), rtol=1e-4, atol=1e-6)
    return timed(lambda: session.run(None, {"x": x})), len(model)


def by_python(net: Layer, params: Params, x: Array, numpy: bool) -> tuple[float, int]:
    """Return microseconds a row of a file's function, and the bytes of the file."""
    text = to_python(net, params, numpy=numpy)
    space: dict[str, object] = {"__name__": "predict"}
    exec(text, space)
    predict = space["predict"]
    assert callable(predict)
    row: object = x if numpy else x.tolist()
    return timed(lambda: predict(row)), len(text)


def cost(who: str, sizes: list[int]) -> tuple[float, int]:
    """Return microseconds a row and bytes, measured in this process."""
    net, params, x = network(sizes)
    if who == "C":
        return by_c(net, params)
    if who == "PyTorch":
        return by_torch(net, params, x)
    if who == "ONNX Runtime":
        return by_onnx(net, params, x)
    if who == "nnfunc":
        return timed(lambda: forward(net, params, x)), sum(a.nbytes for a in params.values())
    return by_python(net, params, x, who == "Python with NumPy")


def there(who: str) -> bool:
    """Say whether somebody can be measured here."""
    if who == "C":
        return all(map(shutil.which, ("cc", "size")))
    return all(importlib.util.find_spec(package) for package in NEEDS.get(who, []))


# %%
def main(rounds: int = 5, sizes: list[list[int]] = SIZES) -> dict[str, list[tuple[float, int]]]:
    """Print a line for each; return microseconds and bytes by who it is, network by network."""
    who = [each for each in WHO if there(each)]
    found: dict[str, list[list[tuple[float, int]]]] = {each: [] for each in who}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for _ in range(rounds):
        for each in who:
            command = [sys.executable, f"{HERE / 'predictors.py'}", "--child", each, "--sizes", json.dumps(sizes)]
            done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
            found[each].append([(took, size) for took, size in json.loads(done.stdout)])
    costs = {
        each: [(statistics.median(took for took, _ in runs), runs[0][1]) for runs in zip(*found[each], strict=True)]
        for each in who
    }
    print(f"{'microseconds a row, bytes':26s}" + "".join(f"{'-'.join(map(str, each)):>22s}" for each in sizes))
    for each in who:
        print(f"{each:26s}" + "".join(f"{took:12,.1f}{size:10,d}" for took, size in costs[each]))
    return costs


# %%
if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", choices=WHO)
    parser.add_argument("--sizes", type=json.loads, default=SIZES)
    arguments = parser.parse_args(given())
    if arguments.child:
        print(json.dumps([cost(arguments.child, sizes) for sizes in arguments.sizes]))
    else:
        main(arguments.rounds, arguments.sizes)
