"""What pointsman-roster owes the router; the tests stand in pointsman_roster/contract.py."""

from pointsman_roster.contract import TestRoster

__all__ = ["TestRoster"]
