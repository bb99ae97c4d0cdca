"""What the pages show, put together from the selectors of the apps below."""
