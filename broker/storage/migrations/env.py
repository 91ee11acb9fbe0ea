"""What Alembic runs: the migrations, on the connection that it was handed."""

from alembic import context

_given = context.config.attributes
context.configure(
    connection=_given["connection"],
    target_metadata=_given["form"].metadata,
    version_table=_given["form"].noted_in,
    transactional_ddl=True,
)
context.run_migrations()
