"""POSE: progressive open space expansion.

Paper: Yang, Wang, Tang, Zhao, Cao, Tang, "Progressive Open Space Expansion for Open-Set Model
Attribution", CVPR 2023, https://arxiv.org/abs/2303.06877.
Code read: ICTMCG/POSE (train/trainer_progressive.py, models/augment_network.py, loss/loss.py, configs).

Epoch by epoch a new augmentation model (AM) is trained together with the classifier and then frozen.
The AM must reconstruct the image (L_recons), stay near known data and leave what the previous AMs
cover (L_div); the classifier must name the source (L_cls) and keep augmented images of a class apart
from that class and from one another (L_metric, a batch-hard triplet loss).

Kept, each as a setting whose default is what produced the published numbers: the softmax of a softmax
in L_cls; batch statistics and dropout in the first epoch only, then frozen (the code never returns to
training mode); a margin on the mean cosine of a batch; one random old AM per batch, drawn anew for each
of the two steps; no clipping of augmented images; features after the in-place dropout.
Changed: 20 epochs (see base.py); the freeze, the decay and the epochs count steps, so that they mean
the same on a data set of another size; once statistics are frozen the clean features of the two steps
are equal and are computed once.
Confidence: largest softmax probability. Cost: 11 forward-equivalents per batch once an old AM exists
(13 as in the code), against 3 of Base.
Released weights: split<n>/model.pth, and what lies in split<n>/models for the figures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from datasets.errors import UserError
from datasets.types import ImageSet
from methods.base import QUICK, Base, BaseConfig
from methods.core.batches import Batch, Batches, normalise
from methods.core.losses import batch_hard_triplet
from methods.core.method import Task
from methods.core.networks.augmentation_model import Activation, AugmentationModel, AugmentationModels
from methods.core.networks.simple_cnn import SimpleCnn
from methods.core.registry import register
from methods.core.released import TakesReleased, load_released
from methods.core.state import Tree
from methods.core.training import descend, frozen, recalibrate_batch_norm, step_decay

COSINE_EPS = 1e-6  # trainer_progressive.py


class PoseConfig(BaseConfig):
    """Settings of POSE; in brackets the names of the official configuration."""

    FORMER: ClassVar[Mapping[str, str | None]] = {"first_round_forwards": "first_epoch_forwards"}

    steps_per_epoch: int | None = Field(default=509, ge=1)  # one pass over OSMA
    freeze_after_steps: int | None = Field(default=509, ge=0)  # then evaluation mode; None: never ("always_train")
    first_epoch_forwards: Literal["official", "needed"] = "official"  # forwards that only move batch statistics
    recalibrate_before_freeze: bool = False  # replace running statistics by those of clean images first
    am_learning_rate: float = Field(default=1e-2, gt=0)  # a new Adam every epoch
    am_layers: int = Field(default=2, ge=1, le=3)
    am_kernel: Literal[1, 3, 5] = 3
    am_hidden: int = Field(default=32, ge=1)  # [inc]
    am_activation: Activation = "none"
    clip_augmented: bool = False
    reconstruction_floor: float = Field(default=0.0, ge=0)  # [mse_lowbound]
    close_weight: float = Field(default=1e-2, ge=0)  # [w_close_known], the paper's beta
    close_margin: float = 0.95  # [known_sim_limit], the paper's d
    close_margin_on: Literal["batch", "sample"] = "batch"
    push_weight: float = Field(default=1e-4, ge=0)  # [w_dist_pre], the paper's alpha
    old_models: Literal["one", "all"] = "one"
    triplet_margin: float = Field(default=0.3, ge=0)
    snapshots: tuple[int, ...] = (5, 10, 15, 20)  # epochs whose network is kept for the figures


POSE_QUICK: dict[str, Any] = {
    **QUICK, "epochs": 10, "decay_steps": 25, "freeze_after_steps": 100, "first_epoch_forwards": "needed",
    "recalibrate_before_freeze": True, "snapshots": (),
}  # fmt: skip


@register("pose")
class Pose(Base, TakesReleased):
    """Base with progressively trained augmentation models and the diversity loss."""

    title = "POSE"
    tables: ClassVar[tuple[str, ...]] = ("open-set", "attribution")
    Config = PoseConfig
    PRESETS = {
        "smoke": {**POSE_QUICK, "width": 8, "epochs": 2, "steps_per_epoch": 15, "freeze_after_steps": 20},
        "quick": POSE_QUICK,
        "standard": {
            **POSE_QUICK,
            "width": 32,
            "epochs": 20,
            "steps_per_epoch": 200,
            "decay_steps": 200,
            "freeze_after_steps": 400,
            "snapshots": (5, 10, 15, 20),
        },
    }
    VARIANTS = {
        "ce": {"classification": "ce"},
        "layers1": {"am_layers": 1},
        "layers3": {"am_layers": 3},
        "kernel1": {"am_kernel": 1},
        "kernel5": {"am_kernel": 5},
        "relu": {"am_activation": "relu"},
        "tanh": {"am_activation": "tanh"},
    }
    STANDING: ClassVar[tuple[str, ...]] = ()
    ABLATIONS = {
        "diversity": ("base", "base_am", "pose"),
        # The paper's: two layers, kernel 3, convolutions alone.
        "am-architecture": (
            "pose", "pose@layers1", "pose@layers3", "pose@kernel1", "pose@kernel5", "pose@relu", "pose@tanh",
        ),
    }  # fmt: skip

    config: PoseConfig

    def prepare_fit(self, train: ImageSet) -> None:
        super().prepare_fit(train)
        self.old = AugmentationModels(self.run.device)
        self.snapshots: dict[str, dict[str, Tensor]] = {}
        self.calibration = self.run.batches(train, size=self.config.batch_size, steps=20, name="calibration")

    def tracked(self) -> dict[str, Any]:
        return {**super().tracked(), "old": self.old, "kept": _Snapshots(self.snapshots)}

    def train_epoch(self, epoch: int, batches: Batches) -> None:
        """Train a new augmentation model together with the classifier, then freeze it."""
        config = self.config
        with self.run.seeded("augmentation model", epoch):
            self.new = self.augmentation_model()
        self.new_optim = torch.optim.Adam(self.new.parameters(), lr=config.am_learning_rate)
        self.new_sched = step_decay(self.new_optim, config.decay_factor, config.decay_steps)
        self.draw = self.run.numpy_generator("old model", epoch)
        for step, batch in enumerate(batches.epoch(epoch), start=epoch * len(batches)):
            self.set_mode(step)
            self.train_step(batch)
        self.old.append(self.new, self.am_shape)
        if epoch + 1 in config.snapshots:
            self.snapshots[f"epoch{epoch + 1}"] = {k: v.detach().clone() for k, v in self.net.state_dict().items()}

    @property
    def am_shape(self) -> dict[str, int | str]:
        config = self.config
        shape: dict[str, int | str] = {"layers": config.am_layers, "kernel": config.am_kernel}
        return shape | {"hidden": config.am_hidden, "activation": config.am_activation}

    def augmentation_model(self) -> AugmentationModel:
        return AugmentationModel(**self.am_shape).to(self.run.device)  # type: ignore[arg-type]

    def set_mode(self, step: int) -> None:
        """Training mode until the freeze, evaluation mode ever after; weights learn in both."""
        freeze = self.config.freeze_after_steps
        if freeze is None or step < freeze:
            self.net.train()
            return
        if step == freeze and self.config.recalibrate_before_freeze:
            recalibrate_batch_norm(self.net, (batch.images for batch in self.calibration.epoch(0)))
        self.net.eval()

    def train_step(self, batch: Batch) -> None:
        """One step of the new augmentation model, then one of the classifier."""
        # With frozen statistics and no dropout the clean forward is the same in both steps.
        shared = None if self.net.training else self.net(batch.images)
        augmentation = self.augmentation_terms(batch, shared)
        descend(torch.stack([*augmentation.values()]).sum(), self.new_optim, self.new_sched)
        task = self.task_terms(batch, shared)
        descend(torch.stack([*task.values()]).sum(), self.optim, self.sched)
        self.run.log(**augmentation, **task)

    # -- the augmentation model's loss ---------------------------------------------------------------

    def augmentation_terms(self, batch: Batch, shared: tuple[Tensor, Tensor] | None) -> dict[str, Tensor]:
        """L_recons, and with an old model L_div; gradients reach the new model only."""
        config, images = self.config, batch.images
        with frozen(self.net):
            augmented = self.augment(self.new, images)
            reconstruction = F.mse_loss(augmented, images).clamp_min(config.reconstruction_floor)
            terms = {"reconstruction": reconstruction}
            only_statistics = self.net.training and config.first_epoch_forwards == "official"
            if not (self.diverse or only_statistics):
                return terms
            new = self.net(augmented)[1]
            with torch.no_grad():
                clean = self.net(images)[1] if shared is None else shared[1].detach()
                old = [self.net(self.augment(model, images))[1] for model in self.drawn_models()]
            if self.diverse:
                terms["close"] = config.close_weight * self.closeness_gap(clean, new)
                push = [cosine(new, feature).mean() for feature in old]
                terms["push"] = config.push_weight * torch.stack(push).mean()
        return terms

    @property
    def diverse(self) -> bool:
        """Whether L_div takes part: it needs an old model and a weight."""
        return len(self.old) > 0 and (self.config.close_weight > 0 or self.config.push_weight > 0)

    def closeness_gap(self, clean: Tensor, new: Tensor) -> Tensor:
        """How far augmented features lie from clean ones, constant once they are within the margin."""
        similarity = cosine(clean, new)
        if self.config.close_margin_on == "batch":
            similarity = similarity.mean()
        return (1 - similarity).clamp_min(1 - self.config.close_margin).mean()

    # -- the classifier's loss -----------------------------------------------------------------------

    def task_terms(self, batch: Batch, shared: tuple[Tensor, Tensor] | None) -> dict[str, Tensor]:
        """L_cls + L_metric(new) + L_metric(old); gradients reach the classifier only."""
        logits, clean = self.net(batch.images) if shared is None else shared
        terms = {"cls": self.classification_loss(logits, batch.labels)}
        terms["metric_new"] = self.metric_loss(clean, self.new, batch)
        old = [self.metric_loss(clean, model, batch) for model in self.drawn_models()]
        if old:
            terms["metric_old"] = torch.stack(old).mean()
        return terms

    def metric_loss(self, clean: Tensor, model: AugmentationModel, batch: Batch) -> Tensor:
        """Triplet loss on clean and augmented features; an augmented class is a class of its own."""
        with torch.no_grad():
            augmented = self.augment(model, batch.images)
        feature = self.net(augmented)[1]
        labels = torch.cat([batch.labels, batch.labels + self.task.num_classes])
        return batch_hard_triplet(torch.cat([clean, feature]), labels, self.config.triplet_margin)

    # -- both ----------------------------------------------------------------------------------------

    def augment(self, model: AugmentationModel, images: Tensor) -> Tensor:
        augmented: Tensor = model(images)
        return augmented.clamp(-1, 1) if self.config.clip_augmented else augmented

    def drawn_models(self) -> list[AugmentationModel]:
        """The old models of this step: one at random (a fresh draw every time), or all; none in epoch 0."""
        if not len(self.old):
            return []
        if self.config.old_models == "all":
            return [self.old[position] for position in range(len(self.old))]
        return [self.old[int(self.draw.integers(len(self.old)))]]

    # -- keeping and showing -------------------------------------------------------------------------

    def state(self) -> Tree:
        return {**super().state(), "old": self.old.state_dict(), "snapshots": self.snapshots}

    def restore(self, state: Tree) -> None:
        super().restore(state)
        self.old = AugmentationModels(self.run.device)
        self.old.load_state_dict(state["old"])
        self.snapshots = state["snapshots"]

    def views(self, images: ImageSet) -> Mapping[str, Iterator[Tensor]]:
        """Images as every augmentation model changes them."""
        return {f"augmented by AM {i}": self._augmented(self.old[i], images) for i in range(len(self.old))}

    def _augmented(self, model: AugmentationModel, images: ImageSet) -> Iterator[Tensor]:
        with torch.inference_mode():
            for pixels in self.run.sweep(images):
                yield self.augment(model, normalise(pixels))

    # -- the weights that the authors released -------------------------------------------------------

    @classmethod
    def released_classifier(cls, folder: Path, split: str) -> Path:
        """The network of the published figures."""
        return folder / split / "model.pth"

    @classmethod
    def released_course(cls, folder: Path, split: str) -> Path:
        """What was kept on the way: augmentation models and networks after some epochs; for splits 1 and 2."""
        return folder / split / "models"

    @classmethod
    def released_files(cls, folder: Path, split: str) -> Sequence[Path]:
        classifier, course = cls.released_classifier(folder, split), cls.released_course(folder, split)
        if not classifier.is_file():
            raise UserError(f"there are no released weights {classifier}; unpack them there, or choose other --splits")
        others = [*numbered(course, "augnet_").values(), *numbered(course, "model_epoch").values()]
        return list(dict.fromkeys([classifier, *others]))

    def take_released(self, folder: Path, split: str, task: Task) -> None:
        self.task = task
        course = self.released_course(folder, split)
        self.net = cast(SimpleCnn, self.build().to(self.run.device))
        load_released(self.net, self.released_classifier(folder, split))
        self.net.eval()
        self.old, self.snapshots = AugmentationModels(self.run.device), {}
        for position, (number, path) in enumerate(numbered(course, "augnet_").items()):
            if number != position:
                raise UserError(f"{path} is there, but augnet_{position}.pth before it is not; unpack all of them")
            model = self.augmentation_model()
            load_released(model, path)
            self.old.append(model, self.am_shape)
        for number, path in numbered(course, "model_epoch").items():
            network = self.build()
            load_released(network, path)
            self.snapshots[f"epoch{number}"] = network.state_dict()


def numbered(folder: Path, prefix: str) -> dict[int, Path]:
    """Released files `<prefix><number>.pth` of a folder by their numbers, in order; none if there is no folder."""
    matches = {path: re.fullmatch(rf"{prefix}(\d+)\.pth", path.name) for path in folder.glob(f"{prefix}*.pth")}
    found = {int(match[1]): path for path, match in matches.items() if match is not None}
    return dict(sorted(found.items()))


class _Snapshots:
    """Lets a plain dictionary of kept weights be tracked."""

    def __init__(self, kept: dict[str, dict[str, Tensor]]) -> None:
        self._kept = kept

    def state_dict(self) -> Tree:
        return self._kept

    def load_state_dict(self, state: Tree) -> None:
        self._kept.clear()
        self._kept.update(state)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine similarity of rows, (B,)."""
    return F.cosine_similarity(a, b, dim=1, eps=COSINE_EPS)
