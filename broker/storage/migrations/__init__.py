"""The store's migrations, run by Alembic in the transaction that its caller opened."""
