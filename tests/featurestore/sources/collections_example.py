"""Trees in the exact layout of public collections, with invented rows and pictures of noise."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from isic_trees_example import (
    ham10000,
    isic_2016,
    isic_2017,
    isic_2018,
    isic_2019,
    isic_2020,
)
from tree_files_example import Facts, noise, outline, write, write_csv

PAD_CLASSES = ("ACK", "BCC", "MEL", "NEV", "SCC", "SEK")


def pad_ufes_20(folder: Path) -> Facts:
    """30 patients, 45 lesions, 60 images in three parts; not biopsied ones have a short record."""
    rows: list[list[object]] = []
    lesion = 0
    for patient in range(30):
        for own in range(1 + patient % 2):
            lesion += 1
            kind = PAD_CLASSES[lesion % 6]
            biopsed = kind in ("BCC", "MEL", "SCC") or lesion % 5 == 0
            for _ in range(1 + (lesion % 3 == 0)):
                name = f"PAT_{patient}_{lesion}_{len(rows)}.png"
                record: list[object] = ["True", "False", "GERMANY", "BRAZIL"]
                rows.append(
                    [
                        f"PAT_{patient}",
                        lesion,
                        *(record if biopsed else ["", "", "", ""]),
                        30 + patient,
                        *("False", ("FEMALE", "MALE")[patient % 2], "True"),
                        *(("UNK", "True")[patient % 2], "True", "True"),
                        *(float(1 + patient % 6), ("FACE", "ARM", "BACK")[own % 3], 5.5, 4),
                        kind,
                        *("True", ("UNK", "False")[lesion % 2], "False", "False", "False"),
                        str(lesion % 2 == 0),
                        *(name, str(biopsed)),
                    ]
                )
                part = folder / f"imgs_part_{1 + len(rows) % 3}"
                write(part / name, noise(len(rows), "PNG"))
    write_csv(
        folder / "metadata.csv",
        "patient_id,lesion_id,smoke,drink,background_father,background_mother,age,pesticide,gender,"
        "skin_cancer_history,cancer_history,has_piped_water,has_sewage_system,fitspatrick,region,"
        "diameter_1,diameter_2,diagnostic,itch,grew,hurt,changed,bleed,elevation,img_id,biopsed",
        rows,
    )
    kinds = [str(row[17]) for row in rows]
    melanoma = kinds.count("MEL")
    malignant = melanoma + kinds.count("BCC") + kinds.count("SCC")
    return Facts(
        30,
        lesion,
        len(rows),
        (melanoma, len(rows) - melanoma),
        (malignant, len(rows) - malignant),
        frozenset({"diagnostic", "biopsed"}),
        frozenset({"age", "sex", "anatomical_site", "fitzpatrick", "smoke", "itch", "diameter_1"}),
    )


def isic_2024(folder: Path) -> Facts:
    """24 patients with 3 tiles each; the pictures are bytes of JPEG in one HDF5 file."""
    measured = [f"tbp_lv_{name}" for name in ("A", "B", "areaMM2", "norm_color", "x", "y", "z")]
    rows: list[list[object]] = []
    with h5py.File(folder / "train-image.hdf5", "w") as file:
        for k in range(72):
            name, target = f"ISIC_{k:07d}", int(k < 24 and k % 2 == 0)
            cancer = ("Melanoma Invasive", "Basal cell carcinoma")[k % 4 == 2]
            full = f"Malignant::Group::{cancer}" if target else "Benign"
            file.create_dataset(name, data=np.bytes_(noise(k)))
            rows.append(
                [
                    *(name, target, f"IP_{k % 24}", 40 + k % 24, ("male", "female")[k % 2]),
                    *(("torso", "")[k % 24 == 0], 2.5 + k / 10, "TBP tile: close-up"),
                    ("3D: white", "3D: XP")[k % 3 == 0],
                    *(round(k * 0.37 + j, 3) for j in range(len(measured))),
                    *(("Torso Back", "Left Leg")[k % 2], ("Torso", "Left Leg")[k % 2]),
                    *("Memorial", "CC-BY", f"IL_{k}" if target else "", full),
                    *("Malignant" if target else "Benign", cancer if target else ""),
                    *("", 0.4 if target else "", 99.5 - k),
                ]
            )
    write_csv(
        folder / "train-metadata.csv",
        "isic_id,target,patient_id,age_approx,sex,anatom_site_general,clin_size_long_diam_mm,"
        f"image_type,tbp_tile_type,{','.join(measured)},tbp_lv_location,tbp_lv_location_simple,"
        "attribution,copyright_license,lesion_id,iddx_full,iddx_1,iddx_3,mel_mitotic_index,"
        "mel_thick_mm,tbp_lv_dnn_lesion_confidence",
        rows,
    )
    return Facts(
        24,
        12,
        72,
        (6, 66),
        (12, 60),
        frozenset(
            {
                *("target", "iddx_full", "iddx_1", "iddx_3", "mel_mitotic_index", "mel_thick_mm"),
                "tbp_lv_dnn_lesion_confidence",
            }
        ),
        frozenset({*map(str.lower, measured), "tbp_lv_location", "age", "sex", "anatomical_site"}),
    )


DERM7PT = (
    *("basal cell carcinoma", "clark nevus", "melanoma (in situ)", "miscellaneous"),
    *("melanoma (less than 0.76 mm)", "seborrheic keratosis", "reed or spitz nevus"),
)


def derm7pt(folder: Path) -> Facts:
    """40 cases of two photographs each, but for one; table and disk differ in case."""
    rows: list[list[object]] = []
    release = folder / "release_v0"
    for k in range(40):
        place = ("NEL", "Aal")[k % 2]
        derm, clinic = f"{place}/{place.lower()}{k:03d}.jpg", f"{place}/{place}{k + 500:03d}.jpg"
        write(release / "images" / place.upper() / f"{place.upper()}{k:03d}.JPG", noise(k))
        if k != 7:
            write(release / "images" / place.upper() / f"{place}{k + 500:03d}.jpg", noise(k + 500))
        absent = ("absent", "typical", "atypical")[k % 3]
        rows.append(
            [
                *(k + 1, DERM7PT[k % 7], 2 + k % 5, absent, "absent", "absent", "absent"),
                *(("irregular", "regular")[k % 2], "absent", "absent"),
                *(("low", "medium", "high")[k % 3], ("flat", "palpable")[k % 2]),
                *(("back", "abdomen")[k % 2], ("female", "male")[k % 2]),
                *(("excision", "clinical follow up")[k % 2], clinic, derm, "", ""),
            ]
        )
    write_csv(
        release / "meta" / "meta.csv",
        "case_num,diagnosis,seven_point_score,pigment_network,streaks,pigmentation,"
        "regression_structures,dots_and_globules,blue_whitish_veil,vascular_structures,"
        "level_of_diagnostic_difficulty,elevation,location,sex,management,clinic,derm,case_id,notes",
        rows,
    )
    for part, own in (("train", range(20)), ("valid", range(20, 30)), ("test", range(30, 40))):
        write_csv(release / "meta" / f"{part}_indexes.csv", "indexes", [[k] for k in own])
    kinds = [DERM7PT[k % 7] for k in range(40) for _ in range(1 if k == 7 else 2)]
    melanoma = sum(kind.startswith("melanoma") for kind in kinds)
    basal, unclear = kinds.count("basal cell carcinoma"), kinds.count("miscellaneous")
    malignant = melanoma + basal
    return Facts(
        40,
        40,
        79,
        (melanoma, 79 - melanoma),
        (malignant, 79 - malignant - unclear),
        frozenset(
            {"diagnosis", "seven_point_score", "management", "level_of_diagnostic_difficulty"}
        ),
        frozenset({"sex", "anatomical_site", "pigment_network", "dots_and_globules", "elevation"}),
    )


MILK = ("AKIEC", "BCC", "BEN_OTH", "BKL", "DF", "INF", "MAL_OTH", "MEL", "NV", "SCCKA", "VASC")
MONET = ("ulceration_crust", "hair", "vasculature_vessels", "erythema", "pigmented", "gel", "skin")


def milk10k(folder: Path) -> Facts:
    """44 lesions of two images each, in an archive."""
    metadata, truth, supplement = [], [], []
    with zipfile.ZipFile(folder / "MILK10k_Training_Input.zip", "w") as archive:
        for k in range(44):
            lesion, kind = f"IL_{k:07d}", MILK[k % 11]
            truth.append([lesion, *(float(kind == name) for name in MILK)])
            for j, image_type in enumerate(("clinical: close-up", "dermoscopic")):
                image = f"ISIC_{2 * k + j:07d}"
                archive.writestr(f"MILK10k_Training_Input/{lesion}/{image}.jpg", noise(2 * k + j))
                metadata.append(
                    [
                        *(lesion, image_type, image, "MILK study team", "CC-BY-NC"),
                        *("instrument only", 30 + k, ("male", "female")[k % 2], k % 6, "trunk"),
                        *(round(0.01 * (k + m + j), 3) for m in range(7)),
                    ]
                )
                supplement.append([image, f"{kind} in full", "histopathology", ""])
    write_csv(
        folder / "MILK10k_Training_Metadata.csv",
        "lesion_id,image_type,isic_id,attribution,copyright_license,image_manipulation,age_approx,"
        "sex,skin_tone_class,site," + ",".join(f"MONET_{name}" for name in MONET),
        metadata,
    )
    write_csv(folder / "MILK10k_Training_GroundTruth.csv", ",".join(("lesion_id", *MILK)), truth)
    write_csv(
        folder / "MILK10k_Training_Supplement.csv",
        "isic_id,diagnosis_full,diagnosis_confirm_type,invasion_thickness_interval",
        supplement,
    )
    return Facts(
        44,
        44,
        88,
        (8, 80),
        (32, 48),
        frozenset(
            {
                *(name.lower() for name in MILK),
                *("diagnosis_full", "diagnosis_confirm_type", "invasion_thickness_interval"),
            }
        ),
        frozenset(
            {
                *("age", "sex", "skin_tone_class"),
                *(f"monet_{name}_dermoscopic" for name in MONET),
                *(f"monet_{name}_close_up" for name in MONET),
            }
        ),
    )


FITZPATRICK = (
    ("psoriasis", "inflammatory", "non-neoplastic"),
    ("malignant melanoma", "malignant melanoma", "malignant"),
    ("basal cell carcinoma", "malignant epidermal", "malignant"),
    ("seborrheic keratosis", "benign epidermal", "benign"),
)


def fitzpatrick17k(folder: Path) -> Facts:
    """60 pictures, named by hash; the first is wrongly labelled, the last was never fetched."""
    rows: list[list[object]] = []
    for k in range(60):
        name = f"{k:032x}"
        label, nine, three = FITZPATRICK[k % 4]
        url = f"http://atlasdermatologico.com.br/img?imageId={k}"
        rows.append(
            [
                *(name, (k % 7) or -1, 1 + k % 6, label, nine, three),
                *("3 Wrongly labelled" if k == 0 else "", url, f"httpatlasimg{k}.jpg"),
            ]
        )
        if k < 59:
            write(folder / "data" / f"{name}.jpg", noise(k))
    write_csv(
        folder / "fitzpatrick17k.csv",
        "md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,nine_partition_label,"
        "three_partition_label,qc,url,url_alphanum",
        rows,
    )
    return Facts(
        59,
        0,
        59,
        (15, 43),
        (30, 28),
        frozenset({"label", "nine_partition_label", "three_partition_label", "qc"}),
        frozenset({"fitzpatrick", "fitzpatrick_centaur"}),
    )


BCN = ("MEL", "NV", "BCC", "BKL", "AK", "SCC", "DF", "VASC")


def bcn20000(folder: Path) -> Facts:
    """32 lesions, 64 images."""
    rows: list[list[object]] = []
    for k in range(64):
        name = f"BCN_{k:010d}.jpg"
        lesion = k // 2
        rows.append(
            [
                *(name, 30 + lesion, "anterior torso", BCN[lesion % 8], f"BCN_L{lesion}"),
                *("2015-01-01", ("female", "male")[lesion % 2], "train"),
            ]
        )
        write(folder / "bcn_20k_train" / name, noise(k))
    write_csv(
        folder / "bcn_20k_train.csv",
        "bcn_filename,age_approx,anatom_site_general,diagnosis,lesion_id,capture_date,sex,split",
        rows,
    )
    return Facts(32, 32, 64, (8, 56), (24, 40), frozenset({"diagnosis"}), frozenset({"age", "sex"}))


PH2 = ("Common Nevus", "Atypical Nevus", "Melanoma")


def ph2(folder: Path) -> Facts:
    """40 images with two masks each, and the table between pipes with a legend below."""
    lines = [
        "||   Name || Histological Diagnosis || Clinical Diagnosis || Asymmetry | "
        "Pigment Network | Dots/Globules | Streaks | Regression Areas | Blue-Whitish Veil || "
        "          Colors ||"
    ]
    for k in range(40):
        name, kind = f"IMD{k + 2:03d}", (0, 1, 0, 1, 2)[k % 5]
        case = folder / "PH2 Dataset images" / name
        write(case / f"{name}_Dermoscopic_Image" / f"{name}.bmp", noise(k, "BMP"))
        write(case / f"{name}_lesion" / f"{name}_lesion.bmp", outline(k, "BMP"))
        write(case / f"{name}_roi" / f"{name}_R1_Label4.bmp", outline(k, "BMP"))
        told = "Melanoma" if kind == 2 else ""
        marks = " | ".join((str(k % 3), "AT" if k % 2 else "T", "A", "AP"[k % 2], "A", "A"))
        colours = ("4", "3  4", "4  5  6")[k % 3]
        lines.append(f"|| {name} || {told:>22} || {kind:>18} || {marks} || {colours:>16} ||")
    lines += ["", "Legends:", "Histological Diagnosis: as the report says it", "", "Asymmetry:"]
    lines += ["0 - Fully Symmetric; 1 - Symmetric in 1 axis; 2 - Fully Asymmetric", ""]
    (folder / "PH2_dataset.txt").write_text("\r\n".join(lines), encoding="utf-8")
    (folder / "Readme.txt").write_text("PH2 Database\n\nRead this.\n", encoding="utf-8")
    return Facts(
        40,
        0,
        40,
        (8, 32),
        (8, 32),
        frozenset({"histological diagnosis", "clinical diagnosis"}),
        frozenset({"asymmetry", "pigment_network", "dots_globules", "colour_blue_gray"}),
        masks=80,
    )


COLLECTION_TREES: dict[str, Callable[[Path], Facts]] = {
    "pad-ufes-20": pad_ufes_20,
    "isic-2024": isic_2024,
    "derm7pt": derm7pt,
    "milk10k": milk10k,
    "fitzpatrick17k": fitzpatrick17k,
    "bcn20000": bcn20000,
    "ph2": ph2,
}
"""Trees that the source `collection` reads, by its names."""

ISIC_TREES: dict[str, Callable[[Path], Facts]] = {
    "ham10000": ham10000,
    "isic-2016": isic_2016,
    "isic-2017": isic_2017,
    "isic-2018": isic_2018,
    "isic-2019": isic_2019,
    "isic-2020": isic_2020,
}
"""Trees that the source `isic` reads."""

TREES = COLLECTION_TREES | ISIC_TREES
