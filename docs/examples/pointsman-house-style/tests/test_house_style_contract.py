"""What pointsman-house-style owes the router; the tests stand in pointsman_house_style/contract.py."""

from pointsman_house_style.contract import TestHouseStyle

__all__ = ["TestHouseStyle"]
