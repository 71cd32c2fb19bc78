"""Everything that `check` says about many small configs of Gst-nvdsanalytics and of trackers, in order.

Made anew by `python -m tests.check.rules.test_analytics_messages`: read the difference before it is committed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from convert.check.analytics import on_analytics, read_analytics
from convert.check.loading import check_target
from convert.check.rules.analytics import tracker_findings
from convert.check.run import Checker
from tests.check.rules.test_analytics import APP, HEAD, LINE, SQUARE, TRACKER, ZONE, as_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from convert.findings import Finding

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "analytics_messages.txt"

_GATE = "640;300;640;420;400;360;800;360"
_ZONE = ZONE.format(kind="roi-filtering", numbers=SQUARE)
_WAY = "[direction-detection-stream-0]\nenable=1\ndirection-N={}\n"
LINES = (
    *(
        "640;300;640;420;400;360;800",
        f"{_GATE};1",
        f"{_GATE};1;2",
        "640,300,640,420,400,360,800,360",
        "1;2",
        "x",
        "-1;2",
    ),
    *("640;300;640;300;400;360;800;360", "640;300;640;420;400;360;400;360", "400;300;800;300;400;360;800;360"),
    *("0;0;9;9;1280;720;1281;720", "0;0;9;9;1280;721;1280;720", "0;0;9;9;1281;1;1282;9", "0;0;9;9;1;721;9;800"),
    *("0;0;0;9;0;0;1280;720", "0;9;100000;10;0;0;100000;0", "0;9;100000;8;0;0;99999;0", f"{_GATE};"),
)
ENTRIES = (
    *("mode=Loose", "mode=tight", "mode='balanced'", "mode=strict # exact", "mode=ballanced", "mode=", "class-id=a"),
    *("class-id=0;1;", "class-id=0,1", "extnded=0", "extended=yes", "extended=2", "unheard=1", "enable=on", "enable=2"),
)
HEADS = (
    *("osd-mode=3", "osd-mode=-1", "osd-mode=x", "display-font-size=0", "obj-cnt-win-in-ms=19", "obj-cnt-win-in-ms=20"),
    *("obj-cnt-win-in-ms=50", "obj-cnt-win-in-ms=51", "obj-cnt-win-in-ms=0", "config-widht=3", "enable=true"),
    "osd-mode=0\nobj-cnt-win-in-ms=30",
)
TEXTS = (
    *(HEAD + LINE.replace(_GATE, each) for each in LINES),
    *(f"{HEAD}{LINE}{each}\n" for each in ENTRIES), *(f"{HEAD}{each}\n{LINE}" for each in HEADS),
    *(HEAD + LINE.replace("line-crossing-stream-0", each) for each in (
        "line-crossing-stream-", "line-crossing-stream-a", "line-crossing-stream-7x", "linecrossing-stream-3",
        "line-crosing-stream-0", "line-crossing", "propertty", "something-else", "property-stream-0",
    )),
    *(HEAD + each for each in (
        "", LINE.replace("enable=1\n", ""), LINE.replace("extended=0\n", ""), LINE + LINE, LINE * 2 + LINE,
        LINE + LINE.replace("-0]", "-00]"), LINE + LINE.replace("[", "\n[").replace("-0]", "-1]"),
        LINE + LINE.splitlines()[-1] + "\n", LINE.rpartition("line")[0], "[x]\na=1\n",
        LINE.replace("Gate", "Gate-a") + LINE.splitlines()[-1].replace("Gate", "Gate-b") + "\n",
    )),
    *(HEAD + ZONE.format(kind=kind, numbers=numbers) for kind in ("roi-filtering", "overcrowding") for numbers in (
        SQUARE, SQUARE + ";7", "1;1;9;9", "1", "1;1;9;9;5", "1281;1;1300;9;1290;80", "1;1;9;9;1280;721", "",
    )),
    *(HEAD + _ZONE + _ZONE.splitlines()[-1] + f"\n{each}\n" for each in ("inverse-roi=1", "inverse-roi=x", "class-id=")),
    *(HEAD + _WAY.format(each) for each in ("1;1;9;9", "9;9;9;9", "1;1;9", "1;1;9;9;9", "1;x;2;3")),
    HEAD.replace("config-width=1280\n", "") + LINE, HEAD.replace("1280", "0") + LINE, HEAD.replace("720", "x") + LINE,
    LINE, "", "nonsense\n" + HEAD, "[property\nenable=1\n",
)  # fmt: skip


def _values(group: str, key: str, *values: str) -> tuple[str, ...]:
    """A tracker's config for each."""
    return tuple(f"{group}: {{{key}: {value}}}\n" for value in values)


TRACKERS = (
    TRACKER, *(TRACKER.replace("BaseConfig", each) for each in ("BaseConfigs", "Base", "NvDCF")),
    *(TRACKER.replace("checkClassMatch", each) for each in (
        "checkClassMatches", "checkclassmatch", "probationAge", "somethingNew", "usePrediction4Assoc", "checkClass",
    )),
    "NvDCF:\n  useUniqueID: 1\n", "BaseConfig:\n\tx: 1\n", "- a\n", "x: [\n", "BaseConfig: 7\n",
    *_values("TargetManagement", "probationAge", "-1", "5.5", "5.", "-3.00", "", "[5]", "''", "x" * 90),
    *_values("TargetManagement", "maxTargetsPerStream", "65535", "65536", "0", "1", "-1", "9" * 30),
    *_values("TrajectoryManagement", "useUniqueID", "2", "enable", "Off", "maybe"),
    *_values("BaseConfig", "minDetectorConfidence", "low", "1;2", ".5", "1e"),
    *_values("DataAssociator", "minMatchingScore4Iou", "1.0", "1.01", "4", "5", "5.0", "40", "99", "100"),
)  # fmt: skip
_ENGINE = "[primary-gie]\nenable=1\nconfig-file=d.txt\ngie-unique-id=1\n"
_DETECTOR = (
    "[property]\ngie-unique-id=1\nnetwork-type=0\nnum-detected-classes=3\ncluster-mode=2\nnet-scale-factor=1.0\n"
)
APPS = (
    *((HEAD + LINE, size) for size in ((480, 270), (479, 270), (480, 269), (0, 720), (1, 1))),
    *((HEAD + LINE + f"class-id={each}\n", (1280, 720)) for each in ("0;2", "3", "1;3;4", "-1;9", "")),
    *((HEAD + first + LINE.replace("-0]", "-1]"), (1280, 720)) for first in ("", LINE, LINE.replace("enable=1", "enable=0"))),
    (HEAD + LINE.replace("enable=1", "enable=0"), (160, 90)), (HEAD + _ZONE, (160, 90)),
)  # fmt: skip


def _told(found: Iterable[Finding]) -> Iterator[str]:
    for each in found:
        place = ":".join(str(part) for part in (each.line, each.column) if part is not None)
        where = f" in {each.path}" if each.path and "/" in each.path else ""
        yield f"  {each.id} {each.level.value} {place}{where} {each.message}" + (f" | {each.hint}" if each.hint else "")


def lines() -> str:
    """For each config its number, the release, and what is said."""
    told = []
    for number, text in enumerate(TEXTS):
        for release, name in (("9.1", "a.txt"), ("6.3", "a.txt"), ("9.1", "a.yml"), ("6.3", "a.yml")):
            data = as_yaml(text) if name == "a.yml" and "\n\n" not in text and "[property\n" not in text else text
            found = on_analytics.findings(read_analytics(data.encode(), name, release))
            told += [f"{number} {name} {release}", *_told(found)]
    for number, text in enumerate(TRACKERS):
        for release in ("9.1", "6.1.1", "5.1"):
            told += [f"{number} tracker {release}", *_told(tracker_findings(text.encode(), "t.yml", release))]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "tracker.yml").write_text(TRACKER)
        (folder / "d.txt").write_text(_DETECTOR)
        for number, (text, (width, height)) in enumerate((*APPS, (HEAD + LINE + "class-id=0\n", (1280, 720)))):
            if number == len(APPS):  # a primary classifier, whose results have no class
                (folder / "d.txt").write_text(_DETECTOR.replace("network-type=0", "network-type=1"))
            (folder / "lines.txt").write_text(text)
            app = APP.format(width=width).replace("height=720", f"height={height}") + _ENGINE
            (folder / "app.txt").write_text(app)
            report = Checker(check_target("9.1", "dgpu"))([str(folder / "app.txt")])
            ours = [each for each in report.findings if each.id.startswith("NVI12")]
            told += [f"{number} app", *(line.replace(temporary, ".") for line in _told(ours))]
    return "\n".join(told) + "\n"


def test_messages() -> None:
    assert lines() == GOLDEN.read_text(encoding="utf-8")


if __name__ == "__main__":
    GOLDEN.write_text(lines(), encoding="utf-8")
