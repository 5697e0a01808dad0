"""The summarization sample corpus keeps what its datasheet promises."""

import importlib.util
import json
import re
import statistics
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from zoo.data import samples

FOLDER = Path(__file__).parents[2] / "data" / "summarization"
SPLITS = ("train", "validation", "test")
DATASHEET = (FOLDER / "README.md").read_text(encoding="utf-8")
HELD_OUT = ("validation", "test")


class Row(NamedTuple):
    """One line of a file."""

    id: str
    source: str
    target: str


@cache
def read(split: str) -> list[Row]:
    lines = (FOLDER / "sample" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [Row(**json.loads(line)) for line in lines]


@cache
def load(module: str) -> ModuleType:
    name = f"summarization_sample_{module}"
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{module}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up there.
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


@cache
def reports() -> dict[str, list[Any]]:
    """The reports as the generator drew them, which also knows events and slots."""
    drawn: dict[str, list[Any]] = load("generate").corpus()
    return drawn


@cache
def grammar() -> dict[str, dict[str, list[str]]]:
    rules: dict[str, dict[str, list[str]]] = load("generate").read_grammar(FOLDER / "sample.txt")
    return rules


@cache
def baseline_scores() -> dict[str, dict[str, list[float]]]:
    pytest.importorskip("rouge_score")
    pytest.importorskip("sklearn")
    return {split: load("baselines").scores(split) for split in HELD_OUT}


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text.lower())


def slots(pattern: str) -> set[str]:
    return {name + number for name, number in load("generate").SLOT.findall(pattern)}


def claimed(what: str) -> str:
    """The numbers that the datasheet gives for a property, from the row of a table."""
    found = re.search(rf"^\| {re.escape(what)} \|(.+)\|$", DATASHEET, flags=re.MULTILINE)
    assert found is not None, f"the datasheet has no row '{what}'"
    return found[1].strip()


def row(*numbers: int) -> str:
    """Numbers as they stand in such a row."""
    return " | ".join(f"{number:,}" for number in numbers)


def percent(*shares: float) -> str:
    return " | ".join(f"{share:.0%}".replace("%", " %") for share in shares)


every_split = pytest.mark.parametrize("split", SPLITS)


def test_generator_rewrites_the_shipped_files_byte_for_byte(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "generate.py"), "--out", str(tmp_path)]
    subprocess.run(command, check=True, cwd=tmp_path)
    written = {file.relative_to(tmp_path) for file in tmp_path.rglob("*.*")}
    assert written == {Path("sample") / f"{split}.jsonl" for split in SPLITS}
    for file in written:
        assert (tmp_path / file).read_bytes() == (FOLDER / file).read_bytes()


def test_the_corpus_is_found_by_its_name() -> None:
    assert samples.folder("summarization-sample") == FOLDER / "sample"


@every_split
def test_every_line_is_an_object_with_id_source_and_target(split: str) -> None:
    text = (FOLDER / "sample" / f"{split}.jsonl").read_text(encoding="utf-8")
    assert text.endswith("\n")
    for number, line in enumerate(text.splitlines(), 1):
        entry = json.loads(line)
        assert list(entry) == ["id", "source", "target"]
        assert all(isinstance(value, str) and value for value in entry.values())
        assert entry["id"] == f"{split}-{number:04}"


@every_split
def test_the_files_are_what_the_generator_drew(split: str) -> None:
    drawn = [(report.source, report.target) for report in reports()[split]]
    assert drawn == [(each.source, each.target) for each in read(split)]


def test_no_source_and_no_target_occurs_twice_in_the_corpus() -> None:
    rows = [each for split in SPLITS for each in read(split)]
    assert len({tuple(words(each.source)) for each in rows}) == len(rows)
    assert len({tuple(words(each.target)) for each in rows}) == len(rows)


@every_split
def test_sources_are_neat_and_have_70_to_130_words(split: str) -> None:
    for each in read(split):
        assert 70 <= len(each.source.split()) <= 130
        for text in (each.source, each.target):
            assert not re.search(r"[{}|\t\n/]|  | [,.:;]", text)
            assert text == text.strip()
            assert not re.search(r"[.!?] “?[a-z]|\b[Aa] “?[aeioAEIO]", text)
            assert text.count("“") == text.count("”")


@every_split
def test_sources_have_6_to_10_sentences_which_a_splitter_finds(split: str) -> None:
    segment = pytest.importorskip("sentencex").segment
    for report in reports()[split]:
        assert 6 <= len(report.sentences) <= 10
        assert " ".join(report.sentences) == report.source
        found = [part.strip() for part in segment("en", report.source) if part.strip()]
        assert tuple(found) == report.sentences


@every_split
def test_targets_are_one_sentence_of_10_to_20_words_that_the_source_does_not_have(
    split: str,
) -> None:
    for each in read(split):
        assert 10 <= len(each.target.split()) <= 20
        assert re.fullmatch(r"(?:[A-Z]|\d)[^.!?“”]*\.", each.target)
        assert " ".join(words(each.target)) not in " ".join(words(each.source))


@every_split
def test_names_and_numbers_of_a_target_are_in_its_source(split: str) -> None:
    named: list[str] = []
    for each in read(split):
        source = set(re.findall(r"\w+", each.source))
        # The first word has a capital whatever it is.
        found = re.findall(r"(?<!^)\b(?:[A-Z]\w*|\d+)\b", each.target)
        assert source.issuperset(found), each
        named += found
    assert len(named) > 2 * len(read(split))


@every_split
def test_facts_of_a_target_are_in_its_source_and_told_where_the_point_is(split: str) -> None:
    for report in reports()[split]:
        point = " ".join(report.sentences[i] for i in report.point).lower()
        assert report.told
        in_point = 0
        for slot in report.told:
            fact = report.words[slot].lower()
            assert fact in report.source.lower()
            assert fact in report.target.lower()
            in_point += fact in point
        assert in_point >= 2


@every_split
def test_the_point_follows_an_opening_and_at_least_one_sentence_about_something_else(
    split: str,
) -> None:
    for report in reports()[split]:
        assert min(report.point) >= 2
        assert len(report.point) <= 2
        assert all(slots(report.patterns[i]) & set(report.told) != set(report.told) for i in (0, 1))


def test_no_other_sentence_of_the_grammar_gives_what_the_summary_is_about() -> None:
    """Slots of the summary that make the news stand in sentences of the point alone."""
    generate = load("generate")
    for topic, event in generate.events(grammar()):
        (target,) = grammar()[f"{topic} {event} target"]["all"]
        elsewhere: set[str] = set()
        for rule in (f"{topic} open", f"{topic} after", f"{topic} {event} before"):
            for pool in grammar()[rule].values():
                for pattern in pool:
                    elsewhere |= slots(pattern)
        assert len(slots(target) - elsewhere) >= 1, (topic, event)


def test_every_event_has_sentences_for_every_part_and_for_every_split() -> None:
    events = load("generate").events(grammar())
    assert len(events) == len(set(events))
    for topic, event in events:
        for rule in (f"{topic} open", f"{topic} after", f"{topic} {event} before"):
            assert set(grammar()[rule]) == {"all", "validation", "test"}
        point = grammar()[f"{topic} {event} point"]
        assert set(point) == {"all", "validation", "test"}
        assert sum(" // " in pattern for pattern in point["all"]) == 1


def test_no_alternative_of_the_grammar_stands_in_two_places() -> None:
    for rule, pools in grammar().items():
        choices = [choice for pool in pools.values() for choice in pool]
        assert len(set(choices)) == len(choices), rule
        assert all(choices), rule


def test_words_and_sentences_of_a_held_out_split_are_in_no_other() -> None:
    generate = load("generate")
    for own, others in (("validation", ("train", "test")), ("test", ("train", "validation"))):
        only = {
            pattern
            for rule, pools in grammar().items()
            if rule.split()[-1] in generate.SENTENCES
            for choice in pools.get(own, [])
            for pattern in choice.split(" // ")
        }
        used = {
            split: {pattern for report in reports()[split] for pattern in report.patterns}
            for split in SPLITS
        }
        assert len(only & used[own]) > len(only) * 0.5
        assert not any(only & used[other] for other in others)


def test_the_example_of_the_datasheet_is_in_train() -> None:
    found = re.search(r"^> (.+)\n>\n> (.+)$", DATASHEET, flags=re.MULTILINE)
    assert found is not None
    assert found.groups() in {(each.source, each.target) for each in read("train")}


@every_split
def test_the_datasheet_gives_the_counts_of_the_files(split: str) -> None:
    rows = read(split)
    sentences = sum(len(report.sentences) for report in reports()[split])
    source = sum(len(each.source.split()) for each in rows)
    target = sum(len(each.target.split()) for each in rows)
    assert claimed(split) == row(len(rows), sentences, source, target)


def test_the_datasheet_gives_every_event_with_its_counts() -> None:
    found = {split: Counter((r.topic, r.event) for r in reports()[split]) for split in SPLITS}
    events = load("generate").events(grammar())
    for topic, event in events:
        (target,) = grammar()[f"{topic} {event} target"]["all"]
        frame = load("generate").SLOT.sub("…", target)
        counts = [found[split][topic, event] for split in SPLITS]
        assert claimed(f"{topic} | {frame}") == row(*counts)
        assert max(counts) - min(counts) < counts[0]
    assert len(re.findall(r"^\| \w+ \| [^|]*….*\|$", DATASHEET, flags=re.MULTILINE)) == len(events)
    for counted in found.values():
        assert max(counted.values()) - min(counted.values()) <= 1


def test_the_datasheet_gives_how_much_of_the_held_out_splits_train_lacks() -> None:
    found: dict[str, list[float]] = {}

    def note(what: str, share: float) -> None:
        found.setdefault(what, []).append(share)

    in_targets = {word for each in read("train") for word in words(each.target)}
    in_train = in_targets | {word for each in read("train") for word in words(each.source)}
    patterns = {pattern for report in reports()["train"] for pattern in report.patterns}
    for split in HELD_OUT:
        targets = [words(each.target) for each in read(split)]
        everything = [word for target in targets for word in target]
        fresh = statistics.mean(word not in in_targets for word in everything)
        note("words of targets that no target of train has", fresh)
        some = [any(word not in in_targets for word in target) for target in targets]
        note("targets with such a word", statistics.mean(some))
        nowhere = [any(word not in in_train for word in target) for target in targets]
        note("targets with a word that train lacks everywhere", statistics.mean(nowhere))
        used = [pattern for report in reports()[split] for pattern in report.patterns]
        share = statistics.mean(pattern not in patterns for pattern in used)
        note("sentences after a pattern that train lacks", share)
        points = [r.patterns[i] not in patterns for r in reports()[split] for i in r.point]
        note("of these, sentences of the point", statistics.mean(points))
    for what, shares in found.items():
        assert claimed(what) == percent(*shares)


def test_the_datasheet_gives_where_the_point_is_and_what_is_like_it() -> None:
    found: dict[str, list[float]] = {}

    def note(what: str, marks: list[bool]) -> None:
        found.setdefault(what, []).append(statistics.mean(marks))

    for split in SPLITS:
        drawn = reports()[split]
        for place, name in ((2, "third"), (3, "fourth"), (4, "fifth"), (5, "sixth")):
            note(f"the point begins in the {name} sentence", [r.point[0] == place for r in drawn])
        last = [r.point[-1] == len(r.sentences) - 1 for r in drawn]
        note("the point ends with the report", last)
        note("the point takes two sentences", [len(r.point) == 2 for r in drawn])
        decoys = []
        for report in drawn:
            kinds = {slot.rstrip("0123456789") for slot in report.told}
            others = {s.rstrip("0123456789") for s in set(report.words) - set(report.told)}
            decoys.append(len(kinds & others) / len(kinds))
        note(
            "all kinds of facts of the summary are told of something else too",
            [share == 1 for share in decoys],
        )
        note("at least half of them are", [share >= 0.5 for share in decoys])
    for what, shares in found.items():
        assert claimed(what) == percent(*shares)
    assert all(max(shares) < 0.4 for what, shares in found.items() if "begins" in what)


@pytest.mark.slow
def test_baselines_score_what_the_datasheet_says() -> None:
    for split, scores in baseline_scores().items():
        assert len(scores) == 5
        for name, values in scores.items():
            numbers = claimed(f"{split}: {name}").split(" | ")
            assert [float(number) for number in numbers] == pytest.approx(values, abs=0.0006)


@pytest.mark.slow
@pytest.mark.parametrize("split", HELD_OUT)
def test_reading_is_needed_and_pays(split: str) -> None:
    rouge_l = {name: values[-1] for name, values in baseline_scores()[split].items()}
    assert rouge_l["first sentence"] < 0.3
    assert rouge_l["TextRank, one sentence"] < 0.45
    assert rouge_l["best sentence (oracle)"] > rouge_l["first sentence"] + 0.3
    # A summary that fuses and rewords can be better than any sentence.
    assert rouge_l["best sentence (oracle)"] < 0.75


def test_textrank_visits_sentences_as_often_as_networkx_does() -> None:
    networkx = pytest.importorskip("networkx")
    pytest.importorskip("scipy")
    baselines = load("baselines")
    for sentences, target in baselines.read("validation")[:40]:
        parts = [baselines.TOKENIZER.tokenize(sentence) for sentence in sentences]
        graph = networkx.Graph()
        graph.add_nodes_from(range(len(parts)))
        for i, one in enumerate(parts):
            for k, other in enumerate(parts[:i]):
                graph.add_edge(i, k, weight=baselines.likeness(one, other))
        rank = networkx.pagerank(graph, alpha=0.85, tol=1e-12)
        assert baselines.textrank(sentences, target) == sentences[max(rank, key=rank.__getitem__)]
