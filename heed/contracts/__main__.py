"""`python -m heed.contracts` writes the JSON Schemas anew."""

from heed.contracts.export import export

export()
