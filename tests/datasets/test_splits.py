"""The carried class lists agree with the published tables."""

from __future__ import annotations

import pytest

from datasets.splits import UNKNOWN_GROUPS, load_plan

PLAN = load_plan("osma")
SPLITS = [f"split{number}" for number in range(1, 6)]

# Known classes by label, as published: one row per label, one column per split.
KNOWN = """
real real real real real
celeba_ProGAN_seed0 celeba_ProGAN_seed1 celeba_ProGAN_seed2 celeba_ProGAN_seed3 celeba_ProGAN_seed4
celeba_StarGAN celeba_InfomaxGAN celeba_AttGAN celeba_SNGAN celeba_AttGAN
FFHQ_StyleGAN3_r CelebA_HQ_StyleGAN CelebA_HQ_ProGAN FFHQ_StyleGAN3_r CelebA_HQ_StyleGAN
FFHQ_StyleGAN3_t FFHQ_StyleGAN3_t FFHQ_StyleGAN3_t CelebA_HQ_ProGAN FFHQ_StyleGAN3_t
SNGAN_imagenet ContraGAN_imagenet S3GAN_imagenet BigGAN_imagenet BigGAN_imagenet
SAGAN_imagenet SNGAN_imagenet SNGAN_imagenet ContraGAN_imagenet ContraGAN_imagenet
lsun_ProGAN_seed0 lsun_ProGAN_seed1 lsun_ProGAN_seed2 lsun_ProGAN_seed3 lsun_ProGAN_seed4
lsun_MMDGAN lsun_SNGAN lsun_InfomaxGAN lsun_SNGAN lsun_InfomaxGAN
FaceSwap Faceshifter FaceSwap wav2lip wav2lip
FSGAN FSGAN Faceshifter FSGAN FaceSwap
stylegan_cat sngan_cat progan_cat progan_cat stylegan_cat
stylegan3_cat stylegan2_cat sngan_cat mmdgan_cat progan_cat
stylegan_bus stylegan_bus progan_bus sngan_bus mmdgan_bus
progan_bus stylegan3_bus mmdgan_bus mmdgan_bus progan_bus
"""


def test_five_splits_name_82_classes() -> None:
    assert list(PLAN.splits) == SPLITS
    assert len(PLAN.generators) + 1 == 82


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_has_the_published_number_of_classes(split: str) -> None:
    lists = PLAN.splits[split]
    assert [len(lists.known), *(len(lists.unknown[group]) for group in UNKNOWN_GROUPS)] == [15, 10, 22, 21]


def test_known_classes_have_the_published_labels() -> None:
    rows = [line.split() for line in KNOWN.strip().splitlines()]
    for column, split in enumerate(SPLITS):
        assert list(PLAN.splits[split].known) == [row[column] for row in rows]


def test_every_generator_has_a_folder_of_its_own() -> None:
    assert sorted(PLAN.folders) == PLAN.generators
    assert len(set(PLAN.folders.values())) == 81
    assert PLAN.folders["Faceshifter"] == "FaceShifter/youtube_c23"  # the one whose case differs
    assert PLAN.folders["lsun_ProGAN_seed5"] == "ProGAN/multiseed_lsun/lsun_bedroom_200k_png_seed_v5"
    assert PLAN.folders["stylegan3_church_outdoor"] == "styleGAN3/church_outdoor"


@pytest.mark.parametrize("number", range(1, 6))
def test_a_split_knows_one_seed_of_two_generators_and_the_others_are_unseen_seeds(number: int) -> None:
    lists = PLAN.splits[f"split{number}"]
    for data in ("celeba", "lsun"):
        assert f"{data}_ProGAN_seed{number - 1}" in lists.known
        others = [f"{data}_ProGAN_seed{seed}" for seed in range(6) if seed != number - 1]
        assert [name for name in lists.unknown["seed"] if name.startswith(data)] == others


@pytest.mark.parametrize("split", SPLITS)
def test_unseen_data_sets_are_of_architectures_that_the_split_knows_on_cats_or_buses(split: str) -> None:
    lists = PLAN.splits[split]
    on_cat_or_bus = {name.split("_")[0] for name in lists.known if name.endswith(("_cat", "_bus"))} - {"stylegan2"}
    assert {name.split("_")[0] for name in lists.unknown["dataset"]} == on_cat_or_bus
