"""An example that wants another package says in one sentence what is to be installed."""

import json
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
WANTING = {
    "compiled_adam.py", "from_torch.py", "in_scikit_learn.py", "lbfgs_beside_sklearn.py", "onnx_runtime.py", "recipes/estimator.py",
    "recipes/lbfgs.py", "sklearn_to_c.py",
}  # fmt: skip
ALONE = """
import json, runpy, sys
sys.modules.update(dict.fromkeys(%r))  # as if they were not there
failed = {}
for path in sys.argv[1:]:
    try:
        runpy.run_path(path)
    except ModuleNotFoundError as error:
        failed[path] = str(error)
print(json.dumps(failed))
"""


def test_whatever_is_missing_is_named_with_the_way_to_it() -> None:
    paths = [path for path in (*EXAMPLES.glob("*.py"), *EXAMPLES.glob("recipes/*.py")) if not path.name.startswith("test_")]
    others = ["distributed", "jax", "matplotlib", "numba", "onnx", "onnxruntime", "scipy", "sklearn", "torch"]
    command = [sys.executable, "-c", ALONE % others, *map(str, paths)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={"PYTHONPATH": f"{EXAMPLES}:{EXAMPLES.parent}"})
    failed = {Path(path).relative_to(EXAMPLES).as_posix(): message for path, message in json.loads(done.stdout).items()}
    assert failed.keys() == WANTING
    assert all(" must be installed: pip install " in message for message in failed.values())
