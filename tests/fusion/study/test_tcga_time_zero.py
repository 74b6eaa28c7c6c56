"""The counts of docs/time_zero.md from the files themselves, and through the product."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
from locations import ROOT, SHARED

from featurestore.cohort.tables import Cohort
from featurestore.config import load_config
from featurestore.outcomes import ENTRY, TIME
from fusion.config import RunConfig
from fusion.study.study import Study

CONFIG = ROOT / "configs" / "tcga_hif_survival.yaml"
CBIOPORTAL = SHARED / "tcga_skcm" / "cbioportal_skcm_tcga_clinical_480x90.tsv"
SLIDES = SHARED / "hif2gene" / "skcm.hifs.csv"
pytestmark = pytest.mark.skipif(
    not (CBIOPORTAL.is_file() and SLIDES.is_file()),
    reason="needs the TCGA tables in ../shared/data, which are not part of this",
)
DAY = "Submitted tumor dx days to"


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    table = pd.read_csv(CBIOPORTAL, sep="\t", usecols=["Patient ID", "Sample Type", DAY])
    return table.rename(columns={"Patient ID": "patient", "Sample Type": "type", DAY: "day"})


def test_who_was_sampled_only_at_a_metastasis_and_when(samples: pd.DataFrame) -> None:
    """362 patients, a median of 713 days after diagnosis; published notes say 366 and 689."""
    primary = set(samples.loc[samples["type"] == "Primary", "patient"])
    only = samples[~samples["patient"].isin(primary)].drop_duplicates("patient")
    assert (samples["patient"].nunique(), len(only)) == (471, 362)
    assert (only["day"].notna().sum(), only["day"].median()) == (349, 713.0)
    metastases = samples[samples["type"] == "Metastasis"]
    assert metastases["patient"].nunique() == 369
    assert (len(metastases), metastases["day"].median()) == (371, 683.0)


def test_progression_events_that_the_slides_cannot_predict(samples: pd.DataFrame) -> None:
    """63 of 219, by the Pan-Cancer Clinical Data Resource, which stands beside the features."""
    slides = pd.read_csv(
        SLIDES, encoding="utf-8-sig", usecols=["case", "pfi", "pfi_time"]
    ).drop_duplicates("case")
    days = samples.groupby("patient")["day"].first()
    events = slides[slides["pfi"] == 1]
    day = events["case"].map(days)
    assert (len(slides), len(events)) == (326, 219)
    assert int((events["pfi_time"] <= day).sum()) == 63
    assert int((events["pfi_time"] < day).sum()) == 55


def cohort_of(outcome: str, out: Path) -> Cohort:
    """The patients whose slides are there; of the slides themselves nothing is read."""
    bare = ["embeddings=[]", "cohort.require_images=false", f"cohort.outcome={outcome}"]
    cohort = Study.open(CONFIG, out, SHARED, bare).source_cohort
    cases = set(pd.read_csv(SLIDES, encoding="utf-8-sig", usecols=["case"])["case"])
    people, left = cohort.patients, cohort.exclusions
    left = left[(left["entity"] == "patient") & left["id"].isin(cases)]
    images = cohort.images[cohort.images["patient_id"].isin(cases)]
    people = people[people["patient_id"].isin(cases)]
    return dataclasses.replace(cohort, patients=people, images=images, exclusions=left)


def test_the_product_counts_one_less(tmp_path: Path) -> None:
    """Undated progressions are left out, not free of it, and one on day 0 is none: 62 of 218."""
    asked = "{registered: progression_free_survival, entry: days_to_specimen}"
    cohort = cohort_of(asked, tmp_path)
    assert (cohort.n_patients, cohort.n_events) == (203, 152)
    assert (cohort.patients[ENTRY] < cohort.patients[TIME]).all()
    early = "observation begins at or after the end of the time"
    reasons = cohort.exclusions["reason"].str.replace(r".*: ", "", regex=True).value_counts()
    assert (reasons[early], reasons["no entry (days_to_specimen)"]) == (62, 6)
    assert cohort.dictionary["days_to_specimen"].known_on == "days_to_specimen"


def test_both_configurations_say_when_the_slides_were_taken() -> None:
    for name in ("tcga_hif.yaml", "tcga_hif_survival.yaml"):
        (slides,) = load_config(RunConfig, ROOT / "configs" / name).embeddings
        assert slides.measured == "specimen"
