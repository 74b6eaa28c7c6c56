"""Scores thousands: chunk by chunk, to a file that an interrupted run goes on with.

Scores are appended to `OUT.partial` and made durable chunk by chunk; when the last one is there the
file is renamed to `OUT`. The same command takes up the patients whose scores are in it already, as
far as they are of the same bundle and the same inputs; a line that a crash cut off is dropped.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from extractor.stages import in_order, worker_threads
from featurestore.atomic import make_folder, sync_folder
from featurestore.errors import ConfigError, DataError
from featurestore.progress import SILENT, Progress
from fusion.predict.cases import Case
from fusion.predict.predictor import Predictor, Prepared
from fusion.predict.reading import Refusal
from fusion.predict.result import ROW_COLUMNS, flat_row, prediction_record, standing

CHUNK = 32
"""Patients that are decoded, scored and written together."""

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
    told = f", {failed:,} of them could not be scored" if failed else ""
    progress.finish(f"predict: {len(cases):,} patients{told}")


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
        ConfigError: `out` exists.
        DataError: The file cannot be written, or its beginning is of another bundle or of other
            inputs.
    """
    if out.exists():
        raise ConfigError(f"{out} exists; remove it, or name another file")
    partial = out.with_name(f"{out.name}.partial")
    digest = _inputs_digest(predictor, cases, form)
    try:
        make_folder(out.parent)
        done = _resumed(partial, digest, form)
        failed = sum(done)
        with partial.open("ab") as file:
            if not partial.stat().st_size:
                _append(file, _head(digest, form))
            for records in score_all(predictor, cases[len(done) :], progress, seen):
                failed += sum("error" in record for record in records)
                _append(file, "".join(_line(record, form) for record in records))
        _finish(partial, out)
    except OSError as error:
        raise DataError(f"cannot write {out}: {error.strerror or error}") from None
    return failed


def to_text(
    records: Sequence[Mapping[str, Any]], form: str, head: bool, single: bool = False
) -> str:
    """Records as text for a terminal or a pipe; a single one as JSON is indented."""
    if single and form == "json":
        return json.dumps(records[0], ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    start = _csv_line(ROW_COLUMNS) if head and form == "csv" else ""
    return start + "".join(_line(record, form) for record in records)


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
            records.append(
                {"patient_id": p.patient_id, "error": p.reason, **standing(predictor.bundle)}
            )
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
            files = [[p.name, *_stamp(p.source)] for p in case.pictures]
            facts = [case.patient_id, sorted(case.values.items()), files]
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


def _resumed(partial: Path, digest: str, form: str) -> list[bool]:
    """Whether each patient already in the file failed; cuts off what a crash left of a line."""
    if not partial.exists():
        return []
    data = partial.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    lines = whole.decode(errors="replace").splitlines()
    if not lines:
        partial.write_bytes(b"")
        return []
    if lines[0] != _head(digest, form).splitlines()[0]:
        raise DataError(
            f"{partial} was begun with another bundle, other inputs or another melafuse; remove it "
            f"to begin again"
        )
    os.truncate(partial, len(whole))
    if form == "json":
        return ["error" in json.loads(line) for line in lines[1:]]
    rows = list(csv.DictReader(io.StringIO("\n".join(lines[1:]))))
    return [bool(row["error"]) for row in rows]


def _head(digest: str, form: str) -> str:
    """First lines of the partial file; that of what it was begun with is not in the finished."""
    first = json.dumps({"begun_with": digest}) + "\n"
    return first + (_csv_line(ROW_COLUMNS) if form == "csv" else "")


def _line(record: Mapping[str, Any], form: str) -> str:
    if form == "json":
        return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
    row = flat_row(record)
    return _csv_line([row[name] for name in ROW_COLUMNS])


def _csv_line(cells: Sequence[Any]) -> str:
    buffer = io.StringIO()
    plain = ["" if c is None else _guarded(c) if isinstance(c, str) else repr(c) for c in cells]
    csv.writer(buffer, lineterminator="\n").writerow([c.replace("\n", " ") for c in plain])
    return buffer.getvalue()


def _guarded(cell: str) -> str:
    """Text that a spreadsheet would run as a formula gets an apostrophe before it."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _append(file: Any, text: str) -> None:
    file.write(text.encode())
    file.flush()
    os.fsync(file.fileno())


def _finish(partial: Path, out: Path) -> None:
    """The file without its first line, in one rename."""
    finished = out.with_name(f"{out.name}.finished.partial")
    with partial.open("rb") as source, finished.open("wb") as target:
        source.readline()
        while block := source.read(1 << 20):
            target.write(block)
        target.flush()
        os.fsync(target.fileno())
    finished.replace(out)
    partial.unlink()
    sync_folder(out.parent)
