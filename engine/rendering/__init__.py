# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures for people: cameras along a path, and the files that are written of what they see."""
