"""What two choices do to the score of a recipe: the order of batches, and frozen embeddings.

    python -m benchmarks.ner_choices --data FOLDER --seeds 1 2 3 4 5 [FLAGS...]

fits `ner/wnut17` on the files of WNUT-17 in FOLDER once for each seed and choice: as it is, with
batches of random examples in place of such of near-equal length, and with frozen embeddings. Flags
go to the recipe (`--trainer.precision bf16-mixed`). Printed are F1 on dev, differences to the
recipe as it is (seeds are paired, with the 95% interval of Student's t), and the time to fit. The
test split is not looked at.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.corpora import WNUT17
from benchmarks.speed.recipe import interval, run_apart

RECIPE = "ner/wnut17"
CHOICES = ("as it is", "random order", "frozen embeddings")


def fit_in_random_order(flags: Sequence[str]) -> int:
    """Fit with batches that are cut out of an order that knows no lengths."""
    from recipes.__main__ import main as recipes
    from zoo.data.batching import LengthGroupedSampler

    # A pool of one batch has nothing to sort but its own examples.
    defaults: Any = LengthGroupedSampler.__init__.__kwdefaults__
    defaults["pool"] = 1
    return recipes(flags)


def _fit(choice: str, seed: int, given: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        flags = [RECIPE, "fit", "--seed_everything", str(seed), "--run_dir", str(run)]
        flags += [f"--data.{split}={given.data / file}" for split, file in WNUT17.items()]
        flags += ["--trainer.logger=false", *given.flags]
        if choice == "frozen embeddings":
            flags.append("--model.freeze_embeddings=true")
        module = "benchmarks.ner_choices" if choice == "random order" else "recipes"
        run_apart([sys.executable, "-m", module, *flags], Path(name))
        found: dict[str, float] = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
        return found


def main() -> None:
    """Fit, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="folder with WNUT-17's files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    given, flags = parser.parse_known_args()
    given.flags = flags
    scores: dict[str, list[float]] = {choice: [] for choice in CHOICES}
    seconds: dict[str, list[float]] = {choice: [] for choice in CHOICES}
    for seed in given.seeds:
        for choice in CHOICES:
            found = _fit(choice, seed, given)
            scores[choice].append(found["val/f1"])
            seconds[choice].append(found["perf/fit_seconds"])
            print(f"seed {seed}, {choice}: dev F1 {found['val/f1']:.3f}", flush=True)
    for choice in CHOICES:
        pairs = zip(scores[choice], scores[CHOICES[0]], strict=True)
        print(
            f"{choice}: dev F1 {statistics.mean(scores[choice]):.3f}, difference "
            f"{interval([one - other for one, other in pairs])}, "
            f"{statistics.median(seconds[choice]):.0f} s to fit (median)"
        )


if __name__ == "__main__":
    if RECIPE in sys.argv[1:2]:
        sys.exit(fit_in_random_order(sys.argv[1:]))
    main()
