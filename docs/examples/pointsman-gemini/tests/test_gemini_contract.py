"""What pointsman-gemini owes the gateway; the tests stand in pointsman_gemini/contract.py."""

from pointsman_gemini.contract import TestGemini

__all__ = ["TestGemini"]
