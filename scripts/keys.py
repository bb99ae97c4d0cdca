"""The secrets of an installation on one machine, made once and kept in DATA_DIR/secrets.env."""

from __future__ import annotations

import base64
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from opsportal import envfiles

HEADER: Final = (
    "# Made by `make run`, once. Whoever reads this can read the portal's secrets; losing it makes those in the\n"
    "# database unreadable. Back it up with the database. The real environment and .env win over it.\n"
)
SECRET_REF: Final = re.compile(r"^[^#\n]*?\bsecret_ref:\s*[\"']?([A-Za-z_][A-Za-z0-9_]*)", re.MULTILINE)


def make_secret_key() -> str:
    return secrets.token_urlsafe(48)


def make_fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def make_signing_secret() -> str:
    """A secret as Standard Webhooks writes them; providers that want any string take it too."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def secret_refs(services_file: Path) -> list[str]:
    """The variables a services file names with ``secret_ref``; none when there is no file yet."""
    try:
        found = SECRET_REF.findall(services_file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return list(dict.fromkeys(found))


def ensure(path: Path, wanted: Mapping[str, Callable[[], str]], environ: Mapping[str, str]) -> list[str]:
    """Make those of ``wanted`` that neither the environment nor the file has. Returns their names."""
    kept = envfiles.read(path)
    missing = [n for n in wanted if not (kept.get(n) or environ.get(n) or environ.get(f"{n}_FILE"))]
    if missing:
        write(path, {**kept, **{name: wanted[name]() for name in missing}})
    return missing


def write(path: Path, values: Mapping[str, str], header: str = HEADER) -> None:
    """Replace the file as a whole, readable by its owner alone from its first moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(header + "".join(f"{name}={value}\n" for name, value in values.items()))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
