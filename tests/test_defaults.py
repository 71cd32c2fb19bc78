"""What a public function or class takes where nothing is given: a default that changes, changes what callers get.

Made anew by `python -m tests.test_defaults`.
"""

from __future__ import annotations

import enum
import importlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = Path(__file__).with_name("golden") / "defaults.txt"
PACKAGE = Path(__file__).resolve().parents[1] / "convert"


def lines() -> str:
    return "".join(f"{line}\n" for path in sorted(PACKAGE.rglob("*.py")) for line in _module(path))


def _module(path: Path) -> Iterator[str]:
    """`module.function: name=default, ...` for everything a module exports that has defaults."""
    parts = [part for part in path.relative_to(PACKAGE.parent).with_suffix("").parts if part != "__init__"]
    if parts[-1] == "__main__":
        return
    module = importlib.import_module(".".join(parts))
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(value):
            yield from _defaults(f"{'.'.join(parts[1:])}.{name}", value)
        elif inspect.isclass(value) and not issubclass(value, enum.Enum | BaseException | dict):
            yield from _defaults(f"{'.'.join(parts[1:])}.{name}", value)
            for method, function in vars(value).items():
                if inspect.isfunction(function) and not method.startswith("_"):
                    yield from _defaults(f"{'.'.join(parts[1:])}.{name}.{method}", function)


def _defaults(name: str, function: Any) -> Iterator[str]:
    parameters = inspect.signature(function).parameters.values()
    given = [f"{each.name}={each.default!r}" for each in parameters if _is_plain(each.default)]
    if given:
        yield f"{name}: {', '.join(given)}"


def _is_plain(value: Any) -> bool:
    if type(value) is tuple:
        return all(map(_is_plain, value))
    return value is None or isinstance(value, enum.Enum) or type(value) in {int, float, bool, str, bytes}


def test_defaults() -> None:
    assert lines() == GOLDEN.read_text(encoding="utf-8")


if __name__ == "__main__":
    GOLDEN.write_text(lines(), encoding="utf-8")
