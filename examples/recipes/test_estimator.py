"""`estimator.py` before scikit-learn's own checks of estimators, some fifty of each.

    python -m pytest examples/recipes/test_estimator.py
"""

import pytest

checks = pytest.importorskip("sklearn.utils.estimator_checks")


def test_the_classifier() -> None:
    from recipes.estimator import NetworkClassifier

    checks.check_estimator(NetworkClassifier(epochs=20), on_skip=None)


def test_the_regressor() -> None:
    from recipes.estimator import NetworkRegressor

    checks.check_estimator(NetworkRegressor(epochs=20), on_skip=None)
