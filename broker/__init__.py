"""The service: routing, evidence and the command line."""
