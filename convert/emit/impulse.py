"""Writes the bundle of a whole impulse: model, labels, engine build, Triton's config, RUN.md, and `report.json` last.

There is no config of Gst-nvinfer among them: it feeds video, and the features of Gst-nvinferaudio are not those of Edge
Impulse.
The same impulse and options give the same bytes, whatever the folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from convert.emit import files as bundle
from convert.files import filled
from convert.nvinfer.targets import Target, sdk_path, target, trtexec_flags
from convert.report import REPORT, impulse_report
from convert.types import Bundle, Export, ImpulseModel, StageResult, ValidatedImpulse

if TYPE_CHECKING:
    from pathlib import Path

    from convert.findings import Finding

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
        labels = (bundle.bundle_names(export.name).labels,) if export.model else ()
        return (f"{export.name}.onnx", *labels, bundle.SCRIPT, TRITON, bundle.RUN, REPORT)

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
        report = partial(impulse_report, artifact, self.options(), findings=found)
        written, around = bundle.write_bundle(self.folder, model.export.name, files, report)
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
        engine = bundle.EngineBuild(model.file, self.batch_size, self.gpu_id, "fp32")
        labels = bundle.bundle_names(model.export.name).labels
        files = {model.file: model.onnx.data}
        if model.labels:
            files[labels] = bundle.label_file(model.labels, "one-per-line", model.export.labels_from)
        files[bundle.SCRIPT] = bundle.build_script(engine, model.onnx.input, self.where, impulse=True)
        about = {"model": model, "labels": labels}
        files[TRITON] = filled("bundle/config.pbtxt", batch_size=self.batch_size, **about)
        files[bundle.RUN] = filled(
            "bundle/RUN-impulse.md",
            target=self.where,
            engine=engine.file,
            trtexec=sdk_path(self.where, "trtexec"),
            script=bundle.SCRIPT,
            triton=TRITON,
            **about,
        )
        return files

    def findings(self, model: ImpulseModel) -> tuple[Finding, ...]:
        """What is questionable in the files themselves."""
        where, names = self.where, bundle.bundle_names(model.export.name)
        found = [
            each for each in bundle.label_findings(model.labels, names.labels) if each.id == bundle.DUPLICATE_LABEL.id
        ]
        hint = "use a --target with TensorRT 8 or newer, or ONNX Runtime"
        found += bundle.parser_findings(model.onnx, model.file, where, hint)
        found += bundle.unverified_findings(where, {"tensorrt": bundle.SCRIPT})
        return tuple(found)
