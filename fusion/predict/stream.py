"""Scores thousands: chunk by chunk, to a file that an interrupted run goes on with.

Scores are appended to `OUT.partial` and made durable chunk by chunk; when the last one is there
they become `OUT`. The same command takes up the chunks that are in it already, if they are of the
same bundle and the same inputs. Before each chunk stands a line with its length and a digest over
it and all before it: from the first chunk on that a crash cut off or a disk damaged, patients are
scored again.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from extractor.stages import in_order, worker_threads
from featurestore.atomic import appearing, make_folder, sync_folder
from featurestore.errors import ConfigError, DataError
from featurestore.locks import unless_held
from featurestore.progress import SILENT, Progress
from fusion.predict.batch import Prepared
from fusion.predict.cases import Case
from fusion.predict.kinds import Scoring
from fusion.predict.predictor import Predictor
from fusion.predict.reading import Refusal
from fusion.predict.result import flat_row, id_column, prediction_record, row_columns, standing

CHUNK = 32
"""Patients that are decoded, scored and written together."""

_CHUNK_HEAD = re.compile(rb"chunk (\d{1,12}) (\d{1,9}) (\d{1,9}) ([0-9a-f]{64})\n")
_MAX_HEAD_BYTES = 120
_MARK = b"chunk "

READERS = 2
"""Threads that decode."""

Seen = Callable[[Prepared, dict[str, Any]], None]
"""Told of every patient that was scored, for explanations."""


def score_all(
    predictor: Predictor,
    cases: Sequence[Case | Refusal],
    progress: Progress = SILENT,
    seen: Seen | None = None,
) -> Iterator[list[dict[str, Any]]]:
    """Scores cases in chunks, as records; one that cannot be scored has `error`.

    Memory holds two chunks, however many cases there are.

    Args:
        predictor: The bundle at work.
        cases: What is scored.
        progress: Told of every chunk.
        seen: Told of every patient that was scored.
    """
    progress.start("predict", len(cases))
    chunks = [cases[k : k + CHUNK] for k in range(0, len(cases), CHUNK)]
    failed = 0

    def read(chunk: Sequence[Case | Refusal]) -> list[Prepared | Refusal]:
        return [_prepared(predictor, case) for case in chunk]

    with worker_threads(READERS) as pool:
        for prepared in in_order(pool, read, chunks, 1):
            records = _scored(predictor, prepared, seen)
            failed += sum("error" in record for record in records)
            yield records
            progress.advance(len(records))
    told = f", {failed:,} of them not scored" if failed else ""
    progress.finish(f"predict: {predictor.bundle.record.noun.counted(len(cases))}{told}")


def write_all(
    predictor: Predictor,
    cases: Sequence[Case | Refusal],
    out: Path,
    form: str,
    progress: Progress = SILENT,
    seen: Seen | None = None,
) -> int:
    """Scores cases into a file, going on where an interrupted run stopped.

    Args:
        predictor: The bundle at work.
        cases: What is scored.
        out: JSON lines or CSV; it must not exist.
        form: `json` or `csv`.
        progress: Told of every chunk.
        seen: Told of every patient that was scored now.

    Returns:
        How many patients could not be scored.

    Raises:
        ConfigError: `out` exists, or another process writes to it.
        DataError: The file cannot be written, or its beginning is of another bundle or of other
            inputs.
    """
    partial = out.with_name(f"{out.name}.partial")
    try:
        make_folder(out.parent)
        with unless_held(partial) as free:
            if not free:
                raise ConfigError(f"another process writes to {out}; wait for it")
            if out.exists():
                with contextlib.suppress(OSError):
                    partial.unlink()
                raise ConfigError(f"{out} exists; remove it, or name another file")
            begun = _inputs_digest(predictor, cases, form)
            failed = _write_chunks(predictor, cases, partial, begun, form, progress, seen)
            _finish(
                partial,
                out,
                begun,
                _table_head(form, predictor.scoring, predictor.bundle.record.id_column),
            )
    except OSError as error:
        raise DataError(f"cannot write {out}: {error.strerror or error}") from None
    return failed


def _write_chunks(
    predictor: Predictor,
    cases: Sequence[Case | Refusal],
    partial: Path,
    begun: str,
    form: str,
    progress: Progress,
    seen: Seen | None,
) -> int:
    """Scores what is not in the partial file yet; returns how many of all could not be scored."""
    chunks = list(_whole_chunks(partial, begun))
    done = sum(chunk.patients for chunk in chunks)
    failed = sum(chunk.failed for chunk in chunks)
    os.truncate(partial, chunks[-1].end if chunks else 0)
    with partial.open("ab") as file:
        last = chunks[-1].digest if chunks else _append(file, _head(begun), "", 0, 0)
        for records in score_all(predictor, cases[done:], progress, seen):
            text = "".join(_line(record, form, predictor.scoring) for record in records)
            errors = sum("error" in record for record in records)
            failed += errors
            last = _append(file, text, last, len(records), errors)
    return failed


def to_text(
    records: Sequence[Mapping[str, Any]],
    form: str,
    scoring: Scoring,
    head: bool,
    single: bool = False,
) -> str:
    """Records as text for a terminal or a pipe; a single one as JSON is indented."""
    if single and form == "json":
        return json.dumps(records[0], ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    start = _table_head(form, scoring, id_column(records[0])) if head else ""
    return start + "".join(_line(record, form, scoring) for record in records)


def _prepared(predictor: Predictor, case: Case | Refusal) -> Prepared | Refusal:
    if isinstance(case, Refusal):
        return case
    try:
        return predictor.prepare(case)
    except DataError as error:
        return Refusal(case.patient_id, str(error))


def _scored(
    predictor: Predictor, prepared: Sequence[Prepared | Refusal], seen: Seen | None
) -> list[dict[str, Any]]:
    good = [p for p in prepared if isinstance(p, Prepared)]
    scored = iter(predictor.score(good))
    records = []
    for p in prepared:
        if isinstance(p, Refusal):
            named = {predictor.bundle.record.id_column: p.patient_id}
            records.append({**named, "error": p.reason, **standing(predictor.bundle)})
            continue
        record = prediction_record(next(scored), predictor.bundle)
        if seen is not None:
            seen(p, record)
        records.append(record)
    return records


def _inputs_digest(predictor: Predictor, cases: Sequence[Case | Refusal], form: str) -> str:
    """Names the bundle, the form and every patient with values and image files, in order."""
    digest = hashlib.sha256(f"{predictor.bundle.digest} {form}\n".encode())
    for case in cases:
        if isinstance(case, Refusal):
            facts: list[Any] = [case.patient_id, case.reason]
        else:
            files = [
                [p.name, *_stamp(p.source), *([p.role] if p.role else [])] for p in case.pictures
            ]
            facts = [case.patient_id, sorted(case.values.items()), files]
            facts += [case.entry] if case.entry else []
        digest.update(json.dumps(facts).encode() + b"\n")
    return digest.hexdigest()


def _stamp(source: Path | bytes) -> list[Any]:
    if isinstance(source, bytes):
        return [hashlib.sha256(source).hexdigest()]
    try:
        facts = source.stat()
    except OSError:
        return [str(source)]
    return [str(source), facts.st_size, facts.st_mtime_ns]


@dataclasses.dataclass(frozen=True)
class _Chunk:
    """A chunk of the partial file.

    Attributes:
        text: What goes into the finished file; of the first chunk, what the file was begun with.
        patients: Their number.
        failed: How many of them could not be scored.
        digest: Over this chunk and all before it.
        end: Where it ends in the file.
    """

    text: bytes
    patients: int
    failed: int
    digest: str
    end: int


def _whole_chunks(partial: Path, begun: str) -> Iterator[_Chunk]:
    """Chunks up to the first that is cut off or damaged.

    Raises:
        DataError: The file was begun with something else, or is another one.
    """
    before, end = "", 0
    with partial.open("rb") as file:
        if file.read(len(_MARK)) not in (_MARK, b""):
            raise DataError(f"{partial} is not of a prediction; remove it, or name another --out")
        file.seek(0)
        while found := _CHUNK_HEAD.fullmatch(file.readline(_MAX_HEAD_BYTES)):
            size, patients, failed = (int(number) for number in found.group(1, 2, 3))
            text = file.read(size)
            digest = _digest(before, text, patients, failed)
            if len(text) < size or digest.encode() != found[4]:
                return
            if not before and text != _head(begun).encode():
                raise DataError(
                    f"{partial} was begun with another bundle, other inputs or another melafuse; "
                    f"remove it to begin again"
                )
            before, end = digest, end + len(found[0]) + size
            yield _Chunk(text, patients, failed, digest, end)


def _head(begun: str) -> str:
    return json.dumps({"begun_with": begun}) + "\n"


def _digest(before: str, text: bytes, patients: int, failed: int) -> str:
    return hashlib.sha256(f"{before} {patients} {failed}\n".encode() + text).hexdigest()


def _append(file: Any, text: str, before: str, patients: int, failed: int) -> str:
    """Appends a chunk, durably; returns its digest."""
    data = _encoded(text)
    digest = _digest(before, data, patients, failed)
    file.write(f"chunk {len(data)} {patients} {failed} {digest}\n".encode() + data)
    file.flush()
    os.fsync(file.fileno())
    return digest


def _encoded(text: str) -> bytes:
    """UTF-8; file names, which may be ids, can hold bytes that are no text."""
    return text.encode("utf-8", "backslashreplace")


def _table_head(form: str, scoring: Scoring, id_column: str) -> str:
    """The first line of a file; JSON has none."""
    return _csv_line(row_columns(scoring, id_column)) if form == "csv" else ""


def _finish(partial: Path, out: Path, begun: str, head: str) -> None:
    """The chunks without what stands between them, checked once more, in one rename."""
    finished = out.with_name(f"{out.name}.finished.partial")
    with finished.open("wb") as target:
        target.write(_encoded(head))
        end = 0
        for chunk in _whole_chunks(partial, begun):
            target.write(chunk.text if end else b"")
            end = chunk.end
        target.flush()
        os.fsync(target.fileno())
    if end != partial.stat().st_size:
        finished.unlink()
        raise DataError(f"{partial} was damaged while it was written; the same command goes on")
    with appearing(out):
        finished.replace(out)
        sync_folder(out.parent)
    partial.unlink()


def _line(record: Mapping[str, Any], form: str, scoring: Scoring) -> str:
    if form == "json":
        return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
    row = flat_row(record, scoring)
    return _csv_line([row[name] for name in row_columns(scoring, id_column(record))])


def _csv_line(cells: Sequence[Any]) -> str:
    buffer = io.StringIO()
    plain = ["" if c is None else _guarded(c) if isinstance(c, str) else repr(c) for c in cells]
    csv.writer(buffer, lineterminator="\n").writerow([c.replace("\n", " ") for c in plain])
    return buffer.getvalue()


def _guarded(cell: str) -> str:
    """Text that a spreadsheet would run as a formula gets an apostrophe before it."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
