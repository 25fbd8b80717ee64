# SPDX-License-Identifier: GPL-3.0-or-later
"""3D Gaussian splatting: parameters, rendering with gradients, the loss, the optimizer and densification."""
