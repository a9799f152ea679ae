"""How the default scorer learns and is measured: training, evaluation, suggestions. Not needed by a running worker."""
