"""All that is said of configs with mistakes in them: verdict, problems, entries and what is not read.

Made anew by `python -m tests.nvinfer.test_said`; a difference is to be read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from convert.nvinfer.config import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = Path(__file__).with_name("golden") / "said.txt"
DETECTOR = "num-detected-classes=2\n"
# Lines below [property], each a file of its own.
INI = (
    "input-dims=3;4;5;0\n",
    "input-dims=3;4;5\n",
    "input-dims=3;4;5;7\n",
    "input-dims=3;4;5;x\n",
    "input-dims=3;4;5;1\ninfer-dims=1;2;3\n",
    "uff-input-dims=3;4;5;1\ninfer-dims=1;2;3\nuff-input-dims=x\n",
    "enable-dbscan=1\n",
    "enable-dbscan=0 # c\n",
    "enable-dbscan=1\ncluster-mode=2\n",
    "disable-output-host-copy=x\nenable-dbscan=1\n",
    "is-classifier=1\n",
    "is-classifier=2\n",
    "is-classifier=1\nis-classifier=0\nbatch-size=2\n",
    "is-classifier=1\nnetwork-type=0\n",
    "disable-output-host-copy=x\nbatch-size=1\n",
    "no-such=1\nno-such[fr]=2\nnetwork-mode=9\n",
    "batch-size=0\n",
    "batch-size=x\n",
    "batch-size=1025\n",
    "net-scale-factor=1/255\n",
    "maintain-aspect-ratio=yes\n",
    "classifier-type=a\\q\n",
    "classifier-type=\xff\n",
    "infer-dims=1;2\n",
    "infer-dims=1\n",
    "offsets=1;2;3;4;5\n",
    f"onnx-file={'n' * 300}\n",
    f"op-tensor-files=a;{'n' * 300}\n",
    "operate-on-class-ids=536870911;0\n",
    "operate-on-class-ids=536870912\n",
    "operate-on-class-ids=3;-2\n",
    "operate-on-class-ids=\n",
    "filter-out-class-ids=3;-2\n",
    "num-detected-classes=1\nnum-detected-classes=16777217\n",
    "network-type=1\n[class-attrs-all]\ntopk=1\n[tests]\na=b\n",
    DETECTOR + "[class-attrs-all]\nthreshold=0.5\nno-such=1\n[class-attrs-1]\ntopk=-1\n",
    DETECTOR + "[class-attrs-0]\ndetected-max-h=x\ntopk=1\n",
    DETECTOR + "[class-attrs-0]\nborder-color=1;2;3\n",
    *(f"{DETECTOR}[class-attrs-{name}]\n" for name in ("", "x", "-1", "2", "2147483647", "2147483648")),
    *(f"{DETECTOR}[class-attrs-{2**64 + each}]\n" for each in (-1, 0)),
    f"{DETECTOR}[class-attrs-100000000040000000001]\n",
)
# Files of YAML, and the release that reads them.
YAML = (
    ("property:\n  ~: 1\n", "9.1"),
    ("property:\n  ~: 1\n", "6.3"),
    ("property:\n  classifier-type:\n", "9.1"),
    ("property:\n  classifier-type:\n", "6.3"),
    ("property:\n  gie-unique-id: 1\n~:\n  a: 1\n", "9.1"),
    ("property:\n  num-detected-classes: 1\n~:\n  a: 1\n", "6.3"),
    ("property:\n  num-detected-classes: 1\n? [a]\n: 1\n", "9.1"),
    ("property:\n  network-type: 1\nclass-attrs-0: {a: [1]}\nother: {? [a] : 1}\n", "9.1"),
    ("property:\n  num-detected-classes: 1\nclass-attrs-x: {topk: 1}\n", "9.1"),
    ("property:\n  num-detected-classes: 1\nclass-attrs-1: {topk: 1}\n", "9.1"),
    ("property:\n  num-detected-classes: 1\nclass-attrs-all: {a: 1, topk: x}\n", "9.1"),
    ("property:\n  num-detected-classes: 1\nclass-attrs-all: {border-color: 1;2;3;4;5}\n", "9.1"),
    ("property:\n  net-scale-factor: x\n", "9.1"),
    ("property:\n  net-scale-factor: {a: b}\n", "9.1"),
    ("property:\n  enable-dla: x\n", "9.1"),
    ("property:\n  batch-size: -1\n", "9.1"),
    ("property:\n  interval: x\n", "9.1"),
    (f"property:\n  interval: {'x' * 61}\n", "9.1"),
    ("property:\n  interval: 2147483648\n", "9.1"),
    ("property:\n  filter-out-class-ids: x\n", "9.1"),
    ("property:\n  filter-out-class-ids: 99999999999999999999\n", "9.1"),
    ("property:\n  operate-on-class-ids: 1;x\n", "9.1"),
    ("property:\n  offsets: 1;2;x\n", "9.1"),
    ("property:\n  infer-dims: 1;2;x\n", "9.1"),
    ("property:\n  dynamic-properties: a=1=2\n  dynamic-properties: b= 3;a=4\n", "9.1"),
    (f"property:\n  output-blob-names: {'n' * 62};a\n", "9.1"),
    (f"property:\n  output-blob-names: {'n' * 63};a\n", "9.1"),
    (f"property:\n  classifier-type: {'n' * 62}\n", "9.1"),
    (f"property:\n  classifier-type: {'n' * 63}\n", "9.1"),
    ("property:\n  a: 1\n   b: 2\n", "9.1"),
    ("property:\n  is-classifier: 1\n", "6.0"),
)


def said() -> Iterator[str]:
    for lines in INI:
        yield from _of(f"[property]\n{lines}".encode("latin-1"), "config.txt", "9.1")
    for text, release in YAML:
        yield from _of(text.encode(), "config.yml", release)


def _of(data: bytes, name: str, release: str) -> Iterator[str]:
    parsed = read_bytes(data, Path(__file__).with_name(name), release=release)
    plain = read_bytes(b"property:\n  a:" if parsed.form == "yaml" else b"[property]", name, release=release).values
    yield f"{parsed.form} {release}"
    yield from ("    " + line for line in data.decode("utf-8", "replace").splitlines())
    yield f"=> {parsed.verdict}{(parsed.exception and f': {parsed.exception}') or ''}"
    for each in parsed.problems:
        place = ", ".join(str(part) for part in (each.group, each.key, each.line, each.column) if part is not None)
        yield f"   {each.reason} ({place}) {each.message}{' !' if each.fatal else ''}"
    yield from (f"   entry {' '.join(map(str, each))}" for each in parsed.entries if each.key != "num-detected-classes")
    yield from (f"   section {' '.join(map(str, each))}" for each in parsed.sections[1:])
    yield from (f"   unknown {each.group} {each.key}" for each in parsed.unknown)
    yield from (f"   unread {each.section.name}: {each.why}" for each in parsed.unread)
    yield from (f"   ignored {each.entry.key} {each.entry.line}: {each.why}" for each in parsed.ignored)
    for key, value in parsed.values.items():
        if value != plain.get(key) and key not in {"class-attrs", "num-detected-classes"}:
            yield f"   value {key}: {value}"
    yield ""


def test_what_is_said_of_mistakes() -> None:
    assert "\n".join(said()) == GOLDEN.read_text(encoding="utf-8")


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text("\n".join(said()), encoding="utf-8")
