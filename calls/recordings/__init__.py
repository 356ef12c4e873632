"""Recordings of calls: begun and stopped on the engine, fetched from it, kept, shown and erased."""
