"""The work on a batch of frames: detect, track, crop, embed, and tracklets at the end."""
