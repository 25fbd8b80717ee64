# SPDX-License-Identifier: GPL-3.0-or-later
"""Positional encoding against its formula."""

import math

import torch

from engine.fields.encoding import encode, encoded_size


def test_the_encoding_is_the_values_and_sine_and_cosine_at_each_octave():
    values = torch.tensor([[0.3, -0.7, 1.1]])
    made = encode(values, 3)[0].tolist()
    wanted = values[0].tolist()
    for octave in (1, 2, 4):
        wanted += [math.sin(octave * value) for value in values[0].tolist()]
        wanted += [math.cos(octave * value) for value in values[0].tolist()]
    assert torch.allclose(torch.tensor(made), torch.tensor(wanted), atol=1e-6)


def test_sizes_are_those_of_the_paper():
    assert encoded_size(10) == 63 and encoded_size(4) == 27 and encoded_size(0) == 3
    assert encode(torch.zeros(5, 7, 3), 10).shape == (5, 7, 63)
    assert torch.equal(encode(torch.ones(2, 3), 0), torch.ones(2, 3))
