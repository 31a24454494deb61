"""What a generator is given: the coarse content of a crop, without its fine detail.

A code keeps the 3 x 3 lowest coefficients of every 8 x 8 block DCT, per colour channel: 27 numbers on
an 8 x 8 grid. The detail that a decoder has to invent is where its traces lie.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from datasets.mini.photographs import CROP

BLOCK = 8
KEPT = 3
CODE_CHANNELS = 3 * KEPT * KEPT
CODE_SIDE = CROP // BLOCK
_MEAN_SCALE, _DETAIL_SCALE = 1 / 8, 1 / 2  # bring block means and block details to about unit range


def encode(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Codes of crops (N, 64, 64, 3): (N, 27, 8, 8), about in [-1, 1]."""
    pixels = crops.astype(np.float32) / 127.5 - 1
    blocks = pixels.reshape(-1, CODE_SIDE, BLOCK, CODE_SIDE, BLOCK, 3)
    lowest = dctn(blocks, axes=(2, 4), norm="ortho")[:, :, :KEPT, :, :KEPT, :]
    codes = lowest.transpose(0, 5, 2, 4, 1, 3).reshape(-1, CODE_CHANNELS, CODE_SIDE, CODE_SIDE)
    scale = np.full(KEPT * KEPT, _DETAIL_SCALE, dtype=np.float32)
    scale[0] = _MEAN_SCALE
    return np.ascontiguousarray(codes * np.tile(scale, 3)[None, :, None, None], dtype=np.float32)
