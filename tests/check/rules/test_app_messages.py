"""Everything that `check` says about many small configs of deepstream-app and scripts, in order.

Made anew by `python -m tests.check.rules.test_app_messages`: read the difference before it is committed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from convert.check.loading import check_target
from convert.check.run import Checker
from tests.check.rules.test_app import PRIMARY, TOGETHER, app_text, check_app
from tests.check.rules.test_app_streams import (
    CAMERA,
    CSV,
    FILE,
    INI,
    LIVE,
    MUX,
    OF_RELEASES,
    RTSP,
    SHELL,
    TRACKER,
    YAML,
    ini,
)  # fmt: skip

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "app_messages.txt"

_SECONDARY = "enable=1 config-file=c.txt gie-unique-id=2 operate-on-gie-id=1"
_SGIE = {f"secondary_gie{number}": _SECONDARY + f" gie-unique-id={number + 2}" for number in range(17)}
_WIDE = {**MUX, "width": "8192"}

SOURCES: list[dict[str, dict[str, str]]] = [
    *(
        {"source0": {"enable": "1", **keys}, "streammux": mux}
        for mux in (MUX, LIVE)
        for keys in (
            {"type": "9"}, {"type": "0", "camera-width": "640"}, {"camera-csi-sensor-id": "1"}, {"uri": "/dev/video3"},
            {"type": "1", "uri": "' /dev/video12'"}, {"type": "1", "camera-v4l2-dev-node": "0", **CAMERA},
            {"type": "9", "camera-v4l2-dev-node": "2", **CAMERA}, {"type": "9", "uri": "rtsp://camera/1"},
            {"type": "4"}, {"type": "3"}, {"type": "4", "uri": "camera"}, {"type": "4", "uri": "./a.mp4"},
            {"type": "2", "uri": "/a b.mp4", "camera-width": "640"}, {"type": "2", "uri": ".hidden.mp4"},
            {"type": "3", "uri": "'rtsp://camera/1'"}, {"type": "3", "uri": "file:///a%20b%2Fc.mp4", "num-sources": "2"},
            {"type": "3", "uri": "file:///100%", "num-sources": "1"}, {"type": "x", "uri": "file:///a.mp4"},
            {"type": "4", "uri": "https://a/b.mp4"}, {"type": "5", "camera-fps-n": "30"},
            {"type": "1", "camera-width": "640", "camera-height": "480", "camera-fps-n": "30"},
            {"type": "2", "uri": "rtsp://camera/1", "rtsp-reconnect-interval-sec": "5", "smart-record": "0"},
            {"type": "3", "uri": "RTSP://camera/1", "smart-record": "1"}, {"type": "6"}, {"type": "8"},
            {"type": "2", "uri": "file://tmp/a%20b.mp4"}, {"type": "2", "uri": "file://a%20b.mp4"},
        )
    ),
    {"streammux": {"batch-size": "2"}, "source1": FILE, "source2": {**RTSP, "enable": "0"}},
    {"streammux": {"batch-size": "1", "height": "720"}}, {"streammux": {**MUX, "batch-size": "2"}},
    {"tiled-display": {"enable": "1", "rows": "1", "columns": "2"}, "source1": {**FILE, "num-sources": "4"}},
    {"tiled-display": {"enable": "1", "rows": "2", "columns": "2"}, "source1": {**FILE, "num-sources": "3"}},
    {"tiled-display": {"enable": "1", "rows": "0", "columns": "2"}, "source1": FILE},
    {"tiled-display": {"rows": "1"}}, {"tracker": {"ll-lib-file": "x"}}, {"tracker": {"enable": "x"}},
    {"tracker": {"enable": "1"}}, {"tracker": {**TRACKER, "tracker-width": "0", "tracker-height": "0"}},
    {"nvds-analytics": {"enable": "1", "config-file": "/elsewhere/a.txt"}, "tracker": {"tracker-width": "640"}},
    {"source-list": {"list": "usb:0;csi:1;csi:x;/a.mp4;"}, "source-attr-all": {"enable": "1", "type": "3"}},
    {"source-list": {"list": "", "num-source-bins": "3"}, "source-attr-all": {"enable": "1", "type": "3"}},
    {"sink1": {"enable": "1", "type": "99"}}, {"sink": {"enable": "1"}}, {"secondary-gie7": {"x": "1"}},
    {"primary-gie": {"config-file": "d.txt"}}, {"osd": {"enable": "a" * 90}}, {"message-consumer0": {"x": "1"}},
    {"nvds-analytic": {"enable": "1"}}, {"tests": {"file-lop": "1"}, "streammux": {**MUX, "live-sourc": "1"}},
    {"img-save": {"enable": "1", "output-folder-path": "x"}}, {"source01": FILE}, {"source-0": FILE},
]  # fmt: skip
ENGINES: list[tuple[dict[str, str], str, str, str, str]] = [
    *((*row[:3], "9.1", "dgpu") for row in TOGETHER),
    (_SGIE, "", "", "9.1", "dgpu"), ({**_SGIE, "secondary_gie16": "enable=0 config-file=c.txt"}, "", "", "9.1", "dgpu"),
    ({"primary_gie": PRIMARY + " batch-size=2", "source1": "enable=1 type=3 uri=file:///a.mp4 num-sources=4"}, "", "",
     "9.1", "dgpu"),
    ({"secondary_gie0": _SECONDARY + " operate-on-class-ids=1;7"}, "", "", "9.1", "dgpu"),
    *(({"secondary_gie0": "enable=1 config-file=c.txt gie-unique-id=2", "primary_gie": "enable=1 config-file=d.txt"},
       "", f"operate-on-gie-id={other}", "9.1", "dgpu") for other in (2, 7)),
    ({"secondary_gie0": _SECONDARY + " operate-on-class-ids=9"}, "network-type=1", "", "9.1", "dgpu"),
    ({"secondary_gie0": _SECONDARY}, "[class-attrs-all]\ndetected-max-h=7", "input-object-min-height=7", "9.1", "dgpu"),
    ({"secondary_gie0": _SECONDARY}, "[class-attrs-all]\ndetected-max-h=7", "input-object-min-height=8", "9.1", "dgpu"),
    ({"secondary_gie0": _SECONDARY}, "", "input-object-min-width=1280", "9.1", "dgpu"),
    ({"secondary_gie0": _SECONDARY}, "", "input-object-min-width=1281", "9.1", "dgpu"),
    ({"secondary_gie0": _SECONDARY.replace("=2 ", "=0 ")}, "", "", "9.1", "dgpu"),
    ({"primary_gie": "enable=1 config-file=gone.txt gie-unique-id=1", "tracker": "enable=1 ll-config-file=gone.yml"},
     "", "", "9.1", "dgpu"),
    *(({"streammux": size}, "infer-dims=3;64;96" + more, "", release, "jetson")
      for size in ("width=1536 height=1024", "width=1538 height=1024", "width=4 height=4", "width=6 height=4")
      for more, release in (("", "9.1"), ("\nmaintain-aspect-ratio=1", "6.2"), ("\nscaling-compute-hw=1", "9.1"))),
    ({"primary_gie": PRIMARY + " input-tensor-meta=1", "streammux": "width=9000 height=8000"}, "infer-dims=3;64;96",
     "", "9.1", "jetson"),
    ({"secondary_gie0": _SECONDARY}, "", "infer-dims=3;320;96\ninput-object-min-height=18", "9.1", "jetson"),
    ({"secondary_gie0": _SECONDARY}, "", "infer-dims=3;96;321\ninput-object-min-width=20", "6.0", "jetson"),
]  # fmt: skip
SCRIPT = (
    "# trtexec --buildOnly\ntrtexec --onnx=a.onnx --workspace=99 \\\n  --buildOnly --memPoolSize=workspace:1\n"
    "echo --workspace=1\nx=--buildOnly trtexec --saveEngine=a --noTF32 --fp8 --skipInference \\"
)


def lines() -> str:
    """For each config its number, the target, and what is said."""
    told: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)

        def add(path: Path, release: str, platform: str) -> None:
            told.append(f"{len([line for line in told if line[0] != ' '])} {path.name} {release} {platform}")
            for each in Checker(check_target(release, platform))([str(path)]).findings:
                place = ":".join(str(part) for part in (each.line, each.column) if part is not None)
                where = "" if each.path == str(path) else f" in {each.path}"
                hint = f" | {each.hint}" if each.hint else ""
                said = f"  {each.id} {each.level.value} {place}{where} {each.message}{hint}"
                told.append(said.replace(str(folder), "."))

        path = folder / "app.txt"
        texts = [*((ini(groups), "9.1", "jetson") for groups, _ in INI)]
        texts += [(ini(groups), release, "jetson") for groups, release, _ in OF_RELEASES]
        texts += [(ini(groups), "9.1", platform) for groups in SOURCES for platform in ("jetson", "dgpu")]
        for text, release, platform in texts:
            path.write_text(text)
            add(path, release, platform)
        for groups, detector, classifier, release, platform in ENGINES:
            check_app(folder, app_text(**{"primary_gie": PRIMARY, **groups}), detector, classifier)
            add(path, release, platform)
        for more, csv, _ in (*YAML, (CSV + "sorce0:\n  a: 1\n", "enable,type\n1,2\n", [])):
            (folder / "app.yml").write_text(SHELL.format(more=more))
            (folder / "s.csv").write_text(csv or "")
            add(folder / "app.yml", "9.1", "jetson")
        (folder / "build.sh").write_text(SCRIPT)
        for release in ("5.1", "6.2", "9.1"):
            add(folder / "build.sh", release, "dgpu")
    return "\n".join(told) + "\n"


def test_messages() -> None:
    assert lines() == GOLDEN.read_text(encoding="utf-8")


if __name__ == "__main__":
    GOLDEN.write_text(lines(), encoding="utf-8")
