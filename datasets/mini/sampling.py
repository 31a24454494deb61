"""What the generators of the embedded data set make of their codes."""

from __future__ import annotations

import numpy as np
import torch

from datasets.mini.carried import GeneratorName
from datasets.mini.codes import encode
from datasets.mini.crops import cut, draw_boxes
from datasets.mini.generators import NOISE_VALUES
from datasets.mini.photographs import Role
from datasets.mini.train import load_generator
from datasets.seeds import seed_of
from datasets.types import Pixels

BATCH = 50


def generated_images(name: str, counts: dict[Role, int]) -> dict[Role, Pixels]:
    """What a generator makes of its content's code lists, by role.

    All generators of one content are given the same codes, so content does not tell them apart.
    """
    torch.set_num_threads(1)
    decoder, content = load_generator(name), GeneratorName.parse(name).content
    images: dict[Role, Pixels] = {}
    for role, count in counts.items():
        codes = torch.from_numpy(encode(cut(content, draw_boxes(content, role, "code", count))))
        noise = np.random.default_rng(seed_of("noise", name, role))
        batches = []
        with torch.inference_mode():
            for start in range(0, count, BATCH):
                part = codes[start : start + BATCH]
                # Drawn image by image, so that a longer list starts with the shorter one.
                drawn = noise.standard_normal((len(part), NOISE_VALUES), dtype=np.float32) if decoder.noisy else None
                output = decoder(part, None if drawn is None else torch.from_numpy(drawn))
                eight_bit = ((output.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
                batches.append(eight_bit.permute(0, 2, 3, 1).numpy())
        images[role] = np.concatenate(batches)
    return images
