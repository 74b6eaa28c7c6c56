"""What every source owes the cohort, whatever it reads."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest
from PIL import Image

from featurestore.cohort import CohortConfig
from featurestore.config import validate
from featurestore.sources import ReadContext, Source, SourceTables, find_source
from featurestore.sources.base import SOURCE_IMAGE_COLUMNS
from featurestore.tables.exclusions import EXCLUSION_COLUMNS
from featurestore.units import Observed


@dataclasses.dataclass(frozen=True)
class SourceExample:
    """A few rows as the source finds them on a disk; at least one thing in them is left out.

    Attributes:
        config: Keys of its section, without `kind`; paths are relative to the folder of the files.
        files: Texts by file name, with tabs or commas between cells.
        pictures: Names of pictures that lie beside them.
        has_images: Whether the source yields images.
        header_lines: Lines at the top of each file that stay there when rows are shuffled.
        synthetic: Whether it makes its data up.
    """

    config: Mapping[str, Any]
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    pictures: tuple[str, ...] = ()
    has_images: bool = False
    header_lines: int = 1
    synthetic: bool = False

    def write(self, folder: Path) -> Path:
        """Writes files and pictures into a folder."""
        for name, content in self.files.items():
            (folder / name).write_text(content, encoding="utf-8")
        for name in self.pictures:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(path)
        return folder


def source_of(kind: str, example: SourceExample) -> Source:
    """The source as a configuration makes it."""
    record = {"sources": [{"kind": kind, **example.config}], "outcome": "melanoma"}
    found: Source = validate(CohortConfig, record, "config").sources[0]  # type: ignore[assignment]
    return found


def read_tables(
    kind: str, example: SourceExample, folder: Path, unit: Observed = "patient"
) -> SourceTables:
    """What the source reads in a folder."""
    return source_of(kind, example).read(ReadContext(folder, folder / "scratch", unit=unit))


class SourceSuite:
    """Tests of one source; subclass it, name the source, and give an example.

    Attributes:
        source: Its `kind`.
        shown: An example of its files.
    """

    source: ClassVar[str] = ""
    shown: ClassVar[SourceExample] = SourceExample({})

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> str:
        """The source under test."""
        return cls.source

    @pytest.fixture(scope="class")
    @classmethod
    def example(cls, kind: str) -> SourceExample:
        """Its example."""
        return cls.shown

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, example: SourceExample, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Where the example lies."""
        return example.write(tmp_path_factory.mktemp("source"))

    @pytest.fixture(scope="class")
    @classmethod
    def tables(cls, kind: str, example: SourceExample, folder: Path) -> SourceTables:
        """What it reads, once."""
        return read_tables(kind, example, folder)

    def test_the_config_names_the_registered_class(self, kind: str, example: SourceExample) -> None:
        """A configuration finds it by its kind."""
        assert type(source_of(kind, example)) is find_source(kind)
        assert source_of(kind, example).kind == kind

    def test_image_columns(self, example: SourceExample, tables: SourceTables) -> None:
        """Images have all columns, ids of their own, and files."""
        images = tables.images
        assert list(images.columns[: len(SOURCE_IMAGE_COLUMNS)]) == list(SOURCE_IMAGE_COLUMNS)
        for column in SOURCE_IMAGE_COLUMNS:
            assert images[column].dtype == "str", column
            assert images[column].notna().all() or column == "lesion_id", column
        assert images["image_id"].is_unique
        assert (len(images) > 0) == example.has_images
        assert all(Path(path).is_absolute() and Path(path).is_file() for path in images["path"])

    def test_patients_and_their_dictionary(self, tables: SourceTables) -> None:
        """Patients have ids of their own and columns as the dictionary says."""
        patients = tables.patients
        assert patients["patient_id"].dtype == "str"
        assert patients["patient_id"].is_unique
        assert patients["patient_id"].notna().all()
        assert len(tables.dictionary) > 0
        for column in tables.dictionary:
            values = patients[column.name]
            if column.kind in ("numeric", "expression", "binary"):
                assert values.dtype == "float64", column.name
            else:
                assert values.dtype == "str", column.name
                assert set(values.dropna()) <= set(column.levels), column.name
            if column.kind == "binary":
                assert set(values.dropna()) <= {0.0, 1.0}, column.name
            assert column.label, column.name
            assert column.source_column, column.name

    def test_exclusions(self, tables: SourceTables) -> None:
        """Everything that is left out has a row with a reason."""
        exclusions = tables.exclusions
        assert tuple(exclusions.columns) == EXCLUSION_COLUMNS
        assert set(exclusions["entity"]) <= {"column", "image", "patient", "specimen", "value"}
        assert exclusions["reason"].str.len().gt(0).all()
        assert len(exclusions) > 0  # every example has something to leave out
        left_out = set(exclusions.loc[exclusions["entity"] == "image", "id"])
        assert not left_out & set(tables.images["image_id"])

    def test_lesions_where_they_are_asked_for(
        self, kind: str, example: SourceExample, folder: Path, tables: SourceTables
    ) -> None:
        """A source that knows lesions says whose each is; another reads patients as ever."""
        found = read_tables(kind, example, folder, "lesion")
        if not found.of_lesions:
            pd.testing.assert_frame_equal(found.patients, tables.patients)
            return
        keys, persons = found.patients["patient_id"], found.patients["person_id"]
        assert keys.is_unique
        assert persons.notna().all()
        assert not set(persons[persons != keys]) & set(keys)  # a patient's id is no lesion's
        assert set(found.images["patient_id"]) <= set(keys)
        assert set(found.images["image_id"]) == set(tables.images["image_id"])
        assert {column.level for column in found.dictionary} <= {"patient", "lesion"}

    def test_facts_and_notes(self, tables: SourceTables, example: SourceExample) -> None:
        """Notes are sentences and facts are numbers."""
        assert tables.synthetic == example.synthetic
        assert all(note == note.strip() and note for note in tables.notes)
        assert all(isinstance(value, float) for value in tables.facts.values())

    def test_reading_twice_gives_the_same(
        self, kind: str, example: SourceExample, folder: Path, tables: SourceTables
    ) -> None:
        """Nothing depends on what was read before."""
        same_tables(read_tables(kind, example, folder), tables)

    def test_row_and_column_order_mean_nothing(
        self, kind: str, example: SourceExample, tables: SourceTables, folder: Path, tmp_path: Path
    ) -> None:
        """Rows and columns are found by name."""
        if not example.files:
            pytest.skip("the source writes its files itself")
        for name in example.files:
            lines = (folder / name).read_text().splitlines()
            delimiter = "\t" if "\t" in lines[0] else ","
            rows = list(csv.reader(lines, delimiter=delimiter))
            top = example.header_lines
            turned = [[*row[2:], *row[:2]] for row in [*rows[:top], *rows[: top - 1 : -1]]]
            with (tmp_path / name).open("w", newline="") as file:
                csv.writer(file, delimiter=delimiter).writerows(turned)
        for place in sorted({Path(name).parts[0] for name in example.pictures}):
            (tmp_path / place).symlink_to(folder / place)
        same_tables(read_tables(kind, example, tmp_path), tables)


def same_tables(first: SourceTables, second: SourceTables) -> None:
    """Asserts that two readings gave the same, but for the order of rows and columns."""
    assert first.dictionary == second.dictionary
    for name, key in (("images", "image_id"), ("patients", "patient_id")):
        pair = [
            getattr(t, name).sort_values(key, ignore_index=True).sort_index(axis=1)
            for t in (first, second)
        ]
        pd.testing.assert_frame_equal(*pair)
    reports = [
        sorted(map(tuple, t.exclusions[["entity", "id", "stage"]].to_numpy().tolist()))
        for t in (first, second)
    ]
    assert reports[0] == reports[1]
