"""A file that has arrived in part: when it goes on, and when it starts anew."""

from __future__ import annotations

from email.message import Message

import pytest

from omiga_torchrl.data.published.partial_file import PartialFile


def headers(**values):
    message = Message()
    for name, value in values.items():
        message[name.replace("_", "-")] = value
    return message


def begun(file, checked=False, **said):
    partial = PartialFile(file, checked)
    partial.begin(headers(**said))
    partial.path.write_bytes(b"half")
    return partial


@pytest.fixture
def file(tmp_path):
    return tmp_path / "data.zip"


def test_nothing_has_arrived_at_first(file):
    partial = PartialFile(file, checked=False)
    assert (partial.size, partial.tag, partial.path.name) == (0, "", "data.zip.part")


def test_a_tag_says_which_version_it_is(file):
    begun(file, ETag='"v1"', Last_Modified="Monday")
    again = PartialFile(file, checked=False)
    assert (again.size, again.tag) == (4, '"v1"')


@pytest.mark.parametrize("said", [{}, {"ETag": 'W/"v1"'}])
def test_a_weak_tag_or_none_leaves_the_time_or_nothing(file, said):
    assert begun(file, Last_Modified="Monday", **said).tag == "Monday"
    assert PartialFile(file, checked=False).size == 4
    assert begun(file, **said).tag == ""
    assert PartialFile(file, checked=False).size == 0  # nobody knows which version that was


def test_with_a_checksum_no_tag_is_needed(file):
    assert begun(file, checked=True, ETag='"v1"').tag == ""
    assert PartialFile(file, checked=True).size == 4


def test_a_new_beginning_forgets_what_was_there(file):
    partial = begun(file, ETag='"v1"')
    partial.begin(headers())
    assert (partial.size, partial.tag) == (0, "")
    partial.remove()  # also if nothing is there


def test_a_complete_file_takes_its_place(file, tmp_path):
    file.write_bytes(b"old")
    begun(file, ETag='"v1"').finish(file)
    assert file.read_bytes() == b"half" and [one.name for one in tmp_path.iterdir() if one.is_file()] == [
        "data.zip"
    ]
    begun(file, checked=True).finish(file)
    assert file.read_bytes() == b"half"
