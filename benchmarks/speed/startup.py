"""How long importing takes: `import zoo`, a task, and the help of the recipes.

Each is a process of its own, in turns; what the interpreter takes to start is measured too and is
taken off `import zoo`. A task is compared with what it cannot do without, lightning and
transformers' BERT.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.speed.progress import say
from benchmarks.speed.results import Goal, Result, environment
from benchmarks.speed.timing import Spread, ratios, turns

#: What is run, by name.
COMMANDS: dict[str, list[str]] = {
    "python": ["-c", "pass"],
    "import zoo": ["-c", "import zoo"],
    "lightning and BERT": [
        "-c",
        "import lightning.pytorch; from transformers import BertForTokenClassification",
    ],
    "from zoo import NERTask": ["-c", "from zoo import NERTask"],
    "python -m recipes --help": ["-m", "recipes", "--help"],
}


def measure(options: argparse.Namespace) -> Result:
    """Run all in turns."""
    result = Result("startup", {"rounds": options.rounds})
    wall: dict[str, list[float]] = {name: [] for name in COMMANDS}
    used: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for name in COMMANDS:
        run(COMMANDS[name])  # fills the caches of files and of compiled modules
    for number in range(options.rounds):
        say(f"startup: round {number + 1} of {options.rounds}")
        for name in turns(list(COMMANDS), number):
            seconds, processor = run(COMMANDS[name])
            wall[name].append(seconds)
            used[name].append(processor)
    for name in COMMANDS:
        result.rows.append(
            {
                "command": name,
                "seconds": Spread.of(wall[name]),
                "processor seconds": Spread.of(used[name]),
            }
        )
    # Of the processor's time: the ratios then hold on a machine that others use as well.
    own = [a - b for a, b in zip(used["import zoo"], used["python"], strict=True)]
    task = ratios(used["from zoo import NERTask"], used["lightning and BERT"])
    result.goals = [
        Goal("import zoo, processor seconds", Spread.of(own), 0.15, "at most"),
        Goal("NERTask over lightning and BERT, processor time", task, 1.10, "at most"),
    ]
    return result


def run(arguments: Sequence[str]) -> tuple[float, float]:
    """Seconds by the clock and of the processor that Python takes for something."""
    before, began = _children(), time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        env=environment(),
    )
    return time.perf_counter() - began, _children() - before


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
