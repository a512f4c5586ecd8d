"""The sample site: a synthetic multi-camera world with known truth."""
