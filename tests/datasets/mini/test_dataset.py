"""The embedded data set as a whole: counts, roles, and that content does not betray the source."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from datasets.errors import UserError
from datasets.mini.codes import encode
from datasets.mini.dataset import Mini, class_size
from datasets.mini.photographs import SEEN_CONTENTS, UNSEEN_REAL
from datasets.settings import DataSettings
from datasets.splits import REAL, UNKNOWN_GROUPS, load_plan, parse_split

SIZES = DataSettings(image_size=64, train_per_class=10, val_per_class=4, test_per_class=6)


@pytest.fixture(scope="module")
def mini() -> Mini:
    return Mini(SIZES)


@pytest.mark.parametrize("name", load_plan("mini").splits)
def test_every_split_has_the_scale_model_s_number_of_classes(name: str) -> None:
    split = load_plan("mini").splits[name]
    assert len(split.known) == 15 and split.known[0] == REAL
    assert {group: len(split.unknown[group]) for group in UNKNOWN_GROUPS} == {"seed": 10, "arch": 14, "dataset": 12}


@pytest.mark.parametrize("name", load_plan("mini").splits)
def test_groups_are_what_their_names_say(name: str) -> None:
    split = load_plan("mini").splits[name]
    known = {tuple(member.split("-")[:2]) for member in split.known[1:]}
    families, contents = {family for _, family in known}, {content for content, _ in known}
    for member in split.unknown["seed"]:
        assert tuple(member.split("-")[:2]) in known
    for member in split.unknown["arch"]:
        content, family, _ = member.split("-")
        assert content in contents and (content, family) not in known
    for member in split.unknown["dataset"]:
        content, family, _ = member.split("-")
        assert content not in contents and family in families


def test_parts_hold_the_promised_images(mini: Mini) -> None:
    split = mini.split("split1")
    for images, role, base in ((split.train, "train", 10), (split.val, "val", 4)):
        for label, name in enumerate(images.classes):
            assert np.count_nonzero(images.labels == label) == class_size(name, role, base)  # type: ignore[arg-type]
    assert len(np.unique(split.train.ids)) == len(split.train)
    everything = np.concatenate(
        [split.train.ids, split.val.ids, split.test.ids, *(u.ids for u in split.unknown.values())]
    )
    assert len(np.unique(everything)) == len(everything)


def test_unseen_real_sources_are_half_of_the_real_test_images_and_nowhere_else(mini: Mini) -> None:
    split = mini.split("split2")
    assert split.test.sources is not None and split.train.sources is not None and split.val.sources is not None
    unseen = np.isin(split.test.sources, list(UNSEEN_REAL))
    assert unseen.sum() * 2 == np.count_nonzero(split.test.labels == 0)
    assert set(split.train.sources[split.train.labels == 0]) == set(SEEN_CONTENTS)
    assert not np.isin(split.train.sources, list(UNSEEN_REAL)).any()
    assert not np.isin(split.val.sources, list(UNSEEN_REAL)).any()


def test_class_sizes_differ_and_stay_within_six_per_cent() -> None:
    sizes = {class_size(name, "train", 1000) for name in load_plan("mini").generators}
    assert len(sizes) > 30 and min(sizes) >= 940 and max(sizes) <= 1060


def test_a_smaller_image_is_the_centre_of_the_larger_one(mini: Mini) -> None:
    small = Mini(SIZES.model_copy(update={"image_size": 32})).split("split1").val
    large = mini.split("split1").val
    assert np.array_equal(small.batch(slice(0, 40)), large.batch(slice(0, 40))[:, 16:48, 16:48])


def test_the_fingerprint_changes_with_the_recipe_and_not_by_itself(mini: Mini) -> None:
    assert Mini(SIZES).fingerprint == mini.fingerprint
    assert Mini(SIZES.model_copy(update={"val_per_class": 5})).fingerprint != mini.fingerprint


def test_bad_requests_are_refused_in_one_line(mini: Mini) -> None:
    with pytest.raises(UserError, match="no split 'split9'"):
        mini.split("split9")
    with pytest.raises(UserError, match="asks for more"):
        Mini(DataSettings(image_size=128))
    with pytest.raises(UserError, match="two roles"):
        parse_split("s", {"known": ["real", "a"], "unknown": {"seed": ["a"]}}, "plan.yaml")
    with pytest.raises(UserError, match="first known class"):
        parse_split("s", {"known": ["a"], "unknown": {}}, "plan.yaml")
    with pytest.raises(UserError, match="no unknown group 'seeds'"):
        parse_split("s", {"known": ["real"], "unknown": {"seeds": []}}, "plan.yaml")


def probe_accuracy(codes: np.ndarray, labels: np.ndarray, test_codes: np.ndarray, test_labels: np.ndarray) -> float:
    """Nearest neighbours on flattened codes."""
    probe = KNeighborsClassifier(5).fit(codes.reshape(len(codes), -1), labels)
    return float(probe.score(test_codes.reshape(len(test_codes), -1), test_labels))


def test_codes_do_not_betray_the_generator_of_a_content() -> None:
    """Generators of one content share their code list, so a probe on the codes cannot beat chance."""
    from datasets.mini.crops import cut, draw_boxes

    train, test = (encode(cut("flower", draw_boxes("flower", role, "code", 60))) for role in ("train", "test"))
    labels, generators = np.repeat(np.arange(4), 60), 4
    accuracy = probe_accuracy(np.tile(train, (4, 1, 1, 1)), labels, np.tile(test, (4, 1, 1, 1)), labels)
    assert accuracy == pytest.approx(1 / generators, abs=1e-9)


def test_codes_do_not_betray_whether_an_image_is_real() -> None:
    from datasets.mini.crops import cut, draw_boxes

    def drawn(role: str) -> tuple[np.ndarray, np.ndarray]:
        parts = [
            encode(cut(content, draw_boxes(content, role, stream, 50)))  # type: ignore[arg-type]
            for stream in ("real", "code")
            for content in SEEN_CONTENTS
        ]
        return np.concatenate(parts), np.repeat([0, 1], 50 * len(SEEN_CONTENTS))

    accuracy = probe_accuracy(*drawn("train"), *drawn("test"))
    assert abs(accuracy - 0.5) < 3 * np.sqrt(0.25 / 600)  # three standard errors of a coin
