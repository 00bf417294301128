"""What goes over an upstream's wire, read with care: errors, hints, usage, tool calls, pictures. Pure."""
