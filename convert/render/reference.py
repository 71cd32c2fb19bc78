"""`python -m convert.render.reference [README.md]`: writes the table of rules into README."""

from __future__ import annotations

import sys
from pathlib import Path

from convert.render.rules import readme_table
from convert.rulebook import rulebook
from convert.writing import write

__all__ = ["main"]


def main(path: Path) -> None:
    """Bring the table in the file `path` up to date."""
    write(path, readme_table(path.read_text(encoding="utf-8"), rulebook().values()).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "README.md"))
