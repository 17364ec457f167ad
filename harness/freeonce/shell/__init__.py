"""A guest to work with by hand: its session, our verbs on it, and the prompt."""
