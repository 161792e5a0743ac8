"""Reinforcement learning by a policy gradient: a pole learns to stand on a cart within a second or two.

The environment is a pure function of states and actions, for many games at once. The loss of REINFORCE is no mean over
targets, so its gradient goes backwards through `vjp`: with respect to the logits it is (probabilities - one hot action) times
how much better a game went on than the others of its batch at the same time (the baseline).

    python examples/policy_gradient.py
"""

# %%
import time

import numpy as np
from numpy.typing import NDArray

from nnfunc import (
    AnyArray,
    Array,
    Key,
    Layer,
    Params,
    adam,
    chain,
    dense,
    fold_in,
    forward,
    generator,
    init,
    one_hot,
    softmax,
    tanh,
    vjp,
)

# %%
GAMES, STEPS, ROUNDS = 32, 200, 40
POLICY = chain(hidden=dense(4, 32, tanh), out=dense(32, 2))
Bools = NDArray[np.bool_]


# %% The pole on its cart
def cart_pole(states: Array, actions: AnyArray) -> tuple[Array, Bools]:
    """Push carts to the left (0) or right (1) for 20 ms; return the new states and which poles still stand.

    A state is position, velocity, angle and angular velocity. Cart 1 kg, pole 0.1 kg and 1 m, force 10 N.

    Reference:
        Barto, Sutton and Anderson 1983, without friction; Florian 2007, equations 23 and 24.
    """
    x, v, a, w = states.T
    push = (np.where(actions == 1, 10.0, -10.0) + 0.05 * w**2 * np.sin(a)) / 1.1
    angular = (9.8 * np.sin(a) - np.cos(a) * push) / (0.5 * (4 / 3 - 0.1 * np.cos(a) ** 2 / 1.1))
    linear = push - 0.05 * angular * np.cos(a) / 1.1
    new = states + 0.02 * np.stack([v, linear, w, angular], axis=1)
    return new, (np.abs(new[:, 0]) < 2.4) & (np.abs(new[:, 2]) < np.pi / 15)


def play(params: Params, key: Key) -> tuple[Array, AnyArray, Bools]:
    """Play a batch of games; return states (STEPS, GAMES, 4), actions and where the pole still stood, (STEPS, GAMES)."""
    draw = generator(key)
    states: Array = draw.uniform(-0.05, 0.05, (GAMES, 4))
    standing = np.ones(GAMES, bool)
    seen, taken, stood = [], [], []
    for _ in range(STEPS):
        right = softmax(forward(POLICY, params, states))[:, 1]
        actions = (draw.random(GAMES) < right).astype(int)
        seen.append(states)
        taken.append(actions)
        stood.append(standing)
        states, up = cart_pole(states, actions)
        standing = standing & up
        states = np.where(standing[:, None], states, 0)
    return np.stack(seen), np.stack(taken), np.stack(stood)


# %% The gradient of the expected reward
def policy_grads(net: Layer, params: Params, states: Array, actions: AnyArray, advantages: Array) -> Params:
    """Return the gradient of -mean(advantages * log probability of the actions).

    Reference:
        Williams 1992, equation 4.
    """
    logits, pullback = vjp(net, params, states)
    dlogits = (softmax(logits) - one_hot(actions, logits.shape[1])) * advantages[:, None]
    return pullback(dlogits / len(states))[0]


def advantages_of(stood: Bools) -> Array:
    """Return how many steps a game went on from each, less the mean of the games that still went on then."""
    to_go: Array = np.cumsum(stood[::-1], axis=0)[::-1].astype(float)
    mean = np.sum(to_go * stood, axis=1) / np.maximum(np.sum(stood, axis=1), 1)
    better: Array = to_go - mean[:, None]
    return better / (np.std(better[stood]) + 1e-8)


# %%
def main() -> list[float]:
    """Print how long the pole stood, and return the mean number of steps in each round."""
    params = init(POLICY, key=0, dtype=np.float64)
    optimizer_init, optimizer_step = adam()
    state, lengths, started = optimizer_init(params), [], time.perf_counter()
    for i in range(ROUNDS):
        states, actions, stood = play(params, fold_in(0, i))
        lengths.append(float(stood.sum(axis=0).mean()))
        g = policy_grads(POLICY, params, states[stood], actions[stood], advantages_of(stood)[stood])
        params, state = optimizer_step(params, g, state, 0.02)
        if i % 10 == 0 or i == ROUNDS - 1:
            print(f"round {i:2d}: the pole stood for {lengths[-1]:5.1f} of {STEPS} steps")
    print(f"{ROUNDS * GAMES} games in {time.perf_counter() - started:.1f} s")
    return lengths


# %%
if __name__ == "__main__":
    main()
