"""Encoder identity: what made an embedding, and which patients it has learned from.

Two embeddings may stand in one matrix only if they come from the same identity. A number may be
computed on a patient only with encoders that were not trained on that patient; `check_unseen` is
the one place that decides this, and nothing turns it off.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from featurestore.errors import LeakageError, StoreError, name_some
from featurestore.units import counted

TrainedOn = Literal["", "none", "unknown", "listed"]
"""What is known of the patients that an encoder from elsewhere was trained on; empty for an encoder
that melafuse runs itself, which knows."""

_LATER = ("trained_on", "version")
"""Fields that identities of stores made earlier do not state; left out where they are empty."""


@dataclasses.dataclass(frozen=True)
class EncoderIdentity:
    """Everything that decides the value of an embedding, given the bytes of the image.

    Attributes:
        backbone: Name of the architecture as timm knows it, for example `resnet18`; for
            embeddings from elsewhere the name that the user gave.
        weights: Where the weights came from, for people: `imagenet`, `random(seed=0)`, `file`, …;
            for embeddings from elsewhere the files.
        weights_sha256: Digest of the weights themselves; of the files of embeddings from elsewhere.
        preprocessing: Canonical JSON of the decode, resize and normalise steps; of how the files
            of embeddings from elsewhere are read.
        pooling: How the feature map becomes a vector, for example `avg`; how the tiles of a slide
            become one, for example `mean`.
        dimension: Length of the embedding.
        dtype: Type of the forward pass, for example `float32` or `bfloat16`.
        training_patients: Sorted ids of this study's patients that the encoder was trained on;
            empty for frozen and externally trained encoders. For embeddings from elsewhere the
            ids that the user listed.
        fold: `repeat/fold` that a fine-tuned encoder belongs to, else empty.
        trained_on: What is known of the training patients of embeddings from elsewhere.
        version: Version of the encoder of embeddings from elsewhere, as the user states it.
    """

    backbone: str
    weights: str
    weights_sha256: str
    preprocessing: str
    pooling: str
    dimension: int
    dtype: str = "float32"
    training_patients: tuple[str, ...] = ()
    fold: str = ""
    trained_on: TrainedOn = ""
    version: str = ""

    @property
    def is_imported(self) -> bool:
        """Whether the embeddings came from elsewhere: the encoder cannot run again here."""
        return bool(self.trained_on)

    @property
    def training_digest(self) -> str:
        """SHA-256 over the sorted training patients; that of nothing for a frozen encoder."""
        return _sha256(json.dumps(sorted(self.training_patients)))

    @property
    def digest(self) -> str:
        """SHA-256 that names the identity (64 hexadecimal digits)."""
        elsewhere = [self.trained_on, self.version] if self.is_imported else []
        return _sha256(
            json.dumps(
                [
                    self.backbone,
                    self.weights_sha256,
                    self.preprocessing,
                    self.pooling,
                    self.dimension,
                    self.dtype,
                    self.training_digest,
                    *elsewhere,
                ]
            )
        )

    @property
    def short(self) -> str:
        """The first 12 digits of the digest, for people."""
        return self.digest[:12]

    @property
    def origin(self) -> str:
        """Where the weights came from, for people: their source, or who they were tuned on."""
        if self.is_imported:
            known = {"listed": f"{len(self.training_patients)} listed patients"}
            version = f" {self.version}" if self.version else ""
            trained = known.get(self.trained_on, self.trained_on)
            return f"imported{version} from {self.weights}, trained on: {trained}"
        if not self.training_patients:
            return f"weights {self.weights}"
        where = f" of fold {self.fold}" if self.fold else ""
        return f"fine-tuned on {counted(len(self.training_patients), 'training id')}{where}"

    @property
    def making(self) -> str:
        """The origin of the weights, and what computed with them unless that was plain float32."""
        plain = self.dtype == "float32" or self.is_imported
        return self.origin if plain else f"{self.origin}, {self.dtype}"

    def to_json(self) -> str:
        """Returns the identity as indented JSON with its digest, for `encoder.json`."""
        stated = dataclasses.asdict(self)
        record = {k: v for k, v in stated.items() if v or k not in _LATER}
        record |= {"digest": self.digest}
        record["checksum"] = _checksum(record)
        return json.dumps(record, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> EncoderIdentity:
        """Rebuilds an identity written by `to_json`.

        Raises:
            StoreError: The text is not an identity, or its digest or its checksum (which covers
                the names for people too) does not match its content.
        """
        try:
            record: Mapping[str, Any] = json.loads(text)
            whole_record = {**dict.fromkeys(_LATER, ""), **record}
            fields = {f.name: whole_record[f.name] for f in dataclasses.fields(cls)}
            fields["training_patients"] = tuple(fields["training_patients"])
            identity = cls(**fields)
            stated = record["digest"]
            whole = record.get("checksum", _checksum(record)) == _checksum(record)
            whole = whole and record.keys() <= {*fields, "digest", "checksum"}
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"encoder.json is not an encoder identity: {error!r}") from None
        if stated != identity.digest:
            raise StoreError(
                f"encoder.json states digest {str(stated)[:12]} but its content has "
                f"{identity.short}: it was edited after it was written"
            )
        if not whole:
            raise StoreError(f"encoder.json of {identity.short} was edited after it was written")
        return identity


def check_fold(identity: EncoderIdentity, fold: str) -> None:
    """Refuses an encoder that was trained for one outer fold in any other place.

    Its embeddings are another coordinate system than those of the other folds' encoders, even where
    it happens not to have seen the patients that are scored.

    Raises:
        LeakageError: The encoder belongs to another fold.
    """
    if identity.fold and identity.fold != fold:
        raise LeakageError(
            f"encoder {identity.short} ({identity.backbone}) was trained for fold {identity.fold} "
            f"and may not embed for fold {fold or 'none'}"
        )


def check_unseen(identity: EncoderIdentity, scored_patients: Iterable[str]) -> None:
    """Refuses to score patients with an encoder that was trained on them.

    Raises:
        LeakageError: At least one scored patient is among the encoder's training patients.
    """
    spelled = _spelled if identity.is_imported else str
    trained = {spelled(patient) for patient in identity.training_patients}
    seen = sorted(p for p in {str(p) for p in scored_patients} if spelled(p) in trained)
    if seen:
        raise LeakageError(
            f"encoder {identity.short} ({identity.backbone}, {identity.weights}) was trained on "
            f"{len(seen)} of those to be scored: {name_some(seen)}"
        )


def _spelled(patient: str) -> str:
    """Ids that came from elsewhere may differ in case, and in the dots that R makes of dashes."""
    return patient.strip().casefold().replace(".", "-")


def _checksum(record: Mapping[str, Any]) -> str:
    content = {key: value for key, value in record.items() if key != "checksum"}
    return _sha256(json.dumps(content, sort_keys=True))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
