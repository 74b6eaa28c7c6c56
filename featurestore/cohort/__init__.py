"""Who is studied: sources joined by id into a cohort, its folds, and its description."""

from featurestore.cohort.assemble import (
    UNKNOWN_SITE,
    build_cohort,
    build_cohorts,
    drop_images,
    studied_dictionary,
)
from featurestore.cohort.config import CohortConfig
from featurestore.cohort.feature_rows import FeatureRows
from featurestore.cohort.folds import (
    FoldKey,
    Folds,
    inner_folds,
    inner_split,
    make_folds,
    make_shared_folds,
    require_both_sides,
)
from featurestore.cohort.frozen_folds import freeze_folds, load_folds
from featurestore.cohort.groups import groups_of, patient_groups
from featurestore.cohort.images import comparable
from featurestore.cohort.marks import short_watermark, watermark
from featurestore.cohort.roles import (
    IMAGE_ROLE,
    ImageRoles,
    roles_by_embedding,
    roles_of_images,
    roles_text,
)
from featurestore.cohort.tables import Cohort

__all__ = [
    "IMAGE_ROLE",
    "UNKNOWN_SITE",
    "Cohort",
    "CohortConfig",
    "FeatureRows",
    "FoldKey",
    "Folds",
    "ImageRoles",
    "build_cohort",
    "build_cohorts",
    "comparable",
    "drop_images",
    "freeze_folds",
    "groups_of",
    "inner_folds",
    "inner_split",
    "load_folds",
    "make_folds",
    "make_shared_folds",
    "patient_groups",
    "require_both_sides",
    "roles_by_embedding",
    "roles_of_images",
    "roles_text",
    "short_watermark",
    "studied_dictionary",
    "watermark",
]
