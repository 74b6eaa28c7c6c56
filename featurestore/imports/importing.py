"""Imports features into the store: the same shards, checks and lineage as embeddings of pixels.

An import is found again by its identity: name and version of the encoder, digests of the files,
how they are read and pooled, and what is known of the encoder's training patients. A changed file
is another identity. Rows are committed shard by shard; what a kill left is taken up by the next
import, which is finished when its record (`imported.json`, sealed) is there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from featurestore.cohort import FeatureRows
from featurestore.errors import DataError, name_some
from featurestore.guard import is_refusal, unsound
from featurestore.imports.base import Bag, Reader, ReadOptions, UnreadableFeatures
from featurestore.imports.config import EmbeddingConfig
from featurestore.imports.files import FeatureFile, find_files, find_reader
from featurestore.imports.owners import read_owners
from featurestore.imports.pooling import finite_chunks, pool_bag, pooled_width
from featurestore.imports.record import ImportRecord, read_record, write_record
from featurestore.imports.survey import Survey, survey
from featurestore.progress import SILENT, Progress
from featurestore.store import EncoderIdentity, FeatureStore, QuarantineRow
from featurestore.store.bags import BagFiles, write_bag

BATCH = 256
"""Rows that are handed to the store at a time."""

COMMIT_BYTES = 2_000_000_000
"""Bytes of features after whose reading a shard is committed, however few rows they became: a kill
costs no more than reading them again."""


@dataclasses.dataclass(frozen=True)
class Imported:
    """An import whose every embedding is in the store.

    Attributes:
        identity: Names the encoder, the files and how they were read.
        rows: What a cohort is joined with.
        embedded: Rows that were written now.
        reused: Rows that were in the store.
        refused: What was put into quarantine.
        tiles: Number of rows of each bag, by id.
    """

    identity: EncoderIdentity
    rows: FeatureRows
    embedded: int
    reused: int
    refused: tuple[QuarantineRow, ...]
    tiles: Mapping[str, int]


def import_embeddings(
    config: EmbeddingConfig,
    store: FeatureStore,
    data_root: Path,
    readers: Sequence[Reader],
    progress: Progress = SILENT,
) -> Imported:
    """Brings the features of some files into the store, as far as they are not there.

    Args:
        config: What to import.
        store: Where to.
        data_root: Folder that relative paths start from.
        readers: Known formats, the more particular first.
        progress: Told of every id.

    Raises:
        DataError: No file, no format or no usable id; mixed widths, several encoders, or one id
            with different values.
        StoreError: The store cannot be written.
    """
    files = find_files(config, data_root)
    unsafe = _unsafe(config, files, store)
    if len(unsafe) == len(files):
        first = files[0]
        raise DataError(
            f"embeddings {config.name}: no file of {len(files):,} can be read; the first, "
            f"{first.shown}: {unsafe[first.path]}"
        )
    reader = find_reader(config, [file for file in files if file.path not in unsafe], readers)
    owners = read_owners(config, data_root)
    known = _finished(config, reader.name, files, store)
    if known is not None:
        identity, record = known
        progress.start(f"import {config.name}", len(record.keys))
        progress.finish(f"{len(record.keys):,} embeddings {config.name} reused")
        return _imported(config, identity, record, owners, 0)
    safe = [file for file in files if file.path not in unsafe]
    found = survey(config.name, reader, safe, _options(config), config.pool)
    found = dataclasses.replace(found, refused=found.refused | unsafe)
    width = pooled_width(config.pool, found.width)
    identity = _identity(config, reader.name, files, width)
    record, embedded = _write(config, identity, found, files, store, progress)
    if embedded:
        store.refresh_virtual()
    return _imported(config, identity, record, owners, embedded)


def _options(config: EmbeddingConfig) -> ReadOptions:
    return ReadOptions(config.id, config.patient, config.columns, config.dataset, config.incomplete)


def _identity(
    config: EmbeddingConfig, reader: str, files: Sequence[FeatureFile], width: int
) -> EncoderIdentity:
    """Says what made the embeddings, as far as it is known."""
    digests = json.dumps(sorted(file.sha256 for file in files))
    how = {"reader": reader} | {k: v for k, v in dataclasses.asdict(_options(config)).items() if v}
    listed = config.trained_on if isinstance(config.trained_on, tuple) else ()
    several = "file" if len(files) == 1 else "files"
    return EncoderIdentity(
        backbone=config.name,
        weights=f"{len(files)} {reader} {several}",
        weights_sha256=hashlib.sha256(digests.encode()).hexdigest(),
        preprocessing=json.dumps(how, sort_keys=True),
        pooling=config.pool,
        dimension=width,
        dtype=config.dtype,
        training_patients=tuple(sorted(set(listed))),
        trained_on=config.trained_on if isinstance(config.trained_on, str) else "listed",
        version=config.version,
    )


def _finished(
    config: EmbeddingConfig, reader: str, files: Sequence[FeatureFile], store: FeatureStore
) -> tuple[EncoderIdentity, ImportRecord] | None:
    """A finished import of the same files, none of whose rows was lost since."""
    for identity in store.encoders():
        if identity.backbone == config.name and identity.is_imported:
            if identity != _identity(config, reader, files, identity.dimension):
                continue
            record = read_record(store.folder(identity))
            if record is not None and not _lacking(store, identity, record.keys.values()):
                return identity, record
    return None


def _unsafe(
    config: EmbeddingConfig, files: Sequence[FeatureFile], store: FeatureStore
) -> dict[Path, str]:
    """Files that must not be opened here, with the reason.

    What an import of this name has found of a file is not asked again.
    """
    known: dict[str, str] = {}
    for identity in store.encoders():
        record = read_record(store.folder(identity)) if identity.is_imported else None
        if record is not None and identity.backbone == config.name:
            stopped = {r.sha256: r.reason for r in record.refused if is_refusal(r.reason)}
            others = set(record.files.values()) - {r.sha256 for r in record.refused}
            known |= dict.fromkeys(others, "") | stopped
    found = {file.path: known[file.sha256] for file in files if known.get(file.sha256)}
    return found | unsound([file.path for file in files if file.sha256 not in known])


def _lacking(store: FeatureStore, identity: EncoderIdentity, keys: Collection[str]) -> list[str]:
    """Keys without a row or, where bags are kept, without a bag."""
    bags = store.bags(identity)
    lost = [] if bags is None else bags.missing(keys)
    return store.missing(identity, keys) + lost


def _write(
    config: EmbeddingConfig,
    identity: EncoderIdentity,
    found: Survey,
    files: Sequence[FeatureFile],
    store: FeatureStore,
    progress: Progress,
) -> tuple[ImportRecord, int]:
    """Pools and commits what is missing; returns the record, and how many rows were written."""
    there = {image_id: key for _, key, _, image_id in store.named_rows(identity)}
    bags = store.bags(identity)
    if bags is not None:
        lost = set(bags.missing(there.values()))
        there = {image_id: key for image_id, key in there.items() if key not in lost}
    shown = {file.path: file for file in files}
    keys: dict[str, str] = {}
    refused = [_quarantined(shown[path], path.stem, why) for path, why in found.refused.items()]
    waiting: list[tuple[str, np.ndarray]] = []
    embedded, unsafe = 0, 0
    progress.start(f"import {config.name}", len(found.bags))
    with store.writer(identity, dtype=config.dtype) as writer:

        def hand_over() -> None:
            ids = [name for name, _ in waiting]
            matrix = np.stack([vector for _, vector in waiting])
            writer.append([keys[i] for i in ids], ids, matrix)
            waiting.clear()

        for bag, path in found.bags:
            progress.advance()
            if bag.id in there:
                keys[bag.id] = there[bag.id]
                continue
            try:
                keys[bag.id], vector = _stored(bag, config, bags)
            except UnreadableFeatures as error:
                refused.append(_quarantined(shown[path], bag.id, str(error)))
                continue
            waiting.append((bag.id, vector))
            embedded += 1
            unsafe += bag.rows * bag.width * vector.itemsize
            if len(waiting) == BATCH or unsafe >= COMMIT_BYTES:
                hand_over()
            if unsafe >= COMMIT_BYTES:
                writer.commit()
                unsafe = 0
        if waiting:
            hand_over()
    store.quarantine(refused)
    progress.finish(_summary(config.name, embedded, len(keys) - embedded, refused))
    if not keys:
        first = refused[0]
        raise DataError(
            f"embeddings {config.name}: no row of {len(refused):,} can be used; the first, "
            f"{first.image_id}: {first.reason}"
        )
    record = ImportRecord(
        keys=keys,
        patients={bag.id: bag.patient for bag, _ in found.bags if bag.patient},
        tiles={bag.id: bag.rows for bag, _ in found.bags if bag.id in keys},
        refused=tuple(refused),
        files={file.shown: file.sha256 for file in files},
        left_out=found.left_out,
    )
    write_record(store.folder(identity), record)
    return record, embedded


def _stored(bag: Bag, config: EmbeddingConfig, bags: BagFiles | None) -> tuple[str, np.ndarray]:
    """The key of a bag and its vector; where bags are kept, it is written before.

    Raises:
        UnreadableFeatures: It cannot be read or pooled, or a value does not fit the type.
        StoreError: The bag cannot be written.
    """
    if bags is None:
        vector = stored_vector(bag, config)
        return hashlib.sha256(vector.tobytes()).hexdigest(), vector
    shape = bag.rows, bag.width
    key = write_bag(bags.folder, shape, np.dtype(config.dtype), _tiles(bag, config))
    kept = dataclasses.replace(bag, chunks=lambda: (window for _, window in bags.windows(key)))
    return key, stored_vector(kept, config)


def _tiles(bag: Bag, config: EmbeddingConfig) -> Iterator[np.ndarray]:
    """The parts of a bag as they are kept."""
    count = 0
    for part in finite_chunks(bag):
        count += len(part)
        yield _fitting(part, config)
    if not count:
        raise UnreadableFeatures("it has no tiles")
    if count != bag.rows:
        raise UnreadableFeatures(f"it has {count} tiles where {bag.rows} were announced")


def stored_vector(bag: Bag, config: EmbeddingConfig) -> np.ndarray:
    """A bag as it is stored: pooled, in the type of the store.

    Raises:
        UnreadableFeatures: It cannot be read or pooled, or a value does not fit the type.
    """
    return _fitting(pool_bag(bag, config.pool), config)


def _fitting(values: np.ndarray, config: EmbeddingConfig) -> np.ndarray:
    """Values in the type of the store.

    Raises:
        UnreadableFeatures: One does not fit.
    """
    with np.errstate(over="ignore"):
        stored = values.astype(np.dtype(config.dtype))
    beyond = int((~np.isfinite(stored)).sum())
    if beyond:
        raise UnreadableFeatures(f"{beyond} of its values overflow {config.dtype}")
    return stored


def _quarantined(file: FeatureFile, name: str, reason: str) -> QuarantineRow:
    return QuarantineRow(file.sha256, name, file.shown, reason)


def _summary(name: str, embedded: int, reused: int, refused: Sequence[QuarantineRow]) -> str:
    text = f"{embedded:,} embeddings {name} imported, {reused:,} reused"
    return f"{text}, {len(refused):,} quarantined" if refused else text


def _imported(
    config: EmbeddingConfig,
    identity: EncoderIdentity,
    record: ImportRecord,
    owners: Mapping[str, str],
    embedded: int,
) -> Imported:
    notes = []
    if record.left_out:
        notes.append(
            f"Of the columns of {config.name}, {len(record.left_out)} are left out, because values "
            f"are missing in them: {name_some(record.left_out, 3)}."
        )
    if record.refused:
        names = name_some([row.image_id for row in record.refused], 3)
        notes.append(
            f"{len(record.refused)} of {config.name} are left out ({names}): "
            f"{record.refused[0].reason}."
        )
    rows = FeatureRows(
        name=config.name,
        keys=record.keys,
        patients={**record.patients, **owners},
        refused={row.image_id: row.reason for row in record.refused},
        licence=config.licence,
        attribution=config.attribution,
        notes=tuple(notes),
        measured=config.measured,
    )
    reused = len(record.keys) - embedded
    return Imported(identity, rows, embedded, reused, record.refused, record.tiles)
