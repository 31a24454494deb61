"""Noise residuals of images: what a wavelet denoiser takes away, and the cleaning that camera forensics adds.

Papers: Mihcak, Kozintsev, Ramchandran, "Spatially adaptive statistical modeling of wavelet image
coefficients and its application to denoising", ICASSP 1999 (the denoiser); Lukas, Fridrich, Goljan,
"Digital camera identification from sensor pattern noise", IEEE TIFS 2006 (its use for residuals).
Code read: polimi-ispl/prnu-python (prnu/functions.py).

All functions take stacks: the last two axes are rows and columns, every further axis counts images.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.floating[Any]]

WAVELET = "db4"  # the Daubechies filter with 8 taps
WINDOWS = (3, 5, 7, 9)  # sides of the squares over which a local variance is taken
GRAY = (0.29893602, 0.58704307, 0.11402090)  # weights of R, G, B; they add up to 1


def useful_levels(image_size: int, most: int = 4) -> int:
    """Levels of the wavelet transform, at most `most`, that still see more than their own border."""
    import pywt

    return min(most, int(pywt.dwt_max_level(image_size, pywt.Wavelet(WAVELET).dec_len)))


def noise_share(coefficients: Real, variance: float | Real) -> Real:
    """The share of every coefficient that is noise of the given variance, in (0, 1].

    The Wiener weight s2 / (v + s2), where v = min over windows of max(E - s2, 0) is what the local
    energy E exceeds the noise by; equal to s2 / max(s2, min E). Outside the stack lie zeros.

    Args:
        coefficients: (..., H, W).
        variance: of the noise, > 0; a scalar or one value per image, (..., 1, 1).
    """
    from scipy.ndimage import uniform_filter

    energy = np.square(coefficients)
    sizes = [(1,) * (energy.ndim - 2) + (side, side) for side in WINDOWS]
    least = uniform_filter(energy, sizes[0], mode="constant")
    for size in sizes[1:]:
        np.minimum(least, uniform_filter(energy, size, mode="constant"), out=least)
    return cast(Real, variance / np.maximum(variance, least))


def wavelet_residual(images: NDArray[Any], sigma: float, levels: int) -> NDArray[np.float32]:
    """Image minus denoised image, in float32.

    The transform is linear, so the noise share of the detail bands, transformed back without the
    approximation, is that difference.

    Args:
        images: (..., H, W) on the scale 0..255, bytes or floats; colour channels are images of their own.
        sigma: standard deviation of the noise on that scale; details weaker than it pass whole.
        levels: of the wavelet transform.
    """
    import pywt

    approximation, *details = pywt.wavedec2(images.astype(np.float32), WAVELET, level=levels, axes=(-2, -1))
    noise = [tuple(band * noise_share(band, sigma**2) for band in level) for level in details]
    residual = pywt.waverec2([np.zeros_like(approximation), *noise], WAVELET, axes=(-2, -1))
    height, width = images.shape[-2:]
    return cast("NDArray[np.float32]", residual[..., :height, :width])  # an odd side comes back one longer


def to_gray(stack: Real) -> Real:
    """(..., 3, H, W) to (..., 1, H, W)."""
    return cast(Real, np.einsum("c,...chw->...hw", np.asarray(GRAY, stack.dtype), stack)[..., None, :, :])


def zero_mean_total(residual: Real) -> Real:
    """Take mean, row means and column means from each of the four 2x2 sub-lattices.

    Removes every pattern that depends on the row only or the column only, or that repeats every two
    pixels: in a camera traces of the colour filter and of read-out, in a generated image possibly the
    fingerprint itself.
    """
    cleaned = residual.copy()
    for row in (0, 1):
        for column in (0, 1):
            part = cleaned[..., row::2, column::2]
            part -= part.mean(axis=(-2, -1), keepdims=True)
            part -= part.mean(axis=-1, keepdims=True) + part.mean(axis=-2, keepdims=True)
    return cleaned


def fourier_wiener(residual: Real) -> Real:
    """Keep of every frequency the share that is noise: flattens the peaks of periodic patterns.

    The noise level is the residual's own sample standard deviation. Windows end at the corners of the
    unshifted spectrum, as in the camera code, so low frequencies do not wrap round.
    """
    height, width = residual.shape[-2:]
    spectrum = np.fft.fft2(residual)
    variance = residual.var(axis=(-2, -1), ddof=1, keepdims=True)
    empty = variance == 0
    share = noise_share(np.abs(spectrum) / np.sqrt(height * width), np.where(empty, 1.0, variance))
    return cast(Real, np.where(empty, 0.0, np.fft.ifft2(spectrum * share).real).astype(residual.dtype))
