# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import pytest

from engine.contract.errors import UserError
from engine.formats import memory
from engine.formats.memory import VARIABLE, check_memory, machine_memory

FILE = Path("folder") / "a.spz"


@pytest.fixture(autouse=True)
def of_64_gigabytes(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(memory, "machine_memory", lambda: 64 << 30)


def test_small_files_and_plausible_ones_pass():
    check_memory(FILE, 256 << 20, 0)
    check_memory(FILE, 8 << 30, 1 << 30)


def test_what_a_file_of_its_size_cannot_need_is_refused_with_the_setting_that_allows_it(monkeypatch):
    with pytest.raises(UserError, match=f"a.spz would take 3.0 GB.*0.3 GB that a file of its size.*{VARIABLE}"):
        check_memory(FILE, 3_000_000_000, 1000)
    monkeypatch.setenv(VARIABLE, "3")
    check_memory(FILE, 3_000_000_000, 1000)
    with pytest.raises(UserError, match=f"the 3.0 GB that {VARIABLE} allows"):
        check_memory(FILE, 3_100_000_000, 1 << 40)


def test_what_the_machine_does_not_have_is_refused():
    with pytest.raises(UserError, match="51.5 GB that a file may take on this machine"):
        check_memory(FILE, 60 << 30, 60 << 30)


@pytest.mark.parametrize("value", ["", "much", "0", "-3", "nan"])
def test_a_setting_that_is_no_size_is_as_none(monkeypatch, value):
    monkeypatch.setenv(VARIABLE, value)
    check_memory(FILE, 256 << 20, 0)
    with pytest.raises(UserError, match="a file of its size"):
        check_memory(FILE, 300 << 20, 0)


def test_the_memory_of_this_machine_is_known(monkeypatch):
    monkeypatch.undo()
    assert 1 << 28 < machine_memory() < 1 << 60
