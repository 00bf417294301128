"""Providers that do not send what they were given."""

from __future__ import annotations

from typing import Any

from toys import Toy

from cases import wrong
from pointsman import replace
from pointsman.plugin import Call, ChatRequest, EmbedRequest, GenerateRequest, Message


@wrong("PROVIDER-31", "It takes a temperature and does not send it.")
class DropsTheTemperature(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        body = super().body(request, call, stream=stream)
        body.pop("temperature", None)
        return body


@wrong("PROVIDER-31", "It bounds the answer at 1,000 tokens, whatever was asked for.")
class BoundsTheTokens(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        body = super().body(request, call, stream=stream)
        if "max_tokens" in body:
            body["max_tokens"] = min(body["max_tokens"], 1000)
        return body


@wrong("PROVIDER-31", "Of several texts to stop at it sends the first.")
class StopsAtTheFirst(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        body = super().body(request, call, stream=stream)
        if request.stop:
            body["stop"] = request.stop[0]
        return body


@wrong("PROVIDER-31", "It sends the seed in whole answers, and not in streams.")
class SeedsNoStreams(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        body = super().body(request, call, stream=stream)
        if stream:
            body.pop("seed", None)
        return body


@wrong("PROVIDER-31", "It takes a choice of tools without a word, and does not send it.")
class IgnoresTheChoice(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        return super().body(replace(request, tool_choice=None), call, stream=stream)


@wrong("PROVIDER-31", "It takes a format of the answer without a word, and does not send it.")
class IgnoresTheFormat(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        return super().body(replace(request, response_format=None), call, stream=stream)


@wrong(
    "PROVIDER-31",
    "It refuses what it cannot send as an invalid request, so that nobody else is asked.",
    *("PROVIDER-33", "PROVIDER-35", "PROVIDER-37"),
)
class RefusesForGood(Toy):
    def takes_only(self, request: Any, *names: str) -> None:
        from pointsman.plugin import InvalidRequest, Unsupported

        try:
            super().takes_only(request, *names)
        except Unsupported as error:
            raise InvalidRequest(error.message) from None


@wrong("PROVIDER-31", "It takes the number of dimensions of a vector without a word, and does not send it.")
class IgnoresDimensions(Toy):
    def embed_body(self, request: EmbedRequest, call: Call) -> dict[str, Any]:
        return super().embed_body(replace(request, dimensions=None), call)


@wrong("PROVIDER-32", "It leaves out what the system says.", "PROVIDER-33")
class DropsTheSystem(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        said = [each for each in request.messages if each.role != "system"]
        return super().body(replace(request, messages=said), call, stream=stream)


@wrong("PROVIDER-32", "It sends the last message and none before.", "PROVIDER-33")
class SendsTheLast(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        return super().body(replace(request, messages=[request.messages[-1]]), call, stream=stream)


@wrong("PROVIDER-32", "It sends the newest message first.")
class Backwards(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        return super().body(replace(request, messages=[*reversed(request.messages)]), call, stream=stream)


@wrong("PROVIDER-32", "It says everything as the user.")
class OneVoice(Toy):
    def message(self, message: Message) -> dict[str, Any]:
        return {**super().message(message), "role": "user"}


@wrong("PROVIDER-32", "It makes one line of a text.")
class Straightens(Toy):
    def message(self, message: Message) -> dict[str, Any]:
        return {**super().message(message), "content": " ".join(message.text.split())}


@wrong("PROVIDER-32", "Of a message of several parts it sends the first text.")
class FirstPart(Toy):
    def message(self, message: Message) -> dict[str, Any]:
        made = super().message(message)
        texts = [each.text for each in message.parts if hasattr(each, "text")]
        return {**made, "content": texts[0] if texts else ""}


@wrong("PROVIDER-33", "It takes pictures and leaves them out.")
class Blind(Toy):
    def message(self, message: Message) -> dict[str, Any]:
        made = super().message(message)
        made.pop("pictures", None)
        return made


@wrong("PROVIDER-33", "It sends pictures as bytes, and leaves out those that have an address.")
class BytesOnly(Toy):
    def picture(self, picture: Any) -> str:
        return super().picture(picture) if picture.url is None else ""


@wrong("PROVIDER-33", "It leaves out the calls of tools that the model made before.")
class ForgetsItsCalls(Toy):
    def message(self, message: Message) -> dict[str, Any]:
        made = super().message(message)
        made.pop("calls", None)
        return made


@wrong("PROVIDER-34", "It sends the names of tools without what they are for.")
class NamesTools(Toy):
    def tool(self, tool: Any) -> dict[str, Any]:
        return {**super().tool(tool), "about": ""}


@wrong("PROVIDER-34", "It sends tools without their parameters.")
class ToolsWithoutParameters(Toy):
    def tool(self, tool: Any) -> dict[str, Any]:
        return {**super().tool(tool), "parameters": {}}


@wrong("PROVIDER-35", "It takes what it does not know and leaves it out.")
class IgnoresExtra(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        return super().body(replace(request, extra={}), call, stream=stream)


@wrong("PROVIDER-35", "It leaves out the members of a message that it has no place for.")
class IgnoresMembers(Toy):
    def takes_only(self, request: Any, *names: str) -> None:
        super().takes_only(request, *names, "message_extra")


@wrong("PROVIDER-36", "It asks for the model of which its author has heard.")
class OneModel(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        return {**super().body(request, call, stream=stream), "model": "toy-1"}


@wrong("PROVIDER-36", "It asks for the public name in place of the upstream's.")
class PublicName(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        return {**super().body(request, call, stream=stream), "model": request.model}


@wrong("PROVIDER-37", "It cuts what a plain completion goes on from.")
class CutsThePrompt(Toy):
    async def generate(self, request: GenerateRequest, call: Call) -> Any:
        return await super().generate(replace(request, prompt=request.prompt[:20]), call)


@wrong("PROVIDER-37", "It takes the suffix of a completion and does not send it.")
class DropsTheSuffix(Toy):
    async def generate(self, request: GenerateRequest, call: Call) -> Any:
        return await super().generate(replace(request, suffix=None), call)


@wrong("PROVIDER-37", "It sends the texts for embeddings in alphabetical order.")
class SortsTexts(Toy):
    def embed_body(self, request: EmbedRequest, call: Call) -> dict[str, Any]:
        return super().embed_body(replace(request, texts=sorted(request.texts, reverse=True)), call)
