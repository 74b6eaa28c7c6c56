from __future__ import annotations

import json

from benchmarks.gpu.__main__ import PARTS, lines, measure
from benchmarks.gpu.material import NOT_MEASURED, SMALL


def test_the_small_form_measures_on_a_cpu_and_says_what_it_cannot() -> None:
    found = json.loads(json.dumps(measure(SMALL, "cpu")))
    assert found.keys() == {"device", "versions", "peak_memory_bytes", "seconds", *PARTS}
    for part in ("out_of_memory", "two_processes"):
        assert found[part] == NOT_MEASURED
    assert set(found["agreement_with_cpu_float32"].values()) == {NOT_MEASURED}
    assert set(found["peak_memory_bytes"].values()) == {NOT_MEASURED}
    assert found["stages"]["images_per_second"] > 0
    assert set(found["stages"]["ms_per_image"]) == {"copy", "forward", "fetch"}
    assert set(found["change_in_other_company"].values()) == {0.0}
    for size in SMALL.files:
        assert found["end_to_end"][size]["images"] == SMALL.pictures
    assert found["finetune"]["bare_steps_seconds"] > 0
    assert any(line.startswith("| device.type | cpu") for line in lines(found))
