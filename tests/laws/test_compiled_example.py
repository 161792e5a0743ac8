"""The Adam that numba compiles takes the steps of the library's, on every network that its example trains."""

from types import MappingProxyType

import numpy as np
import pytest

pytest.importorskip("numba")

import compiled_adam

from nnfunc import adam, freeze
from nnfunc.testing import check_optimizer


def test_runs_end_where_those_of_adam_do(capsys: pytest.CaptureFixture[str]) -> None:
    losses = compiled_adam.main()
    for name, (compiled, plain) in losses.items():
        assert compiled == pytest.approx(plain, rel=1e-4), name
    shown = capsys.readouterr().out
    assert "laws hold, one that its steps are those of adam" in shown
    assert [line.split()[0] for line in shown.splitlines()[-4:]] == list(losses)


def test_other_rates_are_those_of_adam_too() -> None:
    options = 0.5, 0.9, 1e-3
    check_optimizer(compiled_adam.compiled_adam(*options), like=adam(*options))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_run_goes_on_with_either(dtype: type[np.floating]) -> None:
    start = np.linspace(-1, 1, 6, dtype=dtype).reshape(2, 3)
    params = freeze({"W": start, "b": np.ones((), dtype), "empty": np.ones(0, dtype)})
    grads = {"W": np.ones((3, 2), np.float32).T, "b": np.ones((), np.float32), "empty": np.zeros(0, np.float32)}
    ours, plain = compiled_adam.compiled_adam(), adam()
    state = ours[0](params)
    for first, second in ((ours, plain), (plain, ours)):
        between, its_state = first[1](params, grads, state, 0.1)
        after = second[1](between, grads, its_state, 0.1)
        between, its_state = plain[1](params, grads, state, 0.1)
        expected = plain[1](between, grads, its_state, 0.1)
        for got, want in zip(after, expected, strict=True):
            assert type(got) is MappingProxyType and list(got) == list(want)
            for name, array in got.items():
                assert not array.flags.writeable and array.dtype == want[name].dtype
                assert array == pytest.approx(want[name], rel=1e-6), name


def test_what_does_not_fit_and_what_is_not_finite_is_refused() -> None:
    params, (init, step) = {"W": np.ones((2, 3))}, compiled_adam.compiled_adam()
    for shape in ((5,), (3, 2), ()):
        with pytest.raises(ValueError, match="compiled_adam: grads and state must fit W, a float64 array of shape"):
            step(params, {"W": np.ones(shape)}, init(params), 0.1)
    with pytest.raises(ValueError, match="must fit W"):
        step(params, params, {**init(params), "m/W": np.ones((2, 3), np.float32)}, 0.1)
    for number in (np.nan, np.inf, 1e300):
        with pytest.raises(FloatingPointError, match="compiled_adam: grads\\['W'\\] and its square must be finite"):
            step(params, {"W": np.full((2, 3), number)}, init(params), 0.1)
