"""Whether a study asks of lesions or of patients, and its sources read accordingly."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from featurestore.config import validate
from featurestore.errors import MelafuseError
from featurestore.images import ImageFolder
from featurestore.outcomes import OUTCOMES
from featurestore.sources import SOURCES, ReadContext, SourceTables
from featurestore.sources.joining import join_sources
from featurestore.units import Counted, Observed
from fusion.start.propose.outcome import ProposedOutcome, propose_outcome
from fusion.start.propose.tables import ProposedSource, matches


@dataclasses.dataclass(frozen=True)
class ProposedUnit:
    """What one observation is to be.

    Attributes:
        unit: Patient or lesion.
        sources: The sources, read so.
        outcome: What is predicted of them.
        why: Why, in sentences.
    """

    unit: Observed
    sources: tuple[ProposedSource, ...]
    outcome: ProposedOutcome
    why: tuple[str, ...] = ()


def propose_unit(
    sources: Sequence[ProposedSource],
    outcome: ProposedOutcome,
    images: Sequence[Path],
    root: Path,
) -> ProposedUnit:
    """Takes lesions where the outcome is one of lesions, and patients are not the same thing.

    That is where a patient has several lesions, and where lesions have ids and patients none.

    Args:
        sources: The sources that are used, read with patients.
        outcome: What was proposed for patients.
        images: Folders of images.
        root: Data root that the configuration will be read with.
    """
    found = ProposedUnit("patient", tuple(sources), outcome)
    if not _is_of_lesions(outcome, sources):
        return found
    if not any(s.tables is not None and _are_finer(s.tables) for s in sources):
        return found
    folder = ImageFolder.scan(images)
    try:
        read = tuple(_read_again(source, root, folder) for source in sources)
        joined = join_sources([s.tables for s in read if s.tables is not None], "patient")
    except MelafuseError as error:
        return dataclasses.replace(found, why=(f"lesions cannot be told apart: {error}",))
    persons = joined.persons or {}
    named = {key: person for key, person in persons.items() if key != person}
    nameless = len(persons) - len(named)
    counted = Counted("lesion", len(persons), len(set(named.values())), nameless)
    why = f"{counted.text}; n counts lesions, folds keep a patient's lesions together"
    return ProposedUnit("lesion", read, propose_outcome(read), (why,))


def _is_of_lesions(outcome: ProposedOutcome, sources: Sequence[ProposedSource]) -> bool:
    """Whether the outcome is one of lesions: registered as such, or a label of images.

    One that is the same for all images of every patient may as well be the patient's.
    """
    if isinstance(outcome.value, str):
        return OUTCOMES[outcome.value].unit == "lesion"
    label = outcome.value["column"]
    of_images = (s.tables.images for s in sources if s.tables is not None)
    return any(_tells_lesions_apart(t, label) for t in of_images if label in t.columns)


def _tells_lesions_apart(images: pd.DataFrame, label: str) -> bool:
    differ = images.groupby("patient_id")[label].nunique() > 1
    return bool(differ.any() or (images["lesion_id"] == images["patient_id"]).any())


def _are_finer(tables: SourceTables) -> bool:
    """Whether lesions are named, and are not the patients."""
    images = tables.images
    lesion = images["lesion_id"].fillna("")
    named = lesion != ""
    if not named.any():
        return False
    each = lesion.where(named, images["image_id"])
    several = each.groupby(images["patient_id"]).nunique() > 1
    return bool(several.any() or (lesion == images["patient_id"])[named].any())


def _read_again(source: ProposedSource, root: Path, folder: ImageFolder) -> ProposedSource:
    """A source that knows lesions, read with them; others as they are."""
    before = source.tables
    if before is None or not (before.images["lesion_id"].fillna("") != "").any():
        return source
    reader = validate(SOURCES[source.section["kind"]], source.section, source.title)  # type: ignore[type-var]
    with tempfile.TemporaryDirectory() as scratch:
        tables = reader.read(ReadContext(root, Path(scratch), unit="lesion"))
    old = {*before.notes, *matches(before, folder)}
    said = tables.notes if source.section["kind"] == "collection" else ()
    why = (*(text for text in source.why if text not in old), *said, *matches(tables, folder))
    return dataclasses.replace(source, tables=tables, why=why)
