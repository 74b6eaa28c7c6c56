"""Times to death and progression by the rules of TCGA-CDR, against its own table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from locations import SHARED

from featurestore.errors import DataError
from featurestore.sources.base import NO_IMAGES, ReadContext, SourceTables
from featurestore.sources.biotab import BiotabSource
from featurestore.sources.cbioportal import CbioportalSource
from featurestore.sources.survival import with_survival
from featurestore.sources.tcga_cdr import TcgaCdrSource
from featurestore.sources.xena import XenaSource
from featurestore.tables import DataDictionary, exclusions_table
from featurestore.tables.vocabulary import VOCABULARY

N = np.nan
INPUTS = (
    "vital_status",
    "tumour_status",
    "days_to_death",
    "days_to_last_followup",
    "new_tumor_event",
    "days_to_new_tumor_event",
)
MADE = ["os_event", "os_days", "dss_event", "dss_days", "pfi_event", "pfi_days"]
# inputs -> what is made
PEOPLE = {
    "alive": ((0, 0, N, 900, 0, N), (0, 900, 0, 900, 0, 900)),
    "died of it": ((1, 1, 700, N, 0, N), (1, 700, 1, 700, 1, 700)),
    "died of another cause": ((1, 0, 700, N, 0, N), (1, 700, 0, 700, 0, 700)),
    "died of what is not known": ((1, N, 700, N, 0, N), (1, 700, N, 700, N, 700)),
    "progressed": ((0, 1, N, 900, 1, 200), (0, 900, 0, 900, 1, 200)),
    "progressed on a day not known": ((0, 0, N, 900, 1, N), (0, 900, 0, 900, 1, N)),
    "so, and died of it": ((1, 1, 700, 650, 1, N), (1, 700, 1, 700, 1, 700)),
    "nothing known": ((N, N, N, 900, N, N), (N, 900, N, 900, N, 900)),
}


@pytest.mark.parametrize("name", PEOPLE)
def test_rules(name: str) -> None:
    given, expected = PEOPLE[name]
    patients = pd.DataFrame([given], columns=list(INPUTS), dtype=float).assign(patient_id="p")
    dictionary = DataDictionary(VOCABULARY[c].column for c in INPUTS)
    tables = SourceTables(NO_IMAGES, patients, dictionary, exclusions_table())
    made = with_survival(tables)
    np.testing.assert_array_equal(made.patients[MADE].iloc[0], expected)
    assert [c.name for c in made.dictionary][len(INPUTS) :] == MADE
    assert all(made.dictionary[name].measured == "follow_up" for name in MADE)
    pd.testing.assert_frame_equal(with_survival(made).patients, made.patients)


def test_what_cannot_be_made_is_not() -> None:
    patients = pd.DataFrame({"patient_id": ["p"], "vital_status": [1.0]})
    dictionary = DataDictionary([VOCABULARY["vital_status"].column])
    made = with_survival(SourceTables(NO_IMAGES, patients, dictionary, exclusions_table()))
    assert made.dictionary.names == ["vital_status", "os_event"]


def test_months_of_cbioportal_become_the_days_that_they_were(tmp_path: Path) -> None:
    days = np.arange(1, 400)
    rows = [
        f"TCGA-XX-{k:04d}\t0:LIVING\t{k / 30.44:.2f}\t1:DEAD WITH TUMOR\t{k / 30.44:.2f}\t"
        f"0:CENSORED\t{k / 30.44:.2f}"
        for k in days
    ]
    header = "PATIENT_ID\tOS_STATUS\tOS_MONTHS\tDSS_STATUS\tDSS_MONTHS\tPFS_STATUS\tPFS_MONTHS"
    (tmp_path / "c.tsv").write_text("\n".join([header, *rows]) + "\n")
    source = CbioportalSource(clinical=(Path("c.tsv"),))
    patients = source.read(ReadContext(tmp_path, tmp_path)).patients
    for name in ("os_days", "dss_days", "pfi_days"):
        np.testing.assert_array_equal(patients[name], days)
    assert patients[["os_event", "dss_event", "pfi_event"]].iloc[0].tolist() == [0, 1, 0]


def test_the_survival_table_of_xena_counts(tmp_path: Path) -> None:
    (tmp_path / "c.tsv").write_text(
        "sampleID\tvital_status\tdays_to_death\tdays_to_last_followup\n"
        "TCGA-XX-0001-06\tLIVING\t\t100\nTCGA-XX-0002-01\tDECEASED\t50\t\n"
    )
    (tmp_path / "s.txt").write_text(
        "sample\t_PATIENT\tOS\tOS.time\tDSS\tDSS.time\tDFI\tDFI.time\tPFI\tPFI.time\tRedaction\n"
        "TCGA-XX-0001-06\tTCGA-XX-0001\t1\t400\t1\t400\t\t\t1\t90\t\n"
        "TCGA-XX-0002-01\tTCGA-XX-0002\t1\t50\t\t50\t\t\t0\t50\t\n"
    )
    source = XenaSource(clinical=Path("c.tsv"), survival=Path("s.txt"))
    patients = source.read(ReadContext(tmp_path, tmp_path)).patients
    np.testing.assert_array_equal(patients[MADE], [[1, 400, 1, 400, 1, 90], [1, 50, N, 50, 0, 50]])
    with pytest.raises(DataError, match=r"is not a Xena survival table"):
        XenaSource(clinical=Path("c.tsv"), survival=Path("c.tsv")).read(
            ReadContext(tmp_path, tmp_path)
        )


def test_rows_of_other_cancers_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "cdr.csv").write_text(
        "bcr_patient_barcode,type,gender,vital_status,OS,OS.time,PFI,PFI.time\n"
        "TCGA-XX-0001,SKCM,MALE,Dead,1,400,#N/A,#N/A\n"
        "TCGA-YY-0002,BRCA,FEMALE,Alive,0,90,0,90\n"
    )
    tables = TcgaCdrSource(path=Path("cdr.csv")).read(ReadContext(tmp_path, tmp_path))
    assert tables.patients["patient_id"].tolist() == ["TCGA-XX-0001"]
    assert tables.patients["pfi_event"].isna().all()
    assert tables.notes == ("cdr.csv: 1 row of other cancers left out.",)
    with pytest.raises(DataError, match="no row of the cancer type 'UVM'"):
        TcgaCdrSource(path=Path("cdr.csv"), cancer="UVM").read(ReadContext(tmp_path, tmp_path))


@pytest.mark.skipif(
    not (SHARED / "hif2gene").is_dir(), reason="needs ../shared/data, which is not part of this"
)
def test_biotab_gives_what_the_resource_says() -> None:
    """Of 326 patients; the resource was frozen before some of the follow-up came in."""
    context = ReadContext(SHARED, SHARED)
    folder = Path("tcga_skcm/gdc_biotab")
    own = BiotabSource(
        patient=folder / "gdc_clinical_patient_skcm.txt",
        new_tumor_events=folder / "gdc_clinical_nte_skcm.txt",
        follow_up=(folder / "gdc_clinical_follow_up_v2.0_skcm.txt",),
    ).read(context)
    cdr = TcgaCdrSource(path=Path("hif2gene/skcm.hifs.csv")).read(context)
    assert len(cdr.patients) == 326
    assert cdr.patients["os_event"].sum() == 141
    ours, theirs = (t.patients.set_index("patient_id")[MADE] for t in (own, cdr))
    pairs = theirs.join(ours.add_suffix("_own"))
    both = {n: pairs[[n, f"{n}_own"]].dropna() for n in MADE}
    same = {n: int((v[n] == v[f"{n}_own"]).sum()) for n, v in both.items()}
    assert {n: len(v) - same[n] for n, v in both.items()} == {
        "os_event": 1,
        "os_days": 6,
        "dss_event": 1,
        "dss_days": 6,
        "pfi_event": 47,
        "pfi_days": 8,
    }
    table = (Path("tcga_skcm/cbioportal_skcm_tcga_clinical_480x90.tsv"),)
    portal = CbioportalSource(clinical=table).read(context).patients.set_index("patient_id")
    days = own.patients.set_index("patient_id")[["os_days"]].join(
        portal["os_days"].rename("portal")
    )
    far = (days["os_days"] - days["portal"]).abs().dropna()
    # Reports of six patients differ; one time before diagnosis is no plausible number of months.
    assert (len(far), (far == 0).sum()) == (460, 454)
    # Progression without a day: the resource counts it as not seen.
    differ = both["pfi_event"].query("pfi_event != pfi_event_own").index
    assert ours.loc[differ, "pfi_days"].isna().all()
