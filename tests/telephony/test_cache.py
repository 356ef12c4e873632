"""Sounds that are kept: whose are in use, and what room that leaves."""

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from telephony.cache import Cache

SAMPLES = bytes(5000)
CacheOf = Callable[..., Cache]


@pytest.fixture
def cache_of(tmp_path: Path) -> CacheOf:
    """Return what makes a cache that keeps so many sounds, and twice as many of them in use."""
    plenty = Cache(tmp_path, url="http://127.0.0.1:8099", kept_bytes=1_000_000)
    plenty.keep(digest("one"), SAMPLES, owner="acme")
    [one] = tmp_path.iterdir()
    size_bytes = one.stat().st_size
    one.unlink()
    return lambda sounds: Cache(tmp_path, url="http://127.0.0.1:8099", kept_bytes=sounds * size_bytes)


def digest(name: str) -> str:
    """Return what a sound is kept as."""
    return sha256(name.encode()).hexdigest()


def is_kept(cache: Cache, name: str, *, owner: str = "acme") -> bool:
    """Whether there is room for a sound of a customer's."""
    try:
        cache.keep(digest(name), SAMPLES, owner=owner)
    except OSError:
        return False
    return True


def test_what_one_customer_has_in_use_leaves_as_much_room_to_others(cache_of: CacheOf) -> None:
    """Once whoever said the most within five minutes had all there was, and nobody else was heard."""
    cache = cache_of(sounds=3)
    assert [is_kept(cache, name) for name in ("one", "two", "ten", "six")] == [True, True, True, False]
    assert [is_kept(cache, name, owner="globex") for name in ("red", "sea")] == [True, False]


def test_what_a_customer_used_a_while_ago_counts_no_more(cache_of: CacheOf) -> None:
    cache = cache_of(sounds=1)
    cache.keep(digest("one"), SAMPLES, owner="acme")
    assert not is_kept(cache, "two")
    old = cache.folder / f"{digest('one')}.wav"
    stood = old.stat().st_mtime - 1000
    os.utime(old, (stood, stood))

    assert is_kept(cache, "two")
    assert not old.exists()


def test_remembers_nothing_of_sounds_that_were_not_kept(cache_of: CacheOf) -> None:
    cache = cache_of(sounds=1)
    cache.keep(digest("one"), SAMPLES, owner="acme")
    for name in ("two", "ten", "six"):
        assert not is_kept(cache, name)
    assert cache._owners == {digest("one"): "acme"}
