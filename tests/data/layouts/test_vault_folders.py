"""Folders of vaults: where they are looked for, and what is said of several, of none and of zips."""

from __future__ import annotations

import zipfile

import pytest

from omiga_torchrl.data.layouts.vault_folders import is_vault, one_uid, vault_folders, zipped_vaults
from omiga_torchrl.errors import DataError

FILES = ("metadata.json", "manifest.ocdbt")


def make(folder, *files):
    folder.mkdir(parents=True)
    for name in files or FILES:
        (folder / name).touch()
    return folder


def test_a_vault_has_both_files(tmp_path):
    assert is_vault(make(tmp_path / "a"))
    assert not is_vault(make(tmp_path / "b", FILES[0])) and not is_vault(make(tmp_path / "c", FILES[1]))
    assert not is_vault(tmp_path / "d") and not is_vault(tmp_path / "a" / FILES[0])


def test_vaults_are_found_up_to_three_levels_below(tmp_path):
    root = tmp_path / "data"
    good = make(root / "og" / "smac" / "3m.vlt" / "Good")
    poor = make(root / "og" / "smac" / "3m.vlt" / "Poor")
    other = make(root / "og" / "rware" / "tiny.vlt" / "Good")
    make(root / "og" / "smac" / "notes" / "Good")
    make(root / "og" / "smac" / "5m.vlt" / "Half", FILES[0])
    assert vault_folders(good.parent) == vault_folders(good.parents[1]) == [good, poor]
    assert vault_folders(root / "og") == vault_folders(root) == [other, good, poor]
    assert vault_folders(tmp_path) == [] and vault_folders(good / FILES[0]) == []
    assert vault_folders(good) == [] and vault_folders(root / "nowhere") == []


def test_the_only_one_is_taken(tmp_path):
    good = make(tmp_path / "3m.vlt" / "Good")
    assert one_uid(good) == one_uid(good.parent) == one_uid(tmp_path) == good
    poor = make(tmp_path / "3m.vlt" / "Poor")
    told = rf"holds 2 vaults \(3m.vlt/Good, 3m.vlt/Poor\); expected one. Pass {good}\."
    with pytest.raises(DataError, match=told):
        one_uid(tmp_path)
    assert one_uid(poor) == poor
    with pytest.raises(DataError, match=r"holds 0 vaults \(\); .* a folder with metadata.json and manifest"):
        one_uid(good / "nowhere")


@pytest.mark.parametrize(("count", "rest"), [(12, ""), (13, ", and 1 more"), (15, ", and 3 more")])
def test_twelve_are_listed(tmp_path, count, rest):
    names = [f"v{number:02}" for number in range(count)]
    for name in names:
        make(tmp_path / name)
    with pytest.raises(DataError) as error:
        one_uid(tmp_path)
    assert f"holds {count} vaults ({', '.join(names[:12])}{rest}); expected one" in str(error.value)


def test_zips_are_to_be_unpacked(tmp_path):
    path = tmp_path / "3m.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name in ("3m.vlt/Poor/metadata.json", "3m.vlt/Good/metadata.json", "3m.vlt/Good/manifest.ocdbt"):
            file.writestr(name, "")
        file.writestr("other/Good/metadata.json", "")
    assert zipped_vaults(path) == ["3m.vlt/Good", "3m.vlt/Poor"]
    with pytest.raises(DataError, match=r"of the vaults 3m.vlt/Good, 3m.vlt/Poor; .* -e 3m.zip") as error:
        one_uid(path)
    assert f"and pass {tmp_path / '3m.vlt' / 'Good'}." in str(error.value)
    path.rename(tmp_path / "3m.dat")
    make(tmp_path / "folder.zip")
    assert (
        zipped_vaults(path)
        == zipped_vaults(tmp_path / "3m.dat")
        == zipped_vaults(tmp_path / "folder.zip")
        == []
    )
    path.write_text("no zip")
    with pytest.raises(DataError, match=r"3m.zip cannot be read: BadZipFile"):
        zipped_vaults(path)
