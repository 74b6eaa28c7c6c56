"""Which engine goes on with a store: `extract.engine: auto` never mixes."""

from __future__ import annotations

import dataclasses
from typing import get_args

from extractor.backbones import Backbone
from extractor.config import EngineName
from extractor.device import AUTO, ComputePlan
from extractor.encoder import identity_of
from extractor.engines import ENGINES, TORCH, lacking, require_engine
from featurestore.errors import ConfigError
from featurestore.store import FeatureStore


def continuing(
    plan: ComputePlan,
    store: FeatureStore,
    backbone: Backbone,
    training_patients: tuple[str, ...] = (),
    fold: str = "",
) -> ComputePlan:
    """Settles the engine of one network where the plan leaves it open.

    It is PyTorch, unless the store holds embeddings of this network, in the plan's precision, by
    another engine and none by PyTorch.

    Args:
        plan: As configured.
        store: Where embeddings go.
        backbone: The network.
        training_patients: As of its identity.
        fold: As of its identity.

    Returns:
        The plan with an engine.

    Raises:
        ConfigError: The engine that the store was begun with cannot compute here.
    """
    if plan.engine != AUTO:
        return plan
    settled = [dataclasses.replace(plan, engine=name) for name in get_args(EngineName)[1:]]
    if plan.device.type != "cpu":
        return settled[0]
    for each in settled:
        identity = identity_of(backbone, each, training_patients, fold)
        if store.shard_paths(identity):
            absent = lacking(ENGINES[each.engine])
            if absent:
                raise ConfigError(
                    f"{store.root} holds embeddings of {backbone.name} by {each.engine}, and "
                    f"{' and '.join(absent)} is not installed: pip install "
                    f"'melafuse[{ENGINES[each.engine].extra}]', or set extract.engine to {TORCH} "
                    "to embed anew"
                )
            require_engine(each.engine, each.device, each.dtype)
            return each
    return settled[0]
