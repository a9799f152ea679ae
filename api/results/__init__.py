"""The results site: managers read what customers said, live. It needs only Postgres to show."""
