"""What a run tells of itself while it goes on: health, readiness and metrics over HTTP."""
