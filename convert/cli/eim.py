"""`ei-deepstream eim`: commands for Edge Impulse's Linux executables."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from convert.cli import Command, Group
from convert.cli.options import EXISTING, Parsed, common, declaration, exit_code, keywords, stack, write_json
from convert.errors import ConvertError, InputError, PresetError
from convert.files import load_toml, plain, signals_wait
from convert.findings import Finding, Level, Rule
from convert.options import ConvertOptions, Option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convert.eim.client import Client, ModelInfo, ProxyEvent, Reply
    from convert.eim.compare import EimComparison
    from convert.eim.inspect import EimInspection
    from convert.images import ImageScaling


_F = TypeVar("_F", bound="Callable[..., Any]")


@click.group("eim", cls=Group, **load_toml("eim.toml")["commands"]["eim"])
def eim() -> None:
    """Inspect, talk to, compare with and answer as Edge Impulse's Linux executables (.eim)."""


def _command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """`eim.command`, with what configs/eim.toml says of it."""
    return eim.command(name, cls=Command, **load_toml("eim.toml")["commands"][name])


_target = click.argument("target", type=click.Path(path_type=Path), metavar="FILE|SOCKET")
"""An .eim to start, or the socket of one that runs."""

_FILES = click.Path(exists=True, path_type=Path, allow_dash=True)  # with --features - is standard input
_features = click.option(
    "--features",
    type=_FILES,
    multiple=True,
    metavar="FILE",
    help="Numbers from text files instead of pictures; all further names are such files, too, and - is standard input.",
)


def _options(command: str) -> Callable[[_F], _F]:
    """Those that configs/eim.toml declares, of a command, or of several."""
    made = []
    for name, row in load_toml("eim.toml")["options"][command].items():
        values = {"default": None, **row, "choices": tuple(row.get("choices", ()))}
        variable = values.pop("as", name).replace("-", "_")
        option = Option(name=name, **values, type=type(row.get("default", row.get("low", ""))))
        finite = {"type": Parsed(option)} if option.type is float else {}
        made.append(click.option(f"--{name}", variable, **keywords(option) | finite))
    return stack(*made)


def _findings_document(findings: Iterable[Finding], exit_code: int | None, **rest: Any) -> dict[str, Any]:
    """The JSON document of a command that has findings, with the keys all commands have."""
    from convert.report import SCHEMA_VERSION, finding_document  # --help does without

    return {
        "schema_version": SCHEMA_VERSION,
        "exit_code": exit_code,
        **rest,
        "findings": [finding_document(finding) for finding in findings],
        "error": None,
    }


@_command("inspect")
@_target
@_options("inspect")
@_options("asking")
@common
def inspect(
    target: Path, *, hello: bool, timeout: float, format_: str, fail_on: Level, quiet: bool
) -> int:  # fmt: skip
    """Say which machine an .eim is for, whether it starts on this one, and what to download instead.

    The file is read, never run, unless --hello is given. A reason why it cannot start here is a finding of level error.
    """
    from convert.eim.bundle import hello_findings
    from convert.eim.client import Timeouts, talk
    from convert.eim.inspect import inspect as inspect_file
    from convert.findings import Level

    inspection = inspect_file(target)
    findings = inspection.findings
    model = None
    if hello and not any(found.level is Level.ERROR for found in findings):  # else they say why it does not start
        with talk(target, limits=Timeouts(timeout, timeout)) as client:
            model = client.model
            known = () if inspection.kind == "script" else findings  # a script that answers is an .eim
            findings = (*known, *hello_findings(model, target))
    code = exit_code(findings, fail_on)
    if format_ == "json":
        write_json(_findings_document(findings, code, **_inspection_document(inspection), hello=model and model.raw))
    elif not quiet:
        from rich.text import Text  # rich is not needed for JSON

        from convert.render.text import console, print_hanging, show_findings

        out = console()
        for name, text in [*_inspection_lines(inspection), *(_hello_lines(model) if model else [])]:
            print_hanging(out, Text(f"  {name:<10} {text}"), 13)
        show_findings(findings, out)
    return code


def _inspection_document(inspection: EimInspection) -> dict[str, Any]:
    binary, host = inspection.binary, inspection.host
    return {
        "path": str(inspection.path),
        "kind": inspection.kind,
        "binary": binary
        and {name: value for name, value in plain(binary).items() if name != "search"}
        | {"glibc": binary.glibc and ".".join(map(str, binary.glibc))},
        "targets": [name for target in inspection.targets for name in target.names],
        "host": {"system": host.system, "machine": host.machine, "bits": host.bits, "target": host.target},
    }


def _inspection_lines(inspection: EimInspection) -> list[tuple[str, str]]:
    binary, host = inspection.binary, inspection.host
    lines = [("file", str(inspection.path))]
    if binary is None:
        lines.append(("is", load_toml("eim.toml")["files"].get(inspection.kind, "an executable that cannot be read")))
    else:
        floats = {None: "", True: ", hard float", False: ", soft float"}[binary.hard_float]
        lines.append(("is", f"{binary.system} {'/'.join(binary.machines)}, {binary.bits}-bit{floats}"))
        lines += [("target", f"{each.title}: {', '.join(each.names)}") for each in inspection.targets]
        lines += [("loader", binary.interpreter)] if binary.interpreter else []
        lines += [("needs", ", ".join(binary.libraries))] if binary.libraries else []
    lines.append(("here", f"{host.system} {host.machine}, {host.bits}-bit"))
    return lines


def _name(kind: str, number: int, default: str) -> str:
    """Of one of eim.cpp's "sensors", "anomalies" or "engines"."""
    return str(load_toml("eim.toml")[kind].get(str(number), default))


def _hello_lines(model: ModelInfo) -> list[tuple[str, str]]:
    """What a hello answer says; nothing of what older executables do not say."""
    from convert.render.text import short  # rich is not needed for JSON

    raw, project = model.parameters, model.raw.get("project")
    named = project if isinstance(project, dict) else {}
    words = (("", "name"), (" by ", "owner"), (", version ", "deploy_version"))
    said = "".join(f"{before}{named[key]}" for before, key in words if named.get(key) is not None)
    lines = [("project", said.lstrip(" ,") or "not said")]
    size = f"{model.width}x{model.height}x{model.channels or '?'}" if model.width else f"{model.features} features"
    resize = f", resize {model.resize_mode}" if model.width and model.resize_mode else ""
    lines.append(("model", f"{model.kind}, {size}{resize}"))
    rate, axes = raw.get("frequency"), _whole(raw, "axis_count")
    facts = [_name("sensors", _whole(raw, "sensor"), "unknown")]
    if isinstance(rate, int | float) and rate > 0 and not model.width:
        facts += [f"{short(rate)} Hz", f"{axes} axes" if axes > 1 else "1 axis"]
        facts.append(f"a window is {short(model.features / max(axes, 1) / rate)} s")
        facts += [f"a slice {model.slice} features"] if model.slice else []
        facts += ["continuous"] if raw.get("use_continuous_mode") is True else []
    lines.append(("sensor", ", ".join(facts)))
    lines.append(("labels", ", ".join(model.labels) or "none"))
    if number := _whole(raw, "has_anomaly"):
        lines.append(("anomaly", _name("anomalies", number, "yes")))
    if raw.get("has_object_tracking") is True:
        lines.append(("tracking", "yes"))
    for threshold in model.thresholds:
        values = ", ".join(f"{key} {short(value)}" for key, value in threshold.items() if key not in {"id", "type"})
        lines.append(("threshold", f"block {threshold.get('id')}, {threshold.get('type')}: {values}"))
    if number := _whole(raw, "inferencing_engine"):
        engine = model.raw.get("inferencing_engine")
        more = engine.get("properties") if isinstance(engine, dict) else None
        names = [_name("engines", number, str(number)), *(map(str, more) if isinstance(more, list) else ())]
        lines.append(("engine", ", ".join(names)))
    return lines


def _whole(parameters: dict[str, Any], name: str) -> int:
    """A whole number; 0 where there is none. Until 2023 `has_anomaly` was a truth value, which counts as 1."""
    value = parameters.get(name)
    return int(value) if isinstance(value, int) else 0


class _Threshold(click.ParamType):  # type: ignore[type-arg] # not generic before click 8.3
    """`BLOCK:KEY=VALUE`, or `VALUE` for the min_score of every detection block."""

    name = "threshold"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | None, str, float]:
        if isinstance(value, tuple):
            return value
        block, colon, rest = value.rpartition(":")
        key, equals, number = rest.rpartition("=")
        with contextlib.suppress(ValueError):
            if math.isfinite(score := float(number)):
                return int(block) if colon else None, key if equals else "min_score", score
        self.fail(f"{value!r} is neither VALUE nor BLOCK:KEY=VALUE", param, ctx)


@_command("classify")
@_target
@click.argument("inputs", type=_FILES, nargs=-1, metavar="[PICTURE|RECORDING|FOLDER]...")
@_features
@_options("classify")
@click.option(
    "--threshold",
    "thresholds",
    type=_Threshold(),
    multiple=True,
    metavar="VALUE|BLOCK:KEY=VALUE",
    help="Set a threshold first; a VALUE alone is the min_score of every detection block.",
)
@_options("asking")
@common
def classify(  # noqa: PLR0913 - one parameter an option
    target: Path,
    inputs: tuple[Path, ...],
    *,
    features: tuple[Path, ...],
    continuous: bool,
    resample: bool,
    stdio: bool,
    unshared: bool,
    thresholds: tuple[tuple[int | None, str, float], ...],
    timeout: float,
    format_: str,
    fail_on: Level,
    quiet: bool,
) -> int:
    """Send pictures, recordings, or features from files to an .eim and show what it answers, one after the other.

    Pictures are resized as the .eim says, and packed one number a pixel. A recording (WAV, CSV, or JSON and CBOR of
    Edge Impulse's data acquisition) is sent window by window. Of a folder what the .eim takes is sent. What cannot be
    read, or the .eim refuses, is an error of that input only. Every step has a time limit.
    """
    if not inputs and not features:
        raise click.UsageError("Give pictures, recordings or --features FILE.")
    from convert.eim.client import Timeouts, talk  # --help does without

    document = _AnswersDocument()
    findings: list[Finding] = []
    count, no_answer = 0, Rule("EI640")
    stopped: ConvertError | None = None
    try:
        with talk(target, stdio=stdio, shared=not unshared, limits=Timeouts(timeout, timeout)) as client:
            _set_thresholds(client, thresholds)
            show = document.add if format_ == "json" else partial(_show_reply, client.model)
            for name, reply, note in _answers(client, inputs, features, continuous=continuous, resample=resample):
                count += 1
                if isinstance(reply, InputError):
                    alone = reply
                    findings.append(no_answer.found(reply.message, path=name, hint=reply.hint))
                elif format_ == "json" or not quiet:
                    show(name, note, reply)
    except ConvertError as error:
        if not document.begun and not findings:
            raise
        stopped = error
    except (Exception, KeyboardInterrupt) as error:
        document.stop(findings, error, format_)
        raise
    if count == len(findings) == 1 and stopped is None:
        raise alone
    code = exit_code(findings, fail_on, error=stopped)
    if format_ == "json":
        document.end(findings, code, stopped)
    elif findings and not quiet:
        from convert.render.text import console, show_findings

        show_findings(findings, console())
    if stopped is not None:
        from convert.render.text import show_error  # only a failing run needs it

        show_error(stopped, "text")
    return code


class _AnswersDocument:
    """The JSON document of `classify`: each answer is written when it comes, what is known at the end stands behind.

    So the first is seen at once, and memory does not grow with the answers. Errors, bugs and signals end the document,
    too, unless they come while an answer is being written: then it stays as it is.

    Attributes:
        begun: whether an answer was written.
    """

    def __init__(self) -> None:
        self.begun = False
        self._is_whole = True

    def add(self, name: str, note: str, reply: Reply) -> None:
        """Write one answer."""
        from convert.report import dumps

        row = {"input": name, "result": reply.result, "timing": reply.timing, "seconds": round(reply.seconds, 6)}
        text = dumps(row | ({"note": note} if note else {})).decode().rstrip("\n").replace("\n", "\n    ")
        before = "," if self.begun else self._around([], 0)[0]
        self.begun, self._is_whole = True, False
        sys.stdout.write(f"{before}\n    {text}")
        sys.stdout.flush()
        self._is_whole = True

    def end(self, findings: Iterable[Finding], exit_code: int | None, error: ConvertError | None = None) -> None:
        """Write the rest, however many signals come; `exit_code` is None where one ends the run."""
        with signals_wait():
            before, behind = self._around(findings, exit_code, error)
            if self._is_whole:
                sys.stdout.write(f"\n  {behind}" if self.begun else before + behind)
                sys.stdout.flush()

    def stop(self, findings: Iterable[Finding], error: BaseException, format_: str) -> None:
        """Write the rest where a signal ends the run, or, after the first answer, a bug."""
        is_signal = isinstance(error, KeyboardInterrupt)
        if self.begun or (is_signal and format_ == "json"):
            cause = ConvertError(f"ended by {'a signal' if is_signal else 'a bug'} before the last answer")
            with contextlib.suppress(OSError):  # the reader is gone, too: the exit code says what ended the run
                self.end(findings, None if is_signal else 70, cause)

    @staticmethod
    def _around(findings: Iterable[Finding], exit_code: int | None, error: ConvertError | None = None) -> list[str]:
        """The document before and behind the answers."""
        from convert.render.machine import error_document
        from convert.report import SCHEMA_VERSION, dumps

        rest = _findings_document(findings, exit_code) | {"error": error and error_document(error)}
        whole = dumps({"schema_version": SCHEMA_VERSION, "answers": []} | rest).decode()
        begin, _, end = whole.partition("[]")
        return [f"{begin}[", f"]{end}"]


def _set_thresholds(client: Client, thresholds: Iterable[tuple[int | None, str, float]]) -> None:
    from convert.eim.client import parameters_hint

    for block, key, value in thresholds:
        blocks = [block] if block is not None else list(client.model.detectors)
        if not blocks:
            raise PresetError("this .eim has no detection threshold", hint=parameters_hint(client.target))
        for each in blocks:
            client.set_threshold(each, key, value)


def _answers(
    client: Client, inputs: tuple[Path, ...], features: tuple[Path, ...], *, continuous: bool, resample: bool
) -> Iterator[tuple[str, Reply | InputError, str]]:
    """Of all that is sent name, answer or why there is none, and a note; read and sent one after the other.

    Raises:
        InputError: the .eim does not answer.
    """
    send = client.classify_slice if continuous else client.classify
    for path in (*features, *inputs) if features else _files(client.model, inputs):
        pieces = _pieces(client.model, path, is_features=bool(features), continuous=continuous, resample=resample)
        try:
            for name, data, note in pieces:
                try:
                    answer: Reply | InputError = send(data)
                except InputError as error:
                    if client.is_broken:
                        raise
                    answer = error
                yield name, answer, note
        except InputError as error:
            if client.is_broken:
                raise
            yield str(path), error, ""


def _files(model: ModelInfo, paths: Sequence[Path]) -> tuple[Path, ...]:
    """The files as they are named; of folders the pictures, or for a model of samples the recordings."""
    if model.window is None or not any(path.is_dir() for path in paths):
        from convert.images.read import find

        return find(paths, videos=False)
    from convert.dsp import recordings  # brings numpy

    return tuple(each for path in paths for each in (recordings.find(path) if path.is_dir() else [path]))


def _pieces(
    model: ModelInfo, path: Path, *, is_features: bool, continuous: bool, resample: bool
) -> Iterator[tuple[str, NDArray[np.float32], str]]:
    """Name, features and a note for all of a file that is sent at a time; recordings are read by blocks.

    Raises:
        InputError: it cannot be read, holds too few, or is not what the model takes.
    """
    from convert.compare.edge_impulse import pack, read_features
    from convert.dsp import recordings
    from convert.images.read import read_fitted

    window, suffix = model.window, path.suffix.lower()
    rate: Any = model.parameters.get("frequency")
    is_recorded = suffix in recordings.SUFFIXES and not is_features
    blocks: Iterable[NDArray[np.float32]]
    if is_recorded and window is not None and (suffix != ".wav" or window.axes > 1):
        blocks = (block.reshape(-1) for block in recordings.blocks(path, window))
    elif is_recorded and suffix == ".wav":
        if type(rate) not in {int, float} or not 0 < rate < math.inf:
            raise InputError("this .eim takes no sound", path=path, hint="give pictures or --features FILE")
        blocks = recordings.sound(path, rate, resample=resample)
    elif is_features:
        blocks = [read_features(path)]
    elif model.width and model.height:
        channels = model.channels or 1  # as the Node.js client takes it
        blocks = [pack(read_fitted(path, model.height, model.width, channels, model.mode))]
    else:
        raise InputError("this .eim takes no pictures", path=path, hint="give --features FILE, or a .wav")
    step = model.slice if continuous else model.features if is_recorded else len(blocks[0])  # type: ignore[index]
    if not step:
        raise InputError("this .eim does not say how long a slice is", path=path, hint="leave out --continuous")
    kind, warm, sent = "slice" if continuous else "window", model.features // step - 1, None
    for number, found in enumerate(recordings.pieces(blocks, step, step)):
        if sent is not None:  # now it is known whether it is the last one, and the only one
            notes = ["warm-up: the model has not heard a whole window"] if continuous and number <= warm else []
            if 0 < len(found) < step:
                notes.append(f"the last {len(found)} features are less than a {kind}, and left out")
            single = number == 1 and len(found) < step and not continuous
            yield str(path) if single else f"{path} {kind} {number - 1}", sent, "; ".join(notes)
        elif len(found) < step:
            message = f"it holds {len(found)} features, and a {kind} is {step}"
            raise InputError(message, path=path, hint="give a longer one")
        sent = found


def _show_reply(model: ModelInfo, name: str, note: str, reply: Reply) -> None:
    from convert.eim.client import BOXES
    from convert.render.text import console, short  # rich is not needed for JSON

    out = console()
    out.print(f"{name}  ({reply.seconds * 1000:.1f} ms){f'  {note}' if note else ''}", markup=False)
    for label, score in reply.result.get("classification", {}).items():
        out.print(f"  {label:<20} {score:.3f}", markup=False)
    for kind in BOXES:
        if boxes := reply.result.get(kind, []):
            title = "" if kind == "bounding_boxes" else f"{kind.replace('_', ' ')}, "
            out.print(f"  {title}in pixels of the model's {model.width}x{model.height}:")
        for box in boxes:
            place = f"{short(box['x'])},{short(box['y'])} {short(box['width'])}x{short(box['height'])}"
            number = f" object {box['object_id']}" if "object_id" in box else ""
            out.print(f"  {box['label']:<20} {box['value']:.3f}    {place}{number}", markup=False)
    if reply.result.get("bounding_boxes") == []:
        out.print("  nothing found")
    for key, value in reply.result.items():
        if key not in {"classification", *BOXES}:
            out.print(f"  {key}: {f'{value:.3f}' if isinstance(value, float) else value}", markup=False)


_engine = click.option("--engine", type=click.IntRange(1, 2), help="Which model of an app with two.")


@_command("compare")
@_target
@click.argument("other", type=EXISTING, metavar="BUNDLE|TFLITE")
@click.argument("pictures", type=_FILES, nargs=-1, metavar="PICTURES...")
@_features
@_options("compare")
@click.option(
    "--image-scaling",
    **declaration(ConvertOptions, "image_scaling") | {"help": "Of a .tflite on the other side.  [default: none]"},
)
@_engine
@_options("asking")
@common
def compare(  # noqa: PLR0913 - one parameter an option
    target: Path,
    other: Path,
    pictures: tuple[Path, ...],
    *,
    features: tuple[Path, ...],
    tolerance: float,
    pixels: int,
    threshold: float | None,
    image_scaling: ImageScaling | None,
    engine: int | None,
    timeout: float,
    format_: str,
    fail_on: Level,
    quiet: bool,
) -> int:
    """Give an .eim and a converted bundle the same pixels, and say whether they answer the same.

    PICTURES are files and folders; for an .eim of sound or sensor data recordings, of which every window is compared.
    The bundle may be packed; a folder that was converted for whole frames gets them,
    and the .eim what is cropped out of them. Instead of it the .tflite may stand that both were made from, the better
    witness of an int8 model, or another .eim. Exit code 1 when they do not agree.
    """
    if not pictures and not features:
        raise click.UsageError("Give PICTURES or --features FILE.")
    from convert.eim.client import Timeouts, talk
    from convert.eim.compare import compare as compare_answers
    from convert.eim.compare import open_backend
    from convert.images import ImageScaling

    scaling = image_scaling or ImageScaling.NONE
    with (
        talk(target, limits=Timeouts(timeout, timeout)) as client,
        open_backend(other, client.model, scaling, timeout, features=bool(features), engine=engine) as ours,
    ):
        files = (*features, *pictures) if features else _files(client.model, pictures)
        comparison = compare_answers(client, ours, files, tolerance=tolerance, pixels=pixels, threshold=threshold)
    findings = comparison.all_findings
    code = exit_code(findings, fail_on)
    if format_ == "json":
        rows = [
            {"path": each.path, "seconds": round(each.seconds, 6), "pairs": plain(each.pairs)}
            for each in comparison.pictures
        ]
        about = {"agrees": comparison.agrees, "largest_difference": comparison.largest, "pictures": rows}
        write_json(_findings_document(findings, code, **about, tolerance=tolerance, pixels=pixels))
    elif not quiet:
        _show_comparison(comparison, tolerance, features=bool(features) or not client.model.width)
    return code


def _show_comparison(comparison: EimComparison, tolerance: float, *, features: bool) -> None:
    from convert.render.text import console, show_findings  # rich is not needed for JSON

    out = console()
    show_findings(comparison.findings, out)
    for each in comparison.pictures:
        moved = [pair.pixels for pair in each.pairs if pair.pixels is not None]
        what = f"{len(each.pairs)} {'boxes' if each.detects else 'labels'}"
        edges = f", edges {max(moved)} px" if moved else ""
        out.print(f"{each.path}: {what}, {_largest(each.largest)}{edges}", markup=False)
        show_findings(each.findings, out, explain=False)
    count = len(comparison.pictures)
    verdict = "they agree" if comparison.agrees else "they do not agree"
    what = ("input" if features else "picture") + ("" if count == 1 else "s")
    measured = f"{_largest(comparison.largest)} (limit {tolerance:g})"
    if comparison.agrees and not any(each.pairs for each in comparison.pictures):
        verdict, measured = "nothing to compare", "neither shows an object; give others"
    out.print(f"{verdict}: {count} {what}, {measured}")


def _largest(difference: float | None) -> str:
    return "no score to compare" if difference is None else f"largest difference {difference:.2g}"


@_command("serve")
@click.argument("bundle", type=EXISTING, metavar="BUNDLE")
@click.argument("where", required=False, metavar="SOCKET|stdin")
@_options("serve")
@_engine
@_options("running")
def serve(bundle: Path, where: str | None, *, keep: bool, info: bool, engine: int | None, provider: str | None) -> int:
    """Answer as an .eim with BUNDLE, on a socket or on standard input and output.

    One client is served; SIGINT, SIGTERM and SIGHUP end it with 128 + number. What is printed is what an .eim prints.
    """
    if (where is None) != info:
        raise click.UsageError("Give a socket, stdin, or --print-info.")
    from convert.eim.bundle import read_impulse  # --help does without
    from convert.eim.server import print_info, serve_socket, serve_stdin

    impulse = read_impulse(bundle, engine=engine, provider=provider or "")
    if where is None:
        return print_info(impulse)
    return serve_stdin(impulse) if where == "stdin" else serve_socket(impulse, Path(where), keep=keep)


@_command("pack")
@click.argument("bundle", type=EXISTING, metavar="BUNDLE")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The .eim to write."
)
@_options("pack")
@_engine
@_options("running")
@common
def pack(  # noqa: PLR0913 - one parameter an option
    bundle: Path,
    output: Path,
    *,
    python: str | None,
    standalone: bool,
    engine: int | None,
    provider: str | None,
    format_: str,
    fail_on: Level,  # noqa: ARG001 - this command finds nothing
    quiet: bool,
) -> int:
    """Make one executable .eim file of BUNDLE, for the Edge Impulse SDKs of any language.

    It runs with the Python that packed it, or, where that is not there, with the ei-deepstream on the PATH; so that
    has to be installed on the machine, and nothing else. With --standalone it needs neither.
    """
    from convert.eim.bundle import pack as pack_bundle  # --help does without

    written = pack_bundle(
        bundle, output, interpreter=python, engine=engine, provider=provider or "", standalone=standalone
    )
    if format_ == "json":
        from convert.report import output_document

        write_json(_findings_document((), 0, outputs=[output_document(written)]))
    elif not quiet:
        click.echo(f"wrote {written.path}")
    return 0


@_command("proxy")
@click.argument("socket", type=click.Path(path_type=Path), metavar="SOCKET")
@_target
@_options("asking")
@click.option(
    "--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="Lines of text, or one JSON object a line.",
)  # fmt: skip
def proxy(socket: Path, target: Path, *, timeout: float, format_: str) -> int:
    """Make SOCKET, start FILE (or connect to its socket), and print what passes between the two, with timings."""
    from convert.eim import client  # --help does without

    return client.proxy(socket, target, _print_event_text if format_ == "text" else _print_event_json, start=timeout)


def _print_event_text(event: ProxyEvent) -> None:
    arrow = {"client": "->", "eim": "<-"}[event.origin]
    took = "" if event.took is None else f" {event.took * 1000:.1f} ms"
    text = event.content if isinstance(event.content, str) else json.dumps(event.content)
    print(f"{event.seconds:9.3f} {arrow} {event.size} bytes{took}  {text}", flush=True)  # noqa: T201 - its output


def _print_event_json(event: ProxyEvent) -> None:
    document = {
        "seconds": round(event.seconds, 6),
        "from": event.origin,
        "kind": event.kind,
        "bytes": event.size,
        "took": event.took and round(event.took, 6),
        "content": event.content,
    }
    print(json.dumps(document), flush=True)  # noqa: T201 - its output
