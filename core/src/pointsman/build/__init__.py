"""Configuration and plugins made into a snapshot."""
