"""Named templates: lines of versions per channel and language, which one a message takes, and looking after them."""
