"""Arms are planned from the configuration and the cohort's own modalities."""

from __future__ import annotations

import pytest

from featurestore.cohort import ImageRoles
from featurestore.errors import ConfigError
from featurestore.tables.dictionary import Column, DataDictionary
from fusion.arms import (
    find_modalities,
    plan_ablation,
    plan_arms,
    reference_arm,
    role_names,
    withheld_modalities,
)
from fusion.config import AblationConfig, ArmConfig, ModalityConfig

DICTIONARY = DataDictionary(
    [
        Column("age", "numeric", "demographic"),
        Column("breslow", "numeric", "histopathology"),
        Column("MITF", "expression", "expression"),
        Column("m_stage", "nominal", "staging", leaks=True),
    ]
)
BACKBONES = ["resnet18", "efficientnet_b0"]


def test_default_modalities_are_what_the_cohort_has() -> None:
    modalities = find_modalities(AblationConfig(), BACKBONES, DICTIONARY)
    assert [m.name for m in modalities] == [*BACKBONES, "clinical", "expression"]
    assert modalities[2].columns(DICTIONARY) == ["age", "breslow"]
    assert find_modalities(AblationConfig(), ["vgg16"], DataDictionary())[-1].name == "vgg16"


def test_singles_and_full_come_before_further_arms() -> None:
    config = AblationConfig(models=("lightgbm",), arms=(ArmConfig(model="svm"),))
    arms = plan_arms(config, find_modalities(config, BACKBONES, DICTIONARY))
    assert [a.modality_text for a in arms] == [
        "resnet18",
        "efficientnet_b0",
        "clinical",
        "expression",
        "resnet18+efficientnet_b0+clinical+expression",
        "resnet18+efficientnet_b0+clinical+expression",
    ]
    assert arms[-1].model == "svm"
    assert reference_arm(config, arms) == arms[4].name


def test_all_subsets() -> None:
    config = AblationConfig(subsets="all", models=("svm",), arms=())
    assert len(plan_arms(config, find_modalities(config, BACKBONES, DICTIONARY))) == 15


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (AblationConfig(subsets=(("retina",),)), "modality 'retina' is unknown; known: resnet18"),
        (AblationConfig(models=("svm", "svm"), arms=()), "asked for twice"),
        (AblationConfig(modalities={"x": ModalityConfig(groups=("gut",))}), "group 'gut'"),
        (AblationConfig(modalities={"x": ModalityConfig(embeddings=("vit",))}), "backbone 'vit'"),
        (AblationConfig(reference="best"), "reference 'best' is unknown"),
    ],
)
def test_unknown_names_are_errors(config: AblationConfig, said: str) -> None:
    def plan() -> str:
        arms = plan_arms(config, find_modalities(config, BACKBONES, DICTIONARY))
        return reference_arm(config, arms)

    with pytest.raises(ConfigError, match=said):
        plan()


def test_modalities_of_which_nothing_is_left_are_dropped_with_their_arms() -> None:
    config = AblationConfig(
        modalities={
            "image": ModalityConfig(embeddings=("resnet18",)),
            "staging": ModalityConfig(groups=("staging",)),
            "patient": ModalityConfig(groups=("demographic", "staging")),
        },
        models=("svm",),
        arms=(ArmConfig(model="lightgbm", modalities=("staging",)),),
    )
    columns = (Column("age", "numeric", "demographic"), Column("t", "numeric", "staging"))
    dictionary = DataDictionary(columns).flagged(["t"])
    withheld = withheld_modalities(config, dictionary)
    assert withheld == ("staging",)
    arms = plan_arms(config, find_modalities(config, BACKBONES, dictionary), withheld)
    assert [a.name for a in arms] == ["svm[image]", "svm[patient]", "svm[all]"]


def test_default_arms_that_the_grid_has_are_not_added_twice() -> None:
    clinical = DataDictionary([Column("age", "numeric", "demographic")])
    config = AblationConfig(models=("lightgbm", "logistic_regression"))
    plan = plan_ablation(config, [], clinical)
    assert [arm.name for arm in plan.arms] == [
        "lightgbm[clinical]",
        "logistic_regression[clinical]",
        "rank_average[clinical]",
    ]
    # Also where the configuration was written out with its defaults and read again.
    again = AblationConfig.model_validate(config.model_dump(mode="json"))
    assert plan_ablation(again, [], clinical) == plan
    asked = config.model_copy(update={"arms": (ArmConfig(model="logistic_regression"),)})
    with pytest.raises(ConfigError, match="'logistic_regression\\[clinical\\]' is asked for twice"):
        plan_ablation(asked, [], clinical)


@pytest.mark.parametrize(
    ("config", "dictionary", "said"),
    [
        (AblationConfig(), DataDictionary(), "there is nothing to learn from"),
        (AblationConfig(), DataDictionary([DICTIONARY["m_stage"]]), "nothing to learn from"),
        (AblationConfig(subsets=(), arms=()), DICTIONARY, "no arm is left"),
    ],
)
def test_what_cannot_be_run_cannot_be_planned(
    config: AblationConfig, dictionary: DataDictionary, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        plan_ablation(config, [], dictionary)


PAIRED = ImageRoles({"close-up": 20, "dermoscopic": 20}, patients=21, several=19)
APART = ImageRoles({"close-up": 20, "dermoscopic": 20}, patients=38, several=2)


def test_paired_roles_are_modalities_by_default_and_others_are_averaged() -> None:
    roles = {"resnet18": PAIRED, "efficientnet_b0": APART}
    modalities = find_modalities(AblationConfig(), BACKBONES, DICTIONARY, roles)
    names = ["resnet18@close-up", "resnet18@dermoscopic", "efficientnet_b0"]
    assert [m.name for m in modalities] == [*names, "clinical", "expression"]
    assert [m.embeddings for m in modalities[:3]] == [(name,) for name in names]


def test_a_modality_by_role_is_every_backbone_of_that_role() -> None:
    asked = ModalityConfig(embeddings=tuple(BACKBONES), role="dermoscopic")
    config = AblationConfig(modalities={"derm": asked})
    roles = dict.fromkeys(BACKBONES, APART)
    (derm,) = find_modalities(config, BACKBONES, DICTIONARY, roles)
    assert derm.embeddings == ("resnet18@dermoscopic", "efficientnet_b0@dermoscopic")
    assert role_names([derm]) == derm.embeddings


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        ({"resnet18": APART}, "role 'dermatoscopy'; roles: close-up, dermoscopic"),
        ({"resnet18": ImageRoles()}, "role 'dermatoscopy'; roles: none: the images say no role"),
    ],
)
def test_a_role_that_no_image_has_is_one_line(roles: dict[str, ImageRoles], said: str) -> None:
    asked = ModalityConfig(embeddings=("resnet18",), role="dermatoscopy")
    config = AblationConfig(modalities={"derm": asked})
    with pytest.raises(ConfigError, match=said) as raised:
        find_modalities(config, BACKBONES, DICTIONARY, roles)
    assert "\n" not in str(raised.value)


def test_a_role_is_of_images() -> None:
    with pytest.raises(ValueError, match="role is of images"):
        ModalityConfig(groups=("staging",), role="dermoscopic")
