"""The measurements by PyTorch: eager, its fused Adam, and torch.compile."""

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workload import (
    ADAM_LR,
    BETA,
    DROPPED,
    F32,
    LIMIT,
    LR,
    PENALTY,
    Ints,
    Training,
    data,
    pieces,
    row_weights,
    weights,
)

torch: Any = importlib.import_module("torch")


class Residual(torch.nn.Module):
    """A layer with a connection around it."""

    def __init__(self, *layers: Any) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(*layers)

    def forward(self, x: Any) -> Any:
        """Return x + f(x)."""
        return x + self.layers(x)


class Own(torch.nn.Module):
    """An activation of a user's own."""

    def forward(self, z: Any) -> Any:
        """Return z / (1 + |z|)."""
        return z / (1 + z.abs())


ACTIVATIONS = {"relu": torch.nn.ReLU, "gelu": torch.nn.GELU, "tanh": torch.nn.Tanh, "own": Own}


def network(sizes: list[int], variant: str = "plain") -> Any:
    """Return a Sequential with the shared start values."""
    layers: list[Any] = []
    start = iter(weights(sizes, variant))
    for kind, f, n_in, n_out in pieces(sizes, variant):
        after = [ACTIVATIONS[f]()] if f else []
        if kind in ("dense", "residual"):
            layer, (W, b) = torch.nn.Linear(n_in, n_out), next(start)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(W.T.copy()))
                layer.bias.copy_(torch.from_numpy(b))
        elif kind == "dropout":
            layer = torch.nn.Dropout(DROPPED)
        else:
            layer = (torch.nn.BatchNorm1d if kind == "batch_norm" else torch.nn.LayerNorm)(n_out)
        layers += [Residual(layer, *after)] if kind == "residual" else [layer, *after]
    return torch.nn.Sequential(*layers)


def training(
    sizes: list[int], n: int, optimizer: str, variant: str = "plain", fused: bool = False, compiled: bool = False
) -> Training:
    """Return a training step."""
    x, y = (torch.from_numpy(a) for a in data(sizes, n))
    net, w = network(sizes, variant), torch.from_numpy(row_weights(n))
    forward = torch.compile(net) if compiled else net
    kind = torch.nn.BCEWithLogitsLoss if sizes[-1] == 1 else torch.nn.CrossEntropyLoss
    weighted, clipped = variant == "row weights", variant == "clipping"
    loss_fn = kind(reduction="none") if weighted else kind()
    matrices = [p for p in net.parameters() if p.ndim > 1] if variant == "L2" else []
    rest = [p for p in net.parameters() if p.ndim < 2 or not matrices]
    groups = [{"params": matrices, "weight_decay": 2 * PENALTY}, {"params": rest}] if matrices else rest
    options: dict[str, Any] = {"fused": True} if fused else {}
    if optimizer == "sgd":
        opt = torch.optim.SGD(groups, lr=LR, momentum=BETA if variant == "momentum" else 0, **options)
    else:
        opt = torch.optim.Adam(groups, lr=ADAM_LR, **options)

    def step() -> float:
        opt.zero_grad()
        value = loss_fn(forward(x), y)
        if weighted:
            value = torch.dot(value, w) / w.sum()
        value.backward()
        if clipped:
            torch.nn.utils.clip_grad_norm_(net.parameters(), LIMIT)
        opt.step()
        return float(value.item())

    def told() -> float:
        return PENALTY * sum(float(p.square().sum()) for p in matrices) + step()

    return step, None, told


def epochs(sizes: list[int], n: int, size: int, optimizer: str, many: int) -> Training:
    """Return some epochs by a loop over tensors, rows as they stand."""
    x, y = (torch.from_numpy(a) for a in data(sizes, n))
    net, loss_fn = network(sizes), torch.nn.BCEWithLogitsLoss() if sizes[-1] == 1 else torch.nn.CrossEntropyLoss()
    adam = optimizer == "adam"

    def run() -> float:
        opt = torch.optim.Adam(net.parameters(), lr=ADAM_LR) if adam else torch.optim.SGD(net.parameters(), lr=LR)
        total = 0.0
        for _ in range(many):
            total = 0.0
            for i in range(0, n, size):
                opt.zero_grad()
                value = loss_fn(net(x[i : i + size]), y[i : i + size])
                value.backward()
                opt.step()
                total += value.item()
        return total / (n // size)

    return run, None, run


def served(sizes: list[int], n: int, variant: str) -> tuple[Any, Any]:
    """Return a network for inference, its statistics those of the rows, and the rows."""
    x, net = torch.from_numpy(data(sizes, n)[0]), network(sizes, variant)
    if variant == "batch norm":
        norms = [layer for layer in net if isinstance(layer, torch.nn.BatchNorm1d)]
        for norm in norms:
            norm.momentum = 1.0
        net(x)
        for norm in norms:
            norm.running_var *= (n - 1) / n
    return net.eval(), x


def inference(sizes: list[int], n: int, variant: str = "plain") -> tuple[Callable[[], F32], None]:
    """Return a prediction of logits."""
    net, x = served(sizes, n, variant)

    def predict() -> F32:
        with torch.inference_mode():
            return np.asarray(net(x).numpy())

    return predict, None


def traced(sizes: list[int], n: int, variant: str = "plain") -> tuple[Callable[[], F32], None]:
    """Return a prediction by a network that is traced, frozen and optimised for inference."""
    net, x = served(sizes, n, variant)
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


def fused(sizes: list[int], n: int, optimizer: str) -> Training:
    """Return a step with the fused optimiser."""
    return training(sizes, n, optimizer, fused=True)


def compiled(sizes: list[int], n: int, optimizer: str) -> Training:
    """Return a step of a compiled network, with the fused optimiser."""
    return training(sizes, n, optimizer, fused=True, compiled=True)
