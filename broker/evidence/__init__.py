"""The evidence: a log of all decisions that can be checked without trusting who keeps it."""
