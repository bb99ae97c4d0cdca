"""Pages: each view parses, calls one function, renders."""
