"""From the registry to the broker's access list: who may connect, and which talk groups he reads.

A device that is removed, or has no secret yet, is not on it. The daemon's own secret is made at every start.
"""

from dispatchd.core.state import State
from dispatchd.links.broker.access import Access, Grant


def access_of(state: State, root: str, daemon_hash: str) -> Access:
    """Of the committed state."""
    secrets = state.site.secret
    devices = {
        device: Grant(
            secrets[device], tuple(state.settings[device].groups) if device in state.settings else ()
        )
        for device in state.site.device
        if device in secrets
    }
    return Access(root, Grant(daemon_hash), devices)
