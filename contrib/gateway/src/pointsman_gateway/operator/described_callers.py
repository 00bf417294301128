"""The routes of `pointsman-callers`, as the document has them; they are there where that is configured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pointsman_gateway.operator.describing import (
    ANY,
    COUNT,
    FLAG,
    NUMBER,
    TEXT,
    Described,
    Family,
    Schema,
    array,
    maybe,
    obj,
    ref,
)
from pointsman_gateway.operator.operators import OPERATOR

_NAMES: Schema = {"anyOf": [{"const": "*"}, array(TEXT)]}
_TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
_LIMITS: Schema = {
    "type": "object",
    "description": "by unit, `requests`, `tokens` or `money`: `1000/day`, `1M/month`, `10 USD/month`",
    "additionalProperties": {"anyOf": [TEXT, array(TEXT), {"type": "null"}]},
}
_SCOPE: Mapping[str, Any] = {
    "models": _NAMES, "surfaces": _NAMES, "operator": FLAG, "labels": _TEXTS, "require": ANY,
    "limits": _LIMITS,
    "expires": {**maybe(TEXT), "description": "an instant, or a duration from now such as `30d`"},
}  # fmt: skip
_HOW_FAR: Mapping[str, Schema] = {
    "announced": FLAG, "seen_by": array(TEXT), "waiting_for": array(TEXT), "silent": array(TEXT),
    "ms": NUMBER,
}  # fmt: skip
CALLER_SCHEMAS: Mapping[str, Schema] = {
    "CallerKey": obj(
        id=TEXT, name=TEXT, state={"enum": ["good", "ended", "revoked"]}, made_by=TEXT,
        creator=maybe(TEXT), models=maybe(array(TEXT)), surfaces=maybe(array(TEXT)), operator=FLAG,
        labels=_TEXTS, require={"type": "object", "additionalProperties": array(TEXT)},
        limits={"type": "object", "additionalProperties": array(TEXT)}, created=TEXT,
        expires=maybe(TEXT), last_used=maybe(TEXT), revoked_at=maybe(TEXT), secrets=COUNT,
    ),
    "CallerKeys": obj(callers=array(ref("CallerKey"))),
    "WantedKey": {"type": "object", "properties": {"name": TEXT, **_SCOPE}, "required": ["name"]},
    "ChangedKey": {"type": "object", "properties": _SCOPE},
    "Overlap": {"type": "object", "properties": {"overlap": TEXT}},
    "MadeKey": {
        **obj(key=TEXT, caller=ref("CallerKey"), **_HOW_FAR),
        "description": "`key` is shown this once; `announced`: all gateways that run know it",
    },
    "KnownKey": obj(caller=ref("CallerKey"), **_HOW_FAR),
    "ErasedKey": obj(id=TEXT, erased=array(TEXT), **_HOW_FAR),
    "BudgetAccount": obj(
        rule=TEXT, subject=TEXT, unit={"enum": ["requests", "tokens", "microcents"]},
        per={"enum": ["hour", "day", "month"]}, window={"enum": ["calendar", "rolling"]},
        limit=COUNT, spent=COUNT, held=COUNT, resets_in=maybe(NUMBER), refused=COUNT,
    ),
    "BudgetAccounts": obj(budgets=array(ref("BudgetAccount"))),
}  # fmt: skip

_CALLERS = "/admin/v1/callers"
_ONE = f"{_CALLERS}/{{id}}"
_ROUTES: Sequence[Described] = (
    Described(
        "GET", "/admin/v1/budgets", "How it stands with each budget that was used", "BudgetAccounts",
        statuses=(404,),
    ),
    Described("GET", _CALLERS, "The keys of callers, and what each grants", "CallerKeys", statuses=(404,)),
    Described(
        "POST", _CALLERS, "Make a key, which grants no more than that of who asks", "",
        takes="WantedKey", statuses=(404, 409), answers={201: "MadeKey"},
    ),
    Described("GET", _ONE, "One key", "CallerKey", statuses=(404,)),
    Described(
        "PATCH", _ONE, "Have a key grant something else", "KnownKey", takes="ChangedKey", statuses=(404,),
    ),
    Described(
        "DELETE",
        _ONE,
        "End a key, and remove it; what its caller spent, and records of it, stay",
        "ErasedKey",
        statuses=(404,),
    ),
    Described(
        "POST", f"{_ONE}/rotate", "Make a key anew; the former one is good for a while still", "MadeKey",
        takes="Overlap", statuses=(404,),
    ),
    Described(
        "POST", f"{_ONE}/revoke", "End a key; answered once all gateways that run have heard of it",
        "KnownKey", statuses=(404,),
    ),
)  # fmt: skip
CALLERS = Family("Error", OPERATOR.usual, _ROUTES)
