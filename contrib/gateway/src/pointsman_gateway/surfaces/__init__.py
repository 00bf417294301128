"""The surfaces that come with the gateway: one module each, with its `FACTORY`."""
