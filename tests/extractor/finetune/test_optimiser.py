from __future__ import annotations

import itertools

import pytest
import torch
from finetune_example import TINY, tiny_backbone, tiny_config
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from extractor.config import BackboneConfig
from extractor.config_finetune import FinetuneConfig
from extractor.finetune.classifier import Classifier, set_training_mode
from extractor.finetune.optimiser import (
    block_groups,
    make_optimiser,
    release,
    released_groups,
)
from featurestore.errors import ConfigError


def classifier(config: FinetuneConfig | None = None) -> Classifier:
    return Classifier(tiny_backbone(config or tiny_config()), prevalence=0.5, seed=0)


def rate_of(optimiser: torch.optim.Optimizer, wanted: nn.Parameter) -> tuple[float, float]:
    """Learning rate and weight decay of a parameter, which must be in one group only."""
    (group,) = [g for g in optimiser.param_groups if any(p is wanted for p in g["params"])]
    return group["lr"], group["weight_decay"]


def test_block_groups_hold_every_parameter_once_from_the_input_to_the_output() -> None:
    model = classifier()
    groups = block_groups(model.trunk)
    names = {id(p): name for name, p in model.trunk.named_parameters()}
    found = [[names[id(p)] for p in group] for group in groups]
    assert sorted(itertools.chain(*found)) == sorted(names.values())
    first_words = [{name.split(".")[0] for name in group} for group in found]
    assert first_words == [{"conv1", "bn1"}, {"layer1"}, {"layer2"}, {"layer3"}, {"layer4"}]


def test_a_network_that_cannot_be_cut_is_one_line() -> None:
    with pytest.raises(ConfigError, match="no block groups"):
        block_groups(nn.Linear(2, 2))


def test_learning_rates_decay_towards_the_input_and_vectors_have_no_weight_decay() -> None:
    config = tiny_config(
        learning_rate=1e-3, head_learning_rate=1e-2, layer_decay=0.5, weight_decay=0.1
    )
    model = classifier(config)
    optimiser = make_optimiser(model, config)
    trunk = dict(model.trunk.named_parameters())
    blocks = ["conv1.0", "layer1.0.conv1", "layer2.0.conv1", "layer3.0.conv1", "layer4.0.conv1"]
    rates = [rate_of(optimiser, trunk[f"{name}.weight"]) for name in blocks]
    assert [lr for lr, _ in rates] == pytest.approx([1e-3 * 0.5**k for k in (4, 3, 2, 1, 0)])
    assert {decay for _, decay in rates} == {0.1}
    assert rate_of(optimiser, trunk["bn1.weight"]) == (pytest.approx(1e-3 * 0.5**4), 0.0)
    assert rate_of(optimiser, model.head.weight) == (1e-2, 0.1)
    assert rate_of(optimiser, model.head.bias) == (1e-2, 0.0)
    grouped = sum(len(g["params"]) for g in optimiser.param_groups)
    assert grouped == len(list(model.parameters()))
    for group in optimiser.param_groups:
        assert group["initial_lr"] == group["lr"]


@settings(deadline=None)
@given(
    epochs=st.integers(1, 40),
    unfreeze=st.integers(0, 5),
    frozen=st.integers(0, 8),
    n_groups=st.integers(1, 12),
)
def test_groups_are_released_one_by_one_and_never_taken_back(
    epochs: int, unfreeze: int, frozen: int, n_groups: int
) -> None:
    config = tiny_config(unfreeze=unfreeze, frozen_groups=frozen)
    counts = [released_groups(config, n_groups, epoch) for epoch in range(1, epochs + 1)]
    most = max(n_groups - frozen, 0)
    if unfreeze == 0:
        assert set(counts) == {most}
    else:
        assert counts[:unfreeze] == [0] * min(unfreeze, epochs)
        steps = [b - a for a, b in itertools.pairwise(counts)]
        assert set(steps) <= {0, 1}
        assert max(counts) == min(most, (epochs - 1) // unfreeze)


def test_release_lets_gradients_reach_the_last_groups_only() -> None:
    model = classifier()
    groups = block_groups(model.trunk)
    release(groups, 2)
    assert [all(p.requires_grad for p in g) for g in groups] == [False, False, False, True, True]
    assert not any(p.requires_grad for g in groups[:3] for p in g)
    pixels = torch.randint(0, 255, (4, 3, 32, 32), dtype=torch.uint8)
    model(pixels).sum().backward()
    assert [any(p.grad is not None for p in g) for g in groups] == [False] * 3 + [True] * 2
    release(groups, 5)
    assert all(p.requires_grad for p in model.parameters())


def test_frozen_blocks_keep_their_statistics_and_others_may() -> None:
    model = classifier()
    release(block_groups(model.trunk), 1)
    pixels = torch.randint(0, 255, (4, 3, 32, 32), dtype=torch.uint8)

    def moved() -> set[str]:
        names = [n for n, _ in model.named_buffers() if n.endswith("running_mean")]
        before = {name: model.get_buffer(name).clone() for name in names}
        model(pixels)
        return {n for n in names if not torch.equal(before[n], model.get_buffer(n))}

    set_training_mode(model, train_statistics=True)
    assert {name.split(".")[1] for name in moved()} == {"layer4"}
    set_training_mode(model, train_statistics=False)
    assert moved() == set()


def test_statistics_are_trained_by_default_from_16_images_a_pass() -> None:
    sizes = {size: tiny_config(batch_size=size).trains_batch_norm for size in (2, 15, 16, 64)}
    assert sizes == {2: False, 15: False, 16: True, 64: True}
    assert tiny_config(batch_size=4, batch_norm="train").trains_batch_norm
    assert not tiny_config(batch_size=64, batch_norm="frozen").trains_batch_norm


def test_the_head_starts_at_the_prevalence_and_by_the_seed() -> None:
    def head(seed: int) -> nn.Linear:
        return Classifier(tiny_backbone(tiny_config()), prevalence=0.2, seed=seed).head

    assert torch.sigmoid(head(0).bias).item() == pytest.approx(0.2)
    assert torch.equal(head(0).weight, head(0).weight)
    assert not torch.equal(head(0).weight, head(1).weight)


def test_transformers_are_cut_too() -> None:
    vit = BackboneConfig(name="test_vit", weights="random")
    model = classifier(tiny_config(backbones=(vit,)))
    optimiser = make_optimiser(model, tiny_config(backbones=(vit,)))
    trunk = dict(model.trunk.named_parameters())
    assert rate_of(optimiser, trunk["pos_embed"])[1] == 0.0
    assert len(block_groups(model.trunk)) > 3
    assert TINY.name != vit.name
