"""The rules: the agreement model, signatures, compiling and deciding. No I/O, no clock."""
