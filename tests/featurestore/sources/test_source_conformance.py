"""Every registered source passes the suite that plug-ins pass."""

from __future__ import annotations

import pytest

from featurestore.sources import SOURCES
from fusion.testing import SourceSuite
from fusion.testing.sources import SourceExample

# One example a source: a config, and files that it may need.
EXAMPLES: dict[str, tuple[dict[str, object], dict[str, str]]] = {
    "isic": (
        {"metadata": ["m.csv"], "images": ["img"]},
        {
            "m.csv": "isic_id,patient_id,lesion_id,age_approx,sex,benign_malignant,attribution\n"
            "I1,IP_1,IL_1,50,male,benign,A\nI2,IP_1,IL_2,unknown,female,malignant,A\n"
            "I3,,,45,,benign,\nI4,,,45,male,benign,\n"
        },
    ),
    "collection": (
        {"name": "pad-ufes-20", "tables": ["m.csv"], "images": ["img"]},
        {
            "m.csv": "img_id,patient_id,lesion_id,diagnostic,biopsed,age,gender,itch,fitspatrick\n"
            "I1.png,P1,1,MEL,True,50,MALE,True,2.0\nI2.png,P1,2,NEV,False,51,MALE,UNK,2.0\n"
            "I3.png,P2,3,ODD,True,x,FEMALE,False,\nI4.png,P3,4,BCC,True,70,,False,9\n"
        },
    ),
    "table": (
        {
            "path": "t.csv",
            "id": "id",
            "site": "hospital",
            "columns": {
                "age": {"source": "age"},
                "sex": {"source": "sex", "kind": "nominal"},
                "ulceration": {"source": "u", "kind": "binary"},
                "stage": {"source": "st", "kind": "ordinal", "levels": ["I", "II"]},
            },
            "labels": {"melanoma": "mm"},
            "images": {"image_id": "img", "pattern": "{image_id}.png", "folder": "img"},
        },
        {
            "t.csv": "img,id,hospital,age,sex,u,st,mm\n"
            "I1,P1,A,50,m,yes,I,1\nI2,P1,A,51,m,yes,II,0\n"
            "I3,P2,,x,f,NA,NA,0\nI4,P3,B,70,,no,I,0\n"
        },
    ),
    # Invented rows in the formats of TCGA downloads.
    "cbioportal": (
        {"clinical": ["c.tsv"], "mutations": "m.maf", "expression": "e.tsv", "genes": ["BRAF"]},
        {
            "c.tsv": "Patient ID\tSample ID\tDiagnosis Age\tSex\tbreslow depth\tSample Type\tZ\n"
            "TCGA-XX-0001\tTCGA-XX-0001-01\t50\tMale\t1.5\tPrimary\tq\n"
            "TCGA-XX-0001\tTCGA-XX-0001-06\t50\tMale\t1.5\tMetastasis\tq\n"
            "TCGA-XX-0002\tTCGA-XX-0002-06\tNA\tFemale\tdeep\tMetastasis\tq\n"
            "TCGA-YY-0003\tTCGA-YY-0003-06\t61\tFemale\t2\tMetastasis\tq\n",
            "m.maf": "Hugo_Symbol\tTumor_Sample_Barcode\tVariant_Classification\n"
            "BRAF\tTCGA-XX-0001-01A-11D-A000-08\tMissense_Mutation\n"
            "NRAS\tTCGA-XX-0002-06A-11D-A000-08\tMissense_Mutation\n",
            "e.tsv": "Hugo_Symbol\tEntrez_Gene_Id\tTCGA-XX-0001-01\tTCGA-YY-0003-06\n"
            "MITF\t1\t1023\t7\nTYR\t2\t0\t3\n",
        },
    ),
    "xena": (
        {"clinical": "c.tsv", "expression": "e.tsv", "survival": "s.tsv"},
        {
            "s.tsv": "sample\t_PATIENT\tOS\tOS.time\nTCGA-XX-0001-01\tTCGA-XX-0001\t1\t90\n"
            "TCGA-XX-0002-06\tTCGA-XX-0002\t0\t\n",
            "c.tsv": "sampleID\tgender\tpathologic_N\tbreslow_depth_value\tsample_type\n"
            "TCGA-XX-0001-01\tMALE\tN1a\t1.5\tPrimary Tumor\n"
            "TCGA-XX-0001-06\tMALE\tN1a\t1.5\tMetastatic\n"
            "TCGA-XX-0002-06\tFEMALE\tNX\t\tMetastatic\n"
            "TCGA-XX-0003-11\tFEMALE\tN0\t2\tSolid Tissue Normal\n",
            "e.tsv": "sample\tTCGA-XX-0001-01\tTCGA-XX-0002-06\nMITF\t10\t3\nTYR\t0\t2\n",
        },
    ),
    "gdc": (
        {"clinical": "c.tsv", "pathology": "p.tsv"},
        {
            "c.tsv": "cases.submitter_id\tdemographic.sex_at_birth\tdiagnoses.age_at_diagnosis\t"
            "diagnoses.ajcc_pathologic_t\tdiagnoses.diagnosis_is_primary_disease\n"
            "TCGA-XX-0001\tmale\t18262\tT3a\ttrue\n"
            "TCGA-XX-0001\tmale\t20000\t'--\tfalse\n"
            "TCGA-XX-0002\tfemale\t'--\tT1\ttrue\n"
            "TCGA-XX-0002\tfemale\t'--\tT2\ttrue\n",
            "p.tsv": "cases.submitter_id\tpathology_details.breslow_thickness\n"
            "TCGA-XX-0001\t2.5\nTCGA-XX-0002\t'--\n",
        },
    ),
    "biotab": (
        {"patient": "p.txt", "new_tumor_events": "n.txt"},
        {
            "p.txt": "bcr_patient_barcode\tgender\tajcc_nodes_pathologic_pn\tvital_status\t"
            "last_contact_days_to\tnew_tumor_event_dx_indicator\n"
            "bcr_patient_barcode\tgender\tpathologic_N\tvital_status\t"
            "days_to_last_followup\tnew_tumor_event_after_initial_treatment\n"
            "CDE_ID:1\tCDE_ID:2\tCDE_ID:3\tCDE_ID:4\tCDE_ID:5\tCDE_ID:6\n"
            "TCGA-XX-0001\tMALE\tN1a\tAlive\t100\tYES\n"
            "TCGA-XX-0002\tFEMALE\tN0\tDead\t[Not Available]\tNO\n"
            "TCGA-XX-0003\tFEMALE\tN17\tAlive\t900\tYES\n",
            "n.txt": "bcr_patient_barcode\tnew_tumor_event_dx_days_to\tnew_tumor_event_type\n"
            "bcr_patient_barcode\tdays_to_new_tumor_event_after_initial_treatment\t"
            "new_neoplasm_event_type\nCDE_ID:1\tCDE_ID:2\tCDE_ID:3\n"
            "TCGA-XX-0001\t50\tDistant Metastasis\nTCGA-XX-0003\t70\tRegional lymph node\n",
        },
    ),
    "tcga_cdr": (
        {"path": "cdr.tsv"},
        {
            "cdr.tsv": "bcr_patient_barcode\ttype\tgender\tvital_status\ttumor_status\t"
            "OS\tOS.time\n"
            "TCGA-XX-0001\tSKCM\tMALE\tDead\tWITH TUMOR\t1\t400\n"
            "TCGA-XX-0002\tSKCM\tFEMALE\tAlive\tTUMOR FREE\t0\t#N/A\n"
            "TCGA-XX-0003\tSKCM\tunheard\tAlive\t[Discrepancy]\t0\t90\n",
        },
    ),
    "synthetic": ({"patients": 40, "image_pixels": [64, 80], "genes": 24}, {}),
}


HEADER_LINES = {"biotab": 3}
WITH_IMAGES = {"collection", "isic", "synthetic", "table"}
PICTURES = tuple(f"img/{name}.png" for name in ("I1", "I2", "I3", "stranger"))


def test_every_source_has_an_example() -> None:
    assert EXAMPLES.keys() == SOURCES.keys()


class TestSource(SourceSuite):
    @pytest.fixture(params=list(SOURCES), scope="class")
    @classmethod
    def kind(cls, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture(scope="class")
    @classmethod
    def example(cls, kind: str) -> SourceExample:
        return SourceExample(
            *EXAMPLES[kind],
            pictures=PICTURES,
            has_images=kind in WITH_IMAGES,
            header_lines=HEADER_LINES.get(kind, 1),
            synthetic=kind == "synthetic",
        )


class TestPh2(SourceSuite):
    """A collection by its workbook, whose labels and colours are crosses."""

    source = "collection"
    shown = SourceExample(
        {"name": "ph2", "tables": ["m.csv"], "images": ["img"]},
        {
            "m.csv": "Image Name,Histological Diagnosis,Common Nevus,Atypical Nevus,Melanoma,"
            "Asymmetry (0/1/2),Streaks (A/P),White,Blue-Gray\n"
            "I1,,X,,,0,A,,X\nI2,,,X,,1,P,,\nI3,Melanoma,,,X,2,?,X,X\nI4,,X,,,0,A,,\n"
        },
        pictures=PICTURES,
        has_images=True,
    )
