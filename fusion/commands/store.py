"""The commands that look into and after a feature store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fusion.commands.options import listener

if TYPE_CHECKING:
    from featurestore.store import FeatureStore


@click.group()
def store() -> None:
    """Look into and look after a feature store."""


store_argument = click.argument("folder", metavar="STORE", type=click.Path(path_type=Path))


@store.command("info")
@store_argument
def store_info(folder: Path) -> None:
    """Show encoders, rows, shards and size."""
    from featurestore.store.maintenance import info
    from featurestore.units import counted

    found = info(_store(folder))
    for e in found.encoders:
        damaged = f", {counted(e.damaged, 'DAMAGED shard')}" if e.damaged else ""
        click.echo(
            f"{e.identity.short}  {e.identity.backbone}, {e.identity.dimension}-d, "
            f"{e.identity.making}: {counted(e.images, 'image')} in {counted(e.shards, 'shard')}, "
            f"{e.bytes / 1e6:.1f} MB{damaged}"
        )
    click.echo(
        f"{found.quarantined} quarantined, {counted(found.temporary_files, 'temporary file')}"
    )


@store.command("verify")
@store_argument
@click.option("--timeout", default=60.0, show_default=True, help="Seconds for a damaged shard.")
@click.option("--repair", is_flag=True, help="Set damaged files aside; extract makes them anew.")
def store_verify(folder: Path, timeout: float, repair: bool) -> None:
    """Check every byte. Ends with exit code 5 if anything is damaged."""
    from featurestore.errors import StoreError
    from featurestore.store.maintenance import verify
    from featurestore.units import counted

    report = verify(_store(folder), timeout, repair)
    for shard in report.damaged:
        click.echo(f"{shard.path}: {shard.reason}; lost rows: {', '.join(shard.rows)}")
    click.echo(
        f"{counted(report.shards, 'shard')} checked, {counted(report.rows, 'row is', 'rows are')} "
        "right"
    )
    if report.damaged and not repair:
        raise StoreError(
            f"{counted(len(report.damaged), 'damaged file')}; `melafuse store verify --repair` "
            "sets them "
            "aside, `melafuse extract` embeds their images again"
        )


@store.command("explain")
@store_argument
@click.argument("image")
def store_explain(folder: Path, image: str) -> None:
    """Say why IMAGE is or is not cached: a file, ARCHIVE::IMAGE, an image id or a SHA-256."""
    from featurestore.images import member_sha256
    from featurestore.store.maintenance import explain

    explanation = explain(_store(folder), image, member_sha256(image))
    click.echo(f"{image}: SHA-256 {explanation.sha256 or 'not known'}")
    for line in explanation.lines:
        click.echo(f"  {line}")


@store.command("pack")
@store_argument
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
def store_pack(folder: Path, out: Path) -> None:
    """Write everything into one plain HDF5 file OUT."""
    from featurestore.store.maintenance import pack

    click.echo(str(pack(_store(folder), out)))


@store.command("gc")
@store_argument
@click.option("--keep", multiple=True, metavar="DIGEST", help="Keep only these encoders.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def store_gc(folder: Path, keep: tuple[str, ...], dry_run: bool) -> None:
    """Remove encoders that are not kept, damaged shards set aside, and left-over files.

    What a run of the project reads is kept, whatever --keep says.
    """
    from featurestore.store.maintenance import gc

    opened = _store(folder)
    needed = _needed_by_runs(opened) if keep else []
    removed = gc(opened, (*keep, *needed) or None, dry_run)
    for path in removed.paths:
        click.echo(str(path))
    verb = "would be removed" if dry_run else "removed"
    click.echo(f"{len(removed.paths)} entries, {removed.bytes / 1e6:.1f} MB {verb}")


@store.command("import")
@click.argument("paths", nargs=-1, required=True)
@click.option("--encoder", "name", required=True, metavar="NAME", help="Name of the encoder.")
@click.option(
    "--store", "folder", required=True, type=click.Path(path_type=Path), help="The feature store."
)
@click.option(
    "--format",
    default="auto",
    show_default=True,
    help="csv, parquet, npz, h5, trident, stamp or pt.",
)
@click.option("--ids", metavar="TABLE", help="Table of ids and patients.")
@click.option("--pool", default="mean", show_default=True, help="mean, max or mean+std over tiles.")
@click.option("--id", metavar="COLUMN", help="Column of ids (tables).")
@click.option("--patient", metavar="COLUMN", help="Column of patients (tables).")
@click.option("--columns", multiple=True, metavar="PATTERN", help="Columns that are features.")
@click.option("--dataset", metavar="NAME", help="Dataset that holds the features.")
@click.option("--incomplete", help="Of missing values leave out the rows or the columns.")
@click.option("--dtype", help="Stored as float32 or float16.  [default: float32]")
@click.option(
    "--trained-on",
    default="unknown",
    show_default=True,
    metavar="none|unknown|FILE",
    help="Whom the encoder learned from; FILE has one patient id a line.",
)
@click.option("--encoder-version", "version", metavar="TEXT", help="Version of the encoder.")
@click.option("--quiet", "-q", is_flag=True, help="No progress, only results and errors.")
def store_import(paths: tuple[str, ...], folder: Path, quiet: bool, **options: Any) -> None:
    """Import features that were made elsewhere from PATHS: files, folders or patterns.

    They are checked, pooled to one row a slide, and kept as embeddings of pixels are. A study takes
    the same files by the section `embeddings` of its configuration.
    """
    from extractor.torch_features import ALL_READERS
    from featurestore.config import validate
    from featurestore.imports import EmbeddingConfig, import_embeddings, listed_patients

    given = {key: value for key, value in options.items() if value}
    given["patient_from"] = given.pop("ids", "")
    given["trained_on"] = listed_patients(given["trained_on"])
    config = validate(EmbeddingConfig, {"path": paths, **given}, "store import")
    done = import_embeddings(config, _store(folder), Path.cwd(), ALL_READERS, listener(quiet))
    for row in done.refused:
        click.echo(f"quarantine: {row.image_id} ({row.path}): {row.reason}")
    owned = sum(name in done.rows.patients for name in done.rows.keys)
    click.echo(
        f"{done.identity.short}  {done.identity.backbone}, {done.identity.dimension}-d, "
        f"{done.identity.origin}: {done.embedded} imported, {done.reused} reused, "
        f"{len(done.refused)} quarantined; patients are known of {owned}"
    )


def _needed_by_runs(opened: FeatureStore) -> list[str]:
    """Digests of the encoders of a project's store that its runs read, which are told."""
    from fusion.evidence.listing import encoders_needed
    from fusion.paths import PROJECT_FOLDER

    shared = opened.root.resolve().parent
    if shared.name != PROJECT_FOLDER:
        return []
    needed = encoders_needed(shared.parent)
    there = [identity for identity in opened.encoders() if identity.short in needed]
    for identity in there:
        click.echo(
            f"{identity.short} {identity.backbone}: kept for the run {needed[identity.short]}"
        )
    return [identity.digest for identity in there]


def _store(folder: Path) -> FeatureStore:
    from featurestore.store import FeatureStore

    return FeatureStore(folder)
