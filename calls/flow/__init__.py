"""Instructions for live calls: the document, where it comes from (`fetching`), its run (`runner`) in `steps`."""
