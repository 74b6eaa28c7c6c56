"""Weights are found, or not, without asking a network."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import timm
from locations import ROOT

from extractor.config import BackboneConfig
from extractor.offline import locate_weights
from featurestore.errors import ConfigError


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_weights_that_must_be_downloaded_are_said_to_be(
    tmp_path: Path, no_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extractor.offline.try_to_load_from_cache", lambda *_: None)
    place = locate_weights(BackboneConfig(name="resnet18"), 0, tmp_path)
    assert (place.state, place.dimension) == ("download", 512)
    assert "it needs a network once" in place.advice
    with pytest.raises(ConfigError, match="did you mean"):
        locate_weights(BackboneConfig(name="resnet1"), 0, tmp_path)


def test_a_weights_file_is_loaded_to_be_sure(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    config = BackboneConfig(name="resnet18", weights=path.name, image_size=64)
    safetensors.torch.save_file(timm.create_model("resnet18").state_dict(), path)
    assert locate_weights(config, 0, tmp_path).state == "here"
    path.write_bytes(path.read_bytes()[:1000])
    assert locate_weights(config, 0, tmp_path).state == "missing"


@pytest.mark.slow
def test_cached_hub_weights_are_found_without_a_network(tmp_path: Path) -> None:
    own = timm.get_pretrained_cfg("resnet18")
    hub = tmp_path / "hub" / f"models--{own.hf_hub_id.replace('/', '--')}"
    (hub / "refs").mkdir(parents=True)
    (hub / "refs" / "main").write_text("0" * 40)
    snapshot = hub / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    safetensors.torch.save_file(
        timm.create_model("resnet18").state_dict(), snapshot / "model.safetensors"
    )
    code = (
        "from pathlib import Path; from extractor.config import BackboneConfig;"
        "from extractor.offline import locate_weights;"
        "print(locate_weights(BackboneConfig(name='resnet18', image_size=64), 0, Path()).state)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"HF_HOME": str(tmp_path), "PATH": "", "HTTPS_PROXY": "http://127.0.0.1:9"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "here", done.stderr
