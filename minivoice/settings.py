"""All settings, from the environment. `.env.example` documents each; a missing secret stops the start."""

import importlib
import math
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from celery.schedules import crontab
from csp import constants as csp
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static

from telephony import voices

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# What this process is
DEBUG = env.bool("DEBUG", default=False)
EMBEDDED = env.bool("EMBEDDED", default=False)  # under `make run` and the tests: everything on loopback
SECRET_KEY = env.str("SECRET_KEY")
FIELD_KEYS: list[str] = env.list("FIELD_KEYS")
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=[])
BASE_URL: str = env.str("BASE_URL", default="http://127.0.0.1:8000")
CSRF_TRUSTED_ORIGINS = [BASE_URL]
CSRF_FAILURE_VIEW = "minivoice.error_pages.stale"
ROOT_URLCONF = "minivoice.urls"
WSGI_APPLICATION = "minivoice.wsgi.application"

# TLS ends at the proxy in front, which says by this header what reached it
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = urlsplit(BASE_URL).scheme == "https"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE_SSL_REDIRECT else None
SECURE_REDIRECT_EXEMPT = ["^healthz$", "^readyz$", "^metrics$"]  # asked from the inside, past the proxy
SECURE_HSTS_SECONDS = 31_536_000 if SECURE_SSL_REDIRECT else 0
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]  # HSTS of other hosts of the domain: not ours to promise

# Figures for Prometheus
METRICS_TOKEN: str = env.str("METRICS_TOKEN", default="")
METRICS_FOLDER: str = env.str("PROMETHEUS_MULTIPROC_DIR", default="")  # its client reads the variable by itself

# Rows and nudges
DATABASES = {"default": env.db("DATABASE_URL")}
DATABASES["default"] |= {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}
DATABASES["default"].setdefault("OPTIONS", {})["connect_timeout"] = 3
# A server that vanished without a word is noticed in some ten seconds (over TCP), not in a quarter of an hour
DATABASES["default"]["OPTIONS"] |= {"keepalives_idle": 4, "keepalives_interval": 2, "keepalives_count": 3}
DATABASES["default"]["OPTIONS"]["tcp_user_timeout"] = 10_000
# Of `minivoice.prepared`: each is planned once, rather than again whenever PostgreSQL deems the plan for these very
# values to be cheaper. They are written so that no value asks for another plan.
_given = DATABASES["default"]["OPTIONS"].get("options", "")
DATABASES["default"]["OPTIONS"]["options"] = f"-c plan_cache_mode=force_generic_plan {_given}".rstrip()
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL: str = env.str("REDIS_URL")

# Calls
HOLD_SECONDS: int = env.int("HOLD_SECONDS", default=60)  # talk that the first hold must pay for
ORIGINATE_WAIT_SECONDS: float = env.float("ORIGINATE_WAIT_SECONDS", default=3.0)
WAITING_PLACES: int = env.int("WAITING_PLACES", default=8)  # half of a web process's threads
AUDIO_PLACES: int = env.int("AUDIO_PLACES", default=4)  # a quarter of them: who reads slowly keeps one
ENGINE_SILENCE_SECONDS = 5.0  # a link silent for longer refuses new calls
SWITCHBOARD_THREADS: int = env.int("SWITCHBOARD_THREADS", default=16)  # they wait for the disk
SWITCHBOARD_LEASE_SECONDS: float = env.float("SWITCHBOARD_LEASE_SECONDS", default=10.0)
if not 5.0 <= SWITCHBOARD_LEASE_SECONDS < math.inf:  # a beat is due each second, and may wait for the disk
    raise ImproperlyConfigured(f"SWITCHBOARD_LEASE_SECONDS is 5 or more, not {SWITCHBOARD_LEASE_SECONDS}")
CALL_DAYS: int = env.int("CALL_DAYS", default=396)  # that calls are kept: thirteen months
TIMELINE_DAYS: int = env.int("TIMELINE_DAYS", default=90)  # of timelines, refused calls and mail to customers
if min(CALL_DAYS, TIMELINE_DAYS) < 2:
    raise ImproperlyConfigured("CALL_DAYS and TIMELINE_DAYS are 2 or more")
MOST_CALLS: int = env.int("MOST_CALLS", default=2000)  # up on the engine; beyond, none is taken that comes in
MOST_TRUNKS: int = env.int("MOST_TRUNKS", default=100)  # that a customer may add by API

# Money moved by hand: what is above waits for a second person; `500` for every currency, `JPY=75000` for one
_amounts = [text.rpartition("=") for text in env.list("APPROVAL_THRESHOLD", default=["500"])]
if not all(re.fullmatch(r"([A-Z]{3}=)?[0-9]{1,12}(\.[0-9]{1,6})?", "".join(parts)) for parts in _amounts):
    raise ImproperlyConfigured("APPROVAL_THRESHOLD is amounts such as 500,JPY=75000")
APPROVAL_THRESHOLD = {currency: Decimal(amount) for currency, _, amount in _amounts}  # '' is every other currency

# What engines play: rendered, or fetched for customers, and served by the switchboard at SPEECH_BIND
SPEECH_BIND: str = env.str("SPEECH_BIND", default="")
SPEECH_URL: str = env.str("SPEECH_URL", default="") or f"http://{SPEECH_BIND}"  # SPEECH_BIND as the engine sees it
SPEECH_FOLDER: str = env.str("SPEECH_FOLDER", default="")
SPEECH_MEGABYTES: int = env.int("SPEECH_MEGABYTES", default=500)
SPEECH_VOICE: str = env.str("SPEECH_VOICE", default="en-us")  # empty: the engine speaks by itself
if SPEECH_BIND:
    _host, _, _port = SPEECH_BIND.rpartition(":")
    if not _host or not _port.isdecimal() or not 0 < int(_port) < 65536:
        raise ImproperlyConfigured(f"SPEECH_BIND is host:port, not {SPEECH_BIND}")
    if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?", SPEECH_URL) or urlsplit(SPEECH_URL).hostname == "0.0.0.0":  # noqa: S104
        raise ImproperlyConfigured(
            f"SPEECH_URL is http://host:port where the engine finds SPEECH_BIND, not {SPEECH_URL}"
        )
    if not Path(SPEECH_FOLDER).is_absolute() or SPEECH_MEGABYTES < 1:
        raise ImproperlyConfigured("SPEECH_BIND needs SPEECH_FOLDER, a whole path, and a SPEECH_MEGABYTES above 0")
try:  # more voices, such as neural ones: {"amy": {"language": "en-US", "program": ["/path/of/it", "an argument"]}}
    SPEECH_PROGRAMS = voices.of_programs(env.json("SPEECH_PROGRAMS", default={}))
except ValueError as error:
    raise ImproperlyConfigured(f"SPEECH_PROGRAMS: {error}") from error
if SPEECH_VOICE and SPEECH_VOICE not in SPEECH_PROGRAMS and not voices.is_built_in(SPEECH_VOICE):
    raise ImproperlyConfigured(
        f"SPEECH_VOICE is one of eSpeak NG's, such as en-us, or of SPEECH_PROGRAMS, not {SPEECH_VOICE}"
    )

# Recordings: kept in a folder that web and workers share, or in a bucket of an S3-compatible service. Those that were
# kept in the folder before there was a bucket stay there.
RECORDINGS_FOLDER: str = env.str("RECORDINGS_FOLDER", default="/var/lib/minivoice/recordings")
RECORDINGS_BUCKET: str = env.str("RECORDINGS_BUCKET", default="")
RECORDING_DAYS: int = env.int("RECORDING_DAYS", default=30)  # that they are kept, unless the customer has its own
if not Path(RECORDINGS_FOLDER).is_absolute() or RECORDING_DAYS < 1:
    raise ImproperlyConfigured("RECORDINGS_FOLDER is a whole path, and RECORDING_DAYS 1 or more")
JOBS_FOLDER: str = env.str("JOBS_FOLDER", default="/var/lib/minivoice/jobs")  # likewise, what staff bring and take away
if not Path(JOBS_FOLDER).is_absolute():
    raise ImproperlyConfigured("JOBS_FOLDER is a whole path")


def _private_folder(location: str) -> dict[str, Any]:
    options = {"location": location, "file_permissions_mode": 0o600, "directory_permissions_mode": 0o700}
    return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": options}


STORAGES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "recordings-local": _private_folder(RECORDINGS_FOLDER),
    "jobs": _private_folder(JOBS_FOLDER),
}


def _bucket_client() -> Any:
    """Return how to talk to a bucket: whoever listens must not wait minutes for one that is away, nor keep a thread."""
    config = importlib.import_module("botocore.config")  # of requirements-s3.txt
    return config.Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 2, "mode": "standard"})


if RECORDINGS_BUCKET:
    _bucket: dict[str, Any] = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": RECORDINGS_BUCKET,
            "endpoint_url": env.str("RECORDINGS_BUCKET_URL", default="") or None,
            "region_name": env.str("RECORDINGS_BUCKET_REGION", default="") or None,
            "access_key": env.str("RECORDINGS_BUCKET_KEY", default="") or None,
            "secret_key": env.str("RECORDINGS_BUCKET_SECRET", default="") or None,
            "file_overwrite": True,
            "client_config": _bucket_client(),
        },
    }
    STORAGES["recordings-s3"] = _bucket
    STORAGES["jobs"] = {**_bucket, "OPTIONS": {**_bucket["OPTIONS"], "location": "jobs"}}

# Customers' URLs: what on the inside they may reach all the same (host:port); empty in production
OUTBOUND_ALLOWED: list[str] = env.list("OUTBOUND_ALLOWED", default=[])

# Days that the delivery log keeps attempts, and events with all that is known of them
WEBHOOK_ATTEMPT_DAYS: int = env.int("WEBHOOK_ATTEMPT_DAYS", default=30)
WEBHOOK_EVENT_DAYS: int = env.int("WEBHOOK_EVENT_DAYS", default=90)
if min(WEBHOOK_ATTEMPT_DAYS, WEBHOOK_EVENT_DAYS) < 1:
    raise ImproperlyConfigured("WEBHOOK_ATTEMPT_DAYS and WEBHOOK_EVENT_DAYS are 1 or more")

# Mail to customers' contact addresses; without EMAIL_URL none is sent
EMAIL_URL: str = env.str("EMAIL_URL", default="")
STAFF_EMAIL: str = env.str("STAFF_EMAIL", default="")
DEFAULT_FROM_EMAIL: str = env.str("MAIL_FROM", default="minivoice@localhost")
EMAIL_TIMEOUT = 10
vars().update(environ.Env.email_url_config(EMAIL_URL or "dummymail://"))

INSTALLED_APPS = [
    "minivoice.checks.Checks",
    "unfold",
    "unfold.contrib.filters",  # lists narrowed down by one of many rows
    "unfold.contrib.simple_history",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "axes",
    "csp",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "simple_history",
    "rest_framework",
    "drf_spectacular_sidecar",  # Swagger UI's files, for /docs
    "applications",
    "webhooks",
    "billing",
    "telephony",
    "calls",
]
MIDDLEWARE = [
    "minivoice.api.request_ids",
    "minivoice.logs.CallIds",
    "minivoice.metrics.measured",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "minivoice.masking.known",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "minivoice.sign_in.second_factor_required",
    "simple_history.middleware.HistoryRequestMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "axes.middleware.AxesMiddleware",
]
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
            ]
        },
    }
]
STATIC_URL = "/static/"
STATIC_ROOT = None if EMBEDDED else BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = EMBEDDED
WHITENOISE_AUTOREFRESH = False
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = "minivoice.formats"
LOGIN_REDIRECT_URL = "/admin/"
# Staff: a password and a second factor; five wrong passwords for one name from one address lock it for 15 minutes
REQUIRE_SECOND_FACTOR: bool = env.bool("REQUIRE_SECOND_FACTOR", default=True)
OTP_TOTP_ISSUER = "MiniVoice"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_CALLABLE = "minivoice.sign_in.locked_out"
AXES_CLIENT_IP_CALLABLE = "minivoice.sign_in.address"
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
AXES_DISABLE_ACCESS_LOG = True  # sessions tell who signed in; what is kept is what failed
SESSION_COOKIE_AGE = 12 * 3600  # a working day
SESSION_COOKIE_SAMESITE = "Lax"

# What pages may load: our own files alone. The theme's Alpine.js evaluates the expressions in its own templates.
CONTENT_SECURITY_POLICY = {
    "EXCLUDE_URL_PREFIXES": ["/v1/", "/healthz", "/readyz", "/metrics"],
    "DIRECTIVES": {
        "default-src": [csp.SELF],
        "script-src": [csp.SELF, csp.UNSAFE_EVAL],
        "style-src": [csp.SELF, csp.UNSAFE_INLINE],
        "img-src": [csp.SELF, "data:"],
        "object-src": [csp.NONE],
        "base-uri": [csp.NONE],
        "form-action": [csp.SELF],
        "frame-ancestors": [csp.NONE],
    },
}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["applications.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["applications.authentication.IsCaller"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "minivoice.api.handle",
    "UNAUTHENTICATED_USER": None,
    "UNICODE_JSON": True,
    "COMPACT_JSON": True,
    "URL_FORMAT_OVERRIDE": None,
}

UNFOLD = {
    "SITE_TITLE": "MiniVoice",
    "SITE_HEADER": "MiniVoice",
    "SITE_SYMBOL": "call",
    "SITE_URL": None,
    "SIDEBAR": {"navigation": "calls.admin.menu.menu"},
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("console/favicon.svg")}],
    "DASHBOARD_CALLBACK": "calls.admin.home.dashboard",
    "STYLES": [lambda request: static("console/console.css")],
    "SCRIPTS": [
        lambda request: static("console/reach.js"),
        lambda request: static("console/times.js"),
        lambda request: static("console/live.js"),
        lambda request: static("console/audio.js"),
        lambda request: static("console/search.js"),
        lambda request: static("console/home.js"),
    ],
}

# Celery: a nudge, never the work item (see docs/architecture.md)
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 300,
    "socket_timeout": 1,
    "socket_connect_timeout": 1,
}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 60
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "work"
CELERY_TASK_ROUTES = {"calls.dial": {"queue": "dial"}, "webhooks.deliver": {"queue": "webhooks"}}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 20
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    "sweep webhooks": {"task": "webhooks.deliver", "schedule": 5.0, "options": {"expires": 5}},
    "end what disabled endpoints will not be sent": {
        "task": "webhooks.drain",
        "schedule": 5.0,
        "options": {"expires": 5},
    },
    "prune the delivery log": {"task": "webhooks.prune", "schedule": 3600.0, "options": {"expires": 3600}},
    "look at balances": {"task": "billing.look", "schedule": 5.0, "options": {"expires": 5}},
    "send mail": {"task": "applications.mail", "schedule": 30.0, "options": {"expires": 30}},
    "do jobs": {"task": "applications.jobs", "schedule": 10.0, "options": {"expires": 10}},
    "tidy jobs": {"task": "applications.tidy_jobs", "schedule": 600.0, "options": {"expires": 600}},
    "look after recordings": {"task": "calls.collect_recordings", "schedule": 5.0, "options": {"expires": 5}},
    "tidy recordings": {"task": "calls.tidy_recordings", "schedule": 1800.0, "options": {"expires": 1800}},
    "let recordings go": {"task": "calls.expire_recordings", "schedule": crontab(hour=3, minute=30)},
    "prune calls": {"task": "calls.prune", "schedule": 3600.0, "options": {"expires": 3600}},
    "prune mail and sessions": {"task": "applications.prune", "schedule": 3600.0, "options": {"expires": 3600}},
    "tidy calls": {"task": "calls.tidy", "schedule": 3600.0, "options": {"expires": 3600}},
    "audit what was touched": {"task": "calls.audit", "schedule": 60.0, "options": {"expires": 60}},
    "audit everything": {"task": "calls.audit_all", "schedule": crontab(hour=4, minute=0)},
    "reconcile the books": {"task": "calls.reconcile", "schedule": crontab(hour=3, minute=0)},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"context": {"()": "minivoice.logs.Context"}},
    "formatters": {
        "json": {"()": "minivoice.logs.Json"},
        "terminal": {"()": "minivoice.logs.Terminal"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "filters": ["context"],
            "formatter": "terminal" if EMBEDDED else "json",
        }
    },
    "loggers": {"axes": {"level": "WARNING"}},  # which tells of each sign-in what the database has
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
}
