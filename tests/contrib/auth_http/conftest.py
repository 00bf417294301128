"""Where the helpers beside these tests are found, and the package as long as it is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parents[2] / "contrib" / "auth-http" / "src")]
