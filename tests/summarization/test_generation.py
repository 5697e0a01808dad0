"""Writing: settings in one place, greedy and with beams, alone and in a batch."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig

from zoo.backbones import load_tokenizer
from zoo.errors import ZooError
from zoo.summarization.abstractive.generation import SETTINGS, configure, greedy, write
from zoo.summarization.abstractive.task import SummarizationTask
from zoo.tracking.export import export_model

Tiny = Callable[[str], Path]

WRITERS = ("t5", "bart", "bert")
_TEXTS = [
    "The quick brown fox jumps over the lazy dog .",
    "Ada",
    "Ada Lovelace lived in London and worked for the Analytical Engine Company . Isn't it ?",
    "a b c d e f g h i j k",
    "Ein Löwe und ein Bär aßen Käse .",
]


def _task(tiny: Tiny, architecture: str, **options: Any) -> SummarizationTask:
    """Weights that are nobody's initial ones, so that what is written is of some variety."""
    folder = tiny(architecture)
    name = f"{folder}-2-{folder}" if architecture == "bert" else str(folder)
    task = SummarizationTask(name, **options)
    task.configure_model()
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in task.net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    task.net.eval()
    return task


def _batch(task: SummarizationTask, texts: list[str]) -> Any:
    return task._batch([ids for ids, _ in task._encoded(texts)])


def _without_padding(task: SummarizationTask, ids: torch.Tensor) -> list[list[int]]:
    config: Any = task.net.generation_config
    rows = []
    for row in ids.tolist():
        ends = [at for at, one in enumerate(row) if at and one == config.eos_token_id]
        rows.append(row[: ends[0] + 1] if ends else row)
    return rows


@pytest.mark.parametrize("architecture", WRITERS)
@pytest.mark.parametrize("beams", [False, True])
def test_a_batch_writes_what_each_text_alone_gets(
    architecture: str, beams: bool, tiny: Tiny
) -> None:
    task = _task(tiny, architecture, generation={"max_new_tokens": 20, "num_beams": 3})
    together = _without_padding(task, write(task.net, _batch(task, _TEXTS), beams=beams))
    alone = [
        _without_padding(task, write(task.net, _batch(task, [text]), beams=beams))[0]
        for text in _TEXTS
    ]
    assert together == alone
    assert len({tuple(row) for row in alone}) > 1


@pytest.mark.parametrize("architecture", WRITERS)
def test_greedy_writing_takes_the_likeliest_token_each_time(architecture: str, tiny: Tiny) -> None:
    settings = {"max_new_tokens": 12, "no_repeat_ngram_size": 0, "num_beams": 4}
    task = _task(tiny, architecture, generation=settings)
    for text in _TEXTS:
        batch = _batch(task, [text])
        config: Any = task.net.generation_config
        written = [int(config.decoder_start_token_id)]
        while len(written) < 13 and (len(written) == 1 or written[-1] != config.eos_token_id):
            with torch.no_grad():
                logits = task.net(**batch, decoder_input_ids=torch.tensor([written])).logits[0, -1]
            forced = config.forced_eos_token_id if len(written) == 12 else None
            written.append(int(logits.argmax()) if forced is None else forced)
        (found,) = _without_padding(task, write(task.net, batch, beams=False))
        assert found == written


@pytest.mark.parametrize(
    ("architecture", "tie_weights"),
    [("t5", False), ("bart", False), ("bert", False), ("bert", True)],
)
def test_plain_transformers_writes_the_same_from_the_exported_folder(
    architecture: str, tie_weights: bool, tiny: Tiny, tmp_path: Path
) -> None:
    settings = {"max_new_tokens": 14, "num_beams": 3, "length_penalty": 0.5}
    task = _task(tiny, architecture, generation=settings, tie_weights=tie_weights)
    export_model(task, tmp_path / "model", metadata={"max_length": 100, "encoding": {"prefix": ""}})
    net = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    theirs = []
    for text in _TEXTS:
        inputs = tokenizer(text, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        # Nothing but the model: all settings are in its folder.
        (ids,) = net.generate(**inputs)
        theirs.append(str(tokenizer.decode(ids, skip_special_tokens=True)).strip())
    assert [one.summary for one in task.predict(_TEXTS)] == theirs
    again = SummarizationTask.from_run(tmp_path / "model")
    assert [one.summary for one in again.predict(_TEXTS, batch_size=2)] == theirs
    assert len(set(theirs)) > 1
    ours: Any = again.net.generation_config
    assert (ours.num_beams, ours.max_new_tokens, ours.length_penalty) == (3, 14, 0.5)


def test_a_model_of_one_beam_can_be_exported(tiny: Tiny, tmp_path: Path) -> None:
    task = _task(tiny, "t5", generation={"num_beams": 1, "length_penalty": 2.0})
    export_model(task, tmp_path / "model", metadata={})
    found = GenerationConfig.from_pretrained(tmp_path / "model")
    assert found.num_beams == 1


def test_later_settings_win(tiny: Tiny) -> None:
    model: Any = AutoModelForSeq2SeqLM.from_pretrained(tiny("bart"))
    model.generation_config.max_length = 51
    model.generation_config.min_length = 11
    model.generation_config.num_beams = 7
    configure(model, usual={"length_penalty": 0.6}, asked={})
    config = model.generation_config
    # Older checkpoints count the decoder's first token.
    assert (config.max_new_tokens, config.min_new_tokens) == (50, 10)
    assert (config.num_beams, config.length_penalty) == (7, 0.6)
    assert config.no_repeat_ngram_size == 3
    assert (config.max_length, config.min_length) == (None, None)
    assert config.decoder_start_token_id == 2
    configure(model, usual={"num_beams": 5}, asked={"num_beams": 2, "max_new_tokens": 9})
    assert model.generation_config.num_beams == 2
    # What is shorter than the shortest that the checkpoint allowed takes that along.
    assert (model.generation_config.max_new_tokens, model.generation_config.min_new_tokens) == (
        9,
        0,
    )


def test_more_than_the_decoder_can_write_is_refused_and_never_usual(tiny: Tiny) -> None:
    model: Any = AutoModelForSeq2SeqLM.from_pretrained(tiny("bart"))
    configure(model, usual={"max_new_tokens": 500}, asked={})
    assert model.generation_config.max_new_tokens == 128
    with pytest.raises(ZooError, match=r"max_new_tokens 129 is more than.*\(128 tokens\)"):
        configure(model, usual={}, asked={"max_new_tokens": 129})
    with pytest.raises(ZooError, match="min_new_tokens 9 is more than max_new_tokens 8"):
        configure(model, usual={}, asked={"max_new_tokens": 8, "min_new_tokens": 9})
    configure(model, usual={}, asked={"max_new_tokens": 128, "min_new_tokens": 128})
    ids = torch.full((1, 5), 7)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    assert write(model.eval(), batch, beams=False).shape == (1, 129)


def test_greedy_settings_are_the_same_but_for_the_beams() -> None:
    config = GenerationConfig(num_beams=4, max_new_tokens=9, no_repeat_ngram_size=2)
    one = greedy(config)
    assert (one.num_beams, one.max_new_tokens, one.no_repeat_ngram_size) == (1, 9, 2)
    assert config.num_beams == 4


def test_every_setting_is_known_to_transformers() -> None:
    assert set(SETTINGS) <= set(GenerationConfig().to_dict())


def test_no_ngram_is_written_twice_if_so_asked(tiny: Tiny) -> None:
    settings = {"max_new_tokens": 30, "min_new_tokens": 30, "no_repeat_ngram_size": 2}
    task = _task(tiny, "t5", generation=settings)
    for row in write(task.net, _batch(task, _TEXTS), beams=False).tolist():
        pairs = list(pairwise(row[1:]))
        assert len(set(pairs)) == len(pairs)


def test_special_tokens_are_not_written_out(tiny: Tiny) -> None:
    for architecture in WRITERS:
        task = _task(tiny, architecture, generation={"max_new_tokens": 10})
        special = load_tokenizer(task.backbone).all_special_tokens
        for one in task.predict(_TEXTS):
            assert not any(token in one.summary for token in special)
            assert one.summary == one.summary.strip()


def test_every_setting_that_is_accepted_can_be_written_with(tiny: Tiny) -> None:
    settings: dict[str, Any] = {
        "num_beams": 2,
        "max_new_tokens": 4,
        "min_new_tokens": 1,
        "length_penalty": 2,
        "early_stopping": True,
        "no_repeat_ngram_size": 2,
        "encoder_no_repeat_ngram_size": 5,
        # Whole numbers, as a command line gives them.
        "repetition_penalty": 2,
        "encoder_repetition_penalty": 1,
        "exponential_decay_length_penalty": [2, 1.5],
        "bad_words_ids": [[7, 8]],
        "suppress_tokens": [9],
        "forced_bos_token_id": 10,
        "forced_eos_token_id": 1,
    }
    assert settings.keys() == SETTINGS.keys()
    task = _task(tiny, "t5", generation=settings)
    found = write(task.net, _batch(task, _TEXTS), beams=True)
    assert found[:, 1].tolist() == [10] * len(_TEXTS)


@pytest.mark.parametrize(
    "settings", [{"forced_bos_token_id": 10**6}, {"bad_words_ids": [[3, 10**6]]}]
)
def test_a_token_that_the_model_does_not_know_is_refused(
    settings: dict[str, Any], tiny: Tiny
) -> None:
    with pytest.raises(ZooError, match="token id 1000000, but the model knows only"):
        _task(tiny, "bart", generation=settings)
