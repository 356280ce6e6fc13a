"""Floor 1: SQL and Pydantic. No HTTP here, and no noun."""
