"""The one-machine system: real Postgres and Valkey, stand-ins for AWS and Zendesk, and their supervisor."""
