"""The house keeps its shape: import arrows, one access rule per URL, one meaning per error code."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver

from harborsite.errors import AppError
from projects.api.base import ApiView
from registry.v2.base import RegistryView

ROOT = Path(__file__).resolve().parent.parent

# A name to the left is never to import one to its right.
LAYERS = ["harborsite", "audit", "projects", "registry", "replication"]

# Parts of harborsite that put the product together, and so may import everything; no app imports them.
COMPOSITION = (
    "harborsite.settings",
    "harborsite.urls",
    "harborsite.wsgi",
    "harborsite.apps",
    "harborsite.checks",
    "harborsite.setup",
    "harborsite.parts",
    "harborsite.server",
    "harborsite.management",
    "harborsite.portal",
    "harborsite.observability.health",
    "harborsite.observability.metrics",
)
# What the edges of apps stand on, though it is composition.
FOR_EDGES = ("harborsite.portal",)
EDGE = re.compile(r"\w+(\.\w+)*\.(api(\.(serializers|views|filters|urls)\b.*)?|v2|admin|jobs|receivers)(\.\w+)*")
# Looking right is allowed where STYLE says so: audit's edges show rows by project.
AUDIT_EDGES_MAY = ("projects.permissions", "projects.models", "projects.api")


def product_files() -> Iterator[Path]:
    for layer in LAYERS:
        for file in sorted((ROOT / layer).rglob("*.py")):
            if "migrations" not in file.parts:
                yield file


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Every module that `file` imports when it runs, wherever the import stands."""
    pending: list[ast.AST] = [ast.parse(file.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        pending.extend(ast.iter_child_nodes(node))


IMPORTS = [
    (module_name(file), f"{file.relative_to(ROOT)}:{line}", imported)
    for file in product_files()
    for line, imported in imports(file)
]


def within(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def layer_of(module: str) -> int | None:
    top = module.partition(".")[0]
    return LAYERS.index(top) if top in LAYERS else None


def is_edge(module: str) -> bool:
    return bool(EDGE.match(module)) and not module.startswith(("harborsite.api", "harborsite.jobs"))


def test_no_app_imports_one_to_its_right() -> None:
    """harborsite ← audit ← projects ← registry ← replication."""
    wrong = []
    for importer, where, imported in IMPORTS:
        mine, other = layer_of(importer), layer_of(imported)
        if mine is None or other is None or within(importer, COMPOSITION):
            continue
        if importer.startswith("audit.") and is_edge(importer) and within(imported, AUDIT_EDGES_MAY):
            continue
        if other > mine or (within(imported, COMPOSITION) and not (is_edge(importer) and within(imported, FOR_EDGES))):
            wrong.append(f"{where} imports {imported}")
    assert not wrong, "\n".join(wrong)


def test_nobody_imports_an_edge() -> None:
    """Views, serializers, admin classes and jobs are ends: only their neighbours and the composition know them."""
    wrong = []
    for importer, where, imported in IMPORTS:
        if importer.endswith(".apps") and imported.endswith(".receivers"):
            continue  # what an app listens to is connected when it is ready
        same_edge = layer_of(importer) == layer_of(imported) and is_edge(importer)
        if is_edge(imported) and not same_edge and not within(importer, COMPOSITION) and not is_edge(importer):
            wrong.append(f"{where} imports {imported}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("room", "may_not_import"),
    [
        ("registry.oci", ("django", "rest_framework", "harborsite", "audit", "projects", "registry.models")),
        ("registry.oci", ("registry.storage", "registry.services", "registry.v2", "registry.auth")),
        ("registry.storage", ("django.db", "rest_framework", "projects", "audit", "registry.models")),
        ("registry.storage", ("registry.services", "registry.v2", "registry.auth")),
        ("registry.models", ("registry.services", "registry.storage", "registry.auth", "registry.v2")),
        ("projects.models", ("projects.services", "projects.identity", "projects.api")),
        ("audit.models", ("audit.services",)),
        ("registry.services", ("registry.v2", "registry.api", "registry.auth", "rest_framework")),
        ("projects.services", ("projects.api", "rest_framework")),
        ("harborsite.config", ("django", "rest_framework", "projects", "registry", "audit")),
    ],
)
def test_a_room_does_not_reach_up(room: str, may_not_import: tuple[str, ...]) -> None:
    """Inside an app: edge → services → models → oci, and services → storage → oci."""
    wrong = [f"{w} imports {i}" for m, w, i in IMPORTS if within(m, (room,)) and within(i, may_not_import)]
    assert not wrong, "\n".join(wrong)


def test_only_the_configuration_reads_the_environment() -> None:
    allowed = {
        "harborsite/config.py",
        "harborsite/shelltext.py",  # the locale
        "harborsite/wsgi.py",
        "harborsite/setup/background.py",
        "harborsite/server/processes.py",  # writes what names a user, where root becomes another one
        "harborsite/observability/meters.py",  # writes one variable, which is how its library is told
    }
    readers = {
        str(file.relative_to(ROOT)) for file in product_files() if re.search(r"os\.(environ|getenv)", file.read_text())
    }
    assert readers <= allowed


def test_every_module_opens_with_a_sentence_and_stays_short() -> None:
    for file in product_files():
        text = file.read_text()
        if text.strip():
            assert ast.get_docstring(ast.parse(text)), f"{file}: no docstring"
        assert text.count("\n") <= 600, f"{file}: longer than 600 lines"


# --- errors -----------------------------------------------------------------------------------------------


def error_classes() -> list[type[AppError]]:
    get_resolver().url_patterns  # noqa: B018 - loads every view, and with it every error
    found, pending = [], [AppError]
    while pending:
        error = pending.pop()
        found.append(error)
        pending.extend(error.__subclasses__())
    return [error for error in found if not error.__module__.startswith("tests")]


def test_an_error_code_means_one_status() -> None:
    """A client that branches on the code must not be surprised by the status."""
    statuses: dict[str, dict[int, str]] = defaultdict(dict)
    for error in error_classes():
        statuses[error.code][error.status] = error.__name__
    assert {code: by_status for code, by_status in statuses.items() if len(by_status) > 1} == {}


def test_error_names_and_codes_are_well_formed() -> None:
    names = [error.__name__ for error in error_classes()]
    assert sorted(set(names)) == sorted(names)
    for error in error_classes():
        assert re.fullmatch(r"[A-Z][A-Z_]+", error.code), error
        assert 400 <= error.status < 600, error
        assert error.default_message, error


# --- URLs -------------------------------------------------------------------------------------------------

# Views that anybody may call, each with the reason.
OPEN = {
    "harborsite.portal.account.SignInView": "where one signs in",
    "harborsite.portal.account.sign_out": "ends the visitor's own session",
    "harborsite.portal.preferences.choose_language": "a visitor chooses a language before signing in",
    "harborsite.portal.preferences.choose_theme": "and light or dark",
    "harborsite.portal.banners.close": "and closes a banner that may be closed",
    "projects.api.system.UnknownView": "says to everybody that there is nothing",
    "registry.auth.views.TokenView": "decides itself what it grants; nobody gets what everybody may do",
}
# Wrappers that ask for a right, or hand the question to the view with an object in hand.
GUARDS = {
    "AdminSite.admin_view.<locals>.inner",
    "PortalSite.public_view.<locals>.inner",
}


def all_patterns(resolver: URLResolver) -> Iterator[URLPattern]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield from all_patterns(pattern)
        else:
            yield pattern


def names_of(view: Any) -> set[str]:
    """What a view and every function that it wraps is called; decorators keep what they wrap in a closure."""
    found: set[str] = set()
    pending = [view]
    seen: list[FunctionType] = []
    while pending:
        part = pending.pop()
        seen.append(part)
        drf = getattr(part, "view_class", part)
        found |= {f"{getattr(drf, '__module__', '')}.{getattr(drf, '__qualname__', '')}", part.__code__.co_qualname}
        inside = [getattr(part, "__wrapped__", None), *(cell.cell_contents for cell in part.__closure__ or ())]
        pending += [each for each in inside if isinstance(each, FunctionType) and each not in seen]
    return found


def has_access_rule(pattern: URLPattern) -> bool:
    view = pattern.callback
    drf = getattr(view, "cls", None) or getattr(view, "view_class", None)
    if drf is not None and f"{drf.__module__}.{drf.__qualname__}" in OPEN:
        return True
    for base in (RegistryView, ApiView):  # both admit or refuse before any method runs
        if drf is not None and issubclass(drf, base):
            return drf.initial is base.initial and (base is RegistryView or bool(drf.actions))
    return bool(names_of(view) & (GUARDS | OPEN.keys()))


def test_every_url_has_an_access_rule() -> None:
    """A view that forgot to ask who is there is found here, not by a stranger."""
    patterns = list(all_patterns(get_resolver()))
    assert len(patterns) > 5
    open_to_all = [f"{p.pattern} → {p.callback}" for p in patterns if not has_access_rule(p)]
    assert not open_to_all, "\n".join(open_to_all)


# --- migrations and models --------------------------------------------------------------------------------


def test_no_two_migrations_share_a_number() -> None:
    for directory in ROOT.glob("*/**/migrations"):
        if not directory.is_relative_to(ROOT / ".venv"):
            numbers = [file.name[:4] for file in directory.glob("[0-9]*.py")]
            assert sorted(set(numbers)) == sorted(numbers), directory


# Models without a page of their own, each with the reason.
WITHOUT_A_PAGE: dict[str, str] = {
    "audit.Outgoing": "gone in seconds; how many wait is on the page of the log",
    "audit.Forwarding": "one row, shown on the page of the log",
    "projects.ProjectMetadata": "settings of a project, on its page",
    "projects.CVEAllowlist": "in the configuration of its project; the system's is beside the settings",
    "projects.SecondFactor": "each person's own, on a page of the account",
    "registry.Tag": "on the page of its artifact",
    "registry.ArtifactLabel": "on the page of its artifact",
    "registry.ArtifactChild": "on the page of its index",
    "registry.ArtifactReference": "a link between tables",
    "registry.BlobLink": "a link between tables",
    "registry.BlobUpload": "gone in minutes, and its sender's affair",
    "jobs.Task": "on the page of its execution",
    "jobs.TaskLog": "the log of a task",
    "jobs.PausedQueue": "a switch on the page of the job service",
    "jobs.Worker": "on the page of the job service",
}


def test_every_model_is_in_the_portal_or_has_a_reason() -> None:
    ours = {
        f"{model._meta.app_label}.{model.__name__}": model
        for config in apps.get_app_configs()
        if config.name.partition(".")[0] in LAYERS
        for model in config.get_models()
    }
    assert WITHOUT_A_PAGE.keys() <= ours.keys()
    registered = {name for name, model in ours.items() if admin.site.is_registered(model)}
    assert not registered & WITHOUT_A_PAGE.keys()
    missing = sorted(ours.keys() - registered - WITHOUT_A_PAGE.keys())
    assert not missing, f"neither in an admin.py nor on the list: {missing}"
