"""Telephone engines: the words they share with the domain (`facts`) and one adapter an engine (`ari`)."""
