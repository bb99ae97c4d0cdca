"""A night's worth of made-up data, for pictures, page tests and a first look without traffic."""
