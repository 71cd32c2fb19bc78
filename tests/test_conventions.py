"""What ruff and mypy cannot ask of the code: hints of errors, values that cannot be changed, lists of one length."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

from convert import errors
from convert.findings import rulebook

PACKAGE = Path(__file__).resolve().parents[1] / "convert"

NO_HINT = {
    "check/run.py": 2, "compare/edge_impulse.py": 3, "compare/sides.py": 3, "emit/config.py": 3,
    "export/cpp_declarations.py": 1, "export/cpp_scanner.py": 1, "heads/ssd.py": 1, "images/scaling.py": 1,
    "nvinfer/keys.py": 2, "nvinfer/numbers.py": 1, "nvinfer/targets.py": 2, "options.py": 1, "report.py": 1,
    "simulate/decode.py": 1, "simulate/engine.py": 5, "simulate/job.py": 1, "simulate/parsers.py": 1,
    "simulate/replay.py": 2, "simulate/settings.py": 1, "validate/runtimes.py": 6,
}  # fmt: skip
"""How many errors of a module have no hint: there is nothing to advise beyond the message. Only ever fewer."""

OTHER_DATACLASSES = {
    "": """
        cache.Ledger comparison.Decoding comparison.Tally dask.Cluster decoding._Cells isolation.Worker
        isolation._Limit pipeline.Run run.CauseTexts run.Checker run.ComparisonRun run.ExternalChecks
        run.Pool run._Batch run._Progress sides.Ablation
    """,
    "frozen=True": """
        base.HeadSpec boxes.Boxes boxes.RowsHead cache.Cache compare.Reference decoding.ReferenceDecoder
        edge_impulse.Original plan.ModelRequest run.BatchReport run.Criteria run.Outcome
        sides.EdgeImpulseModel sides.ModelPair sides.ShippedModel stages._PickUpAdapted
        stages._PickUpEvidence stages._PickUpTranslated stages._Saved
    """,
    "frozen=True, eq=False": """
        comparison.Predictions decoding.Anchors decoding.Detections ssd.PostProcess
    """,
    "frozen=True, slots=True, eq=False": """
        drawing.Chip drawing.Line engine.LoadedEngine engine.Preprocessor keys.Key parsers.Boxes
        parsers.Layer parsers._Grid read.Picture replay.Recording
    """,
    "slots=True": """
        archive.Tree cpp_arrays._Reader cpp_declarations._Reader cpp_parser._Head cpp_scanner.Scanner
        cpp_scanner._Expression cpp_scanner._Group keyfile.KeyFile keyfile.KeyGroup onnx_header._Graph
        page_sections._Tally parameters._Reader parsers.Dropped run.Prefetch run.Runner run._FrameState
        simulation.ResultsFolder tflite._File
    """,
    "slots=True, eq=False": """
        yaml.Node
    """,
}
"""Arguments of `@dataclass` where they are not `frozen=True, slots=True`: what changes as it is used, holds arrays (no
comparison), or has a cached property (no slots)."""

OF_OTHER_LENGTHS = {
    "export/cpp_parser.py": 1,
    "export/eon_operators.py": 2,
    "compare/sides.py": 1,
    "check/rules/labels.py": 1,
}
"""How many calls of `zip` in a module may end with the shorter of its arguments."""


@cache
def nodes() -> tuple[tuple[str, ast.Call | ast.ClassDef], ...]:
    """Every class, and every call of a plain name, with its module."""
    return tuple(
        (path.relative_to(PACKAGE).as_posix(), node)
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
    )


def calls(*names: str) -> list[tuple[str, ast.Call]]:
    return [
        (module, node)
        for module, node in nodes()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
    ]


def test_errors_say_what_to_do() -> None:
    found = calls(*errors.__all__)
    assert len(found) > 300
    without = Counter(
        module for module, call in found if not any(keyword.arg in {"hint", None} for keyword in call.keywords)
    )
    assert without == NO_HINT


def test_values_do_not_change() -> None:
    other: dict[str, set[str]] = {}
    for module, node in nodes():
        if not isinstance(node, ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            text = ast.unparse(decorator)
            if text.startswith("dataclass") and text != "dataclass(frozen=True, slots=True)":
                arguments = text.removeprefix("dataclass").strip("()")
                other.setdefault(arguments, set()).add(f"{Path(module).stem}.{node.name}")
    assert other == {arguments: set(classes.split()) for arguments, classes in OTHER_DATACLASSES.items()}


def test_what_is_paired_has_one_length() -> None:
    def strict(call: ast.Call) -> bool:
        values = [keyword.value for keyword in call.keywords if keyword.arg == "strict"]
        return [isinstance(value, ast.Constant) and value.value for value in values] == [True]

    found = calls("zip")
    assert len(found) > 50
    assert Counter(module for module, call in found if not strict(call)) == OF_OTHER_LENGTHS


def test_every_rule_explains_itself() -> None:
    rules = rulebook()
    assert len(rules) > 100
    for key, rule in rules.items():
        assert rule.id == key
        assert rule.title
        assert len(rule.why) > 20, key
        assert len(rule.fix) > 8, key
