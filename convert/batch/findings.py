"""What a batch can find beside what its conversions find: rules EI800 to EI849."""

from __future__ import annotations

from convert.findings import Level, Rule

__all__ = ["CACHE_DAMAGED", "CACHE_UNUSABLE", "LEFT_OVER", "OLD_BUNDLE", "RULES", "SAME_EXPORT"]

CACHE_DAMAGED = Rule(
    "EI801",
    Level.WARNING,
    "an entry of the cache was damaged",
    "Its digest is not what it should be: a full disk, a power cut or another program changed it. It was thrown away "
    "and the model converted again, so the result is right.",
    "Look at the disk if this happens again; `ei-deepstream cache prune` removes every damaged entry.",
)
CACHE_UNUSABLE = Rule(
    "EI802",
    Level.WARNING,
    "the cache cannot be written",
    "The bundles are right, but the next run will convert these models again.",
    "Free space, repair the permissions of the cache folder, or choose another with --cache-dir.",
)
SAME_EXPORT = Rule(
    "EI803",
    Level.NOTE,
    "two models of the batch are the same",
    "The same export with the same options is converted into two folders; it is done once and copied.",
    "Remove one of them if it stands there by mistake.",
)
LEFT_OVER = Rule(
    "EI804",
    Level.NOTE,
    "the output folder holds a bundle that is not part of the batch",
    "An earlier run wrote it, or somebody by hand; this run did not look at it and it may be out of date.",
    "Delete its folder if it is not needed.",
)
OLD_BUNDLE = Rule(
    "EI805",
    Level.WARNING,
    "the bundle of an earlier run stands where a model could not be converted",
    "It was made from another export or with other options, and is easily taken for this one's.",
    "Repair the model and run the batch again, or delete the folder.",
)

RULES = (CACHE_DAMAGED, CACHE_UNUSABLE, SAME_EXPORT, LEFT_OVER, OLD_BUNDLE)
