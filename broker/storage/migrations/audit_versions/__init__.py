"""The query store's migrations, likewise."""
