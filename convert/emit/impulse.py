"""Writes the bundle of a whole impulse: model, labels, engine build, Triton's config, RUN.md, and `report.json` last.

There is no config of Gst-nvinfer among them: it feeds video, and the features of Gst-nvinferaudio are not those of Edge
Impulse.
The same impulse and options give the same bytes, whatever the folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from convert.emit.files import (
    DUPLICATE_LABEL,
    RUN,
    SCRIPT,
    EngineBuild,
    build_script,
    bundle_names,
    label_file,
    label_findings,
    parser_findings,
    unverified_findings,
    write_bundle,
)
from convert.files import Output, load_text, sha256
from convert.nvinfer.targets import Target, sdk_path, target, trtexec_flags
from convert.report import REPORT, dumps, impulse_report
from convert.types import Bundle, Export, StageResult, ValidatedImpulse

if TYPE_CHECKING:
    from pathlib import Path

    from convert.dsp import Impulse
    from convert.findings import Finding
    from convert.types import ImpulseModel

TRITON: Final = "config.pbtxt"


@dataclass(frozen=True, slots=True)
class EmitImpulse:
    """Write the bundle.

    Attributes:
        folder: where; made if it does not exist.
        batch_size: windows at a time, of the engine and of Triton.
        gpu_id: number of the GPU on the target.
        target, platform: see `convert.nvinfer.targets.target`; they decide trtexec's flags.

    Raises:
        PresetError: a target that does not exist, or whose trtexec is not known.
    """

    name: ClassVar[str] = "emit"
    folder: Path
    batch_size: int = 1
    gpu_id: int = 0
    target: str = "deepstream-7.1"
    platform: str = "jetson"

    def __post_init__(self) -> None:
        trtexec_flags(self.where.tensorrt, "fp32")

    @property
    def where(self) -> Target:
        """The target's facts."""
        return target(self.target, self.platform)

    def plan(self, export: Export) -> tuple[str, ...]:
        """Names of the files the bundle gets, in the order they are written."""
        labels = (bundle_names(export.name).labels,) if export.model else ()
        return (f"{export.name}.onnx", *labels, SCRIPT, TRITON, RUN, REPORT)

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - every stage takes one
        """Write the folder.

        Raises:
            InputError: a label cannot be written to a label file.
            OutputError: the folder cannot be written; files of an earlier run are then intact.
        """
        assert isinstance(artifact, ValidatedImpulse)
        model = artifact.model
        files = self.files(model)
        found = self.findings(model)
        outputs = [Output(name, sha256(data)) for name, data in files.items()]
        files[REPORT] = dumps(impulse_report(artifact, self.options(), outputs, found))
        written, around = write_bundle(self.folder, model.export.name, files)
        return StageResult(Bundle(str(self.folder), model.export.name, written), written, (*found, *around))

    def options(self) -> dict[str, Any]:
        """As the report has them."""
        return {
            "batch_size": self.batch_size,
            "gpu_id": self.gpu_id,
            "precision": "fp32",
            "target": self.where.name,
            "platform": self.where.platform,
        }

    def files(self, model: ImpulseModel) -> dict[str, bytes]:
        """Name and content of every file but the report, in the order of `plan`."""
        engine = EngineBuild(model.file, self.batch_size, self.gpu_id, "fp32")
        labels = bundle_names(model.export.name).labels
        files = {model.file: model.onnx.data}
        if model.labels:
            files[labels] = label_file(model.labels, "one-per-line", model.export.labels_from)
        files[SCRIPT] = build_script(engine, model.onnx.input, self.where, impulse=True)
        files[TRITON] = self._triton(model, labels)
        files[RUN] = self._run_md(model, engine, labels)
        return files

    def findings(self, model: ImpulseModel) -> tuple[Finding, ...]:
        """What is questionable in the files themselves."""
        where, names = self.where, bundle_names(model.export.name)
        found = [each for each in label_findings(model.labels, names.labels) if each.id == DUPLICATE_LABEL.id]
        hint = "use a --target with TensorRT 8 or newer, or ONNX Runtime"
        found += parser_findings(model.onnx, model.file, where, hint)
        found += unverified_findings(where, {"tensorrt": SCRIPT})
        return tuple(found)

    def _triton(self, model: ImpulseModel, labels: str) -> bytes:
        size = model.impulse.samples * model.impulse.axes
        outputs = []
        for value in model.onnx.outputs:
            named = f'\n    label_filename: "{labels}"' if value.name == "scores" and model.labels else ""
            typed = f'name: "{value.name}"\n    data_type: TYPE_FP32\n    dims: [ {value.shape[-1]} ]'
            outputs.append(f"  {{\n    {typed}{named}\n  }}")
        return (
            load_text("bundle/config.pbtxt")
            .format(batch=self.batch_size, size=size, outputs=",\n".join(outputs))
            .encode()
        )

    def _run_md(self, model: ImpulseModel, engine: EngineBuild, labels: str) -> bytes:
        impulse, name = model.impulse, model.export.name
        files = " ".join((TRITON, *([labels] if model.labels else [])))
        return (
            load_text("bundle/RUN-impulse.md")
            .format(
                name=name,
                onnx=model.file,
                window=_window(impulse),
                outputs=_outputs(model),
                script=SCRIPT,
                engine=engine.file,
                trtexec=sdk_path(self.where, "trtexec"),
                release=self.where.deepstream,
                tensorrt=self.where.tensorrt,
                size=impulse.samples * impulse.axes,
                recording="recording.wav" if _is_sound(impulse) else "recording.csv",
                program=_program(model, labels),
                files=files,
            )
            .encode()
        )


def _is_sound(impulse: Impulse) -> bool:
    return impulse.sensor == "microphone"


def _window(impulse: Impulse) -> str:
    count = f"{impulse.samples:,} samples at {impulse.frequency:g} a second"
    if _is_sound(impulse):
        return f"{count}, 16-bit sound as whole numbers (-32768 to 32767, not divided)"
    names = f" ({', '.join(impulse.axis_names)})" if impulse.axis_names else ""
    return f"{count} of {impulse.axes} axes{names}, interleaved, in the sensor's own units"


def _outputs(model: ImpulseModel) -> str:
    said = []
    if model.labels:
        said.append(f"`scores` float32 [N, {len(model.labels)}], in the order of the labels")
    if model.impulse.anomaly is not None:
        said.append("`anomaly` float32 [N, 1], the higher the stranger")
    return "; ".join(said)


def _program(model: ImpulseModel, labels: str) -> str:
    """Python that reads a recording and prints what the model says of each window."""
    impulse = model.impulse
    if _is_sound(impulse):
        head, form = "import sys, wave", (impulse.axes, 2, round(impulse.frequency))
        read = [
            "with wave.open(sys.argv[1]) as file:",
            f'    assert file.getparams()[:3] == {form}, "not {form[0]} channel(s) of 16 bits at {form[2]} Hz"',
            f'    samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, {impulse.axes})',
        ]
    else:
        head = "import sys"
        read = [
            f"# The first line holds names; the last {impulse.axes} columns are the axes, times may stand before them.",
            'samples = np.loadtxt(sys.argv[1], delimiter=",", skiprows=1, ndmin=2)',
            f"samples = samples[:, -{impulse.axes}:]",
        ]
    outputs = [value.name for value in model.onnx.outputs]
    lines = [head, "import numpy as np, onnxruntime", *read]
    lines.append(f'session = onnxruntime.InferenceSession("{model.file}", providers=["CPUExecutionProvider"])')
    if len(model.labels) > 1:
        lines.append(f'labels = open("{labels}", encoding="utf-8").read().splitlines()')
    lines += [
        f"for start in range(0, len(samples) - {impulse.samples - 1}, {impulse.samples}):",
        f"    window = samples[start : start + {impulse.samples}].astype(np.float32).reshape(1, -1)",
        f'    {", ".join(outputs)}{"," if len(outputs) == 1 else ""} = session.run(None, {{"samples": window}})',
    ]
    said = []
    if len(model.labels) > 1:
        said.append("labels[scores[0].argmax()], scores[0].max()")
    elif model.labels:
        said.append("scores[0, 0]")
    if "anomaly" in outputs:
        said.append('"anomaly", anomaly[0, 0]')
    lines.append(f"    print(start / {impulse.frequency:g}, {', '.join(said)})")
    return "\n".join(lines)
