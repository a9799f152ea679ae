"""Postgres: the tables, their migrations, and the few statements that more than one service needs."""
