"""The model card of an export: `README.md` with the header that the Hub reads."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from zoo import backbones
from zoo.backbones.spec import BackboneSpec
from zoo.data import samples
from zoo.shipping.comparison import Comparison
from zoo.shipping.parity import TOLERANCE
from zoo.shipping.wording import limits_of, loading_of, purpose_of, summary_of
from zoo.tracking.report import Table, facts_of
from zoo.tracking.run_folder import RunFolder

#: What the Hub calls a family's task.
_PIPELINES = {
    "ner": "token-classification",
    "classification": "text-classification",
    "qa": "question-answering",
    "summarization": "summarization",
}
#: Settings of the trainer that say how long and on what was trained.
_TRAINER = ("max_epochs", "max_steps", "precision", "accumulate_grad_batches", "gradient_clip_val")


@dataclass(frozen=True)
class Known:
    """What the files of a run say of its model; a model's folder alone says less.

    Args:
        name: The run's name.
        metadata: `model/zoo.json`.
        config: `config.yaml`.
        metrics: `metrics.json`.
        facts: The top of `report.md`.
        notes: What the report says of the data.
    """

    name: str
    metadata: Mapping[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def family(self) -> str:
        """The family of tasks."""
        return str(self.metadata.get("family", "text"))

    @property
    def spec(self) -> BackboneSpec | None:
        """What the registry knows of the backbone; None of one that is not registered."""
        name = self.metadata.get("backbone")
        return backbones.get(name) if name in backbones.names() else None

    @property
    def data(self) -> str:
        """The data's name."""
        return str(self.metadata.get("data", {}).get("name", "data that is not known"))

    @property
    def is_sample(self) -> bool:
        """Whether the data is a generated corpus of this project."""
        return self.data in samples.names()


def known_of(run: RunFolder, model: Path) -> Known:
    """Read what a run's folder says of its model; what is missing or damaged is left out.

    Args:
        run: The run's folder.
        model: Its model's folder.
    """
    page = run.report.read_text(encoding="utf-8") if run.report.is_file() else ""
    notes = re.search(r"^## Notes on the data\n\n((?:- .*\n?)+)", page, flags=re.MULTILINE)
    config: Any = {}
    if run.config.is_file():
        config = yaml.safe_load(run.config.read_text(encoding="utf-8"))
    metrics: dict[str, float] = {}
    if run.metrics.is_file():
        metrics = json.loads(run.metrics.read_text(encoding="utf-8"))
    return Known(
        name=run.path.resolve().name,
        metadata=backbones.metadata(str(model)),
        config=config if isinstance(config, dict) else {},
        metrics=metrics,
        facts=facts_of(page),
        notes=[line.removeprefix("- ") for line in notes[1].splitlines()] if notes else [],
    )


def card(known: Known, *, form: str, folder: str, comparison: Comparison | None) -> str:
    """The card.

    Args:
        known: What the run says.
        form: The format of the export.
        folder: Its folder, as a person would type it.
        comparison: The export beside the torch model, where it was compared.
    """
    model = form if comparison is not None else None
    scores = dict(_test_scores(known, comparison, model))
    parts = [
        f"---\n{_header(known, form, scores)}\n---",
        f"# {known.name}\n\n{summary_of(known.family, known.metadata, form)}",
        f"## How to use\n\n{loading_of(known.family, known.metadata, form, folder)}",
        f"## Results\n\n{_results(known, scores, comparison, form)}",
        f"## Data\n\n{_data(known)}",
        f"## Training\n\n{_training(known)}",
        f"## Intended use\n\n{purpose_of(known.family, known.metadata)}",
        "## Limits\n\n"
        + "\n".join(
            f"- {line}"
            for line in limits_of(
                known.metadata,
                form,
                sample=known.is_sample,
                seed=known.config.get("seed_everything"),
                compared=comparison is not None,
            )
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _header(known: Known, form: str, scores: Mapping[str, float]) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    spec, task = known.spec, _PIPELINES.get(known.family)
    results = [
        EvalResult(
            task_type=task or "other",
            dataset_type=re.sub(r"[^A-Za-z0-9._/-]+", "-", known.data),
            dataset_name=known.data,
            dataset_split="test",
            metric_type=name.removeprefix("test/"),
            metric_value=round(value, 4),
        )
        for name, value in scores.items()
        if math.isfinite(value)
    ]
    data = ModelCardData(
        language=_languages(known),
        license=spec.licence.lower() if spec is not None else None,
        library_name="onnx" if form.startswith("onnx") else "transformers",
        base_model=spec.hub_id if spec is not None else known.metadata.get("backbone"),
        pipeline_tag=task,
        tags=["lightning-text-zoo", known.family, *(["onnx"] if "onnx" in form else [])]
        + (["int8"] if "int8" in form else []),
        metrics=[name.removeprefix("test/") for name in scores] or None,
        model_name=known.name,
        eval_results=results or None,
    )
    text: str = data.to_yaml()
    return text.strip()


def _languages(known: Known) -> list[str] | None:
    """Of the data where it says so, else the backbone's where it has only one."""
    language = known.metadata.get("encoding", {}).get("language")
    if language:
        return [language]
    languages = known.spec.languages if known.spec is not None else ()
    return list(languages) if len(languages) == 1 else None


def _test_scores(
    known: Known, comparison: Comparison | None, model: str | None
) -> list[tuple[str, float]]:
    """Scores of the whole test split: of the exported model where it was tested itself."""
    found: Mapping[str, float] = known.metrics
    if comparison is not None and model is not None and model in comparison.tests:
        found = comparison.tests[model].scores
    return [
        (name, value)
        for name, value in sorted(found.items())
        if name.startswith("test/") and name.count("/") == 1 and name != "test/loss"
    ]


def _results(
    known: Known, scores: Mapping[str, float], comparison: Comparison | None, form: str
) -> str:
    baselines = sorted(
        (name, value) for name, value in known.metrics.items() if name.startswith("baseline/")
    )
    rows = [(name, f"{value:.4f}") for name, value in [*scores.items(), *baselines]]
    parts = []
    if rows:
        what = "this exported model" if comparison is not None else "the model of the run"
        parts.append(
            f"Of {what} on the test split of {known.data}, and of baselines on the same examples. "
            "All scores are fractions."
        )
        parts.append(Table("", ("score", "value"), rows).markdown())
    else:
        parts.append("The model was not tested.")
    if comparison is not None:
        said = "passed" if comparison.passed else "FAILED"
        parts.append(
            "### Beside the torch model\n\nThe same examples through the same decoding, "
            f"calibration and metrics. The float32 graph {said}: its logits may differ from "
            f"torch's by {TOLERANCE:g} at most. `parity.json` has all figures."
        )
        parts += [f"{table.title}:\n\n{table.markdown()}" for table in comparison.tables()]
        parts.append(
            "The models took turns, so other work on the machine met all of them; compare the "
            "ratios rather than the milliseconds."
        )
    elif form != "hf":
        parts.append("This export was not compared with the torch model (`--no_check`).")
    return "\n\n".join(parts)


def _data(known: Known) -> str:
    lines = {
        "name": known.data,
        "fingerprint": known.metadata.get("data", {}).get("fingerprint"),
        "examples": known.facts.get("examples"),
        "labels": ", ".join(known.metadata.get("labels", [])),
        "longest input": f"{known.metadata['max_length']} tokens"
        if known.metadata.get("max_length")
        else None,
    }
    told = [f"- {name}: {value}" for name, value in lines.items() if value]
    return "\n".join([*told, *(f"- {note}" for note in known.notes)])


def _training(known: Known) -> str:
    model = known.config.get("model", {})
    trainer = known.config.get("trainer", {})
    data = known.config.get("data", {}).get("init_args", {})
    settings = {
        name: value
        for name, value in model.get("init_args", {}).items()
        if value is not None and name != "labels"
    }
    settings |= {name: trainer[name] for name in _TRAINER if trainer.get(name) is not None}
    settings |= {name: data[name] for name in ("batch_size", "max_length") if data.get(name)}
    rows = [("recipe", known.metadata.get("recipe"))]
    rows += [("seed", known.config.get("seed_everything")), *settings.items()]
    rows += [(name, known.facts.get(name)) for name in ("versions", "git commit", "threads")]
    seconds = known.metrics.get("perf/fit_seconds")
    rows.append(("seconds to fit", f"{seconds:,.0f}" if seconds else None))
    table = Table("", ("setting", "value"), [(a, str(b)) for a, b in rows if b is not None])
    return "Fine-tuned with PyTorch Lightning by lightning-text-zoo.\n\n" + table.markdown()


__all__ = ["Known", "card", "known_of"]
