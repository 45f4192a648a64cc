"""mosquitto's files, rendered from the access list: pure text, nothing is written or run here.

Known and accepted: mosquitto grants any subscription and filters at delivery, so a denied filter is silent
there and SUBACK 0x80 on amqtt. Its ACL cannot tell a retained publish from a plain one.
"""

from pathlib import Path

from dispatchd.links.broker import limits
from dispatchd.links.broker.access import DAEMON_USER, Access, Grant, group_filters

USERS_FILE = "users"
ACL_FILE = "acl"


def render_passwords(access: Access) -> str:
    """password_file: one `user:$7$…` a line."""
    users: dict[str, Grant] = {DAEMON_USER: access.daemon, **access.devices}
    return "".join(f"{user}:{grant.secret_hash}\n" for user, grant in users.items())


def render_acl(access: Access) -> str:
    """acl_file: the daemon's root, each member's talk groups by name, what every device has of its own."""
    lines = [f"user {DAEMON_USER}", f"topic readwrite {access.root}/#", ""]
    for device, grant in access.devices.items():
        if grant.groups:
            topics = [f"topic read {allowed}" for allowed in group_filters(access.root, grant.groups)]
            lines += [f"user {device}", *topics, ""]
    lines += [
        f"pattern write {access.root}/d/%u/up/#",
        f"pattern write {access.root}/d/%u/presence",
        f"pattern read {access.root}/d/%u/down/#",
        "",
    ]
    return "\n".join(lines)


def render_config(folder: Path, host: str, port: int, run_as: str | None) -> str:
    """mosquitto.conf. `run_as`: the user to stay when started as root, so that our 0600 files can be read."""
    lines = [
        "per_listener_settings false",
        f"listener {port} {host}",
        f"max_connections {limits.MAX_CONNECTIONS}",
        "use_username_as_clientid true",
        "allow_anonymous false",
        f"password_file {folder / USERS_FILE}",
        f"acl_file {folder / ACL_FILE}",
        "persistence false",
        "max_qos 1",
        "set_tcp_nodelay true",
        "sys_interval 0",
        f"max_inflight_messages {limits.MAX_INFLIGHT_MESSAGES}",
        "max_inflight_bytes 0",
        f"max_queued_messages {limits.MAX_QUEUED_MESSAGES}",
        f"max_queued_bytes {limits.MAX_QUEUED_BYTES}",
        "queue_qos0_messages false",
        f"max_packet_size {limits.MAX_PACKET_BYTES}",
        "log_dest stderr",
        "log_timestamp false",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "log_type information",
        "connection_messages true",
    ]
    if run_as is not None:
        lines.append(f"user {run_as}")
    return "\n".join(lines) + "\n"
