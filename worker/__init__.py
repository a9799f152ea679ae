"""The worker takes submissions from the queue into Postgres; the relay takes what was selected to the bus."""
