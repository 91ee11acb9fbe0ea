"""The edge: streams, publishers, subscribers, sources and sinks."""

import schemas  # noqa: F401  so that what is compiled is found first
