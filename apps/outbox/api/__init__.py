"""The HTTP API of messages, dead letters, replays and services: parse, call one function, answer."""
