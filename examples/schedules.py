"""Schedules of the learning rate: functions of the step, so they are tried, printed and drawn before anything trains.

    python examples/schedules.py
    python examples/schedules.py --pictures
"""

# %%
import sys
from pathlib import Path

from drawing import BLUE, asked, picture

from nnfunc import (
    Schedule,
    constant_schedule,
    cosine_decay_schedule,
    cosine_onecycle_schedule,
    exponential_decay,
    join_schedules,
    linear_schedule,
    piecewise_constant_schedule,
    polynomial_schedule,
    table,
    warmup_cosine_decay_schedule,
)

STEPS = 100

# %% Each goes into `train(..., lr=schedule)`, and gives the rate of a step
SCHEDULES: dict[str, Schedule] = {
    "constant": constant_schedule(0.1),
    "linear": linear_schedule(0.1, 0.01, 80, transition_begin=10),
    "polynomial, power 3": polynomial_schedule(0.1, 0.0, 3, STEPS),
    "exponential": exponential_decay(0.1, 25, 0.5),
    "exponential, staircase": exponential_decay(0.1, 25, 0.5, staircase=True),
    "piecewise constant": piecewise_constant_schedule(0.1, {50: 0.3, 80: 0.3}),
    "cosine": cosine_decay_schedule(0.1, STEPS),
    "warmup, cosine": warmup_cosine_decay_schedule(0.0, 0.1, 15, STEPS),
    "cosine, one cycle": cosine_onecycle_schedule(STEPS, 0.1),
    "joined, two cosines": join_schedules([cosine_decay_schedule(0.1, 50), cosine_decay_schedule(0.05, 50)], [50]),
}


def main() -> dict[str, list[float]]:
    """Print the rates at some steps, and return those of all."""
    found = {name: [float(schedule(step)) for step in range(STEPS + 1)] for name, schedule in SCHEDULES.items()}
    print(table([{"rate at step": name, **{f"{i}": f"{rates[i]:.4f}" for i in range(0, STEPS + 1, 20)}}
                 for name, rates in found.items()]))  # fmt: skip
    return found


# %% The picture
def draw(directory: Path) -> None:
    """Draw every schedule."""
    with picture(directory, "schedules", 3.6, rows=2, columns=5) as (figure, axes):
        for i, (panel, (name, schedule)) in enumerate(zip(axes, SCHEDULES.items(), strict=True)):
            steps = range(STEPS + 1)
            panel.plot(steps, [schedule(step) for step in steps], color=BLUE, drawstyle="steps-post")
            panel.set(title=name.replace(", ", ",\n"), xlim=(0, STEPS), ylim=(0, 0.108))
            panel.set(xticks=[0, 50, 100], yticks=[0, 0.05, 0.1])
            panel.tick_params(labelleft=i % 5 == 0, labelbottom=i >= 5)
        figure.supxlabel("step", fontsize=10.5)
        figure.supylabel("rate", fontsize=10.5)


# %%
if __name__ == "__main__":
    main()
    if directory := asked(sys.argv):
        draw(directory)
