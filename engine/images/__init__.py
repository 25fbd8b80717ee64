# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendered images as files: PNG, EXR and film. Every file is written beside its final path and moved there when it is complete."""
