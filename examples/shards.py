"""Training whose gradients are computed by shards: in turn, on threads, on processes, on a Dask cluster; the same bytes.

    python examples/shards.py [--dask]

With --dask (`pip install nnfunc[dask]`) a cluster of two workers is started here
and used through the same standard Executor interface as the others.
"""

# %%
import importlib
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from command_line import given
from digits import load_digits
from resume import digest

from nnfunc import (
    accuracy,
    batches,
    fold_in,
    forward,
    init,
    mlp,
    sgd_step,
    sharded_value_and_grads,
    softmax_cross_entropy,
)

# %%
NET = mlp([64, 128, 10])
SHARDS = 4


@contextmanager
def dask_cluster() -> Iterator[Executor]:
    """Start a Dask cluster of two worker processes on this machine, and give its executor."""
    try:
        distributed: Any = importlib.import_module("distributed")
    except ModuleNotFoundError:
        raise ModuleNotFoundError("shards: distributed must be installed: pip install -e '.[dask]'") from None
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with distributed.Client(cluster) as client, client.get_executor() as executor:
            yield executor


# %%
def run(executor: Executor | None, epochs: int = 10) -> str:
    """Train on all digits, each batch in four shards, and return the hash of the params."""
    x, y = load_digits()
    params = init(NET, key=0)
    for epoch in range(epochs):
        for rows in batches(fold_in(0, epoch), len(x), size=128):
            _, g = sharded_value_and_grads(
                NET, softmax_cross_entropy, params, x[rows], y[rows], shards=SHARDS, executor=executor
            )
            params = sgd_step(params, g, lr=0.5)
    print(f"accuracy {accuracy(forward(NET, params, x), y):.2%}, params {digest(params)}", flush=True)
    return digest(params)


# %%
def main(with_dask: bool = False) -> set[str]:
    """Train by each executor and return the hashes, of which there should be one."""
    print("in turn:   ", end=" ")
    found = {run(None)}
    for name, pool in (("threads", ThreadPoolExecutor(4)), ("processes", ProcessPoolExecutor(2))):
        with pool:
            print(f"{name + ':':11}", end=" ")
            found.add(run(pool))
    if with_dask:
        with dask_cluster() as executor:
            print("Dask:      ", end=" ")
            found.add(run(executor))
    print("the same bytes" if len(found) == 1 else "other bytes")
    return found


# %%
if __name__ == "__main__":
    main("--dask" in given())
