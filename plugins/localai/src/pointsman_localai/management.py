"""What LocalAI's management calls answer, as our values. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from pointsman.plugin import BadResponse


class LoadedModel(Struct, frozen=True):
    """A model that is in memory now; `backend` is "" when LocalAI does not say which one runs it."""

    id: str
    backend: str = ""


class Job(Struct, frozen=True):
    """The state of an installation.

    Attributes:
        progress: percent, 0 to 100.
        phase: queued, resolving, downloading, verifying and so on; "" when LocalAI does not say.
        done: nothing more will happen; it succeeded unless `error` says why not or it was `cancelled`.
        current_bytes, total_bytes: of the download, None when unknown.
    """

    uuid: str
    progress: float = 0.0
    phase: str = ""
    message: str = ""
    done: bool = False
    error: str = ""
    cancelled: bool = False
    current_bytes: int | None = None
    total_bytes: int | None = None
    raw: Any = None


def loaded_models(body: Any) -> list[LoadedModel]:
    """The answer of GET /system. Raises BadResponse."""
    models = _object(body, "GET /system").get("loaded_models")
    return [
        LoadedModel(each["id"], str(each.get("backend") or ""))
        for each in (models if isinstance(models, list) else ())
        if isinstance(each, Mapping) and isinstance(each.get("id"), str)
    ]


def job(body: Any, uuid: str) -> Job:
    """The answer of GET /models/jobs/{uuid}. Raises BadResponse."""
    status = _object(body, "a job's status")
    progress = status.get("progress")
    return Job(
        uuid=uuid,
        progress=float(progress) if isinstance(progress, int | float) else 0.0,
        phase=str(status.get("phase") or ""),
        message=str(status.get("message") or ""),
        done=status.get("processed") is True,
        error=str(status.get("error") or ""),
        cancelled=status.get("cancelled") is True,
        current_bytes=_count(status.get("current_bytes")),
        total_bytes=_count(status.get("total_bytes")),
        raw=body,
    )


def job_uuid(body: Any) -> str:
    """The answer of POST /models/apply. Raises BadResponse."""
    return _string(body, "uuid", "POST /models/apply")


def tokens(body: Any) -> list[int]:
    """The answer of POST /v1/tokenize. Raises BadResponse."""
    found = _object(body, "POST /v1/tokenize").get("tokens")
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(each, int) for each in found):
        raise BadResponse("LocalAI's answer to POST /v1/tokenize has no list of tokens")
    return list(found)


def version(body: Any) -> str:
    """The answer of GET /version. Raises BadResponse."""
    return _string(body, "version", "GET /version")


def _object(body: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(body, Mapping):
        raise BadResponse(f"LocalAI's answer to {what} is not an object")
    return body


def _string(body: Any, key: str, what: str) -> str:
    value = _object(body, what).get(key)
    if not isinstance(value, str) or not value:
        raise BadResponse(f"LocalAI's answer to {what} has no {key}")
    return value


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
