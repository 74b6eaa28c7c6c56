"""Finds out which sources read the tables that a user has, and tries them."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from featurestore.config import validate
from featurestore.errors import DataError, MelafuseError
from featurestore.images import IMAGE_SUFFIXES, ImageFolder
from featurestore.sources import SOURCES, ReadContext, SourceTables
from featurestore.sources.id_guess import join_key, joining_columns
from featurestore.sources.recognition import MAIN_ROLES, FormatGuess, guess_head, is_form
from featurestore.sources.table_guess import LabelGuess, guess_rows
from featurestore.tables import known_text, read_head, read_table
from featurestore.units import NOUNS, Observed, counted

# Keys that hold several files.
_MANY = {
    ("cbioportal", "clinical"),
    ("biotab", "follow_up"),
    ("isic", "metadata"),
    ("collection", "tables"),
}
# Sources that search folders for images.
_SEARCHING = ("isic", "collection")
# Large, and without a say in who the patients are or what the outcome is: not read for a guess.
_UNREAD = ("expression", "mutations", "star_counts")
_MOST_REFUSED = 3


@dataclasses.dataclass(frozen=True)
class FoundTable:
    """A file that the user named.

    Attributes:
        path: The file, absolute.
        guess: Its format, or None.
        problem: Why it cannot be used; empty if it can.
    """

    path: Path
    guess: FormatGuess | None
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class ProposedSource:
    """A source for the configuration.

    Attributes:
        section: Its keys as YAML holds them; paths relative to the data root where they lie below.
        why: What was found in the files, in sentences.
        tables: What the source read, or None where it could not be read.
        skipped: Why a column of a plain table is not used.
        label: What may be the outcome in a plain table, or None.
        candidates: Other columns of a plain table that may be the outcome.
        problem: Why the source cannot be used; empty if it can.
        is_valid: Whether a configuration may hold the section, though reading it may fail.
    """

    section: dict[str, Any]
    why: tuple[str, ...]
    tables: SourceTables | None = None
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    label: LabelGuess | None = None
    candidates: tuple[str, ...] = ()
    problem: str = ""
    is_valid: bool = False

    @property
    def title(self) -> str:
        """Kind and files, for messages."""
        files = [Path(f).name for f in _files(self.section)]
        return f"{self.section['kind']} ({', '.join(files)})"


def look_at(paths: Sequence[Path]) -> list[FoundTable]:
    """Recognises each file; a file named twice counts once."""
    found = []
    for path in {path.resolve(): path.absolute() for path in paths}.values():
        try:
            guess = guess_head(read_head(path))
        except DataError as error:
            found.append(FoundTable(path, None, str(error)))
            continue
        if is_form(path):
            problem = "a form for the predictions of a challenge, whose labels are placeholders"
        elif guess is None:
            problem = "no table: no header with two or more columns was found"
        elif not guess.is_read:
            problem = f"{guess.name} ({guess.why}); no source reads it"
        elif guess.kind not in SOURCES:
            problem = f"{guess.name}; this version has no source of kind {guess.kind}"
        else:
            problem = ""
        found.append(FoundTable(path, guess, problem))
    return found


def propose_sources(
    found: Sequence[FoundTable], images: Sequence[Path], root: Path
) -> list[ProposedSource]:
    """Puts the files under sources, and reads each source once to see whether it works.

    Args:
        found: The files.
        images: Folders of images, absolute.
        root: Data root that the configuration will be read with, absolute.

    Returns:
        One source for each plain table and for each other format, those with images first.
    """
    folder = ImageFolder.scan(images)
    sources: list[ProposedSource] = []
    sections: dict[tuple[str, str], dict[str, Any]] = {}
    why: dict[tuple[str, str], list[str]] = {}
    plain: list[FoundTable] = []
    for table in found:
        if table.problem or table.guess is None:
            continue
        if table.guess.kind == "table":
            plain.append(table)
            continue
        kind, role = table.guess.kind, table.guess.role
        key = (kind, table.guess.collection)
        section = sections.setdefault(key, {"kind": kind})
        if table.guess.collection:
            section["name"] = table.guess.collection
        reasons = why.setdefault(key, [])
        shown = shown_path(table.path, root)
        if (kind, role) in _MANY:
            section.setdefault(role, []).append(shown)
        elif role in section:
            reasons.append(f"{shown} is left out: {section[role]} is {table.guess.name} already")
            continue
        else:
            section[role] = shown
        reasons.append(f"{table.path.name}: {table.guess.name} ({table.guess.why})")
    for key, section in sections.items():
        if section["kind"] in _SEARCHING:
            section["images"] = [shown_path(path, root) for path in images]
        sources.append(_tried(ProposedSource(section, tuple(why[key])), root, folder))
    sources += _plain_sources(plain, sources, folder, root)
    return sorted(sources, key=lambda source: -_n_images(source))


def unused_images(sources: Sequence[ProposedSource], images: Sequence[Path]) -> list[str]:
    """A sentence where folders were named and no image of them is used.

    Args:
        sources: The sources of the study.
        images: The folders.
    """
    if not images or any(_n_images(source) or source.tables is None for source in sources):
        return []
    folder = ImageFolder.scan(images)
    shown = ", ".join(str(path) for path in images)
    if not folder.files:
        endings = ", ".join(IMAGE_SUFFIXES)
        return [f"no image is used: under {shown} there is no file that ends with {endings}"]
    masks = f" ({len(folder.masks):,} of them masks)" if folder.masks else ""
    return [f"no image is used: no table names the {len(folder.files):,} files{masks} of {shown}"]


def shown_path(path: Path, root: Path) -> str:
    """A path as the configuration has it: relative where it lies below the data root."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _plain_sources(
    tables: Sequence[FoundTable], read: Sequence[ProposedSource], folder: ImageFolder, root: Path
) -> list[ProposedSource]:
    """A source for each plain table, joined by the column whose ids the others have too."""
    texts: dict[Path, pd.DataFrame | DataError] = {}
    for table in tables:
        try:
            texts[table.path] = read_table(table.path)
        except DataError as error:
            texts[table.path] = error
    ids = [
        {join_key(i) for i in source.tables.patients["patient_id"]}
        for source in read
        if source.tables is not None
    ]
    columns = {
        path: list(
            joining_columns({str(c): known_text(text[str(c)]).values for c in text}).values()
        )
        for path, text in texts.items()
        if isinstance(text, pd.DataFrame)
    }
    sources: list[ProposedSource] = []
    for table in tables:
        others = [*ids, *(s for path, own in columns.items() if path != table.path for s in own)]
        left = _unclaimed(folder, [*read, *sources])
        sources.append(_plain(table, texts[table.path], others, left, root))
    return sources


def _unclaimed(folder: ImageFolder, sources: Sequence[ProposedSource]) -> ImageFolder:
    """Photographs that no source has yet: an image comes from one source."""
    claimed = {
        path
        for source in sources
        if source.tables is not None
        for path in source.tables.images["path"]
    }
    if not claimed:
        return folder
    files = (file for file in folder.photographs if str(file) not in claimed)
    return ImageFolder(tuple(files))


def _plain(
    table: FoundTable,
    text: pd.DataFrame | DataError,
    others: Sequence[set[str]],
    folder: ImageFolder,
    root: Path,
) -> ProposedSource:
    section: dict[str, Any] = {"kind": "table", "path": shown_path(table.path, root)}
    if isinstance(text, DataError):
        return ProposedSource(section, (), problem=str(text))
    photographs = [path for paths in folder.by_id().values() for path in paths]
    try:
        guess = guess_rows(text, table.path, photographs, root.resolve(), others)
    except DataError as error:
        return ProposedSource(section, (), problem=str(error))
    section |= guess.keys
    if guess.columns:
        section["columns"] = guess.columns
    source = ProposedSource(
        section,
        (
            f"{table.path.name}: {counted(len(text), 'row')}, {len(text.columns)} columns",
            *guess.why,
        ),
        skipped=guess.skipped,
        label=guess.label,
        candidates=guess.candidates,
    )
    return _tried(source, root, folder)


def _tried(source: ProposedSource, root: Path, folder: ImageFolder) -> ProposedSource:
    """The source with what it reads, or with why it reads nothing."""
    kind = source.section["kind"]
    needed = MAIN_ROLES[kind]
    if needed not in source.section:
        problem = f"source kind {kind} cannot be read without `{needed}`; name that file too"
        return dataclasses.replace(source, problem=problem)
    if kind in _SEARCHING and not source.section["images"]:
        problem = "ISIC metadata needs --images FOLDER" if kind == "isic" else "it needs images"
        return dataclasses.replace(source, problem=problem)
    tried = {key: value for key, value in source.section.items() if key not in _UNREAD}
    try:
        reader = validate(SOURCES[kind], tried, source.title)  # type: ignore[type-var]
    except MelafuseError as error:
        return dataclasses.replace(source, problem=str(error))
    source = dataclasses.replace(source, is_valid=True)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            tables = reader.read(ReadContext(root, Path(scratch)))
    except MelafuseError as error:
        return dataclasses.replace(source, problem=str(error))
    said = tables.notes if kind == "collection" else ()
    why = (*source.why, *said, *matches(tables, folder), *_unread(source.section))
    return dataclasses.replace(source, why=why, tables=tables)


def matches(tables: SourceTables, folder: ImageFolder) -> list[str]:
    """How many ids of tables and image files belong together."""
    unit: Observed = "lesion" if tables.of_lesions else "patient"
    shown = NOUNS[unit].counted(tables.patients["patient_id"].nunique())
    if not folder.files:
        return [shown]
    photographs = {str(path) for path in folder.photographs}
    used = len(photographs & set(tables.images["path"]))
    reasons = tables.exclusions.loc[tables.exclusions["entity"] == "image", "reason"]
    fileless = int(reasons.str.startswith("no file").sum())
    strange, masks = len(photographs) - used, len(folder.masks)
    said = [
        f"{shown}; {counted(used, 'image file belongs', 'image files belong')} to a row, "
        f"{strange:,} of {counted(len(photographs), 'file')} {'does' if strange == 1 else 'do'} "
        f"not, and {counted(fileless, 'id has', 'ids have')} no file"
    ]
    if masks:
        said.append(counted(masks, "mask is no photograph", "masks are no photographs"))
    said += [f"{name} is not read: {reason}" for name, reason in folder.refused[:_MOST_REFUSED]]
    return ["; ".join(said)]


def _unread(section: dict[str, Any]) -> list[str]:
    named = [key for key in _UNREAD if key in section]
    return [f"not read for this guess, because it may be large: {', '.join(named)}"] * bool(named)


def _n_images(source: ProposedSource) -> int:
    return 0 if source.tables is None else len(source.tables.images)


def _files(section: dict[str, Any]) -> list[str]:
    others = {"kind", "images", "name"}
    named = {"path"} if section["kind"] == "table" else section.keys() - others
    files: list[str] = []
    for key, value in section.items():
        if key in named:
            files += value if isinstance(value, list) else [value]
    return files
