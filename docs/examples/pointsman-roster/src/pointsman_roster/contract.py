"""The kit: what every discovery owes the router."""

import tempfile
from pathlib import Path

from pointsman.plugin import Discovery
from pointsman.testing.contract import DiscoveryContract
from pointsman_roster.roster import Roster

ROSTER = '{"servers": [{"url": "http://10.0.0.1:11434"}, {"url": "http://10.0.0.2:11434", "weight": 2}]}'


class TestRoster(DiscoveryContract):
    def make(self) -> Discovery:
        return self.reading(ROSTER)

    def away(self) -> Discovery:
        return self.reading(ROSTER[:-1])

    def reading(self, text: str) -> Discovery:
        self._folder = tempfile.TemporaryDirectory()
        file = Path(self._folder.name, "roster.json")
        file.write_text(text, "utf-8")
        return _Kept(file, self._folder)


class _Kept(Roster):
    """One whose file is there as long as it is."""

    def __init__(self, file: Path, folder: tempfile.TemporaryDirectory[str]) -> None:
        super().__init__(file)
        self._folder = folder

    async def aclose(self) -> None:
        self._folder.cleanup()
