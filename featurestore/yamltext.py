"""YAML whose plain words stay what they are: `yes`, `0060` and `2020-01-01` are texts.

YAML turns unquoted words into truth, octal numbers and dates before anybody knows what the key
wants. Here they stay text, and the schema makes of them what its key says; only an empty value,
`~` and `null` are nothing.
"""

from __future__ import annotations

from typing import Any

import yaml

_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"


class TextLoader(yaml.SafeLoader):
    """A safe loader that knows nothing, merge keys and text, and no other plain scalars."""


TextLoader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in resolvers if tag in (_NULL, _MERGE)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_yaml(text: str) -> Any:
    """Reads one YAML document; unquoted scalars are text.

    Raises:
        yaml.YAMLError: The text is no YAML.
    """
    return yaml.load(text, TextLoader)  # noqa: S506 - a SafeLoader with fewer resolvers
