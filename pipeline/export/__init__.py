"""Results: JSON Lines while running, one JSON document at the end, and the formats of other systems."""
