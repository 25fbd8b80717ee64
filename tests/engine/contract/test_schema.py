# SPDX-License-Identifier: GPL-3.0-or-later
import dataclasses
import json
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contract import settings as contract_settings
from engine.contract.errors import UserError
from engine.contract.schema import SCHEMA, about, check, check_version, from_mapping, setting, to_mapping


@dataclass(frozen=True)
class Inner:
    share: float = setting(0.5, "A share.", minimum=0.0, maximum=1.0)


@dataclass(frozen=True)
class Outer:
    name: str
    count: int = setting(3, "A count.", unit="px", minimum=1)
    length: float | None = setting(None, "A length.", unit="m")
    kind: Literal["a", "b"] = setting("a", "A kind.")
    flag: bool = setting(False, "A flag.")
    place: tuple[float, float, float] | None = setting(None, "A place.", minimum=-10.0)
    inner: Inner = setting(Inner, "More.")


def test_missing_keys_take_the_default_and_nested_tables_are_read():
    values = from_mapping(Outer, {"name": "x", "length": 2, "place": [1, 2, 3], "inner": {"share": 1}})
    assert values == Outer("x", length=2.0, place=(1, 2, 3), inner=Inner(1.0))
    assert isinstance(values.length, float) and isinstance(values.inner.share, float)


@pytest.mark.parametrize(
    ("mapping", "named"),
    [
        ({}, "name"),
        ({"name": "x", "color": 1}, "color"),
        ({"name": 5}, "name"),
        ({"name": "x", "count": 0}, "count"),
        ({"name": "x", "count": 1.5}, "count"),
        ({"name": "x", "count": True}, "count"),
        ({"name": "x", "count": None}, "count"),
        ({"name": "x", "length": float("nan")}, "length"),
        ({"name": "x", "length": "2"}, "length"),
        ({"name": "x", "kind": "c"}, "kind"),
        ({"name": "x", "flag": 1}, "flag"),
        ({"name": "x", "place": [1, 2]}, "place"),
        ({"name": "x", "place": [1, 2, -11]}, "place"),
        ({"name": "x", "place": 5}, "place"),
        ({"name": "x", "inner": {"share": 2}}, "outer.inner.share"),
        ({"name": "x", "inner": {"other": 2}}, "other"),
        ({"name": "x", "inner": 3}, "outer.inner"),
        ([], "outer"),
    ],
)
def test_bad_values_are_refused_by_name(mapping, named):
    with pytest.raises(UserError, match=named):
        from_mapping(Outer, mapping, "outer")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([field.name for field in dataclasses.fields(Outer)]), plain))
def test_any_plain_value_gives_settings_or_a_user_error(mapping):
    try:
        check(from_mapping(Outer, mapping))
    except UserError:
        pass


STAGES = [cls for cls in vars(contract_settings).values() if dataclasses.is_dataclass(cls)]


@pytest.mark.parametrize("cls", STAGES)
def test_every_stages_defaults_are_valid_and_survive_json(cls):
    values = cls()
    check(values)
    assert from_mapping(cls, json.loads(json.dumps(to_mapping(values)))) == values


@pytest.mark.parametrize("cls", STAGES)
def test_every_setting_has_help_that_is_a_sentence(cls):
    for field in dataclasses.fields(cls):
        assert about(field).help.endswith(".") and about(field).help[0].isupper(), field.name


def test_another_major_version_is_refused_a_minor_one_is_not():
    major = SCHEMA.split(".")[0]
    check_version(f"{major}.99", "It")
    for version in (f"{int(major) + 1}.0", None, "", "x"):
        with pytest.raises(UserError, match="version"):
            check_version(version, "It")
