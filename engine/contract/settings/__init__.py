# SPDX-License-Identifier: GPL-3.0-or-later
"""Every setting of every stage, with its help, unit and bounds; those of the methods are in contract/methods.

The same dataclasses are the command line's options, the tables of a job file and, as bpy properties made from them, the panels.
"""

from .capture import CaptureSettings
from .scene import ImportSettings, PlaceSettings, RenderSettings
from .surface import ProxySettings, SurfaceSettings
from .train import TrainSettings, check_method, trained_settings

__all__ = [
    "CaptureSettings",
    "ImportSettings",
    "PlaceSettings",
    "ProxySettings",
    "RenderSettings",
    "SurfaceSettings",
    "TrainSettings",
    "check_method",
    "trained_settings",
]
