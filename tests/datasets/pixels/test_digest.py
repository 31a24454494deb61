"""The digest of an image is a published function of its bytes."""

from __future__ import annotations

import hashlib

from datasets.pixels.digest import digest_of


def test_it_is_blake2b_of_128_bits() -> None:
    assert digest_of(b"abc") == "cf4ab791c62b8d2b2109c90275287816"  # of `printf abc | b2sum -l 128`
    assert digest_of(b"abc") == hashlib.blake2b(b"abc", digest_size=16).hexdigest()
    assert digest_of(b"abd") != digest_of(b"abc")
