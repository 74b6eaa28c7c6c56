"""A grid of fusion heads, arms x folds x members, beside the loop that a person would write.

`loader` is that loop: DataLoader, AdamW, scikit-learn's AUROC, early stopping; its networks are
ours. `one by one` is what a run does, `batched` what it does with `ablation.head.batched`. All
start from the same weights, rows and folds and take their turns arm by arm, so that a busy machine
slows all of them. The AUROC is that of the test parts, of the members' mean logit, over arms.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.speed.figures import Figure, Took, details, timed
from fusion.config import HeadConfig
from fusion.models import single_thread
from fusion.models.heads import FusionHead
from fusion.models.training import HeadData, begin_training, predict_logits, train_head
from fusion.models.training_together import HeadFit, train_all

WIDTHS = {"resnet18": 512, "efficientnet_b0": 1280, "clinical": 10}
SIGNAL = {"resnet18": 0.5, "efficientnet_b0": 0.5, "clinical": 1.0}
GOAL, TOLERANCE = 10.0, 0.01

Fold = tuple[list[HeadFit], HeadData]
"""The members of an outer fold, not yet trained, and its test part."""


def make_rows(patients: int) -> HeadData:
    """Rows of three modalities whose outcome follows one direction of each."""
    rng = np.random.default_rng(0)
    y_logit = np.full(patients, -0.8)
    inputs = {}
    for name, width in WIDTHS.items():
        hidden = rng.normal(size=(patients, 2))
        y_logit += SIGNAL[name] * 2 * hidden[:, 0]
        loadings = rng.normal(size=(2, width)) / 2**0.5
        values = hidden @ loadings + 1.5 * rng.normal(size=(patients, width))
        inputs[name] = torch.as_tensor(values / values.std(axis=0), dtype=torch.float32)
    y = (rng.random(patients) < 1 / (1 + np.exp(-y_logit))).astype(np.float32)
    ids = np.array([f"P{i:06d}" for i in range(patients)], dtype=object)
    present = {name: torch.ones(patients, dtype=torch.bool) for name in WIDTHS}
    return HeadData(inputs, present, torch.from_numpy(y), ids)


def arms_of(rows: HeadData, count: int) -> list[HeadData]:
    """The rows with some of their modalities, the largest arm first."""
    subsets = [names for r in (3, 2, 1) for names in itertools.combinations(WIDTHS, r)]
    return [
        HeadData(
            {name: rows.inputs[name] for name in names},
            {name: rows.present[name] for name in names},
            rows.y,
            rows.patient_ids,
        )
        for names in subsets[:count]
    ]


def make_folds(rows: HeadData, folds: int, config: HeadConfig) -> list[Fold]:
    """The outer folds of an arm."""
    order = np.random.default_rng(1).permutation(len(rows))
    made = []
    for fold in range(folds):
        test = order[fold::folds]
        rest = np.setdiff1d(order, test)
        members = []
        for member in range(config.ensemble):
            seed = 100 * fold + member
            mixed = np.random.default_rng(seed).permutation(rest)
            held_out = mixed[: round(config.validation_fraction * len(rest))]
            torch.manual_seed(seed)
            head = FusionHead(rows.dims, config).to(rows.y.device)
            training = rows.take(np.setdiff1d(rest, held_out))
            members.append(HeadFit(head, training, rows.take(np.sort(held_out)), config, seed))
        made.append((members, rows.take(np.sort(test))))
    return made


def by_loader(fit: HeadFit) -> None:
    """Trains a head as the examples of PyTorch do."""
    config, names = fit.config, list(fit.training.inputs)
    device = fit.training.y.device
    tensors = [fit.training.inputs[name] for name in names]
    loader = DataLoader(
        TensorDataset(*tensors, fit.training.y),  # type: ignore[arg-type]
        batch_size=config.batch_size,
        shuffle=True,
        generator=torch.Generator().manual_seed(fit.seed),
    )
    optimizer = torch.optim.AdamW(
        fit.head.parameter_groups(config.learning_rate), weight_decay=config.weight_decay
    )
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=0.5, patience=config.plateau_patience
    )
    best, best_score, since = copy.deepcopy(fit.head.state_dict()), -1.0, 0
    truth = fit.validation.y.cpu().numpy()
    for _ in range(config.epochs):
        fit.head.train()
        for *values, y in loader:
            inputs = dict(zip(names, values, strict=True))
            present = {name: torch.ones(len(y), dtype=torch.bool, device=device) for name in names}
            loss = nn.functional.binary_cross_entropy_with_logits(fit.head(inputs, present), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        fit.head.eval()
        with torch.no_grad():
            logits = fit.head(fit.validation.inputs, fit.validation.present)
        score = roc_auc_score(truth, logits.cpu().numpy())
        scheduler.step(score)
        since += 1
        if score > best_score:
            best, best_score, since = copy.deepcopy(fit.head.state_dict()), score, 0
        if since >= config.patience:
            break
    fit.head.load_state_dict(best)


def one_by_one(fit: HeadFit) -> None:
    """Trains a head by the loop for one head, where its rows are."""
    train_head(fit.head, fit.training, fit.validation, fit.config, fit.seed)


def together(fits: Sequence[HeadFit]) -> None:
    """Trains heads of one arm as one program."""
    for fit in fits:
        begin_training(fit.head, fit.training, fit.validation, fit.config)
    train_all(fits)


def tested(made: Sequence[Fold]) -> float:
    """AUROC over the test parts of all folds."""
    scores = [
        np.mean([predict_logits(fit.head, test) for fit in members], axis=0)
        for members, test in made
    ]
    truth = np.concatenate([test.y.cpu().numpy() for _, test in made])
    return float(roc_auc_score(truth, np.concatenate(scores)))


def each(train: Callable[[HeadFit], None]) -> Callable[[Sequence[HeadFit]], None]:
    """Trains heads one after the other."""

    def all_of(fits: Sequence[HeadFit]) -> None:
        for fit in fits:
            train(fit)

    return all_of


WAYS: dict[str, Callable[[Sequence[HeadFit]], None]] = {
    "loader": each(by_loader),
    "one by one": each(one_by_one),
    "batched": together,
}
"""How the heads of an arm are trained."""


def train_grid(
    patients: int, arms: int, folds: int, config: HeadConfig
) -> tuple[dict[str, Took], dict[str, float]]:
    """Trains the grid in every way on one thread; returns what each took, and its mean AUROC."""
    took = dict.fromkeys(WAYS, Took(0.0, 0.0))
    auroc: dict[str, list[float]] = {way: [] for way in WAYS}
    batched = config.model_copy(update={"batched": True})
    with single_thread():
        first = arms_of(make_rows(100), 1)[0]  # what PyTorch loads late is loaded now
        for train in WAYS.values():
            train(make_folds(first, 2, config.model_copy(update={"epochs": 1}))[0][0])
        for rows in arms_of(make_rows(patients), arms):
            for way, train in WAYS.items():
                made = make_folds(rows, folds, batched if way == "batched" else config)
                fits = [fit for members, _ in made for fit in members]
                now, so_far = timed(lambda train=train, fits=fits: train(fits)), took[way]
                took[way] = Took(so_far.wall + now.wall, so_far.cpu + now.cpu)
                auroc[way].append(tested(made))
    return took, {way: float(np.mean(found)) for way, found in auroc.items()}


def measure(quick: bool) -> list[Figure]:
    """Row 4: what a run does, and what it does with `batched`."""
    patients, arms, folds = (200, 2, 2) if quick else (1000, 7, 5)
    config = HeadConfig(epochs=2) if quick else HeadConfig()
    took, auroc = train_grid(patients, arms, folds, config)
    figures = []
    for way in ("one by one", "batched"):
        found = details(took["loader"], took[way])
        found |= {"baseline_auroc": auroc["loader"], "own_auroc": auroc[way]}
        ratio = took["loader"].cpu / took[way].cpu
        equal = auroc[way] >= auroc["loader"] - TOLERANCE
        what = f"{arms * folds * config.ensemble} heads of {patients:,} patients, {way}"
        met = None if quick else ratio >= GOAL and equal
        goal = f"{GOAL:.0f}x at equal AUROC"
        figures.append(Figure(4, what, goal, ratio, "x", met, "a loop over a DataLoader", found))
    return figures
