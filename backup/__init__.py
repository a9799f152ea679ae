"""Backups of Postgres: taken on a schedule or by hand, checked, restored into a new database, then switched to."""
