from __future__ import annotations

import pytest
import torch

import extractor.device as module
from extractor.device import ComputePlan, plan_compute, resolve_device
from featurestore.errors import ConfigError


def test_cpu_is_always_there() -> None:
    assert resolve_device("cpu") == torch.device("cpu")


def test_auto_names_a_device_of_this_machine() -> None:
    device = resolve_device("auto")
    assert device.type == ("cuda" if torch.cuda.is_available() else device.type)
    assert device.type in {"cuda", "mps", "cpu"}


@pytest.mark.parametrize("name", ["cuda:99", "cuda:1000"])
def test_a_device_that_is_not_there_is_an_error_that_lists_what_is(name: str) -> None:
    with pytest.raises(ConfigError, match=r"'cuda:\d+' is not available: this machine has .*cpu"):
        resolve_device(name)


@pytest.mark.parametrize("name", ["gpu", "", "CUDA", "cuda:-1", "cuda:x", "cpu:0"])
def test_an_unknown_name_is_an_error_that_lists_the_allowed_ones(name: str) -> None:
    with pytest.raises(ConfigError, match="is unknown: allowed are auto, cpu, mps, cuda, cuda:N"):
        resolve_device(name)


@pytest.mark.parametrize(("order", "expected"), [((1, True), "cuda:0"), ((0, True), "mps")])
def test_auto_prefers_cuda_then_mps(
    monkeypatch: pytest.MonkeyPatch, order: tuple[int, bool], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: order[0])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: order[1])
    assert str(resolve_device("auto")) == expected


def test_a_named_cuda_is_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda") == torch.device("cuda:0")
    assert resolve_device("cuda:1") == torch.device("cuda:1")


@pytest.mark.parametrize(("capability", "dtype"), [((9, 0), "bfloat16"), ((7, 5), "float16")])
def test_cuda_computes_in_the_reduced_type_it_has(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    plan = plan_compute("cuda", batch_size=32)
    assert plan.dtype_name == dtype
    assert plan.pass_size(224) == 32
    assert plan.threads == 1


def test_passes_on_cpu_do_not_follow_the_batch_size() -> None:
    plans = [plan_compute("cpu", batch_size) for batch_size in (1, 5, 512)]
    assert {plan.pass_size(224) for plan in plans} == {4}
    assert {plan.dtype_name for plan in plans} == {"float32"}
    assert plans[0].threads >= 1


@pytest.mark.parametrize("size", [32, 64, 224, 300, 1024])
def test_passes_on_cpu_are_bounded(size: int) -> None:
    plan = ComputePlan(torch.device("cpu"), torch.float32, 16, 1)
    assert 1 <= plan.pass_size(size) <= 16
    assert plan.pass_size(size) == 1 or plan.pass_size(size) * size**2 <= 4 * 224**2


def test_what_is_not_set_follows_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "usable_cores", lambda: 12)
    cpu = plan_compute("cpu")
    assert (cpu.pass_size(224), cpu.decoders, cpu.threads, cpu.in_flight) == (4, 2, 12, 12)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    card = plan_compute("cuda")
    assert (card.pass_size(224), card.decoders, card.threads, card.in_flight) == (None, 12, 1, 3)
    assert card.shared(4).decoders == 3
    assert plan_compute("cuda", 32, "float32").dtype_name == "float32, cuda"


def test_a_type_without_hardware_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"precision float16: torch on this CPU computes in .*32"):
        plan_compute("cpu", 16, "float16")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    with pytest.raises(ConfigError, match=r"computes in float32: set it to auto$"):
        plan_compute("cpu", 16, "bfloat16")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert plan_compute("cpu", 16, "bfloat16").dtype_name == "bfloat16, cpu"
