# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of scenes and files as names of folders."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reconstruct.addon.core.folder_names import safe_name


@given(st.text(min_size=1), st.text(min_size=1))
@settings(max_examples=200, deadline=None)
def test_names_of_folders_are_fit_for_every_system(one, other):
    name = safe_name(one)
    assert name == safe_name(one) and (one == other or name != safe_name(other))
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f\x7f]', name) and name[-1] not in " ." and len(name.encode("utf-8", "replace")) <= 120
    assert name.split(".")[0].strip().lower() not in ("con", "prn", "aux", "nul", "com1", "lpt9")


@pytest.mark.parametrize("name", ["Scene", "Wohn- und Esszimmer (2)", "Küche 🍳", "寝室"])
def test_everyday_names_stay(name):
    assert safe_name(name) == name
