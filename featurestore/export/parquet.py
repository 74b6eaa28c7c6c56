"""Apache Parquet, with types and without an index."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


class ParquetExporter:
    """One row group, zstd; read by R (arrow), Python, DuckDB, Spark and recent Stata."""

    name = "parquet"
    suffix = ".parquet"

    def normalise(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Parquet holds every type that an export table may have."""
        return frame

    def write(self, frame: pd.DataFrame, path: Path) -> None:
        """Writes the table."""
        frame.to_parquet(path, index=False, compression="zstd")

    def read(self, path: Path, like: pd.DataFrame) -> pd.DataFrame:
        """Reads the table; the types are in the file."""
        return pd.read_parquet(path)
