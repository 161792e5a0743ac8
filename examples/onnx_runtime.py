"""From training to onnxruntime: one file that takes raw pixels and gives the same classes.

The scaler goes into the model, so whoever runs it, in whatever language, needs to know of pixels only. Wants
`pip install -e '.[onnx]' onnxruntime`; PyTorch is timed beside it where it is installed.

    python examples/onnx_runtime.py
"""

# %%
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from digits import load_digits

try:
    import onnx
    import onnxruntime
except ModuleNotFoundError:
    line = "onnx_runtime: onnx and onnxruntime must be installed: pip install -e '.[onnx]' onnxruntime"
    raise ModuleNotFoundError(line) from None

from nnfunc import (
    Array, Params, accuracy, adam, chain, current_params, dense, finish, fit_scaler, forward, init, relu,
    softmax_cross_entropy, split_rows, standardize, train,
)  # fmt: skip
from nnfunc.exchange import to_onnx

# %%
NET = chain(hidden=dense(64, 32, relu), out=dense(32, 10))
Predict = Callable[[Array], Array]


# %%
def by_torch(params: Params, scaler: Params) -> Predict:
    """Return the network in PyTorch, scaler and all."""
    torch = import_module("torch")
    torch.set_num_threads(1)
    w1, b1, w2, b2 = (torch.tensor(params[name]) for name in ("hidden/W", "hidden/b", "out/W", "out/b"))
    mean, scale = (torch.tensor(scaler[name].astype(np.float32)) for name in ("mean", "scale"))

    def predict(x: Array) -> Array:
        with torch.inference_mode():
            hidden = torch.relu(torch.addmm(b1, (torch.from_numpy(x) - mean) / scale, w1))
            y: Array = torch.addmm(b2, hidden, w2).numpy()
        return y

    return predict


def microseconds_a_row(predict: Predict, x: Array) -> float:
    """Return the least of five medians, as others use the machine too."""
    medians = []
    for _ in range(5):
        times = []
        for _ in range(max(20, 2000 // len(x))):
            started = time.perf_counter()
            predict(x)
            times.append(time.perf_counter() - started)
        medians.append(float(np.median(times)))
    return min(medians) * 1e6 / len(x)


# %%
def main() -> tuple[float, int]:
    """Print accuracy, sizes and times; return the held-out accuracy, and how many held-out rows get another class."""
    pixels, y = load_digits()
    pixels = pixels * 16  # as a scanner gives them
    rows, held_out = split_rows(0, len(y), 0.2, labels=y)
    scaler = fit_scaler(pixels[rows])
    x = standardize(pixels[rows], scaler)
    start = init(NET, key=0)
    state, _ = finish(train(NET, softmax_cross_entropy, start, x, y[rows], epochs=20, lr=3e-3, optimizer=adam()))
    params = current_params(state)

    def by_nnfunc(x: Array) -> Array:
        return forward(NET, params, standardize(x, scaler))

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # threads that wait would slow the others down
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "digits.onnx"
        onnx.save(to_onnx(NET, params, scaler=scaler), file)
        session = onnxruntime.InferenceSession(file, options)
        sizes = sum(a.nbytes for a in params.values()), file.stat().st_size

    def by_onnxruntime(x: Array) -> Array:
        found: Array = session.run(None, {"x": x})[0]
        return found

    logits, expected = by_onnxruntime(pixels[held_out]), by_nnfunc(pixels[held_out])
    right, others = accuracy(logits, y[held_out]), int((logits.argmax(axis=1) != expected.argmax(axis=1)).sum())
    print(f"held-out accuracy in onnxruntime {right:.1%}; {others} of {len(held_out)} rows get another class than here")
    print(f"largest difference of logits {np.abs(logits - expected).max() / np.abs(expected).max():.1e} of the largest")
    print(f"params {sizes[0]:,} bytes, file {sizes[1]:,} bytes")
    peers: dict[str, Predict] = {"nnfunc": by_nnfunc, "onnxruntime": by_onnxruntime}
    if find_spec("torch"):
        peers["PyTorch"] = by_torch(params, scaler)
    for n in (1, 32, 1024):
        times = [f"{name} {microseconds_a_row(predict, pixels[:n]):.2f}" for name, predict in peers.items()]
        print(f"microseconds a row, {n:4} at a time: {', '.join(times)}")
    return right, others


# %%
if __name__ == "__main__":
    main()
