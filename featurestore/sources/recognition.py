"""Says which format a file looks like, from its first rows.

Readers use it to say what they were given instead of what they read, and `melafuse init` to find
the source that reads a file. A new format is one `Format` and one line in `FORMATS`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

from featurestore.errors import DataError, name_some
from featurestore.sources.collections import COLLECTIONS, Collection
from featurestore.sources.isic_layouts import ISIC_ID, find_layout, headerless
from featurestore.tables import TableHead, read_head
from featurestore.tables.barcodes import parse_barcode

_FORM = re.compile(r"sample[\s_-]*submission", re.IGNORECASE)
"""Name of a challenge's form for predictions, whose columns are those of its ground truth."""

_ENSEMBL = re.compile(r"ENS[A-Z]*G\d{11}(?:\.\d+)?(?:_PAR_Y)?", re.IGNORECASE)
MAIN_ROLES = {
    "cbioportal": "clinical",
    "gdc": "clinical",
    "xena": "clinical",
    "biotab": "patient",
    "isic": "metadata",
    "collection": "tables",
    "tcga_cdr": "path",
    "table": "path",
}
"""Key that a source of each kind cannot be read without."""

_GENES = ("hugo_symbol", "entrez_gene_id", "gene", "gene_id", "gene_name", "ensembl_id", "sample")


@dataclasses.dataclass(frozen=True)
class Format:
    """One format that people download.

    Attributes:
        kind: Kind of the source that reads it; empty if none does.
        role: Key of that source which the file belongs under; empty if none does.
        name: Name for people, with an article.
        sign: Says by what the beginning of a file shows this format; empty if it does not.
        collection: Name of the collection that it belongs to, if any.
    """

    kind: str
    role: str
    name: str
    sign: Callable[[TableHead], str]
    collection: str = ""


@dataclasses.dataclass(frozen=True)
class FormatGuess:
    """What a file looks like.

    Attributes:
        kind: Kind of the source that reads it (`cohort.sources[].kind`); empty if none does.
        role: Key of that source which the file belongs under; empty if none does.
        name: Name for people, with an article.
        why: What in the file shows it.
        collection: Name of the collection that it belongs to, if any.
    """

    kind: str
    role: str
    name: str
    why: str
    collection: str = ""

    @property
    def is_read(self) -> bool:
        """Whether a source reads this format."""
        return self.kind != ""


def guess_format(path: Path) -> FormatGuess | None:
    """Recognises the format of a file from its first rows.

    Returns:
        The first format of `FORMATS` that fits, or None for what is no table or cannot be read.
    """
    try:
        head = read_head(path)
    except DataError:
        return None
    return guess_head(head)


def is_form(path: Path) -> bool:
    """Whether a file is a challenge's form for predictions: its labels are placeholders."""
    return _FORM.search(path.name) is not None


def guess_head(head: TableHead) -> FormatGuess | None:
    """Recognises the format of a file by the beginning that was read of it."""
    for known in FORMATS:
        why = known.sign(head)
        if why:
            return FormatGuess(known.kind, known.role, known.name, why, known.collection)
    return None


def _has(*names: str, any_of: tuple[str, ...] = ()) -> Callable[[TableHead], str]:
    """Sign: all `names`, and one of `any_of` where given, are columns; case counts."""

    def sign(head: TableHead) -> str:
        columns = set(head.header)
        found = [name for name in any_of if name in columns]
        if not columns.issuperset(names) or (any_of and not found):
            return ""
        return f"columns {', '.join([*names, *found[:2]])}"

    return sign


def _prefixed(key: str, *prefixes: str) -> Callable[[TableHead], str]:
    """Sign: column `key`, and columns that start with each prefix."""

    def sign(head: TableHead) -> str:
        found = [next((c for c in head.header if c.startswith(p)), "") for p in prefixes]
        return f"columns {', '.join([key, *found])}" if key in head.header and all(found) else ""

    return sign


def _reversed_names(head: TableHead) -> str:
    """GDC hub of Xena: `age_at_index.demographic` for `demographic.age_at_index`."""
    ends = (".demographic", ".diagnoses", ".samples", ".exposures", ".annotations")
    found = [c for c in head.header if c.endswith(ends)]
    return f"names such as {name_some(found, 2)}" if len(found) > 1 else ""


def _biotab(*needed: str) -> Callable[[TableHead], str]:
    """Sign: patient barcodes, a row of CDE ids below the header, and one of `needed`."""

    def sign(head: TableHead) -> str:
        if "bcr_patient_barcode" not in head.header:
            return ""
        coded = any(c.startswith("CDE_ID:") for row in head.rows[:3] for c in row)
        found = [name for name in needed if name in head.header]
        return f"a row of CDE ids, and the column {found[0]}" if coded and found else ""

    return sign


def _study_table(head: TableHead) -> str:
    """Study files: `#` lines with display names, types and priorities, then upper-case names."""
    if "PATIENT_ID" not in head.header:
        return ""
    other = [c for c in head.header if c and c == c.upper() and c != "PATIENT_ID"]
    if head.comments and any(line.startswith("#") for line in head.comments):
        return f"{len(head.comments)} lines of # and the column PATIENT_ID"
    return f"columns PATIENT_ID, {name_some(other, 2)}" if other else ""


def _study_samples(head: TableHead) -> str:
    why = _study_table(head)
    return f"{why}, SAMPLE_ID" if why and "SAMPLE_ID" in head.header else ""


def _meta_file(head: TableHead) -> str:
    lines = [",".join(head.header), *(",".join(row) for row in head.rows)]
    keys = [line.partition(":")[0] for line in lines]
    known = {"cancer_study_identifier", "genetic_alteration_type", "data_filename"}
    return f"keys {', '.join(sorted(known.intersection(keys)))}" if known & {*keys} else ""


def _barcode_columns(head: TableHead) -> list[str]:
    """Columns named by a barcode, if they are the rule after the columns that name genes."""
    columns = [c for c in head.header[1:] if c.casefold() not in _GENES]
    found = [c for c in columns if parse_barcode(c) is not None]
    return found if found and len(found) >= 0.8 * len(columns) else []


def _cells(head: TableHead, columns: list[str]) -> list[str]:
    places = [k for k, name in enumerate(head.header) if name in set(columns)]
    return [
        row[k] for row in head.rows for k in places if k < len(row) and row[k] not in ("", "NA")
    ]


def _copy_numbers(head: TableHead) -> str:
    """Discrete copy numbers stand in the same layout as expression, but are -2 … 2."""
    if not {"Hugo_Symbol", "Entrez_Gene_Id"}.intersection(head.header):
        return ""
    levels = set(_cells(head, _barcode_columns(head)))
    steps = {"-2", "-1.5", "-1", "0", "1", "2"}
    return f"only the values {', '.join(sorted(levels))}" if {"-1"} <= levels <= steps else ""


def _matrix(*first: str) -> Callable[[TableHead], str]:
    """Sign: one row a gene, barcodes as columns, and a column of `first` (in any case)."""

    def sign(head: TableHead) -> str:
        barcodes = _barcode_columns(head)
        lower = {c.casefold(): c for c in head.header if c not in barcodes}
        found = [lower[name] for name in first if name in lower]
        if not barcodes or not (found or not first):
            return ""
        rows = f"genes in rows ({found[0]})" if found else "one row a gene"
        return f"{rows}, samples in columns ({name_some(barcodes, 2)})"

    return sign


def _count_matrix(head: TableHead) -> str:
    barcodes = _barcode_columns(head)
    genes = [row[0] for row in head.rows if row and _ENSEMBL.fullmatch(row[0])]
    cells = _cells(head, barcodes)
    if not barcodes or not genes or not cells or not all(c.isdigit() for c in cells):
        return ""
    return f"Ensembl genes in rows ({genes[0]}), whole numbers for {name_some(barcodes, 2)}"


def _isic(head: TableHead) -> str:
    """A layout of the archive or a challenge, with ids as the archive gives them."""
    if headerless(head.header, head.rows) is not None:
        return f"ISIC-2016 ground truth without a header: {', '.join(head.header)}"
    found = find_layout(head.header)
    if found is None:
        return ""
    place = head.header.index(found.image_id)
    ids = [row[place] for row in head.rows if place < len(row) and row[place]]
    if ids and not any(ISIC_ID.fullmatch(i) for i in ids):
        return ""
    layout = found.layout
    named = ", ".join([found.image_id, *sorted(layout.required)])
    return f"{layout.name}: {named}" + (f" = {ids[0]}" if ids else "")


def _of(collection: Collection) -> Callable[[TableHead], str]:
    """Sign: the columns of one of the files of a collection."""

    def sign(head: TableHead) -> str:
        role = collection.role_of(head.header)
        return f"{role}: {name_some(list(head.header), 4)}" if role else ""

    return sign


def _plain(head: TableHead) -> str:
    """Two or more named columns, and a row as long as the header; most rows are."""
    fitting = [row for row in head.rows if len(row) == len(head.header)]
    if len(head.header) < 2 or not fitting or 2 * len(fitting) <= len(head.rows):
        return ""
    if sum(bool(name) for name in head.header) < len(head.header) - 1:
        return ""
    return f"{len(head.header)} columns, none of a known format"


FORMATS: tuple[Format, ...] = (
    # BCR biotab, most particular first: follow-ups repeat the columns of the patient table.
    Format("", "", "a biotab drug table", _biotab("bcr_drug_barcode")),
    Format("", "", "a biotab radiation table", _biotab("bcr_radiation_barcode")),
    Format("", "", "a biotab table of other malignancies", _biotab("bcr_omf_barcode")),
    Format("biotab", "follow_up", "a biotab follow-up table", _biotab("bcr_followup_barcode")),
    Format(
        "biotab",
        "patient",
        "a biotab patient table",
        _biotab("birth_days_to", "gender", "age_at_diagnosis", "vital_status"),
    ),
    Format(
        "biotab",
        "new_tumor_events",
        "a biotab table of new tumour events",
        _biotab("new_tumor_event_type", "new_tumor_event_dx_days_to"),
    ),
    Format(
        "tcga_cdr",
        "path",
        "the table of TCGA-CDR",
        _has("bcr_patient_barcode", "OS", "OS.time"),
    ),
    # Collections, whose columns some mirrors spell in capitals like a cBioPortal study
    *(
        Format("collection", "tables", f"a table of {c.title}", _of(c), c.name)
        for c in COLLECTIONS.values()
    ),
    # cBioPortal
    Format(
        "cbioportal",
        "mutations",
        "a mutation annotation file (MAF)",
        _has("Hugo_Symbol", "Tumor_Sample_Barcode"),
    ),
    Format(
        "",
        "",
        "a cBioPortal timeline table",
        _has("PATIENT_ID", "EVENT_TYPE", any_of=("START_DATE", "STOP_DATE")),
    ),
    Format(
        "cbioportal",
        "clinical",
        "a cBioPortal clinical table",
        _has("Patient ID", any_of=("Study ID", "Sample ID")),
    ),
    Format("cbioportal", "clinical", "a cBioPortal study's sample table", _study_samples),
    Format("cbioportal", "clinical", "a cBioPortal study's patient table", _study_table),
    Format("", "", "a cBioPortal meta file", _meta_file),
    Format("", "", "a cBioPortal matrix of copy numbers", _copy_numbers),
    Format(
        "cbioportal",
        "expression",
        "a cBioPortal expression matrix",
        _matrix("hugo_symbol", "entrez_gene_id"),
    ),
    # GDC
    Format(
        "gdc",
        "pathology",
        "a GDC pathology-details table",
        _prefixed("cases.submitter_id", "pathology_details."),
    ),
    Format(
        "gdc",
        "clinical",
        "a GDC clinical.tsv",
        _prefixed("cases.submitter_id", "demographic."),
    ),
    Format("gdc", "clinical", "a GDC clinical.tsv", _prefixed("cases.submitter_id", "diagnoses.")),
    Format(
        "gdc",
        "clinical",
        "a GDC clinical.tsv without dotted names",
        _has(
            "case_submitter_id",
            any_of=("age_at_diagnosis", "ajcc_pathologic_t", "gender", "sex_at_birth"),
        ),
    ),
    Format(
        "gdc",
        "pathology",
        "a GDC pathology-details table without dotted names",
        _has("case_submitter_id", any_of=("pathology_detail_id", "breslow_thickness")),
    ),
    Format(
        "",
        "",
        "another table of the GDC's clinical download",
        _has(any_of=("cases.submitter_id", "case_submitter_id")),
    ),
    Format(
        "",
        "",
        "the STAR counts of one GDC sample (join them to a matrix first)",
        _has("gene_id", any_of=("unstranded", "stranded_first", "tpm_unstranded")),
    ),
    Format("gdc", "star_counts", "a matrix of STAR counts", _count_matrix),
    # UCSC Xena
    Format(
        "xena",
        "clinical",
        "a Xena clinicalMatrix",
        _has("sampleID", any_of=("_PATIENT", "sample_type", "bcr_sample_barcode", "pathologic_T")),
    ),
    Format(
        "xena",
        "survival",
        "a Xena survival table",
        _has("OS", "OS.time", any_of=("sample", "_PATIENT")),
    ),
    Format("xena", "clinical", "a Xena GDC hub phenotype table", _reversed_names),
    Format(
        "xena",
        "expression",
        "a Xena expression matrix",
        _matrix("sample", "ensembl_id", "gene", "gene_id"),
    ),
    # ISIC, after collections that use its ids
    Format("isic", "metadata", "ISIC metadata", _isic),
    # Anything else with a header
    Format("table", "path", "an expression matrix without a known name of genes", _matrix()),
    Format("table", "path", "a plain table", _plain),
)
"""The formats that are recognised; the first that fits counts."""
