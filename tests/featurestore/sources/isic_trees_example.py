"""Trees in the exact layout of ISIC challenges and HAM10000, with invented rows."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tree_files_example import Facts, noise, outline, write, write_csv

HAM = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")


def ham10000(folder: Path) -> Facts:
    """35 lesions, 70 images in two archives, masks in a third; the table has no ending."""
    rows: list[list[object]] = []
    archives = [
        zipfile.ZipFile(folder / f"HAM10000_{name}.zip", "w")
        for name in ("images_part_1", "images_part_2", "segmentations_lesion_tschandl")
    ]
    for k in range(70):
        name, lesion = f"ISIC_{k:07d}", k // 2
        rows.append(
            [
                *(f"HAM_{lesion:07d}", name, HAM[lesion % 7], ("histo", "follow_up")[lesion % 2]),
                *(float(30 + lesion), ("male", "female")[lesion % 2], "back"),
            ]
        )
        archives[k % 2].writestr(f"{name}.jpg", noise(k))
        archives[2].writestr(f"{name}_segmentation.png", outline(k))
    for archive in archives:
        archive.close()
    lines = ["lesion_id\timage_id\tdx\tdx_type\tage\tsex\tlocalization"]
    lines += ["\t".join(map(str, row)) for row in rows]
    (folder / "HAM10000_metadata").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Facts(
        35,
        35,
        70,
        (10, 60),
        (20, 40),
        frozenset({"dx", "dx_type"}),
        frozenset({"age", "sex", "anatomical_site"}),
        masks=70,
    )


def isic_2017(folder: Path) -> Facts:
    """40 images with superpixels in the same folder, masks in another."""
    names = [f"ISIC_{k:07d}" for k in range(40)]
    data = folder / "ISIC-2017_Training_Data"
    for k, name in enumerate(names):
        write(data / f"{name}.jpg", noise(k))
        write(data / f"{name}_superpixels.png", noise(k + 900, "PNG"))
        truth = folder / "ISIC-2017_Training_Part1_GroundTruth"
        write(truth / f"{name}_segmentation.png", outline(k))
    write_csv(
        folder / "ISIC-2017_Training_Part3_GroundTruth.csv",
        "image_id,melanoma,seborrheic_keratosis",
        [[n, float(k % 4 == 0), float(k % 4 == 1)] for k, n in enumerate(names)],
    )
    write_csv(
        data / "ISIC-2017_Training_Data_metadata.csv",
        "image_id,age_approximate,sex",
        [[n, 30 + k, ("male", "female")[k % 2]] for k, n in enumerate(names)],
    )
    return Facts(
        40,
        0,
        40,
        (10, 30),
        (10, 30),
        frozenset({"melanoma", "seborrheic_keratosis"}),
        frozenset({"age", "sex"}),
        masks=80,
    )


def isic_2019(folder: Path) -> Facts:
    """54 images; ids of some end in `_downsampled`."""
    classes = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")
    names = [f"ISIC_{k:07d}" + ("_downsampled" if k % 9 == 1 else "") for k in range(54)]
    for k, name in enumerate(names):
        write(folder / "ISIC_2019_Training_Input" / f"{name}.jpg", noise(k))
    write_csv(
        folder / "ISIC_2019_Training_GroundTruth.csv",
        ",".join(("image", *classes)),
        [[n, *(float(k % 9 == j) for j in range(9))] for k, n in enumerate(names)],
    )
    write_csv(
        folder / "ISIC_2019_Training_Metadata.csv",
        "image,age_approx,anatom_site_general,lesion_id,sex",
        [[n, 30 + k, "head/neck", f"BCN_{k // 3}", "male"] for k, n in enumerate(names)],
    )
    return Facts(18, 18, 54, (6, 42), (18, 30), frozenset(classes), frozenset({"age", "sex"}))


def isic_2016(folder: Path) -> Facts:
    """40 images with a table that has no header."""
    names = [f"ISIC_{k:07d}" for k in range(40)]
    for k, name in enumerate(names):
        write(folder / "ISBI2016_ISIC_Part3_Training_Data" / f"{name}.jpg", noise(k))
        masks = folder / "ISBI2016_ISIC_Part3B_Training_Data"
        write(masks / f"{name}_Segmentation.png", outline(k))
    text = "".join(f"{n},{('benign', 'malignant')[k % 4 == 0]}\n" for k, n in enumerate(names))
    (folder / "ISBI2016_ISIC_Part3_Training_GroundTruth.csv").write_text(text, encoding="utf-8")
    return Facts(40, 0, 40, (10, 30), (10, 30), frozenset({"melanoma"}), frozenset(), masks=40)


def isic_2018(folder: Path) -> Facts:
    """70 images of 35 lesions, with the groups of lesions in a file of their own."""
    classes = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
    names = [f"ISIC_{k:07d}" for k in range(70)]
    for k, name in enumerate(names):
        write(folder / "ISIC2018_Task3_Training_Input" / f"{name}.jpg", noise(k))
    write_csv(
        folder / "ISIC2018_Task3_Training_GroundTruth.csv",
        ",".join(("image", *classes)),
        [[n, *(float(k // 2 % 7 == j) for j in range(7))] for k, n in enumerate(names)],
    )
    write_csv(
        folder / "ISIC2018_Task3_Training_LesionGroupings.csv",
        "image,lesion_id,diagnosis_confirm_type",
        [[n, f"HAM_{k // 2}", "histopathology"] for k, n in enumerate(names)],
    )
    return Facts(
        35, 35, 70, (10, 60), (20, 40), frozenset({*classes, "diagnosis_confirm_type"}), frozenset()
    )


def isic_2020(folder: Path) -> Facts:
    """45 images of 15 patients."""
    names = [f"ISIC_{k:07d}" for k in range(45)]
    for k, name in enumerate(names):
        write(folder / "train" / f"{name}.jpg", noise(k))
    write_csv(
        folder / "ISIC_2020_Training_GroundTruth_v2.csv",
        "image_name,patient_id,lesion_id,sex,age_approx,anatom_site_general_challenge,diagnosis,"
        "benign_malignant,target",
        [
            [
                *(n, f"IP_{k // 3}", f"IL_{k}", ("male", "female")[k // 3 % 2]),
                *(40 + k // 3, "torso"),
                *(("melanoma", "malignant", 1) if k % 5 == 0 else ("nevus", "benign", 0)),
            ]
            for k, n in enumerate(names)
        ],
    )
    return Facts(
        15,
        45,
        45,
        (9, 36),
        (9, 36),
        frozenset({"diagnosis", "benign_malignant", "target"}),
        frozenset({"age", "sex"}),
    )
