"""A dry run of a call: which way it would go, and what would be sent. It calls nobody and changes nothing."""
