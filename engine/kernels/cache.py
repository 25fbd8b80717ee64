# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Numba keeps compiled kernels: located by the content of the sources, so that all copies of the same sources share them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from numba.core.caching import UserProvidedCacheLocator

from . import unwritable

_SOURCES = Path(__file__).resolve().parent


class ContentLocator(UserProvidedCacheLocator):
    """Numba's locator for NUMBA_CACHE_DIR, whose subfolders depend on the path below ``kernels/`` instead of the absolute path.

    The folder itself is keyed by the content of every kernel source, see :mod:`engine.kernels`.
    """

    @classmethod
    def from_function(cls, py_func: Callable, py_file: str) -> ContentLocator:
        """The locator of a function.

        Raises:
            OSError: its folder cannot be written. Numba's own locators pass over that and end with a RuntimeError (0.68).
        """
        locator = cls(py_func, py_file)
        try:
            locator.ensure_cache_path()
        except OSError as error:
            raise unwritable(error.errno) from None
        return locator

    @classmethod
    def get_suitable_cache_subpath(cls, py_file: str) -> str:
        """The folder below the cache for a source file, for example ``tiles``."""
        path = Path(py_file).resolve()
        if not path.is_relative_to(_SOURCES):
            # A jitted function of the tests.
            return super().get_suitable_cache_subpath(py_file)
        return str(path.relative_to(_SOURCES).parent)
