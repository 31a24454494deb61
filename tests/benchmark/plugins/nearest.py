"""Nearest class mean, quick and with every way to go wrong at hand."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Literal

import numpy as np

from datasets.types import ImageSet
from methods.core.method import Method, Prediction, Task
from methods.core.registry import register
from methods.core.settings import Settings
from methods.core.state import Tree


class NearestConfig(Settings):
    """The classes named here are those of one split, so that another split goes well."""

    rate: float = 0.5
    rounds: int = 2
    blind: bool = False  # names the first class whatever it sees
    raises_on: str = ""  # a known class
    exits_on: str = ""
    sleeps_on: str = ""
    greeting: str = ""  # path of a file
    deaths: str = ""  # path of a file with a line a death
    role: Literal["", "killer", "bystander"] = ""


@register("nearest")
class Nearest(Method):
    """Class means of a random half of the training images."""

    kind = "attribution"
    title = "Nearest mean"
    paper = "Fisher, 1936, https://doi.org/10.1111/j.1469-1809.1936.tb02137.x"
    Config = NearestConfig
    PRESETS = {"smoke": {"rounds": 3}}
    VARIANTS = {
        "raising": {"raises_on": "rings"},
        "exiting": {"exits_on": "rings"},
        "sleepy": {"sleeps_on": "checks"},
        "steady": {"rate": 0.25},
    }
    STANDING = ("steady",)
    SEARCH = {"blind": (True, False), "rounds": (1, 2)}
    ABLATIONS = {"ways": ("nearest", "nearest@raising")}
    config: NearestConfig

    def fit(self, train: ImageSet, val: ImageSet) -> None:
        self.task = Task.of(train)
        for _ in self.run.epochs(self.config.rounds, 1):
            self.run.record(val_accuracy=0.5)
        self.misbehave()
        half = self.run.numpy_generator("half").permutation(len(train))[: len(train) // 2]
        pixels = train.batch(half).astype(np.float64)
        self.means = np.stack([pixels[train.labels[half] == k].mean(axis=0) for k in range(len(train.classes))])

    def misbehave(self) -> None:
        config, classes = self.config, self.task.classes
        if config.raises_on in classes:
            raise ValueError(f"no [{config.raises_on}] please\nand a second line")
        if config.exits_on in classes:
            sys.exit("leaving")
        if config.sleeps_on in classes:
            time.sleep(600)
        if config.role == "bystander" and not Path(config.deaths).exists():
            Path(config.greeting).touch()
            time.sleep(600)  # in the middle of its work when the other one dies
        if config.role == "killer":
            while not Path(config.greeting).exists():
                time.sleep(0.05)
            with Path(config.deaths).open("a", encoding="utf-8") as file:
                file.write("died\n")
            os._exit(9)

    def predict(self, images: ImageSet) -> Prediction:
        self.require("means")
        pixels = images.batch(slice(None)).astype(np.float64)
        scores = -np.sqrt(((pixels[:, None] - self.means) ** 2).mean(axis=(2, 3, 4)))
        if self.config.blind:
            scores[:, 0] = scores.max() + 1
        ranked = np.sort(scores, axis=1)
        features = pixels.mean(axis=(1, 2)).astype(np.float32)
        return Prediction(scores, scores.max(axis=1), features, {"margin": ranked[:, -1] - ranked[:, -2]})

    def state(self) -> Tree:
        return {"means": self.means}

    def restore(self, state: Tree) -> None:
        self.means = state["means"]

    def trainable(self) -> int:
        return int(self.means.size)
