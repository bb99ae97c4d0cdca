"""``make messages``: find every text in the source, merge it into the .po of each language, compile the .mo.

Needs GNU gettext (xgettext). The .mo is in the repository, because the machine of a user has no gettext. ``--check``
changes nothing and fails when a catalogue is not complete, not compiled, or (where xgettext is) not up to date.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import polib
from django.conf import settings
from django.utils.translation import template as templatize

ROOT: Final = Path(__file__).resolve().parent.parent
PO: Final = ROOT / "locale" / "id" / "LC_MESSAGES" / "django.po"
SOURCES: Final = ("apps", "opsportal", "templates")
# The sandbox is not a page of the portal: it plays the providers, and whoever looks at it is developing.
LEFT_OUT: Final = ("apps/sandbox/", "apps/console/demo/")
KEYWORDS: Final = (
    *("_", "_mark", "gettext", "gettext_noop", "gettext_lazy", "ngettext:1,2", "ngettext_lazy:1,2"),
    *("pgettext:1c,2", "pgettext_lazy:1c,2", "npgettext:1c,2,3", "npgettext_lazy:1c,2,3"),
)
# No dates and no line numbers: what is written depends on nothing but the texts.
METADATA: Final = {
    "Project-Id-Version": "opsportal",
    "Language": "id",
    "MIME-Version": "1.0",
    "Content-Type": "text/plain; charset=UTF-8",
    "Content-Transfer-Encoding": "8bit",
    "Plural-Forms": "nplurals=1; plural=0;",
}
PLACEHOLDER: Final = re.compile(r"%\(\w+\)[a-z]|%[sd]|\{\w*(?:![rsa])?(?::[^{}]*)?\}")
Key = tuple[str | None, str]


def key(entry: polib.POEntry) -> Key:
    return entry.msgctxt or None, entry.msgid


def sources(root: Path = ROOT) -> Iterator[Path]:
    for place in SOURCES:
        for path in sorted((root / place).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.suffix in (".py", ".html", ".txt") and not name.startswith(LEFT_OUT):
                yield path


def extract(root: Path = ROOT) -> polib.POFile:
    """Every text of the source, in the order of the alphabet. Templates are turned into Python for xgettext first."""
    if not settings.configured:
        settings.configure(USE_I18N=True)
    with tempfile.TemporaryDirectory(prefix="opsportal-messages-") as scratch:
        files = list(_for_xgettext(root, Path(scratch)))
        command = ["xgettext", "--language=Python", "--from-code=UTF-8", "--add-comments=Translators", "--output=-"]
        command += [f"--keyword={word}" for word in KEYWORDS]
        command += ["--no-location", "--no-wrap", "--files-from=-"]
        done = subprocess.run(command, cwd=scratch, input="\n".join(files), text=True, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"xgettext failed:\n{done.stderr}")
    return polib.pofile(done.stdout)


def _for_xgettext(root: Path, scratch: Path) -> Iterator[str]:
    for number, path in enumerate(sources(root)):
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".py":
            text = templatize.templatize(text, origin=str(path))
        name = f"{number:04}.py"
        (scratch / name).write_text(text, encoding="utf-8")
        yield name


def merge(old: polib.POFile, found: polib.POFile) -> polib.POFile:
    """What was translated stays, what is gone goes, what is new is empty; nothing is guessed."""
    known = {key(entry): entry for entry in old if not entry.obsolete}
    new = polib.POFile(wrapwidth=110)
    new.metadata = METADATA
    for entry in sorted(found, key=lambda entry: (entry.msgid, entry.msgctxt or "")):
        new.append(_merged(entry, known.get(key(entry))))
    return new


def _merged(entry: polib.POEntry, before: polib.POEntry | None) -> polib.POEntry:
    plural = bool(entry.msgid_plural)
    kept = before is not None and bool(before.msgid_plural) == plural
    return polib.POEntry(
        msgid=entry.msgid,
        msgctxt=entry.msgctxt,
        msgid_plural=entry.msgid_plural,
        msgstr=before.msgstr if before and kept and not plural else "",
        msgstr_plural=(dict(before.msgstr_plural) if before and kept else {0: ""}) if plural else {},
        comment=entry.comment,
    )


def texts(entry: polib.POEntry) -> list[str]:
    """What an entry is translated to."""
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


def problems(po: polib.POFile) -> list[str]:
    """What keeps a catalogue from being complete and safe to show."""
    found = [f"obsolete: {entry.msgid!r}" for entry in po.obsolete_entries()]
    for entry in (entry for entry in po if not entry.obsolete):
        found += [f"{what}: {entry.msgid!r}" for what in _problems_of(entry)]
    return found


def _problems_of(entry: polib.POEntry) -> Iterator[str]:
    if entry.fuzzy:
        yield "fuzzy"
    if not all(texts(entry)):
        yield "not translated"
        return
    wanted = sorted(set(PLACEHOLDER.findall(entry.msgid_plural or entry.msgid)))
    for text in texts(entry):
        if sorted(set(PLACEHOLDER.findall(text))) != wanted:
            yield f"placeholders differ ({', '.join(wanted) or 'none'})"
        if "%(" in text and re.search(r"(?<!%)%(?![%(])", text.replace("%%", "")):
            yield "a % that is not doubled"
        if entry.msgid[:1].isspace() != text[:1].isspace() or entry.msgid[-1:].isspace() != text[-1:].isspace():
            yield "spaces at the ends differ"


def compiled(po: polib.POFile) -> bytes:
    """The .mo of a catalogue."""
    return bytes(po.to_binary())


def outdated(po: polib.POFile, found: polib.POFile) -> list[str]:
    """Texts of the source that the catalogue lacks, and the other way round."""
    has = {(*key(entry), entry.msgid_plural) for entry in po if not entry.obsolete}
    wants = {(*key(entry), entry.msgid_plural) for entry in found}
    lacking = [f"not in the catalogue: {text!r}" for _context, text, _plural in sorted(wants - has, key=str)]
    return lacking + [f"no longer in the source: {text!r}" for _context, text, _plural in sorted(has - wants, key=str)]


def check() -> list[str]:
    """Everything that is wrong with the catalogue as it is."""
    po = polib.pofile(str(PO))
    found = problems(po)
    mo = PO.with_suffix(".mo")
    if not mo.exists() or mo.read_bytes() != compiled(po):
        found.append(f"{mo.name} is not what {PO.name} compiles to")
    if shutil.which("xgettext"):
        found += outdated(po, extract())
    return found


def write() -> list[str]:
    """Bring the catalogue up to date with the source and compile it; answer with what is left to translate."""
    po = merge(polib.pofile(str(PO)) if PO.exists() else polib.POFile(), extract())
    PO.parent.mkdir(parents=True, exist_ok=True)
    po.save(str(PO))
    PO.with_suffix(".mo").write_bytes(compiled(polib.pofile(str(PO))))
    return problems(po)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make messages", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when something is missing")
    options = parser.parse_args(arguments)
    if not options.check and not shutil.which("xgettext"):
        print("GNU gettext is not installed: apt-get install gettext", file=sys.stderr)
        return 1
    found = check() if options.check else write()
    print("\n".join(found) if found else f"{PO.relative_to(ROOT)} is complete.")
    if found:
        print(f"{len(found)} left. Edit {PO.relative_to(ROOT)} and run: make messages", file=sys.stderr)
    return 1 if found and options.check else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
