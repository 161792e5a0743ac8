"""The examples beside SciPy and scikit-learn keep what their docstrings claim."""

import shutil

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("sklearn")

import in_scikit_learn
import lbfgs_beside_sklearn
import sklearn_to_c


def test_lbfgs_ends_where_that_of_scikit_learn_does() -> None:
    for name, found in lbfgs_beside_sklearn.main().items():
        losses, scores, _ = np.moveaxis(found, 1, 0)
        assert losses[:, 0] == pytest.approx(losses[:, 1], rel=1e-3), name
        assert np.abs(scores[:, 0] - scores[:, 1]).max() <= 0.03, name  # one row of 36, where a loss is flat
        assert scores.min() > 0.85, name


def test_an_estimator_scores_as_well_as_others_do() -> None:
    found = in_scikit_learn.main()
    assert found["breast cancer, network"] > 0.95
    assert found["breast cancer, four components"] > 0.94
    assert max(score for name, score in found.items() if name.startswith("diabetes, network")) > 0.42


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_a_pipeline_of_scikit_learn_finds_the_same_classes_in_c() -> None:
    differing, right = sklearn_to_c.main()
    assert differing == 0
    assert right > 0.95


def test_curves_are_equal_in_pytorch_and_here() -> None:
    pytest.importorskip("torch")
    import from_torch

    for here, there, off in from_torch.main().values():
        assert here[-1] < 0.2
        assert np.allclose(here, there, rtol=2e-3, atol=0)
        assert off < 1e-4
