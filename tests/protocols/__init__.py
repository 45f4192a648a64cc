"""The wire: golden vectors, fuzz, drift of the documents, and every rule of topics, envelope, site and ground."""
