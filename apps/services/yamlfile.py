"""Reading config/services.yaml, with the line of everything in it for error messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from apps.core.errors import Invalid, PortalError
from apps.services.definition import Definition, check_definition, unknown_key
from apps.services.models import Service

KeyPath = tuple[str, ...]


class ServicesFileInvalid(Invalid):
    """``detail`` is a list of {"file", "line", "field", "message"}."""

    code = "services_file_invalid"


@dataclass
class ServicesFile:
    """The file as given, and the 1-based line of each key in it."""

    path: Path
    services: dict[str, Definition] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[dict[str, Any]] = field(default_factory=list)

    def blame(self, key_path: KeyPath, message: str, *, line: int | None = None) -> None:
        """Note a problem, at the line of the deepest part of ``key_path`` that is in the file."""
        spot = key_path
        while spot and spot not in self.lines:
            spot = spot[:-1]
        self.problems.append(
            {
                "file": str(self.path),
                "line": line or self.lines.get(spot, 1),
                "field": ".".join(key_path),
                "message": message,
            }
        )

    def check(self) -> None:
        """Raise :class:`ServicesFileInvalid` with every problem noted."""
        if not self.problems:
            return
        ordered = sorted(self.problems, key=lambda found: found["line"])
        lines = [f"{p['file']}:{p['line']}: {p['field']}: {p['message']}".replace(": :", ":") for p in ordered]
        count = "a problem" if len(lines) == 1 else f"{len(lines)} problems"
        raise ServicesFileInvalid(
            "\n".join([f"The services file has {count}; nothing was changed.", *lines]), detail=ordered
        )


def read_services_file(path: Path) -> ServicesFile:
    """The checked content of ``path``; raises :class:`ServicesFileInvalid` with file, line and field."""
    found = ServicesFile(path)
    data = _parse(found)
    found.check()
    for name, given in _services_in(found, data):
        _check_service(found, name, given)
    found.check()
    return found


def _parse(found: ServicesFile) -> Any:
    try:
        text = found.path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise PortalError(
            f"The services file {found.path} cannot be read: {error.strerror}. "
            "Make it (docs/howto/configure-services.md) or name another one with SERVICES_FILE or --file."
        ) from error
    except UnicodeDecodeError:
        found.blame((), "is not UTF-8 text")
        return None
    try:
        return _load(found, text)
    except yaml.YAMLError as error:
        found.blame((), f"is not valid YAML: {_reason(error)}", line=_line(error))
    return None


def _load(found: ServicesFile, text: str) -> Any:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _note_lines(found, node, ())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _reason(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).splitlines()[0]


def _line(error: yaml.YAMLError) -> int | None:
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark is not None else None


def _note_lines(found: ServicesFile, node: yaml.Node, at: KeyPath) -> None:
    """Note the line of every key; a key given twice would silently win, so it is a problem."""
    if not isinstance(node, yaml.MappingNode) or len(at) > 6:
        return
    seen: set[str] = set()
    for key, value in node.value:
        name = str(key.value)
        if name in seen:
            found.blame((*at, name), "is given twice", line=key.start_mark.line + 1)
        seen.add(name)
        found.lines[(*at, name)] = key.start_mark.line + 1
        _note_lines(found, value, (*at, name))


def _services_in(found: ServicesFile, data: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(data, dict) or not isinstance(data.get("services"), dict):
        found.blame((), 'must begin with "services:" and hold a mapping of service names to their options')
        return
    for key in data:
        if key != "services":
            problem = unknown_key(key, ("services",))
            found.blame((problem["field"],), problem["message"])
    yield from data["services"].items()


def _check_service(found: ServicesFile, name: Any, given: Any) -> None:
    at = ("services", str(name))
    if not isinstance(name, str) or not Service.NAME.fullmatch(name):
        found.blame(at, "is not a service name: use lower-case letters, digits, - and _, beginning with a letter")
    elif not isinstance(given, dict):
        found.blame(at, "must be a mapping of options such as channel and settings")
    else:
        try:
            check_definition(given)
            found.services[name] = {key: value for key, value in given.items() if value is not None}
        except Invalid as error:
            for problem in error.detail:
                found.blame((*at, *problem["field"].split(".")), problem["message"])
