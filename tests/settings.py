"""Settings of the test suite. TEST_DATABASE_URL chooses the database; unset means SQLite."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# A test must never meet the data, the keys or the environment of an installation.
_scratch = Path(tempfile.mkdtemp(prefix="opsportal-tests-"))
atexit.register(shutil.rmtree, _scratch, ignore_errors=True)
os.environ["DATA_DIR"] = str(_scratch)
os.environ["ENV_FILE"] = ""
os.environ["DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL", "")
os.environ["SECRET_KEY"] = "test-secret-key-that-is-long-enough-for-the-check"
os.environ["ENCRYPTION_KEYS"] = ""
os.environ["DELIVERY_PRIVATE_NETWORKS"] = "allow"
for _name in ("BROKER_URL", "CACHE_URL", "SERVICES_FILE", "SANDBOX", "HTTPS", "PROMETHEUS_MULTIPROC_DIR"):
    os.environ.pop(_name, None)
os.environ.pop("MIGRATION_DATABASE_URL", None)

from opsportal.settings import *  # noqa: E402, F403
from opsportal.settings import DATABASES  # noqa: E402

if os.environ["DATABASE_URL"]:
    if os.environ.get("TEST_DB_NAME"):
        DATABASES["default"]["TEST"] = {"NAME": os.environ["TEST_DB_NAME"]}
else:
    # A file rather than memory, so that threads and worker processes of a test share it.
    DATABASES["default"]["TEST"] = {"NAME": str(_scratch / "test.sqlite3")}

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
CELERY_BROKER_URL = "memory://"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
