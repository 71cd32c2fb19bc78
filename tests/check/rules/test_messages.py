"""Everything that `check` says about many small configs: ids, levels, places, messages and hints, in order.

Made anew by `python -m tests.check.rules.test_messages`: read the difference before it is committed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from convert.check.loading import check_target
from convert.check.run import Checker
from tests.check.rules.test_symptoms import _CLASSIFIER, _DETECTOR, _STOCK, SYMPTOMS, _config, _model

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "messages.txt"

_PROPERTY = "[property]\ngie-unique-id=1\n"
_CLASSES = _PROPERTY + "network-type=0\nnum-detected-classes=2\nnet-scale-factor=1.0\n"
_GRIDS = "float[N,2,8,8] cov, float[N,8,4,4] bbox"
_FLAT = "float[N,128] cov, float[N,8,8,8] bbox"
_CHANNELS = "float[N,2,8,8] cov, float[N,7,8,8] bbox"
_BODY = "cov = Identity (x) bbox = Identity (x)"
_TWO_OUTPUTS = "float[N,2] y, float[N,2] z"
_TWO_BODY = "p = GlobalAveragePool (x) y = Flatten <axis = 1> (p) z = Softmax <axis = 1> (y)"
_YAML = "property:\n  gie-unique-id: 1\n  network-type: 1\n"
LONG = "x" * 70
_COV, _BBOX = "cov" + "x" * 90, "bbox" + "y" * 90


def _long(text: str) -> str:
    """With names that are too long to be shown."""
    return text.replace("cov", _COV).replace("bbox", _BBOX)


CONFIGS: list[tuple[str, str, bytes, str]] = [
    *((config, "9.1", model, labels) for _, _, config, model, labels in SYMPTOMS),
    *(
        (_CLASSES + lines, release, b"", "")
        for release, lines in (
            ("9.1", "cluster-mode=1\n"),
            ("6.0", "cluster-mode=3\n[class-attrs-all]\nminBoxes=0\neps=0\n"),
            ("9.1", "cluster-mode=2\n[class-attrs-all]\ntopk=0\npre-cluster-threshold=1.5\nnms-iou-threshold=1\n"),
            ("9.1", "cluster-mode=2\n[class-attrs-all]\npre-cluster-threshold=-1\npost-cluster-threshold=1.0\n"),
            ("9.1", ("cluster-mode=2\n[class-attrs-all]\ndetected-min-w=9\ndetected-max-w=4\n[class-attrs-1]\n"
             "detected-min-h=3\ndetected-max-h=2\n[class-attrs-0]\ndetected-min-w=5\n")),
            ("9.1", "cluster-mode=4\nfilter-out-class-ids=0;1\n"), ("9.1", "cluster-mode=4\nfilter-out-class-ids=5;7\n"),
            ("9.1", ("process-mode=2\ninput-object-min-width=9\ninput-object-max-width=3\ninput-object-min-height=2\n"
             "input-object-max-height=1\n")),
            ("9.1", "process-mode=2\noperate-on-gie-id=1\n"), ("9.1", "process-mode=2\n"),
            ("9.1", "cluster-mode=0\n"), ("9.1", "cluster-mode=2\nthreshold=0.4\n"), ("5.1", "cluster-mode=2\n"),
            ("9.1", "cluster-mode=2\n[property]\nbatch-size=3\n[propertty]\na=1\n[class-attrs-9]\ntopk=3\n"),
            ("9.1", "cluster-mode=2\nintervall=3\nnetwork-mode=7\n"), ("9.1", "cluster-mode=2\ngpu-id=-1\n"),
            ("6.2", "cluster-mode=2\ncrop-objects-to-roi-boundary=1\nnetwork-input-order=1\n"),
            ("9.1", "cluster-mode=2\nonnx-file=gone.onnx\nmodel-engine-file=l.txt\n"),
            ("9.1", ("cluster-mode=2\nonnx-file=a/gone.onnx\nlabelfile-path=/abs/gone.txt\nnetwork-mode=1\n"
             "int8-calib-file=none.txt\n")),
            ("9.1", "cluster-mode=2\nonnx-file=m.onnx # the model\nlabelfile-path='l.txt'\nbatch-size=1 \n"),
            ("9.1", "cluster-mode=2\nsegmentation-threshold=2\nclassifier-threshold=1\nlabelfile-path=\n"),
            ("9.1", "cluster-mode=2\nparse-bbox-func-name=NvDsInferParseCustomSSD\n"),
            ("9.1", ("cluster-mode=2\ncustom-lib-path=/opt/nvidia/deepstream/deepstream/lib/"
             "libnvds_infercustomparser.so\nparse-bbox-func-name=NvDsInferParseCustomTfSsd\n")),
            ("5.1", ("cluster-mode=2\ncustom-lib-path=/opt/nvidia/deepstream/deepstream/lib/"
             "libnvds_infercustomparser.so\nparse-bbox-func-name=NvDsInferParseCustomEfficientDetTAO\n")),
            ("9.1", "cluster-mode=2\noffsets=1;2\nmean-file=m.ppm\nsymmetric-padding=1\nuff-file=x.uff\n"),
            ("9.1", "cluster-mode=2\noutput-blob-names=a;b;c\ninfer-dims=3;8;8\ninput-dims=3;8;8;0\n"),
            ("9.1", "cluster-mode=2\noutput-tensor-meta=1\noutput-instance-mask=1\nworkspace-size=0\n"),
        )
    ),
    *(
        (_PROPERTY + lines, "9.1", b"", "")
        for lines in (
            "network-type=1\nclassifier-async-mode=1\n", "network-type=1\nprocess-mode=2\nclassifier-async-mode=1\n",
            "network-type=3\n", "network-type=100\n", "network-type=2\nsegmentation-threshold=0.5\n", "network-type=9\n",
            "network-type=1\nclassifier-threshold=abc\n", "network-type=1 # classifier\n", "network-type=1;2\n",
            "network-type=1\nnet-scale-factor=1e400\noffsets=a;b\n", "network-type=1\nnetwork-type=0\n", "nonsense\n",
            "network-type=1\nclassifier-type=\\tx\n", "network-type=1\n# check: ignore NVI999 NVI060\n",
        )
    ),
    (_config(_DETECTOR), "9.1", _model(sink=_GRIDS, body=_BODY), "a\nb\n"),
    (_config(_DETECTOR), "9.1", _model(sink=_FLAT, body=_BODY), "a\nb\n"),
    (_config(_DETECTOR), "9.1", _model(sink=_CHANNELS, body=_BODY), "a\nb\n"),
    (_config(_CLASSIFIER), "9.1", _model(sink=_TWO_OUTPUTS, body=_TWO_BODY), "a;b\n"),
    (_config(_CLASSIFIER, network_input_order="1"), "5.1", _model("float[N,32,32,3] x", body="y = Softmax (x)"), "a;b"),
    (_config(_CLASSIFIER), "5.1", _model("float[N,32,32,3] x", body="y = Softmax (x)"), "a;b\n"),
    (_config(_CLASSIFIER, network_type="2"), "9.1", _model(), "a\nb\n"),
    (_config(_DETECTOR | _STOCK, num_detected_classes="0"), "9.1", _model(), "a\nb\n"),
    *(
        (_YAML + lines, "9.1", b"", "")
        for lines in (
            f"  output-blob-names: {LONG};b\n", f"  classifier-type: {LONG}\n", "  infer-dims: 3;8.5;8\n",
            "  onnx-file:\n", "  batch-size: 1.5\n", "  interval: yes\n  offsets: 1;x;2\n", "unknown:\n  a: 1\n",
            "property:\n  gie-unique-id: 2\n", "  - a\n", "  ? x\n", "\tx: 1\n",
        )
    ),
    *(
        (_config(_DETECTOR), "9.1", _model(sink=_long(sink), body=_long(_BODY)), "a\nb\n")
        for sink in (_GRIDS, _FLAT, _CHANNELS)
    ),
    *(
        (_config(_CLASSIFIER, **keys), "9.1", _model(sink=sink.replace("y", _BBOX).replace("z", _COV), body=body), "a;b\n")
        for body in (_TWO_BODY.replace("y", _BBOX).replace("z", _COV),)
        for sink in (_TWO_OUTPUTS, "float[N,1,2] y, float[N,2] z")
        for keys in ({}, {"output_blob_names": "x" * 90 + ";y"}, {"network_type": "3"}, {"network_type": "2"})
    ),
]  # fmt: skip


def lines() -> str:
    """For each config its number, what differs from others, and what is said."""
    told = []
    with tempfile.TemporaryDirectory() as temporary:
        for number, (config, release, model, labels) in enumerate(CONFIGS):
            folder = Path(temporary, str(number))
            folder.mkdir()
            path = folder / ("c.yml" if config.startswith("property:") else "c.txt")
            path.write_text(config)
            (folder / "l.txt").write_bytes(labels.encode())
            if model:
                (folder / "m.onnx").write_bytes(model)
            report = Checker(check_target(release, "dgpu"))([str(path)])
            told.append(f"{number} {release}")
            for each in report.findings:
                place = ":".join(str(part) for part in (each.line, each.column) if part is not None)
                where = "" if each.path == str(path) else f" in {each.path}"
                hint = f" | {each.hint}" if each.hint else ""
                told.append(
                    f"  {each.id} {each.level.value} {place}{where} {each.message}{hint}".replace(str(folder), ".")
                )
    return "\n".join(told) + "\n"


def test_messages() -> None:
    assert lines() == GOLDEN.read_text(encoding="utf-8")


if __name__ == "__main__":
    GOLDEN.write_text(lines(), encoding="utf-8")
