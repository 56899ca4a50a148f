"""MySQL/MariaDB with SQLite's and Harbor's idea of equality: names differ by case, fuzzy search does not.

The server's default collation takes tag `v1` for `V1`. Every table is created with a binary collation, and the
case-insensitive look-ups name a collation of their own.
"""

from __future__ import annotations

from django.db.backends.mysql import base, schema

_FOLDED = "COLLATE utf8mb4_general_ci LIKE %s"


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    sql_create_table = "CREATE TABLE %(table)s (%(definition)s) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"


class DatabaseWrapper(base.DatabaseWrapper):
    SchemaEditorClass = DatabaseSchemaEditor
    operators = {
        **base.DatabaseWrapper.operators,
        "iexact": _FOLDED,
        "icontains": _FOLDED,
        "istartswith": _FOLDED,
        "iendswith": _FOLDED,
    }
