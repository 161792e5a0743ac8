"""Why does the network take this for a 3? Integrated gradients give each pixel its share of the answer.

The shares add up to what the class gains over a blank image, which is printed beside their sum. They also find what
counts: blanking the eight pixels with the largest shares costs far more accuracy than blanking eight others with ink.

    python examples/why_this_digit.py
"""

# %%
import numpy as np
from digits import load_digits
from recipes.integrated_gradients import integrated_gradients

from nnfunc import (
    AnyArray,
    Array,
    accuracy,
    adam,
    current_params,
    finish,
    forward,
    init,
    mlp,
    relu,
    softmax_cross_entropy,
    split_rows,
    train,
)

# %%
NET = mlp([64, 64, 10], relu)
BLANKED = 8


# %%
def blanked(x: Array, scores: Array) -> Array:
    """Return images without the pixels of the highest scores."""
    x = x.copy()
    np.put_along_axis(x, np.argsort(-scores, axis=1)[:, :BLANKED], 0, axis=1)
    return x


def picture(image: Array, shares: Array) -> str:
    """Return the image and its shares side by side: + and - are pixels that speak for and against the class."""
    limit = float(np.abs(shares).max()) / 4
    lines = []
    for pixels, row in zip(image.reshape(8, 8), shares.reshape(8, 8), strict=True):
        ink = "".join(" .:#@"[round(4 * float(value))] * 2 for value in pixels)
        lines.append(f"  {ink}  " + "".join("++" if s > limit else "--" if s < -limit else " ." for s in row))
    return "\n".join(lines)


# %%
def main() -> tuple[float, dict[str, float]]:
    """Print one digit explained, and return the largest gap of a sum of shares, and accuracies with pixels blanked."""
    x, y = load_digits()
    rows, held = split_rows(0, len(x), 0.2, labels=y)
    run = train(NET, softmax_cross_entropy, init(NET, 0), x[rows], y[rows], epochs=15, lr=3e-3, optimizer=adam())
    state, _ = finish(run)
    params, x, y = current_params(state), x[held], y[held]
    outputs = forward(NET, params, x)
    classes: AnyArray = outputs.argmax(axis=1)
    shares = integrated_gradients(NET, params, x, 0.0, classes)
    gains = (outputs - forward(NET, params, np.zeros((1, 64), np.float32)))[np.arange(len(x)), classes]
    sums: Array = shares.sum(axis=1)

    row = int(np.argmax(y == 3))
    print(f"row {row} is taken for a {classes[row]}; its pixels' shares:\n{picture(x[row], shares[row])}")
    print(f"they add up to {sums[row]:.4f}; the class gains {gains[row]:.4f} over a blank image")
    gap = float(np.abs(sums - gains).max())
    print(f"largest gap over {len(x)} rows: {gap:.4f}")

    chance = np.random.default_rng(0).random(x.shape).astype(np.float32) * (x > 0)
    found = {
        "nothing": accuracy(outputs, y),
        "eight pixels with ink": accuracy(forward(NET, params, blanked(x, chance)), y),
        "the eight largest shares": accuracy(forward(NET, params, blanked(x, shares)), y),
    }
    for name, right in found.items():
        print(f"accuracy with {name} blanked: {right:.1%}")
    return gap, found


# %%
if __name__ == "__main__":
    main()
