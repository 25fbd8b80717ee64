# SPDX-License-Identifier: GPL-3.0-or-later
"""3D-R2N2: voxels from one picture or a few, the data that teaches it, and the network."""
