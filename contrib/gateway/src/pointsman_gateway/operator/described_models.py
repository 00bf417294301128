"""The routes of models, as the document has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pointsman_gateway.operator.describing import (
    COUNT,
    FLAG,
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

MODEL_SCHEMAS: Mapping[str, Schema] = {
    "ModelsThere": obj(models=array(ref("NamedModel")), providers=array(ref("ProviderModels"))),
    "NamedModel": {
        **obj(
            name=TEXT, alias_of=maybe(TEXT), of=array(TEXT), can=array(TEXT), context_length=maybe(COUNT),
            family=TEXT,
            deployments=array(
                obj(id=TEXT, provider=TEXT, model=TEXT, there=maybe(FLAG), warm=maybe(FLAG))
            ),
        ),
        "description": "a public name: what it can do, and whether each of its servers has the model "
        "(`there`), and in memory (`warm`); null where nobody knows",
    },
    "ProviderModels": {
        **obj(
            name=TEXT, type=TEXT, pull=FLAG, delete=FLAG, trouble=maybe(TEXT),
            models=array(
                obj(name=TEXT, size_bytes=maybe(COUNT), context_length=maybe(COUNT), warm=maybe(FLAG))
            ),
        ),
        "description": "what it lists, whether it can pull and delete; `trouble`: why it does not answer",
    },
    "DeletedModel": obj(id=TEXT, deleted=FLAG),
}  # fmt: skip

_MODELS = "/admin/v1/models"
_ONE = f"{_MODELS}/{{id}}"
_CALLED = "`id` is the name of the provider, `/`, and that of the model there."
_ROUTES: Sequence[Described] = (
    Described(
        "GET", _MODELS, "Which models there are, who has them, and who in memory", "ModelsThere",
        description="The upstreams are asked when this is.",
    ),
    Described(
        "POST", f"{_ONE}/pull", "Have a provider fetch a model", "text/event-stream",
        statuses=(404, 429, 502),
        description=f"{_CALLED} Events: `progress` with `status`, `part`, `total`, `completed` and `unit` "
        "(`bytes` or `percent`), then `done` or `error` with `code` and `message`. Whoever leaves ends it; "
        "the server keeps what has arrived.",
    ),
    Described(
        "DELETE", _ONE, "Delete a model from the disk of its server", "DeletedModel",
        statuses=(404, 429, 502), description=_CALLED,
    ),
)  # fmt: skip
MODELS = Family("Error", OPERATOR.usual, _ROUTES)
