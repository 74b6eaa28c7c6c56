"""`melafuse init`: what it writes loads, says why, and never overwrites."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from locations import SHARED
from propose_example import init, isic_table, own_table, pictures, text_of, written

import cli
from featurestore.cohort.assemble import build_cohort
from featurestore.config import load_config
from featurestore.errors import MelafuseError
from featurestore.sources.base import ReadContext
from fusion.config import RunConfig
from fusion.start.propose import propose


def test_isic_metadata_and_images(tmp_path: Path) -> None:
    images = pictures(tmp_path / "images", [f"ISIC_{k:07d}.jpg" for k in range(5, 35)])
    result = init(tmp_path, "--images", images, "--table", isic_table(tmp_path))
    assert result.exit_code == 0, result.output
    assert "25 image files belong to a row, 5 of 30 files do not, and 5 ids" in result.output
    config = written(tmp_path)
    assert config.cohort.outcome == "melanoma"
    assert config.cohort.require_images
    (source,) = config.cohort.sources
    assert source.model_dump(mode="json")["metadata"] == ["metadata.csv"]
    assert source.model_dump(mode="json")["images"] == ["images"]
    assert config.folds.n_folds == 5
    cohort = build_cohort(config.cohort, "mine", ReadContext(tmp_path, tmp_path / "scratch"))
    assert (cohort.n_patients, cohort.n_events) == (25, 13)
    assert "archive metadata: isic_id = ISIC_0000000" in text_of(tmp_path)


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    result = init(tmp_path, "--table", own_table(tmp_path))
    assert result.exit_code == 0, result.output
    config = written(tmp_path)
    outcome = config.cohort.find_outcome()
    assert outcome.name == "metastasis"
    assert config.extract == RunConfig.model_fields["extract"].default
    cohort = build_cohort(config.cohort, "mine", ReadContext(tmp_path, tmp_path / "scratch"))
    assert (cohort.n_patients, cohort.n_events) == (40, 14)
    assert set(cohort.patients["site"]) == {"north", "south"}
    kinds = {column.name: column.kind for column in cohort.dictionary}
    assert kinds == {
        "age": "numeric",
        "sex": "nominal",
        "breslow": "numeric",
        "follow_up_months": "numeric",
        "relapse": "binary",
    }
    assert cohort.dictionary["breslow"].group == "histopathology"
    assert cohort.dictionary["breslow"].unit == "mm"
    used = {column.name for column in cohort.dictionary.features()}
    assert used == {"age", "sex", "breslow"}
    text = text_of(tmp_path)
    assert "Remarks: text of 40 different values" in text
    assert "Visit: dates" in text
    assert "Country: the same value everywhere" in text
    assert "withheld: relapse" in text
    assert "patient ids are in 'Patient ID', by its name" in text


def test_row_order_changes_nothing(tmp_path: Path) -> None:
    path = own_table(tmp_path)
    out = tmp_path / "mine.yaml"
    first = propose([path], [], out).text
    pd.read_csv(path, dtype=str).sample(frac=1, random_state=1).to_csv(path, index=False)
    assert propose([path], [], out).text == first


def test_an_outcome_that_cannot_be_guessed_is_left_to_the_user(tmp_path: Path) -> None:
    path = tmp_path / "plain.csv"
    path.write_text("id,age,height\n" + "".join(f"a{k},{k},{k % 7}\n" for k in range(30)))
    result = init(tmp_path, "--table", path)
    assert result.exit_code == 0, result.output
    assert "COULD NOT BE GUESSED" in result.output
    config = written(tmp_path)
    assert config.cohort.find_outcome().name == "outcome"
    with pytest.raises(MelafuseError, match="REPLACE_ME"):
        build_cohort(config.cohort, "mine", ReadContext(tmp_path, tmp_path / "scratch"))


def test_a_table_that_cannot_be_read_is_proposed_with_its_problem(tmp_path: Path) -> None:
    own_table(tmp_path)
    table = pd.read_csv(tmp_path / "patients.csv", dtype=str)
    pd.concat([table, table[:1]]).to_csv(tmp_path / "patients.csv", index=False)
    result = init(tmp_path, "--table", tmp_path / "patients.csv")
    assert result.exit_code == 0, result.output
    assert "PROBLEM table (patients.csv): duplicate patient id" in result.output
    assert "PROBLEM: duplicate patient id" in text_of(tmp_path)
    assert written(tmp_path).cohort.sources


def test_what_is_no_table_is_named(tmp_path: Path) -> None:
    page = tmp_path / "page.csv"
    page.write_text("<html>Please sign in</html>", encoding="utf-8")
    result = init(tmp_path, "--table", page, "--table", own_table(tmp_path))
    assert result.exit_code == 0, result.output
    assert "HTML or XML page" in result.output
    assert "HTML or XML page" in text_of(tmp_path)
    alone = init(tmp_path / "..", "--table", page)
    assert alone.exit_code != 0
    assert "no table can be used" in str(alone.exception)


def test_isic_metadata_without_images_is_one_error(tmp_path: Path) -> None:
    result = init(tmp_path, "--table", isic_table(tmp_path))
    assert "ISIC metadata needs --images FOLDER" in str(result.exception)
    assert not (tmp_path / "mine.yaml").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = own_table(tmp_path)
    assert init(tmp_path, "--table", path).exit_code == 0
    (tmp_path / "mine.yaml").write_text("mine: true\n", encoding="utf-8")
    result = init(tmp_path, "--table", path)
    assert "exists and is not overwritten" in str(result.exception)
    assert (tmp_path / "mine.yaml").read_text(encoding="utf-8") == "mine: true\n"


def test_a_table_is_required() -> None:
    result = CliRunner().invoke(cli.cli, ["init"])
    assert result.exit_code == 2
    assert "--table" in result.output


WILD = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


NAMES = st.text(WILD, max_size=12).filter(lambda name: name != "patient")


TEXTS = ("", "yes", "no", "1", "0", "2.5", "NA", "a: b", "#", "- ", "{", "line\nbreak")


CELLS = st.one_of(st.text(WILD, max_size=8), st.sampled_from(TEXTS))


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    names=st.lists(NAMES, min_size=2, max_size=6, unique_by=str.strip),
    rows=st.lists(st.lists(CELLS, min_size=6, max_size=6), min_size=2, max_size=8),
)
def test_any_table_gives_a_loadable_config_or_one_line(
    tmp_path: Path, names: list[str], rows: list[list[str]]
) -> None:
    table = pd.DataFrame([row[: len(names)] for row in rows], columns=names)
    table.insert(0, "patient", [f"p{k}" for k in range(len(table))])
    path = tmp_path / "wild.csv"
    path.write_bytes(table.to_csv(index=False).encode("utf-8", errors="replace"))
    out = tmp_path / "wild.yaml"
    try:
        text = propose([path], [], out).text
    except MelafuseError as error:
        message = str(error)
        assert "\n" not in message
        return
    out.write_bytes(text.encode("utf-8"))
    assert load_config(RunConfig, out).cohort.sources


def test_the_real_tcga_supplement(tmp_path: Path) -> None:
    path = SHARED / "tcga_skcm" / "cell2015_skcm_subtype_333x112.csv"
    if not path.exists():
        pytest.skip(f"needs the real data in {SHARED}")
    result = init(tmp_path, "--table", path)
    assert result.exit_code == 0, result.output
    outcome = written(tmp_path).cohort.find_outcome()
    assert "regional_vs_primary" in outcome.denied(["regional_vs_primary"])
    assert "266 with, 67 without" in text_of(tmp_path)


def test_the_real_challenge_files(tmp_path: Path) -> None:
    folder = SHARED / "isic2017"
    if not folder.exists():
        pytest.skip(f"needs the real data in {SHARED}")
    result = init(
        tmp_path,
        *("--images", folder / "ISIC-2017_Training_Data"),
        *("--table", folder / "ISIC-2017_Training_Classes.csv"),
        *("--table", folder / "ISIC-2017_Training_Data_metadata.csv"),
    )
    assert result.exit_code == 0, result.output
    assert "2,000 image files belong to a row, 0 of 2,000 files do not" in result.output
    assert written(tmp_path).cohort.outcome == "melanoma"
