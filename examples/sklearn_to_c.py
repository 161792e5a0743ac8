"""From scikit-learn to C on the desk: a pipeline is trained, written as one header, compiled, and finds the same classes.

Handwritten digits, standardised, by an `MLPClassifier`. Wants a C compiler and `pip install -e '.[examples]'`.

    python examples/sklearn_to_c.py [DIRECTORY]    leaves digits.h and main.c there
"""

# %%
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from command_line import given

try:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
except ModuleNotFoundError:
    raise ModuleNotFoundError("sklearn_to_c: scikit-learn must be installed: pip install -e '.[examples]'") from None

from nnfunc import map_params
from nnfunc.exchange import from_sklearn, to_c

# %%
MAIN = """\
#include "digits.h"
#include <stdio.h>

/* Reads rows of pixels, and prints the class of each. */
int main(void) {
    float x[DIGITS_INPUTS], y[DIGITS_OUTPUTS];
    for (int i = 0; scanf("%f", &x[i]) == 1; i = (i + 1) % DIGITS_INPUTS) {
        if (i == DIGITS_INPUTS - 1) {
            int best = 0;
            digits_predict(x, y);
            for (int j = 1; j < DIGITS_OUTPUTS; j++) best = y[j] > y[best] ? j : best;
            printf("%d\\n", best);
        }
    }
    return 0;
}
"""


# %%
def main(directory: str | None = None) -> tuple[int, float]:
    """Print what was found; return how many classes differ, and the share of held-out rows that are right in C."""
    x, y = load_digits(return_X_y=True)
    x, x_held, y, y_held = train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((32,), tol=1e-3, random_state=0)).fit(x, y)

    net, params = from_sklearn(pipeline[-1])
    params = map_params(lambda a: a.astype(np.float32), params)
    scaler = {"mean": pipeline[0].mean_, "scale": pipeline[0].scale_}
    header = to_c(net, params, "digits", scaler=scaler, x=x_held)

    with tempfile.TemporaryDirectory() as temporary:
        where = Path(directory or temporary)
        (where / "digits.h").write_text(header)
        (where / "main.c").write_text(MAIN)
        strict = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror"]
        subprocess.run(["cc", *strict, "main.c", "-o", "digits", "-lm"], cwd=where, check=True)
        rows = "\n".join(" ".join(map(str, row)) for row in x_held)
        said = subprocess.run([where / "digits"], input=rows, capture_output=True, text=True, check=True).stdout
    found = pipeline.classes_[np.array(said.split(), int)]
    differing = int((found != pipeline.predict(x_held)).sum())
    right = float((found == y_held).mean())
    print(f"{len(found)} held-out digits: {differing} classes differ from scikit-learn's, {right:.1%} are right")
    print(header[: header.index("*/")].split("\n\n")[1])
    return differing, right


# %%
if __name__ == "__main__":
    main(*given()[:1])
