"""What HTTP says that several clients must understand."""

from __future__ import annotations

import email.utils
import ipaddress
import re
import time


def is_loopback(host: str) -> bool:
    """Whether what goes to a host, by name or IP address, stays on this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def retry_after_seconds(header: str | None) -> float | None:
    """How long a server asks to wait.

    Args:
        header: value of ``Retry-After``, which holds seconds or a date; None where there is none.

    Returns:
        Seconds from 0; None where the header is missing or says nothing that can be understood.
    """
    if header is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", header.strip()):
        return float(header)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
