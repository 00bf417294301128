"""Configuration files as documents that know where everything stands."""
