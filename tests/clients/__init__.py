"""The description as linters and generators of clients read it."""
