"""Reads a whole impulse of sound or sensor data from an export: window, signal processing, inputs, anomaly score.

`model-parameters/` of every generation holds the values of a block as a struct's initialiser, and the struct itself:
fields came and went over the years, so each value is bound to the name that the export's own typedef gives it. Which
block feeds what stands in `model_variables.h`, in 2020 to 2022 in `dsp_blocks.h`, and in some exports nowhere.
`deployment-metadata.json` records the same by name, for exports whose headers hold no block.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from convert import heads, types
from convert.dsp import Block, Impulse, KMeans, Mixture, Value, blocks
from convert.errors import InputError, NoModelError, UnsupportedModelError
from convert.export import cpp_declarations, cpp_scanner, facts, parameters
from convert.export.choose import choose, one_of_twins, without_flatbuffer
from convert.export.models import MAX_DOCUMENT, ListedModel, Listing, describe

if TYPE_CHECKING:
    from convert.export.archive import Tree

_FOLDER: Final = "model-parameters"
_FIRST, _LAST = "model_metadata.h", "model_variables.h"
_MOST: Final = 1 << 20  # bytes of a header
_MOST_BLOCKS: Final = 16
_FUNCTION: Final = re.compile(r"extract_(\w+?)_features")
_CONFIG: Final = re.compile(r"ei_dsp_config_(\w+)_t")
_AGAIN: Final = "export the library again, with all files of model-parameters/"


@dataclass(frozen=True, slots=True)
class FoundImpulse:
    """The impulse of an export that takes no pictures.

    Attributes:
        network: its network; None where it only scores anomalies.
        metadata: what is recorded.
    """

    impulse: Impulse
    network: ListedModel | None
    metadata: types.Metadata


def find_impulse(tree: Tree, listing: Listing, wanted: str | None, *, quantized: bool = False) -> FoundImpulse | None:
    """The impulse that is to be converted as a whole; None where a model of pictures is, or nothing is known of one.

    Args:
        wanted: see `convert.export.choose.choose`.
        quantized: of a network in float32 and its quantized twin take the twin.

    Raises:
        InputError: what is recorded is damaged, contradicts itself, or describes several impulses.
        UnsupportedModelError: its network is in a form that holds no flatbuffer.
    """
    libraries = listing.of_sensors
    if not libraries or (wanted is None and any(each.used and each.is_picture_model for each in listing.entries)):
        return None
    entry = _network(listing, wanted, tree, quantized=quantized)
    if entry is not None and (entry.is_picture_model or not facts.takes_no_pictures(entry.metadata)):
        return None
    if entry is not None and (problem := entry.candidate.problem) is not None:
        raise problem
    library = next((each for each in libraries if entry and entry.block in each.recorded.blocks), libraries[0])
    block = entry.block if entry else library.recorded.blocks[0]
    names = block.names if block else frozenset[str]()
    headers, document = _sources(tree, library.root)
    if not headers and document is None:
        return None
    size = None
    if entry is not None:
        assert entry.candidate.facts is not None
        shape = entry.candidate.facts.input.shape[1:] or (0,)
        if None in shape:
            message = f"the input {list(shape)} of its network has no fixed size"
            raise UnsupportedModelError(message, hint="export it with a fixed number of features")
        size = math.prod(side or 0 for side in shape)

    def model(called: frozenset[str]) -> bytes:
        """The flatbuffer of an anomaly block whose configuration leads to the names `called`."""
        found = [each for each in listing.entries if each.is_anomaly_detector and each.block and each.candidate.data]
        mine = [each for each in found if each.block and each.block.names & called] or found
        if not mine:
            raise NoModelError("the model of its anomaly block is not in the export", hint=_AGAIN)
        return mine[0].candidate.data

    impulse = read_impulse(headers, document, names, size, model)
    metadata = entry.metadata if entry else replace(block.metadata, labels=None)  # type: ignore[union-attr]
    return FoundImpulse(impulse, entry, metadata)


def refuse(export: types.Export) -> None:
    """Refuse an impulse that cannot be converted, before any work is done.

    Raises:
        UnsupportedModelError: what stands in the way, and what to do.
    """
    impulse = export.impulse
    assert impulse is not None
    try:
        used = {*impulse.inputs, *([impulse.anomaly.block] if impulse.anomaly else [])}
        empty = not export.model and impulse.anomaly is None
        for block in impulse.blocks:
            if empty or block.id in used:
                blocks.refuse(block, impulse)
        if empty:
            hint = "add a learning block to the impulse and train it"
            raise without_flatbuffer(export.metadata.engine) or UnsupportedModelError(
                "the impulse has no network and no anomaly block", hint=hint
            )
        heads.refuse_operators(export)
        if heads.is_quantized(export):
            message = f"its network is {export.facts.quantization}, and is rewritten in float32 for TensorRT"
            raise UnsupportedModelError(message, hint="leave out --no-dequantize")  # noqa: TRY301
        if len(export.facts.outputs) > 1:
            message = f"the network of the impulse has {len(export.facts.outputs)} outputs"
            hint = "only networks with one output, the scores, can be converted"
            raise UnsupportedModelError(message, hint=hint)  # noqa: TRY301
    except UnsupportedModelError as error:
        error.path = error.path or export.member or export.source
        raise


def _network(listing: Listing, wanted: str | None, tree: Tree, *, quantized: bool) -> ListedModel | None:
    """The network of the impulse; None where it has none."""
    if wanted is not None:
        return choose(listing, wanted, tree, quantized=quantized)
    found = [each for each in listing.entries if each.used and not each.is_anomaly_detector]
    # Of copies the one that model_variables.h describes, then the first.
    found.sort(key=lambda each: (bool(each.block and each.block.names), -each.number))
    by_bytes = {each.candidate.data or each.candidate.called: each for each in found}
    found = sorted(by_bytes.values(), key=lambda each: each.number)
    found = one_of_twins(found, quantized=quantized)
    if len(found) > 1:
        message = f"the export holds {len(found)} models:\n" + describe(found)
        hint = f"name one with --model, for example --model '#{found[0].number}'"
        raise NoModelError(message, path=tree.source, hint=hint)
    if not found and listing.missing:
        return choose(listing, None, tree)  # raises what is missing
    return found[0] if found else None


def _sources(tree: Tree, root: str) -> tuple[tuple[parameters.File, ...], parameters.File | None]:
    """The headers of a library in the order in which they are read, and its document."""
    place = PurePosixPath(root)
    folders = {place / _FOLDER, place}
    headers = [path for path in map(PurePosixPath, tree.members) if path.suffix == ".h" and path.parent in folders]
    if any(path.parent.name == _FOLDER for path in headers):
        headers = [path for path in headers if path.parent.name == _FOLDER]
    headers.sort(key=lambda path: ((path.name != _FIRST) + (path.name == _LAST), path.name))
    document = str(place / parameters.DEPLOYMENT)

    def read(path: str, most: int) -> parameters.File:
        return parameters.File(tree.read(path, most), tree.name_of(path))

    # Beside them may lie the header of a model, which is larger than any of theirs.
    mine = [str(path) for path in headers if path.name in {_FIRST, _LAST} or tree.members[str(path)] <= _MOST]
    return tuple(read(path, _MOST) for path in mine), read(document, MAX_DOCUMENT) if document in tree.members else None


def read_impulse(
    headers: Sequence[parameters.File],
    document: parameters.File | None,
    names: frozenset[str],
    features: int | None,
    mixture: Callable[[frozenset[str]], bytes],
) -> Impulse:
    """The impulse that the headers, or else the document, record.

    Args:
        headers: of `model-parameters/`: model_metadata.h first, model_variables.h last.
        document: deployment-metadata.json.
        names: that the configuration of the learning block leads to, to tell several impulses apart; or none.
        features: values that the network takes; None without one.
        mixture: gives the flatbuffer of a Gaussian mixture, by the names that its configuration leads to.

    Raises:
        InputError: values and struct do not fit together, a window that cannot be, or no block at all.
        UnsupportedModelError: which block feeds the network is not recorded and not clear.
    """
    reader = _Reader(parameters.read_headers(headers), headers[-1].path if headers else "", names)
    impulse = reader.impulse()
    if document is not None and not impulse.blocks:
        impulse = _from_document(document, impulse)
    path = reader.path or (document.path if document else None)
    if not impulse.blocks:
        raise _damaged("the export records no signal processing for its sensor data", path)
    values = impulse.samples * impulse.axes
    if impulse.samples < 1 or impulse.axes < 1 or values > blocks.LARGEST_WINDOW:
        message = f"a window of {impulse.samples:,} samples of {impulse.axes:,} axes is recorded, which cannot be"
        raise _damaged(message, path)
    if not 0 <= impulse.frequency < math.inf:
        raise _damaged(f"a frequency of {impulse.frequency:g} Hz is recorded", path)
    for block in impulse.blocks:
        if any(not 0 <= axis < impulse.axes for axis in block.axes) or not block.axes:
            message = f"block {block.id} takes axes {list(block.axes)}, and a sample has {impulse.axes}"
            raise _damaged(message, path)
    if features is not None:
        impulse = _with_inputs(impulse, features, path)
    return replace(impulse, anomaly=reader.anomaly(impulse, mixture))


def _with_inputs(impulse: Impulse, features: int, path: str | None) -> Impulse:
    """With the blocks that feed a network of so many features."""
    listed = impulse.blocks
    if len(listed) == 1 and listed[0].size == 0:  # neither list stands in some exports of 2021 and 2022
        listed = (replace(listed[0], size=features),)
    sizes = {block.id: block.size for block in listed}
    inputs = impulse.inputs
    if not inputs:
        groups = [group for count in range(1, len(sizes) + 1) for group in combinations(sizes, count)]
        fits = [group for group in groups if sum(sizes[each] for each in group) == features]
        if len(fits) != 1:
            said = " and ".join(str(size) for size in sizes.values())
            sums = f"its blocks of {said} features add up {'in more than one way' if fits else 'in no way'}"
            message = f"which blocks feed the network is not recorded: it takes {features} features, to which {sums}"
            hint = "build the deployment again in Studio: since 2023 it records this"
            raise UnsupportedModelError(message, path=path, hint=hint)
        inputs = fits[0]
    total = sum(sizes.get(each, 0) for each in inputs)
    if total != features or any(each not in sizes for each in inputs):
        message = f"its blocks give {total} features, and the network takes {features}"
        raise _damaged(message, path)
    return replace(impulse, blocks=listed, inputs=inputs)


def _damaged(message: str, path: str | None, line: int | None = None) -> InputError:
    return InputError(message, path=path, line=line, hint=_AGAIN)


@dataclass(slots=True)
class _Reader:
    """What C++ headers record; `names` tell which of several impulses is meant."""

    header: cpp_declarations.Header
    path: str
    names: frozenset[str]

    def impulse(self) -> Impulse:
        """Without what follows from the network: inputs that are not recorded, and the anomaly."""
        chosen = self._chosen()
        names = ("raw_sample_count", "raw_samples_per_frame", "frequency", "slices_per_model_window", "interval_ms")
        samples, axes, frequency, slices, interval = (self._setting(chosen, name) or 0.0 for name in names)
        if not frequency and interval > 0:
            frequency = 1000 / interval
        words = self._axis_names(chosen)
        axis_names = tuple(word.strip() for word in words.split(" + ")) if words else ()
        reached = self._reached(chosen)
        return Impulse(
            sensor=self._sensor(chosen),
            samples=int(samples),
            axes=int(axes),
            axis_names=axis_names if len(axis_names) == axes else (),
            frequency=frequency,
            slices=int(slices),
            blocks=self._blocks(reached, int(axes)),
            inputs=self._inputs(reached, anomaly=False),
        )

    def _chosen(self) -> cpp_declarations.Declaration | None:
        """The impulse that leads to `names`, or the only one."""
        found = [each for each in self.header.typed("ei_impulse_t") if each.braced]
        mine = [each for each in found if self.names and self.names <= self.header.reachable(each.name)]
        return next(iter(mine or found), None)

    def _reached(self, chosen: cpp_declarations.Declaration | None) -> frozenset[str] | None:
        """Every name that the impulse leads to; None where none is declared."""
        return self.header.reachable(chosen.name) if chosen else None

    def _setting(self, chosen: cpp_declarations.Declaration | None, member: str) -> float | None:
        """A number, by the member of the impulse or the macro of that name."""
        tokens = chosen.named(member) if chosen else None
        if tokens:
            return self._number(tokens)
        body = self.header.macros.get(f"EI_CLASSIFIER_{member.upper()}".encode())
        return None if body is None else self._real(body)

    def _axis_names(self, chosen: cpp_declarations.Declaration | None) -> str | None:
        if chosen:  # of several impulses the macros describe one
            return cpp_declarations.string_of(chosen.named("fusion_string") or ())
        body = self.header.macros.get(b"EI_CLASSIFIER_FUSION_AXES_STRING", b"").strip()
        return cpp_scanner.text_of(body[1:-1]) if body[:1] == b'"' else None

    def _sensor(self, chosen: cpp_declarations.Declaration | None) -> str:
        tokens = chosen.named("sensor") if chosen else None
        text = b"".join(token.text for token in tokens or ()) or self.header.macros.get(b"EI_CLASSIFIER_SENSOR", b"")
        return parameters.enumerator(text.strip(), facts.SENSOR, self.header.macros) or "unknown"

    def _real(self, text: bytes) -> float | None:
        text = text.strip()
        if (value := cpp_scanner.real_literal(text.strip(b"()"))) is not None:
            return value if math.isfinite(value) else None
        whole = cpp_scanner.evaluate(text, self.header.macros, strict=True)
        return None if whole is None else float(whole)

    def _number(self, tokens: Iterable[cpp_scanner.Token]) -> float | None:
        """The value of an expression; names are those of constants declared here, or macros."""
        text = b"".join(token.text for token in tokens)
        declared = self.header.declarations.get(cpp_scanner.text_of(text))
        if declared is not None and not declared.braced:
            text = b"".join(token.text for token in declared.tokens)
        return self._real(text)

    def _array(self, name: str, what: str) -> tuple[float, ...]:
        """The numbers of a declared array."""
        declared = self.header.declarations.get(name)
        if declared is None or not declared.braced:
            raise _damaged(f"{what} ({name}) is not in model-parameters/", self.path)
        return self._row(declared.fields, what, declared.line)

    def _row(self, fields: Iterable[cpp_declarations.Field], what: str, line: int) -> tuple[float, ...]:
        values = [self._number(each.tokens) for each in fields]
        if None in values:
            raise _damaged(f"{what} holds something that is no number", self.path, line)
        return tuple(value for value in values if value is not None)

    def _blocks(self, reached: frozenset[str] | None, axes: int) -> tuple[Block, ...]:
        """In the order of the list; without a list those that are declared, of unknown size."""
        tables = self.header.typed("ei_model_dsp_t", reached) or self.header.typed("ei_model_dsp_t")
        entries = [entry for table in tables for entry in table.fields if entry.braced]
        if len(entries) > _MOST_BLOCKS:
            raise _damaged(f"it lists {len(entries)} signal-processing blocks", self.path)
        if entries:
            return tuple(self._block(entry, number, axes) for number, entry in enumerate(entries))
        declared = self.header.declarations.values()
        configs = [each for each in declared if each.braced and any(map(_CONFIG.fullmatch, each.type))]
        return tuple(self._unlisted(each, number, axes) for number, each in enumerate(configs[:_MOST_BLOCKS]))

    def _block(self, entry: cpp_declarations.Field, number: int, axes: int) -> Block:
        """An entry [id,] size, function, config, axes, count of axes [, version, factory, normalisation]."""
        members = [each.tokens for each in entry.fields]
        words = [cpp_declarations.names_in(tokens) for tokens in members]
        functions = [at for at, names in enumerate(words) if any(map(_FUNCTION.fullmatch, names))]
        if not functions or functions[0] not in {1, 2}:
            names = sorted({name for each in words for name in each if name.startswith("extract_")})
            reason = f"it is computed by {names[0]}" if names else "its function is not known"
            what = f"a custom block: {reason}, whose arithmetic is not in the export"
            hint = "use one of Studio's own blocks (spectral analysis, MFCC, MFE, spectrogram, flatten, raw data)"
            raise UnsupportedModelError(f"block {number + 1} of the impulse is {what}", path=self.path, hint=hint)
        at = functions[0]
        kind = _first(_FUNCTION, words[at])
        head = [self._number(tokens) for tokens in members[:at]]
        if None in head:
            raise _damaged(f"block {number + 1}: its size is no number", self.path)
        whole = [int(value) for value in head if value is not None]
        config = self._config(words[at + 1] if len(words) > at + 1 else [])
        values = self._values(config)
        offsets = _all(axes)
        if len(words) > at + 2 and words[at + 2]:
            offsets = tuple(int(value) for value in self._array(words[at + 2][-1], f"the axes of block {number + 1}"))
        scaler = [name for names in words[at + 3 :] for name in names if "normalization" in name]
        known = whole[0] if at == 2 else _one(values, "block_id", number)
        version = _one(values, "implementation_version", 1)
        return Block(kind, known, version, offsets, values, whole[-1], self._scaler(scaler[0]) if scaler else None)

    def _unlisted(self, config: cpp_declarations.Declaration, number: int, axes: int) -> Block:
        values, listed = self._values(config), f"{config.name}_axes"
        offsets = _all(axes)
        if listed in self.header.declarations:
            offsets = tuple(int(each) for each in self._array(listed, f"the axes of {config.name}"))
        known, version = _one(values, "block_id", number), _one(values, "implementation_version", 1)
        return Block(_first(_CONFIG, config.type), known, version, offsets, values, 0)

    def _config(self, names: Sequence[str]) -> cpp_declarations.Declaration:
        found = (self.header.declarations.get(name) for name in names)
        if config := next((each for each in found if each is not None and each.braced), None):
            return config
        called = names[-1] if names else "a block's configuration"
        raise _damaged(f"{called} is not in model-parameters/", self.path)

    def _values(self, config: cpp_declarations.Declaration) -> Mapping[str, Value]:
        """Name -> value, as the export's own struct names them; pointers to names of axes are left out."""
        kind = next(filter(_CONFIG.fullmatch, config.type), "")
        members = self.header.structs.get(kind)
        if members is None:
            raise _damaged(f"the struct {kind or config.name} is not in model-parameters/", self.path)
        given = config.fields
        if any(each.name for each in given):
            by_name = {each.name: each for each in given}
            pairs = [(type_, name, by_name[name]) for type_, name in members if name in by_name]
            unknown = sorted(by_name.keys() - {name for _, name in members})
            problem = f"has no member {unknown[0]!r}" if unknown else ""
        else:
            pairs = [(type_, name, each) for (type_, name), each in zip(members, given, strict=False)]
            problem = f"has {len(members)} members" if len(members) != len(given) else ""
        if problem:
            message = f"{config.name} has {len(given)} values, and its struct {kind} {problem}"
            raise _damaged(message, self.path, config.line)
        found: dict[str, Value] = {}
        for type_, name, each in pairs:
            if "char" in type_:
                text = cpp_declarations.string_of(each.tokens)
                value: Value | None = "" if text is None and cpp_declarations.names_in(each.tokens) else text
            elif "*" in type_ or name.startswith("named_axes"):
                continue
            else:
                value = self._number(each.tokens)
            if value is None:
                raise _damaged(f"{config.name}: {name} cannot be read", self.path, config.line)
            found[name] = value
        return found

    def _scaler(self, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and scale of a standard scaler."""
        reached = self.header.reachable(name)
        declared = map(self.header.declarations.get, sorted(reached))
        config = next((each for each in declared if each and each.named("mean_data")), None)
        if config is None:
            message = f"its features are normalised in a way that is not known here ({name})"
            hint = "normalise with the standard scaler, or not at all"
            raise UnsupportedModelError(message, path=self.path, hint=hint)
        mean, scale = (self._array_of(config, member, name) for member in ("mean_data", "scale_data"))
        return mean, scale

    def _array_of(self, config: cpp_declarations.Declaration, member: str, name: str) -> tuple[float, ...]:
        """The numbers of the array that a member of `config` points to."""
        names = cpp_declarations.names_in(config.named(member) or ())
        if not names:
            raise _damaged(f"{name}: {member} is not in model-parameters/", self.path, config.line)
        return self._array(names[-1], f"{name}, {member}")

    def _learning(self, reached: frozenset[str] | None, *, anomaly: bool) -> list[cpp_declarations.Field]:
        """Entries of the learning blocks that score anomalies, or of the others."""
        entries = [entry for table in self.header.typed("ei_learning_block_t", reached) for entry in table.fields]
        return [each for each in entries if any("anomaly" in name for name in each.names) is anomaly]

    def _inputs(self, reached: frozenset[str] | None, *, anomaly: bool) -> tuple[int, ...]:
        """Ids of the blocks that feed the network, or the anomaly block; () where that is not recorded."""
        entries = self._learning(reached, anomaly=anomaly)
        if not anomaly and len(entries) > 1:
            entries = [
                each for each in entries if self.names & set(each.names) & self.header.declarations.keys()
            ] or entries[:1]
        for name in (name for entry in entries for name in entry.names):
            if name.endswith("_inputs") and name in self.header.declarations:
                return tuple(int(value) for value in self._array(name, "the inputs of a learning block"))
        return ()

    def anomaly(self, impulse: Impulse, mixture: Callable[[frozenset[str]], bytes]) -> KMeans | Mixture | None:
        """What scores anomalies."""
        chosen = self._chosen()
        reached = self._reached(chosen)
        entries = self._learning(reached, anomaly=True)
        names = {word for entry in entries for word in entry.names}
        called = frozenset[str]().union(*(self.header.reachable(word) for word in names))
        declared = map(self.header.declarations.get, sorted(called))
        config = next((each for each in declared if each and each.braced and each.named("anom_axis")), None)
        is_kmeans = config is not None and config.named("anom_clusters") is not None
        if config is None:  # until 2022 nothing points to the arrays
            if chosen is not None or not self._setting(None, "has_anomaly"):
                return None
            is_kmeans = True
        inputs = self._inputs(reached, anomaly=True) or (impulse.blocks[0].id,)
        if len(inputs) != 1 or all(block.id != inputs[0] for block in impulse.blocks):
            message = f"its anomaly block takes the features of {len(inputs)} blocks"
            hint = "train the anomaly block on one signal-processing block"
            raise UnsupportedModelError(message, path=self.path, hint=hint)
        size = next(block.size for block in impulse.blocks if block.id == inputs[0])
        axes = tuple(int(each) for each in self._array(self._of(config, "anom_axis"), "the axes of the anomaly block"))
        if any(not 0 <= axis < size for axis in axes) or not axes:
            message = f"the anomaly block takes features that do not exist: {list(axes)[:8]}"
            raise _damaged(message, self.path)
        if not is_kmeans:
            return Mixture(axes, mixture(called), inputs[0])
        mean = self._array(self._of(config, "anom_mean"), "the mean of the anomaly block")
        scale = self._array(self._of(config, "anom_scale"), "the scale of the anomaly block")
        clusters = self.header.declarations.get(self._of(config, "anom_clusters"))
        if clusters is None:
            raise _damaged("the clusters of the anomaly block are missing", self.path)
        centroids: list[tuple[float, ...]] = []
        radii: list[float] = []
        for each in clusters.fields:
            if len(each.fields) < 2:
                message = "a cluster of the anomaly block cannot be read"
                raise _damaged(message, self.path, clusters.line)
            centre, *rest = each.fields
            centroids.append(self._row(centre.fields, "a cluster", clusters.line))
            radii += self._row(rest[:1], "a cluster", clusters.line)
        lengths = {len(row) for row in (*centroids, mean, scale)}
        if not centroids or lengths != {len(axes)} or len(radii) != len(centroids):
            message = f"the clusters of the anomaly block do not fit its {len(axes)} features"
            raise _damaged(message, self.path, clusters.line)
        if 0.0 in scale:
            raise _damaged("the anomaly block divides by a scale of 0", self.path)
        return KMeans(axes, mean, scale, tuple(centroids), tuple(radii), inputs[0])

    def _of(self, config: cpp_declarations.Declaration | None, member: str) -> str:
        """The name of the array behind a member of an anomaly block's configuration."""
        if config is not None:
            return next(iter(cpp_declarations.names_in(config.named(member) or ())), member)
        names = {"anom_axis": ("ei_classifier_anom_axes", "EI_CLASSIFIER_ANOM_AXIS")}
        known = names.get(member, (f"ei_classifier_{member}",))
        return next((name for name in known if name in self.header.declarations), known[0])


def _all(axes: int) -> tuple[int, ...]:
    """Offsets of all axes; of more than any window can hold none, as the window is refused later."""
    return tuple(range(axes)) if axes <= blocks.LARGEST_WINDOW else ()


def _one(values: Mapping[str, Value], name: str, default: int) -> int:
    value = values.get(name, default)
    return int(value) if isinstance(value, int | float) else default


def _first(pattern: re.Pattern[str], words: Iterable[str]) -> str:
    """What the group of `pattern` holds in the first word that it fits."""
    return next(match[1] for match in map(pattern.fullmatch, words) if match)


def _from_document(file: parameters.File, impulse: Impulse) -> Impulse:
    """What `deployment-metadata.json` records of an impulse whose blocks no header holds."""
    try:
        document = json.loads(file.data)
        recorded = document["impulse"]
        if len(recorded["dspBlocks"]) > _MOST_BLOCKS:
            raise ValueError(f"{len(recorded['dspBlocks'])} signal-processing blocks")  # noqa: TRY301
        axes = int(document["axesCount"])
        listed = tuple(_document_block(each, axes, document) for each in recorded["dspBlocks"])
        learning = recorded["learnBlocks"]
        if any("anomaly" in each["type"] for each in learning):
            message = "the clusters of its anomaly block are not in the export"
            raise UnsupportedModelError(message, path=file.path, hint="give the C++ library, which holds them")  # noqa: TRY301
        sensor = document.get("sensor") or impulse.sensor
        if not isinstance(sensor, str):
            raise TypeError("sensor")  # noqa: TRY301
        return replace(
            impulse,
            sensor=sensor,
            samples=int(document["samplesPerInference"]),
            axes=axes,
            frequency=float(document["frequency"]),
            blocks=listed,
            inputs=tuple(int(each) for each in learning[0].get("dsp", ())) if len(learning) == 1 else (),
        )
    except UnsupportedModelError as error:
        error.path = error.path or file.path
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        message = f"the impulse in {parameters.DEPLOYMENT} cannot be read: {type(error).__name__} {str(error)[:80]}"
        raise InputError(message, path=file.path, hint="give the C++ library of the project") from error


def _document_block(block: dict[str, Any], axes: int, document: dict[str, Any]) -> Block:
    metadata = block["metadata"]
    config = metadata["dspConfig"]
    if config.get("normalizeData", "none") not in {"none", None}:
        message = "its features are normalised, and the means are not in the export"
        raise UnsupportedModelError(message, hint="give the C++ library")
    values: dict[str, Value] = {}
    for name, value in config["options"].items():
        if value is not None and not isinstance(value, str | int | float):
            raise TypeError(name)
        if isinstance(value, int | float) and not math.isfinite(value):
            raise ValueError(name)
        values[name.replace("-", "_")] = 0.0 if value is None else value if isinstance(value, str) else float(value)
    kind = block["type"].replace("-", "_")
    names, listed = document.get("axes") or [], block.get("axes", [])
    if not isinstance(names, list) or not isinstance(listed, list):
        raise TypeError("axes")
    chosen = [names.index(name) for name in listed if name in names]
    if len(chosen) < len(listed) and (chosen or len(listed) < axes):
        raise UnsupportedModelError(
            f"the block {block['id']} takes {', '.join(map(str, listed))} of {axes} axes, whose order is not recorded",
            hint="give the C++ library, which records it",
        )
    version, size = int(block.get("implementationVersion", 1)), int(metadata["featureCount"])
    if size < 0:
        raise ValueError(f"featureCount {size}")
    return Block(kind, int(block["id"]), version, tuple(chosen or _all(axes)), values, size)
