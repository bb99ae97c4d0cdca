"""What each group of pages adds to :mod:`scripts.shots`."""
