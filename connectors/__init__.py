"""The edge: streams, publishers, subscribers, sources and sinks."""
