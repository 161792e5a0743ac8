"""A training run that can be stopped at any moment and goes on to the same bytes.

    python examples/resume.py [CHECKPOINT]

Stop it with Ctrl-C, or kill it, and start it again: it goes on from the last
whole epoch. However often it is stopped, the last line is the same.
"""

# %%
import hashlib
import sys
from pathlib import Path

from command_line import given
from digits import load_digits

from nnfunc import (
    Params,
    State,
    accuracy,
    adam,
    best_params,
    chain,
    cosine_decay_schedule,
    dense,
    dropout,
    early_stopping,
    forward,
    init,
    load,
    progress_line,
    relu,
    save,
    softmax_cross_entropy,
    split_rows,
    train,
)

# %%
EPOCHS = 30
NET = chain(hidden=dense(64, 128, relu), drop=dropout(0.3), out=dense(128, 10))


# %%
def digest(params: Params) -> str:
    """Return a short hash of the bytes of params."""
    return hashlib.sha256(b"".join(array.tobytes() for array in params.values())).hexdigest()[:16]


# %%
def main(path: Path, progress: bool = True) -> str:
    """Train from the checkpoint, or from the start if there is none; return the hash of the params in the end."""
    x, y = load_digits()
    rows, held = split_rows(0, len(x), 0.2, labels=y)
    state: Params | State = load(path) if path.exists() else init(NET, key=0)
    try:
        for state, report in train(
            NET, softmax_cross_entropy, state, x[rows], y[rows], epochs=EPOCHS, lr=cosine_decay_schedule(3e-3, 1350),
            optimizer=adam(), validation=(x[held], y[held]), stopping=early_stopping(patience=20),
        ):  # fmt: skip
            save(path, state)
            if progress:
                print(progress_line(report), flush=True)
    except KeyboardInterrupt:
        kept = f"{path} holds the last whole epoch" if path.exists() else "no epoch was whole yet"
        sys.exit(f"\nstopped; {kept}, start again to go on")
    params = best_params(state)
    right = accuracy(forward(NET, params, x[held]), y[held])
    print(f"held-out accuracy {right:.2%}, params {digest(params)}")
    return digest(params)


# %%
if __name__ == "__main__":
    main(Path(*given()[:1] or ["digits_run.npz"]))
