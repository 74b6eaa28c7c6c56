"""What is published, and what a place to publish to does."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

from featurestore.atomic import replacing
from featurestore.plain import plain
from fusion.evidence import Estimate

State = Literal["published", "updated", "unchanged"]
"""What publishing did: nothing of this name was there; something else was; the same was."""


@dataclasses.dataclass(frozen=True)
class PublishedArm:
    """One arm.

    Attributes:
        arm: Its name.
        model: Its model.
        modalities: What the model looked at.
        kind: `arm`, `floor` or `reference`.
        n: Patients.
        events: Patients with the outcome.
        metrics: Value and interval by name, out-of-fold; `delta_` ones are minus the baseline.
        p: By name of a difference its p, adjusted by Holm where that was done.
    """

    arm: str
    model: str
    modalities: tuple[str, ...]
    kind: str
    n: int
    events: int
    metrics: Mapping[str, Estimate]
    p: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Publication:
    """A finished run as anybody may see it: no patient is named in any of it.

    Attributes:
        name: What it is called where it is published; the same name is the same thing.
        study: Name of the study.
        outcome: Name of the outcome.
        endpoint: Kind of the outcome.
        sees_images: Whether an arm looked at images.
        baseline: The arm that others are compared with.
        headline: Metric that arms are ranked by.
        warnings: Sentences that stand above everything: watermark, audit; empty where there is
            nothing to warn of.
        parameters: How models were fitted, by dotted name.
        tags: Digests, versions and marks.
        arms: All arms.
        card: The model card in Markdown.
        files: Content by name: the report and its tables.
        licence: Identifier of the licence that was chosen; empty if none was.
        bundle: Files of the fitted system by name, a zip as one; empty without.
        bundled: Names of the arms in it, the scoring one first.
    """

    name: str
    study: str
    outcome: str
    endpoint: str
    sees_images: bool
    baseline: str
    headline: str
    warnings: tuple[str, ...]
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    arms: tuple[PublishedArm, ...]
    card: str
    files: Mapping[str, bytes]
    licence: str = ""
    bundle: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    bundled: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of all of it: equal publications are not published twice."""
        record = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("files", "bundle")
        }
        for name in ("files", "bundle"):
            held: Mapping[str, bytes] = getattr(self, name)
            record[name] = {k: hashlib.sha256(v).hexdigest() for k, v in held.items()}
        record["arms"] = [plain(arm) for arm in self.arms]
        text = json.dumps(plain(record), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


class Publisher(Protocol):
    """A place that people look at.

    Attributes:
        name: What stands before the colon of `--to`.
        place: What stands behind it, for messages.
    """

    name: str
    place: str

    def require(self, where: str) -> None:
        """Finds out quickly whether anything can be published there.

        Args:
            where: What stands behind the colon of `--to`.

        Raises:
            ConfigError: There is no such place, or a package that it needs is not installed.
        """
        ...

    def publish(self, publication: Publication, where: str) -> State:
        """Publishes; the same again changes nothing, another of the name takes its place.

        Args:
            publication: What to publish.
            where: What stands behind the colon of `--to`.

        Raises:
            ConfigError: There is no such place, or something of somebody else is there.
            DataError: It cannot be written.
        """
        ...


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Writes files under a folder, each whole or not at all.

    Raises:
        OSError: One cannot be written.
    """
    for name, content in files.items():
        with replacing(folder / name) as temporary:
            temporary.write_bytes(content)
