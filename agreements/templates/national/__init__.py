"""The templates of this product, one YAML file each. Legal bases await an IG lead's yes."""
