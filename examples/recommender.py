"""A recommender with embeddings, and the incident of the silent NaN done right.

Users and items have tastes that nobody wrote down, and beside them there are two features, one in milliseconds. Columns of
codes go to embeddings, columns of features through a scaler that was fitted on training rows. A network that is told who
rates what comes near the noise, below which nothing can go; features alone do not. A code is kept for users that were
never seen, who get what features and items say. A feature that nobody scaled stops the run, and is named.

    python examples/recommender.py
"""

# %%
from functools import partial

import numpy as np
from recipes.branches import product

from nnfunc import (
    Array,
    Layer,
    Params,
    Penalty,
    Rows,
    adam,
    best_params,
    chain,
    clip_by_global_norm,
    columns,
    combine,
    concatenate,
    dense,
    early_stopping,
    embedding,
    finish,
    fit_scaler,
    forward,
    generator,
    init,
    l2,
    mlp,
    mse,
    relu,
    split_rows,
    standardize,
    train,
)

# %%
USERS, ITEMS, NOISE, TABLES = 120, 150, 0.3, 1e-3


def ratings(n: int = 10_000) -> tuple[Array, Array, Array]:
    """Return made-up ratings: codes of user and item (n, 2), features (n, 2), the second in milliseconds, and ratings (n, 1)."""
    draw = generator(0)
    users, items = draw.normal(0, 0.6, (USERS, 4)), draw.normal(0, 0.6, (ITEMS, 4))
    codes = np.stack([draw.integers(0, USERS, n), draw.integers(0, ITEMS, n)], axis=1)
    recency, hours = draw.normal(size=n), draw.gamma(2.0, 0.5, n)
    u, v = users[codes[:, 0]], items[codes[:, 1]]
    liking = np.sum(u[:, :3] * v[:, :3], axis=1) + u[:, 3] + v[:, 3]
    rating = liking + 0.3 * recency + 0.4 * (hours - 1) + draw.normal(0, NOISE, n)
    return codes.astype(float), np.stack([recency, hours * 3_600_000], axis=1), rating[:, None]


# %%
def network(width: int = 6) -> Layer:
    """Return a network of x = user, item, features: the product of two embeddings, a bias for each code, and the features."""
    user, item = chain(columns(0, 1), embedding(USERS + 1, width)), chain(columns(1, 2), embedding(ITEMS + 1, width))
    return chain(
        parts=concatenate(
            taste=combine(product, user=user, item=item),
            user=chain(columns(0, 1), embedding(USERS + 1, 1)),
            item=chain(columns(1, 2), embedding(ITEMS + 1, 1)),
            features=chain(columns(2, 4), dense(2, 8, relu)),
        ),
        out=dense(width + 2 + 8, 1),
    )


# %%
def trained(net: Layer, x: Array, y: Array, validation: tuple[Array, Array], penalty: Penalty | None = None) -> Params:
    """Train until the validation loss gets no better, gradients clipped as a safety net, and return the best params."""
    run = train(
        net, mse, init(net, 0, np.float64), x, y, epochs=40, lr=5e-3, size=64, optimizer=adam(), validation=validation,
        penalty=penalty, transform=partial(clip_by_global_norm, limit=1.0), stopping=early_stopping(patience=4),
    )  # fmt: skip
    return best_params(finish(run)[0])


# %%
def main() -> tuple[dict[str, float], str]:
    """Print and return root mean squared errors on held-out rows by what was known, and what an unscaled feature gives."""
    codes, features, y = ratings()
    new = codes[:, 0] >= USERS - 20  # users that are kept out of training altogether
    fitted, rest = split_rows(0, len(y), 0.3)
    fit, val, held = fitted[~new[fitted]], rest[::2][~new[rest[::2]]], rest[1::2]
    unseen = codes.copy()
    unseen[new, 0] = USERS  # the code of whoever was never seen
    x = np.hstack([unseen, standardize(features, fit_scaler(features[fit]))])

    net, alone = network(), mlp([2, 16, 1])
    params = trained(net, x[fit], y[fit], (x[val], y[val]), l2(TABLES, ["*/table"]))
    params_alone = trained(alone, x[fit, 2:], y[fit], (x[val, 2:], y[val]))

    def error(outputs: Array, rows: Rows) -> float:
        return float(np.sqrt(np.mean((outputs - y[rows]) ** 2)))

    old, fresh = held[~new[held]], held[new[held]]
    found = {
        "the noise": NOISE,
        "users and items": error(forward(net, params, x[old]), old),
        "features alone": error(forward(alone, params_alone, x[old, 2:]), old),
        "users never seen": error(forward(net, params, x[fresh]), fresh),
        "users never seen, features alone": error(forward(alone, params_alone, x[fresh, 2:]), fresh),
    }
    for name, value in found.items():
        print(f"{name}: error {value:.3f}")

    message = ""
    try:
        unscaled = np.hstack([unseen, features])
        finish(train(net, mse, init(net, 0), unscaled[fit].astype(np.float32), y[fit].astype(np.float32), epochs=1, lr=0.05))
    except FloatingPointError as problem:
        message = str(problem)
        print(f"\nColumn 3, the milliseconds, left as it is, under plain gradient descent:\n{message}")
    return found, message


# %%
if __name__ == "__main__":
    main()
