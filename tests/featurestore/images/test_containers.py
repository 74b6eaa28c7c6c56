"""Images in archives and HDF5 files: the same bytes as loose files, and nothing that does harm."""

from __future__ import annotations

import io
import stat
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from featurestore.errors import DataError
from featurestore.images import ImageFolder, UnreadableImage, open_image, read_image_bytes
from featurestore.images.containers import joined, open_container, place_and_name, split
from featurestore.images.inspection import inspect_images
from featurestore.images.opening import inspect_image

NOISE = np.random.default_rng(0)


def picture(form: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(NOISE.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(file, form)
    return file.getvalue()


def drawn_mask() -> bytes:
    pixels = np.zeros((24, 32), dtype=np.uint8)
    pixels[8:16, 8:20] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def in_hdf5(path: Path, members: dict[str, bytes], how: str = "fixed") -> Path:
    with h5py.File(path, "w") as file:
        for name, data in members.items():
            if how == "fixed":
                file.create_dataset(name, data=np.bytes_(data))
            elif how == "opaque":
                file.create_dataset(name, data=np.void(data))
            elif how == "row":
                file.create_dataset(name, data=np.frombuffer(data, dtype=np.uint8))
            else:
                dataset = file.create_dataset(name, (), dtype=h5py.vlen_dtype(np.uint8))
                dataset[()] = np.frombuffer(data, dtype=np.uint8)
    return path


MAKERS = {
    "a.zip": zipped,
    "a.tar": tarred,
    "a.hdf5": in_hdf5,
    "opaque.h5": lambda path, members: in_hdf5(path, members, "opaque"),
    "row.h5": lambda path, members: in_hdf5(path, members, "row"),
    "variable.h5": lambda path, members: in_hdf5(path, members, "variable"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_members_are_like_loose_files(tmp_path: Path, name: str) -> None:
    flat = name.endswith("5")
    members = {(f"I{k}" if flat else f"part_{k}/I{k}.jpg"): picture() for k in range(5)}
    container = MAKERS[name](tmp_path / name, members)
    loose = tmp_path / "loose"
    loose.mkdir()
    for key, data in members.items():
        (loose / f"{Path(key).stem}.jpg").write_bytes(data)

    packed = ImageFolder.scan([container])
    assert packed.refused == ()
    assert [str(path) for path in packed.files] == [f"{container}::{key}" for key in members]
    files = ImageFolder.scan([loose])
    assert packed.by_id().keys() == files.by_id().keys()
    for id, (path,) in packed.by_id().items():
        (other,) = files.by_id()[id]
        assert read_image_bytes(path) == other.read_bytes()
        facts, same = inspect_image(path, 10_000), inspect_image(other, 10_000)
        assert (facts.sha256, facts.width, facts.bytes) == (same.sha256, same.width, same.bytes)
        np.testing.assert_array_equal(open_image(path, 10_000), open_image(other, 10_000))


def test_paths_are_text_that_comes_back() -> None:
    path = joined(Path("/data/a.zip"), "x/y.jpg")
    assert str(path) == "/data/a.zip::x/y.jpg"
    assert split(path) == (Path("/data/a.zip"), "x/y.jpg")
    assert place_and_name(path) == ("/data/a.zip::x", "y.jpg")
    assert place_and_name(joined(Path("/data/a.zip"), "y.jpg")) == ("/data/a.zip::", "y.jpg")
    assert split(Path("/data/a.jpg")) is None
    assert split(Path("/data/a::b.jpg")) is None


def test_names_that_lead_out_links_and_hidden_ones(tmp_path: Path) -> None:
    bad = [
        "../up.jpg",
        "/etc/abs.jpg",
        "C:/drive.jpg",
        "a\\b.jpg",
        "a/./b.jpg",
        "a//b.jpg",
        "x::y.jpg",
    ]
    path = zipped(tmp_path / "a.zip", dict.fromkeys([*bad, "good.jpg"], picture()))
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("__MACOSX/._good.jpg", b"x")
        archive.writestr("notes.txt", b"x")
    found = ImageFolder.scan([tmp_path])
    assert [place_and_name(p)[1] for p in found.files] == ["good.jpg"]
    reasons = dict(found.refused)
    assert set(reasons) == {f"a.zip::{name}" for name in [*bad, "link.jpg"]}
    assert reasons["a.zip::link.jpg"] == "a link or a device, no file"
    for name in [*bad, "link.jpg"]:  # and not by asking for them by name either
        with pytest.raises(UnreadableImage):
            open_container(path).read(name, 10_000)


def test_links_in_a_tar(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar", {"./good.jpg": picture(), "../up.jpg": picture()})
    with tarfile.open(path, "a") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE):
            entry = tarfile.TarInfo(f"{kind.decode()}.jpg")
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
    found = ImageFolder.scan([tmp_path])
    assert [str(p) for p in found.files] == [f"{path}::good.jpg"]
    assert len(found.refused) == 4
    with pytest.raises(UnreadableImage, match="link"):
        open_container(path).read("2.jpg", 10_000)


def test_encrypted_members(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"secret.jpg": picture(), "good.jpg": picture()})
    raw = bytearray(path.read_bytes())
    place = raw.index(b"PK\x01\x02")
    raw[place + 8] |= 1  # the flag of the first entry of the directory
    path.write_bytes(raw)
    found = ImageFolder.scan([tmp_path])
    assert len(found.files) == 1
    assert found.refused == (("a.zip::secret.jpg", "encrypted"),)


def test_what_would_fill_memory_is_not_unpacked(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"bomb.bmp": bytes(70_000_000), "small.bmp": bytes(1000)})
    found = ImageFolder.scan([tmp_path])
    assert [place_and_name(p)[1] for p in found.files] == ["small.bmp"]
    assert found.refused[0][1] == "would unpack to more than 100 times its size"
    with pytest.raises(UnreadableImage, match="100 times"):
        open_container(path).read("bomb.bmp", 10**12)


def test_a_directory_that_lies_about_sizes(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"bomb.bmp": bytes(70_000_000)})
    raw = bytearray(path.read_bytes())
    place = raw.index(b"PK\x01\x02")
    raw[place + 24 : place + 28] = (1000).to_bytes(4, "little")
    path.write_bytes(raw)
    (member,) = ImageFolder.scan([tmp_path]).files
    with pytest.raises(UnreadableImage, match="damaged in its archive"):
        read_image_bytes(member)


def test_hdf5_that_points_elsewhere(tmp_path: Path) -> None:
    other = in_hdf5(tmp_path / "other.h5", {"secret": picture()})
    raw = tmp_path / "raw.bin"
    raw.write_bytes(picture())
    path = in_hdf5(tmp_path / "a.hdf5", {"I1": picture()})
    with h5py.File(path, "a") as file:
        file["outside"] = h5py.ExternalLink(str(other), "secret")
        file["soft"] = h5py.SoftLink("/I1")
        size = raw.stat().st_size
        file.create_dataset("foreign", (size,), "u1", external=[(str(raw), 0, size)])
        layout = h5py.VirtualLayout((4,), "u1")
        layout[:] = h5py.VirtualSource(str(other), "secret", (4,))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("big", (200_000_000,), "u1", chunks=(1000,))
        file.create_group("group")
    for name, why in {
        "outside": "link",
        "soft": "link",
        "foreign": "another file",
        "virtual": "another file",
        "big": "100 times",
        "group": "no bytes",
        "absent": "no such file",
    }.items():
        with pytest.raises(UnreadableImage, match=why):
            read_image_bytes(joined(path, name))


def test_files_that_are_no_containers_of_images(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "features.h5", "w") as file:
        file["embedding"] = np.zeros((4, 8), dtype=np.float32)
        file["id"] = np.bytes_(b"text")
    zipped(tmp_path / "tables.zip", {"metadata.csv": b"a,b\n1,2\n"})
    found = ImageFolder.scan([tmp_path])
    assert (found.files, found.refused) == ((), ())


def test_damaged_and_compressed_containers_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "b.tar").write_bytes(b"x" * 2000)
    (tmp_path / "c.h5").write_bytes(b"x" * 2000)
    tarred(tmp_path / "d.tar.gz", {"I1.jpg": picture()}, "w:gz")
    found = ImageFolder.scan([tmp_path])
    assert found.files == ()
    assert [name for name, _ in found.refused] == ["a.zip", "b.tar", "c.h5", "d.tar.gz"]
    assert "compressed" in found.refused[3][1]
    with pytest.raises(DataError, match=r"a\.zip: not a readable zip archive"):
        open_container(tmp_path / "a.zip")
    with pytest.raises(UnreadableImage, match="its archive cannot be read"):
        read_image_bytes(joined(tmp_path / "a.zip", "I1.jpg"))
    with pytest.raises(UnreadableImage, match="no such file"):
        read_image_bytes(joined(tmp_path / "absent.zip", "I1.jpg"))


def test_a_cut_or_changed_member(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar", {"I1.jpg": picture()})
    (member,) = ImageFolder.scan([path]).files
    assert read_image_bytes(member)
    with path.open("r+b") as file:
        file.truncate(600)
    with pytest.raises(UnreadableImage):
        read_image_bytes(member)
    path = zipped(tmp_path / "a.zip", {"I1.png": picture("PNG")})
    raw = bytearray(path.read_bytes())
    raw[200] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(UnreadableImage, match="damaged in its archive"):
        read_image_bytes(joined(path, "I1.png"))


def test_a_replaced_archive_is_read_anew(tmp_path: Path) -> None:
    first, second = picture(), picture()
    path = zipped(tmp_path / "a.zip", {"I1.jpg": first})
    assert read_image_bytes(joined(path, "I1.jpg")) == first
    zipped(tmp_path / "b.zip", {"I1.jpg": second}).replace(path)
    assert read_image_bytes(joined(path, "I1.jpg")) == second


def test_an_unpacked_archive_counts_once(tmp_path: Path) -> None:
    data = picture()
    zipped(tmp_path / "a.zip", {"in/I1.jpg": data})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "I1.jpg").write_bytes(data)
    found = ImageFolder.scan([tmp_path])
    assert found.files == (tmp_path / "out" / "I1.jpg",)
    assert found.refused == (("a.zip", "all of its images lie beside it as files"),)


def test_masks_in_an_archive(tmp_path: Path) -> None:
    members = {f"img/I{k}.jpg": picture() for k in range(4)}
    members |= {f"truth/I{k}.png": drawn_mask() for k in range(4)}
    zipped(tmp_path / "a.zip", members)
    found = ImageFolder.scan([tmp_path])
    assert len(found.masks) == 4
    assert {place_and_name(p)[0] for p in found.photographs} == {f"{tmp_path}/a.zip::img"}


READER = """
    import os, sys
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path
    from featurestore.images import read_image_bytes

    folder, files = Path(sys.argv[1]), sys.argv[2:]
    expected = [(folder / file.rpartition("::")[2]).read_bytes() for file in files]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read_image_bytes, map(Path, files))) == expected
    child = os.fork()
    if child == 0:
        os._exit(0 if [read_image_bytes(Path(f)) for f in files] == expected else 1)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_many_threads_and_a_forked_process(tmp_path: Path) -> None:
    """In a process of its own: threads that other tests left would be lost to a forked one."""
    members = {f"I{k}.jpg": picture() for k in range(40)}
    for name, data in members.items():
        (tmp_path / name).write_bytes(data)
    for path in (zipped(tmp_path / "a.zip", members), tarred(tmp_path / "a.tar", members)):
        files = [str(joined(path, name)) for name in members]
        command = [sys.executable, "-c", textwrap.dedent(READER), str(tmp_path), *files]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr


def test_inspection_knows_members_by_content(tmp_path: Path) -> None:
    data = picture()
    path = zipped(tmp_path / "a.zip", {"I1.jpg": data})
    (tmp_path / "I1.jpg").write_bytes(data)
    inside, loose = inspect_images(
        [joined(path, "I1.jpg"), tmp_path / "I1.jpg"], 10_000, tmp_path / "cache"
    )
    assert inside.sha256 == loose.sha256
    assert inside.reason is None
