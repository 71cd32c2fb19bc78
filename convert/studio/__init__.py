"""Edge Impulse's Studio: its API (`client`), exports out of it (`pull`), and a deployment target in it (`block`)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PREFIX: Final = "studio:"
"""Of an export that lies in Studio: `studio:PROJECT`."""


def is_in_studio(export: Path | str) -> bool:
    """Whether it is `studio:PROJECT`, and no file of that name."""
    return str(export).startswith(PREFIX) and not Path(export).exists()
