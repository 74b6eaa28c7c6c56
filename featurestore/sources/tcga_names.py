"""What the Biospecimen Core Resource calls the canonical columns.

The same names stand in the second header line of biotab files and in Xena's clinicalMatrix.
"""

from __future__ import annotations

from collections.abc import Mapping

BCR_HEADERS: Mapping[str, tuple[str, ...]] = {
    "age": ("age_at_initial_pathologic_diagnosis",),
    "sex": ("gender",),
    "race": ("race",),
    "stage": ("pathologic_stage",),
    "t_stage": ("pathologic_T",),
    "n_stage": ("pathologic_N",),
    "m_stage": ("pathologic_M",),
    "breslow": ("breslow_depth_value",),
    "clark_level": ("melanoma_clark_level_value",),
    "ulceration": ("melanoma_ulceration_indicator",),
    "mitotic_rate": ("malignant_neoplasm_mitotic_count_rate",),
    "tumour_site": ("tumor_tissue_site",),
    "primary_known": ("primary_neoplasm_melanoma_dx",),
    "ldh": ("lactate_dehydrogenase_result",),
    "diagnosis_year": ("year_of_initial_pathologic_diagnosis",),
    "specimen_site": ("submitted_tumor_location",),
    "days_to_specimen": ("days_to_submitted_specimen_dx",),
    "vital_status": ("vital_status",),
    "days_to_death": ("days_to_death",),
    "days_to_last_followup": ("days_to_last_followup",),
    "new_tumor_event": ("new_tumor_event_after_initial_treatment",),
    "days_to_new_tumor_event": ("days_to_new_tumor_event_after_initial_treatment",),
    "tumour_status": ("person_neoplasm_cancer_status",),
}
