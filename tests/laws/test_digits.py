"""Every activation and loss keeps its digits: values and slopes against arithmetic of 60 digits, over all floats."""

from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import partial

import numpy as np
import pytest

from nnfunc import (
    Activation,
    Array,
    LossFn,
    binary_cross_entropy,
    cross_entropy,
    elu,
    gelu,
    huber,
    leaky_relu,
    log_softmax,
    mae,
    mse,
    poisson_nll,
    quantile_loss,
    relu,
    sigmoid,
    sigmoid_cross_entropy,
    silu,
    softmax,
    softmax_cross_entropy,
    softplus,
    tanh,
)
from nnfunc.pieces.activations import as_pair

ULPS = 6  # of the result; NumPy's own exp and tanh of float32 are allowed two or three
ONE, ZERO, HALF = Decimal(1), Decimal(0), Decimal("0.5")
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803")


def exp(x: Decimal) -> Decimal:
    return ZERO if x < -20000 else x.exp()


def density(z: Decimal) -> Decimal:
    return exp(-z * z / 2) / (2 * PI).sqrt()


def cdf(z: Decimal) -> Decimal:
    """Return Phi(z): its power series near 0, Laplace's continued fraction in the tails."""
    t = abs(z)
    if t < 6:
        term = total = t
        n = 1
        while abs(term) > Decimal("1e-80"):
            n += 2
            term *= t * t / n
            total += term
        tail = HALF - density(t) * total
    else:
        fraction = t
        for n in range(400, 0, -1):
            fraction = t + n / fraction
        tail = density(t) / fraction
    return tail if z < 0 else 1 - tail


def logistic(z: Decimal) -> Decimal:
    return exp(min(z, ZERO)) / (1 + exp(-abs(z)))


def log1p_exp(z: Decimal) -> Decimal:
    e = exp(-abs(z))
    log = e - e * e / 2 if e < Decimal("1e-40") else (1 + e).ln()
    return max(z, ZERO) + log


def log1m(p: Decimal) -> Decimal:
    return -p - p * p / 2 if p < Decimal("1e-30") else (1 - p).ln()


def hyperbolic(z: Decimal) -> Decimal:
    if abs(z) < Decimal("1e-15"):
        return z - z**3 / 3
    return (1 - 2 * logistic(-2 * abs(z))).copy_sign(z)


def below_zero(z: Decimal) -> Decimal:
    return z + z * z / 2 if -Decimal("1e-30") < z < 0 else exp(min(z, ZERO)) - 1


Exact = Callable[[Decimal], Decimal]
Terms = Callable[[Decimal], tuple[Decimal, ...]]
# What an activation is, and the terms of its slope: where two of them cancel, their size is the measure.
ACTIVATIONS: dict[str, tuple[Activation, Exact, Terms]] = {
    "relu": (relu, lambda z: max(z, ZERO), lambda z: (ONE * (z > 0),)),
    "leaky_relu": (
        partial(leaky_relu, negative_slope=0.25), lambda z: max(z, z / 4), lambda z: (ONE if z > 0 else ONE / 4,)
    ),
    "elu": (elu, lambda z: z if z > 0 else below_zero(z), lambda z: (ONE if z > 0 else exp(z),)),
    "sigmoid": (sigmoid, logistic, lambda z: (logistic(z), -logistic(z) ** 2)),
    "tanh": (tanh, hyperbolic, lambda z: (Decimal(1), -hyperbolic(z) ** 2)),
    "softplus": (softplus, log1p_exp, lambda z: (logistic(z),)),
    "silu": (silu, lambda z: z * logistic(z), lambda z: (logistic(z), z * logistic(z), -z * logistic(z) ** 2)),
    "gelu": (gelu, lambda z: z * cdf(z), lambda z: (cdf(z), z * density(z))),
}  # fmt: skip
DTYPES: dict[str, type] = {"float32": np.float32, "float64": np.float64}


@np.errstate(all="ignore")
def points(dtype: type, most: float | None = None) -> Array:
    """Return numbers of both signs: the smallest, the largest, all sizes between, and many where functions bend."""
    ends = np.finfo(dtype)
    sizes = 10.0 ** np.linspace(np.log10(ends.tiny), np.log10(most or float(ends.max) / 2), 40)
    near = np.random.default_rng(0).uniform(0, 45, 60)
    wide = np.random.default_rng(1).uniform(45, 800, 20)
    every = np.concatenate([[0, ends.smallest_subnormal], sizes, near / 45, near, wide])
    both: Array = np.concatenate([every, -every]).astype(dtype)
    return both[np.isfinite(both)]


def ulps(got: Array, exact: list[tuple[Decimal, ...]], magnified: Array | None = None) -> float:
    """Return the largest error, in units of the last place of the sum of all terms' sizes, or of some times as much."""
    ends, worst = np.finfo(got.dtype), 0.0
    largest = Decimal(float(ends.max))
    factors = np.ones(got.size) if magnified is None else magnified
    for value, terms, factor in zip(got.ravel().tolist(), exact, factors.tolist(), strict=True):
        size = sum((abs(term) for term in terms), ZERO)
        if size > largest:
            continue
        # Near -38, a factor of gelu is among the smallest floats, and the other multiplies its rounding.
        unit = Decimal(float(ends.eps) * factor) * size + 8 * Decimal(float(ends.smallest_subnormal))
        worst = max(worst, float(abs(Decimal(value) - sum(terms, ZERO)) / unit) if np.isfinite(value) else np.inf)
    return worst


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_keep_their_digits(name: str, dtype: str) -> None:
    f, exact, slope = ACTIVATIONS[name]
    z = points(DTYPES[dtype])
    value, df = as_pair("test", f)
    # exp(-z^2 / 2) magnifies the rounding of its exponent.
    magnified = 1 + np.clip(z.astype(float), -40, 40) ** 2 / 8 if name == "gelu" else None
    with localcontext() as context, np.errstate(all="raise"):
        context.prec = 60
        numbers = [Decimal(v) for v in z.tolist()]
        got = value(z)
        assert got.dtype == z.dtype
        assert ulps(got, [(exact(v),) for v in numbers], magnified) <= ULPS
        with np.errstate(all="ignore"):
            slopes = df(z)
        assert ulps(slopes, [slope(v) for v in numbers], magnified) <= ULPS


LIMITS: dict[str, tuple[Activation, tuple[float, float], tuple[float, float]]] = {
    "relu": (relu, (0, np.inf), (0, 1)),
    "leaky_relu": (leaky_relu, (-np.inf, np.inf), (0.01, 1)),
    "leaky_relu of no slope": (partial(leaky_relu, negative_slope=0), (0, np.inf), (0, 1)),
    "elu": (partial(elu, alpha=2), (-2, np.inf), (0, 1)),
    "elu of no alpha": (partial(elu, alpha=0), (0, np.inf), (0, 1)),
    "sigmoid": (sigmoid, (0, 1), (0, 0)),
    "tanh": (tanh, (-1, 1), (0, 0)),
    "softplus": (softplus, (0, np.inf), (0, 1)),
    "silu": (silu, (0, np.inf), (0, 1)),
    "gelu": (gelu, (0, np.inf), (0, 1)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LIMITS)
def test_limits_at_the_infinities(name: str, dtype: str) -> None:
    f, expected, slopes = LIMITS[name]
    value, df = as_pair("test", f)
    ends: Array = np.array([-np.inf, np.inf], DTYPES[dtype])
    with np.errstate(all="raise"):
        got = value(ends)
    with np.errstate(all="ignore"):
        assert (got.tolist(), df(ends).tolist()) == (list(expected), pytest.approx(slopes))
        assert np.isnan(value(ends * 0)).all()
        assert np.isnan(df(ends * 0)).all() or name.startswith(("relu", "leaky"))


def two(z: Array) -> Array:
    """Return rows of two logits, the second 0."""
    return np.stack([z, np.zeros_like(z)], axis=1)


def test_softmax_of_two_is_sigmoid() -> None:
    with localcontext() as context, np.errstate(all="raise"):
        context.prec = 60
        for dtype in DTYPES.values():
            z = points(dtype)
            numbers = [Decimal(v) for v in z.tolist()]
            assert ulps(softmax(two(z))[:, 0], [(logistic(v),) for v in numbers]) <= ULPS
            logs = log_softmax(two(z))
            assert ulps(logs[:, 0], [(-log1p_exp(-v),) for v in numbers]) <= ULPS
            assert ulps(logs[:, 1], [(-log1p_exp(v),) for v in numbers]) <= ULPS


ExactLoss = Callable[[Decimal, Decimal], tuple[Decimal, ...]]


def _clipped(e: Decimal, delta: Decimal) -> Decimal:
    return max(-delta, min(delta, e))


def _huber(e: Decimal, delta: Decimal) -> Decimal:
    near = min(abs(e), delta)
    return near * (abs(e) - near / 2)


# Each loss of outputs and targets in one column, its terms and those of its slope.
ON_LOGITS: dict[str, tuple[LossFn, ExactLoss, ExactLoss]] = {
    "sigmoid_cross_entropy": (
        sigmoid_cross_entropy,
        lambda z, t: (t * log1p_exp(-z), (1 - t) * log1p_exp(z)),
        lambda z, t: ((1 - t) * logistic(z), -t * logistic(-z)),
    ),
    "pos_weight": (
        partial(sigmoid_cross_entropy, pos_weight=3),
        lambda z, t: (3 * t * log1p_exp(-z), (1 - t) * log1p_exp(z)),
        lambda z, t: ((1 - t) * logistic(z), -3 * t * logistic(-z)),
    ),
    "mse": (mse, lambda z, t: ((z - t) ** 2,), lambda z, t: (2 * z, -2 * t)),
    "mae": (mae, lambda z, t: (abs(z - t),), lambda z, t: (ONE.copy_sign(z - t) if z != t else ZERO,)),
    "huber": (huber, lambda z, t: (_huber(z - t, ONE),), lambda z, t: (_clipped(z - t, ONE),)),
    "huber, wide": (
        partial(huber, delta=1e30), lambda z, t: (_huber(z - t, Decimal(1e30)),), lambda z, t: (_clipped(z - t, Decimal(1e30)),)
    ),
    "huber, narrow": (
        partial(huber, delta=2.0**-60),
        lambda z, t: (_huber(z - t, ONE / 2**60),),
        lambda z, t: (_clipped(z - t, ONE / 2**60),),
    ),
    "midway to a quantile": (
        partial(quantile_loss, levels=0.25),
        lambda z, t: (max((t - z) / 4, (z - t) * 3 / 4),),
        lambda z, t: (Decimal("0.75") if z > t else Decimal("-0.25") if z < t else ZERO,),
    ),
}  # fmt: skip
ON_PROBABILITIES: dict[str, tuple[LossFn, ExactLoss, ExactLoss]] = {
    "binary_cross_entropy": (
        binary_cross_entropy,
        lambda p, t: (-t * p.ln() if t else ZERO, -(1 - t) * log1m(p) if t != 1 else ZERO),
        lambda p, t: ((1 - t) / (1 - p) if t != 1 else ZERO, -t / p if t else ZERO),
    ),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ON_LOGITS)
def test_losses_keep_their_digits(name: str, dtype: str) -> None:
    near_one = 1 - float(np.finfo(DTYPES[dtype]).epsneg)
    targets = [0.0, 1.0] if name[0] in "mh" else [0.0, 1.0, 0.5, 0.3, near_one, 1e-12]
    for target in targets:
        _assert_digits(*ON_LOGITS[name], points(DTYPES[dtype], 1e15), target)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_loss_of_counts_keeps_its_digits(dtype: str) -> None:
    z = points(DTYPES[dtype], 1e4)
    for count in (0.0, 1.0, 17.0):
        _assert_digits(poisson_nll, lambda z, t: (z.exp(), -t * z), lambda z, t: (z.exp(), -t), z[z < 80], count)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ON_PROBABILITIES)
def test_losses_of_probabilities_keep_their_digits(name: str, dtype: str) -> None:
    low = np.geomspace(float(np.finfo(DTYPES[dtype]).tiny) * 4, 0.5, 60)
    p: Array = np.concatenate([low, 1 - low]).astype(DTYPES[dtype])
    for target in (0.0, 1.0, 0.5, 0.3):
        _assert_digits(*ON_PROBABILITIES[name], p[(p < 1) & (p > 0)], target)


def _assert_digits(loss_fn: LossFn, exact: ExactLoss, slope: ExactLoss, z: Array, target: float) -> None:
    t = np.full_like(z, target)
    with localcontext() as context, np.errstate(all="raise"):
        context.prec = 60
        pairs = [(Decimal(v), Decimal(w)) for v, w in zip(z.tolist(), t.tolist(), strict=True)]
        per_example, d = loss_fn(z[:, None], t[:, None])
        assert (per_example.dtype, d.dtype) == (z.dtype, z.dtype)
        # The error e is one rounded number: what is computed from it is held to the last digits of e.
        if loss_fn is not sigmoid_cross_entropy and getattr(loss_fn, "func", loss_fn) in (mse, mae, huber, quantile_loss):
            pairs = [(Decimal(v), ZERO) for v in (z - t).tolist()]
        assert ulps(per_example, [exact(*pair) for pair in pairs]) <= ULPS
        assert ulps(d, [slope(*pair) for pair in pairs]) <= ULPS


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropies_of_two_classes_keep_their_digits(dtype: str) -> None:
    z = points(DTYPES[dtype])
    with localcontext() as context, np.errstate(all="raise"):
        context.prec = 60
        numbers = [Decimal(v) for v in z.tolist()]
        for label in (0, 1):
            sign = 1 - 2 * label
            for targets in (np.full(len(z), label), np.eye(2)[np.full(len(z), label)]):
                per_example, d = softmax_cross_entropy(two(z), targets)
                assert ulps(per_example, [(log1p_exp(-sign * v),) for v in numbers]) <= ULPS
                assert ulps(d[:, label], [(-logistic(-sign * v),) for v in numbers]) <= ULPS
                assert ulps(d[:, 1 - label], [(logistic(-sign * v),) for v in numbers]) <= ULPS
        p: Array = np.geomspace(1e-30, 0.5, 50).astype(DTYPES[dtype])
        per_example, d = cross_entropy(np.stack([p, 1 - p], axis=1), np.zeros(50, int))
        assert ulps(per_example, [(-Decimal(v).ln(),) for v in p.tolist()]) <= ULPS
        assert ulps(d[:, 0], [(-1 / Decimal(v),) for v in p.tolist()]) <= ULPS


def test_figures_by_hand() -> None:
    z, t = np.array([[100.0]], np.float32), np.array([[0.99999994]], np.float32)
    assert sigmoid_cross_entropy(z, t)[0][0] == pytest.approx(100 * 2.0**-24, rel=1e-6)
    assert gelu(np.array([-5.5, -6], np.float32)) == pytest.approx([-1.044426e-07, -5.919526e-09], rel=1e-6)
    assert gelu(np.array([-8.0]))[0] == pytest.approx(-4.976768595e-15, rel=1e-9)


@pytest.mark.parametrize("loss_fn", [mse, mae, huber, sigmoid_cross_entropy])
def test_a_mean_over_outputs_overflows_where_it_does_itself(loss_fn: LossFn) -> None:
    large = 1e154 if loss_fn is mse else 1e308
    z = np.full((2, 4), large)
    per_example, d = loss_fn(z, np.zeros((2, 4)))
    assert per_example == pytest.approx(1e308, rel=1e-12)
    assert np.isfinite(d).all()
