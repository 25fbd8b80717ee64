# SPDX-License-Identifier: GPL-3.0-or-later
"""What doctor prints for a person."""

from engine import devices
from engine.jobs.doctor import plain


def test_columns_do_not_touch():
    """Names of methods of any length: "splatuses" was printed once."""
    facts = {
        "engine": "1.0",
        "processor": "a processor",
        "threads": 2,
        "memory_gib": 8.0,
        "devices": ["cpu"],
        "methods": {name: {"device": "cpu", "reason": "a reason."} for name in (*devices.SUPPORTED, "a-longer-name")},
        "numbers": {"words": "float32."},
        "libraries": {"torch": "2"},
        "kernels": {"compiled": True, "cache": "a/folder"},
        "cost": {"words": "a moment."},
    }
    title, *rows = plain(facts).splitlines()
    assert title == "Reconstruct engine 1.0" and len(rows) == 7 + len(devices.SUPPORTED)
    width = len("Method a-longer-name  ")
    for row in rows:
        name, words = row[:width], row[width:]
        assert name.endswith("  ") and name.strip() and words == words.strip() and words
