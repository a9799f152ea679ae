"""What more than one of Heed's services needs. Imports no service."""

__version__ = "0.2.0"
