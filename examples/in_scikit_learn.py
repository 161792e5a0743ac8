"""A network as an estimator of scikit-learn's: cross-validated, searched and put into a pipeline like any other.

`recipes/estimator.py` holds the two classes, which pass scikit-learn's own checks of estimators. Wants
`pip install -e '.[examples]'`.

    python examples/in_scikit_learn.py
"""

# %%
from recipes.estimator import NetworkClassifier, NetworkRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


# %%
def main() -> dict[str, float]:
    """Print cross-validated scores beside those of linear models, and return them."""
    x, y = load_breast_cancer(return_X_y=True)
    classifier = NetworkClassifier(epochs=20)
    scores = {
        "breast cancer, network": cross_val_score(classifier, x, y, cv=5),
        "breast cancer, four components": cross_val_score(make_pipeline(StandardScaler(), PCA(4), classifier), x, y, cv=5),
        "breast cancer, logistic regression": cross_val_score(make_pipeline(StandardScaler(), LogisticRegression()), x, y, cv=5),
    }
    x, y = load_diabetes(return_X_y=True)
    search = GridSearchCV(NetworkRegressor(epochs=20), {"hidden": [(), (8,), (32,)], "lr": [1e-3, 1e-2]}, cv=5).fit(x, y)
    scores |= {
        f"diabetes, network {search.best_params_}": search.best_score_,
        "diabetes, ridge": cross_val_score(make_pipeline(StandardScaler(), Ridge()), x, y, cv=5),
    }
    means = {name: float(score.mean()) for name, score in scores.items()}
    for name, score in means.items():
        print(f"{name}: {score:.3f}")
    return means


# %%
if __name__ == "__main__":
    main()
