"""The commands that come with the gateway; each is loaded when it is asked for."""
