"""The quarantine: images that could not be embedded, in one CSV file that processes share."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from featurestore.atomic import make_folder
from featurestore.errors import StoreError
from featurestore.locks import holding
from featurestore.sealed import DamagedFile, read_sealed, sealing


@dataclasses.dataclass(frozen=True)
class QuarantineRow:
    """One image that could not be embedded.

    Attributes:
        sha256: Digest of the file, empty if it could not be read.
        image_id: Id of the image.
        path: The file, as the cohort names it.
        reason: Why, in a few words.
    """

    sha256: str
    image_id: str
    path: str
    reason: str


_ADVICE = "delete it: images that cannot be embedded are entered anew by the next extraction"
COLUMNS = [field.name for field in dataclasses.fields(QuarantineRow)]


class Quarantine:
    """A table keyed by digest and image id; the last reason counts."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def table(self) -> pd.DataFrame:
        """Columns `sha256, image_id, path, reason`, sorted by image id; may have no rows.

        Raises:
            StoreError: The file is damaged.
        """
        try:
            data = read_sealed(self._path, _ADVICE)
            table = pd.read_csv(
                io.BytesIO(data), dtype="str", keep_default_na=False, encoding="utf-8"
            )
        except FileNotFoundError:
            return pd.DataFrame(columns=COLUMNS, dtype="str")
        except DamagedFile as error:
            raise StoreError(str(error)) from None
        except (ValueError, OSError) as error:
            raise StoreError(f"{self._path}: cannot be read ({error}); {_ADVICE}") from None
        if list(table.columns) != COLUMNS:
            raise StoreError(f"{self._path}: is not a quarantine table; {_ADVICE}")
        return table

    def add(self, rows: Iterable[QuarantineRow]) -> None:
        """Adds rows; processes that add at the same time wait for each other.

        Raises:
            StoreError: The file cannot be written.
        """
        added = [[_storable(v) for v in dataclasses.astuple(row)] for row in rows]
        if added:
            self._change(added, drop=set())

    def remove(self, sha256s: Iterable[str]) -> None:
        """Removes images that have been embedded after all.

        Raises:
            StoreError: The file cannot be written.
        """
        drop = set(sha256s) - {""}  # files that could not be read have nothing in common
        if not drop.isdisjoint(self.table()["sha256"]):
            self._change([], drop)

    def _change(self, added: list[list[str]], drop: set[str]) -> None:
        try:
            make_folder(self._path.parent)
            with holding(self._path.with_name(".quarantine.lock")):
                table = pd.concat([self.table(), pd.DataFrame(added, columns=COLUMNS)])
                table = table[~table["sha256"].isin(drop)].astype("str")
                table = table.drop_duplicates(["sha256", "image_id"], keep="last")
                table = table.sort_values(["image_id", "sha256"])
                with sealing(self._path) as temporary:
                    # All fields are quoted: a bare carriage return would end a row.
                    table.to_csv(
                        temporary,
                        index=False,
                        quoting=csv.QUOTE_ALL,
                        lineterminator="\n",
                        encoding="utf-8",
                    )
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error.strerror or error}") from None


def _storable(text: str) -> str:
    """File names may hold bytes that are no text, and reasons anything; CSV holds text."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
