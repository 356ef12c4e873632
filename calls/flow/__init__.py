"""Instructions for live calls: the document (`document`), where it comes from (`fetching`), and its run (`runner`)."""
