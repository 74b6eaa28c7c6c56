from __future__ import annotations

import json

import pytest

from benchmarks.gpu.__main__ import PARTS, lines, measure
from benchmarks.gpu.material import NOT_MEASURED, SMALL


def test_the_small_form_measures_on_a_cpu_and_says_what_it_cannot() -> None:
    found = json.loads(json.dumps(measure(SMALL, "cpu")))
    assert found.keys() == {"device", "versions", "peak_memory_bytes", "seconds", *PARTS}
    for part in (
        "out_of_memory", "two_processes", "two_trainings", "finetune_waits",
        "finetune_out_of_memory", "not_taken.compiled_networks", "not_taken.decoding_on_the_card",
    ):  # fmt: skip
        assert found[part] == NOT_MEASURED
    assert set(found["finetune_agreement_with_cpu"].values()) == {NOT_MEASURED}
    assert found["finetune_resumed"] == {"interrupted": 0.0, "again": 0.0}
    assert set(found["agreement_with_cpu_float32"].values()) == {NOT_MEASURED}
    assert set(found["peak_memory_bytes"].values()) == {NOT_MEASURED}
    assert found["stages"]["images_per_second"] > 0
    assert set(found["stages"]["ms_per_image"]) == {"copy", "forward", "fetch"}
    assert set(found["change_in_other_company"].values()) == {0.0}
    for size in SMALL.files:
        assert found["end_to_end"][size]["images"] == SMALL.pictures
    assert found["finetune"]["compiled"] == NOT_MEASURED
    plain = found["finetune"]["plain"]
    assert plain["images_per_second"] == pytest.approx(16 / plain["seconds_per_epoch"])
    assert sum(plain["seconds"].values()) == pytest.approx(plain["seconds_per_epoch"])
    grid = found["grid_of_heads"]
    assert grid["heads"] == 15
    assert grid["times_faster"] > 0
    assert grid["batched"]["peak_bytes"] == NOT_MEASURED
    assert abs(grid["batched"]["auroc"] - grid["one_by_one"]["auroc"]) < 0.1
    assert any(line.startswith("| device.type | cpu") for line in lines(found))
