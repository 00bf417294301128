"""Where the proofs are found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.append(str(HERE))
pytest.register_assert_rewrite("proving", *(each.stem for each in HERE.glob("proofs_of_*.py")))
