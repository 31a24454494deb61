"""Train the generators of the embedded data set: `python -m datasets.mini.train`.

One generator takes 10 to 80 seconds on one core. A class whose weights exist is left alone, so an
interrupted run continues where it stopped. On one kind of processor the result is the same to the
bit; other processors round differently.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from joblib import Parallel, delayed
from safetensors.torch import load_file, save_file
from torch import Tensor

from datasets.console import exit_status, progress, say
from datasets.core.command import Parser
from datasets.core.partial import whole_file
from datasets.errors import UserError
from datasets.mini.carried import WEIGHTS, GeneratorName, weight_file
from datasets.mini.codes import encode
from datasets.mini.crops import cut, draw_boxes
from datasets.mini.generators import NOISE_VALUES, Decoder, build, fold_parametrizations
from datasets.seeds import seed_of
from datasets.splits import load_plan

CROPS = 1500  # training crops of one content, from anywhere in its photograph
STEPS = 200
BATCH = 32
PEAK_LEARNING_RATE = 4e-3
GRADIENT_WEIGHT = 0.5  # of the finite-difference term, next to L1; keeps edges


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """L1 on pixels and on their differences to the right and lower neighbour."""
    error = output - target
    differences = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return error.abs().mean() + GRADIENT_WEIGHT * differences


def train_generator(name: str, steps: int = STEPS) -> Decoder:
    """Train one decoder to re-synthesise its photograph from codes.

    It sees the whole photograph, as a published generator has seen its whole data set: zones keep the
    images of the benchmark's roles apart, and a decoder that had never met the test zone's colours
    would betray that rather than its architecture.
    """
    part = GeneratorName.parse(name)
    crops = cut(part.content, draw_boxes(part.content, None, "generator", CROPS))
    codes = torch.from_numpy(encode(crops))
    images = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1

    torch.set_num_threads(1)
    torch.manual_seed(seed_of("weights", name))
    decoder = build(part.family)
    draw = torch.Generator().manual_seed(seed_of("batches", name))
    optimiser = torch.optim.Adam(decoder.parameters(), lr=PEAK_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_LEARNING_RATE, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(codes), (BATCH,), generator=draw)
        noise = torch.randn(BATCH, NOISE_VALUES, generator=draw) if decoder.noisy else None
        loss = reconstruction_loss(decoder(codes[rows], noise), images[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return fold_parametrizations(decoder.eval())


def stored_weights(decoder: Decoder) -> dict[str, Tensor]:
    """What a weight file holds: half-precision floats, without counters."""
    return {key: value.half().contiguous() for key, value in decoder.state_dict().items() if value.is_floating_point()}


def load_generator(name: str, folder: Path = WEIGHTS) -> Decoder:
    """A trained decoder in evaluation mode."""
    decoder = fold_parametrizations(build(GeneratorName.parse(name).family))
    stored = {key: value.float() for key, value in load_file(weight_file(name, folder)).items()}
    missing, unexpected = decoder.load_state_dict(stored, strict=False)
    if unexpected or any(not key.endswith("num_batches_tracked") for key in missing):
        raise UserError(f"weights of '{name}' do not fit its family; delete them and run python -m datasets.mini.train")
    return decoder.eval()


def train_and_save(name: str, folder: Path) -> str:
    weights = stored_weights(train_generator(name))
    with whole_file(weight_file(name, folder)) as unfinished:
        save_file(weights, unfinished)
    return name


def largest_difference(name: str, carried: Path) -> float:
    """Retrain one generator and compare it with the carried weights (0.0: the same to the bit)."""
    fresh, stored = stored_weights(train_generator(name)), load_file(weight_file(name, carried))
    return max(float((fresh[key].float() - stored[key].float()).abs().max()) for key in stored)


@dataclass(frozen=True)
class TrainOptions:
    """What was asked for: every class or `only` one, weights in `out`, so many `jobs` side by side."""

    only: str | None
    out: Path
    jobs: int


def main(argv: list[str] | None = None) -> None:
    parser = Parser(prog="python -m datasets.mini.train", description=__doc__)
    parser.add_argument("--only", metavar="CLASS", help="retrain one class and compare it with the carried weights")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder of the weights (default: the carried ones)")
    parser.add_argument("--jobs", type=int, default=2, help="generators trained side by side (default: 2)")
    train_missing(TrainOptions(**vars(parser.parse_args(argv))))


def train_missing(options: TrainOptions) -> None:
    """Train the generators that have no weights yet; one that was asked for by name and has some is compared.

    Raises:
        UserError: there is no such generator.
    """
    names = load_plan("mini").generators
    if options.only is not None and options.only not in names:
        raise UserError(f"no generator is named '{options.only}'; see the {len(names)} in datasets/splits/mini.yaml")
    options.out.mkdir(parents=True, exist_ok=True)
    if options.only and weight_file(options.only, options.out).is_file():
        difference = largest_difference(options.only, options.out)
        say(f"{options.only}: retrained; largest difference to the carried weights {difference:.3g}")
        return

    wanted = [options.only] if options.only else names
    missing = [name for name in wanted if not weight_file(name, options.out).is_file()]
    tasks = (delayed(train_and_save)(name, options.out) for name in missing)
    done = Parallel(n_jobs=options.jobs, return_as="generator_unordered")(tasks)
    for _ in progress(done, total=len(missing), title="training generators"):
        pass
    say(f"{len(wanted)} generators in {options.out}, {len(missing)} of them trained now")


if __name__ == "__main__":
    sys.exit(exit_status(main))
