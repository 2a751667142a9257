"""YAML texts of users, whose aliases, tags and numbers may be anything."""

import json
import re
from typing import Any

import yaml

from incdet.errors import ConfigurationError, reason


class _Loader(yaml.SafeLoader):
    """A loader that reads YAML 1.2's numbers: PyYAML takes `1e-3` for text, because it has no dot."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Makes the node of a mapping, and refuses a key that is written twice: the first value would be lost."""
        node = super().compose_mapping_node(anchor)
        written = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        twice = next((key for key in written if written.count(key) > 1), None)
        if twice is not None:
            raise ConfigurationError(f"the key '{twice}' is there twice")
        return node


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)

MAX_YAML_BYTES = 1 << 20
"""Largest size of a text; parsing takes a second for each megabyte."""

_MAX_YAML_VALUES = 100_000
"""Largest number of values of a configuration once its aliases are written out."""


def parse_yaml(text: str | bytes, as_text: bool = False) -> Any:
    """Returns the value of a YAML text.

    Args:
        text: The text.
        as_text: Whether every value is taken for text, as names may look like numbers or truth values.

    Raises:
        ConfigurationError: The text is not valid YAML or too large, or its aliases stand for too many values; the
            message is the part of a sentence that says so.
    """
    loader: yaml.BaseLoader | _Loader | None = None
    if len(text) > MAX_YAML_BYTES:
        raise ConfigurationError("it is larger than 1 MB")
    try:
        # the first characters may be of no known encoding, so that making the loader fails
        loader = yaml.BaseLoader(text) if as_text else _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _num_values(node, {}) > _MAX_YAML_VALUES:
            raise ConfigurationError(f"its aliases stand for more than {_MAX_YAML_VALUES:,} values")
        return loader.construct_document(node)
    except ConfigurationError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(reason(error)) from None
    except Exception:  # odd tags make PyYAML raise anything
        raise ConfigurationError("a value does not fit its tag") from None
    finally:
        if loader is not None:
            loader.dispose()


def quoted(text: str) -> str:
    """Returns a text as a YAML scalar that is read back as it is, whatever it looks like.

    >>> parse_yaml(quoted("2012")), parse_yaml(quoted("null"))
    ('2012', 'null')
    """
    # YAML has no pairs of surrogates, which JSON writes for characters such as emoji
    parts = [json.dumps(letter)[1:-1] if ord(letter) <= 0xFFFF else f"\\U{ord(letter):08x}" for letter in text]
    return f'"{"".join(parts)}"'


def _num_values(node: yaml.Node, known: dict[int, int]) -> int:
    """Number of values below a node, aliases written out.

    Args:
        node: The node.
        known: Numbers of the nodes that were counted before, by their identity; one that holds itself counts once.
    """
    if id(node) not in known:
        known[id(node)] = 1
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            children = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        known[id(node)] += sum(_num_values(child, known) for child in children)
    return known[id(node)]
