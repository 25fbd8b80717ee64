# SPDX-License-Identifier: GPL-3.0-or-later
"""The one loop that trains every method: budget, progress, previews, checkpoints, cancelling."""
