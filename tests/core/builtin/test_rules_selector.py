"""The selector `rules`: the first rule that holds says the model, and what cannot be right is no table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from routers import config

from pointsman import ChatRequest, ConfigError, EmbedRequest, GenerateRequest, Message, ModelSelected, Router
from pointsman.builtin.rules import _HOLDS, ByRules, ModelRule, RulesSettings
from pointsman.clock import LoopClock, system_rng
from pointsman.plugin import Image, Request, ResponseFormat, Selection, SelectorCall, Text, Tool
from pointsman.testing import Contexts, Scripted, run

MODELS = ("small", "large")


def selector(*rules: Mapping[str, Any], default: str = "small") -> ByRules:
    settings = RulesSettings.model_validate({"rules": list(rules)})
    contexts = Contexts(LoopClock(), system_rng())
    return ByRules(contexts.selector("rules", settings, models=MODELS, default=default))


def chosen(made: ByRules, request: Request, **said: Any) -> Selection:
    call = SelectorCall(
        "r", said.get("operation", "chat"), "auto", said.get("caller", ""), said.get("tags", {}), 1e9
    )
    return run(made.choose(request, (), call))


def chat(text: str = "hi", **options: Any) -> ChatRequest:
    return ChatRequest("auto", (Message.system("be brief"), Message.user(text)), **options)


PICTURE = ChatRequest("auto", (Message.user((Text("what is it?"), Image(b"x"))),))
HOLDS: dict[str, tuple[Any, Request, Request, dict[str, Any], dict[str, Any]]] = {
    "tokens_over": (100, chat("word " * 200), chat("word"), {}, {}),
    "tokens_under": (100, chat("word"), chat("word " * 200), {}, {}),
    "tools": (True, chat(tools=(Tool("f"),)), chat(), {}, {}),
    "pictures": (True, PICTURE, chat(), {}, {}),
    "response_format": ("json", chat(response_format=ResponseFormat("json")), chat(), {}, {}),
    "contains": (["PROVE", "theorem"], chat("Please Prove it"), chat("please"), {}, {}),
    "operation": (["stream", "embed"], chat(), chat(), {"operation": "stream"}, {"operation": "chat"}),
    "caller": ("alice", chat(), chat(), {"caller": "alice"}, {"caller": "bob"}),
    "tags": ({"tier": ["a", "b"]}, chat(), chat(), {"tags": {"tier": "b"}}, {"tags": {"tier": "c"}}),
}


def test_each_condition_is_tried_here() -> None:
    assert HOLDS.keys() == _HOLDS.keys() == ModelRule.model_fields.keys() - {"use"}


@pytest.mark.parametrize("name", HOLDS)
def test_a_rule_holds_for_what_it_says_and_for_nothing_else(name: str) -> None:
    wanted, yes, no, said_yes, said_no = HOLDS[name]
    made = selector({name: wanted, "use": "large"})

    assert chosen(made, yes, **said_yes) == Selection("large", f"rule 1: {name}")
    assert chosen(made, no, **said_no) == Selection("small", "no rule holds")


@pytest.mark.parametrize(
    ("conditions", "request_", "holds"),
    [
        ({"tools": False}, chat(), True),
        ({"tools": False}, chat(tools=(Tool("f"),)), False),
        ({"tools": False}, EmbedRequest("auto", ("x",)), True),
        ({"pictures": False}, PICTURE, False),
        ({"pictures": True}, GenerateRequest("auto", "x", images=(Image(b"x"),)), True),
        ({"response_format": ["schema", "text"]}, chat(), True),
        ({"contains": "plum"}, GenerateRequest("auto", "x", suffix="a PLUM"), True),
        ({"contains": "plum"}, EmbedRequest("auto", ("x", "plums")), True),
        ({"contains": "brief"}, chat(), True),
        ({"contains": "hi", "tools": True}, chat(), False),
        ({"contains": "hi", "tokens_under": 100, "tokens_over": 1}, chat(), True),
    ],
)
def test_all_that_a_rule_says_must_hold(conditions: dict[str, Any], request_: Request, holds: bool) -> None:
    assert (chosen(selector({**conditions, "use": "large"}), request_).name == "large") is holds


def test_the_first_rule_that_holds_says_the_model() -> None:
    made = selector(
        {"contains": "never there", "use": "large"},
        {"contains": "hi", "use": "small"},
        {"use": "large"},
    )

    assert chosen(made, chat()) == Selection("small", "rule 2: contains")
    assert chosen(made, chat("else")) == Selection("large", "rule 3: always")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([], "models.auto.selector.rules: must have 1 or more entries"),
        (
            [{"use": "larg"}],
            "models.auto.selector: rules[0].use: 'larg' is none of the models under `of`; did you",
        ),
        ([{"tools": True}], "models.auto.selector.rules[0].use: is missing"),
        ([{"use": "large"}, {"use": "small"}], "rule 1 always holds, so that those after it never do"),
        (
            [{"tokens_ovr": 5, "use": "large"}],
            "models.auto.selector.rules[0].tokens_ovr: unknown key 'tokens_ovr'; did",
        ),
        (
            [{"tokens_over": 5, "tokens_under": 6, "use": "large"}],
            "nothing has more than 5 tokens and fewer than 6",
        ),
        (
            [{"tokens_over": -1, "use": "large"}],
            "models.auto.selector.rules[0].tokens_over: must be 0 or more",
        ),
        (
            [{"contains": [""], "use": "large"}],
            "models.auto.selector.rules[0].contains[0]: must not be empty",
        ),
        (
            [{"contains": [], "use": "large"}],
            "models.auto.selector.rules[0].contains: must have 1 or more entries",
        ),
        ([{"operation": "chatt", "use": "large"}], "models.auto.selector.rules[0].operation[0]"),
        ([{"tags": {}, "use": "large"}], "models.auto.selector.rules[0].tags"),
        ([{"tools": "yes", "use": "large"}], "models.auto.selector.rules[0].tools: expected true or false"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused_with_its_place(rules: list[Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Router.check(auto(rules), plugins=[Scripted()])

    assert said in str(caught.value)


def auto(rules: list[Any]) -> dict[str, Any]:
    given = config("ab")
    given["models"] = {
        "small": {"deployments": ["a/x"]},
        "large": {"deployments": ["b/x"]},
        "auto": {"selector": {"type": "rules", "rules": rules}, "of": ["small", "large"]},
    }
    return given


async def test_a_configuration_with_rules_sends_each_request_where_they_say() -> None:
    rules = [{"operation": "embed", "use": "large"}, {"contains": "prove", "use": "large"}]
    told: list[ModelSelected] = []

    async with Router.from_config(auto(rules), plugins=[Scripted()]) as r:
        r.listen(told.append, kinds=[ModelSelected])
        await r.chat("auto", "hello")
        await r.chat("auto", "Prove it")
        await r.embed("auto", "hello")

    assert [(each.chosen, each.reason, each.failed) for each in told] == [
        ("small", "no rule holds", False),
        ("large", "rule 2: contains", False),
        ("large", "rule 1: operation", False),
    ]


PAGE = (Path(__file__).resolve().parents[3] / "docs" / "configuration.md").read_text("utf-8")


def test_the_page_lists_what_a_rule_can_say() -> None:
    table = PAGE.partition("| key of a rule |")[2].partition("\n\n")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE))

    assert listed == {name: field.description for name, field in ModelRule.model_fields.items()}


def test_the_configuration_of_the_page_is_a_sound_one(tmp_path: Path) -> None:
    section = PAGE.partition("### Guards and selectors")[2]
    (tmp_path / "pointsman.yaml").write_text(section.partition("```yaml\n")[2].partition("```")[0])

    told = Router.from_config(tmp_path / "pointsman.yaml").explain("auto", "hello").to_dict()

    assert [each["model"] for each in told["selector"]["candidates"]] == ["small", "large"]
