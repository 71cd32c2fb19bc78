"""What did not change is left alone, what the cache has is copied, the rest is converted, whatever happens."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert.batch import BatchReport, run
from convert.batch.cache import Cache
from convert.batch.plan import Job, Outcome, State
from convert.emit.files import LEFT_FROM_ANOTHER_ROLE, STALE_ENGINE, bundle_names
from convert.errors import InputError, NoModelError, OutputError
from tests.batch.conftest import Pretend

if TYPE_CHECKING:
    from convert.pipeline import Event


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def go(cache: Cache, out: Path) -> Callable[..., tuple[BatchReport, list[str]]]:
    """`go(jobs)`: the report, and the names of the jobs that were converted."""

    def start(jobs: list[Job], *, scheduler: Pretend | None = None, **options: object) -> tuple[BatchReport, list[str]]:
        scheduler = scheduler or Pretend()
        return run(jobs, out, scheduler, cache, **options), scheduler.done  # type: ignore[arg-type]

    return start


Go = Callable[..., tuple[BatchReport, list[str]]]
JobOf = Callable[..., Job]


def states(report: BatchReport) -> list[str]:
    return [outcome.state.value for outcome in report.outcomes]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_second_run_does_nothing(go: Go, job_of: JobOf, out: Path) -> None:
    jobs = [job_of("a", b"1"), job_of("b", b"2"), job_of("bad", b"bad")]
    first, done = go(jobs)
    assert states(first) == ["done", "done", "failed"]
    assert done == ["a", "b", "bad"]
    assert 0 < first.seconds < 60
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    again, done = go(jobs)
    assert states(again) == ["unchanged", "unchanged", "failed"]
    assert done == ["bad"], "what failed is tried again"
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    for one, other in zip(first.outcomes[:2], again.outcomes[:2], strict=True):
        assert replace(other, state=one.state, seconds=1.0) == one
    assert again.counts[State.UNCHANGED] == 2


def test_only_what_changed_is_converted(go: Go, job_of: JobOf) -> None:
    go([job_of("a", b"1"), job_of("b", b"2"), job_of("c", b"3")])
    report, done = go([job_of("a", b"1"), job_of("b", b"other"), job_of("c", b"3", opset=11)])
    assert done == ["b", "c"]
    assert states(report) == ["unchanged", "done", "done"]
    report, done = go([job_of("a", b"1"), job_of("b", b"2"), job_of("c", b"3")])
    assert not done, "what was there before is still in the cache"
    assert states(report) == ["unchanged", "restored", "unchanged"], "the bundle of c does not depend on its options"


def remove_file(bundle: Path) -> None:
    (bundle / "m.onnx").unlink()


def change_file(bundle: Path) -> None:
    (bundle / "m.onnx").write_bytes(b"y")


def make_unrunnable(bundle: Path) -> None:
    (bundle / "build.sh").chmod(0o644)


def remove_all(bundle: Path) -> None:
    shutil.rmtree(bundle)


@pytest.mark.parametrize("damage", [remove_file, change_file, make_unrunnable, remove_all])
def test_a_bundle_is_repaired(damage: Callable[[Path], None], go: Go, job_of: JobOf, out: Path) -> None:
    jobs = [job_of("a"), job_of("b", b"2")]
    go(jobs)
    whole = tree(out)
    damage(out / "a")
    report, done = go(jobs)
    assert (states(report), done) == (["restored", "unchanged"], [])
    assert tree(out) == whole
    assert os.access(out / "a" / "build.sh", os.X_OK)


def test_force(go: Go, job_of: JobOf) -> None:
    jobs = [job_of("a"), job_of("b", b"2")]
    go(jobs)
    report, done = go(jobs, force=True)
    assert (states(report), done) == (["done", "done"], ["a", "b"])
    assert go(jobs)[1] == []


def test_another_folder_gets_copies(go: Go, job_of: JobOf, cache: Cache, tmp_path: Path) -> None:
    jobs = [job_of("a")]
    go(jobs)
    elsewhere = [replace(job, output=tmp_path / "elsewhere" / job.name) for job in jobs]
    report = run(elsewhere, tmp_path / "elsewhere", Pretend(), cache)
    assert states(report) == ["restored"]
    assert report.outcomes[0].outputs[0].path == str(tmp_path / "elsewhere" / "a" / "m.onnx")


def test_findings_name_the_export_where_it_is_now(go: Go, job_of: JobOf, cache: Cache, tmp_path: Path) -> None:
    job = job_of("a")
    go([job])
    moved = tmp_path / "moved" / "a.tflite"
    moved.parent.mkdir()
    job.export.rename(moved)
    report = run([replace(job, export=moved)], tmp_path / "out", Pretend(), cache)
    assert states(report) == ["unchanged"]
    assert [finding.path for finding in report.outcomes[0].findings] == [str(moved), "m.onnx"]


def test_what_lies_in_the_folder_is_looked_at_each_time(go: Go, job_of: JobOf, out: Path) -> None:
    go([job_of("a")])
    engine = out / "a" / "m.onnx_b1_gpu0_fp32.engine"
    engine.write_bytes(b"")
    os.utime(engine, (1, 1))
    report, _ = go([job_of("a")])
    assert states(report) == ["unchanged"]
    assert "is older than m.onnx" in report.outcomes[0].findings[-1].message


def test_what_lay_in_the_folder_then_is_not_remembered(go: Go, job_of: JobOf) -> None:
    report, _ = go([job_of("a")], scheduler=Pretend(found=(STALE_ENGINE.found("an engine is old"),)))
    assert report.outcomes[0].findings[-1].id == STALE_ENGINE.id
    report, _ = go([job_of("a")])
    assert STALE_ENGINE.id not in {finding.id for finding in report.outcomes[0].findings}


def test_the_same_export_twice_is_converted_once(go: Go, job_of: JobOf, tmp_path: Path) -> None:
    one = job_of("a")
    two = replace(one, name="b", output=tmp_path / "out" / "b")
    report, done = go([one, two])
    assert done == ["a"]
    assert states(report) == ["done", "restored"]
    (finding,) = report.findings
    assert (finding.id, finding.message, finding.path) == ("EI803", "b is the same as a", str(one.export))
    report, done = go([one, two], force=True)
    assert (done, states(report)) == (["a"], ["done", "unchanged"])


@pytest.mark.parametrize("changes", [{"files": ()}, {"summary": ()}, {"summary": (("bundle", 3),)}])
def test_an_entry_that_describes_no_bundle_is_made_again(
    go: Go, job_of: JobOf, cache: Cache, out: Path, changes: dict[str, Any]
) -> None:
    go([job_of("a")])
    before = tree(out / "a")
    (key,) = cache.all_keys()
    entry = cache.entry(key)
    assert entry is not None
    cache.store(key, replace(entry, **changes), {} if "files" in changes else cache.contents(key))
    report, done = go([job_of("a")])
    assert (states(report), done, tree(out / "a")) == (["done"], ["a"], before)
    assert len(report.findings) == 1
    report, done = go([job_of("a")])
    assert (states(report), done, report.findings) == (["unchanged"], [], ())


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda whole: whole[:-3], "build.sh is not what was written"),
        (lambda whole: whole.replace(b"x#!", b"y#!"), "m.onnx is not what was written"),
        (lambda whole: b"x" + whole, "its first line is not what was written"),
        (lambda _: b"", "its first line is not what was written"),
    ],
)
def test_a_damaged_entry_is_noticed_and_made_again(
    damage: Callable[[bytes], bytes], reason: str, go: Go, job_of: JobOf, cache: Cache, out: Path
) -> None:
    jobs = [job_of("a")]
    go(jobs)
    (key,) = cache.all_keys()
    whole = cache.place(key).read_bytes()
    (out / "a" / "m.onnx").unlink()
    cache.place(key).write_bytes(damage(whole))
    report, done = go(jobs)
    assert (states(report), done) == (["done"], ["a"])
    (finding,) = report.findings
    assert (finding.id, finding.path) == ("EI801", str(cache.place(key)))
    assert finding.message == f"the entry of a was damaged: {reason}"
    assert cache.place(key).read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_time_only(job_of: JobOf, out: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for _ in range(2):
        report = run([job_of("a"), job_of("b", b"2")], out, Pretend(), Cache(tmp_path / "file" / "cache"))
        assert states(report) == ["done", "done"]
        (finding,) = report.findings
        assert (finding.id, finding.path) == ("EI802", str(tmp_path / "file" / "cache"))
        assert finding.message == "cannot create the folder: Not a directory"
        assert finding.hint == (
            "Free space, repair the permissions of the cache folder, or choose another with --cache-dir."
        )


def test_an_export_that_changes_meanwhile_is_not_kept(go: Go, job_of: JobOf) -> None:
    job = job_of("a", b"1")
    go([job], scheduler=Pretend(before=lambda each: (each.export.write_bytes(b"2"), None)[1]))
    job.export.write_bytes(b"1")
    report, done = go([job])
    assert (states(report), done) == (["done"], ["a"])


def test_a_bundle_that_changes_meanwhile_is_not_kept(go: Go, job_of: JobOf, cache: Cache) -> None:
    class Meddled(Pretend):
        def __call__(self, *arguments: object) -> Iterator[Outcome]:
            for outcome in super().__call__(*arguments):  # type: ignore[arg-type]
                Path(outcome.outputs[0].path).write_bytes(b"somebody else's")
                yield outcome

    go([job_of("a")], scheduler=Meddled())
    assert cache.all_keys() == []


def test_what_another_run_converts_is_waited_for(go: Go, job_of: JobOf, cache: Cache, tmp_path: Path) -> None:
    """The other run takes a job's lock first, and has stored the bundle when it lets go."""
    jobs = [job_of("a"), job_of("b", b"2")]
    other = [replace(jobs[0], output=tmp_path / "other" / "a")]
    nested: list[BatchReport] = []

    def second_run(_job: Job) -> None:
        if not nested:  # while "a" is being converted: the second run has to do "b" and wait for "a"
            mine = [replace(each, output=tmp_path / "other" / each.name) for each in jobs]
            postponed = run(mine[1:], tmp_path / "other", Pretend(), cache)
            nested.append(postponed)

    report, done = go(jobs, scheduler=Pretend(before=second_run))
    assert states(nested[0]) == ["done"]
    assert done == ["a"], "the other run has converted b in the meantime"
    assert states(report) == ["done", "restored"]
    assert states(run(other, tmp_path / "other", Pretend(), cache)) == ["restored"]


def test_a_lock_is_waited_for_without_holding_up_others(job_of: JobOf, cache: Cache, out: Path) -> None:
    jobs = [job_of("a"), job_of("b", b"2")]
    run(jobs[:1], out, Pretend(), cache)
    (key,) = cache.all_keys()
    cache.drop(key)
    let_go = contextlib.ExitStack()
    assert let_go.enter_context(cache.lock(key, wait=False))

    scheduler = Pretend(before=lambda each: None if each.name == "a" else let_go.close())
    assert states(run(jobs, out, scheduler, cache)) == ["done", "done"]
    assert scheduler.done == ["b", "a"], "b first, because somebody holds the lock of a"


def test_what_was_finished_is_kept_when_a_run_ends_early(go: Go, job_of: JobOf, cache: Cache) -> None:
    jobs = [job_of("a", b"1"), job_of("b", b"2"), job_of("c", b"3")]

    def strike(job: Job) -> None:
        if job.name == "c":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(jobs, scheduler=Pretend(before=strike))
    report, done = go(jobs)
    assert (states(report), done) == (["unchanged", "unchanged", "done"], ["c"])
    with cache.lock(cache.all_keys()[0], wait=False) as free:
        assert free, "no lock is left"


def test_an_export_that_cannot_be_read_is_left_to_the_conversion(go: Go, job_of: JobOf) -> None:
    report, done = go([job_of("gone", None), job_of("a")])
    assert (states(report), done) == (["failed", "done"], ["gone", "a"])


def test_a_bundle_in_the_way_of_a_folder(go: Go, job_of: JobOf, out: Path) -> None:
    go([job_of("a")])
    (out / "a" / "m.onnx").unlink()
    (out / "a" / "m.onnx").mkdir()
    report, _ = go([job_of("a")])
    assert states(report) == ["failed"]
    assert isinstance(report.outcomes[0].error, OutputError)
    assert 0 <= report.outcomes[0].seconds < 60


def test_old_bundles_are_pointed_out(go: Go, job_of: JobOf, out: Path) -> None:
    for name in ("bad", "left"):
        (out / name).mkdir(parents=True)
        (out / name / "report.json").write_bytes(b"{}")
    report, _ = go([job_of("bad", b"bad"), job_of("a")])
    assert [(finding.id, finding.path, finding.message) for finding in report.findings] == [
        ("EI805", str(out / "bad"), "bad could not be converted; its folder holds the bundle of an earlier run"),
        ("EI804", str(out / "left"), "left is not part of this batch"),
    ]


def test_the_observer_is_told_of_every_outcome(go: Go, job_of: JobOf) -> None:
    seen: list[tuple[str, str]] = []

    def observer(job: Job, event: Event | Outcome) -> None:
        if isinstance(event, Outcome):
            seen.append((job.name, event.state.value))

    jobs = [job_of("a", b"1"), job_of("b", b"2")]
    go(jobs, observer=observer)
    go(jobs, observer=observer)
    assert seen == [("a", "done"), ("b", "done"), ("a", "unchanged"), ("b", "unchanged")]


def test_the_output_folder_has_to_be_one(job_of: JobOf, cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError):
        run([job_of("a")], tmp_path / "file", Pretend(), cache)


def test_what_lies_beside_a_bundle_of_the_cache_is_said(go: Go, job_of: JobOf) -> None:
    """As where it is converted; of two engines the files have other names."""
    pair = replace(job_of("pair", b"2"), sgie=job_of("sgie", b"3").export)
    jobs = [job_of("a"), pair]
    go(jobs)
    for job in jobs:
        (job.output / bundle_names("m").secondary).write_bytes(b"")
    for state in ("unchanged", "restored"):
        report, _ = go(jobs)
        assert states(report) == [state] * 2
        rules = [
            [each.id for each in outcome.findings if each.id == LEFT_FROM_ANOTHER_ROLE.id]
            for outcome in report.outcomes
        ]
        assert rules == [[LEFT_FROM_ANOTHER_ROLE.id], []]
        for job in jobs:
            (job.output / "m.onnx").unlink()


def test_what_a_report_adds_up(job_of: JobOf) -> None:
    """What is found and cannot be converted fails nothing; what is named, and every error, does. Errors are grouped."""
    gone = [InputError("gone", hint="look", path=path) for path in ("a", "b")]
    nothing = NoModelError("no model")
    cases: list[tuple[str, bool, State, Exception | None]] = [
        ("done", False, State.DONE, None),
        ("wrong", False, State.WRONG, None),
        ("kept", True, State.UNCHANGED, None),
        ("failed", False, State.FAILED, gone[0]),
        ("found-failed", True, State.FAILED, gone[1]),
        ("unsuitable", False, State.UNSUITABLE, nothing),
        ("found-unsuitable", True, State.UNSUITABLE, nothing),
        ("other", False, State.FAILED, InputError("gone", hint="elsewhere")),
    ]
    jobs = tuple(replace(job_of(name), found=found) for name, found, _, _ in cases)
    outcomes = tuple(Outcome(name, state, 0, error=error) for name, _, state, error in cases)  # type: ignore[arg-type]
    report = BatchReport(jobs, outcomes, (), 1.0)
    assert [each.name for each in report.failed] == ["failed", "found-failed", "unsuitable", "other"]
    assert {state.value: count for state, count in report.counts.items() if count} == {
        "done": 1, "wrong": 1, "unchanged": 1, "failed": 3, "unsuitable": 2,
    }  # fmt: skip
    assert report.counts[State.RESTORED] == 0
    assert [(error.hint, [each.name for each in group]) for error, group in report.errors] == [
        ("look", ["failed", "found-failed"]),
        (None, ["unsuitable", "found-unsuitable"]),
        ("elsewhere", ["other"]),
    ]


def test_what_ended_before_it_began_is_an_outcome(go: Go, job_of: JobOf) -> None:
    gone = InputError("the project is gone", hint="look", path="studio:7")
    jobs = [job_of("a"), job_of("b", b"2")]
    seen: list[str] = []
    report, done = go(jobs, ended={"a": gone}, observer=lambda job, _: seen.append(job.name))
    assert (states(report), done, seen) == (["failed", "done"], ["b"], ["a", "b"])
    assert report.outcomes[0] == Outcome("a", State.FAILED, 3, 0.0, error=gone)
