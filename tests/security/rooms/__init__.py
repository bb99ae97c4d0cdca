"""The rules of each group of pages and operations, put together in :mod:`tests.security.matrix`."""
