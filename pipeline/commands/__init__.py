"""One plain function per command; `pipeline.cli` gives each its options."""
