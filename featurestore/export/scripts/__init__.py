"""Import scripts that apply labels and end with checks: a template and a file a program."""

from __future__ import annotations

from featurestore.export.scripts.base import Check, Clusters, Plan, Script, Survival
from featurestore.export.scripts.r import R
from featurestore.export.scripts.redcap import REDCAP
from featurestore.export.scripts.sas import SAS
from featurestore.export.scripts.spss import SPSS
from featurestore.export.scripts.stata import STATA

SCRIPTS: tuple[Script, ...] = (R, STATA, SPSS, SAS, REDCAP)

__all__ = ["SCRIPTS", "Check", "Clusters", "Plan", "Script", "Survival", "import_scripts"]


def import_scripts(plan: Plan) -> dict[str, str]:
    """Text by file name; a program that can read none of the formats gets no script."""
    texts = {}
    for script in SCRIPTS:
        suffix = next((s for s in script.reads if s in plan.suffixes), None)
        if suffix is not None:
            texts[script.filename] = script.text(plan, suffix)
    return texts
