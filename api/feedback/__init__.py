"""The feedback site: the form and the public API. Needs only Redis."""
