"""The settings of opsportal. Everything that differs between installations comes from the environment.

docs/reference/environment.md is made from the declarations below (``manage.py environment``).
"""

from __future__ import annotations

import base64
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import dj_database_url
from csp.constants import NONE, SELF

from opsportal import envfiles
from opsportal.env import Environment, EnvironmentInvalid
from opsportal.logs import logging_config

BASE_DIR = Path(__file__).resolve().parent.parent

try:
    envfiles.load(BASE_DIR, os.environ)
except (envfiles.EnvFileInvalid, OSError) as error:
    sys.exit(f"An environment file cannot be read: {error}")
env = Environment()

# --- where things live -------------------------------------------------------------------------
DATA_DIR = env.path("DATA_DIR", BASE_DIR / "var", "Where the local database, sockets and logs live.", shown="var/")
STATIC_ROOT = env.path(
    "STATIC_ROOT", DATA_DIR / "static", "Where collectstatic puts the files of the pages.", shown="var/static"
)
DEBUG = env.flag("DEBUG", False, "Development only: tracebacks in the browser.")
TESTING = "pytest" in sys.modules
ROLES = ("viewer", "operator", "lead", "admin")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
DEVELOPMENT_KEY = "development-only-key-that-make-run-replaces-with-a-random-one"
SECRET_KEY = env.secret(
    "SECRET_KEY", DEVELOPMENT_KEY, "Signs sessions. At least 50 random characters.", shown="(made by make run)"
)
ENCRYPTION_KEYS = env.words(
    "ENCRYPTION_KEYS",
    [],
    "Fernet keys for secrets at rest, the current one first; older ones stay to read old rows.",
)
HOST = env.text("HOST", "127.0.0.1", "Address the web process listens on.")
PORT = env.integer("PORT", 8000, "Port the web process listens on.", least=1)
WEB_WORKERS = env.integer("WEB_WORKERS", 2, "Web worker processes.", least=1)
WEB_THREADS = env.integer("WEB_THREADS", 8, "Threads of each web worker process.", least=1)
WEB_GRACE_S = env.integer("WEB_GRACE_S", 30, "How long a stopping web process waits for requests under way, s.")
ALLOWED_HOSTS = env.words(
    "ALLOWED_HOSTS", [], "Host names the portal answers to, besides those of this machine (health checks use them)."
)
TRUSTED_PROXIES = env.words(
    "TRUSTED_PROXIES", [], "Addresses of reverse proxies whose X-Forwarded-* headers are believed."
)
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS", [], "Origins behind a proxy, with scheme.")
PUBLIC_URL = env.text(
    "PUBLIC_URL", "", "Where people reach the portal, such as https://ops.example.com: for links in messages."
).rstrip("/")
HTTPS = env.flag("HTTPS", False, "The portal is reached over HTTPS: secure cookies, HSTS.")

# --- database, broker, cache -------------------------------------------------------------------
DATABASE_URL = env.secret(
    "DATABASE_URL", "", "postgres://user:password@host/name. Unset: SQLite under DATA_DIR.", shown="(SQLite)"
)
MIGRATION_DATABASE_URL = env.secret(
    "MIGRATION_DATABASE_URL",
    "",
    "PostgreSQL: the owner of the tables, for migrate, prepare, database_roles and audit prune.",
    shown="(DATABASE_URL)",
)
VALKEY_SOCKET = envfiles.socket_path(DATA_DIR, "valkey.sock")
BROKER_URL = env.secret(
    "BROKER_URL", f"redis+socket://{VALKEY_SOCKET}", "Celery's broker. Unset: the local Valkey.", shown="(local)"
)
CACHE_URL = env.secret(
    "CACHE_URL", f"unix://{VALKEY_SOCKET}?db=1", "Shared cache. Unset: the local Valkey.", shown="(local)"
)

# --- what the portal does ----------------------------------------------------------------------
SERVICES_FILE = env.path(
    "SERVICES_FILE", BASE_DIR / "config" / "services.yaml", "Services as configuration.", shown="config/services.yaml"
)
DELIVERY_PRIVATE_NETWORKS = env.choice(
    "DELIVERY_PRIVATE_NETWORKS",
    "deny",
    "May deliveries go to private and loopback addresses? Link-local and metadata never may.",
    ("allow", "deny"),
)
DELIVERY_LOOK_MS = env.integer(
    "DELIVERY_LOOK_MS", 1000, "How often an idle delivery engine looks for work unasked, ms.", least=10
)
DELIVERY_MAX_IN_FLIGHT = env.integer(
    "DELIVERY_MAX_IN_FLIGHT", 512, "Deliveries in flight in one worker process, over all services.", least=1
)
DELIVERY_GRACE_S = env.integer("DELIVERY_GRACE_S", 20, "How long a stopping worker waits for what is in flight, s.")
MAX_BODY_BYTES = env.integer("MAX_BODY_BYTES", 1_048_576, "Largest accepted message body.", least=1024)
ALERT_BODY_BYTES = env.integer(
    "ALERT_BODY_BYTES", 33_554_432, "Largest body of a webhook that brings alerts, packed or not.", least=65_536
)
ALERT_NORMAL_S = env.integer(
    "ALERT_NORMAL_S", 300, "How long an alert must be normal, with a live source, before it is resolved, s.", least=1
)
IDEMPOTENCY_TTL_S = env.integer("IDEMPOTENCY_TTL_S", 86_400, "How long an idempotency key is remembered, s.", least=1)
KEEP_CLOSED_LETTERS_DAYS = env.integer(
    "KEEP_CLOSED_LETTERS_DAYS", 90, "Days a replayed or discarded dead letter is kept; 0 keeps it for ever."
)
KEEP_ALERT_BODIES_DAYS = env.integer(
    "KEEP_ALERT_BODIES_DAYS", 30, "Days the body of a post of alerts is kept; 0 keeps it for ever."
)
KEEP_ALERTS_DAYS = env.integer(
    "KEEP_ALERTS_DAYS", 400, "Days a resolved alert and its lines of the alert log are kept; 0 keeps them for ever."
)
ALARM_WEBHOOK_URL = env.secret("ALARM_WEBHOOK_URL", "", "Told directly, by POST of JSON, if nobody escalates any more.")
ALARM_PAGERDUTY_KEY = env.secret("ALARM_PAGERDUTY_KEY", "", "PagerDuty's integration key, told directly likewise.")
ALARM_PAGERDUTY_URL = env.text(
    "ALARM_PAGERDUTY_URL", "https://events.pagerduty.com/v2/enqueue", "Where PagerDuty takes that event."
)
ALARM_EMAIL = env.words("ALARM_EMAIL", [], "Addresses that are written to directly, when nobody escalates any more.")
ALARM_SMTP_URL = env.secret(
    "ALARM_SMTP_URL", "", "How: smtp://user:password@host:port, or smtps://.", shown="smtp://127.0.0.1:25"
)
HEARTBEAT_URL = env.secret("HEARTBEAT_URL", "", "Asked by GET each minute that alerts are escalated in time.")
PDF_FONTS = env.words(
    "PDF_FONTS", [], "Font files (TrueType, OpenType) for what exported PDFs else lack, such as Chinese or emoji."
)
REMINDER_SERVICE = env.text(
    "REMINDER_SERVICE", "smtp", "Service of the e-mail channel that reminds owners of action items. Empty: none."
)
API_RATE_PER_MINUTE = env.integer(
    "API_RATE_PER_MINUTE", 60_000, "Requests per minute of an API key that sets no limit of its own.", least=1
)
REQUIRE_MFA_FOR = env.words(
    "REQUIRE_MFA_FOR", [], "Roles that need a second factor (app or passkey): viewer, operator, lead, admin."
)
OIDC_ISSUER = env.text("OIDC_ISSUER", "", "Log-in through an OpenID Connect provider: its issuer. Empty: none.")
OIDC_CLIENT_ID = env.text("OIDC_CLIENT_ID", "", "The portal's client id at the provider.")
OIDC_CLIENT_SECRET = env.secret("OIDC_CLIENT_SECRET", "", "The portal's client secret at the provider.")
OIDC_NAME = env.text("OIDC_NAME", "single sign-on", "What the button on the log-in page calls the provider.")
OIDC_UNKNOWN_PEOPLE = env.choice(
    "OIDC_UNKNOWN_PEOPLE",
    "refuse",
    "Whom the provider knows and the portal does not: refused, or made a viewer.",
    ("refuse", "viewer"),
)
OIDC_ROLE_CLAIM = env.text(
    "OIDC_ROLE_CLAIM", "", "The claim that holds a person's groups or roles; then the provider decides about roles."
)
OIDC_ROLES = env.words("OIDC_ROLES", [], "What the values of that claim mean: sre=operator,sre-leads=lead.")
SANDBOX = env.flag("SANDBOX", False, "The sandbox runs beside the portal; pages link to it.")
SANDBOX_PORT = env.integer("SANDBOX_PORT", 8090, "First of the seven ports the sandbox listens on.", least=1)
SANDBOX_RATE = env.integer("SANDBOX_RATE", 5, "Messages per second the sandbox posts to the portal; 0 posts none.")
SANDBOX_SCRIPT = env.flag("SANDBOX_SCRIPT", True, "The sandbox plays its script of outages.")
SANDBOX_API_KEY = env.secret(
    "SANDBOX_API_KEY", "", "The key the sandbox posts with.", shown="(made by make run, else DATA_DIR/sandbox-api-key)"
)
LOG_FORMAT = env.choice("LOG_FORMAT", "console", "How logs are written.", ("json", "console"))
LOG_LEVEL = env.choice("LOG_LEVEL", "info", "Least level that is logged.", ("debug", "info", "warning", "error"))
PROMETHEUS_MULTIPROC_DIR = env.path(
    "PROMETHEUS_MULTIPROC_DIR", DATA_DIR / "metrics", "Where processes of a host share metrics.", shown="var/metrics"
)
OTEL_EXPORTER_OTLP_ENDPOINT = env.text("OTEL_EXPORTER_OTLP_ENDPOINT", "", "Where traces go; empty sends none.")

ALLOWED_HOSTS = [*ALLOWED_HOSTS, "127.0.0.1", "localhost", "[::1]"]
for _role in [*REQUIRE_MFA_FOR, *(_pair.rpartition("=")[2] for _pair in OIDC_ROLES)]:
    if _role not in ROLES:
        env.problem("REQUIRE_MFA_FOR, OIDC_ROLES", f"{_role!r} is not a role; there are {', '.join(ROLES)}")
if OIDC_ISSUER and not (OIDC_CLIENT_ID and OIDC_CLIENT_SECRET):
    env.problem("OIDC_ISSUER", "also needs OIDC_CLIENT_ID and OIDC_CLIENT_SECRET")
if not ENCRYPTION_KEYS:
    # Without keys of its own an installation derives one, so that secrets are never stored in clear.
    ENCRYPTION_KEYS = [base64.urlsafe_b64encode(hashlib.sha256(SECRET_KEY.encode()).digest()).decode()]
if SECRET_KEY == DEVELOPMENT_KEY and (HTTPS or TRUSTED_PROXIES or HOST not in LOOPBACK):
    env.problem("SECRET_KEY", "others can reach this installation: make a secret with `openssl rand -base64 48`")
if len(SECRET_KEY) < 32:
    env.problem("SECRET_KEY", "is shorter than 32 characters: make one with `openssl rand -base64 48`")
# What changes tables is done by their owner; every process works as the application.
APPLICATION_DATABASE_URL = DATABASE_URL
OWNER_COMMANDS = (["migrate"], ["prepare"], ["database_roles"], ["audit", "prune"])
if MIGRATION_DATABASE_URL and any(sys.argv[1 : 1 + len(words)] == words for words in OWNER_COMMANDS):
    DATABASE_URL = MIGRATION_DATABASE_URL
try:
    DATABASE = dj_database_url.parse(DATABASE_URL) if DATABASE_URL else {}
except (ValueError, KeyError) as error:
    DATABASE = {}
    env.problem("DATABASE_URL", f"is not a database URL such as postgres://user:password@host/name ({error})")

try:
    env.check()
except EnvironmentInvalid as error:
    sys.exit(str(error))

DATA_DIR.mkdir(parents=True, exist_ok=True)


def _sqlite(path: Path) -> dict[str, Any]:
    """SQLite as measured to survive many writers: WAL, IMMEDIATE, a long wait for the lock."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-32000;",
        },
    }


def _postgres(parsed: dict[str, Any]) -> dict[str, Any]:
    options = {"connect_timeout": 5, **parsed.get("OPTIONS", {})}
    return {**parsed, "CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True, "OPTIONS": options}


if not DATABASE:
    DATABASES = {"default": _sqlite(DATA_DIR / "opsportal.sqlite3")}
elif "sqlite" in DATABASE["ENGINE"]:
    DATABASES = {"default": _sqlite(Path(DATABASE["NAME"]))}
else:
    DATABASES = {"default": _postgres(dict(DATABASE))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": CACHE_URL,
        "OPTIONS": {"socket_connect_timeout": 0.25, "socket_timeout": 0.5},
    }
}

# --- Django ------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "apps.core",
    "apps.audit",
    "apps.accounts",
    "apps.idempotency",
    "apps.services",
    "apps.breakers",
    "apps.channels",
    "apps.outbox",
    "apps.alerts",
    "apps.incidents",
    "apps.postmortems",
    "apps.console",
    "apps.sandbox",
    "opsportal",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.mfa",
    "django_celery_beat",
    "django_htmx",
    "template_partials",
    "heroicons",
    "csp",
    "django_structlog",
]

MIDDLEWARE = [
    "apps.core.middleware.RequestContextMiddleware",
    "apps.core.middleware.BrowserRulesMiddleware",
    "apps.core.api_errors.JsonErrorsMiddleware",
    "opsportal.probes.ProbesMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.core.language.LanguageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "apps.accounts.middleware.PortalLoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
]

ROOT_URLCONF = "opsportal.urls"
WSGI_APPLICATION = "opsportal.wsgi.application"
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "login"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.console.context.portal",
            ],
        },
    },
]

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
# --- log-in (django-allauth; docs/design/identity.md) ------------------------------------------
# One backend, and no EmailAddress rows of allauth's: a person has one address, and an admin gave it to them.
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
ACCOUNT_ADAPTER = "apps.accounts.adapters.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 600
ACCOUNT_FORMS = {"login": "apps.accounts.forms.LoginForm", "reauthenticate": "apps.accounts.forms.PasswordAgainForm"}
# Counted by apps.accounts.throttle, which lets people in when the cache is away.
ACCOUNT_RATE_LIMITS = MFA_RATE_LIMITS = False
MFA_ADAPTER = "apps.accounts.adapters.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_TOTP_ISSUER = "opsportal"
MFA_TOTP_TOLERANCE = 1
MFA_FORMS = {
    "authenticate": "apps.accounts.forms.CodeForm",
    "reauthenticate": "apps.accounts.forms.CodeAgainForm",
    "activate_totp": "apps.accounts.forms.ActivateTOTPForm",
}
SOCIALACCOUNT_ADAPTER = "apps.accounts.adapters.ProviderAdapter"
SOCIALACCOUNT_AUTO_SIGNUP = False
SOCIALACCOUNT_LOGIN_ON_GET = True  # a form may lead nowhere but here (form-action), so the button is a link
SOCIALACCOUNT_REQUESTS_TIMEOUT = 10
SOCIALACCOUNT_PROVIDERS = {
    "oidc": {
        "APPS": [
            {
                "provider_id": "oidc",
                "name": OIDC_NAME,
                "client_id": OIDC_CLIENT_ID,
                "secret": OIDC_CLIENT_SECRET,
                "settings": {"server_url": OIDC_ISSUER, "oauth_pkce_enabled": True},
            }
        ]
        if OIDC_ISSUER
        else []
    }
}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "CommonPasswordValidator")
] + [{"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}}]

LANGUAGE_CODE = "en"
# Each in its own words, so not translated (docs/howto/translate.md).
LANGUAGES = [("en", "English"), ("id", "Bahasa Indonesia")]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_NAME = "opsportal_language"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG or TESTING
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_AUTOREFRESH = DEBUG or TESTING
WHITENOISE_USE_FINDERS = DEBUG or TESTING

# A body is checked against MAX_BODY_BYTES by the API, with an error that says so; this is the backstop.
DATA_UPLOAD_MAX_MEMORY_SIZE = 26 * 1024 * 1024

# --- security ----------------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_SSL_REDIRECT = HTTPS
# Probes and webhooks never follow a redirect, so they must not be sent one.
SECURE_REDIRECT_EXEMPT = [r"^health", r"^metrics", r"^webhooks/"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS and TRUSTED_PROXIES else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_NAME = "opsportal_session"
CSRF_COOKIE_NAME = "opsportal_csrf"
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 12 * 3600

# --- Celery: legs, not memory ------------------------------------------------------------------
CELERY_BROKER_URL = BROKER_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_EXPIRES = None  # no result backend, so no periodic task to clean one
CELERY_TASK_DEFAULT_QUEUE = "control"
CELERY_TASK_ROUTES = {"outbox.deliver": {"queue": "delivery"}}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 0.5,
    "socket_timeout": 5,
    # Publishing to a broker that is away: kombu would try for 6 s, inside the request that accepts a message.
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
DJANGO_CELERY_BEAT_TZ_AWARE = True

LOGGING = logging_config(LOG_FORMAT, LOG_LEVEL.upper())
SILENCED_SYSTEM_CHECKS: list[str] = []
