"""Measure the product: rates beside the bare streams, the cost of deciding, the router's memory."""
