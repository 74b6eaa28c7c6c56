"""Keeps everybody of a cohort out of what is published.

Sentences of audit, notes and findings name patients and images where that helps the author of a
study. Here names become `[id]`, pictures of patients are left out, and what was written in the end
is searched once more.

Ids that are plain numbers of few digits cannot be told from other numbers. Where a cohort has such
ids, every sentence of audit and notes that holds one of these numbers is left out whole.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import pandas as pd

from featurestore.errors import DataError
from fusion.audit import AuditReport, Hit
from fusion.evidence import Evidence

LEFT_OUT = "A sentence that may name patients stands in the run's own report only."
WITHHELD = "[id]"
ID_COLUMNS = ("patient_id", "person_id", "image_id", "lesion_id", "specimen_id", "id")

_TOKEN = re.compile(r"[^\W_](?:[\w.\-]*\w)?")
_EMBEDDED = re.compile(r"data:[a-z]+/[a-z0-9.+-]+;base64,[A-Za-z0-9+/=]*")
_ENOUGH_DIGITS = 6
_ENOUGH_TO_SEARCH = 5

Any_ = TypeVar("Any_")


@dataclasses.dataclass(frozen=True)
class People:
    """Ids of everybody and everything that a cohort has or had.

    Attributes:
        telling: Ids that are no ordinary number or word.
        numbers: Ids that are plain numbers of few digits.
        odd: Telling ids with characters that part words.
    """

    telling: frozenset[str]
    numbers: frozenset[str]
    odd: tuple[str, ...]

    @classmethod
    def of(cls, tables: Iterable[pd.DataFrame]) -> People:
        """Collects the ids of tables of a run."""
        ids: set[str] = set()
        for table in tables:
            for column in ID_COLUMNS:
                if column in table:
                    ids.update(map(str, table[column].dropna().unique()))
        numbers = {one for one in ids if one.isdigit() and len(one) < _ENOUGH_DIGITS}
        telling = {one for one in ids - numbers if any(c.isdigit() for c in one)}
        odd = (one for one in telling if not _TOKEN.fullmatch(one))
        return cls(frozenset(telling), frozenset(numbers), tuple(sorted(odd)))

    def hide(self, text: str) -> str:
        """The text with `[id]` for every telling id."""
        for one in self.odd:
            text = text.replace(one, WITHHELD)
        return _TOKEN.sub(lambda match: self._hidden(match.group()), text)

    def _hidden(self, token: str) -> str:
        if token in self.telling:
            return WITHHELD
        for match in re.finditer(r"[.\-_]", token):  # a file's ending, a sample of a patient
            if token[: match.start()] in self.telling:
                return WITHHELD
        return token

    def may_name_by_number(self, text: str) -> bool:
        """Whether a plain number of the text is somebody's id."""
        return not self.numbers.isdisjoint(_TOKEN.findall(text))

    def find(self, text: str) -> list[str]:
        """Ids of five characters or more that stand in a text."""
        bare = _EMBEDDED.sub("", text)
        found = [one for one in self.odd if len(one) >= _ENOUGH_TO_SEARCH and one in bare]
        tokens = {t for t in _TOKEN.findall(bare) if len(t) >= _ENOUGH_TO_SEARCH}
        return [*found, *sorted(t for t in tokens if self._hidden(t) != t)]


def without_people(evidence: Evidence, people: People) -> Evidence:
    """The evidence with nobody named and nobody pictured in it."""
    doubtful = _sentences(evidence, people)

    def changed(text: str) -> str:
        return LEFT_OUT if text in doubtful else people.hide(text)

    bare = dataclasses.replace(evidence, overlays=(), audit=_unnamed(evidence.audit, people))
    return _mapped(bare, changed)


def require_nobody(files: Mapping[str, bytes], people: People) -> None:
    """Searches what is about to be published.

    Raises:
        DataError: Somebody is named in it.
    """
    for name, content in files.items():
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            continue  # an archive or tensors; bundles hold no ids, and are checked when written
        found = people.find(text)
        if found:
            raise DataError(
                f"{name} would name {found[0]}{' and others' if len(found) > 1 else ''} of the "
                "cohort; nothing was published. A level, a note or a file name that is an id of a "
                "patient or image must go from the data first"
            )


def _sentences(evidence: Evidence, people: People) -> set[str]:
    """Sentences of notes and audit, as findings have them, that may name somebody by number."""
    results = () if evidence.audit is None else evidence.audit.results
    texts = [*evidence.run.notes, *(hit.text for r in results for hit in r.hits)]
    texts += [f"{hit.text} Accepted: {r.note}." for r in results for hit in r.accepted]
    texts += [r.note for r in results]
    return {text for text in texts if people.may_name_by_number(text)}


def _unnamed(audit: AuditReport | None, people: People) -> AuditReport | None:
    """Hits without the subjects that are people."""
    if audit is None:
        return None

    def bare(hit: Hit) -> Hit:
        named = people.may_name_by_number(hit.text)
        subjects = tuple(s for s in hit.subjects if people.hide(s) == s and s not in people.numbers)
        return dataclasses.replace(hit, text=LEFT_OUT if named else hit.text, subjects=subjects)

    results = (
        dataclasses.replace(r, hits=tuple(map(bare, r.hits)), accepted=tuple(map(bare, r.accepted)))
        for r in audit.results
    )
    return AuditReport(tuple(results))


def _mapped(value: Any_, changed: Callable[[str], str]) -> Any_:
    """A copy of nested data classes in which every text was changed; tables stay as they are."""
    made: Any = value
    if isinstance(value, str):
        made = changed(value)
    elif isinstance(value, tuple) and type(value) is tuple:
        made = tuple(_mapped(one, changed) for one in value)
    elif isinstance(value, dict):
        made = {key: _mapped(one, changed) for key, one in value.items()}
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            f.name: _mapped(getattr(value, f.name), changed)
            for f in dataclasses.fields(value)
            if f.init
        }
        made = dataclasses.replace(value, **fields)
    return made
