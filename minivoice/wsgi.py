"""The web process's entrance: `granian --interface wsgi minivoice.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "minivoice.settings")

application = get_wsgi_application()
