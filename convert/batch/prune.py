"""How large the cache is, and making it smaller."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convert.batch.cache import Damaged

if TYPE_CHECKING:
    from convert.batch.cache import Cache

__all__ = ["Pruned", "Usage", "prune", "usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cache holds; `bytes` of its entries, `damaged` how many of them are no use."""

    folder: str
    entries: int
    bytes: int
    damaged: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, and how many entries are left."""

    folder: str
    removed: int
    bytes: int
    left: int


def usage(cache: Cache) -> Usage:
    """What `cache` holds; every file is read once to see whether it is whole."""
    keys = cache.all_keys()
    damaged = sum(_is_damaged(cache, key) for key in keys)
    return Usage(str(cache.folder), len(keys), sum(cache.size(key)[0] for key in keys), damaged)


def prune(cache: Cache, *, older_than: float, max_size: int | None = None) -> Pruned:
    """Remove entries that are damaged, were not used for `older_than` seconds, or are more than `max_size` bytes.

    A run that goes on at the same time misses an entry at worst, and converts that model again.
    """
    now = time.time()
    kept: list[tuple[float, int, str]] = []
    removed = freed = 0
    for key in cache.all_keys():
        size, used = cache.size(key)
        if now - used >= older_than or _is_damaged(cache, key):
            cache.drop(key)
            removed, freed = removed + 1, freed + size
        else:
            kept.append((used, size, key))
    kept.sort()
    total = sum(size for _, size, _ in kept)
    while max_size is not None and kept and total > max_size:
        _, size, key = kept.pop(0)
        cache.drop(key)
        removed, freed, total = removed + 1, freed + size, total - size
    _remove_ledgers(cache, now - older_than)
    return Pruned(str(cache.folder), removed, freed, len(kept))


def _is_damaged(cache: Cache, key: str) -> bool:
    try:
        cache.contents(key)
    except Damaged:
        return True
    return False


def _remove_ledgers(cache: Cache, before: float) -> None:
    """Those of output folders that no run asked about since."""
    for path in (cache.folder / "ledgers").glob("*.json"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime <= before:
                path.unlink()
