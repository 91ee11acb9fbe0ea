"""Papers as PDF: the only place that knows the library which makes them."""

from broker.papers.pdf import to_pdf

__all__ = ["to_pdf"]
