"""Extraction: every image that misses an embedding is decoded once and goes through all backbones.

Three stages run side by side and hand over in a fixed order, so that the result does not depend on
timing: threads read and decode, threads run forward passes, the caller's thread writes. What waits
between them is bounded. On CUDA a thread only launches passes, of which several are under way; all
networks that take the same squares look at one copy of them.

Several processes share the contents by digest, and each writes shards of its own. As an embedding
does not depend on its neighbours and the store is asked for contents, any number of processes goes
on from what any other number left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from extractor.backbones import load_backbone
from extractor.config import ExtractConfig
from extractor.device import AUTO, ComputePlan
from extractor.distributed import ALONE, Workers
from extractor.encoder import Embedder, Encoder
from extractor.model_folder import ModelCard
from extractor.reading import Content, Reading, contents_of, read_content, refusal
from extractor.stages import forward_threads, in_order, one_torch_thread, worker_threads
from extractor.transfers import Batch, Fetch
from featurestore.atomic import write_text
from featurestore.errors import DataError, StoreError
from featurestore.progress import SILENT, Progress
from featurestore.store import EncoderIdentity, FeatureStore, QuarantineRow
from featurestore.store.writer import ShardWriter
from featurestore.units import counted

STAGE = "extract"
CARD = "model_card.md"
"""File with licence and card of a model, beside its `encoder.json`."""

NOT_FINITE = "embedding is not finite"
OVERFLOW = "embedding overflows float16"
_STAGES = ("decode", "forward", "write")
_PASSES_AHEAD = 3  # decoded images that may wait, counted in forward passes


@dataclasses.dataclass(frozen=True)
class ExtractionReport:
    """What an extraction did; every image row is in exactly one of the three counts.

    Attributes:
        encoders: Identity by name of encoder.
        embedded: Image rows whose content was embedded now, by at least one backbone.
        reused: Image rows all of whose embeddings were in the store.
        quarantined: Image rows that cannot be used, with the reason.
        seconds: `elapsed`, and `decode`, `forward` and `write` summed over the threads and
            processes that worked on them side by side.
    """

    encoders: dict[str, EncoderIdentity]
    embedded: int
    reused: int
    quarantined: tuple[QuarantineRow, ...]
    seconds: dict[str, float]


NO_EXTRACTION = ExtractionReport({}, 0, 0, (), {})
"""That of a cohort without images."""


def extract(
    images: pd.DataFrame,
    store: FeatureStore,
    config: ExtractConfig,
    seed: int,
    data_root: Path,
    progress: Progress = SILENT,
    workers: Workers = ALONE,
) -> ExtractionReport:
    """Embeds with the configured backbones what the store does not hold yet.

    Args:
        images: One row an image: `image_id, path, sha256`.
        store: Where embeddings go.
        config: Backbones, device and limits.
        seed: Seed of random weights.
        data_root: Folder that relative paths start from.
        progress: Told of every image that this process works on.
        workers: Processes that share the work.

    Raises:
        ConfigError: A backbone or the device is unknown or not available.
        WeightsError: Weights cannot be found, reached, read or fitted.
        DataError: The table is malformed, or not one image could be embedded.
        StoreError: The store cannot be read or written, for example because the disk is full.
    """
    plan = workers.plan(config.device, config.batch_size, config.precision)
    with one_torch_thread():
        backbones = [load_backbone(b, seed, data_root) for b in config.backbones]
        encoders = [Encoder(backbone, plan) for backbone in backbones]
    if workers.is_first:
        for backbone, encoder in zip(backbones, encoders, strict=True):
            if backbone.weights.card is not None:
                _keep_card(store.folder(encoder.identity), backbone.weights.card)
    return embed_images(images, store, encoders, plan, config, data_root, progress, workers)


def _keep_card(folder: Path, card: ModelCard) -> None:
    """Writes the card of a model beside its embeddings."""
    licence = card.licence or "not stated"
    try:
        write_text(folder / CARD, f"Licence: {licence}\n\n{card.text or 'There is no card.'}\n")
    except OSError as error:
        raise StoreError(f"cannot write {folder / CARD}: {error.strerror or error}") from None


def embed_images(
    images: pd.DataFrame,
    store: FeatureStore,
    encoders: Sequence[Embedder],
    plan: ComputePlan,
    config: ExtractConfig,
    data_root: Path,
    progress: Progress = SILENT,
    workers: Workers = ALONE,
) -> ExtractionReport:
    """Embeds with given encoders what the store does not hold yet.

    What is missing is decided by content (SHA-256) and encoder identity: a renamed file is not
    embedded again, and a file that is no longer what the table says is refused. Images that failed
    in an earlier run are tried again: they are few, and the cause may have been the disk. An
    interruption (Ctrl-C) or an error leaves all rows written so far committed.

    With several processes each is given the same arguments and returns the report of all.

    Raises:
        DataError: The table is malformed, or not one image could be embedded.
        StoreError: The store cannot be read or written.
    """
    started = time.perf_counter()
    own = [c for c in contents_of(images, data_root) if workers.owns(c.sha256)]
    run = _Run(store, encoders, own, config, progress)
    try:
        run.execute(plan)
    finally:
        run.seconds["elapsed"] = time.perf_counter() - started
        if run.refused:
            store.quarantine(run.refused.values())
        progress.finish(run.summary(workers))
    report = _of_all(run.report(), workers)  # and all shards of all processes are committed
    if report.embedded and workers.is_first:
        store.refresh_virtual()
    if report.quarantined and not report.embedded and not report.reused:
        first = report.quarantined[0]
        raise DataError(
            f"none of the {len(report.quarantined)} images could be embedded; "
            f"the first, {first.path}: {first.reason}"
        )
    return report


def _of_all(own: ExtractionReport, workers: Workers) -> ExtractionReport:
    """The report of all processes, on each."""
    texts = workers.gather_texts([json.dumps(dataclasses.asdict(row)) for row in own.quarantined])
    rows = [QuarantineRow(**json.loads(text)) for text in texts]
    seconds = {stage: workers.total(own.seconds.get(stage, 0.0)) for stage in _STAGES}
    return ExtractionReport(
        encoders=own.encoders,
        embedded=round(workers.total(own.embedded)),
        reused=round(workers.total(own.reused)),
        quarantined=tuple(sorted(rows, key=lambda row: row.image_id)),
        seconds=seconds | {"elapsed": workers.longest(own.seconds["elapsed"])},
    )


Lane = tuple[Embedder, ...]
"""Encoders that are given the same batch."""


@dataclasses.dataclass(frozen=True)
class _Pass:
    """Readings for one encoder, or for several that take the same squares."""

    encoders: Lane
    readings: tuple[Reading, ...]


@dataclasses.dataclass(frozen=True)
class _Embedded:
    work: _Pass
    fetches: tuple[Fetch, ...]
    seconds: float


class _Run:
    """The state of one extraction; only the thread that calls `execute` changes it."""

    def __init__(
        self,
        store: FeatureStore,
        encoders: Sequence[Embedder],
        contents: Sequence[Content],
        config: ExtractConfig,
        progress: Progress,
    ) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.refused: dict[str, QuarantineRow] = {}  # by image id
        self.embedded: dict[str, Content] = {}  # by sha256
        self._store = store
        self._encoders = encoders
        self._contents = contents
        self._config = config
        self._progress = progress
        self._unfinished: Counter[str] = Counter()  # passes that a content waits for, by sha256
        self._done = 0
        known = [c.sha256 for c in contents if c.sha256]
        self._missing = {e.name: set(store.missing(e.identity, known, e.view)) for e in encoders}
        self._work = [c for c in contents if not c.sha256 or self._encoders_for(c)]

    def execute(self, plan: ComputePlan) -> None:
        """Reads, embeds and writes everything that is missing."""
        self._progress.start(STAGE, sum(len(c.copies) for c in self._work))
        self._began = time.perf_counter()
        if not self._work:
            return
        with contextlib.ExitStack() as stack:
            identities = {e.identity for e in self._encoders if self._missing[e.name]}
            writers = {
                identity: stack.enter_context(
                    self._store.writer(identity, dtype=self._config.storage_dtype)
                )
                for identity in sorted(identities, key=lambda identity: identity.digest)
            }
            n = self._config.workers
            readers = stack.enter_context(worker_threads(plan.decoders if n == AUTO else n))
            forwarders = stack.enter_context(forward_threads(plan.threads))
            ahead = _PASSES_AHEAD * max(e.pass_size for e in self._encoders)
            readings = in_order(readers, self._read, self._work, ahead)
            passes = self._gather(readings, plan.shares_batches)
            for done in in_order(forwarders, _forward, passes, plan.in_flight):
                self.seconds["forward"] += done.seconds
                for encoder, fetch in zip(done.work.encoders, done.fetches, strict=True):
                    self._keep(done.work.readings, encoder, fetch, writers[encoder.identity])
                self._count(done.work)

    def _keep(
        self, readings: Sequence[Reading], encoder: Embedder, fetch: Fetch, writer: ShardWriter
    ) -> None:
        """Waits for the embeddings of a pass and writes those that can be stored."""
        before = time.perf_counter()
        embeddings = fetch()
        fetched = time.perf_counter()
        good = self._refuse_unusable(readings, embeddings)
        writer.append(
            [readings[i].content.sha256 for i in good],
            [_image_id(readings[i]) for i in good],
            embeddings[good],
            encoder.view,
        )
        self.seconds["forward"] += fetched - before
        self.seconds["write"] += time.perf_counter() - fetched

    def report(self) -> ExtractionReport:
        """Counts image rows."""
        worked = {copy.image_id for c in self._work for copy in c.copies}
        embedded = {copy.image_id for c in self.embedded.values() for copy in c.copies}
        return ExtractionReport(
            encoders={e.name: e.identity for e in self._encoders},
            embedded=len(embedded - self.refused.keys()),
            reused=sum(len(c.copies) for c in self._contents) - len(worked),
            quarantined=tuple(self.refused[i] for i in sorted(self.refused)),
            seconds=dict(self.seconds),
        )

    def summary(self, workers: Workers) -> str:
        """One line for people: counts, speed and where the time went."""
        report = self.report()
        text = f"{counted(report.embedded, 'image')} embedded, {report.reused:,} reused"
        if workers.world_size > 1:
            text = f"process {workers.rank} of {workers.world_size}: {text}"
        if report.quarantined:
            text += f", {len(report.quarantined):,} quarantined"
        return f"{text} ({self._speed()})" if report.embedded else text

    def _read(self, content: Content) -> Reading:
        geometries = [e.geometry for e in self._encoders_for(content)]
        return read_content(content, geometries, int(self._config.max_megapixels * 1e6))

    def _gather(self, readings: Iterable[Reading], shared: bool) -> Iterator[_Pass]:
        """Fills forward passes lane by lane; only the last of each is shorter.

        Args:
            readings: What was decoded.
            shared: Whether encoders that take the same squares share a lane.
        """
        waiting: dict[Lane, list[Reading]] = {}
        for reading in readings:
            self.seconds["decode"] += reading.seconds
            self._refuse(reading.refused)
            if reading.copy is None:
                self._advance(reading.content)
                continue
            lanes = _lanes(self._encoders_for(reading.content), shared)
            self._unfinished[reading.content.sha256] = len(lanes)
            for lane in lanes:
                queue = waiting.setdefault(lane, [])
                queue.append(reading)
                if len(queue) >= max(encoder.pass_size for encoder in lane):
                    yield _Pass(lane, tuple(queue))
                    queue.clear()
        for lane in sorted(waiting, key=lambda lane: self._encoders.index(lane[0])):
            if waiting[lane]:
                yield _Pass(lane, tuple(waiting[lane]))

    def _encoders_for(self, content: Content) -> list[Embedder]:
        return [e for e in self._encoders if content.sha256 in self._missing[e.name]]

    def _refuse(self, rows: Iterable[QuarantineRow]) -> None:
        for row in rows:
            self.refused.setdefault(row.image_id, row)

    def _refuse_unusable(self, readings: Sequence[Reading], embeddings: np.ndarray) -> list[int]:
        """Quarantines rows that cannot be stored and returns the positions of the others."""
        good = []
        limit = np.finfo(self._config.storage_dtype).max
        for i, embedding in enumerate(embeddings):
            content = readings[i].content
            if not np.isfinite(embedding).all():
                self._refuse(refusal(content, copy, NOT_FINITE) for copy in content.copies)
            elif np.abs(embedding).max() > limit:
                self._refuse(refusal(content, copy, OVERFLOW) for copy in content.copies)
            else:
                good.append(i)
                self.embedded[content.sha256] = content
        return good

    def _count(self, work: _Pass) -> None:
        for reading in work.readings:
            self._unfinished[reading.content.sha256] -= 1
            if not self._unfinished[reading.content.sha256]:
                self._advance(reading.content)

    def _advance(self, content: Content) -> None:
        self._done += len(content.copies)
        self._progress.advance(len(content.copies), self._speed())

    def _speed(self) -> str:
        rate = self._done / max(time.perf_counter() - self._began, 1e-9)
        stages = {stage: self.seconds[stage] for stage in _STAGES}
        busy = sum(stages.values()) or 1.0
        shares = ", ".join(f"{stage} {spent / busy:.0%}" for stage, spent in stages.items())
        notices = sorted({e.notice for e in self._encoders if e.notice})
        return "; ".join([f"{rate:.1f} images/s", shares, *notices])


def _lanes(encoders: Iterable[Embedder], shared: bool) -> list[Lane]:
    """Each encoder alone, or together with those that take the same squares."""
    if not shared:
        return [(encoder,) for encoder in encoders]
    alike: dict[Hashable, Lane] = {}
    for encoder in encoders:
        key = encoder.geometry, encoder.prepared_alike
        alike[key] = (*alike.get(key, ()), encoder)
    return list(alike.values())


def _forward(work: _Pass) -> _Embedded:
    before = time.perf_counter()
    first = work.encoders[0]
    squares = [first.prepare(r.squares[first.geometry], r.content.sha256) for r in work.readings]
    batch = Batch(squares)
    fetches = tuple(encoder.begin(batch) for encoder in work.encoders)
    return _Embedded(work, fetches, time.perf_counter() - before)


def _image_id(reading: Reading) -> str:
    assert reading.copy is not None
    return reading.copy.image_id
