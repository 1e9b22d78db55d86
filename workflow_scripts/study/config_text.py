"""What must hold of a config as text, before its values are looked at: the parser takes the last of two equal keys."""

from pathlib import Path

import yaml

from workflow_scripts.core.errors import XlmergeError


def check_yaml(path: Path) -> None:
    """Raise an `XlmergeError` if a config is no YAML with keys, or has a key twice."""
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except UnicodeDecodeError:
        raise XlmergeError(f"{path} is not text in UTF-8: save it as UTF-8") from None
    except yaml.YAMLError as error:
        raise XlmergeError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(root, yaml.MappingNode):
        raise XlmergeError(f"{path} must hold keys with values, as `run: mine`")
    _check_keys(root, path)


def _check_keys(node: yaml.Node, path: Path) -> None:
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if str(key.value) in keys:
                raise XlmergeError(f"{path}, line {key.start_mark.line + 1}: the key {key.value!r} stands there twice")
            keys.add(str(key.value))
            _check_keys(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(item, path)
