"""All settings, from the environment. `.env.example` documents each; a missing secret stops the start."""

import math
import re
from pathlib import Path
from urllib.parse import urlsplit

import environ
from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured

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
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL: str = env.str("REDIS_URL")

# Calls
HOLD_SECONDS: int = env.int("HOLD_SECONDS", default=60)  # talk that the first hold must pay for
ORIGINATE_WAIT_SECONDS: float = env.float("ORIGINATE_WAIT_SECONDS", default=3.0)
WAITING_PLACES: int = env.int("WAITING_PLACES", default=8)  # half of a web process's threads
ENGINE_SILENCE_SECONDS = 5.0  # a link silent for longer refuses new calls
SWITCHBOARD_THREADS: int = env.int("SWITCHBOARD_THREADS", default=16)  # they wait for the disk
SWITCHBOARD_LEASE_SECONDS: float = env.float("SWITCHBOARD_LEASE_SECONDS", default=10.0)
if not 5.0 <= SWITCHBOARD_LEASE_SECONDS < math.inf:  # a beat is due each second, and may wait for the disk
    raise ImproperlyConfigured(f"SWITCHBOARD_LEASE_SECONDS is 5 or more, not {SWITCHBOARD_LEASE_SECONDS}")

# What a real engine plays: rendered and served by the switchboard at SPEECH_BIND; empty: the engine speaks by itself
SPEECH_BIND: str = env.str("SPEECH_BIND", default="")
SPEECH_URL: str = env.str("SPEECH_URL", default="") or f"http://{SPEECH_BIND}"  # SPEECH_BIND as the engine sees it
SPEECH_FOLDER: str = env.str("SPEECH_FOLDER", default="")
SPEECH_MEGABYTES: int = env.int("SPEECH_MEGABYTES", default=500)
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
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
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
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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
DATETIME_FORMAT, DATE_FORMAT, TIME_FORMAT = "Y-m-d H:i:s", "Y-m-d", "H:i:s"
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

UNFOLD = {"SITE_TITLE": "MiniVoice", "SITE_HEADER": "MiniVoice", "SITE_SYMBOL": "call", "SITE_URL": None}

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
    "mail about disabled endpoints": {"task": "webhooks.tell", "schedule": 30.0, "options": {"expires": 30}},
    "prune the delivery log": {"task": "webhooks.prune", "schedule": 3600.0, "options": {"expires": 3600}},
    "look at balances": {"task": "billing.look", "schedule": 5.0, "options": {"expires": 5}},
    "send mail": {"task": "billing.mail", "schedule": 30.0, "options": {"expires": 30}},
    "tidy calls": {"task": "calls.tidy", "schedule": 3600.0, "options": {"expires": 3600}},
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
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
}
