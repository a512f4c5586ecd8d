"""Training data: datasets by their directory conventions, the PK sampler, the paper's transforms."""
