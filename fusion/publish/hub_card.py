"""The model card as the Hugging Face Hub reads it: YAML metadata, then Markdown.

The metadata follow the Hub's model card specification; `huggingface_hub` writes and checks them.
"""

from __future__ import annotations

import math

from fusion.evidence import Estimate
from fusion.publish.base import Publication, PublishedArm

HUB_NAMES = {"auroc": "roc_auc", "brier": "brier_score"}
"""Our metrics that the Hub calls by another name."""
UNCHOSEN = "not-chosen"


def hub_card(publication: Publication) -> str:
    """The whole README.md."""
    return f"---\n{_metadata(publication)}\n---\n\n{_body(publication)}"


def _metadata(publication: Publication) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    task = _task(publication)
    results = [
        EvalResult(
            task_type=task,
            dataset_type=publication.study,
            dataset_name=f"{publication.study} (out-of-fold)",
            metric_type=HUB_NAMES.get(name, name),
            metric_name=f"{arm.arm}: {name}{_interval(estimate)}",
            metric_value=float(estimate.value),
        )
        for arm in _shown(publication)
        for name, estimate in arm.metrics.items()
        if math.isfinite(estimate.value) and not name.startswith("delta_")
    ]
    licence = publication.licence
    metrics = dict.fromkeys(result.metric_type for result in results)
    data = ModelCardData(
        license=licence or "other",
        license_name=None if licence else UNCHOSEN,
        license_link=None if licence else "README.md",
        library_name="melafuse",
        tags=_tags(publication),
        metrics=list(metrics),
        model_name=publication.name,
        eval_results=results,
    )
    return str(data.to_yaml()).strip()


def _shown(publication: Publication) -> list[PublishedArm]:
    """The arms of the bundle, or the baseline where there is none."""
    wanted = publication.bundled or (publication.baseline,)
    return [arm for arm in publication.arms if arm.arm in wanted]


def _task(publication: Publication) -> str:
    """Nearest task of the Hub."""
    if publication.endpoint != "binary":
        return "other"
    return "image-classification" if publication.sees_images else "tabular-classification"


def _tags(publication: Publication) -> list[str]:
    marks = {
        "synthetic": publication.tags.get("synthetic") == "true",
        "label-matched": publication.tags.get("linkage") == "label_matched",
        "audit-failed": publication.tags.get("audit") == "failed",
        "audit-none": publication.tags.get("audit") == "none",
        "published-anyway": bool(publication.warnings),
        "survival": publication.endpoint == "time_to_event",
    }
    return ["melafuse", "medical", *(name for name, holds in marks.items() if holds)]


def _interval(estimate: Estimate) -> str:
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return ""
    return f" (95 % CI {estimate.low:.3f} to {estimate.high:.3f})"


def _body(publication: Publication) -> str:
    heading, _, rest = publication.card.partition("\n")
    warned = [f"> **{text}**\n" for text in publication.warnings if text not in rest]
    parts = [heading, "", *warned, rest.strip(), "", *_use(publication), *_files(publication)]
    return "\n".join(parts).rstrip() + "\n"


def _use(publication: Publication) -> list[str]:
    if not publication.bundle:
        return []
    name = next(iter(publication.bundle)).split("/")[0]
    return [
        "## Use",
        "",
        "```",
        f"melafuse predict {name} --image lesion.jpg --metadata patient.json",
        "```",
        "",
        f"`{name}` scores with {publication.bundled[0]}, fitted on all patients; the numbers above "
        "are cross-validated, and were measured on other fits of the same model.",
        "",
    ]


def _files(publication: Publication) -> list[str]:
    licence = (
        [f"Licence: {publication.licence}. Data keep their own, which stand under Data.", ""]
        if publication.licence
        else ["No licence was chosen for this. Data keep their own, which stand under Data.", ""]
    )
    return [
        "## Files",
        "",
        "- `report.html`: the whole report; `report.md` the same as text",
        "- `metrics.csv`: every metric of every arm with its interval; `run.json`: more than that",
        *(["- `audit.csv`: every check of the audit"] if "audit.csv" in publication.files else []),
        "- `tripod.csv`: TRIPOD+AI items; `ablation.tex`: the table for papers",
        "",
        "## Licence",
        "",
        *licence,
    ]
