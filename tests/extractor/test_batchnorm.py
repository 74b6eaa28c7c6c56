from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import nn

from extractor.batchnorm import fold_batchnorm


def trained_like(name: str) -> nn.Module:
    """A timm model whose normalisations do something, as after training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = timm.create_model(name, pretrained=False, num_classes=0).eval()
        for key, tensor in [*model.named_buffers(), *model.named_parameters()]:
            if key.endswith("running_var"):
                tensor.data.uniform_(0.5, 2.0)
            elif key.endswith(("running_mean", "bn1.bias", "bn2.bias")):
                tensor.data.normal_(0.0, 0.2)
    return model


def norms(model: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in model.modules())


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "tf_efficientnet_lite0"])
def test_all_normalisations_disappear_and_the_result_stays(name: str) -> None:
    model = trained_like(name)
    example = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    folded = fold_batchnorm(model, example)
    other = torch.rand(3, 3, 96, 96, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected, result = model(other), folded(other)
    assert norms(model) > 0
    assert norms(folded) == 0
    assert (result - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_the_original_is_not_changed() -> None:
    model = trained_like("resnet18")
    before = copy.deepcopy(model.state_dict())
    fold_batchnorm(model, torch.rand(1, 3, 64, 64))
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)


class TwoReaders(nn.Module):
    """The convolution's output is read before its normalisation, so folding would be wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return (self.norm(y) + y).mean((2, 3))


def test_a_model_that_folding_would_change_stays_as_it_is() -> None:
    model = TwoReaders().eval()
    model.norm.get_buffer("running_var").fill_(7.0)
    example = torch.rand(2, 3, 16, 16)
    folded = fold_batchnorm(model, example)
    assert folded is not model
    assert norms(folded) == 1
    with torch.inference_mode():
        assert torch.equal(folded(example), model(example))


def test_a_bias_of_the_convolution_is_kept() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=True), nn.BatchNorm2d(4), nn.Flatten()).eval()
    model.get_parameter("0.bias").data.fill_(0.5)
    model.get_buffer("1.running_mean").fill_(0.25)
    example = torch.rand(2, 3, 8, 8)
    folded = fold_batchnorm(model, example)
    assert norms(folded) == 0
    with torch.inference_mode():
        torch.testing.assert_close(folded(example), model(example))


def test_a_model_without_normalisation_passes_through() -> None:
    model = trained_like("convnext_atto")
    example = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(fold_batchnorm(model, example)(example), model(example))
