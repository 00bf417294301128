"""The kit: what every surface owes the gateway."""

from pointsman.plugin import Surface
from pointsman.testing import SurfaceHost
from pointsman.testing.contract import CannedAsk, SurfaceContract
from pointsman_gemini import plugin

BODY = b"""{
    "contents": [{"role": "user", "parts": [{"text": "Is it raining?"}]}],
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "generationConfig": {"temperature": 0.5, "maxOutputTokens": 9, "stopSequences": ["x"]}
}"""


class TestGemini(SurfaceContract):
    asks = (
        CannedAsk(
            path="/v1beta/models/small-7f:generateContent",
            body=BODY,
            model="small-7f",
            text="Is it raining?",
        ),
        CannedAsk(
            path="/v1beta/models/small-7f:streamGenerateContent",
            query={"alt": "sse"},
            body=BODY,
            model="small-7f",
            text="Be brief.",
            stream=True,
        ),
    )

    def make(self, host: SurfaceHost) -> Surface:
        (factory,) = plugin.pointsman_surfaces()
        return host.make(factory)
