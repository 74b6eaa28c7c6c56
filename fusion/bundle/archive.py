"""A bundle at rest: a folder, or a zip with the same files; whole and unchanged, or refused.

`bundle.json` is written in one canonical form and holds its own digest, and the size and SHA-256 of
every other file; a zip has one canonical form too. So any changed byte shows, and so does a file
too many or too few. Digests tell damage and careless edits; they do not tell who wrote a bundle.

Nothing is extracted: a zip is read where it lies, member by member, each bounded by what
`bundle.json` says of it. Nothing is unpickled, and no path in a bundle is ever opened by name
unless the folder itself listed it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
import stat
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from featurestore.atomic import appearing, make_folder, replacing, sync_folder
from featurestore.config import validate
from featurestore.errors import ConfigError, DataError, name_some, one_line
from featurestore.json_text import parse_json
from featurestore.locks import unless_held
from fusion.bundle.record import READ_FORMATS, BundleRecord, FileRecord

RECORD_FILE = "bundle.json"
MAX_FILES = 5_000
MAX_RECORD_BYTES = 50_000_000
MAX_BYTES = 8_000_000_000
"""Bounds of what is read into memory."""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*){0,5}")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can state


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A verified bundle in memory.

    Attributes:
        record: What it says about itself.
        digest: SHA-256 that names it: the digest inside `bundle.json`.
        contents: Bytes of every other file, by name.
    """

    record: BundleRecord
    digest: str
    contents: Mapping[str, bytes]

    @property
    def short(self) -> str:
        """The first 12 digits of the digest, for people."""
        return self.digest[:12]


def write_bundle(record: BundleRecord, contents: Mapping[str, bytes], out: Path) -> Bundle:
    """Writes a bundle that appears whole or not at all.

    Args:
        record: Its `files` are replaced by those of `contents`.
        contents: Bytes of every file but `bundle.json`, by name.
        out: The folder, or a file that ends with `.zip`; it must not exist.

    Raises:
        ConfigError: `out` exists.
        DataError: It cannot be written.
    """
    require_free(out)
    record = record.model_copy(
        update={
            "files": {
                name: FileRecord(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
                for name, data in sorted(contents.items())
            }
        }
    )
    text, digest = _canonical(record.model_dump(mode="json"))
    everything = {RECORD_FILE: text, **contents}
    try:
        with appearing(out):
            if out.suffix == ".zip":
                with replacing(out) as temporary, temporary.open("wb") as file:
                    _write_zip(everything, file.write)
            else:
                _write_folder(everything, out)
    except OSError as error:
        raise DataError(f"cannot write the bundle {out}: {error.strerror or error}") from None
    return Bundle(record, digest, dict(contents))


def require_free(out: Path) -> None:
    """Refuses a bundle's place that is taken.

    Raises:
        ConfigError: Something is there.
    """
    if out.exists() or out.is_symlink():
        raise ConfigError(f"{out} exists; remove it, or name another place for the bundle")


@contextlib.contextmanager
def place_for(out: Path) -> Iterator[None]:
    """Holds a bundle's place: fitting takes long, and two fits must not end in one place.

    Raises:
        ConfigError: Something is there, or another process holds it.
        DataError: Its folder cannot be written to.
    """
    lock = out.with_name(f".{out.name}.lock")
    with contextlib.ExitStack() as stack:
        try:
            make_folder(out.parent)
            free = stack.enter_context(unless_held(lock))
        except OSError as error:
            raise DataError(f"cannot write the bundle {out}: {error.strerror or error}") from None
        if not free:
            raise ConfigError(f"another process writes a bundle to {out}; name another place")
        try:
            require_free(out)
            yield
        finally:
            with contextlib.suppress(OSError):
                lock.unlink()


def read_bundle(path: Path) -> Bundle:
    """Reads and verifies every byte of a bundle.

    Raises:
        DataError: There is no bundle, it was made by a later melafuse, or it is not as it was
            written; the message names the file and what to do.
    """
    try:
        return _read_zip(path) if path.is_file() else _read_folder(path)
    except OSError as error:
        raise DataError(f"cannot read the bundle {path}: {error.strerror or error}") from None


def _read_folder(folder: Path) -> Bundle:
    if not folder.is_dir():
        raise DataError(f"there is no bundle at {folder}")
    found = _list(folder)
    if RECORD_FILE not in found:
        raise DataError(f"{folder} is no bundle: it has no {RECORD_FILE}")
    if found[RECORD_FILE] > MAX_RECORD_BYTES:
        raise _refused(folder, f"{RECORD_FILE} is larger than {MAX_RECORD_BYTES:,} bytes")
    record, digest = _parse((folder / RECORD_FILE).read_bytes(), folder)
    _require_same_files(record, found, folder)
    contents = {}
    for name, stated in record.files.items():
        with (folder / name).open("rb") as file:
            contents[name] = _checked(file.read(stated.bytes + 1), name, stated, folder)
    return Bundle(record, digest, contents)


def _list(folder: Path) -> dict[str, int]:
    """Size of every file below a folder, by its name with `/`; links are refused."""
    found: dict[str, int] = {}
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                name = Path(entry.path).relative_to(folder).as_posix()
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    waiting.append(Path(entry.path))
                elif stat.S_ISREG(mode):
                    found[name] = entry.stat(follow_symlinks=False).st_size
                else:
                    raise _refused(folder, f"{name} is a link or no plain file")
                if len(found) > MAX_FILES or len(waiting) > MAX_FILES:
                    raise _refused(folder, f"it has more than {MAX_FILES:,} files")
    return found


def _read_zip(path: Path) -> Bundle:
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                found = _members(archive, path)
                if RECORD_FILE not in found:
                    raise DataError(f"{path} is no bundle: it has no {RECORD_FILE}")
                if found[RECORD_FILE] > MAX_RECORD_BYTES:
                    raise _refused(path, f"{RECORD_FILE} is larger than {MAX_RECORD_BYTES:,} bytes")
                record, digest = _parse(_member(archive, RECORD_FILE, MAX_RECORD_BYTES), path)
                _require_same_files(record, found, path)
                contents = {
                    name: _checked(_member(archive, name, stated.bytes), name, stated, path)
                    for name, stated in record.files.items()
                }
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as e:
            raise DataError(
                f"{path} is neither the folder of a bundle nor a zip of one that can be read "
                f"({one_line(e, 100)})"
            ) from None
        text, _ = _canonical(record.model_dump(mode="json"))
        expected = hashlib.sha256()
        _write_zip({RECORD_FILE: text, **contents}, expected.update)
        file.seek(0)
        if hashlib.file_digest(file, "sha256").hexdigest() != expected.hexdigest():
            raise _refused(
                path,
                "the files in it are right but the zip around them is not as melafuse writes it; "
                "if you packed it yourself, unpack it and name the folder",
            )
    return Bundle(record, digest, contents)


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, int]:
    """Size of every member by name; odd names, links, compressed and repeated ones are refused."""
    infos = archive.infolist()
    if len(infos) > MAX_FILES:
        raise _refused(path, f"it has more than {MAX_FILES:,} files")
    found: dict[str, int] = {}
    for info in infos:
        shown = ascii(info.filename)[:80]
        if not _NAME.fullmatch(info.filename):
            raise _refused(path, f"it holds the name {shown}")
        if info.filename in found:
            raise _refused(path, f"it holds {shown} twice")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise _refused(path, f"{shown} is a link or no plain file")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise _refused(path, f"{shown} is compressed, which melafuse never does")
        found[info.filename] = info.file_size
    return found


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    with archive.open(name) as member:
        return member.read(limit + 1)


def _parse(text: bytes, where: Path) -> tuple[BundleRecord, str]:
    try:
        stated = parse_json(text)
    except ValueError:
        raise _refused(where, f"{RECORD_FILE} is no JSON") from None
    if not isinstance(stated, dict) or "digest" not in stated:
        raise _refused(where, f"{RECORD_FILE} is no record of a bundle")
    if stated.get("format") not in READ_FORMATS:
        raise DataError(
            f"the bundle {where} has format {str(stated.get('format'))[:20]!r}; this melafuse "
            f"reads {' and '.join(map(str, READ_FORMATS))}: take the melafuse that wrote it"
        )
    content = {key: value for key, value in stated.items() if key != "digest"}
    canonical, digest = _canonical(content)
    if stated["digest"] != digest or canonical != text:
        raise _refused(where, f"{RECORD_FILE} was changed after it was written")
    try:
        return validate(BundleRecord, content, RECORD_FILE), digest
    except ConfigError as error:
        raise _refused(where, str(error)) from None


def _canonical(content: Mapping[str, Any]) -> tuple[bytes, str]:
    """The one text of a record, and the digest inside it."""
    plain = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False)
    digest = hashlib.sha256(plain.encode()).hexdigest()
    whole = {**content, "digest": digest}
    text = json.dumps(whole, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return (text + "\n").encode(), digest


def _require_same_files(record: BundleRecord, found: Mapping[str, int], where: Path) -> None:
    names = set(found) - {RECORD_FILE}
    odd = sorted(name for name in record.files if not _NAME.fullmatch(name))
    if odd:
        raise _refused(where, f"{RECORD_FILE} names {ascii(odd[0])[:80]}")
    missing, extra = sorted(set(record.files) - names), sorted(names - set(record.files))
    if missing:
        raise _refused(where, f"it lacks {name_some(missing, 3)}")
    if extra:
        raise _refused(where, f"it holds {name_some([ascii(n) for n in extra], 3)} beside its own")
    if sum(f.bytes for f in record.files.values()) > MAX_BYTES:
        raise _refused(where, f"it is larger than {MAX_BYTES:,} bytes")


def _checked(data: bytes, name: str, stated: FileRecord, where: Path) -> bytes:
    if len(data) != stated.bytes or hashlib.sha256(data).hexdigest() != stated.sha256:
        raise _refused(where, f"{name} was changed after it was written")
    return data


def _refused(where: Path, reason: str) -> DataError:
    return DataError(f"the bundle {where} is refused: {reason}; copy it anew, or fit it again")


def _write_folder(files: Mapping[str, bytes], out: Path) -> None:
    make_folder(out.parent)
    temporary = out.with_name(f".{uuid.uuid4().hex}.part")
    try:
        for name, data in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for folder in (temporary, *(p for p in temporary.rglob("*") if p.is_dir())):
            sync_folder(folder)
        temporary.rename(out)
        sync_folder(out.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_zip(files: Mapping[str, bytes], take: Callable[[bytes], object]) -> None:
    """Members by name, stored, without times or rights: the same contents give the same bytes."""
    with zipfile.ZipFile(_Forward(take), "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        for name in sorted(files):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, files[name])


class _Forward:
    """Takes bytes one after another: what zipfile writes does not depend on where it goes."""

    def __init__(self, take: Callable[[bytes], object]) -> None:
        self._take = take

    def write(self, data: bytes) -> int:
        self._take(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""
