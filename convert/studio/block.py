"""A deployment target inside Edge Impulse's Studio: an input folder becomes one `deploy.zip` with the bundle.

Studio starts the container with `--metadata FILE` and a `--PARAM VALUE` for each parameter of `parameters.json`, which
`python -m tests.studio.test_block` makes of the options of `convert`. Both folders are on slow network storage, and the
input is never written to. Where Studio mounts the data of the learn block, its validation pictures are used to measure
parity, and some are shown in the report; they are arrays of the size and scaling that the network was trained with.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from convert import api
from convert.errors import ConvertError, InputError
from convert.files import part_of
from convert.images import ImageScaling
from convert.isolation import TemporaryFolder

if TYPE_CHECKING:
    from convert.pipeline import Event

DATA: Final = Path("/data")
"""Where Studio mounts the data of the learn block."""

_VALIDATION: Final = ("X_validate_features.npy", "X_split_test.npy")
"""New and old name of the validation pictures, which training has not seen."""

_RANGES: Final = {
    None: (0.0, 1.0),
    ImageScaling.NONE: (0.0, 1.0),
    ImageScaling.FROM_0_TO_255: (0.0, 255.0),
    ImageScaling.MINUS_1_TO_1: (-1.0, 1.0),
    ImageScaling.MINUS_128_TO_127: (-128.0, 127.0),
}
"""The values of black and white."""

_MEASURED, _SHOWN = 100, 12  # pictures
_INTERVAL: Final = 2.0  # seconds between two lines, as in Edge Impulse's own blocks
_LARGEST: Final = 16 << 20  # bytes of the metadata; it has 20 kB


@dataclass(frozen=True, slots=True)
class Folders:
    """The two of a build, as `deployment-metadata.json` names them."""

    input: Path
    output: Path

    @classmethod
    def read(cls, metadata: Path) -> Folders:
        """Those in the file `metadata`.

        Raises:
            InputError: it cannot be read or does not name them, or the input is not there.
        """
        hint = "Studio writes this file; locally, `edge-impulse-blocks runner` does"
        try:
            with metadata.open("rb") as file:
                folders = json.loads(file.read(_LARGEST)).get("folders")
            places = [folders[name] for name in ("input", "output")]
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", path=metadata, hint=hint) from error
        except (ValueError, RecursionError, AttributeError, TypeError, LookupError) as error:
            raise InputError("it is no deployment-metadata.json with folders", path=metadata, hint=hint) from error
        if not all(isinstance(place, str) and place and "\0" not in place for place in places):
            raise InputError("folders.input and folders.output are no paths", path=metadata, hint=hint)
        found = cls(*map(Path, places))
        if not found.input.is_dir():
            raise InputError("folders.input is not there", path=found.input, hint=hint)
        return found


@dataclass
class _Progress:
    """Says every two seconds which step runs, so that a long one is not taken for one that hangs."""

    said: Callable[[str], object]
    step: str = "begins"
    _since: float = field(default_factory=time.monotonic)
    _end: threading.Event = field(default_factory=threading.Event)

    def begin(self, step: str) -> None:
        self.step, self._since = step, time.monotonic()
        self.said(step)

    def watch(self, event: Event) -> None:
        """An observer of `convert`."""
        if event.status == "started":
            self.begin(f"convert: {event.name}")

    def _tell(self) -> None:
        while not self._end.wait(_INTERVAL):
            self.said(f"{self.step}, {time.monotonic() - self._since:.0f} s")

    @contextlib.contextmanager
    def running(self) -> Iterator[_Progress]:
        thread = threading.Thread(target=self._tell, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._end.set()
            thread.join()


def run(
    metadata: Path, options: Mapping[str, Any], said: Callable[[str], object] = lambda _line: None, data: Path = DATA
) -> Path:
    """Convert what `metadata` names, and write `deploy.zip` into its output folder.

    Args:
        options: of `BLOCK`, those that were given.
        said: is called with each line for Studio's log.
        data: the learn block's, where it is mounted.

    Returns:
        The zip: `bundle/` with the bytes that `convert` writes, and `report.html` where there were pictures.

    Raises:
        ConvertError: the export cannot be converted, or the zip cannot be written.
    """
    folders = Folders.read(metadata)
    with TemporaryFolder() as folder, _Progress(said).running() as progress:
        progress.begin("reads " + str(folders.input))
        pictures = validation_pictures(folders.input, data, folder / "pictures", said)
        images = {} if pictures is None else {"images": pictures}
        bundle = api.convert(folders.input, folder / "bundle", observer=progress.watch, **images, **options)  # type: ignore[arg-type] # by the table
        for finding in bundle.findings:
            said(f"{finding.level} {finding.id}: {finding.message}")
        if bundle.evidence and (parity := bundle.evidence.parity):
            said(f"largest difference from the original: {parity.max_abs_diff:.2g}, on {parity.inputs} inputs")
        progress.begin("check")
        for finding in api.check(folder / "bundle").findings:
            said(f"{finding.level} {finding.id}: {finding.message}")
        report = None if pictures is None else _simulated(folder, pictures, progress)
        progress.begin("writes deploy.zip")
        files = {f"bundle/{path.name}": path for path in sorted((folder / "bundle").iterdir())}
        _pack(files | ({} if report is None else {"report.html": report}), folder / "deploy.zip")
        place = folders.output / "deploy.zip"
        with part_of(place) as part:
            shutil.copyfile(folder / "deploy.zip", part)
    said(f"wrote {place}")
    return place


def validation_pictures(export: Path, data: Path, folder: Path, said: Callable[[str], object]) -> Path | None:
    """The first validation pictures in `data` as PNG files in `folder`, which is made; None where none can be used."""
    found = next((data / name for name in _VALIDATION if (data / name).is_file()), None)
    if found is None:
        return None
    chosen = next((each for each in api.inspect(export).models if each.chosen), None)
    shape = () if chosen is None or chosen.facts is None else chosen.facts.input.shape[1:]
    scaling = None if chosen is None else chosen.metadata.image_scaling
    if len(shape) != 3 or None in shape or scaling not in _RANGES:
        return None
    import numpy as np
    from PIL import Image

    black, white = _RANGES[scaling]
    try:
        stored = np.load(found, mmap_mode="r", allow_pickle=False)
        values = np.asarray(stored[:_MEASURED], np.float64).reshape(-1, *(int(size or 0) for size in shape))
    except (OSError, ValueError, TypeError, EOFError, LookupError) as error:
        said(f"the pictures of {found.name} are not used: {error}")
        return None
    levels = (values - black) * (255 / (white - black))
    if not len(levels):
        said(f"the pictures of {found.name} are not used: there are none")
        return None
    if not (levels.min() >= -1 and levels.max() <= 256):
        said(f"the pictures of {found.name} are not used: they are not scaled as the network's input")
        return None
    folder.mkdir()
    for number, picture in enumerate(np.clip(np.rint(levels), 0, 255).astype(np.uint8)):
        Image.fromarray(picture.squeeze(2) if picture.shape[2] == 1 else picture).save(folder / f"{number:03}.png")
    said(f"{len(levels)} validation pictures of the project are used")
    return folder


def _simulated(folder: Path, pictures: Path, progress: _Progress) -> Path | None:
    """The report page of the first pictures; None where the bundle cannot be simulated, which is said."""
    progress.begin("simulate")
    shown = sorted(pictures.iterdir())[:_SHOWN]
    try:
        api.simulate(folder / "bundle", shown, folder / "simulated")
    except ConvertError as error:
        progress.said(f"not simulated: {error.message}")
        return None
    return folder / "simulated" / "report.html"


def _pack(files: Mapping[str, Path], target: Path) -> None:
    """Write `files` (name in the zip -> file); the same files give the same bytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, path in files.items():
            member = zipfile.ZipInfo(name)  # dated 1980, whenever it is made
            member.create_system = 3  # Unix, whatever this runs on
            member.external_attr = (0o755 if path.stat().st_mode & 0o100 else 0o644) << 16
            packed.writestr(member, path.read_bytes(), zipfile.ZIP_DEFLATED)
