"""Second-order fits beside first-order ones, and beside SciPy's where it is there."""

from importlib.util import find_spec

import numpy as np
import pytest
import second_order

from nnfunc import Array, dense, finish, tanh
from nnfunc.transforms import levenberg_marquardt


def test_second_order_steps_reach_lower(capsys: pytest.CaptureFixture[str]) -> None:
    losses = {name: found[0] for name, found in second_order.main(starts=1).items()}
    for problem, stated in {"sine": 1e-7, "surface": 1e-5, "parity": 1e-10}.items():
        assert losses[problem, "Levenberg-Marquardt"] < stated < 1e-3, problem
        if problem != "parity":
            assert losses[problem, "Levenberg-Marquardt"] < 0.1 * losses[problem, "Adam"], problem
    assert len(losses) == 9 if find_spec("scipy") else 6
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(losses)


def test_where_there_is_one_minimum_scipy_finds_the_same() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    draw = np.random.default_rng(0)
    net, x = dense(1, 1, tanh), draw.uniform(-1, 1, (60, 1))
    y = np.tanh(1.5 * x - 0.4) + draw.normal(0, 0.1, (60, 1))

    def given(vector: Array) -> dict[str, Array]:
        return {"W": vector[:1, None], "b": vector[1:]}

    def residuals(vector: Array) -> Array:
        errors: Array = np.tanh(vector[0] * x[:, 0] + vector[1]) - y[:, 0]
        return errors

    theirs = optimize.least_squares(residuals, [0.1, 0.1], method="lm", xtol=1e-14, ftol=1e-14, gtol=1e-14)
    params, reports = finish(levenberg_marquardt(net, given(np.array([0.1, 0.1])), x, y, min_grad=1e-12))
    assert [params["W"][0, 0], params["b"][0]] == pytest.approx(theirs.x, rel=1e-6)
    assert reports[-1]["loss"] == pytest.approx(2 * theirs.cost / 60, rel=1e-12)
    assert len(reports) < 20
