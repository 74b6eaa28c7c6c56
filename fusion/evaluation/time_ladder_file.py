"""A climbed time ladder as a file, so that the same one is not climbed twice."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pydantic

from featurestore.errors import DataError
from featurestore.plain import plain
from featurestore.sealed import read_sealed_text, write_sealed_text
from fusion.config import AblationConfig, TimeLadderConfig
from fusion.evaluation.time_ladder import Predictors, TimeLadder

VERSION = 1
MAX_BYTES = 10_000_000


def ladder_key(
    data: str, predictors: Predictors, config: TimeLadderConfig, ablation: AblationConfig
) -> str:
    """Names everything that a ladder depends on.

    Args:
        data: Digest of cohort, embeddings, folds and seed.
        predictors: What models see.
        config: Its settings, of which worker processes decide nothing.
        ablation: Encoding, inner folds and draws.
    """
    settings = config.model_dump(mode="json", exclude={"jobs"})
    inner = ablation.tuning.inner_folds, ablation.bootstrap_draws
    parts = [VERSION, data, dataclasses.asdict(predictors), settings, inner]
    parts.append(ablation.metadata.model_dump(mode="json"))
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def save_ladder(ladder: TimeLadder, key: str, path: Path) -> None:
    """Writes a ladder.

    Raises:
        DataError: The file cannot be written.
    """
    text = json.dumps({"key": key, "ladder": plain(ladder)}, indent=1, ensure_ascii=False)
    try:
        write_sealed_text(path, text + "\n")
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None


def read_ladder(path: Path, key: str) -> TimeLadder | None:
    """Reads a ladder; None where there is none, it is another one, or the file is damaged."""
    try:
        stored = json.loads(read_sealed_text(path, "it is climbed again", MAX_BYTES))
        if stored["key"] != key:
            return None
        return pydantic.TypeAdapter(TimeLadder).validate_python(stored["ladder"])
    except (DataError, OSError, ValueError, KeyError, TypeError):
        return None
