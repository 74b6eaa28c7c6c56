"""`melafuse doctor`: what would stop a run is found before it, without a network."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from locations import ROOT
from PIL import Image

import cli
from extractor.engines.openvino import OpenVinoEngine
from featurestore.errors import ConfigError
from fusion.start.doctor import MACHINE_CHECKS, STUDY_CHECKS, examine, machine
from fusion.start.doctor.base import existing_parent
from fusion.start.doctor.machine import _matches
from fusion.study.study import Study

SHARED = ROOT.parent / "shared" / "data"
SMALL = {"name": "resnet18", "weights": "random", "image_size": 64}


def study(folder: Path, n: int = 60, **changes: object) -> Path:
    """An invented study of `n` patients with one image each."""
    noise = np.random.default_rng(0)
    (folder / "images").mkdir(exist_ok=True)
    rows = ["isic_id,age_approx,sex,diagnosis_1"]
    for k in range(n):
        pixels = noise.integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"ISIC_{k:07d}.png")
        rows.append(f"ISIC_{k:07d},{30 + k % 40},female,Benign")
    text = "\n".join(rows)
    for k in range(0, n, 2):
        old = f"ISIC_{k:07d},{30 + k % 40},female,Benign"
        text = text.replace(old, old.replace("Benign", "Malignant"))
    text = text.replace("diagnosis_1", "diagnosis_1,diagnosis_3").replace("Benign", "Benign,Nevus")
    text = text.replace("Malignant", "Malignant,Melanoma Invasive")
    (folder / "metadata.csv").write_text(text + "\n", encoding="utf-8")
    record: dict[str, object] = {
        "name": "mine",
        "cohort": {
            "outcome": "melanoma",
            "sources": [{"kind": "isic", "metadata": ["metadata.csv"], "images": ["images"]}],
        },
        "extract": {"backbones": [SMALL]},
        "ablation": {"jobs": 1},
    }
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(record | changes), encoding="utf-8")
    return path


def doctor(config: Path | None, *options: str) -> Result:
    arguments = [str(config), "--out", str(config.parent / "out")] if config else []
    return CliRunner().invoke(cli.cli, ["doctor", *arguments, *options])


def lines(result: Result, check: str) -> list[str]:
    return [line for line in result.output.splitlines() if line[5:].startswith(check)]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the doctor asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_without_a_config_the_machine_is_checked() -> None:
    found = list(examine())
    assert [e.check for e in found if e.finding.status == "fail"] == []
    assert {e.check for e in found} == {check.name for check in MACHINE_CHECKS}


def test_engines_are_named_with_what_each_would_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "lacking", lambda e: ("onnxruntime",) if e.name == "onnx" else ())
    monkeypatch.setattr(OpenVinoEngine, "cpu_types", lambda self: (torch.float32,))
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9.9")
    pytorch, openvino, onnx = (finding.text for finding in machine.find_engines())
    assert pytorch.startswith("torch 9.9 computes in float32")
    assert "another identity" not in pytorch
    assert openvino.startswith("openvino 9.9 computes in float32 on this CPU; another identity")
    assert onnx == "onnx is not installed (without onnxruntime): pip install 'melafuse[onnx]'"


def test_an_engine_that_cannot_compute_is_found_before_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extractor.engines.lacking", lambda engine: ("onnxruntime",))
    path = study(tmp_path, 4, extract={"backbones": [SMALL], "device": "cpu", "engine": "onnx"})
    found = [e.finding for e in examine(path, out=tmp_path / "out") if e.check == "device"]
    assert [finding.status for finding in found] == ["fail"]
    assert found[0].text.startswith("extract.engine onnx needs onnxruntime: pip install")


def test_a_sound_study_passes_every_check(tmp_path: Path, no_network: None) -> None:
    result = doctor(study(tmp_path))
    assert result.exit_code == 0, result.output
    assert "fail" not in {line[:4] for line in result.output.splitlines()}
    for check in (*MACHINE_CHECKS, *STUDY_CHECKS):
        assert lines(result, check.name), check.name
    assert "60 patients, 30 with and 30 without it" in lines(result, "cohort")[0]
    assert "24 of 24 sampled images decode, of 60, 30 × 20 pixels" in lines(result, "images")[0]
    assert "512-d" in lines(result, "weights")[0]
    assert not (tmp_path / "out").exists()


def test_quiet_prints_only_what_needs_attention(tmp_path: Path) -> None:
    config = study(tmp_path)
    assert doctor(config, "-q").output == ""
    result = doctor(config, "-q", "--set", "extract.device=cuda:7")
    assert result.exit_code == 1
    assert result.output.startswith("fail device")


def remove_images(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        path.unlink()


def spoil_images(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        path.write_bytes(b"no image")


def page(folder: Path) -> None:
    (folder / "metadata.csv").write_text("<html>Please sign in</html>", encoding="utf-8")


def one_class(folder: Path) -> None:
    table = (folder / "metadata.csv").read_text(encoding="utf-8")
    lines = [line for line in table.splitlines() if "Malignant" not in line]
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def other_format(folder: Path) -> None:
    text = "Study ID\tPatient ID\tSample ID\ns\tTCGA-AA-0001\tTCGA-AA-0001-06\n"
    (folder / "metadata.csv").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("harm", "check", "said"),
    [
        (remove_images, "images", "no image file under the folders"),
        (spoil_images, "images", "0 of 24 sampled images decode"),
        (page, "paths", "HTML or XML page"),
        (page, "cohort", "HTML or XML page"),
        (one_class, "cohort", "too few for 5 folds"),
        (other_format, "paths", "looks like a cBioPortal clinical table"),
        (lambda folder: (folder / "metadata.csv").unlink(), "paths", "does not exist"),
    ],
)
def test_harm_to_the_data_is_found(
    tmp_path: Path, harm: Callable[[Path], None], check: str, said: str
) -> None:
    config = study(tmp_path)
    harm(tmp_path)
    result = doctor(config)
    assert result.exit_code == 1
    assert any(said in line for line in lines(result, check)), result.output
    assert any(line.startswith("fail") for line in result.output.splitlines())


@pytest.mark.parametrize(
    ("override", "check", "said"),
    [
        ("extract.device=tpu", "device", "unknown"),
        ("extract.backbones=[{name: resnet1}]", "weights", "did you mean"),
        ("extract.backbones=[{name: resnet18, weights: no.pth}]", "weights", "there is no such"),
        ("folds.n_fold=3", "config", "did you mean 'n_folds'?"),
        ("store=/proc/store", "output", "the store cannot be written"),
    ],
)
def test_a_wrong_setting_is_found(tmp_path: Path, override: str, check: str, said: str) -> None:
    result = doctor(study(tmp_path), "--set", override)
    assert result.exit_code == 1
    found = [line for line in lines(result, check) if line.startswith("fail")]
    assert any(said in line for line in found), result.output


@pytest.mark.parametrize(
    "override",
    [
        "ablation.models=[svm, svm]",
        "ablation.models=[clairvoyance]",
        "ablation.reference=best",
        "ablation.subsets=[[retina]]",
        "ablation.modalities={x: {groups: [gut]}}",
        "ablation.leave_out={groups: [gut]}",
        "ablation.arms=[{model: svm}, {model: svm}]",
    ],
)
def test_doctor_and_run_refuse_the_same_plans_in_the_same_words(
    tmp_path: Path, override: str
) -> None:
    config = study(tmp_path, 12)
    said = lines(doctor(config, "--set", override), "arms")
    with pytest.raises(ConfigError) as caught:
        _ = Study.open(config, tmp_path / "out", None, [override]).arms
    assert len(said) == 1
    assert said[0].startswith("fail")
    assert str(caught.value) in said[0]


def test_few_events_and_many_jobs_are_warnings(tmp_path: Path) -> None:
    result = doctor(study(tmp_path, n=24), "--set", "ablation.jobs=999")
    assert result.exit_code == 0
    assert lines(result, "cohort")[0].startswith("warn")
    assert any(line.startswith("warn") for line in lines(result, "device"))


def test_one_unreadable_image_is_a_warning(tmp_path: Path) -> None:
    config = study(tmp_path)
    (tmp_path / "images" / "ISIC_0000000.png").write_bytes(b"no image")
    found = lines(doctor(config), "images")[0]
    assert found.startswith("warn")
    assert "ISIC_0000000.png" in found


def test_a_damaged_store_is_found(tmp_path: Path) -> None:
    from store_example import batch, identity

    from featurestore.store.store import FeatureStore

    config = study(tmp_path)
    with FeatureStore(tmp_path / "out" / "store").writer(identity(), shard_rows=4) as writer:
        writer.append(*batch(range(8)))
    assert "8 images of resnet18" in lines(doctor(config), "store")[0]
    shard = next((tmp_path / "out" / "store").glob("encoders/*/shards/*.h5"))
    shard.write_bytes(shard.read_bytes()[:-3])
    result = doctor(config)
    assert result.exit_code == 1
    assert "1 damaged shard" in lines(result, "store")[0]


def test_a_synthetic_study_needs_no_data(tmp_path: Path) -> None:
    record = {
        "name": "made",
        "cohort": {
            "outcome": "synthetic_metastasis",
            "sources": [{"kind": "synthetic", "patients": 40}],
        },
        "extract": {"backbones": [SMALL]},
        "ablation": {"jobs": 1},
    }
    path = tmp_path / "made.yaml"
    path.write_text(yaml.safe_dump(record), encoding="utf-8")
    result = doctor(path)
    assert result.exit_code == 0, result.output
    assert "synthetic" in lines(result, "cohort")[0]


def test_one_broken_check_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fusion.start.doctor.base import Diagnosis

    monkeypatch.setattr(Diagnosis, "image_files", property(lambda _: 1 / 0))
    result = doctor(study(tmp_path))
    assert result.exit_code == 1
    assert "the check itself failed: ZeroDivisionError" in lines(result, "images")[0]
    assert lines(result, "output")[0].startswith("ok")


@pytest.mark.parametrize(
    ("own", "vision", "together"),
    [
        ("2.14.1", "0.29.2", True),
        ("2.14.0+cu130", "0.29.0+cpu", True),
        ("2.14.1", "0.28.0", False),
        ("2.14.1", "not installed", False),
    ],
)
def test_torch_and_torchvision_must_be_of_one_line(own: str, vision: str, together: bool) -> None:
    assert _matches(own, vision) is together


def test_the_nearest_existing_folder(tmp_path: Path) -> None:
    assert existing_parent(tmp_path / "a" / "b") == tmp_path
    assert existing_parent(tmp_path) == tmp_path


def test_the_real_isic_study(tmp_path: Path) -> None:
    if not (SHARED / "isic2017").exists():
        pytest.skip(f"needs the real data in {SHARED}")
    config = ROOT / "configs" / "isic2017.yaml"
    found = list(examine(config, ["ablation.jobs=1"], SHARED, tmp_path))
    by_check = {e.check: e.finding for e in found}
    assert by_check["cohort"].status == "ok"
    assert "2,150 patients, 404 with" in by_check["cohort"].text
    assert by_check["images"].status == "ok"
