"""Cold start: a fresh process imports a library, loads params from a file and predicts one row."""

LOAD_AND_PREDICT = {
    "nnfunc": """
import numpy as np
from nnfunc import forward, mlp
with np.load({path!r}) as file:
    params = dict(file)
y = forward(mlp([784, 256, 128, 10]), params, np.ones((1, 784), np.float32))
""",
    "torch": """
import torch
net = torch.nn.Sequential(
    torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Linear(256, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)
)
net.load_state_dict(torch.load({path!r}, weights_only=True))
with torch.inference_mode():
    y = net(torch.ones(1, 784)).numpy()
""",
    "jax": """
import jax, jax.numpy as jnp, numpy as np
with np.load({path!r}) as file:
    params = [(file[f"{{i}}0"], file[f"{{i}}1"]) for i in range(3)]
@jax.jit
def predict(params, x):
    for i, (W, b) in enumerate(params):
        x = x @ W + b
        x = jax.nn.relu(x) if i < 2 else x
    return x
y = np.asarray(predict(params, jnp.ones((1, 784), jnp.float32)))
""",
    "sklearn": """
import pickle
import numpy as np
with open({path!r}, "rb") as file:
    model = pickle.load(file)
y = model.predict_proba(np.ones((1, 784), np.float32))
""",
    "import numpy": "import numpy",
    "import numpy, nnfunc": "import numpy, nnfunc",
}
# Of the process alone: what getrusage gives begins with the peak of the parent.
PEAK = """
with open("/proc/self/status") as file:
    print(next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM")))
"""
