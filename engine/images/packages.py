# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that only some image formats need."""

from __future__ import annotations

import importlib
from types import ModuleType

from ..contract.errors import UserError


def require(name: str, purpose: str) -> ModuleType:
    """Imports a package.

    Args:
        name: of the module. purpose: what needs it, the beginning of a sentence.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(f"{purpose} need the package {name.lower()}, which is not installed.", f"Run: pip install {name.lower()}") from None
