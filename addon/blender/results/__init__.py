# SPDX-License-Identifier: GPL-3.0-or-later
"""What was reconstructed, as Blender objects."""
