"""The measurements by PyTorch: eager, its fused Adam, and torch.compile."""

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workload import ADAM_LR, F32, LR, Ints, Step, data, weights

torch: Any = importlib.import_module("torch")


def network(sizes: list[int]) -> Any:
    """Return a Sequential with the shared start values."""
    layers: list[Any] = []
    for i, (W, b) in enumerate(weights(sizes)):
        linear = torch.nn.Linear(*W.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W.T.copy()))
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, torch.nn.ReLU()] if i < len(sizes) - 2 else [linear]
    return torch.nn.Sequential(*layers)


def training(
    sizes: list[int], n: int, optimizer: str, fused: bool = False, compiled: bool = False
) -> tuple[Step, None]:
    """Return a training step."""
    x, y = (torch.from_numpy(a) for a in data(sizes, n))
    net = network(sizes)
    forward = torch.compile(net) if compiled else net
    loss_fn = torch.nn.BCEWithLogitsLoss() if sizes[-1] == 1 else torch.nn.CrossEntropyLoss()
    options = {"fused": True} if fused else {}
    kind, rate = (torch.optim.SGD, LR) if optimizer == "sgd" else (torch.optim.Adam, ADAM_LR)
    opt = kind(net.parameters(), lr=rate, **options)

    def step() -> float:
        opt.zero_grad()
        value = loss_fn(forward(x), y)
        value.backward()
        opt.step()
        return float(value.item())

    return step, None


def inference(sizes: list[int], n: int) -> tuple[Callable[[], F32], None]:
    """Return a prediction of logits."""
    x, net = torch.from_numpy(data(sizes, n)[0]), network(sizes).eval()

    def predict() -> F32:
        with torch.inference_mode():
            return np.asarray(net(x).numpy())

    return predict, None


def traced(sizes: list[int], n: int) -> tuple[Callable[[], F32], None]:
    """Return a prediction by a network that is traced, frozen and optimised for inference."""
    x, net = torch.from_numpy(data(sizes, n)[0]), network(sizes).eval()
    fast = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, x)))

    def predict() -> F32:
        with torch.inference_mode():
            return np.asarray(fast(x).numpy())

    return predict, None


def run_fused(x: F32, y: Ints, x_val: F32, y_val: Ints) -> tuple[float, float]:
    """Train as `run`, with the fused optimiser."""
    return run(x, y, x_val, y_val, fused=True)


def run(x: F32, y: Ints, x_val: F32, y_val: Ints, fused: bool = False) -> tuple[float, float]:
    """Train for ten epochs with a loop over tensors, no DataLoader; return the seconds and the accuracy."""
    started = time.perf_counter()
    torch.manual_seed(0)
    net, loss_fn = network([784, 256, 128, 10]), torch.nn.CrossEntropyLoss()
    opt = torch.optim.Adam(net.parameters(), lr=ADAM_LR, fused=fused)
    tx, ty, vx, vy = (torch.from_numpy(a) for a in (x, y, x_val, y_val))
    right = 0.0
    for _ in range(10):
        order = torch.randperm(len(tx))
        for first in range(0, len(tx), 128):
            rows = order[first : first + 128]
            opt.zero_grad()
            loss_fn(net(tx[rows]), ty[rows]).backward()
            opt.step()
        with torch.inference_mode():
            z = net(vx)
            loss_fn(z, vy).item()
            right = float((z.argmax(1) == vy).float().mean())
    return time.perf_counter() - started, right


def store(sizes: list[int], path: Path) -> None:
    """Write the params to a file."""
    torch.save(network(sizes).state_dict(), path)


def fused(sizes: list[int], n: int, optimizer: str) -> tuple[Step, None]:
    """Return a step with the fused optimiser."""
    return training(sizes, n, optimizer, fused=True)


def compiled(sizes: list[int], n: int, optimizer: str) -> tuple[Step, None]:
    """Return a step of a compiled network, with the fused optimiser."""
    return training(sizes, n, optimizer, fused=True, compiled=True)
