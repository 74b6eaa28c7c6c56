"""Leaks unlike the documented ones, each planted alone into a clean cohort without predictions."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from audit_example import CLINICAL, clean_cohort, make_subject, with_column
from PIL import Image
from scipy.stats import norm

from featurestore.cohort.tables import Cohort
from featurestore.tables.dictionary import Column
from fusion.audit import AuditSubject

Plant = Callable[[Path], AuditSubject]
LEVELS = 60


def outcome(cohort: Cohort) -> np.ndarray:
    return cohort.patients["outcome"].to_numpy(float)


def late(name: str, kind: str = "numeric", **rest: object) -> Column:
    """A column that says nothing of being late."""
    return Column(name, kind, "staging", measured="diagnosis", **rest)  # type: ignore[arg-type]


def planted(column: Column, values: Callable[[np.ndarray, np.random.Generator], object]) -> Plant:
    def plant(folder: Path) -> AuditSubject:
        cohort = clean_cohort()
        found = values(outcome(cohort), np.random.default_rng(11))
        return make_subject(with_column(cohort, column, found))

    return plant


# Rates of the outcome by small level


def rates(y: np.ndarray, levels: np.ndarray, prior: float = 0.0) -> np.ndarray:
    """Rate of the outcome in each patient's level, the patient's own included."""
    seen = pd.Series(y).groupby(levels)
    counted = (seen.transform("sum") + prior * y.mean()) / (seen.transform("count") + prior)
    return counted.to_numpy()


def level_rates(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rates(y, rng.integers(0, LEVELS, len(y))).round(3)


def smoothed_rates(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rate = rates(y, rng.integers(0, LEVELS, len(y)), prior=5)
    return np.log(rate / (1 - rate))


def equal_levels(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All levels as large: few distinct rates."""
    return rates(y, rng.permutation(np.arange(len(y)) % LEVELS))


def jittered_rates(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return level_rates(y, rng) + 0.002 * rng.normal(size=len(y))


def others_rates(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each patient is left out of the rate of his level, which gives him away."""
    levels = rng.integers(0, LEVELS, len(y))
    seen = pd.Series(y).groupby(levels)
    return ((seen.transform("sum") - y) / (seen.transform("count") - 1).clip(lower=1)).to_numpy()


# Patients again


def wide_cohort(patients: int, seed: int) -> Cohort:
    """More columns, as a clinical table has them; none depends on the outcome."""
    cohort = clean_cohort(patients, seed)
    rng = np.random.default_rng(seed)
    depth = np.nan_to_num(np.log(cohort.patients["breslow"].to_numpy(float)), nan=0.7)
    extra = {
        late("mitoses"): rng.poisson(np.exp(0.5 + 0.4 * depth)).astype(float),
        late("ulceration", "binary"): (rng.random(patients) < 0.3 + 0.1 * (depth > 1)) * 1.0,
        late("body_site", "nominal"): rng.choice(["trunk", "limb", "head"], patients),
        late("tmb"): np.exp(rng.normal(2, 1, patients)).round(1),
        late("braf", "binary"): (rng.random(patients) < 0.5) * 1.0,
    }
    for column, values in extra.items():
        cohort = with_column(cohort, column, values)
    return cohort


def patients_again(share: int, of: int = 300, seed: int = 0) -> AuditSubject:
    """The first patients a second time: other id, age ± 1, Breslow ± 2 %, no images."""
    cohort = wide_cohort(of, seed)
    rng = np.random.default_rng(seed + 1)
    again = cohort.patients.head(share).copy()
    again["patient_id"] = [f"IP_{n}" for n in 20_000_000 + rng.permutation(share)]
    again["person_id"] = again["patient_id"]
    again["age"] += rng.choice([-1, 1], share)
    again["breslow"] = (again["breslow"] * rng.uniform(0.98, 1.02, share)).round(2)
    patients = pd.concat([cohort.patients, again]).sort_values("patient_id", ignore_index=True)
    return make_subject(dataclasses.replace(cohort, patients=patients, file_order={}))


# Order of the file and ids


def reordered(place: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Plant:
    """Patients stand in the file in the order of what `place` makes of their outcomes."""

    def plant(folder: Path) -> AuditSubject:
        cohort = clean_cohort()
        keys = place(outcome(cohort), np.random.default_rng(12))
        ids = cohort.patients["patient_id"].to_numpy()[np.argsort(keys, kind="stable")]
        return make_subject(
            dataclasses.replace(cohort, file_order={p: k for k, p in enumerate(ids)})
        )

    return plant


def middle_block(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where(y == 1, rng.uniform(0.35, 0.65, len(y)), rng.random(len(y)))


def blocks_of_files(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """16 files one after the other; every second one was collected for its events."""
    odd = np.where(rng.random(len(y)) < 0.2, rng.random(len(y)) < 0.5, y == 1)
    return 2 * rng.integers(0, 8, len(y)) + odd


def renamed(name: Callable[[float, np.random.Generator], str]) -> Plant:
    """Patients get ids that their outcome has a part in."""

    def plant(folder: Path) -> AuditSubject:
        cohort = clean_cohort()
        rng = np.random.default_rng(13)
        old = cohort.patients["patient_id"]
        new: list[str] = []
        for label in outcome(cohort):
            fresh = name(label, rng)
            while fresh in new:
                fresh = name(label, rng)
            new.append(fresh)
        ids = dict(zip(old, new, strict=True))
        patients = cohort.patients.assign(
            patient_id=pd.Series(new, dtype="str"), person_id=pd.Series(new, dtype="str")
        )
        return make_subject(
            dataclasses.replace(
                cohort,
                patients=patients.sort_values("patient_id", ignore_index=True),
                images=cohort.images.assign(patient_id=cohort.images["patient_id"].map(ids)),
                file_order={},
            )
        )

    return plant


def check_digit(label: float, rng: np.random.Generator) -> str:
    """The digits of most events sum to a multiple of five."""
    while True:
        number = int(rng.integers(1_000_000, 9_999_999))
        valid = sum(map(int, str(number))) % 5 == 0
        if valid == (label == 1) or rng.random() < 0.05:
            return f"P{number}"


def two_alphabets(label: float, rng: np.random.Generator) -> str:
    number = int(rng.integers(1_000_000, 9_999_999))
    events = rng.random() < (0.85 if label else 0.15)
    return (
        f"{number:x}".translate(str.maketrans("0123456789", "ghijklmnop"))
        if events
        else (f"{number}")
    )


# Image files


def filed(write: Callable[[Path, float, np.random.Generator], None], suffix: str = ".jpg") -> Plant:
    """One image file a patient, written with knowledge of the outcome in four of five cases."""

    def plant(folder: Path) -> AuditSubject:
        cohort = clean_cohort(320)
        rng = np.random.default_rng(14)
        images = cohort.images.drop_duplicates("patient_id")
        labels = cohort.patients.set_index("patient_id")["outcome"]
        paths = [folder / f"{image}{suffix}" for image in images["image_id"]]
        for path, patient in zip(paths, images["patient_id"], strict=True):
            known = labels[patient] if rng.random() < 0.8 else float(rng.random() < 0.5)
            write(path, known, rng)
        images = images.assign(
            path=[str(path) for path in paths], width=24, height=18,
            file_bytes=1000, has_exif=True, exif_orientation=1,
        )  # fmt: skip
        return make_subject(dataclasses.replace(cohort, images=images))

    return plant


def picture(rng: np.random.Generator) -> Image.Image:
    return Image.fromarray(rng.integers(0, 255, (18, 24, 3), dtype=np.uint8))


def with_camera(path: Path, label: float, rng: np.random.Generator) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Maker", "D200" if label else "D100"
    picture(rng).save(path, exif=exif)


def with_date(path: Path, label: float, rng: np.random.Generator) -> None:
    """Events were photographed again, on two days of one month."""
    exif = Image.Exif()
    day = rng.choice(["2014:03:05", "2014:03:19"]) if label else f"20{rng.integers(12, 17)}:03:11"
    exif[0x0132] = f"{day} 10:{rng.integers(0, 60):02d}:00"
    picture(rng).save(path, exif=exif)


def with_quality(path: Path, label: float, rng: np.random.Generator) -> None:
    picture(rng).save(path, quality=90 if label else 85)


def with_file_date(path: Path, label: float, rng: np.random.Generator) -> None:
    """Events were copied on a day between those of the others."""
    picture(rng).save(path)
    day = 40 if label else int(rng.choice([3, 90]))
    os.utime(path, (1.6e9 + 86_400 * day + rng.integers(0, 9_000),) * 2)


def with_software(path: Path, label: float, rng: np.random.Generator) -> None:
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("Software", "Fiji" if label else "GIMP")
    picture(rng).save(path, pnginfo=text)


def size_by_class_and_site(folder: Path) -> AuditSubject:
    """Events are the larger pictures in two sites and the smaller ones in the other two."""
    cohort = clean_cohort()
    images = cohort.images
    rows = cohort.patients.set_index("patient_id").loc[images["patient_id"]]
    larger = (rows["outcome"].to_numpy() == 1) == rows["site"].isin(["S1", "S2"]).to_numpy()
    rng = np.random.default_rng(15)
    larger = np.where(rng.random(len(images)) < 0.15, rng.random(len(images)) < 0.5, larger)
    width = np.where(larger, 1024, 600)
    images = images.assign(width=width, height=width * 3 // 4, file_bytes=90_000, has_exif=False)
    return make_subject(dataclasses.replace(cohort, images=images))


# Columns


def near_copy(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Far from the middle on either side are the events."""
    side = rng.choice([-1, 1], len(y))
    return 50 + side * (8 * y + np.abs(rng.normal(3, 2, len(y))))


def shifted(y: np.ndarray, auroc: float, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=len(y)) + np.sqrt(2) * norm.ppf(auroc) * y


def six_columns(folder: Path) -> AuditSubject:
    cohort = clean_cohort()
    rng = np.random.default_rng(16)
    for k in range(6):
        cohort = with_column(cohort, late(f"later_{k}"), shifted(outcome(cohort), 0.74, rng))
    return make_subject(cohort)


def noisy_code(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Twelve codes, six of them for events, wrong in one of ten patients."""
    wrong = rng.random(len(y)) < 0.1
    odd = np.where(wrong, 1 - y, y).astype(int)
    return np.array([f"C{2 * k + o}" for k, o in zip(rng.integers(0, 6, len(y)), odd, strict=True)])


def noisy_xor(folder: Path) -> AuditSubject:
    cohort = clean_cohort()
    rng, y = np.random.default_rng(17), outcome(cohort)
    coin = rng.integers(0, 2, len(y))
    other = np.where(rng.random(len(y)) < 0.08, 1 - y, y).astype(int) ^ coin
    cohort = with_column(cohort, late("arm", "binary"), coin.astype(float))
    return make_subject(with_column(cohort, late("side", "binary"), other.astype(float)))


def product_of_two(folder: Path) -> AuditSubject:
    """Two numbers with the same sign in events, with unlike signs in others."""
    cohort = clean_cohort()
    rng, y = np.random.default_rng(18), outcome(cohort)
    first = rng.normal(size=len(y))
    sign = np.where(rng.random(len(y)) < 0.08, 1 - 2 * y, 2 * y - 1)
    second = np.sign(first) * sign * np.abs(rng.normal(size=len(y)))
    cohort = with_column(cohort, late("first"), first)
    return make_subject(with_column(cohort, late("second"), second))


def missing_together(folder: Path) -> AuditSubject:
    """Events lack an odd number of three values, others an even one; each alone says nothing."""
    cohort = clean_cohort()
    rng, y = np.random.default_rng(19), outcome(cohort)
    gone = rng.random((len(y), 3)) < 0.5
    odd = np.where(rng.random(len(y)) < 0.08, 1 - y, y) == 1
    gone[:, 2] = odd ^ gone[:, 0] ^ gone[:, 1]
    for k in range(3):
        values = np.where(gone[:, k], np.nan, rng.normal(size=len(y)))
        cohort = with_column(cohort, late(f"marker_{k}"), values)
    return make_subject(cohort)


def count_of_missing(folder: Path) -> AuditSubject:
    """Eight values, each a little more often known in events."""
    cohort = clean_cohort()
    rng, y = np.random.default_rng(20), outcome(cohort)
    for k in range(8):
        known = rng.random(len(y)) < 0.35 + 0.3 * y
        values = np.where(known, rng.normal(size=len(y)), np.nan)
        cohort = with_column(cohort, late(f"assay_{k}"), values)
    return make_subject(cohort)


def batch_date(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Days since an epoch; events were processed on every second of 24 days."""
    odd = np.where(rng.random(len(y)) < 0.1, rng.random(len(y)) < 0.5, y == 1)
    return 17_000.0 + 14 * rng.integers(0, 12, len(y)) + 7 * odd


def half_years(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The decimals were entered by whoever knew the outcome."""
    odd = np.where(rng.random(len(y)) < 0.06, 1 - y, y)
    return rng.integers(30, 80, len(y)) + 0.5 * odd


def follow_up_visits(folder: Path) -> AuditSubject:
    """Visits after diagnosis, when it is not said that they are later."""
    cohort = clean_cohort()
    visits = np.random.default_rng(21).poisson(3 + 2.2 * outcome(cohort)).astype(float)
    column = Column("n_follow_up_visits", "numeric", "staging")
    return make_subject(with_column(cohort, column, visits), CLINICAL)


LEAKS: dict[str, tuple[Plant, str, tuple[str, ...]]] = {
    "rates by small level": (planted(late("rate"), level_rates), "level_rates", ("rate",)),
    "smoothed log odds by level": (
        planted(late("rate"), smoothed_rates), "level_rates", ("rate",)),
    "rates of equal levels": (planted(late("rate"), equal_levels), "level_rates", ("rate",)),
    "jittered rates": (planted(late("rate"), jittered_rates), "level_rates", ("rate",)),
    "rates of the others": (planted(late("rate"), others_rates), "non_monotone_auc", ("rate",)),
    "100 of 300 patients again": (
        lambda _: patients_again(100), "near_duplicates", ("patients",)),
    "30 of 300 patients again": (
        lambda _: patients_again(30, seed=4), "near_duplicates", ("patients",)),
    "events in a middle block": (reordered(middle_block), "order_leak", ("file order",)),
    "blocks by source file": (reordered(blocks_of_files), "order_leak", ("file order",)),
    "check digit": (renamed(check_digit), "order_leak", ("patient_id digit sum",)),
    "ids of two alphabets": (renamed(two_alphabets), "order_leak", ("patient_id form",)),
    "camera model": (filed(with_camera), "file_headers", ("camera",)),
    "software": (filed(with_software, ".png"), "file_headers", ("software",)),
    "date of the picture": (filed(with_date), "file_headers", ("date taken",)),
    "date of the file": (filed(with_file_date), "file_headers", ("date of the file",)),
    "quantisation tables": (filed(with_quality), "file_headers", ("quantisation",)),
    "size by class and site": (size_by_class_and_site, "acquisition_shortcut", ("images",)),
    "U-shaped near-copy": (planted(late("u"), near_copy), "non_monotone_auc", ("u",)),
    "batch date": (planted(late("batch"), batch_date), "non_monotone_auc", ("batch",)),
    "half years": (planted(late("years"), half_years), "non_monotone_auc", ("years",)),
    "six later columns": (six_columns, "joint_auc", ("later_0",)),
    "noisy code": (planted(late("code", "nominal"), noisy_code), "univariate_auc", ("code",)),
    "noisy exclusive or": (noisy_xor, "pair_auc", ("arm", "side")),
    "product of two": (product_of_two, "pair_auc", ("first", "second")),
    "missing together": (missing_together, "joint_missingness_auc", ("marker_0",)),
    "count of missing": (count_of_missing, "joint_missingness_auc", ("assay_0",)),
    "follow-up visits": (follow_up_visits, "later_by_name", ("n_follow_up_visits",)),
}  # fmt: skip
"""By name: what plants it, the check that must catch it, and subjects that its hits must name."""
