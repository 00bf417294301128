"""The commands, a module each with the attribute `command`. Nothing imports them all."""
