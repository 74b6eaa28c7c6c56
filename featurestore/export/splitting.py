"""Wide tables in parts that a program with a limit of variables can open."""

from __future__ import annotations

import dataclasses

from featurestore.errors import ConfigError
from featurestore.export.names import MAX_NAME
from featurestore.export.variables import LabelledTable

MAX_VARIABLES = 2000
"""Default: below the 2,048 variables of Stata's basic edition, with room for some of one's own."""


def split(table: LabelledTable, limit: int) -> list[LabelledTable]:
    """Cuts a table into parts of at most `limit` variables, each with the key.

    Parts are called `NAME_part1`, `NAME_part2` …, in the order of the variables; a table within
    the limit stays whole.

    Raises:
        ConfigError: The limit leaves no room beside the key, or the table has no key to join by.
    """
    if len(table.variables) <= limit:
        return [table]
    shared_names = {*table.key, *table.repeated}
    shared = tuple(v for v in table.variables if v.name in shared_names)
    others = [v for v in table.variables if v.name not in shared_names]
    room = limit - len(shared)
    if room < 1 or not table.key:
        raise ConfigError(
            f"export.max_variables: {limit} leaves no room beside the {len(shared)} variables that "
            f"every part of table {table.name!r} has; allow more than {max(len(shared), 1)}"
        )
    parts = []
    count = -(-len(others) // room)
    for k in range(count):
        suffix = f"_part{k + 1}"
        parts.append(
            dataclasses.replace(
                table,
                name=table.name[: MAX_NAME - len(suffix)] + suffix,
                label=f"{table.label} (part {k + 1} of {count})",
                variables=(*shared, *others[k * room : (k + 1) * room]),
                split_from=table.name,
            )
        )
    return parts
