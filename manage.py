#!/usr/bin/env python
"""The command line: `manage.py serve`, `prepare`, `gc`, `users`, and Django's own commands."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "harborsite.settings")
    from harborsite.config import ConfigError, current
    from harborsite.shelltext import gettext

    try:
        current()
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except ConfigError as error:
        sys.exit(gettext("configuration error: {error}").format(error=error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
