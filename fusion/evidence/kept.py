"""Numbers of a run that are kept, and taken while nothing under them changed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd

from featurestore.errors import DataError
from featurestore.sealed import read_sealed_text, write_sealed_text
from featurestore.software import digest_of
from fusion.config import HOW_FITS_RUN
from fusion.evidence.as_text import from_text, to_text
from fusion.evidence.inputs import ReportInputs
from fusion.evidence.kinds import collect
from fusion.evidence.types import Evidence
from fusion.provenance import reporting_software

_MAX_BYTES = 200_000_000
_NOTHING = object()


def kept_or_collected(
    inputs: ReportInputs, predictions: pd.DataFrame, made_of: str, path: Path
) -> Evidence:
    """The evidence of a run: the one that is kept, or computed now and kept.

    Args:
        inputs: See `collect`.
        predictions: See `collect`.
        made_of: Names the content of both arguments, but for `inputs.config` and the command in
            `inputs.run`.
        path: Where it is kept. Where nothing can be written it is not.

    Raises:
        DataError: As `collect`.
    """
    settings = inputs.config.model_dump(mode="json", exclude=HOW_FITS_RUN)
    key = digest_of(made_of, settings, reporting_software())
    found = _read(path, key, inputs)
    if found is not None:
        return found
    evidence = collect(inputs, predictions)
    _write(path, key, inputs, evidence)
    return evidence


def _given(inputs: ReportInputs, evidence: Evidence) -> dict[str, Any]:
    """Fields of the evidence that are those of the inputs, as they are."""
    names = [field.name for field in dataclasses.fields(evidence)]
    return {
        name: getattr(inputs, name)
        for name in names
        if getattr(inputs, name, _NOTHING) is getattr(evidence, name)
    }


def _write(path: Path, key: str, inputs: ReportInputs, evidence: Evidence) -> None:
    given = _given(inputs, evidence)
    names = [field.name for field in dataclasses.fields(evidence)]
    computed = {name: getattr(evidence, name) for name in names if name not in given}
    text = to_text(computed)
    if text is None:
        return
    record = {"key": key, "given": sorted(given), "kind": evidence.endpoint}
    with contextlib.suppress(OSError):  # it can be computed again
        write_sealed_text(path, f"{json.dumps(record)}\n{text}\n")


def _read(path: Path, key: str, inputs: ReportInputs) -> Evidence | None:
    try:
        first, second, *_ = read_sealed_text(path, "it is made again", _MAX_BYTES).split("\n")
        record = json.loads(first)
        if record["key"] != key:
            return None
        kinds = {kind.endpoint: kind for kind in Evidence.__subclasses__()}
        given = {name: getattr(inputs, name) for name in record["given"]}
        return kinds[record["kind"]](**from_text(second), **given)
    except (DataError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
