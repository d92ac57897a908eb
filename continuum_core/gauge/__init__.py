"""How long the port's verbs take on a journal: the load, the figures, the picture."""
