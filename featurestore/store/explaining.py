"""Why an image is or is not cached."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from featurestore.errors import DataError, StoreError, name_some
from featurestore.store.layout import require_store
from featurestore.store.lineage import EncoderIdentity
from featurestore.store.salvage import Salvage, salvage
from featurestore.store.store import FeatureStore
from featurestore.units import counted

_SALVAGE_SECONDS = 20.0


@dataclasses.dataclass(frozen=True)
class EncoderExplanation:
    """Whether one encoder's embedding of an image is cached.

    Attributes:
        identity: The encoder.
        cached: Whether it is.
        reason: Why, in a few words.
    """

    identity: EncoderIdentity
    cached: bool
    reason: str

    @property
    def line(self) -> str:
        """The same in one line for people."""
        who = f"{self.identity.backbone} ({self.identity.making}, {self.identity.short})"
        return f"{who}: {'cached' if self.cached else 'not cached'}{self.reason}"


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Why an image is or is not cached.

    Attributes:
        image: What was asked for.
        sha256: Digest of its content; empty where it never could be read.
        encoders: One entry for each encoder of the store.
        quarantine: One line for each row of the quarantine that is about this image.
    """

    image: str
    sha256: str
    encoders: tuple[EncoderExplanation, ...]
    quarantine: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it, one line each."""
        return (*(e.line for e in self.encoders), *self.quarantine)


@dataclasses.dataclass(frozen=True)
class _Subject:
    """The image that is asked for: its digest, ids it may have, and its path if it is a file."""

    sha256: str
    names: frozenset[str]
    path: Path | None


@dataclasses.dataclass(frozen=True)
class _Holding:
    """Images of one encoder: pairs of digest and id, from sound and from damaged shards."""

    sound: dict[tuple[str, str], Path]
    damaged: dict[Path, Salvage]

    def known(self) -> Iterator[tuple[str, str]]:
        yield from self.sound
        for found in self.damaged.values():
            yield from ((row.sha256, row.image_id) for row in found.rows)


def explain(store: FeatureStore, image: str, member_sha256: str | None = None) -> Explanation:
    """Says for each encoder why an image is or is not cached.

    Args:
        store: The store.
        image: Path of a file, or of a member of a container (`archive.zip::image.jpg`), id of an
            image, or at least 8 digits of a SHA-256.
        member_sha256: Digest of the member's content, empty where it cannot be read; None where
            `image` leads into no container. The store opens none itself.

    Raises:
        DataError: The file cannot be read.
        StoreError: There is no store; or the image is no file and the store has never met its id
            or digest, or knows several.
    """
    require_store(store.root)
    quarantined = store.quarantined()
    holdings = {identity: _holding(store, identity) for identity in store.encoders()}
    pairs = {pair for holding in holdings.values() for pair in holding.known()}
    pairs |= set(zip(quarantined["sha256"], quarantined["image_id"], strict=True))
    subject = _member(image, member_sha256) if member_sha256 is not None else _subject(image, pairs)
    about = quarantined[_is_about(quarantined, subject)]
    encoders = tuple(
        _explain_for(identity, holding, subject, about) for identity, holding in holdings.items()
    )
    rows = zip(about["image_id"], about["path"], about["reason"], strict=True)
    lines = tuple(f"quarantine: {image_id} ({path}): {why}" for image_id, path, why in rows)
    return Explanation(image, subject.sha256, encoders, lines)


def _explain_for(
    identity: EncoderIdentity, holding: _Holding, subject: _Subject, about: pd.DataFrame
) -> EncoderExplanation:
    for (sha256, image_id), path in holding.sound.items():
        if sha256 == subject.sha256:
            return EncoderExplanation(
                identity, True, f", as image {image_id} in shard {path.name[:12]}"
            )
    return EncoderExplanation(identity, False, _why_not(holding, subject, about))


def _why_not(holding: _Holding, subject: _Subject, about: pd.DataFrame) -> str:
    for path, found in holding.damaged.items():
        if any(row.sha256 == subject.sha256 for row in found.rows):
            return f": its shard {path.name[:12]} is damaged; `melafuse extract` embeds it again"
    refused = about[about["sha256"].isin(["", subject.sha256])]  # not an earlier content
    if len(refused):
        return f": in quarantine ({refused['reason'].iloc[0]})"
    for sha256, image_id in holding.sound:
        if image_id in subject.names:
            return (
                f": image {image_id} is, but its content was another (SHA-256 {sha256[:12]}); "
                "`melafuse extract` embeds the changed file"
            )
    unreadable = sum(bool(found.problem) for found in holding.damaged.values())
    if unreadable:
        return f": not embedded yet, or in one of {counted(unreadable, 'damaged shard')}"
    return ": not embedded yet"


def _holding(store: FeatureStore, identity: EncoderIdentity) -> _Holding:
    sound: dict[tuple[str, str], Path] = {}
    for path, sha256, view, image_id in store.named_rows(identity):
        if view == 0:
            sound.setdefault((sha256, image_id), path)
    damaged = {path: salvage(path, _SALVAGE_SECONDS) for path in store.damaged(identity)}
    return _Holding(sound, damaged)


def _subject(image: str, pairs: Iterable[tuple[str, str]]) -> _Subject:
    path = Path(image)
    try:
        if path.is_file():
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return _Subject(sha256, frozenset({path.name, path.stem}), path)
    except OSError as error:
        raise DataError(f"{image[:200]}: cannot be read ({error.strerror or error})") from None
    return _Subject(_find_digest(image, set(pairs)), frozenset({image}), None)


def _member(image: str, sha256: str) -> _Subject:
    name = re.split(r"/|::", image)[-1]
    return _Subject(sha256, frozenset({name, Path(name).stem}), Path(image))


def _find_digest(image: str, pairs: set[tuple[str, str]]) -> str:
    found = {sha256 for sha256, image_id in pairs if image_id == image}
    if not found and re.fullmatch(r"[0-9a-f]{8,64}", image):
        found = {sha256 for sha256, _ in pairs if sha256.startswith(image)}
    if not found:
        raise StoreError(f"{image}: no such file, and the store has never met this id or digest")
    if len(found) > 1:  # an empty digest is that of a file that could not be read
        found -= {""}
    if len(found) > 1:
        raise StoreError(
            f"{image}: {len(found)} contents go by this, give one of their digests or a file: "
            f"{name_some([s[:12] for s in sorted(found)])}"
        )
    return found.pop()


def _is_about(quarantined: pd.DataFrame, subject: _Subject) -> pd.Series:
    same = quarantined["image_id"].isin(subject.names)
    if subject.sha256:
        same |= quarantined["sha256"] == subject.sha256
    if subject.path is not None:
        here = subject.path.absolute()
        same |= quarantined["path"].map(lambda path: Path(path).absolute() == here).astype(bool)
    return same
