# SPDX-License-Identifier: GPL-3.0-or-later
import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data():
    """Gives a folder of the shared test data, or skips."""
    root = Path(os.environ.get("RECONSTRUCT_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")

    def find(name: str) -> Path:
        if not (root / name).exists():
            pytest.skip(f"shared test data {name} is not at {root}")
        return root / name

    return find
