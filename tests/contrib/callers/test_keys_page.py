"""docs/keys.md says what holds of keys of callers."""

from __future__ import annotations

import re
from pathlib import Path

from pointsman import Config, Router
from pointsman_callers.keys import keeper, key_text
from pointsman_callers.keys.command import command
from pointsman_callers.keys.service import CallersSettings
from pointsman_callers.keys.wanted import Wanted
from pointsman_gateway.reading import check_reach, gateway_settings

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "keys.md").read_text("utf-8")
PAGE = PAGE[PAGE.index("## Keys of callers") :]


def test_its_example_is_a_configuration_that_may_listen_anywhere(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    assert example is not None
    file = tmp_path / "pointsman.yaml"
    file.write_text(example[1])

    config = Config.load(file)
    check_reach(gateway_settings(config), config)
    Router.check(config)

    assert not list(tmp_path.glob("*.db"))


def test_every_setting_member_and_command_is_there() -> None:
    for name in (*CallersSettings.model_fields, *Wanted.__struct_fields__):
        if name != "name":
            assert f"`{name}`" in PAGE
    for name in command.commands:
        assert name in ("show",) or re.search(rf"callers {name}|`{name}`", PAGE), name
    (add,) = [each for name, each in command.commands.items() if name == "add"]
    for option in add.params:
        if option.name not in ("name", "config", "json"):
            assert option.opts[0] in PAGE, option.opts


def test_its_form_of_a_key_and_its_times_are_those_of_the_code() -> None:
    assert key_text.START == "pm_"
    assert len(key_text.new_id()) == 8
    assert "five\ntimes a second" in PAGE
    assert (1 / keeper.LOOK_EVERY, keeper.WITHIN) == (5.0, 1.0)
