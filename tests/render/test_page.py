"""The page: well formed whatever strangers wrote, every number from the simulation, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convert.findings import Finding, Level
from convert.images.scaling import Network, Rect
from convert.render import page as pages
from convert.render.drawing import page_picture
from convert.render.page import in_words, page
from convert.simulate.decode import Classification
from convert.simulate.results import DetectedObject, DroppedCandidate, FrameResult, SimulatedEngine, Simulation
from convert.simulate.settings import ClassSettings, NetworkType, Settings
from tests.examples import examples

if TYPE_CHECKING:
    from tests.render.conftest import Street

NONE, TIMES = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
BLOCKS = {"p", "li", "div", "dt", "dd", "summary", "h1", "h2", "h3", "header", "title", "a"}
VOID = {"meta", "link", "img", "input", "br"}
HOSTILE = (
    '"><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>{{ 7*7 }}\x00\x1b\u202e\ud800&amp;'
)


class Document(HTMLParser):
    """A page, parsed; elements that are not closed in order are an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self.style = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute of <{tag}> stands there twice"
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in BLOCKS:
            self.texts.append(" ")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
            return
        self.texts.append(data)
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def row(self, *beginning: str) -> list[str]:
        """The one table row that begins with these words."""
        (found,) = [
            row for row in self.rows if [" ".join(cell.split()) for cell in row[: len(beginning)]] == [*beginning]
        ]
        return [" ".join(cell.split()) for cell in found]


@pytest.fixture(scope="module")
def pictures(street: Street) -> dict[str, bytes]:
    return {one.name: page_picture(street.pixels[one.name], one) for one in street.simulation.frames}


def simulation(*frames: FrameResult, engine: Settings | None = None) -> Simulation:
    settings = engine or Settings(NetworkType.CLASSIFIER, labels=(("apple", "pear"),))
    return Simulation((SimulatedEngine(Path("config.txt"), None, settings, Network(3, 96, 96)),), frames)


def frame(name: str = "one", **more: Any) -> FrameResult:
    return FrameResult(name, Path(name), 64, 48, None, **more)


def apple(confidence: float = 0.5, name: str = "one") -> FrameResult:
    return frame(name, label="apple ", classifications=(Classification(1, 0, 0, confidence, "apple"),))


FINDINGS = (
    Finding("NVI002", Level.NOTE, "a remark", None, None, None, "do this"),
    Finding("NVI001", Level.ERROR, "the label file is missing", "a.txt", 2, 1),
    Finding("NVI003", Level.WARNING, "something is odd", "elsewhere.txt", 1),
)


def test_the_page_stands_alone(street: Street, pictures: dict[str, bytes]) -> None:
    text = page(street.simulation, pictures, findings=FINDINGS, configs={"a.txt": "[property]\n# x\n"})
    document = Document(text)
    for tag, attributes in document.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), f"{tag} {name}"
            assert name != "style"
            if name == "src":
                assert value is not None
                assert value.startswith("data:image/")
            if name == "href":
                assert value is not None
                assert value.startswith("#") or value == "data:,"
    assert not {"script", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in document.elements}
    assert "url(" not in document.style
    assert "@import" not in document.style
    policy = next(one["content"] for one in document.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(document.style.encode()).digest()).decode()
    assert policy is not None
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_the_page_can_be_read_without_seeing_it(street: Street, pictures: dict[str, bytes]) -> None:
    document = Document(page(street.simulation, pictures, findings=FINDINGS, configs={"a.txt": "x=1"}))
    assert document.all("html") == [{"lang": "en"}]
    assert [one["alt"] for one in document.all("img")] == [
        "crossing: car 0.938, parked; car 0.500, moving; person 0.625; car 0.250",
        "crop: リンゴ 0.812",
        "night: nothing shown; best candidate car: confidence 0.18 is below pre-cluster-threshold=0.2",
        "empty: nothing shown, there was no candidate",
    ]
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    names = [one["id"] for _, one in document.elements if "id" in one]
    assert len(names) == len(set(names))
    for _, one in document.elements:
        for key in ("href", "aria-labelledby"):
            target = (one.get(key) or "").removeprefix("#")
            assert not target or target in names or target == "data:,"
    assert all("scope" in one for one in document.all("th"))
    assert all("aria-label" in one for _, one in document.elements if one.get("role") == "region")


def test_pictures_have_their_size_before_they_are_loaded(street: Street, pictures: dict[str, bytes]) -> None:
    images = Document(page(street.simulation, pictures)).all("img")
    assert (images[0]["width"], images[0]["height"]) == ("640", "360")
    for one, data in zip(images, pictures.values(), strict=True):
        assert one["src"] is not None
        assert base64.b64decode(one["src"].partition(",")[2]) == data
    assert [str(one["src"]).partition(";")[0] for one in images][:2] == ["data:image/jpeg", "data:image/png"]


def test_every_number_of_the_classes_is_from_the_data(street: Street, pictures: dict[str, bytes]) -> None:
    document = Document(page(street.simulation, pictures))
    # confidences 0.9375, 0.5 and 0.25; one candidate lost
    assert document.row("car 1") == ["car 1", "3", "0.250", "0.562", "0.938", "", "1", "pre-cluster-threshold"]
    assert document.row("person 0") == ["person 0", "1", "0.625", "0.625", "0.625", "", "1", "topk"]
    assert document.row("リンゴ 2") == ["リンゴ 2", "1", "0.812", "0.812", "0.812", "", "0", ""]
    assert document.row("bus 3") == ["bus 3", "0", NONE, NONE, NONE, "", "1", "pre-cluster-threshold"]
    assert document.row("parked 0")[1:5] == ["1", "0.875", "0.875", "0.875"]
    assert document.row("moving 1")[1:5] == ["1", "0.750", "0.750", "0.750"]


def test_candidates_are_counted_by_key() -> None:
    lost = [DroppedCandidate(1, key, "why", 1, 0.1, "pear") for key in ("topk", "box", "topk")]
    document = Document(page(simulation(frame(dropped=tuple(lost))), {}))
    assert document.row("pear 1") == ["pear 1", "0", NONE, NONE, NONE, "", "3", "topk 2, box 1"]
    assert "Neither shown nor among the best candidates: apple." in document.text


def test_confidences_that_are_no_numbers() -> None:
    document = Document(page(simulation(apple(0.5), apple(math.nan, "two")), {}))
    assert document.row("apple 0")[1:5] == ["2", "0.500", "nan", "0.500"]
    document = Document(page(simulation(apple(math.inf)), {}))
    assert document.row("apple 0")[1:5] == ["1", "inf", "inf", "inf"]


def test_what_has_no_label_is_not_shown_by_a_classifier() -> None:
    one = frame(
        classifications=(Classification(1, 0, 3, 0.9, None),),
        dropped=(DroppedCandidate(1, "labelfile-path", "no label", 3, 0.9, None),),
    )
    document = Document(page(simulation(one), {}))
    assert document.row("class 3 (no label)")[1] == "0"
    assert "The picture shows nothing" in document.text


def test_long_lists_of_classes_never_seen_are_cut() -> None:
    labels = tuple((f"class-{i}",) for i in range(80))
    engine = Settings(NetworkType.DETECTOR, labels=labels, classes=(ClassSettings(0.2),) * 80)
    text = Document(page(simulation(engine=engine), {})).text
    assert "class-29 and 50 more." in text
    assert "class-30" not in text


@pytest.mark.parametrize(
    ("frames", "words", "kind"),
    [
        ((), "No pictures were simulated", "bad"),
        ((apple(),), "The picture shows something", "good"),
        ((apple(), apple(name="two")), "All 2 pictures show something", "good"),
        ((frame(),), "The picture shows nothing", "bad"),
        ((frame(), frame("two")), "None of 2 pictures shows anything", "bad"),
        ((apple(), frame("two")), "1 of 2 pictures shows nothing", "fair"),
        ((apple(), frame("two"), frame("three")), "2 of 3 pictures show nothing", "fair"),
    ],
)
def test_the_verdict(frames: tuple[FrameResult, ...], words: str, kind: str) -> None:
    document = Document(page(simulation(*frames), {}))
    assert words in document.text
    assert f"verdict {kind}" in [one.get("class") for one in document.all("div")]


def test_the_facts(street: Street, pictures: dict[str, bytes]) -> None:
    text = Document(page(street.simulation, pictures, findings=FINDINGS)).text
    assert "5 objects of 3 classes." in text
    assert "Where nothing is shown, the best candidate fell to: pre-cluster-threshold (1)." in text
    assert "1 picture had no candidate." in text
    assert "Findings: 1 error, 1 warning, 1 note." in text


def test_what_a_card_tells(street: Street, pictures: dict[str, bytes]) -> None:
    text = Document(page(street.simulation, pictures)).text
    assert "car 0.938 parked 0.875" in text
    assert "car 0.250engine 2 does not look at it: 12 x 10" in text
    assert f"96 {TIMES} 96 pixels, drawn 5 times as large" in text
    assert "It lay on its side and was turned." in text
    assert "Left out: 2 candidates car 0.180confidence 0.18 is below" in text
    assert "person 0.156number 21 of its class, topk=20" in text


def test_a_candidate_of_an_object_names_it() -> None:
    one = frame(
        objects=(DetectedObject(1, 1, "pear", 0.5, Rect(0, 0, 9, 9)),),
        dropped=(
            DroppedCandidate(2, "classifier-threshold", "too low", 0, 0.3, "ripe", None, 0),
            DroppedCandidate(2, "classifier-threshold", "too low", 0, 0.3, "sour", None, 5),
        ),
    )
    picture = page_picture(_grey(one), one)
    text = Document(page(simulation(one), {"one": picture})).text
    assert "ripe of pear 0.300" in text
    assert "sour 0.300" in text


def _grey(one: FrameResult) -> Any:
    import numpy as np  # three tests need it

    return np.full((one.height, one.width, 3), 99, np.uint8)


def test_long_lists_are_cut_and_say_so() -> None:
    crowd = tuple(DetectedObject(1, 0, "apple", 0.5, Rect(0, 0, 9, 9)) for _ in range(23))
    lost = tuple(DroppedCandidate(1, "topk", "why", 0, 0.1, "apple") for _ in range(12))
    one = frame(objects=crowd, dropped=lost)
    text = Document(page(simulation(one), {"one": page_picture(_grey(one), one)})).text
    assert "and 3 objects more" in text
    assert "and 2 more" in text
    assert text.count("apple 0.100") == 10
    assert in_words(one).endswith("apple 0.500 and 18 more objects")


@pytest.mark.parametrize(("count", "rest"), [(1, ""), (5, ""), (6, " and 1 more object"), (7, " and 2 more objects")])
def test_of_many_objects_five_are_named(count: int, rest: str) -> None:
    objects = tuple(DetectedObject(1, 0, "car", 0.5, Rect(0, 0, 1, 1)) for _ in range(count))
    frame = FrameResult("a", Path("a.png"), 64, 48, None, objects)
    assert in_words(frame) == "; ".join(["car 0.500"] * min(count, 5)) + rest


def test_a_thousand_pictures_stay_usable() -> None:
    frames = [apple(name=f"name-{i:04}") for i in range(pages.MOST_PICTURES + pages.MOST_LISTED + 7)]
    data = page_picture(_grey(frames[0]), frames[0])
    text = page(simulation(*frames), {one.name: data for one in frames})
    document = Document(text)
    assert len(document.all("img")) == pages.MOST_PICTURES == 150
    assert not any("loading" in one for one in document.all("img")), "not every browser prints what it left for later"
    assert document.row("151", "name-0150")[2:] == [f"64 {TIMES} 48", "apple 0.500"]
    assert "150 pictures of 1,157 are shown here; the other 1,007 are listed below" in document.text
    assert "7 pictures more are left out here; objects.json has all of them." in document.text


def test_frames_without_a_picture_are_told_in_words() -> None:
    document = Document(page(simulation(apple(), frame("two")), {}))
    assert document.all("img") == []
    assert document.row("1", "one") == ["1", "one", f"64 {TIMES} 48", "apple 0.500"]
    assert document.row("2", "two")[3] == "nothing shown, there was no candidate"


@pytest.mark.parametrize("data", [b"", b"<svg/>", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^the drawn picture of 'one' is not a PNG, JPEG, WebP or GIF file$"):
        page(simulation(apple()), {"one": data})


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_pictures_are_embedded_as_what_they_are(kind: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (7, 5)).save(file, kind)
    source, width, height = pages.embedded("one", file.getvalue())
    assert (width, height) == (7, 5)
    assert source == f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def test_the_same_bytes_again_and_no_times(street: Street, pictures: dict[str, bytes]) -> None:
    text = page(street.simulation, pictures)
    assert text == page(replace(street.simulation, seconds={"infer": 9.75}), dict(reversed(pictures.items())))
    assert "1.25" not in Document(text).text


def test_findings_stand_where_they_belong() -> None:
    configs = {"a.txt": "[property]\r\nlabelfile-path=x\r\n# the end\r\n", "b.txt": ""}
    document = Document(page(simulation(apple()), {}, findings=FINDINGS, configs=configs))
    ids = [text for text in document.texts if text.startswith("NVI")]
    assert ids == ["NVI001", "NVI003", "NVI002", "NVI001"], "errors first, and one again at its line"
    lines = [one["class"] for one in document.all("div") if str(one.get("class")).startswith("line")]
    assert lines == ["line group", "line marked", "line comment", "line"]
    assert "a.txt, line 2" in document.text
    assert "Hint: do this" in document.text
    assert "3 lines" in document.text
    assert "1 line" in document.text


def test_endless_configs_are_cut() -> None:
    text = Document(page(simulation(apple()), {}, configs={"a.txt": "x=1\n" * 2500})).text
    assert "500 lines more are left out here." in text
    assert "2,500 lines" in text


def test_model_metadata_is_shown(street: Street) -> None:
    text = Document(page(street.simulation, {})).text
    assert "What the model says of itself project Street" in text
    assert "street.onnx" in text
    assert "recorded output tensors, no model was run" in Document(page(simulation(apple()), {})).text


def cropping(**metadata: str) -> Simulation:
    made = simulation(replace(apple(), width=1280, height=720))
    said = tuple((f"ei_deepstream.{name}", value) for name, value in metadata.items())
    return replace(made, engines=(replace(made.engines[0], metadata=said, network=Network(3, 96, 170)),))


def test_a_model_that_crops_is_drawn() -> None:
    document = Document(page(cropping(frame="16:9", crop="37;0;96;96"), {}))
    assert "frame 16:9, scaled to 170x96" in document.text
    assert "The model cuts the middle 96 x 96 out of its 170 x 96 input: 56 % of a 16:9 frame." in document.text
    same = replace(cropping(frame="1:1", crop="0;0;96;96").engines[0], network=Network(3, 96, 96))
    text = Document(page(replace(cropping(), engines=(same,)), {})).text
    assert "The model has the shape of 1:1 frames and sees the whole of them." in text
    for metadata in (
        {},
        {"frame": "16:9"},
        {"frame": "4:3", "crop": "37;0;96;96"},  # another input than this engine's
        {"frame": "16:9", "crop": "37;0;-96;96"},
        {"frame": "16:9", "crop": "0"},
        {"frame": "<svg>", "crop": "37;0;96;96"},
    ):
        assert Document(page(cropping(**metadata), {})).all("figure") == []


def test_a_model_that_should_crop_and_does_not_is_drawn() -> None:
    made = cropping(resize_mode="fit-shortest")
    engine = replace(made.engines[0], network=Network(3, 96, 96))
    document = Document(page(replace(made, engines=(engine,)), {}))
    assert "frame 1280x720" in document.text
    assert "the whole frame is squashed to 96x96" in document.text
    assert (
        "trained on the middle of pictures, 56 % of a 1280x720 frame. Here it sees the whole, squashed."
        in document.text
    )
    kept = replace(engine, settings=replace(engine.settings, keep_aspect=True))
    objects = replace(engine, settings=replace(engine.settings, on_objects=True))
    square = replace(made.frames[0], width=64, height=64)
    for other in (
        replace(made, engines=(kept,)),
        replace(made, engines=(objects,)),
        replace(made, frames=(), engines=(engine,)),
        replace(made, frames=(square,), engines=(engine,)),
    ):
        assert Document(page(other, {})).all("figure") == []


HARMLESS = "harmless"


def hostile(text: str) -> str:
    engine = Settings(
        NetworkType.DETECTOR, labels=((text,), ("another class",)), classes=(ClassSettings(0.2),) * 2, parser=text,
        filter_out_class_ids=frozenset({0}),
    )  # fmt: skip
    one = FrameResult(
        text, Path(text.replace("\0", "")), 64, 48, None,
        objects=(DetectedObject(1, 0, text, 0.5, Rect(0, 0, 9, 9), (Classification(1, 0, 0, 0.5, text),), (text,)),),
        label=text, classifications=(Classification(1, 0, 0, 0.5, text),), notes=(text,),
        dropped=(DroppedCandidate(1, text, text, 0, 0.1, text, None, 0),),
    )  # fmt: skip
    path = Path("config" + text.replace("\0", "").replace("/", ""))
    made = Simulation(
        (SimulatedEngine(path, path, engine, Network(3, 9, 9), (text,), ((text, text),)),),
        (one, frame("another picture")),
    )
    return page(
        made, {text: page_picture(_grey(one), one)}, findings=(Finding(text, Level.NOTE, text, text, 1, 1, text),),
        configs={text: text}, evidence={text: text, "another measure": {text: [text]}, "tensorrt": text},
    )  # fmt: skip


def shape(document: Document) -> list[tuple[str, frozenset[str]]]:
    return [(tag, frozenset(attributes)) for tag, attributes in document.elements]


def test_hostile_text_changes_nothing_but_text() -> None:
    document = Document(hostile(HOSTILE))
    assert shape(document) == shape(Document(hostile(HARMLESS)))
    assert '"><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>{{ 7*7 }}' in document.text
    assert not set("\0\x1b\u202e\ud800") & set(document.text)
    assert "&amp;" in document.text, "not unescaped on the way"


@examples(25)
@given(st.text(st.characters(), min_size=1, max_size=12) | st.text("<>\"'&;{}%#`=/\n\r\t ", min_size=1, max_size=12))
def test_any_text_changes_nothing_but_text(text: str) -> None:
    made = hostile(text)
    made.encode()
    kept = [one for one in shape(Document(made)) if one[0] not in {"div", "p", "code", "span"}]
    known = [one for one in shape(Document(hostile(HARMLESS))) if one[0] not in {"div", "p", "code", "span"}]
    assert kept == known  # a config of several lines has more <div>, <span> and <code>


def test_the_parser_of_these_tests_sees_mistakes() -> None:
    with pytest.raises(AssertionError):
        Document("<p><b></p></b>")
    with pytest.raises(AssertionError):
        Document("<p>")
