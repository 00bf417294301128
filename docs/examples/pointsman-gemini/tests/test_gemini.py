"""What goes on to others, what needs Gemini's own wire, and how answers look."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from pointsman.plugin import ChatRequest, ChatResponse, ToolCall, Usage
from pointsman.testing import Served, SurfaceHost
from pointsman_gemini import plugin

TURN = {"role": "user", "parts": [{"text": "Rain?"}]}


def ask(
    body: Mapping[str, Any], answer: ChatResponse | None = None, *, method: str = "generateContent"
) -> tuple[Served, SurfaceHost]:
    host = SurfaceHost(answer)
    host.make(plugin.pointsman_surfaces()[0])
    path = f"/v1beta/models/org/small:{method}"
    query = {"alt": "sse"} if method == "streamGenerateContent" else {}
    return asyncio.run(host.ask("POST", path, json.dumps(body).encode(), query=query)), host


def test_a_conversation_is_said_in_our_words() -> None:
    body = {
        "contents": [TURN, {"role": "model", "parts": [{"text": "Yes."}]}, TURN],
        "system_instruction": {"parts": [{"text": "Be"}, {"text": "brief."}]},
        "generationConfig": {"topP": 0.9, "topK": 3, "seed": 1, "stopSequences": ["."]},
    }

    _, host = ask(body)

    (call,) = host.calls
    request = call.understood.request
    assert isinstance(request, ChatRequest)
    assert request.model == "org/small"
    assert [(each.role, each.text) for each in request.messages] == [
        ("system", "Be\nbrief."), ("user", "Rain?"), ("assistant", "Yes."), ("user", "Rain?"),
    ]  # fmt: skip
    assert (request.top_p, request.top_k, request.seed, request.stop) == (0.9, 3, 1, (".",))
    assert call.understood.wire == "gemini"
    assert list(call.understood.needs_wire) == []


@pytest.mark.parametrize(
    ("more", "needs"),
    [
        ({"tools": [{"googleSearch": {}}]}, "tools"),
        (
            {"contents": [{"parts": [{"inlineData": {"data": "", "mimeType": "image/png"}}]}]},
            "contents[0].parts[0]",
        ),
        ({"generationConfig": {"responseMimeType": "application/json"}}, "generationConfig.responseMimeType"),
        ({"toolConfig": {}}, "toolConfig"),
    ],
)
def test_what_only_gemini_understands_needs_its_wire(more: dict[str, Any], needs: str) -> None:
    _, host = ask({"contents": [TURN], **more})

    assert list(host.calls[0].understood.needs_wire) == [needs]


def test_what_changes_no_answer_is_left_out_by_name() -> None:
    _, host = ask({"contents": [TURN], "safetySettings": []})

    assert list(host.calls[0].understood.ignored) == ["safetySettings"]
    assert list(host.calls[0].understood.needs_wire) == []


def test_an_answer_has_its_parts_its_reason_and_its_tokens() -> None:
    answer = ChatResponse("Yes.", [ToolCall("1", "look", '{"at": 1}')], "length", Usage(3, 2))

    served, _ = ask({"contents": [TURN]}, answer)

    said = json.loads(served.body)
    (candidate,) = said["candidates"]
    assert candidate["content"] == {
        "parts": [{"text": "Yes."}, {"functionCall": {"name": "look", "args": {"at": 1}}}],
        "role": "model",
    }
    assert candidate["finishReason"] == "MAX_TOKENS"
    assert said["usageMetadata"] == {
        "promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5,
    }  # fmt: skip


def test_only_the_last_piece_of_a_stream_says_how_it_ended() -> None:
    served, _ = ask({"contents": [TURN]}, ChatResponse("It is raining."), method="streamGenerateContent")

    frames = [json.loads(each.removeprefix(b"data: ")) for each in served.body.split(b"\r\n\r\n") if each]
    ends = [each["candidates"][0].get("finishReason") for each in frames]
    assert served.content_type.startswith("text/event-stream")
    assert ends == [None] * (len(frames) - 1) + ["STOP"]


def test_a_stream_that_is_no_list_of_events_is_refused_with_what_helps() -> None:
    host = SurfaceHost()
    host.make(plugin.pointsman_surfaces()[0])

    served = asyncio.run(host.ask("POST", "/v1beta/models/small:streamGenerateContent", b"{}"))

    error = json.loads(served.body)["error"]
    assert (served.status, error["status"]) == (400, "INVALID_ARGUMENT")
    assert "?alt=sse" in error["message"]


def test_models_are_listed_and_found_by_their_names() -> None:
    host = SurfaceHost(models=["small", "org/large"])
    host.make(plugin.pointsman_surfaces()[0])

    listed = asyncio.run(host.ask("GET", "/v1beta/models"))
    one = asyncio.run(host.ask("GET", "/v1beta/models/org/large"))

    assert [each["name"] for each in json.loads(listed.body)["models"]] == [
        "models/small",
        "models/org/large",
    ]
    assert json.loads(one.body)["displayName"] == "org/large"
