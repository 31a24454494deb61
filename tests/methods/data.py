"""Synthetic image sets that every kind of method can learn within seconds, and fits on them.

A class is a sum of two traces on random smooth content:

- a cosine of its own spatial frequency: a peak in the DCT, a local texture for patches and pixel
  networks, equal everywhere in the image;
- a fixed pattern of random signs at fixed positions, as a sensor leaves it.

Both are symmetric under horizontal flips, so that flipped training images show them too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from datasets.types import ImageSet, Index, Pixels
from methods.core.device import make_deterministic
from methods.core.method import Method, Plugin
from methods.core.network_method import NetworkMethod
from methods.core.registry import Registry, load_registry
from methods.core.run import Progress, Run
from methods.core.settings import RunSettings
from tests.methods.states import duplicate

CPU = torch.device("cpu")

# Cycles per pixel along (y, x); the first classes differ most. All are even multiples of 1 / (2 x side).
FREQUENCIES = (
    (0.25, 0.0), (0.0, 0.25), (0.25, 0.25), (0.125, 0.0), (0.0, 0.125), (0.125, 0.125), (0.375, 0.0), (0.0, 0.375),
    (0.375, 0.375), (0.125, 0.25), (0.25, 0.125), (0.125, 0.375), (0.375, 0.125), (0.25, 0.375), (0.375, 0.25),
)  # fmt: skip


# -- images ----------------------------------------------------------------------------------------


def textures(
    classes: int = 3,
    per_class: int = 16,
    size: int = 64,
    seed: int = 0,
    *,
    amplitude: float = 12.0,
    sensor: float = 4.0,
    noise: float = 2.0,
) -> ImageSet:
    """Images of `classes` planted classes, class by class.

    The classes are the same for every seed; content and noise are not.

    Args:
        size: side in pixels, a multiple of 16.
        amplitude: of the cosine, in grey levels.
        sensor: of the fixed pattern, in grey levels.
        noise: standard deviation of white noise, in grey levels.
    """
    labels = np.repeat(np.arange(classes), per_class)
    clean = smooth_content(len(labels), size, seed)
    traces = np.stack([amplitude * cosine(k, size) + sensor * fixed_pattern(k, size) for k in range(classes)])
    rng = np.random.default_rng([seed, 1])
    grainy = clean + traces[labels][..., None] + noise * rng.standard_normal(clean.shape)
    return image_set(np.clip(np.rint(grainy), 0, 255).astype(np.uint8), labels, classes)


def image_set(pixels: Pixels, labels: Sequence[int] | Index, classes: int | Sequence[str]) -> ImageSet:
    """A view of all of `pixels` (N, H, W, 3); an integer number of classes gives them names."""
    names = class_names(classes) if isinstance(classes, int) else tuple(classes)
    ids = np.array([f"image-{row:04d}" for row in range(len(pixels))], dtype=np.str_)
    return ImageSet(pixels, np.arange(len(pixels)), np.asarray(labels, dtype=np.int64), names, ids)


def class_names(count: int) -> tuple[str, ...]:
    """Class 0 is "real", as everywhere."""
    return ("real", *(f"generator-{k}" for k in range(1, count)))


def relabelled(images: ImageSet, permutation: Sequence[int]) -> ImageSet:
    """The same images, those of class k called class `permutation[k]`; names go along."""
    names = [""] * len(permutation)
    for old, new in enumerate(permutation):
        names[new] = images.classes[old]
    return image_set(images.batch(slice(None)), np.asarray(permutation)[images.labels], names)


def pooled(*sets: ImageSet) -> tuple[Pixels, list[Index]]:
    """One pool of pixels that holds all sets, and the rows of each."""
    ends = np.cumsum([0, *map(len, sets)])
    rows = [np.arange(start, end) for start, end in zip(ends[:-1], ends[1:], strict=True)]
    return np.concatenate([images.batch(slice(None)) for images in sets]), rows


def noise_outside(pixels: Pixels, rows: Index, seed: int = 0) -> Pixels:
    """A copy of a pool in which every image but those of `rows` is uniform noise."""
    noisy = np.random.default_rng(seed).integers(0, 256, pixels.shape, dtype=np.uint8)
    noisy[rows] = pixels[rows]
    return noisy


def view(pixels: Pixels, rows: Index, like: ImageSet) -> ImageSet:
    """Rows of a pool, labelled like the set that they came from."""
    return ImageSet(pixels, rows, like.labels, like.classes, like.ids)


def smooth_content(count: int, size: int, seed: int) -> NDArray[np.float64]:
    """(count, size, size, 3) smooth random colours, mostly within 96..160."""
    white = np.random.default_rng([seed, 0]).standard_normal((count, size, size, 3))
    smooth = gaussian_filter(white, sigma=(0, size / 8, size / 8, 0), mode="wrap")
    return np.asarray(128 + 16 * smooth / smooth.std(), dtype=np.float64)


def cosine(class_: int, size: int) -> NDArray[np.float64]:
    """The class's wave (size, size) in [-1, 1]: a single coefficient of the image's DCT."""
    along_y, along_x = (np.cos(2 * np.pi * f * (np.arange(size) + 0.5)) for f in FREQUENCIES[class_])
    return np.outer(along_y, along_x)


def fixed_pattern(class_: int, size: int) -> NDArray[np.float64]:
    """The class's random signs (size, size), mirrored left to right."""
    half = np.random.default_rng([class_, size]).choice([-1.0, 1.0], (size, size // 2))
    return np.concatenate([half, half[:, ::-1]], axis=1)


# -- fits ------------------------------------------------------------------------------------------

Fitted = dict[str, Method]


class Stop(Exception):
    """Raised by a report to end a run between two epochs; what was saved is kept."""


@cache
def registry() -> Registry:
    """All plugins; imported once."""
    return load_registry()


def make_run(
    seed: int = 0,
    tmp: Path | None = None,
    resolve: Callable[[str], Method] | None = None,
    *,
    report: Callable[[Progress], None] | None = None,
    on_epoch: Callable[[str, int], None] | None = None,
    device: torch.device = CPU,
    **settings: Any,
) -> Run:
    """A run, set up as the harness does it; `settings` are those of `RunSettings`."""
    chosen = RunSettings(**settings)
    make_deterministic(chosen.threads)
    return Run(
        seed=seed, device=device, settings=chosen, folder=tmp, resolve=resolve, report=report, on_epoch=on_epoch
    )  # fmt: skip


def unfitted(
    key: str, run: Run, *, preset: str = "smoke", overrides: Mapping[str, Any] | None = None
) -> Any:  # a Method or a DiscoveryMethod
    """The plugin written `name` or `name@variant` with the settings of a preset."""
    choice = registry().choose(key)
    return choice.plugin(choice.config(preset, overrides), run)


def fit(
    key: str,
    train: ImageSet,
    val: ImageSet,
    *,
    preset: str = "smoke",
    overrides: Mapping[str, Any] | None = None,
    seed: int = 0,
    tmp: Path | None = None,
    known: Fitted | None = None,
    report: Callable[[Progress], None] | None = None,
    on_epoch: Callable[[str, int], None] | None = None,
    **settings: Any,
) -> Any:  # the fitted Method; tests reach into its networks
    """Fit a method, and first whatever it requires, with the same data, preset, seed and run settings.

    Args:
        overrides: settings of this method alone, on top of the preset's.
        known: requirements that are already fitted, by key; those fitted here are added.
        tmp, report, on_epoch, settings: see `make_run`; the first three for this method alone, while a
            `device` among the settings is for all.
    """
    resolve = resolver(train, val, preset=preset, seed=seed, known=known, **settings)
    run = make_run(seed, tmp, resolve, report=report, on_epoch=on_epoch, **settings)
    method = unfitted(key, run, preset=preset, overrides=overrides)
    method.fit(train, val)
    return method


def resolver(
    train: ImageSet,
    val: ImageSet,
    *,
    preset: str = "smoke",
    seed: int = 0,
    known: Fitted | None = None,
    **settings: Any,
) -> Callable[[str], Method]:
    """What `Run.fitted` asks: fits a required method once, hands out fresh copies of it."""
    fitted: Fitted = {} if known is None else known

    def resolve(key: str) -> Method:
        if key not in fitted:
            fitted[key] = fit(key, train, val, preset=preset, seed=seed, known=fitted, **settings)
        return copied(fitted[key], make_run(seed, resolve=resolve, **settings))

    return resolve


def copied(method: Method, run: Run) -> Method:
    """An independent method with the same fitted state."""
    copy = type(method)(method.config, run)
    copy.task = method.task
    copy.restore(duplicate(method.state()))
    return copy


def accuracy(method: Method, images: ImageSet) -> float:
    """Share of images whose best score is that of their class."""
    return float((method.predict(images).scores.argmax(axis=1) == images.labels).mean())


def learned() -> dict[str, type[NetworkMethod]]:
    """The methods that train a network."""
    return {name: plugin for name, plugin in registry().items() if issubclass(plugin, NetworkMethod)}


def is_method(plugin: type[Plugin]) -> bool:
    """Whether the plugin scores single images, rather than grouping a pool."""
    return issubclass(plugin, Method)
