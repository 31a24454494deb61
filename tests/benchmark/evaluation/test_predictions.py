"""From a fitted method to stored arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmark.evaluation.parts import PARTS
from benchmark.evaluation.predictions import Predictions, predict_split
from datasets.types import Split
from methods.core.method import Prediction
from tests.benchmark.toy import toy_request


class Echo:
    """Says for every image what it is told to; remembers what it was asked about."""

    def __init__(self, **spoilt):
        self.spoilt, self.asked = spoilt, []

    def predict(self, images):
        self.asked.append(images)
        scores = np.eye(4)[np.maximum(images.labels, 0) % 4]
        confidence = np.arange(len(images), dtype=np.float64)
        said = Prediction(scores, confidence, np.ones((len(images), 2), np.float32), {"other": -confidence})
        return replace(said, **{name: spoil(said) for name, spoil in self.spoilt.items()})


@pytest.fixture
def split():
    return toy_request().open().split("split1")


def test_a_method_is_asked_about_every_part_in_order_and_sees_no_more_than_its_images(split):
    echo = Echo()
    predictions, raw = predict_split(echo, split)
    assert [len(images) for images in echo.asked] == [24, 24, 6, 12, 6]
    assert [PARTS[part] for part in dict.fromkeys(predictions.part)] == ["val", "known", "seed", "arch", "dataset"]
    expected = [*split.val.ids, *split.test.ids, *(i for group in split.unknown.values() for i in group.ids)]
    assert predictions.ids.tolist() == expected
    assert len(raw.scores) == len(raw.features) == len(expected)
    np.testing.assert_array_equal(predictions.predicted, predictions.label % 4)
    np.testing.assert_array_equal(predictions.variants["other"], -predictions.confidence)


def test_parts_without_images_are_passed_over(split):
    empty = split.test.take(np.zeros(0, dtype=np.int64))
    bare = Split("bare", split.train, empty, split.test, {"arch": split.unknown["arch"], "dataset": empty})
    predictions, _ = predict_split(Echo(), bare)
    assert {PARTS[part] for part in predictions.part} == {"known", "arch"}


def test_predictions_come_back_from_disk_as_they_were(split, tmp_path):
    predictions, _ = predict_split(Echo(), split)
    predictions.save(tmp_path)
    again = Predictions.load(tmp_path)
    for name in ("part", "ids", "source", "label", "predicted", "confidence"):
        assert getattr(again, name).dtype == getattr(predictions, name).dtype
        np.testing.assert_array_equal(getattr(again, name), getattr(predictions, name))
    assert list(again.variants) == ["other"]


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("scores", lambda said: said.scores[:, :2], r"scores of shape \(24, 2\), expected \(24, 4\)"),
        ("scores", lambda said: said.scores / 0, "96 non-finite values in scores"),
        ("confidence", lambda said: said.confidence[:3], r"confidence of shape \(3,\), expected \(24,\)"),
        ("confidence", lambda said: said.confidence * np.nan, "24 non-finite values in confidence"),
        ("variants", lambda said: {"x": said.confidence[:1]}, r"variant 'x' of shape \(1,\), expected \(24,\)"),
        ("features", lambda said: said.features[:2], r"features of shape \(2, 2\), expected \(24, 2\)"),
        ("features", lambda said: said.features * np.inf, "48 non-finite values in features"),
    ],
)
def test_a_prediction_against_the_contract_is_refused_with_what_is_wrong(split, name, spoil, message):
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=f"predict returned {message}"):
        predict_split(Echo(**{name: spoil}), split)
