"""Every public function is pure: same bits again, nothing changed, nothing shared."""

import random
from collections.abc import Iterator

import numpy as np
import pytest

import nnfunc
from nnfunc import AnyArray, exchange, transforms
from tests.laws.calls import ARGS, CALLS
from tests.numeric import same_bits


def test_every_public_function_is_in_the_table() -> None:
    public = {name for name in (*nnfunc.__all__, *transforms.__all__, *exchange.__all__) if name.islower()}
    with_others = {"to_onnx", "from_sklearn", "to_sklearn", "save_safetensors", "load_safetensors"}  # tried where those are
    assert public - with_others == set(CALLS)


def global_random_state() -> tuple[object, str]:
    return random.getstate(), repr(np.random.get_state())


def arrays_in_result(result: object) -> list[AnyArray]:
    if isinstance(result, np.ndarray):
        return [result]
    if isinstance(result, tuple):
        return [a for part in result for a in arrays_in_result(part)]
    return [a for part in result.values() for a in arrays_in_result(part)] if hasattr(result, "values") else []


@pytest.fixture(params=[True, False], ids=["writable", "read-only"])
def given(request: pytest.FixtureRequest) -> Iterator[list[AnyArray]]:
    """Give the arrays that all calls are made on, locked or not, and unlock them for other tests."""
    for array in ARGS:
        array.setflags(write=request.param)
    yield ARGS
    for array in ARGS:
        array.setflags(write=True)


@pytest.mark.parametrize("name", CALLS)
def test_pure(name: str, given: list[AnyArray]) -> None:
    before, state = [a.tobytes() for a in given], global_random_state()
    first, second = CALLS[name](), CALLS[name]()
    assert same_bits(first, second)
    assert [a.tobytes() for a in given] == before
    assert global_random_state() == state
    for result in arrays_in_result(first):
        assert not any(np.may_share_memory(result, argument) for argument in given)
