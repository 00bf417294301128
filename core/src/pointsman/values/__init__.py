"""What the values in `types` are made of, and what is made of them: types, functions, files, mappings."""
