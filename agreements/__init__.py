"""The rules: the agreement model, signatures, compiling and deciding. No I/O, no clock."""

import schemas  # noqa: F401  so that what is compiled is found first
