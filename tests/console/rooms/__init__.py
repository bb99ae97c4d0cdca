"""What each group of pages adds to the addresses of :mod:`tests.console.places`."""
