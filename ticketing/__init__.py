"""The ticketing service: one ticket at the desk for each selected submission, and its status back."""
