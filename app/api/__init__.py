"""Floor 4: HTTP, and only here."""
