"""Settings in words: what Gst-nvinfer does, told to those who do not know its keys."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convert.images.scaling import Network
from convert.render.page import page
from convert.simulate.results import SimulatedEngine, Simulation
from convert.simulate.settings import ClassSettings, ClusterMode, ColorFormat, NetworkType, ScalingFilter, Settings

if TYPE_CHECKING:
    from tests.render.conftest import Street

CLASSIFIER = Settings(NetworkType.CLASSIFIER, labels=(("a", "b"),), scale=1 / 255)
ONE = ClassSettings(0.2, nms_iou_threshold=0.5)
DETECTOR = Settings(NetworkType.DETECTOR, labels=(("car",), ("bus",)), classes=(ONE, ONE))


def told(engine: SimulatedEngine) -> dict[str, str]:
    """What the page says of an engine: name of a setting -> words, and its heading."""
    text = page(Simulation((engine,), ()), {}).partition('id="engines"')[2]
    found = re.findall(r"<div><dt>([^<]*)</dt><dd>(.*?)(?: <code class=.keys.>.*?)?</dd>", text)
    (heading,) = re.findall(r"<h3>(.*)</h3>", text)
    return {name: html.unescape(words) for name, words in (*found, ("heading", heading))}


def words(settings: Settings, name: str) -> str:
    return told(SimulatedEngine(Path("c.txt"), None, settings, Network(3, 48, 96), ("cubic is approximated",)))[name]


def names(settings: Settings) -> list[str]:
    return list(told(SimulatedEngine(Path("c.txt"), None, settings, Network(3, 48, 96))))


def test_headings(street: Street) -> None:
    first, second = street.simulation.engines
    assert told(first)["heading"] == "Engine 1: detector of whole pictures"
    assert told(second)["heading"] == "Engine 2: classifier of objects"
    other = replace(first, settings=Settings(NetworkType.INSTANCE_SEGMENTATION, unique_id=7))
    assert told(other)["heading"] == "Engine 7: instance segmentation of whole pictures"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (CLASSIFIER, "0.00392157 * x: 0 to 1"),
        (replace(CLASSIFIER, scale=1.0), "1 * x: 0 to 255"),
        (replace(CLASSIFIER, scale=0.0, offsets=(1.0, 2.0, 3.0)), "1 * x: 0 to 255"),  # ignored, as nvinfer does
        (replace(CLASSIFIER, scale=2 / 255, offsets=(127.5,) * 3), "0.00784314 * (x - 127.5): -1 to 1"),
        (replace(CLASSIFIER, scale=1.0, offsets=(103.5, 116.5, 4)), "1 * (x - [103.5, 116.5, 4]): -116.5 to 251"),
        (replace(CLASSIFIER, scale=1.0, mean_file="m.ppm"), "1 * (x - the mean file's)"),
    ],
)  # fmt: skip
def test_numbers(settings: Settings, said: str) -> None:
    assert words(settings, "Numbers") == f"each level x (0 to 255) becomes {said}"


def test_fitting() -> None:
    assert words(CLASSIFIER, "Fitting") == "stretched or squeezed to 96 x 48, whatever its shape"
    kept = "scaled until it fits into 96 x 48, its shape kept, black"
    assert words(replace(CLASSIFIER, keep_aspect=True), "Fitting") == f"{kept} at the right or at the bottom"
    assert words(replace(CLASSIFIER, keep_aspect=True, symmetric=True), "Fitting") == f"{kept} on both sides"


def test_input_and_scaling() -> None:
    assert words(CLASSIFIER, "Network input") == "96 x 48 pixels, RGB, channels first"
    grey = replace(CLASSIFIER, color=ColorFormat.GRAY, channels_last=True)
    assert words(grey, "Network input") == "96 x 48 pixels, grey, channels last"
    for one in ScalingFilter:
        assert words(replace(CLASSIFIER, scaling_filter=one), "Scaling")
    assert words(CLASSIFIER, "Only near") == "cubic is approximated; a device's numbers differ a little"


def test_a_classifier() -> None:
    assert (
        words(replace(CLASSIFIER, classifier_threshold=0.6), "Shown") == "the best class, when its number is above 0.6"
    )
    assert words(CLASSIFIER, "Labels") == "2 labels"
    assert words(replace(CLASSIFIER, labels=(("a",), ("b", "c"))), "Labels") == "3 labels for 2 outputs"
    assert words(replace(CLASSIFIER, labels=()), "Labels") == "none: nothing is shown"
    parser = "NvDsInferClassiferParseCustomSoftmax"
    assert words(replace(CLASSIFIER, classifier_parser=parser), "Read by") == parser


def test_a_detector() -> None:
    assert words(DETECTOR, "Read by") == "nvinfer's built-in parser"
    assert words(DETECTOR, "Classes") == "2, 2 of them with a label"
    assert words(DETECTOR, "Shown") == "from confidence 0.2"
    assert words(DETECTOR, "Overlapping boxes") == "of two that share more than 0.5 the better one stays"
    assert words(replace(DETECTOR, cluster_mode=ClusterMode.NONE), "Overlapping boxes") == "all stay"
    assert words(replace(DETECTOR, filter_out_class_ids=frozenset({1, 9})), "Never shown") == "bus, class 9"
    assert not {"At most", "Size", "Region", "Never shown", "Then"} & set(names(DETECTOR))


def test_classes_that_differ_are_named() -> None:
    other = replace(
        ONE, pre_cluster_threshold=0.5, post_cluster_threshold=0.25, topk=3, detected_min_w=8, detected_max_h=90,
        roi_top_offset=10, roi_bottom_offset=20,
    )  # fmt: skip
    settings = replace(DETECTOR, classes=(ONE, other))
    assert words(settings, "Shown") == "car: from confidence 0.2; bus: from confidence 0.5"
    assert words(settings, "At most") == "car: any number; bus: 3"
    none = replace(DETECTOR, classes=(replace(ONE, topk=0), replace(ONE, topk=1)))
    assert words(none, "At most") == "car: 0; bus: 1"
    assert words(settings, "Size") == "car: any; bus: from 8 x 0 pixels, up to any x 90 pixels"
    assert words(settings, "Region") == "car: all; bus: not in the upper 10 pixels, not in the lower 20 pixels"
    assert words(settings, "Then") == "car: above 0; bus: above 0.25"


def test_many_classes_that_differ_are_counted() -> None:
    classes = tuple(ClassSettings(0.2 + i / 1000) for i in range(80))
    named = [f"{('car', 'bus')[i] if i < 2 else f'class {i}'}: from confidence {0.2 + i / 1000:.3g}" for i in range(8)]
    more = "72 more classes with settings of their own"
    assert words(replace(DETECTOR, classes=classes), "Shown") == "; ".join([*named, more])


def test_no_classes() -> None:
    assert words(replace(DETECTOR, classes=()), "Classes") == "0, 0 of them with a label"


def test_objects(street: Street) -> None:
    settings = street.simulation.engines[1].settings
    assert words(settings, "Looks at") == "objects of engine 1, of class 1, from 16 x 16 pixels"
    every = replace(settings, operate_on_gie_id=-1, operate_on_class_ids=frozenset(), input_object_min=(0, 0))
    assert words(every, "Looks at") == "objects of all engines, from 1 x 1 pixels"
    assert words(replace(every, input_object_max=(0, 80)), "Looks at").endswith("from 1 x 1 pixels to any x 80")
    assert words(CLASSIFIER, "Looks at") == "the whole picture"


def test_the_float_that_was_written_is_said() -> None:
    settings = replace(DETECTOR, classes=(replace(ONE, pre_cluster_threshold=0.20000000298023224),) * 2)
    assert words(settings, "Shown") == "from confidence 0.2"
