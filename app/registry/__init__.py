"""Floor 2: one file per noun: its table, vocabularies and rules."""
