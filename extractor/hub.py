"""The hub of pretrained weights: asked only if it answers, so that an absent network fails fast.

Left alone, its client tries again for most of a minute and writes a warning a try.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator

from huggingface_hub import constants

_TIMEOUT_S = 5.0


@contextlib.contextmanager
def patient_only_if_reachable() -> Iterator[None]:
    """Inside, downloads work as usual if the hub answers; else only its cache on disk is used."""
    before = constants.HF_HUB_OFFLINE
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    constants.HF_HUB_OFFLINE = before or not is_reachable(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
        logger.setLevel(level)


def is_reachable(url: str) -> bool:
    """Whether something answers at `url` within seconds, through the proxies of the environment."""
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S):
            return True
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:
        # Certificates may be set up for the hub's client and not for this module.
        return isinstance(error.reason, ssl.SSLError)
    except (OSError, ValueError):
        return False
