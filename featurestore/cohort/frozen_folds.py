"""Folds as a file that remembers what they were made for."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from featurestore.cohort.folds import FOLD_COLUMNS, Folds
from featurestore.errors import DataError
from featurestore.sealed import read_sealed_arrow, sealing

_DIGEST_KEY = b"melafuse_cohort_digest"


def freeze_folds(folds: Folds, cohort_digest: str, path: Path) -> None:
    """Writes folds to a Parquet file that remembers what they were made for.

    Args:
        folds: What `make_folds` made.
        cohort_digest: Digest of the cohort and of the settings of the split.
        path: The file; it appears whole or not at all.
    """
    table = pa.Table.from_pandas(folds.table, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), _DIGEST_KEY: cohort_digest.encode()}
    with sealing(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary)


def load_folds(path: Path, cohort_digest: str) -> Folds | None:
    """Reads frozen folds.

    Returns:
        The folds, or None if they were frozen for another cohort or split.

    Raises:
        DataError: The file is damaged or holds no folds.
    """
    try:
        table = read_sealed_arrow(path, "delete the file, and the same folds are made anew")
    except OSError as error:
        raise DataError(f"{path}: cannot read the folds ({error.strerror or error})") from None
    frozen_for = (table.schema.metadata or {}).get(_DIGEST_KEY)
    if frozen_for is None or not set(FOLD_COLUMNS) <= set(table.column_names):
        raise DataError(f"{path}: not a file of frozen folds; delete it or name another folder")
    if frozen_for.decode() != cohort_digest:
        return None
    read = table.to_pandas()[list(FOLD_COLUMNS)]
    return Folds(read.astype({"patient_id": "str", "role": "str"}))
