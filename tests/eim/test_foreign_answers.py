"""Whatever an .eim answers, every command ends with one sentence and no traceback, and its JSON is JSON."""

from __future__ import annotations

import contextlib
import io
import json
import re
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from convert.__main__ import main
from convert.cli import eim as command
from convert.eim import client as module
from convert.eim import compare as comparing
from convert.eim import wire
from convert.eim.compare import Reference
from convert.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

HELLO: dict[str, Any] = {
    "id": 1, "success": True,
    "project": {"name": "n", "owner": "o", "deploy_version": 1},
    "model_parameters": {
        "input_features_count": 4, "slice_size": 1, "labels": ["a", "b"], "image_input_width": 2,
        "image_input_height": 2, "image_channel_count": 3, "image_resize_mode": "squash", "sensor": 3, "frequency": 0,
        "interval_ms": 1, "axis_count": 1, "has_anomaly": 1, "model_type": "object_detection", "label_count": 2,
        "use_continuous_mode": False, "has_object_tracking": True, "inferencing_engine": 2,
        "thresholds": [{"id": 3, "type": "object_detection", "min_score": 0.5}],
    },
    "inferencing_engine": {"engine_type": 2, "properties": ["x"]},
    "features_shm": {"name": "/none", "size_bytes": 16, "elements": 4, "type": "float32"},
    "freeform_output_shm": [{"index": 0, "name": "/none", "size_bytes": 8, "elements": 2, "type": "float32"}],
}  # fmt: skip
SOUND = HELLO["model_parameters"] | {
    "image_input_width": 0, "image_input_height": 0, "sensor": 1, "frequency": 16, "use_continuous_mode": True,
    "model_type": "classification",
}  # fmt: skip
BOX = {"label": "a", "value": 0.75, "x": 1, "y": 0, "width": 1, "height": 1}
RESULTS: tuple[dict[str, Any], ...] = (
    {"classification": {"a": 0.25, "b": 0.75}, "anomaly": 0.5},
    {"bounding_boxes": [BOX], "object_tracking": [BOX | {"object_id": 1}]},
    {"visual_anomaly_grid": [BOX], "visual_anomaly_max": 1.5, "visual_anomaly_mean": 0.5, "bounding_boxes": []},
    {"freeform": [[0.5, 1.5], [2.0]]},
    {"freeform": "shm"},
)
ATOMS = st.one_of(
    st.sampled_from(
        ["null", "true", "NaN", "-Infinity", "1e400", "-1e400", "1e39", "-1", "3.0", "0", "1", "{}", "[]", '""', '"a"',
         "9" * 400, "2147483648", "1e-400", '"\\ud800"', '"\\u0000"', '"/../x"', '"/"', "[" * 200 + "]" * 200,
         "[" * 2000 + "]" * 2000, '{"a":' * 150 + "1" + "}" * 150, "[1,", "]", "nul", '"x', '"{"', "'a'", '"[bold]\\n"']
    ),
    st.floats().map(json.dumps), st.integers().map(str), st.text(max_size=8).map(json.dumps),
)  # fmt: skip
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]"),
        st.dictionaries(st.sampled_from(["a", "label", "value", "x", "id", "name"]), inner, max_size=3).map(
            lambda parts: "{" + ",".join(f'"{key}":{value}' for key, value in parts.items()) + "}"
        ),
    ),
    max_leaves=5,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to everything in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, item in items for place in places(item, (*at, key)))]


@st.composite
def answers(draw: st.DrawFn) -> list[bytes]:
    """Hello, then what follows; in one of them something is replaced, left out, said twice, or cut off."""
    hello: dict[str, Any] = draw(st.sampled_from((HELLO, HELLO | {"model_parameters": SOUND})))
    documents = [hello, {"id": 2, "success": True, "result": draw(st.sampled_from(RESULTS)), "timing": {"dsp": 1}}]
    which = draw(st.sampled_from((0, 1, 1)))
    document = json.loads(json.dumps(documents[which]))
    place = draw(st.sampled_from(places(document)[1:]))
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = "@@"
    if draw(st.integers(0, 9)) == 0:
        del holder[place[-1]]
    texts = [json.dumps(each) for each in documents]
    name = f'"{place[-1]}": ' if isinstance(holder, dict) else ""  # perhaps twice
    twice = f"{draw(VALUES)}, {name}" if draw(st.integers(0, 9)) == 0 else ""
    texts[which] = json.dumps(document).replace('"@@"', twice + draw(VALUES))
    frames = [text.encode("utf-8", "surrogatepass") + b"\n\0" for text in texts]
    if draw(st.integers(0, 4)) == 0:  # bytes that are no JSON, or no UTF-8; the end of a frame missing
        at, length = draw(st.integers(0, len(frames[which]))), draw(st.sampled_from((0, 1, 8, 10_000)))
        frames[which] = frames[which][:at] + draw(st.binary(max_size=8)) + frames[which][at + length :]
    if draw(st.integers(0, 4)) == 0:  # a frame in two parts; the second one comes with the next frame, or alone
        at = draw(st.integers(1, max(len(frames[which]) - 1, 1)))
        frames[which : which + 1] = [part for part in (frames[which][:at], frames[which][at:]) if part]
    return frames


class Link:
    """A transport that answers so, then closes."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = list(parts)

    def send(self, data: bytes, deadline: float) -> None:
        assert data
        assert deadline

    def receive(self, deadline: float) -> bytes:
        assert deadline
        if not self.parts:
            raise module.TransportClosed("closed the connection")
        return self.parts.pop(0)

    def remember(self, memory: str) -> None:
        assert isinstance(memory, str)


WORDS = (
    ("inspect", "TARGET", "--hello"), ("inspect", "TARGET", "--hello", "--format", "json"),
    ("classify", "TARGET", "PICTURE"), ("classify", "TARGET", "PICTURE", "--format", "json", "--threshold", "0.5"),
    ("classify", "TARGET", "--features", "FEATURES", "--continuous"),
    ("classify", "TARGET", "SOUND", "--resample", "--format", "json"), ("compare", "TARGET", "TARGET", "SOUND"),
    ("compare", "TARGET", "TARGET", "PICTURE"), ("compare", "TARGET", "TARGET", "PICTURE", "--format", "json"),
)  # fmt: skip


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files for the commands."""
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "model.eim").write_text("#!/bin/false\n")
    (folder / "model.eim").chmod(0o755)
    (folder / "features.txt").write_text("1 2 3 4")
    with wave.open(str(folder / "a.wav"), "wb") as sound:
        sound.setparams((1, 2, 8, 0, "NONE", ""))
        sound.writeframes(bytes(32))
    from PIL import Image

    Image.new("RGB", (2, 2)).save(folder / "p.png")
    files = {"TARGET": "model.eim", "PICTURE": "p.png", "FEATURES": "features.txt", "SOUND": "a.wav"}
    return {name: str(folder / file) for name, file in files.items()}


def ends_well(foreign: dict[str, str], parts: list[bytes], which: int | None = None) -> None:
    """Each command, or that one of them, with an .eim that answers so."""

    @contextlib.contextmanager
    def opened(_path: Path, _seconds: float, *, stdio: bool = False) -> Iterator[Any]:
        assert not stdio
        yield Link(parts)

    @contextlib.contextmanager
    def open_backend(*_arguments: Any, **_options: Any) -> Iterator[Reference]:
        mine = {"classification": {"a": 0.5, "b": 0.5}, "anomaly": 0.25}
        boxes = {"bounding_boxes": [BOX, BOX | {"x": 0}]}
        size = (2, 2, 3) if b'"image_input_width": 2' in parts[0] else None
        for kind in (size,):
            yield Reference(
                kind, ("a", "b"), None, lambda _: [("a", np.zeros(4, np.float32), None)],
                lambda *_, as_sdk=False: boxes if b"bounding" in parts[1] or as_sdk else mine,
            )  # fmt: skip

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "opened", opened)
        patch.setattr(comparing, "open_backend", open_backend)
        for words in WORDS if which is None else (WORDS[which],):
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main(["eim", *(foreign.get(word, word) for word in words)])
            said = (words, parts, err.getvalue())
            assert code in {0, 1, 3}, said
            if code == 3:
                assert re.fullmatch(r"error: [^\n]{1,900}\n  hint: [^\n]+\n", err.getvalue()), said
            if "json" in words:
                json.loads(out.getvalue(), parse_constant=pytest.fail)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        for show in (command._print_event_text, command._print_event_json):
            proxied = module._Proxy(None, None, show)  # type: ignore[arg-type]
            for part in parts:
                proxied._show_answers(part[:40])
                proxied._show_answers(part[40:])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example([b"{" + b"[" * 100_000 + b"]" * 100_000 + b"}", b""], None)
@given(answers(), st.integers(0, len(WORDS) - 1))
def test_no_answer_gives_a_traceback(foreign: dict[str, str], parts: list[bytes], which: int | None) -> None:
    """Classify, compare, inspect and proxy end with a documented exit code and one sentence."""
    ends_well(foreign, parts, which)


def test_shared_memory_that_is_not_finite(
    foreign: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such values are null, as in JSON."""
    (tmp_path / "none").write_bytes(np.array([np.nan, -np.inf], np.float32).tobytes())
    monkeypatch.setattr(wire, "FOLDER", tmp_path)
    hello = json.dumps(HELLO).encode()
    answer = b'{"id": 2, "success": true, "result": {"freeform": "shm", "classification": {"a": 0.5}}}'
    ends_well(foreign, [hello, answer])
    monkeypatch.setattr(module, "opened", lambda *_, **_options: contextlib.nullcontext(Link([hello, answer])))
    assert main(["eim", "classify", foreign["TARGET"], foreign["PICTURE"], "--format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)["answers"][0]["result"]
    assert result == {"freeform": [[None, None]], "classification": {"a": 0.5}}


@pytest.mark.parametrize(
    ("number", "taken"),
    [
        ("3.4e38", True), ("-3.4e38", True), ("3.5e38", False), ("-3.5e38", False), ("1e39", False), ("1e400", False),
        ("NaN", False), ("true", False), ("null", False), ('"1"', False), ("7", True),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "result", ['{"classification":{"a":@}}', '{"anomaly":@}', '{"visual_anomaly_max":@}', '{"freeform":[[0.5,@]]}']
)
def test_numbers_that_a_float32_holds(
    foreign: dict[str, str],
    result: str,
    number: str,
    taken: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hello = json.dumps(HELLO).encode() + b"\n\0"
    answer = f'{{"id":2,"success":true,"result":{result.replace("@", number)}}}\n\0'.encode()
    monkeypatch.setattr(module, "opened", lambda *_, **__: contextlib.nullcontext(Link([hello, answer])))
    code = main(["eim", "classify", foreign["TARGET"], "--features", foreign["FEATURES"]])
    taken |= number == "null" and "freeform" in result  # what JSON has no number for
    assert (code, capsys.readouterr().err.count("error: ")) == ((0, 0) if taken else (3, 1))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([], "its answer holds no result"),
        ({"classification": []}, "its classification is no object"),
        ({"classification": {"a": "x"}}, 'its score of a is "x"'),
        ({"visual_anomaly_mean": True}, "its score of visual_anomaly_mean is true"),
        ({"bounding_boxes": {}}, "its bounding_boxes are no list"),
        ({"visual_anomaly_grid": [7]}, "one of its visual_anomaly_grid is 7"),
        ({"object_tracking": [BOX | {"height": None}]}, "one of its object_tracking is {"),
        ({"bounding_boxes": [BOX, BOX | {"x": 100_000_001}]}, "one of its bounding_boxes is {"),
        ({"bounding_boxes": [BOX, BOX | {"x": 100_000_000}]}, ""),
        ({"bounding_boxes": [BOX | {"y": -100_000_001}]}, "one of its bounding_boxes is {"),
        ({"bounding_boxes": [BOX | {"y": -100_000_000}]}, ""),
        ({"bounding_boxes": [BOX | {"label": 1}]}, "one of its bounding_boxes has no label or no score"),
        ({"bounding_boxes": [BOX | {"value": "high"}]}, "one of its bounding_boxes has no label or no score"),
        ({"freeform": {}}, "its freeform is no list of lists of numbers"),
        ({"freeform": [7]}, "its freeform is no list of lists of numbers"),
        ({"freeform": [[0], ["a"]]}, "its freeform is no list of lists of numbers"),
        ({"freeform": "shm"}, "its answer is in shared memory that cannot be opened"),
        ({}, ""),
    ],
)
def test_what_is_wrong_with_a_result(foreign: dict[str, str], result: object, message: str) -> None:
    answer = json.dumps({"id": 2, "success": True, "result": result}).encode()
    _asked(foreign, json.dumps(HELLO).encode(), answer, message)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"input_features_count": "4"}, 'the hello answer\'s input_features_count is "4"'),
        ({"slice_size": -1}, "the hello answer's slice_size is -1"),
        ({"slice_size": 1.5}, "the hello answer's slice_size is 1.5"),
        ({"slice_size": True}, "the hello answer's slice_size is true"),
        ({"slice_size": 100_000_001}, "the hello answer's slice_size is 100000001"),
        ({"slice_size": 100_000_000}, ""),
        ({"slice_size": 2.0}, ""),
        ({"labels": 7}, "the hello answer's labels are 7"),
        ({"labels": ["a", 1]}, 'the hello answer\'s labels are ["a", 1]'),
        ({"thresholds": [1]}, "the hello answer's thresholds are [1]"),
        ({"image_input_width": 10_001, "image_input_height": 10_000}, "the hello answer's pictures have 10001x10000"),
        ({"image_input_width": 10_000, "image_input_height": 10_000}, ""),
    ],
)
def test_what_is_wrong_with_a_hello_answer(foreign: dict[str, str], said: dict[str, object], message: str) -> None:
    hello = HELLO | {"model_parameters": HELLO["model_parameters"] | said}
    _asked(foreign, json.dumps(hello).encode(), b'{"id": 2, "success": true, "result": {}}', message)


def test_how_much_of_a_reason_is_shown(foreign: dict[str, str]) -> None:
    answers = [json.dumps(HELLO).encode(), json.dumps({"id": 2, "success": False, "error": "x" * 501}).encode()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "opened", lambda *_, **__: contextlib.nullcontext(Link(answers)))
        with (
            pytest.raises(InputError, match=r"^the \.eim answers: x{500}$"),
            module.talk(Path(foreign["TARGET"])) as eim,
        ):
            eim.classify(np.zeros(4, np.float32))


@pytest.mark.parametrize(
    ("said", "window"),
    [
        ({"frequency": 8, "axis_count": 1}, (4, 1, 8)),
        ({"frequency": 0.5, "axis_count": 4}, (1, 4, 0.5)),
        ({"frequency": 8, "axis_count": 3}, (1, 3, 8)),
        ({"frequency": 8, "axis_count": 5}, None),
        ({"frequency": 8, "axis_count": 0}, None),
        ({"frequency": 8, "axis_count": 1.0}, None),
        ({"frequency": 0, "axis_count": 1}, None),
        ({"frequency": 100_000_000, "axis_count": 1}, None),
        ({"frequency": 99_999_999, "axis_count": 1}, (4, 1, 99_999_999)),
        ({"frequency": "8", "axis_count": 1}, None),
        ({"frequency": 8, "axis_count": 1, "image_input_width": 2}, None),
    ],
)
def test_the_window_that_a_hello_says(foreign: dict[str, str], said: dict[str, Any], window: Any) -> None:
    hello = HELLO | {"model_parameters": {"input_features_count": 4} | said}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "opened", lambda *_, **__: contextlib.nullcontext(Link([json.dumps(hello).encode()])))
        with module.talk(Path(foreign["TARGET"])) as client:
            found = client.model.window
    assert (found and (found.samples, found.axes, found.frequency)) == window


def _asked(foreign: dict[str, str], hello: bytes, answer: bytes, message: str) -> None:
    """Hello and one question; `message` is how the error begins, empty where there is none."""
    target = Path(foreign["TARGET"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "opened", lambda *_, **__: contextlib.nullcontext(Link([hello, answer])))
        refused = pytest.raises(InputError, match=f"^{re.escape(message)}") if message else contextlib.nullcontext()
        with refused as caught, module.talk(target) as client:
            client.classify(np.zeros(4, np.float32))
    if caught is not None:
        assert (caught.value.hint or "").startswith("this is no .eim, or a damaged one; ")
