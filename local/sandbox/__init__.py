"""A stand-in for Zendesk's Support API: tickets, comments, users, incremental export, webhook, a page for agents."""
