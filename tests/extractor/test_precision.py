from __future__ import annotations

import pytest
import torch

from extractor import precision
from extractor.precision import (
    WORTH_COMPILING,
    compiled_if,
    compiles,
    computing_in,
    layout_on,
    scaler_for,
)

CPU, CARD = torch.device("cpu"), torch.device("cuda:0")


def test_auto_compiles_long_trainings_on_cuda_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    for able in (True, False):
        monkeypatch.setattr(precision, "_can_compile", lambda able=able: able)
        assert compiles("auto", CARD, WORTH_COMPILING) is able
        assert not compiles("auto", CARD, WORTH_COMPILING - 1)
        assert not compiles("auto", CPU, WORTH_COMPILING)
        for device in (CPU, CARD):
            assert compiles(True, device, 1)
            assert not compiles(False, device, WORTH_COMPILING)


def test_nothing_is_compiled_that_need_not_be() -> None:
    def double(x: int) -> int:
        return 2 * x

    assert compiled_if(False, double) is double
    assert compiled_if(True, double) is not double


def test_layout_scaling_and_type_follow_the_device() -> None:
    assert layout_on(CPU) is torch.contiguous_format
    assert layout_on(CARD) is torch.channels_last
    assert not scaler_for(torch.bfloat16, CPU).is_enabled()
    assert scaler_for(torch.float16, CPU).is_enabled()
    layer, x = torch.nn.Linear(2, 2), torch.ones(1, 2)
    for dtype in (torch.float32, torch.bfloat16):
        with computing_in(dtype, CPU):
            assert layer(x).dtype is dtype
