"""Fusion heads: shapes, missing modalities, gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fusion.config import HeadConfig
from fusion.models.heads import FULL_RATE_WIDTH, HEADS, FusionHead, hide_modalities

DIMS = {"resnet18": 12, "clinical": 5, "expression": 3}
CONFIG = HeadConfig(projection=8, hidden=(16, 4), dropout=0.0, modality_dropout=0.0)


@pytest.fixture(params=sorted(HEADS))
def make_head(request: pytest.FixtureRequest) -> Callable[[HeadConfig], FusionHead]:
    def make(config: HeadConfig) -> FusionHead:
        torch.manual_seed(0)
        return HEADS[request.param](DIMS, config)

    return make


def rows(n: int, seed: int = 0) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    inputs = {name: torch.randn(n, width, generator=generator) for name, width in DIMS.items()}
    return inputs, {name: torch.ones(n, dtype=torch.bool) for name in DIMS}


def test_one_finite_logit_a_row(make_head: Callable[[HeadConfig], FusionHead]) -> None:
    logits = make_head(CONFIG)(*rows(6))
    assert logits.shape == (6,)
    assert torch.isfinite(logits).all()


def test_a_missing_modality_changes_the_logit_and_its_values_do_not_matter(
    make_head: Callable[[HeadConfig], FusionHead],
) -> None:
    head = make_head(CONFIG).eval()
    inputs, present = rows(6)
    whole = head(inputs, present)
    absent = present | {"clinical": torch.tensor([True, False] * 3)}
    gaps = head(inputs, absent)
    assert torch.equal(gaps[0::2], whole[0::2])
    assert (gaps[1::2] != whole[1::2]).all()
    other = inputs | {"clinical": inputs["clinical"] * torch.tensor([[1.0], [99.0]] * 3)}
    assert torch.equal(head(other, absent), gaps)


def test_rows_without_anything_get_one_common_logit(
    make_head: Callable[[HeadConfig], FusionHead],
) -> None:
    head = make_head(CONFIG).eval()
    inputs, present = rows(6)
    logits = head(inputs, {name: torch.zeros_like(p) for name, p in present.items()})
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(logits, logits[:1].expand(6))


def test_a_mask_token_is_learned_from_the_rows_that_need_it(
    make_head: Callable[[HeadConfig], FusionHead],
) -> None:
    head = make_head(CONFIG)
    inputs, present = rows(6)
    head(inputs, present | {"clinical": torch.arange(6) > 2}).square().sum().backward()
    assert head.mask_tokens.grad is not None
    touched = head.mask_tokens.grad.abs().sum(dim=1) > 0
    assert touched.tolist() == [False, True, False]


def test_gradient_flows_to_every_parameter_and_to_the_inputs(
    make_head: Callable[[HeadConfig], FusionHead],
) -> None:
    config = HeadConfig(projection=8, hidden=(16, 4), modality_dropout=0.5, dropout=0.1)
    head = make_head(config)
    inputs, present = rows(64)
    leaves = {name: x.requires_grad_() for name, x in inputs.items()}
    head(leaves, present).square().sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in leaves.values())


def test_rows_do_not_see_one_another_at_prediction(
    make_head: Callable[[HeadConfig], FusionHead],
) -> None:
    head = make_head(CONFIG)
    head(*rows(64, seed=1))  # moves the running statistics
    head.eval()
    inputs, present = rows(6)
    one_by_one = torch.cat(
        [
            head(
                {k: x[i : i + 1] for k, x in inputs.items()},
                {k: x[i : i + 1] for k, x in present.items()},
            )
            for i in range(6)
        ]
    )
    torch.testing.assert_close(one_by_one, head(inputs, present))


def test_modalities_are_hidden_in_training_only(
    make_head: Callable[[HeadConfig], FusionHead],
) -> None:
    head = make_head(CONFIG.model_copy(update={"modality_dropout": 0.6}))
    inputs, present = rows(32)
    assert not torch.equal(head(inputs, present), head(inputs, present))
    head.eval()
    assert torch.equal(head(inputs, present), head(inputs, present))


def test_training_starts_at_the_prevalence(make_head: Callable[[HeadConfig], FusionHead]) -> None:
    head = make_head(CONFIG)
    head.start_from(0.2)
    assert torch.sigmoid(head.output.bias).item() == pytest.approx(0.2)
    head.start_from(0.0)
    assert torch.isfinite(head.output.bias).all()


@settings(max_examples=50, deadline=None)
@given(
    present=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=40),
    rate=st.floats(0, 0.99),
    seed=st.integers(0, 2**31),
)
def test_hiding_never_takes_the_last_modality_and_never_gives_one(
    present: list[list[bool]], rate: float, seed: int
) -> None:
    torch.manual_seed(seed)
    before = torch.tensor(present)
    after = hide_modalities(before, rate)
    assert not (after & ~before).any()
    assert torch.equal(after.any(dim=1), before.any(dim=1))


def test_hiding_happens_at_the_asked_rate_and_spares_evenly() -> None:
    torch.manual_seed(0)
    everything = torch.ones(40_000, 2, dtype=torch.bool)
    kept = hide_modalities(everything, 0.4).float().mean(dim=0)
    # A modality stays if it is not hidden (0.6), or if all were (0.16) and it is the spared half.
    torch.testing.assert_close(kept, torch.full((2,), 0.6 + 0.16 / 2), atol=0.01, rtol=0)


def test_hidden_widths_and_no_hidden_layer() -> None:
    for hidden in ((), (4,), (8, 4, 2)):
        head = FusionHead(DIMS, HeadConfig(projection=8, hidden=hidden))
        assert head(*rows(5)).shape == (5,)
        assert len(head.trunk) == len(hidden)


def test_wide_projections_learn_at_a_lower_rate_and_every_parameter_learns() -> None:
    head = FusionHead({"resnet18": 512, "clinical": 5}, CONFIG)
    plain, wide = head.parameter_groups(1e-3)
    assert plain["lr"] == 1e-3
    assert wide["lr"] == pytest.approx(1e-3 * FULL_RATE_WIDTH / 512)
    assert [p.shape for p in wide["params"]] == [(8, 512)]
    given = [id(p) for group in (plain, wide) for p in group["params"]]
    assert sorted(given) == sorted(id(p) for p in head.parameters())
