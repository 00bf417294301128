"""Writes docs/openapi.json: the gateway's own routes.

uv run python docs/tools/openapi_copy.py
"""

from __future__ import annotations

import json
from pathlib import Path

from pointsman_gateway.operator.openapi import document

COPY = Path(__file__).resolve().parents[1] / "openapi.json"

if __name__ == "__main__":
    COPY.write_text(json.dumps(document(), indent=2) + "\n", encoding="utf-8")
    print(f"wrote {COPY}")
