"""Where a repository goes: the destination namespace and its flattening, as Harbor computes them."""

from __future__ import annotations

from django.utils.translation import gettext as _

from harborsite.errors import BadRequest

ANY, AT_LEAST_TWO, ONLY_TWO = "", "at_least_two", "only_two"  # how many parts a registry's names have


def target_name(source: str, namespace: str, replace_count: int) -> str:
    """The name at the destination: `replace_count` leading parts of the source's give way to `namespace`.

    A negative count is Harbor's old way: all parts but the last give way. Without a namespace the name stays.
    """
    if not namespace:
        return source
    *parents, last = source.split("/")
    if replace_count < 0:
        return f"{namespace}/{last}"
    if replace_count > len(parents):
        message = _(
            'the source repository "{name}" contains only {count} path components [{parts}] excepting the last one, '
            "but the destination namespace flattening level is {level}"
        )
        shown = message.format(name=source, count=len(parents), parts=" ".join(parents), level=replace_count)
        raise BadRequest(shown)
    return "/".join([namespace, *parents[replace_count:], last])


def check_parts(name: str, rule: str) -> str:
    """`name`, if the destination takes names of so many parts."""
    parts = name.count("/") + 1
    if (rule == ONLY_TWO and parts != 2) or (rule == AT_LEAST_TWO and parts < 2):
        message = _('the destination takes no repository "{name}" of {count} path component(s)')
        raise BadRequest(message.format(name=name, count=parts))
    return name
