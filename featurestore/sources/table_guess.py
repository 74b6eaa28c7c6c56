"""Guesses a column mapping for a plain table, for a person to check.

Guesses are made from names and values of the columns and are stated with their reason; nothing
here decides how a table is read, that is `featurestore.sources.table`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from featurestore.errors import DataError
from featurestore.sources.id_guess import IdGuess, guess_id, name_key
from featurestore.sources.image_guess import guess_images
from featurestore.tables import BINARY_TEXTS, GUESSED_TOKENS, known_text, parse_numbers
from featurestore.tables.barcodes import PATIENT_LENGTH, parse_barcode
from featurestore.tables.vocabulary import VOCABULARY

MAX_COLUMNS = 300
_MAX_LEVELS = 12
_ALIKE = 0.98
_SITE_NAMES = ("site", "centre", "center", "hospital", "institution", "clinic")
_RESERVED = ("patient_id", "outcome", "site", "image_id")
# Most telling first; a column must also have two values.
_OUTCOME_NAMES = (
    r"metasta",
    r"outcome|^label|target$|^y$",
    r"melanoma|malignan",
    r"event|progress|recur|relapse",
    r"death|dead|deceas|vital",
    r"class|diagnos",
)
_POSITIVE = (
    r"metasta|malignan|^melanoma|^dead|deceas|^died|positive|^event|^case$|progress|recur|relapse|"
    r"present"
)
_NEGATIVE = r"^no[nt]?[ _-]|^un|benign|absent|alive|living|free"
_LATE = (
    r"follow|surviv|(?:^|_)(?:os|dfs|pfs|dss|rfs)(?:$|_)|days_to|last_|vital|death|dead|deceas|"
    r"recur|relapse|new_tumou?r|progress|time_to|(?:^|_)status$|_months$"
)
# The diagnosis in other words; numbers of such a name (`diagnosis_age`) are none.
_SIBLING = re.compile(
    r"(?:diagnos[a-z]*|diagnosis_\w+|biops\w*|management|dx|dx_type|\w*benign_malignant|iddx_\w+|"
    r"\w+_partition_label)"
)
_SCORES = ("seven_point_score",)
_OF_DIAGNOSIS = re.compile(
    r"melanoma|malignan|class|diagnos|outcome|label|target|dx", re.IGNORECASE
)
# Names of things, not measurements of a patient.
_THING = re.compile(
    r"(?:^|_)(?:id|ids|uid|uuid|guid|barcode|accession|mrn|hash|sha256|md5|url|path|file|filename)$"
    r"|^(?:lesion|image|photo|picture|patient|sample|specimen|case|visit|study|record|slide|block)"
    r"_?(?:id|nr|no|num|number|name|code)$|^row_names$|^unnamed_\d+$|^index$"
)
_LESION_NAMES = ("lesion_id", "lesionid", "lesion", "lesion_no", "lesion_nr", "lesion_number")
_ROLE_NAMES = ("image_role", "image_type", "image_modality", "imaging_modality")
_MOST_ROLES = 6
_LONG_NUMBER = re.compile(r"\d{6,}")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}.*|\d{1,2}[./]\d{1,2}[./]\d{2,4}")


@dataclasses.dataclass(frozen=True)
class LabelGuess:
    """A column that may be the outcome.

    Attributes:
        name: Name of the label in the cohort.
        column: Name in the file.
        positive: Text that counts as an event.
        negative: Text that counts as none.
        events: Rows with the event.
        others: Rows without.
        why: Why this column and this text.
        deny: Mapped columns that seem to reveal it, with the reason.
    """

    name: str
    column: str
    positive: str
    negative: str
    events: int
    others: int
    why: str
    deny: dict[str, str]


@dataclasses.dataclass(frozen=True)
class RowsGuess:
    """A mapping for a table with one row a patient or an image.

    Attributes:
        keys: Keys of a `table` source besides kind, path and columns.
        columns: Mapping of each patient column by its new name.
        why: What was guessed and by what.
        skipped: Why a column of the file is not used.
        label: The column that may be the outcome, or None.
        candidates: Other columns of two values, which may be the outcome instead.
    """

    keys: dict[str, Any]
    columns: dict[str, dict[str, Any]]
    why: tuple[str, ...]
    skipped: dict[str, str]
    label: LabelGuess | None
    candidates: tuple[str, ...]


def guess_rows(
    table: pd.DataFrame,
    path: Path,
    image_files: Sequence[Path] = (),
    root: Path = Path(),
    others: Sequence[Collection[str]] = (),
) -> RowsGuess:
    """Guesses how a table of text is to be mapped.

    Args:
        table: Text as `featurestore.tables.reading.read_table` gives it.
        path: Where it came from, for messages.
        image_files: Absolute paths of the images that its rows may name; of several with one name
            the first counts.
        root: Data root; the folder of the images is given relative to it where it lies below.
        others: Ids (`id_guess.join_key`) in each column of the other tables that may join.

    Raises:
        DataError: No column can hold patient ids.
    """
    known = {name: known_text(table[name]).values for name in table.columns}
    pictures, picture_why = guess_images(known, image_files, root)
    found = guess_id(known, path, pictures.get("image_id"), others)
    id_column = found.column
    keys: dict[str, Any] = {"id": id_column}
    why = [found.why, *picture_why]
    if pictures:
        pictures |= _guess_lesions(known, found)
        pictures |= _guess_role(known, found)
        if "role" in pictures:
            why.append(f"how an image was taken is {pictures['role']!r}, by its name")
    known, tokens = _without_guessed(known, {id_column, *map(str, pictures.values())})
    why += [
        f"{name!r}: {', '.join(map(repr, said))} is taken for missing, which is a guess"
        for name, said in tokens.items()
    ]
    if any(_is_long_barcode(text) for text in known[id_column].dropna().head(20)):
        keys["patient_id_length"] = PATIENT_LENGTH
        why.append(f"ids are TCGA barcodes; the first {PATIENT_LENGTH} characters name the patient")
    taken = {id_column, *(pictures.get(key) for key in ("image_id", "path", "lesion_id", "role"))}
    site = next((n for n in known if n not in taken and _is_site(n, known[n])), None)
    if site is not None:
        keys["site"] = site
        why.append(f"site is {site!r}, by its name")
        taken.add(site)
    if pictures:
        keys["images"] = pictures
    two = [n for n in known if n not in taken and known[n].nunique() == 2 and name_key(n) != "sex"]
    label_column = _guess_label_column(two)
    name = _label_name(label_column) if label_column is not None else ""
    columns, skipped = _guess_columns(known, {*taken, label_column}, {name}, tokens)
    label = None
    if label_column is not None:
        label = _guess_label(name, label_column, known, columns)
        keys["labels"] = {name: label_column}
    rest = tuple(n for n in two if n != label_column)
    return RowsGuess(keys, columns, tuple(why), skipped, label, rest)


def _is_site(name: str, text: pd.Series) -> bool:
    """Whether a column names hospitals: some values, most of them often, and none a file."""
    values = text.dropna()
    if name_key(name) not in _SITE_NAMES or values.nunique() < 2:
        return False
    files = values.str.contains(r"[/\\]|\.[A-Za-z]{3,4}$", regex=True).mean() > 0.5
    return not files and values.nunique() <= max(2, len(values) // 2)


def _guess_lesions(known: dict[str, pd.Series], found: IdGuess) -> dict[str, str]:
    """The column of lesions, of which several images may be."""
    for wanted in _LESION_NAMES:
        for name in known:
            if name_key(name) == wanted and name != found.column:
                return {"lesion_id": name}
    return {}


def _guess_role(known: dict[str, pd.Series], found: IdGuess) -> dict[str, str]:
    """The column that says how an image was taken, if it has a few values."""
    for wanted in _ROLE_NAMES:
        for name, text in known.items():
            few = 2 <= text.nunique() <= _MOST_ROLES
            if name_key(name) == wanted and name != found.column and few:
                return {"role": name}
    return {}


def _without_guessed(
    known: dict[str, pd.Series], ids: Collection[str]
) -> tuple[dict[str, pd.Series], dict[str, tuple[str, ...]]]:
    """Columns without words that mean missing in most of them, and these words by column.

    A column that would hold less than two values without them keeps them.
    """
    cleaned, tokens = {}, {}
    for name, text in known.items():
        guessed = text.str.casefold().isin(GUESSED_TOKENS)
        rest = text.mask(guessed).astype("str")
        if name in ids or not guessed.any() or rest.nunique() < 2:
            cleaned[name] = text
        else:
            cleaned[name] = rest
            tokens[name] = tuple(sorted(text[guessed].unique()))
    return cleaned, tokens


def _guess_label_column(two_valued: Sequence[str]) -> str | None:
    for pattern in _OUTCOME_NAMES:
        for name in two_valued:
            if re.search(pattern, name, flags=re.IGNORECASE):
                return name
    return None


def _label_name(column: str) -> str:
    key = name_key(column)
    return f"{key}_label" if key in _RESERVED else key


def _guess_label(
    name: str, column: str, known: dict[str, pd.Series], columns: dict[str, dict[str, Any]]
) -> LabelGuess:
    text = known[column].str.casefold()
    counts = text.value_counts()
    first, second = sorted(counts.index)
    positive, why = _positive(first, second, counts)
    negative = second if positive == first else first
    event = (text == positive).where(text.notna())
    deny = {}
    for other, mapping in columns.items():
        source = mapping["source"]
        if re.search(_LATE, name_key(source)):
            deny[other] = "its name says that it becomes known later"
        elif _OF_DIAGNOSIS.search(column) and _is_sibling(source, mapping):
            deny[other] = "its name says that it is the diagnosis in other words"
        elif mapping["kind"] != "numeric" and _splits_alike(known[source], event):
            deny[other] = "its values tell the outcome of nearly every row"
    return LabelGuess(
        name=name,
        column=column,
        positive=str(known[column][text == positive].iloc[0]),
        negative=str(known[column][text == negative].iloc[0]),
        events=int(counts[positive]),
        others=int(counts[negative]),
        why=f"{column!r} has two values and its name fits an outcome; {why}",
        deny=deny,
    )


def _is_sibling(source: str, mapping: dict[str, Any]) -> bool:
    name = name_key(source)
    return name in _SCORES or (
        mapping["kind"] != "numeric" and _SIBLING.fullmatch(name) is not None
    )


def _positive(first: str, second: str, counts: pd.Series) -> tuple[str, str]:
    pair = (first, second)
    as_binary = [text for text in pair if BINARY_TEXTS.get(text) == 1.0]
    if len(as_binary) == 1:
        return as_binary[0], f"{as_binary[0]!r} is the event"
    said = [t for t in pair if re.search(_POSITIVE, t) and not re.search(_NEGATIVE, t)]
    if len(said) == 1:
        return said[0], f"{said[0]!r} is the event, by the word"
    rarer = min(pair, key=lambda text: (counts[text], text))
    return rarer, f"{rarer!r} is taken for the event because it is the rarer: CHECK"


def _splits_alike(values: pd.Series, event: pd.Series) -> bool:
    both = values.notna() & event.notna()
    if both.sum() < 0.5 * event.notna().sum() or values[both].nunique() < 2:
        return False
    shares = pd.crosstab(values[both], event[both].astype(float))
    majority = shares.sum().max() / both.sum()
    return bool(shares.max(axis=1).sum() / both.sum() >= _ALIKE > majority)


def _guess_columns(
    known: dict[str, pd.Series],
    taken: set[str | None],
    names: set[str],
    tokens: dict[str, tuple[str, ...]],
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    columns: dict[str, dict[str, Any]] = {}
    skipped: dict[str, str] = {}
    for name, text in known.items():
        if name in taken:
            continue
        new = _new_name(name, {*columns, *names})
        mapping = _mapping(name, text)
        if isinstance(mapping, str):
            skipped[name] = mapping
        elif len(columns) == MAX_COLUMNS:
            skipped[name] = f"beyond the first {MAX_COLUMNS} columns"
        else:
            missing = {"missing": list(tokens[name])} if name in tokens else {}
            columns[new] = mapping | missing
    return columns, skipped


def _mapping(name: str, text: pd.Series) -> dict[str, Any] | str:
    """The mapping of one column, or why it has none."""
    values = text.dropna()
    distinct = values.str.casefold().nunique()
    if distinct < 2:
        return "never known" if distinct == 0 else "the same value everywhere"
    if _THING.search(name_key(name)):
        return "an id, by its name"
    term = VOCABULARY.get(name_key(name))
    known_as = term.column if term is not None else None
    mapping: dict[str, Any] = {"source": name}
    if values.str.casefold().isin(list(BINARY_TEXTS)).all():
        mapping["kind"] = "binary"
    elif _is_numeric(text):
        mapping["kind"] = "numeric"
        if known_as is not None and known_as.kind == "numeric":
            mapping["unit"] = known_as.unit
        elif len(values) > _MAX_LEVELS and _counts_up(values):
            return "a running number"
        elif values.is_unique and len(values) > _MAX_LEVELS and _are_long(values):
            return "an id, by its looks: a long number that is never twice"
    elif values.str.fullmatch(_DATE).mean() > 0.9:
        return "dates"
    elif distinct <= _MAX_LEVELS:
        mapping["kind"] = "nominal"
        if known_as is not None and set(values) <= set(known_as.levels):
            mapping |= {"kind": known_as.kind, "levels": list(known_as.levels)}
    else:
        return f"text of {distinct} different values"
    if known_as is not None:
        mapping["group"] = known_as.group
    if re.search(_LATE, name_key(name)):
        mapping["measured"] = "follow_up"
    return mapping


def _is_numeric(text: pd.Series) -> bool:
    try:
        return bool(parse_numbers(text, "").values.nunique() > 1)
    except DataError:
        return False


def _counts_up(values: pd.Series) -> bool:
    numbers = pd.to_numeric(values, errors="coerce")
    return bool(numbers.notna().all() and (numbers.sort_values().diff().dropna() == 1).all())


def _are_long(values: pd.Series) -> bool:
    return bool(values.str.fullmatch(_LONG_NUMBER).all())


def _is_long_barcode(text: str) -> bool:
    return len(text) > PATIENT_LENGTH and parse_barcode(text) is not None


def _new_name(name: str, taken: set[str]) -> str:
    return next(new for new in _numbered(name_key(name) or "column") if new not in taken)


def _numbered(name: str) -> Iterator[str]:
    yield from () if name in _RESERVED else (name,)
    yield from (f"{name}_{k}" for k in range(2, 10_000))
