# SPDX-License-Identifier: GPL-3.0-or-later
"""Accelerations: that each says what it lacks, and that IPEX is given what it needs."""

import sys
import types

import pytest
import torch

from engine import precision
from engine.precision import lacking, with_ipex


def installed(monkeypatch, *names):
    monkeypatch.setattr(precision, "find_spec", lambda name: object() if name in names else None)


def test_what_is_not_installed_is_named_with_the_way_to_it(monkeypatch):
    installed(monkeypatch)
    assert lacking("float32") == lacking("bfloat16") == ""
    assert "Neural Compressor" in lacking("int8") and "scripts/dev.py setup ipex" in lacking("int8")
    assert "Intel Extension for PyTorch" in lacking("ipex")
    assert "xpu" in lacking("int8", "xpu") and "xpu" in lacking("ipex", "xpu")


def test_without_a_compiler_on_the_path_int8_says_so(monkeypatch, tmp_path):
    installed(monkeypatch, "neural_compressor", "intel_extension_for_pytorch")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert "no C++ compiler" in lacking("int8") and lacking("ipex") == ""
    # A compiler that is named need not be on the path.
    named = tmp_path / "elsewhere" / "cc.exe"
    named.parent.mkdir()
    named.write_text("")
    named.chmod(0o755)
    monkeypatch.setenv("CXX", str(named))
    assert lacking("int8") == ""
    # Once IPEX is loaded, Neural Compressor quantizes for it, in a way that it gives up.
    monkeypatch.setitem(sys.modules, "intel_extension_for_pytorch", types.ModuleType("intel_extension_for_pytorch"))
    assert "in one process" in lacking("int8")


@pytest.mark.parametrize("narrow, kind", [(True, torch.bfloat16), (False, torch.float32)])
def test_ipex_is_given_model_and_optimiser(monkeypatch, narrow, kind):
    """By a stand-in that only keeps what it was called with."""
    calls = []
    stand_in = types.SimpleNamespace(optimize=lambda model, **others: calls.append((model, others)))
    monkeypatch.setitem(sys.modules, "intel_extension_for_pytorch", stand_in)
    network = torch.nn.Linear(2, 2).eval()
    optimizer = torch.optim.Adam(network.parameters())
    with_ipex(network, optimizer, narrow)
    assert calls == [(network, {"dtype": kind, "optimizer": optimizer, "inplace": True})] and network.training
