"""The provider type `courier`, for a server that answers in parcels."""

from collections.abc import Sequence

from pointsman.plugin import PointsmanSpec, ProviderFactory, hookimpl
from pointsman_courier.provider import CourierProvider, CourierSettings


class CourierPlugin(PointsmanSpec):
    """What this package offers."""

    @hookimpl
    def pointsman_providers(self) -> Sequence[ProviderFactory]:
        return [ProviderFactory("courier", CourierSettings, CourierProvider, key_variable="COURIER_KEY")]


plugin = CourierPlugin()
