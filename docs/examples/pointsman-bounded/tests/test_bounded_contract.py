"""What pointsman-bounded owes the router; the tests stand in pointsman_bounded/contract.py."""

from pointsman_bounded.contract import TestCheapestWithin

__all__ = ["TestCheapestWithin"]
