"""The configuration of a run: one YAML file, one schema."""

from fusion.config.ablation import (
    HOW_FITS_RUN,
    AblationConfig,
    ArmConfig,
    LearningCurveConfig,
    LeaveOutConfig,
    ModalityConfig,
    ThresholdConfig,
)
from fusion.config.evidence import (
    AcceptConfig,
    AuditConfig,
    ClaimConfig,
    LadderConfig,
    TimeLadderConfig,
)
from fusion.config.export import ExportConfig, TableName
from fusion.config.models import (
    AttentionConfig,
    DiscreteTimeConfig,
    HeadConfig,
    JointConfig,
    MetadataConfig,
    SpaceConfig,
    TuningConfig,
)
from fusion.config.run import RunConfig

__all__ = [
    "HOW_FITS_RUN",
    "AblationConfig",
    "AcceptConfig",
    "ArmConfig",
    "AttentionConfig",
    "AuditConfig",
    "ClaimConfig",
    "DiscreteTimeConfig",
    "ExportConfig",
    "HeadConfig",
    "JointConfig",
    "LadderConfig",
    "LearningCurveConfig",
    "LeaveOutConfig",
    "MetadataConfig",
    "ModalityConfig",
    "RunConfig",
    "SpaceConfig",
    "TableName",
    "ThresholdConfig",
    "TimeLadderConfig",
    "TuningConfig",
]
