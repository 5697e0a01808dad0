"""Targets, losses and what is known of all of train, worked by hand and against torch."""

import math
from typing import Any

import pytest
import torch
from sklearn.metrics import cohen_kappa_score  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.classification.modes.choice import make_objective, objective_class
from zoo.classification.modes.regression import VALUE
from zoo.errors import ZooError

pytestmark = pytest.mark.filterwarnings("ignore:The variance of predictions or target")


def _objective(mode: Any, labels: int = 3, **options: Any) -> Any:
    names = [VALUE] if mode == "regression" else [str(number) for number in range(labels)]
    return make_objective(mode, names, **{"balanced": False, "smoothing": 0.0, **options})


def _batch(labels: Tensor, **more: Any) -> dict[str, Any]:
    return {"labels": labels, "example": list(range(len(labels))), **more}


def test_targets_of_each_mode_worked_by_hand() -> None:
    ids = {"a": 0, "b": 1, "c": 2}
    for mode in ("single_label", "ordinal"):
        kind: Any = objective_class(mode)
        assert kind.target(("c",), ids) == [2]
        made = kind.targets([[2.0], [0.0]], labels=3)
        assert made.dtype == torch.long
        assert made.tolist() == [2, 0]
    several: Any = objective_class("multi_label")
    assert several.target(("c", "a"), ids) == [2, 0]
    assert several.targets([[2.0, 0.0], [], [1.0]], labels=3).tolist() == [
        [1, 0, 1],
        [0, 0, 0],
        [0, 1, 0],
    ]
    number: Any = objective_class("regression")
    assert number.target(("-1.5e1",), {}) == [-15.0]
    assert number.targets([[-15.0], [2.5]], labels=1).tolist() == [-15.0, 2.5]


def test_constants_of_each_mode_worked_by_hand() -> None:
    labels = ["a", "b", "c"]
    rows = [("a",), ("a",), ("a",), ("b",)]
    for mode in ("single_label", "ordinal"):
        kind: Any = objective_class(mode)
        # 4 texts, 2 labels that train has: 4 / (2 * 3), 4 / (2 * 1); c is not there.
        assert kind.constants(rows, labels)["class_weights"].tolist() == pytest.approx(
            [2 / 3, 2, 0]
        )
        assert kind.constants([], labels)["class_weights"].tolist() == [0, 0, 0]
    several: Any = objective_class("multi_label")
    found = several.constants([("a", "b"), ("a",), (), ("a",), ("a",)], labels)
    # a: one text without, four with it; b: four without, one with it; c is not there.
    assert found["class_weights"].tolist() == [0.25, 4.0, 1.0]
    rare = several.constants([("a",), *[("b",)] * 500], labels)["class_weights"]
    assert float(rare[0]) == 100.0
    number: Any = objective_class("regression")
    # Mean 3, deviations -2, 0, 2: variance 8 / 3.
    scale = number.constants([("1",), ("3",), ("5",)], [VALUE])["scale"]
    assert scale.tolist() == pytest.approx([3, math.sqrt(8 / 3)])
    assert number.constants([], [VALUE])["scale"].tolist() == [0, 1]


@pytest.mark.parametrize("value", ["0.1", "0", "123456.789", "-3e20"])
def test_targets_that_are_all_alike_have_a_spread_of_1(value: str) -> None:
    number: Any = objective_class("regression")
    mean, spread = number.constants([(value,)] * 7, [VALUE])["scale"].tolist()
    assert mean == pytest.approx(float(value))
    assert spread == 1.0


def _spread(gold: int, labels: int) -> list[float]:
    shares = [math.exp(-((one - gold) ** 2)) for one in range(labels)]
    return [share / sum(shares) for share in shares]


def test_the_ordinal_loss_is_cross_entropy_to_targets_that_fade_with_distance() -> None:
    logits = torch.randn(4, 5)
    gold = [0, 2, 4, 2]
    losses = []
    for row, label in zip(logits.tolist(), gold, strict=True):
        whole = math.log(sum(map(math.exp, row)))
        losses.append(
            sum(
                share * (whole - logit) for share, logit in zip(_spread(label, 5), row, strict=True)
            )
        )
    objective = _objective("ordinal", 5)
    batch = _batch(torch.tensor(gold))
    assert float(objective.loss(logits, batch)) == pytest.approx(sum(losses) / 4, rel=1e-5)
    weights = torch.tensor([2.0, 1.0, 0.5, 1.0, 3.0])
    balanced = _objective("ordinal", 5, balanced=True)
    expected = (2 * losses[0] + 0.5 * losses[1] + 3 * losses[2] + 0.5 * losses[3]) / 6
    weighed = {**batch, "class_weights": weights}
    assert float(balanced.loss(logits, weighed)) == pytest.approx(expected, rel=1e-5)


def test_a_near_miss_costs_less_than_a_far_one() -> None:
    objective = _objective("ordinal", 5)
    losses = [
        float(objective.loss(4 * F.one_hot(torch.tensor([found]), 5), _batch(torch.tensor([1]))))
        for found in range(5)
    ]
    assert losses[1] < losses[0] == pytest.approx(losses[2])
    assert losses[2] < losses[3] < losses[4]


def test_an_ordinal_label_that_the_model_does_not_know_is_left_out() -> None:
    objective = _objective("ordinal", 4)
    logits = torch.randn(2, 3)
    both = objective.loss(logits, _batch(torch.tensor([1, 3])))
    torch.testing.assert_close(both, objective.loss(logits[:1], _batch(torch.tensor([1]))))
    assert float(objective.loss(logits, _batch(torch.tensor([3, 3])))) == 0


def test_the_multi_label_loss_is_torch_s_with_weights_and_smoothing() -> None:
    logits, gold = torch.randn(6, 3), torch.bernoulli(torch.full((6, 3), 0.4))
    weights = torch.tensor([0.5, 4.0, 1.0])
    batch = _batch(gold, class_weights=weights)
    plain = nn.BCEWithLogitsLoss()(logits, gold)
    torch.testing.assert_close(_objective("multi_label").loss(logits, batch), plain)
    torch.testing.assert_close(_objective("multi_label").validation_loss(logits, batch), plain)
    balanced = _objective("multi_label", balanced=True)
    torch.testing.assert_close(
        balanced.loss(logits, batch), nn.BCEWithLogitsLoss(pos_weight=weights)(logits, gold)
    )
    torch.testing.assert_close(balanced.validation_loss(logits, batch), plain)
    smooth = _objective("multi_label", smoothing=0.2)
    # 1 becomes 0.9 and 0 becomes 0.1.
    likely = logits.sigmoid()
    target = torch.where(gold > 0, 0.9, 0.1)
    by_hand = -(target * likely.log() + (1 - target) * (1 - likely).log()).mean()
    torch.testing.assert_close(smooth.loss(logits, batch), by_hand)


def test_labels_that_a_multi_label_model_lacks_are_never_given_and_left_out_of_the_loss() -> None:
    objective = _objective("multi_label", 4)
    logits, gold = torch.randn(5, 3), torch.ones(5, 4)
    batch = _batch(gold)
    expected = nn.BCEWithLogitsLoss()(logits, gold[:, :3])
    torch.testing.assert_close(objective.loss(logits, batch), expected)
    results = objective.results(logits, batch)
    assert all("3" not in one.labels and "3" in one.gold for one in results)
    objective.count("test", logits, batch)
    assert math.isfinite(float(objective.scores("test")["f1_macro"]))


def test_multi_label_results_come_the_most_probable_first_from_their_thresholds_on() -> None:
    objective = _objective("multi_label", 3)
    objective.thresholds.copy_(torch.tensor([0.0, 3.0, -2.0]))
    objective.temperature.fill_(2.0)
    first, second = objective.results(
        torch.tensor([[1.0, 2.9, -2.0], [-0.1, 3.0, -2.1]]), {"example": [7, 8]}
    )
    assert (first.example, first.labels, first.gold) == (7, ["0", "2"], [])
    assert first.probabilities == pytest.approx([1 / (1 + math.exp(-0.5)), 1 / (1 + math.exp(1))])
    assert second.labels == ["1"]
    # As the export says it, with the temperature in the weights: least probabilities.
    least = {"0": 0.5, "1": 1 / (1 + math.exp(-1.5)), "2": 1 / (1 + math.exp(1))}
    assert objective.calibration["thresholds"] == pytest.approx(least)
    again = _objective("multi_label", 4)
    again.restore(objective.calibration)
    assert again.thresholds.tolist() == pytest.approx([0.0, 1.5, -1.0, 0.0], abs=1e-6)


def test_the_scores_of_validation_are_those_of_the_thresholds_just_fitted() -> None:
    objective = _objective("multi_label", 6)
    gold = torch.bernoulli(torch.linspace(0.02, 0.7, 6).expand(300, 6))
    logits = 2 * gold + torch.randn(300, 6) - 3
    batch = _batch(gold)
    objective.count("validate", logits, batch)
    before = objective.metrics["validate"]["labels"].compute()["f1_macro"]
    objective.calibrate()
    fitted = objective.scores("validate")
    objective.count("validate", logits, batch)
    counted = objective.scores("validate")
    for name in ("f1_macro", "f1_micro", "f1_weighted"):
        assert float(fitted[name]) == pytest.approx(float(counted[name]), abs=1e-6)
    assert float(fitted["f1_macro"]) > float(before) + 0.1


def test_regression_is_learned_in_standard_scores_and_told_in_the_data_s_units() -> None:
    objective = _objective("regression")
    output = nn.Linear(4, 1)
    weights = [parameter.clone() for parameter in output.parameters()]
    gold = torch.tensor([10.0, 14.0])
    batch = _batch(gold, scale=torch.tensor([12.0, 4.0]))
    objective.begin(batch, output, kept=False)
    assert all(map(torch.equal, output.parameters(), weights))
    # Standard scores -0.5 and 0.5; errors 1.5 and -0.5, squares 2.25 and 0.25.
    logits = torch.tensor([[1.0], [0.0]])
    assert float(objective.loss(logits, batch)) == pytest.approx(1.25)
    assert [one.value for one in objective.results(logits, batch)] == [16.0, 12.0]
    assert [one.gold for one in objective.results(logits, batch)] == [10.0, 14.0]
    assert objective.results(logits, {"example": [0, 1]})[0].gold is None
    objective.count("test", logits, batch)
    assert float(objective.scores("test")["mae"]) == pytest.approx(4.0)
    scale, shift = objective.affine()
    assert (float(scale), float(shift)) == (4.0, 12.0)


def test_a_head_that_gave_numbers_keeps_giving_them_when_training_goes_on() -> None:
    objective, output = _objective("regression"), nn.Linear(4, 1)
    inputs = torch.randn(9, 4)
    before = output(inputs)[:, 0]
    batch = _batch(torch.zeros(1), scale=torch.tensor([12.0, 4.0]))
    for _ in range(2):  # a second batch changes nothing more
        objective.begin(batch, output, kept=True)
    after = torch.tensor([one.value for one in objective.results(output(inputs), _examples(9))])
    torch.testing.assert_close(after, before)


def _examples(count: int) -> dict[str, Any]:
    return {"example": list(range(count))}


def test_predictions_that_are_all_equal_correlate_with_nothing_and_nan_is_no_small_error() -> None:
    objective = _objective("regression")
    gold = torch.tensor([1.0, 2.0, 4.0])
    objective.count("test", torch.zeros(3, 1), _batch(gold))
    scores = objective.scores("test")
    assert float(scores["pearson"]) == float(scores["spearman"]) == 0.0
    assert float(scores["mae"]) == pytest.approx(7 / 3)
    objective.count("test", torch.full((3, 1), torch.nan), _batch(gold))
    assert math.isnan(float(objective.scores("test")["mae"]))


def test_kappa_is_scikit_learn_s_and_0_where_there_is_one_label() -> None:
    objective = _objective("ordinal", 5)
    gold, found = torch.randint(5, (90,)), torch.randint(5, (90,))
    objective.count("test", 5.0 * F.one_hot(found, 5), _batch(gold))
    scores = objective.scores("test")
    expected = cohen_kappa_score(gold, found, weights="quadratic")
    assert float(scores["qwk"]) == pytest.approx(expected, abs=1e-5)
    assert float(scores["mae"]) == pytest.approx(float((gold - found).abs().float().mean()))
    objective.count("test", 5.0 * F.one_hot(torch.tensor([2, 2]), 5), _batch(torch.tensor([2, 2])))
    scores = objective.scores("test")
    assert float(scores["qwk"]) == 0.0
    assert float(scores["accuracy"]) == 1.0


@pytest.mark.parametrize(
    ("mode", "labels", "options", "said"),
    [
        ("mood", ["a", "b"], {}, "no mode 'mood'; there are single_label"),
        ("ordinal", ["a"], {}, "Two labels or more"),
        ("multi_label", [], {}, "A label or more"),
        ("multi_label", ["a", "a"], {}, "each once"),
        ("ordinal", ["a", "b"], {"smoothing": 0.1}, "not for ordinal"),
        ("regression", [VALUE], {"smoothing": 0.1}, "not for regression"),
        ("regression", [VALUE], {"balanced": True}, "not for regression"),
        ("multi_label", ["a"], {"smoothing": -0.1}, "label_smoothing=-0.1"),
    ],
)
def test_what_a_mode_cannot_do_is_refused(
    mode: Any, labels: list[str], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ZooError, match=said):
        make_objective(mode, labels, **{"balanced": False, "smoothing": 0.0, **options})


def test_what_weights_of_labels_add_to_the_odds_is_taken_off_again() -> None:
    balanced = _objective("multi_label", balanced=True)
    weights = torch.tensor([1.0, 4.0, 9.0])
    batch = _batch(torch.zeros(2, 3), class_weights=weights)
    balanced.begin(batch, nn.Linear(2, 3), kept=False)
    # With weight w the loss is least where the odds are w times those of the data.
    share = torch.tensor([0.5, 0.2, 0.1])
    logits = (share / (1 - share) * weights).log().expand(2, 3)
    torch.testing.assert_close(balanced.calibrated(logits).sigmoid(), share.expand(2, 3))
    scale, shift = balanced.affine()
    torch.testing.assert_close((logits * scale + shift).sigmoid(), share.expand(2, 3))
    plain = _objective("multi_label")
    plain.begin(batch, nn.Linear(2, 3), kept=False)
    assert torch.equal(plain.calibrated(logits), logits)


@pytest.mark.parametrize("mode", ["single_label", "ordinal", "multi_label"])
def test_scores_of_a_test_do_not_depend_on_whether_the_temperature_is_folded(mode: Any) -> None:
    # Logits so near to each other that the temperature decides which of them share a bin.
    logits, gold = 0.02 * torch.randn(80, 3), torch.randint(3, (80,))
    labels = F.one_hot(gold, 3).float() if mode == "multi_label" else gold
    inside, folded = _objective(mode), _objective(mode)
    inside.temperature.fill_(0.2)
    inside.count("test", logits, _batch(labels))
    folded.count("test", logits / inside.temperature, _batch(labels))
    ours, theirs = inside.scores("test"), folded.scores("test")
    for name in ("auroc", "average_precision", "ece"):
        assert float(ours[name]) == pytest.approx(float(theirs[name]), abs=1e-6)
