"""What pointsman-courier owes the router; the tests stand in pointsman_courier/contract.py."""

from pointsman_courier.contract import TestCourier

__all__ = ["TestCourier"]
