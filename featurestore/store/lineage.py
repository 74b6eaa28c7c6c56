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
from typing import Any

from featurestore.errors import LeakageError, StoreError, name_some


@dataclasses.dataclass(frozen=True)
class EncoderIdentity:
    """Everything that decides the value of an embedding, given the bytes of the image.

    Attributes:
        backbone: Name of the architecture as timm knows it, for example `resnet18`.
        weights: Where the weights came from, for people: `imagenet`, `random(seed=0)`, `file`, ….
        weights_sha256: Digest of the weights themselves.
        preprocessing: Canonical JSON of the decode, resize and normalise steps.
        pooling: How the feature map becomes a vector, for example `avg`.
        dimension: Length of the embedding.
        dtype: Type of the forward pass, for example `float32` or `bfloat16`.
        training_patients: Sorted ids of this study's patients that the encoder was trained on;
            empty for frozen and externally trained encoders.
        fold: `repeat/fold` that a fine-tuned encoder belongs to, else empty.
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

    @property
    def training_digest(self) -> str:
        """SHA-256 over the sorted training patients; that of nothing for a frozen encoder."""
        return _sha256(json.dumps(sorted(self.training_patients)))

    @property
    def digest(self) -> str:
        """SHA-256 that names the identity (64 hexadecimal digits)."""
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
        if not self.training_patients:
            return f"weights {self.weights}"
        where = f" of fold {self.fold}" if self.fold else ""
        return f"fine-tuned on {len(self.training_patients)} patients{where}"

    def to_json(self) -> str:
        """Returns the identity as indented JSON with its digest, for `encoder.json`."""
        record = dataclasses.asdict(self) | {"digest": self.digest}
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
            fields = {f.name: record[f.name] for f in dataclasses.fields(cls)}
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
    seen = sorted(set(identity.training_patients) & {str(p) for p in scored_patients})
    if seen:
        raise LeakageError(
            f"encoder {identity.short} ({identity.backbone}, {identity.weights}) was trained on "
            f"{len(seen)} of the patients to be scored: {name_some(seen)}"
        )


def _checksum(record: Mapping[str, Any]) -> str:
    content = {key: value for key, value in record.items() if key != "checksum"}
    return _sha256(json.dumps(content, sort_keys=True))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
