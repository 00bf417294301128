"""The page of clients, from what `pointsman env` prints. `python docs/tools/clients_page.py` writes it."""

from __future__ import annotations

from pathlib import Path

from pointsman_gateway.commands.clients import page

PAGE = Path(__file__).parents[1] / "clients.md"

if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(f"wrote {PAGE}")
