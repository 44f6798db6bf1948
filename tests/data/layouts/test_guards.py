"""Guards: one kind of error, folders that are whole, and what a layout has no place for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from omiga_torchrl.data.layouts.guards import as_data_error, new_folder, require_plain
from omiga_torchrl.errors import DataError
from tests.data.conftest import make_episodes


def test_what_a_damaged_file_raises_becomes_a_data_error():
    for cause in (KeyError("a"), OSError("b"), ZeroDivisionError("c"), RecursionError("d")):
        with pytest.raises(DataError, match=r"^OfflineDataset: here cannot") as error, as_data_error("here"):
            raise cause
        assert error.value.__cause__ is cause and "Is it complete?" in str(error.value)
    told = r"cannot be read: ValueError: one two\. Fix it$"
    with pytest.raises(DataError, match=told), as_data_error("here", "Fix it"):
        raise ValueError("one\n  two.")


def test_long_causes_are_cut():
    with pytest.raises(DataError) as error, as_data_error("here", "Fix."):
        raise ValueError("x" * 500)
    assert str(error.value) == f"OfflineDataset: here cannot be read: ValueError: {'x' * 108}. Fix."


@pytest.mark.parametrize("passed", [DataError("ours"), ImportError("h5py"), KeyboardInterrupt()])
def test_what_is_clear_already_passes(passed):
    with pytest.raises(type(passed)) as error, as_data_error("here"):
        raise passed
    assert error.value is passed


def test_a_folder_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "deep" / "new"
    with new_folder(str(path)) as folder:
        assert folder.parent == path.parent and folder != path and not path.exists()
        (folder / "a").write_text("whole")
    assert [one.name for one in path.parent.iterdir()] == ["new"] and (path / "a").read_text() == "whole"
    assert path.stat().st_mode & 0o777 == 0o755
    with pytest.raises(FileExistsError, match="new exists; expected a new folder"), new_folder(path):
        pass
    assert (path / "a").read_text() == "whole"


@pytest.mark.parametrize("cause", [ValueError("no"), KeyboardInterrupt()])
def test_an_error_leaves_no_folder(tmp_path, cause):
    with pytest.raises(type(cause)), new_folder(tmp_path / "new") as folder:
        (folder / "a").write_text("half")
        raise cause
    assert list(tmp_path.iterdir()) == []


def with_arrays(**arrays):
    block = make_episodes()
    return block.replaced(groups={"agents": replace(block.groups["agents"], **arrays)})


def test_what_a_layout_has_no_place_for():
    own = {"reward": np.ones((8, 2), np.float32)}
    present = {"agent_mask": np.ones((11, 2), bool)}
    rewarded, masked, both = with_arrays(**own), with_arrays(**present), with_arrays(**own, **present)
    require_plain("Toy", make_episodes())
    require_plain("Toy", rewarded, has_rewards=True)
    require_plain("Toy", masked, has_presence=True)
    require_plain("Toy", both, has_rewards=True, has_presence=True)
    reward, mask = "every agent's own reward", r"agents that come and go \('agent_mask'\)"
    for block, places, expected in (
        (rewarded, {}, reward),
        (rewarded, {"has_presence": True}, reward),
        (masked, {}, mask),
        (masked, {"has_rewards": True}, mask),
        (both, {}, f"{mask} or {reward}"),
        (both, {"has_rewards": True}, mask),
        (both, {"has_presence": True}, reward),
    ):
        with pytest.raises(DataError, match=f"Toy: this layout has no place for {expected}. Keep"):
            require_plain("Toy", block, **places)


def test_several_groups_have_no_place():
    one = make_episodes()
    two = one.replaced(groups=dict.fromkeys("ab", one.groups["agents"]))
    with pytest.raises(DataError, match=r"Toy: .* no place for the groups a, b, .*write_recording.*'vault'"):
        require_plain("Toy", two, has_rewards=True, has_presence=True)
