"""Reading INI configs as Gst-nvinfer does: order, forgotten errors, releases, and whatever else a path may lead to."""

from __future__ import annotations

import errno
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convert.errors import ConvertError, InputError, PresetError
from convert.nvinfer.config import form_of, read, read_bytes
from convert.nvinfer.keys import MOST_CLASSES, Parsed, Reason, Verdict
from tests.examples import examples

# In a folder that exists; the file itself need not.
CONFIG = Path(__file__).with_name("config.txt")


def ini(lines: str, **options: str) -> Parsed:
    return read_bytes(f"[property]\n{lines}\n".encode(), CONFIG, **options)


def test_an_empty_group_has_all_defaults() -> None:
    parsed = ini("")
    assert parsed.accepted
    assert parsed.problems == ()
    values = parsed.values
    assert values["gie-unique-id"] == 0
    assert values["classifier-type"] is None
    assert values["onnx-file"] == ""
    assert values["infer-dims"] == [0, 0, 0]
    assert values["secondary-reinfer-interval"] == 2**31 - 1
    assert values["max-gpu-mem-per"] == 99
    assert values["class-attrs"] == []


# What NVIDIA's parser was seen to do: an error it does not look at waits for the next key of the inference context.
@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        ("disable-output-host-copy=x", "accepted"),
        ("disable-output-host-copy=x\ninterval=3", "accepted"),  # the element's keys do not notice
        ("disable-output-host-copy=x\nno-such-key=3", "accepted"),
        ("disable-output-host-copy=x\nbatch-size=3", "rejected"),
        ("batch-size=3\ndisable-output-host-copy=x", "accepted"),
        ("enable-dbscan=x\nenable-dbscan=x", "accepted"),
        ("disable-output-host-copy=x\nenable-dbscan=0", "accepted"),
        ("disable-output-host-copy=x\nenable-dbscan=1", "rejected"),
        ("disable-output-host-copy=x\ninput-dims=1;2;3;0\ninfer-dims=1;2;3", "rejected"),
        ("enable-dbscan=x\ninfer-dims=1;2;3\ninput-dims=9", "rejected"),
        ("num-detected-classes=1\n[class-attrs-0]\ndetected-max-h=x", "accepted"),
        ("num-detected-classes=1\n[class-attrs-0]\ndetected-max-h=x\nno-such-key=1", "accepted"),
        ("num-detected-classes=1\n[class-attrs-0]\ndetected-max-h=x\ntopk=1", "rejected"),
        ("num-detected-classes=1\n[class-attrs-0]\ndetected-max-h=x\n[class-attrs-all]\ntopk=1", "accepted"),
    ],
)
def test_errors_that_nobody_looks_at(lines: str, verdict: str) -> None:
    parsed = ini(lines)
    assert parsed.verdict == verdict
    assert any(problem.reason is Reason.UNREADABLE for problem in parsed.problems)


@pytest.mark.parametrize(
    ("lines", "key", "value"),
    [
        ("batch-size=2\nbatch-size=3", "batch-size", 3),
        ("batch-size=x\nbatch-size=3", "batch-size", 3),
        ("is-classifier=1", "network-type", 1),
        ("is-classifier=1\nis-classifier=0", "network-type", 0),
        ("is-classifier=1\nnetwork-type=2", "network-type", 2),
        ("enable-dbscan=1", "cluster-mode", 1),
        ("enable-dbscan=1\ncluster-mode=2", "cluster-mode", 2),
        ("input-dims=3;4;5;1", "infer-dims", [3, 4, 5]),
        ("input-dims=3;4;5;1", "uff-input-order", 1),
        ("uff-input-dims=-1;4;5;2", "infer-dims", [4294967295, 4, 5]),
        ("infer-dims=3; x;5", "infer-dims", [3, 0, 5]),
        ("operate-on-class-ids=3;1;3", "operate-on-class-ids", [1, 3]),
        ("filter-out-class-ids=-1;2", "filter-out-class-ids", [2, 4294967295]),
        ("secondary-reinfer-interval=-1", "secondary-reinfer-interval", 4294967295),
        ("parse-bbox-func-name=" + "f" * 2000, "parse-bbox-func-name", "f" * 1023),
        ("classifier-type=" + "c" * 2000, "classifier-type", "c" * 2000),
        ("dynamic-properties= a = 1 ; b=2;a=3;=4;c=", "dynamic-properties", ["a=3", "b=2"]),
        ("net-scale-factor=1e-50", "net-scale-factor", 0),
        ("offsets=0.1;nan", "offsets", [0.100000001, "nan"]),
        ("onnx-file=a/../b.onnx", "onnx-file", "<dir>/a/../b.onnx"),
        ("onnx-file=/nonexistent/b.onnx", "onnx-file", "/nonexistent"),
        ("labelfile-path=", "labelfile-path", "<dir>"),
        ("op-tensor-files=a;b", "op-tensor-files", ["<dir>/a", "<dir>/b"]),
    ],
)
def test_values(lines: str, key: str, value: Any) -> None:
    assert ini(lines).values[key] == value


def test_class_groups() -> None:
    parsed = ini(
        "num-detected-classes=3\n[class-attrs-01]\ntopk=2\n[class-attrs-all]\ntopk=9\neps=0.5\n[class-attrs-1]\neps=1"
    )
    classes = parsed.values["class-attrs"]
    assert [(each["topk"], each["eps"]) for each in classes] == [(9, 0.5), (2, 1), (9, 0.5)]
    assert parsed.unread == ()


@pytest.mark.parametrize(
    "name", ["2", "x", "-1", "", "all-x", "99999999999999999999", "-99999999999999999999", "4294967296"]
)
def test_groups_of_no_class_are_refused(name: str) -> None:
    parsed = ini(f"num-detected-classes=2\n[class-attrs-{name}]")
    assert parsed.verdict == "rejected"
    assert parsed.fault is not None
    assert (parsed.fault.reason, parsed.fault.group, parsed.fault.line) == (Reason.GROUP, f"class-attrs-{name}", 3)


@pytest.mark.parametrize("lines", ["num-detected-classes=-1", f"num-detected-classes={MOST_CLASSES + 1}"])
def test_more_classes_than_memory(lines: str) -> None:
    parsed = ini(lines)
    assert (parsed.verdict, parsed.exception) == (Verdict.ABORTS, "std::bad_alloc")
    assert ini(lines + "\nnetwork-type=1").accepted


def test_what_is_not_read_is_listed() -> None:
    parsed = ini(
        "network-type=1\nno-such=1\nbatch-size=1\nbatch-size=2\nclassifier-type[fr]=x\nenable-dbscan=1\ncluster-mode=2\n"
        "[class-attrs-all]\npre-cluster-threshold=x\n[tests]\nk=v"
    )
    assert parsed.accepted
    assert [(entry.key, entry.line) for entry in parsed.unknown] == [("no-such", 3)]
    assert [(each.section.name, each.section.line, each.why) for each in parsed.unread] == [
        ("class-attrs-all", 9, "network-type"),
        ("tests", 11, "unknown"),
    ]
    assert sorted((each.entry.key, each.entry.line, each.why) for each in parsed.ignored) == [
        ("batch-size", 4, "overwritten"),
        ("classifier-type[fr]", 6, "locale"),
        ("enable-dbscan", 7, "cluster-mode"),
    ]
    assert [section.name for section in parsed.sections] == ["property", "class-attrs-all", "tests"]


def test_a_fault_has_key_line_and_column() -> None:
    fault = ini("gie-unique-id=1\n  net-scale-factor =  1/255").fault
    assert fault is not None
    assert (fault.reason, fault.group, fault.key, fault.line, fault.column) == (
        Reason.TYPE,
        "property",
        "net-scale-factor",
        3,
        23,
    )
    assert "1/255" in fault.message


@pytest.mark.parametrize(
    ("lines", "reason", "column"),
    [
        ("  no pair", Reason.SYNTAX, 3),
        ("[tests", Reason.SYNTAX, 1),
        (" =1", Reason.SYNTAX, 2),
        ("[a]b]", Reason.SYNTAX, 1),
        ("a[=1", Reason.SYNTAX, 1),
        ("Encoding = latin-1", Reason.ENCODING, 12),
    ],
)
def test_a_file_that_glib_cannot_parse_says_why(lines: str, reason: Reason, column: int) -> None:
    parsed = ini(f"batch-size=1\n{lines}")
    assert parsed.verdict == "rejected"
    assert [(each.reason, each.line, each.column) for each in parsed.problems] == [(reason, 3, column)]


def test_messages_are_safe_to_print() -> None:
    parsed = ini("k\x1b[31m" + "y" * 5000 + "=1\n[class-attrs-\u2028]")
    assert parsed.problems
    assert all(problem.message.isprintable() and len(problem.message) <= 400 for problem in parsed.problems)


def test_results_travel_between_processes() -> None:
    parsed = ini("batch-size=2\n[tests]\nx=y")
    assert pickle.loads(pickle.dumps(parsed)) == parsed
    assert json.loads(json.dumps(parsed.values)) == parsed.values


def test_the_first_fault_ends_the_reading() -> None:
    parsed = ini("no-such=1\nprocess-mode=7\nnetwork-mode=9")
    assert [(problem.key, problem.fatal) for problem in parsed.problems] == [("no-such", False), ("process-mode", True)]


def test_the_entry_that_counts() -> None:
    parsed = ini("batch-size=1\nbatch-size=2 # two")
    entry = parsed.entry("batch-size")
    assert entry is not None
    assert (entry.text, entry.line, entry.value_column) == ("2 # two", 3, 12)
    assert parsed.entry("interval") is None


@pytest.mark.parametrize(
    ("lines", "options", "verdict"),
    [
        ("network-mode=3", {"release": "7.0"}, "accepted"),
        ("network-mode=3", {"release": "6.4"}, "rejected"),
        ("scaling-compute-hw=2", {}, "rejected"),
        ("scaling-compute-hw=2", {"platform": "jetson"}, "accepted"),
        ("network-input-order=7", {"release": "5.1"}, "accepted"),  # a key 5.1 does not know
        ("network-input-order=7", {"release": "6.0"}, "rejected"),
    ],
)
def test_releases_and_platforms(lines: str, options: dict[str, str], verdict: str) -> None:
    assert ini(lines, **options).verdict == verdict


def test_older_releases_do_not_know_newer_keys() -> None:
    parsed = ini("strongly-typed=1", release="8.0")
    assert [entry.key for entry in parsed.unknown] == ["strongly-typed"]
    assert "strongly-typed" not in parsed.values
    assert ini("strongly-typed=1").values["strongly-typed"] == 1


def test_the_suffix_decides() -> None:
    assert [form_of(name) for name in ("a.yml", "a.yaml", "a.YML", "a.yml.txt", "yml")] == [
        "yaml",
        "yaml",
        *["ini"] * 3,
    ]
    assert form_of("a.yml", "6.0.1") == "ini"
    old = read_bytes(b"property:\n  gie-unique-id: 1\n", "a.yml", release="6.0.1")
    assert (old.form, old.verdict) == ("ini", "rejected")


def test_unknown_release_or_platform() -> None:
    with pytest.raises(PresetError, match=r"^'newest' is no version$") as caught:
        ini("", release="newest")
    assert caught.value.hint == "write it as 9.1 or 6.0.1"
    with pytest.raises(PresetError, match=r"^there is no platform 'laptop'$") as caught:
        ini("", platform="laptop")
    assert caught.value.hint == "one of: dgpu, jetson"


def test_paths_are_real(tmp_path: Path) -> None:
    folder = tmp_path / "real"
    folder.mkdir()
    (folder / "labels.txt").write_text("a\n")
    (tmp_path / "link").symlink_to(folder)
    (folder / "config.txt").write_text("[property]\nlabelfile-path=../real/labels.txt\nonnx-file=m.onnx\n")
    parsed = read(tmp_path / "link" / "config.txt")
    assert parsed.values["labelfile-path"] == "<dir>/labels.txt"
    assert parsed.files == {
        "labelfile-path": str(folder.resolve() / "labels.txt"),
        "onnx-file": str(folder.resolve() / "m.onnx"),
    }


def test_a_config_in_the_root_has_no_dir() -> None:
    parsed = read_bytes(b"[property]\nonnx-file=nowhere.onnx\n", "/config.txt")
    assert parsed.values["onnx-file"] == "/nowhere.onnx"


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.txt")
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / "config.txt").touch()
    loop = "a symbolic link leads back to itself: remove it, or name the file"
    for name, message, hint in (
        ("fifo.txt", r"is no ordinary file \(a pipe, socket or device\)", "name an ordinary file"),
        ("loop.txt", "cannot be read: (Too many levels.*|Symbolic link.*)", loop),
        ("folder.txt", "is a folder", "name an ordinary file"),
        ("missing.txt", "cannot be read: No such file or directory", "check the path"),
        ("confg.txt", "cannot be read: No such file or directory", f"did you mean {tmp_path / 'config.txt'}?"),
        ("config.txt/x", "cannot be read: Not a directory", "check the path and its rights"),
    ):
        with pytest.raises(InputError, match=f"^the config {message}$") as caught:
            read(tmp_path / name)
        assert (caught.value.hint, caught.value.path) == (hint, str(tmp_path / name))
    with pytest.raises(InputError, match=r"^the path of the config has a null character in it$") as caught:
        read("nul\0.txt")
    assert (caught.value.hint, caught.value.path) == (None, r"'nul\x00.txt'")


def test_a_file_that_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("convert.nvinfer.numbers.os.open", refuse)
    with pytest.raises(InputError, match=r"^the config cannot be read: Permission denied$") as caught:
        read(CONFIG)
    assert caught.value.hint == "make the file readable for you"


def test_huge_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.txt"
    path.write_bytes(b"# nothing\n" * 100)
    assert read(path).verdict == "rejected"
    monkeypatch.setattr("convert.nvinfer.config.MOST_BYTES", 100)
    with pytest.raises(InputError, match=r"^the config has 1,000 bytes") as caught:
        read(path)
    assert caught.value.hint == "is this another file?"


def test_endless_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.nvinfer.keyfile.MOST_PAIRS", 10)
    with pytest.raises(InputError, match=r"^the file has millions of entries") as caught:
        ini("k=1\n" * 20)
    assert caught.value.hint == "a Gst-nvinfer config has a few dozen keys; is this another file?"


WORDS = "[property] [class-attrs-all] [class-attrs-0] num-detected-classes=1 network-type=1 offsets= 1;2;3 batch-size="
PIECE = st.sampled_from(
    [
        *WORDS.split(),
        *("onnx-file=", "infer-dims=", "topk=", "=", "1", "x", ";", "#", " ", "\\", "é", "\0", "\r\n", "\n"),
    ]
)


@examples(400)
@given(
    data=st.one_of(st.binary(max_size=60), st.lists(PIECE, max_size=25).map(lambda each: "".join(each).encode())),
    name=st.sampled_from(["a.txt", "a.yml"]),
    release=st.sampled_from(["5.0", "6.0.1", "9.1", "12.0"]),
)
@example(data=b"[property]\nonnx-file=/\xff", name="a.txt", release="9.1")
@example(data=b"property: {onnx-file: \xff\xff, gie-unique-id: \xc3}", name="a.yml", release="9.1")
def test_any_bytes_have_a_verdict(data: bytes, name: str, release: str) -> None:
    try:
        parsed = read_bytes(data, f"/tmp/none/{name}", release=release)
    except ConvertError:
        return
    assert parsed.accepted == (parsed.fault is None)
    for problem in parsed.problems:
        assert problem.message.isprintable()
        assert len(problem.message) <= 400
