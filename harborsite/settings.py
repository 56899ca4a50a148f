"""Django's names for what `harborsite.config` says; no environment variable is read here."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

from harborsite import config as boot
from harborsite.observability import logs
from harborsite.shelltext import gettext

CONFIG = boot.current()
BASE_DIR = boot.BASE_DIR


def _kept_secret(path: Path) -> str:
    """Django's signing key, made by `prepare`; before that a throw-away one, which signs nothing that lasts."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        from django.core.management.utils import get_random_secret_key

        return get_random_secret_key()
    except OSError as error:
        raise boot.ConfigError(
            gettext(
                "{path}: {strerror}. Run this as the user who prepared the installation, or correct data_volume."
            ).format(path=path, strerror=error.strerror)
        ) from None


SECRET_KEY = _kept_secret(CONFIG.secret_dir / "django_key")
DEBUG = False
ALLOWED_HOSTS = ["*"]  # realm, links and redirects are built from the configuration or stay path-only
APPEND_SLASH = False  # a redirected POST loses its body
ROOT_URLCONF = "harborsite.urls"
WSGI_APPLICATION = "harborsite.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "projects.User"

INSTALLED_APPS = [
    "harborsite.portal.config.PortalAdminConfig",  # in place of django.contrib.admin
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "django_htmx",
    "django_q",
    "rest_framework",
    "harborsite",
    "harborsite.jobs",
    "harborsite.portal.config.PortalConfig",
    "audit",
    "projects",
    "registry",
    "replication",
]

MIDDLEWARE = [
    "harborsite.api.middleware.RequestId",
    "harborsite.api.middleware.TidyApiPath",
    "harborsite.portal.middleware.ContentSecurityPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


def _database() -> dict[str, Any]:
    place = CONFIG.database
    if place.engine == "sqlite":
        return {
            "ENGINE": "harborsite.db.sqlite3",
            "NAME": CONFIG.data_volume / "database" / "harborsite.sqlite3",
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "timeout": 30,
                "transaction_mode": "IMMEDIATE",  # a read that turns into a write can not fail half-way
                # FULL: a commit is on the disk when the client is told so.
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-8000; "
                "PRAGMA wal_autocheckpoint=4000;",
            },
        }
    return {
        "ENGINE": "harborsite.db.mysql",
        "NAME": place.name,
        "USER": place.user,
        "PASSWORD": CONFIG.db_password,
        "HOST": place.host,
        "PORT": "" if place.own else place.port,  # then the host is a socket's path
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "charset": "utf8mb4",
            "isolation_level": "read committed",
            "init_command": "SET sql_mode='STRICT_ALL_TABLES'",
        },
    }


DATABASES = {"default": _database()}

AUTHENTICATION_BACKENDS = ["projects.identity.backend.IdentityBackend"]
# django-axes keeps the count for projects.identity.lockout, which alone asks it: Django's signals know the form only.
AXES_ENABLED = AXES_ENABLE_ADMIN = False
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_COOLOFF_TIME = timedelta(minutes=5)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
SILENCED_SYSTEM_CHECKS = ["axes.W002", "axes.W003"]  # its middleware and backend are not used
PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
SESSION_ENGINE = "projects.identity.sessions"
SESSION_COOKIE_NAME = "sid"
SESSION_COOKIE_AGE = 3600
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = CONFIG.is_https
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if CONFIG.is_https else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "harborsite.portal.failures.csrf_failure"
LOGIN_URL = "admin:login"
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "harborsite" / "locale", CONFIG.data_volume / "translations"]  # `prepare` compiles them
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATIC_ROOT = CONFIG.data_volume / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

REST_FRAMEWORK = {
    "UNAUTHENTICATED_USER": "harborsite.principal.Anonymous",
    "EXCEPTION_HANDLER": "harborsite.api.exceptions.handle",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
}

# An entry is removed before it is run, so `retry` never comes; django-q2 wants it above `timeout`.
Q_CLUSTER = {
    "name": "harborsite",
    "workers": CONFIG.max_job_workers,
    "timeout": 24 * 3600,
    "retry": 25 * 3600,
    "max_attempts": 3,
    "poll": 0,  # an idle worker waits for its guard, which looks at the queue
    "save_limit": 100,
    "catch_up": False,
    **({"redis": CONFIG.redis_address} if CONFIG.redis_url else {"orm": "default"}),
}

LOGGING = logs.configuration(log_format=CONFIG.log_format, collector=CONFIG.log_socket)
