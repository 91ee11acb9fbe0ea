"""The service: routing, evidence and the command line."""

import schemas  # noqa: F401  so that what is compiled is found first
