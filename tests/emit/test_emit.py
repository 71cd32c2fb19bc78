"""The emit stage: options, files, findings, and the folder it writes into."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert.emit import Emit
from convert.emit.config import Gie
from convert.errors import InputError, OutputError, PresetError
from convert.findings import Level, Rule
from convert.images import Frame, Framing
from convert.pipeline import Chosen
from convert.types import Agreement, Bundle, Evidence, Int8Evidence, PrecisionEvidence, Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.types import Validated

ROLES = ["pgie", "sgie", "both"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def ids(findings: Any) -> list[str]:
    return [finding.id for finding in findings]


@pytest.mark.parametrize("role", ROLES)
def test_the_folder_is_what_was_planned(tmp_path: Path, classifier: Validated, role: str) -> None:
    emit = Emit(tmp_path / "new" / "bundle", role=role)
    planned = emit.plan("fruit")
    assert not emit.folder.exists()
    result = emit(classifier, tmp_path)
    assert tuple(Path(output.path).name for output in result.outputs) == planned
    assert set(contents(emit.folder)) == set(planned)
    assert planned[-1] == "report.json"
    assert result.artifact == Bundle(str(emit.folder), "fruit", result.outputs)
    for output in result.outputs:
        assert output.sha256 == hashlib.sha256(Path(output.path).read_bytes()).hexdigest()
    assert [path.name for path in emit.folder.iterdir() if os.access(path, os.X_OK)] == ["build_engine.sh"]
    assert emit.name == "emit"


def test_roles_decide_the_configs() -> None:
    planned = {role: set(Emit(Path("x"), role=role).plan("a")) for role in ROLES}
    assert planned["both"] - planned["pgie"] == {"config_infer_secondary_a.txt"}
    assert planned["both"] - planned["sgie"] == {"config_infer_primary_a.txt"}


def test_model_and_labels_are_in_the_folder(tmp_path: Path, classifier: Validated) -> None:
    Emit(tmp_path)(classifier, tmp_path)
    assert (tmp_path / "fruit.onnx").read_bytes() == classifier.adapted.onnx.data
    assert (tmp_path / "fruit_labels.txt").read_bytes() == b"apple;pear;plum"


def test_the_same_again_is_the_same_bytes_wherever_it_is(tmp_path: Path, classifier: Validated) -> None:
    here, there = tmp_path / "here", tmp_path / "a" / "longer way" / "there"
    for folder in (here, there):
        Emit(folder, precision="fp16", role="sgie")(classifier, tmp_path)
    assert contents(here) == contents(there)
    assert not any(str(tmp_path).encode() in data for data in contents(here).values())
    before = {path.name: path.stat().st_mtime_ns for path in here.iterdir()}
    Emit(here, precision="fp16", role="sgie")(classifier, tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in here.iterdir()} == before


def test_the_report(tmp_path: Path, classifier: Validated) -> None:
    seen = Rule("EI104").found("something was assumed")
    result = Emit(tmp_path, precision="fp16", batch_size=2)(replace(classifier, findings=(seen,)), tmp_path)
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert report["options"] == {
        "role": "both",
        "batch_size": 2,
        "precision": "fp16",
        "gie_id": {"primary": 1, "secondary": 2},
        "operate_on_gie_id": 1,
        "target": "deepstream-7.1",
        "platform": "jetson",
        "gpu_id": 0,
        "min_size": 16,
        "source": None,
        "sink": None,
    }
    assert [file["path"] for file in report["files"]] == list(Emit(tmp_path).plan("fruit")[:-1])
    for file in report["files"]:
        assert file["sha256"] == hashlib.sha256((tmp_path / file["path"]).read_bytes()).hexdigest()
    assert [finding["id"] for finding in report["findings"]] == ["EI104", "EI503"]
    assert ids(result.findings) == ["EI503"]  # the others were told by the stages that found them
    assert report["evidence"]["parity"]["max_abs_diff"] == 2e-6


def test_a_usual_bundle_has_no_findings(tmp_path: Path, classifier: Validated) -> None:
    assert Emit(tmp_path)(classifier, tmp_path).findings == ()


@pytest.mark.parametrize(
    ("options", "model", "expected"),
    [
        ({"precision": "fp16"}, {}, ["EI503"]),
        ({"role": "sgie"}, {}, ["EI505"]),
        ({"target": "5.1"}, {"opset": 11}, ["EI502"]),
        ({"target": "5.1", "platform": "dgpu"}, {"opset": 11}, ["EI502", "EI504"]),
        ({"target": "6.0"}, {}, []),
        ({"target": "6.0"}, {"opset": 14}, ["EI509"]),
        ({"target": "7.1"}, {"opset": 7}, ["EI509"]),
        ({"target": "6.1"}, {}, ["EI504"]),
        ({"target": "9.2"}, {}, ["EI504"]),
        ({"target": "9.1"}, {"labels": ("a", "b", "a")}, ["EI500"]),
        ({"target": "9.1"}, {"labels": ("a" * 128, "b")}, ["EI501"]),
    ],
)
def test_what_is_found_in_the_files(
    tmp_path: Path, invent: Callable[..., Validated], options: Any, model: Any, expected: list[str]
) -> None:
    result = Emit(tmp_path, **options)(invent(**model), tmp_path)
    assert ids(result.findings) == expected
    planned = Emit(tmp_path, **options).plan("fruit")
    assert all(finding.path in planned for finding in result.findings)
    assert [each["id"] for each in json.loads((tmp_path / "report.json").read_bytes())["findings"]] == expected


def _half(same: float, **more: Any) -> PrecisionEvidence:
    return PrecisionEvidence("fp16", 10, Agreement(same, 0.01, 0.2, 200), {"Conv": 1}, **more)


@pytest.mark.parametrize(
    ("target", "half", "found", "message", "hint"),
    [
        ("7.1", _half(0.995), "EI503", "99.5% of 200 inputs", None),
        ("7.1", _half(1.0, shown=0), "EI503", "100.0% of 200 inputs (0 show an object)", None),
        ("7.1", _half(0.9), "EI512", "90.0% of 200 inputs", "use --precision fp32"),
        ("7.1", _half(0.9, keep=("a", "b")), "EI512", "90.0%", "'--layerPrecisions=a:fp32,b:fp32'"),
        ("7.1", _half(1.0, overflow=("a", "b"), keep=("a",)), "EI512", "a and 1 more node;", "=a:fp32'"),
        ("6.0", _half(0.9, keep=("a", "b")), "EI512", "90.0%", "use --precision fp32"),  # TensorRT 8.0
        ("7.1", _half(0.9, keep=("a:0",)), "EI512", "90.0%", "use --precision fp32"),  # trtexec splits there
    ],
)
def test_what_fp16_changes(
    tmp_path: Path,
    classifier: Validated,
    target: str,
    half: PrecisionEvidence,
    found: str,
    message: str,
    hint: str | None,
) -> None:
    known = replace(classifier, evidence=replace(classifier.evidence, precisions=(half,)))
    (finding,) = Emit(tmp_path, target=target, precision="fp16")(known, tmp_path).findings
    assert finding.id == found
    assert message in finding.message
    assert (hint or "") in (finding.hint or "")
    assert ("--layerPrecisions" in (finding.hint or "")) == bool(hint and ":fp32" in hint)


ALIKE = Agreement(0.975, 0.0, 0.0, 200)
CODES = Int8Evidence({}, {}, 1.0, ALIKE, ALIKE, ALIKE)


@pytest.mark.parametrize(
    ("half", "codes", "mode", "message"),
    [
        (_half(0.99), None, "2", "FP16: the same decision on 99.0% of 200 inputs"),
        (_half(0.99, shown=7), None, "2", "FP16: the same decision on 99.0% of 200 inputs (7 show an object)"),
        (_half(0.99, shown=0), None, "0",
         "FP32: FP16 was not judged: none of 200 inputs shows an object (give --images)"),
        (_half(0.98), None, "0", "FP32: FP16 would have the same decision on 98.0% of 200 inputs"),
        (_half(1.0, overflow=("a", "b")), None, "0",
         "FP32: FP16 would have results of a beyond 65504, and the same decision on 100.0% of 200 inputs"),
        (_half(1.0), CODES, "2",
         "FP16: the same decision on 100.0% of 200 inputs as the original, whose own two kernels agree on 97.5%"),
    ],
)  # fmt: skip
def test_auto_takes_fp16_where_the_decisions_stay(
    tmp_path: Path, classifier: Validated, half: PrecisionEvidence, codes: Int8Evidence | None, mode: str, message: str
) -> None:
    known = replace(classifier, evidence=replace(classifier.evidence, precisions=(half,), int8=codes))
    before = Rule("EI104").found("something was assumed")
    result = Chosen(Emit(tmp_path, precision="fp16"), "no INT8", (before,))(known, tmp_path)
    assert result.findings[0].id == "EI513"
    assert result.findings[0].message == f"{message}; no INT8"
    again = Chosen(Emit(tmp_path, precision="fp16"), "", (before,))(known, tmp_path)
    assert again.findings[0].message == message
    assert f"network-mode={mode}\n" in (tmp_path / "config_infer_primary_fruit.txt").read_text()
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert [each["id"] for each in report["findings"]][:2] == ["EI104", "EI513"]


def test_an_opset_that_fits_is_named(tmp_path: Path, invent: Callable[..., Validated]) -> None:
    (high,) = Emit(tmp_path, target="6.0")(invent(opset=17), tmp_path).findings
    (low,) = Emit(tmp_path, target="8.0")(invent(opset=8), tmp_path).findings
    assert (high.hint, low.hint) == ("--opset 13", "--opset 9")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"role": "primary"}, "no role 'primary'"),
        ({"precision": "int4"}, "no precision 'int4'"),
        ({"batch_size": 0}, "--batch-size 0 is out of range"),
        ({"batch_size": 1025}, "--batch-size 1025 is out of range"),
        ({"gpu_id": -1}, "--gpu-id -1 is out of range"),
        ({"min_size": 0}, "--min-size 0 is out of range"),
        ({"gie_id": 0}, "--gie-id 0 is out of range"),
        ({"gie_id": 2**31 - 1}, "--gie-id 2147483647 is out of range"),
        ({"operate_on_gie_id": 0}, "--operate-on-gie-id 0 is out of range"),
        ({"target": "7.2"}, "no DeepStream release '7.2'"),
        ({"platform": "thor"}, "no platform 'thor': that is a Jetson"),
        ({"role": "pgie", "operate_on_gie_id": 1}, "looks at whole frames"),
        ({"role": "sgie", "gie_id": 1}, "engine 1 cannot operate on its own"),
        ({"role": "sgie", "gie_id": 4, "operate_on_gie_id": 4}, "engine 4 cannot operate on its own"),
        ({"gie_id": 4, "operate_on_gie_id": 5}, "engine 5 cannot operate on its own"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_any_work(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(PresetError) as caught:
        Emit(tmp_path, **options)
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("options", "primary", "secondary"),
    [
        ({}, Gie(1), Gie(2, 1)),
        ({"gie_id": 5}, Gie(5), Gie(6, 5)),
        ({"gie_id": 5, "operate_on_gie_id": 2}, Gie(5), Gie(6, 2)),
        ({"role": "pgie"}, Gie(1), None),
        ({"role": "pgie", "gie_id": 9}, Gie(9), None),
        ({"role": "sgie"}, None, Gie(2, 1)),
        ({"role": "sgie", "gie_id": 9}, None, Gie(9, 1)),
        ({"role": "sgie", "gie_id": 1, "operate_on_gie_id": 2}, None, Gie(1, 2)),
        ({"role": "sgie", "platform": "dgpu"}, None, Gie(2, 1)),
        ({"role": "sgie", "min_size": 99}, None, Gie(2, 1, 99)),
    ],
)
def test_who_gets_which_id(tmp_path: Path, options: dict[str, Any], primary: Gie | None, secondary: Gie | None) -> None:
    emit = Emit(tmp_path, **options)
    assert (emit.primary, emit.secondary) == (primary, secondary)


def test_a_label_that_cannot_be_written_leaves_the_folder_alone(
    tmp_path: Path, classifier: Validated, invent: Callable[..., Validated]
) -> None:
    Emit(tmp_path)(classifier, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"^label 1 'red;green'") as caught:
        Emit(tmp_path)(invent(labels=("red;green", "b")), tmp_path)
    assert caught.value.hint == "rename it in Edge Impulse, or give all labels in output order with --labels"
    assert contents(tmp_path) == before


def test_a_head_nobody_described_is_refused(tmp_path: Path, invent: Callable[..., Validated]) -> None:
    with pytest.raises(PresetError, match=r"^nothing is known to emit for anomaly") as caught:
        Emit(tmp_path / "x")(invent(task="anomaly"), tmp_path)
    assert "classifier" in str(caught.value.hint)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["", "a b", "../a", "a/b", ".hidden", "-a", "a\nb", "ä"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, invent: Callable[..., Validated], name: str) -> None:
    with pytest.raises(PresetError, match=rf"^a bundle cannot be called {re.escape(repr(name))}$") as caught:
        Emit(tmp_path)(invent(name=name), tmp_path)
    assert caught.value.hint == "letters, digits, - and _ only"
    with pytest.raises(PresetError, match=rf"^a bundle cannot be called {re.escape(repr(name))}$") as caught:
        Emit(tmp_path).plan(name)
    assert caught.value.hint == "letters, digits, - and _ only"


def test_two_bundles_in_one_folder(tmp_path: Path, classifier: Validated, invent: Callable[..., Validated]) -> None:
    Emit(tmp_path)(classifier, tmp_path)
    (tmp_path / "RUN.md").unlink()  # older bundles have none
    before = contents(tmp_path)
    result = Emit(tmp_path)(invent(name="tools"), tmp_path)
    assert ids(result.findings) == ["EI508"]
    message = "the folder held the bundle of 'fruit'; replaced: build_engine.sh, report.json"
    assert (result.findings[0].message, result.findings[0].hint) == (message, "use one folder per model")
    after = contents(tmp_path)
    assert {name: data for name, data in after.items() if "fruit" in name} == {
        name: data for name, data in before.items() if "fruit" in name
    }
    # What is found in the folder is no part of the files: they are those of a fresh folder.
    fresh = tmp_path / "of its own"
    Emit(fresh)(invent(name="tools"), tmp_path)
    assert contents(fresh).items() <= after.items()


def test_a_config_of_another_role_stays_and_is_named(tmp_path: Path, classifier: Validated) -> None:
    Emit(tmp_path)(classifier, tmp_path)
    left = (tmp_path / "config_infer_secondary_fruit.txt").read_bytes()
    (found,) = Emit(tmp_path, role="pgie")(classifier, tmp_path).findings
    assert (found.id, found.level) == ("EI507", Level.NOTE)
    assert found.message == "config_infer_secondary_fruit.txt is from an earlier run with another --role"
    assert found.path == str(tmp_path / "config_infer_secondary_fruit.txt")
    assert (tmp_path / "config_infer_secondary_fruit.txt").read_bytes() == left
    assert json.loads((tmp_path / "report.json").read_bytes())["findings"] == []


def test_a_model_of_other_frames_stays_and_is_named(tmp_path: Path, invent: Callable[..., Validated]) -> None:
    framing = Framing(Frame(16, 9), (96, 64))
    seen = Preprocessing(1 / 255, (), "RGB", False, False, "", None, framing)
    Emit(tmp_path, role="pgie")(invent(preprocessing=seen, size=(None, 3, 64, 114)), tmp_path)
    (found,) = Emit(tmp_path, role="pgie")(invent(), tmp_path).findings
    assert (found.id, found.path) == ("EI507", str(tmp_path / "fruit-16x9.onnx"))
    assert found.message == "fruit-16x9.onnx is from an earlier run with another --frame or --role"


def test_an_engine_of_the_old_model_is_named(tmp_path: Path, classifier: Validated) -> None:
    Emit(tmp_path)(classifier, tmp_path)
    engine = tmp_path / "fruit.onnx_b1_gpu0_fp32.engine"
    engine.write_bytes(b"engine")
    (tmp_path / "other.onnx_b1_gpu0_fp32.engine").symlink_to("nowhere")
    built = (tmp_path / "fruit.onnx").stat().st_mtime_ns + 1
    os.utime(engine, ns=(built, built))
    assert Emit(tmp_path)(classifier, tmp_path).findings == ()
    better = classifier.adapted.onnx.data + b"\x12\x01x"  # a producer's name, one more field of the message
    adapted = replace(classifier.adapted, onnx=replace(classifier.adapted.onnx, stored=better))
    os.utime(engine, ns=(1, 1))
    for _ in range(2):  # it stays true until somebody builds
        (found,) = Emit(tmp_path)(replace(classifier, adapted=adapted), tmp_path).findings
        assert (found.id, found.level, found.path) == ("EI506", Level.WARNING, str(engine))
        assert found.message == f"{engine.name} is older than fruit.onnx; Gst-nvinfer would go on using it"
        assert found.hint == "run build_engine.sh, or delete the engine"
    assert engine.read_bytes() == b"engine"


@pytest.mark.parametrize(
    "text", [b"", b"\xff\xfe", b"[" * 100_000, b"[]", b'{"export": 3}', b'{"export": {"name": ["x"]}}', b"\0"]
)
def test_a_report_that_is_not_ours_says_nothing(tmp_path: Path, classifier: Validated, text: bytes) -> None:
    (tmp_path / "report.json").write_bytes(text)
    assert Emit(tmp_path)(classifier, tmp_path).findings == ()


def test_a_pipe_in_the_place_of_the_report_does_not_block(tmp_path: Path, classifier: Validated) -> None:
    os.mkfifo(tmp_path / "report.json")
    Emit(tmp_path)(classifier, tmp_path)
    assert (tmp_path / "report.json").is_file()


def test_a_folder_in_the_place_of_a_file_is_an_error(tmp_path: Path, classifier: Validated) -> None:
    (tmp_path / "fruit_labels.txt").mkdir()
    with pytest.raises(OutputError, match=r"^a folder stands where") as caught:
        Emit(tmp_path)(classifier, tmp_path)
    assert caught.value.hint == "remove it or choose another -o"
    assert [path.name for path in tmp_path.iterdir()] == ["fruit_labels.txt"]


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path: Path, classifier: Validated) -> None:
    (tmp_path / "bundle").write_bytes(b"")
    with pytest.raises(OutputError) as caught:
        Emit(tmp_path / "bundle")(classifier, tmp_path)
    assert caught.value.hint == "check free space and permissions, or choose another -o"


MEASURED = PrecisionEvidence("fp16", agreement=Agreement(1.0, 0.001, 0.0123, 1200))
GOOD = "rounded to float16 the model decides as in float32 on {} of {} inputs{}; scores differ by up to 0.012"
ADDED = "use --precision fp32, or build the engine with these options added: ./build_engine.sh"
BEYOND = "beyond 65504, the largest number of float16: "


@pytest.mark.parametrize(
    ("half", "message", "hint"),
    [
        (None, "the measured differences are those of FP32; the engine will be FP16", None),
        (PrecisionEvidence("fp16"), "the measured differences are those of FP32; the engine will be FP16", None),
        (MEASURED, GOOD.format("100.0%", "1,200", ""), None),
        (replace(MEASURED, shown=7), GOOD.format("100.0%", "1,200", " (7 show an object)"), None),
        (
            replace(MEASURED, agreement=Agreement(0.5, 0.001, 0.0123, 40)),
            GOOD.format("50.0%", "40", ""),
            "use --precision fp32",
        ),
        *(
            (
                replace(MEASURED, overflow=nodes),
                f"{BEYOND}a{more}; {GOOD.format('100.0%', '1,200', '')}",
                "use --precision fp32",
            )
            for nodes, more in ((("a",), ""), (("a", "b"), " and 1 more node"), (("a", "b", "c"), " and 2 more nodes"))
        ),
        (
            replace(MEASURED, overflow=("a",), keep=("a",)),
            f"{BEYOND}a; {GOOD.format('100.0%', '1,200', '')}",
            f"{ADDED} --precisionConstraints=obey '--layerPrecisions=a:fp32' '--layerOutputTypes=a:fp32'",
        ),
    ],
)
def test_what_is_said_of_fp16(
    tmp_path: Path, classifier: Validated, half: PrecisionEvidence | None, message: str, hint: str | None
) -> None:
    evidence = replace(Evidence(), precisions=(half,) if half else ())
    found = Emit(tmp_path, precision="fp16", target="7.1").findings(classifier.adapted, evidence)
    said = [
        (each.message, each.hint, each.path) for each in found if "FP16" in each.message or "float16" in each.message
    ]
    assert said == [(message, hint, "build_engine.sh")]
