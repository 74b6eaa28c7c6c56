from __future__ import annotations

import torch
from finetune_example import tiny_backbone, tiny_config

from extractor.finetune.classifier import Classifier
from extractor.finetune.ema import WeightAverage


def model() -> Classifier:
    return Classifier(tiny_backbone(tiny_config()), prevalence=0.5, seed=0)


def fill(network: Classifier, value: float) -> None:
    with torch.no_grad():
        network.head.weight.fill_(value)
        network.trunk.get_buffer("bn1.running_mean").fill_(value)


def test_the_average_is_the_recursion_with_a_decay_that_rises() -> None:
    network = model()
    fill(network, 0.0)
    average = WeightAverage(network, decay=0.7)
    expected = 0.0
    for step, value in enumerate([1.0, -2.0, 3.0, 5.0, 4.0, 0.5, 2.0, 2.5], start=1):
        fill(network, value)
        average.update(network)
        decay = min(0.7, 1 - step ** (-2 / 3))
        expected = decay * expected + (1 - decay) * value
        kept = average.module
        torch.testing.assert_close(kept.head.weight, torch.full_like(kept.head.weight, expected))
        buffer = kept.trunk.get_buffer("bn1.running_mean")
        torch.testing.assert_close(buffer, torch.full_like(buffer, expected))
    assert average.steps == 8


def test_the_average_is_a_model_of_its_own_in_evaluation_mode() -> None:
    network = model().train()
    average = WeightAverage(network, decay=0.9)
    assert not average.module.training
    own = {p.data_ptr() for p in average.module.parameters()}
    assert own.isdisjoint(p.data_ptr() for p in network.parameters())


def test_an_average_of_equal_weights_is_these_weights() -> None:
    network = model()
    average = WeightAverage(network, decay=0.99)
    for _ in range(5):
        average.update(network)
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(average.module.state_dict()[name], tensor)
