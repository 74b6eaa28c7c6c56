"""What is refused, what goes along, and what a reader of the Hub is told."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click.testing
import pytest
from huggingface_hub import ModelCard

import cli
from featurestore.errors import AuditError, ConfigError, DataError
from fusion.audit.base import Hit
from fusion.bundle import read_bundle
from fusion.evidence import FinishedRun
from fusion.publish import PUBLISHERS, Publication, Wishes, prepare
from fusion.publish.hub_card import hub_card

if TYPE_CHECKING:
    from bundle_example import Fitted


def test_a_synthetic_run_is_refused(tiny: Fitted) -> None:
    with pytest.raises(ConfigError, match=r"SYNTHETIC DATA.*--anyway publishes it"):
        prepare(tiny.out, Wishes())


@pytest.mark.parametrize("audited", [True, False])
def test_a_failed_audit_is_refused(
    tiny: Fitted, audited: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fusion.publish import preparing

    whole = preparing.finished_run

    def failed(paths: Any) -> FinishedRun:
        run = whole(paths)
        audit = run.evidence.audit
        assert audit is not None
        first = dataclasses.replace(
            audit.results[0], status="fired", hits=(Hit("It fired.", severity="invalidates"),)
        )
        changed = dataclasses.replace(audit, results=(first, *audit.results[1:]))
        found = changed if audited else None
        return dataclasses.replace(run, evidence=dataclasses.replace(run.evidence, audit=found))

    monkeypatch.setattr(preparing, "finished_run", failed)
    words = "AUDIT FAILED" if audited else "No audit was made"
    with pytest.raises(AuditError, match=words) as caught:
        prepare(tiny.out, Wishes())
    assert caught.value.exit_code == 3
    found = prepare(tiny.out, Wishes(anyway=True))
    assert found.tags["audit"] == ("failed" if audited else "none")
    assert any(words in text for text in found.warnings)
    card = hub_card(found)
    assert f"> **{found.warnings[1]}**" in card
    assert ModelCard(card).data.tags == [
        "melafuse", "medical", "synthetic", "audit-failed" if audited else "audit-none",
        "published-anyway",
    ]  # fmt: skip


def test_a_bundle_of_another_run_is_refused(tiny: Fitted, times: Fitted) -> None:
    with pytest.raises(ConfigError, match="is no bundle of this run"):
        prepare(tiny.out, Wishes(bundle=times.bundle, anyway=True))


def test_a_published_bundle_is_the_bundle(whole: Publication, tiny: Fitted, tmp_path: Path) -> None:
    PUBLISHERS["hf-folder"].publish(whole, str(tmp_path))
    found = read_bundle(tmp_path / "bundle")
    assert found.digest == read_bundle(tiny.bundle).digest == whole.tags["bundle_digest"]


def test_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder of a finished run"):
        prepare(tmp_path, Wishes())


def test_the_card_is_what_the_hub_reads(publication: Publication) -> None:
    card = ModelCard(hub_card(publication))
    assert card.data.license == "cc-by-4.0"
    assert card.data.library_name == "melafuse"
    assert "roc_auc" in card.data.metrics
    assert card.data.model_name == "tiny"
    by_name = {r.metric_name: r.metric_value for r in card.data.eval_results}
    for arm in publication.arms:
        stated = [v for name, v in by_name.items() if name.startswith(f"{arm.arm}: auroc (95 % CI")]
        wanted = [arm.metrics["auroc"].value] if arm.arm in publication.bundled else []
        assert stated == wanted
    assert publication.warnings[0] in card.text
    assert "melafuse predict bundle" in card.text


def test_times_to_an_event_are_published_too(times: Fitted) -> None:
    found = prepare(times.out, Wishes(anyway=True))
    card = ModelCard(hub_card(found))
    assert found.endpoint == "time_to_event"
    assert {r.task_type for r in card.data.eval_results} == {"other"}
    assert "survival" in card.data.tags
    assert card.data.license_name == "not-chosen"
    (baseline,) = (a for a in found.arms if a.arm == found.baseline)
    assert found.headline in baseline.metrics


def test_a_place_is_looked_at_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    command = ["publish", str(tmp_path), "--to", f"hf-folder:{tmp_path / 'file'}"]
    done = click.testing.CliRunner().invoke(cli.cli, command)
    assert isinstance(done.exception, ConfigError)
    assert "is not a folder" in str(done.exception)
