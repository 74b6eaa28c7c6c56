"""What fine-tuning leaves to a study; apart from torch, so that a study without it needs none."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pandas as pd

from extractor.config import BackboneConfig
from featurestore.cohort import FoldKey
from featurestore.store import EncoderIdentity

HISTORY_KEYS = ("encoder", "repeat", "fold")


@dataclasses.dataclass(frozen=True)
class FoldEncoders:
    """Fine-tuned encoders by fold, all embeddings of which are in the store.

    Attributes:
        identities: For each repeat and fold the identity by name (`resnet18_ft`).
        backbones: For each repeat and fold the backbone with its fine-tuned weights.
        views: For each repeat and fold what the views of an encoder are stored under, by its name.
        history: One row an epoch: `encoder, repeat, fold` (missing for an external encoder), then
            the fields of `extractor.finetune.EpochRow` and whether its weights were `kept`.
    """

    identities: Mapping[FoldKey, Mapping[str, EncoderIdentity]]
    backbones: Mapping[FoldKey, Mapping[str, BackboneConfig]]
    views: Mapping[FoldKey, Mapping[str, EncoderIdentity]]
    history: pd.DataFrame


NO_FOLD_ENCODERS = FoldEncoders({}, {}, {}, pd.DataFrame(columns=list(HISTORY_KEYS)))
