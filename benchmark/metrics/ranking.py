"""How far our ranking of methods agrees with a published one: Kendall's tau-b, with an interval over splits.

The interval asks what other draws of the same splits would have said: the splits are resampled with
replacement, all rows together because rows share their splits, and the percentiles of tau-b are taken over
every possible resample. It says nothing about the published figures' own spread (not published), other
seeds, images or classes; and with as few as five splits such intervals are rather too short than too long.

Source: Kendall, Biometrika 1945 (ties); Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement, permutations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datasets.seeds import seed_of

TAIL = 0.025  # on each side: an interval of 95 %
DECIMALS = 12  # means of one resample that differ by less are a tie: the order of a sum must not decide it
MOST_ENUMERATED = 10  # splits; 92,378 distinct resamples. More splits are sampled.
SAMPLES = 100_000
MOST_PERMUTED = 8  # rows; 40,320 orders

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau-b between our means and published ones in one column of one table.

    Attributes:
        rows: titles of those that were compared.
        left_out: why each other title of ours or of the published table was not.
        splits: how many a complete row has.
        tau: in [-1, 1], 1 for the same order; None: see `reason`.
        low, high: ends of the interval; None also where there is one split only.
        p: chance of a tau at least as far from 0 if all orders were equally likely.
        p_by: how `p` was computed: "exact" or "normal approximation".
        reason: why there is no tau.
    """

    rows: tuple[str, ...]
    left_out: Mapping[str, str]
    splits: int
    tau: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_by: str | None = None
    reason: str | None = None


def compare(ours: pd.DataFrame, published: pd.Series[float]) -> Agreement:
    """Agreement over the rows that are published and complete here.

    Args:
        ours: one line a row by title, one column for each of the S splits of a complete row; NaN where a
            split has no figure.
        published: figures by title, on any scale of the same direction.
    """
    from scipy.stats import kendalltau

    published = published.dropna()
    splits = ours.shape[1]
    complete = ours.dropna()
    titles = tuple(title for title in complete.index if title in published.index)
    left_out = {title: f"{ours.loc[title].count()} of {splits} splits" for title in ours.index.difference(list(titles))}
    left_out |= dict.fromkeys(ours.index.difference(published.index), "not published")
    left_out |= dict.fromkeys(published.index.difference(ours.index), "not on the board")
    if len(titles) < 2:
        count = "only one row has" if titles else "no row has"
        return Agreement(titles, left_out, splits, reason=f"{count} both figures")
    values: Floats = complete.loc[list(titles)].to_numpy(np.float64)
    theirs: Floats = published.loc[list(titles)].to_numpy().astype(np.float64)
    means: Floats = values.mean(axis=1).round(DECIMALS)
    if np.ptp(means) == 0 or np.ptp(theirs) == 0:
        return Agreement(titles, left_out, splits, reason="all rows tie")
    tau = float(kendalltau(means, theirs).statistic)
    low, high = interval(values, theirs) if splits > 1 else (None, None)
    return Agreement(titles, left_out, splits, tau, low, high, *p_value(means, theirs))


def tau_b(ours: Floats, published: Floats) -> Floats:
    """Kendall's tau-b of many rankings with one.

    Args:
        ours: (..., R) figures of R rows.
        published: (R,) figures of the same rows.

    Returns:
        (...) values in [-1, 1]; 0 where all rows tie, which is neither agreement nor disagreement.
    """
    first, second = np.triu_indices(published.size, k=1)
    a = np.sign(ours[..., first] - ours[..., second])
    b = np.sign(published[first] - published[second])
    untied = np.sqrt(np.abs(a).sum(axis=-1) * np.abs(b).sum())
    return np.asarray((a @ b) / np.maximum(untied, 1.0))  # both are 0 where all rows tie


def interval(values: Floats, published: Floats) -> tuple[float, float]:
    """Ends of the 95 % percentile interval of tau-b over resamples of the splits.

    Args:
        values: (R, S) figures of R rows on S splits.
        published: (R,).

    Returns:
        Values that tau-b takes in some resample: no interpolation between them.
    """
    drawn, times = resamples(values.shape[1])
    taus = tau_b((drawn @ values.T / values.shape[1]).round(DECIMALS), published)
    order = np.argsort(taus, kind="stable")
    ends = np.searchsorted(np.cumsum(times[order]), np.array([TAIL, 1 - TAIL]) * times.sum())
    low, high = taus[order][ends]
    return float(low), float(high)


def resamples(splits: int) -> tuple[Ints, Ints]:
    """How often each of S splits is drawn, in every distinct resample, and how many of the S^S draws give it.

    Beyond a handful of splits, which none of the data sets has: many random resamples, always the same.

    Returns:
        (M, S) counts that sum to S, and (M,) numbers of draws.
    """
    if splits > MOST_ENUMERATED:
        rng = np.random.default_rng(seed_of("agreement"))
        return rng.multinomial(splits, np.full(splits, 1 / splits), SAMPLES), np.ones(SAMPLES, dtype=np.int64)
    chosen = np.array(list(combinations_with_replacement(range(splits), splits)))
    drawn = (chosen[:, :, None] == np.arange(splits)).sum(axis=1)
    factorial = np.array([math.factorial(number) for number in range(splits + 1)])
    return drawn, factorial[splits] // factorial[drawn].prod(axis=1)


def p_value(ours: Floats, published: Floats) -> tuple[float, str]:
    """Two-sided p of tau-b and how it was computed: exact with and without ties, save for many tied rows.

    Args:
        ours, published: (R,) figures of the same rows, neither all tied.
    """
    from scipy.stats import kendalltau

    tied = any(np.unique(figures).size < figures.size for figures in (ours, published))
    if not tied:
        return float(kendalltau(ours, published, method="exact").pvalue), "exact"
    if ours.size > MOST_PERMUTED:
        return float(kendalltau(ours, published, method="asymptotic").pvalue), "normal approximation"
    orders = np.array(list(permutations(range(ours.size))))
    observed, possible = tau_b(ours, published), tau_b(ours[orders], published)
    return float((np.abs(possible) >= np.abs(observed) - 10.0**-DECIMALS).mean()), "exact"
