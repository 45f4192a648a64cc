"""`dispatchd device add` and `dispatchd operator add`: who may connect. A secret is made here, shown once,
never sent."""

import json
import secrets
from pathlib import Path
from typing import Any, Final

from dispatchd.console.signin import new_token, token_hash, write_private
from protocols.secret import hash_secret

from .client import read_ready
from .errors import BAD_FILE, OK, REFUSED, CliError
from .shell import Shell

SECRET_BYTES: Final = 32


def add_device(shell: Shell) -> int:
    """Register (or give new credentials to) a device and write the one file that its software takes."""
    args = shell.args
    ready = read_ready(shell.directory, shell.lang) if not args.mqtt else None
    site = shell.client.get("/site")
    entry = _device_entry(shell, site)
    path = Path(args.out) if args.out else shell.directory / "credentials" / f"{args.id}.json"
    secret = secrets.token_urlsafe(SECRET_BYTES)
    shell.client.command("set", {"table": "device", "entry": entry})
    answer = shell.client.command("secret", {"device": args.id, "secret_hash": hash_secret(secret)})
    credentials = {
        "device": args.id,
        "kind": entry["kind"],
        "root": site.get("root", "dispatch/v1"),
        "urls": [args.mqtt or (ready.mqtt if ready else "")],
        "secret": secret,
        "patrol": entry.get("patrol"),
    }
    _write(path, json.dumps(credentials, ensure_ascii=False, indent=1) + "\n")
    shell.say(
        shell.t(f"凭证已写入 {path}(仅本人可读)。", f"Credentials are in {path} (readable by you only).")
    )
    if entry.get("in_service") is False:
        shell.say(
            shell.t(
                f"现场确认按键、声音、画面和灯之后再投入使用:dispatchd ctl confirm-device {args.id}",
                f"Not in service until press, sound, picture and lamp are confirmed on site: "
                f"dispatchd ctl confirm-device {args.id}",
            )
        )
    shell.give({"device": args.id, "file": str(path), "answer": answer})
    return OK


def _device_entry(shell: Shell, site: dict[str, Any]) -> dict[str, Any]:
    """Its present entry with what the flags say; a new one needs a unit, its patrol's or its point's serves
    too."""
    args = shell.args
    by_id = {table: {e["id"]: e for e in site.get(table, [])} for table in ("device", "patrol", "point")}
    new = {"id": args.id, "kind": "terminal", "in_service": False}
    entry = dict(by_id["device"].get(args.id, new))
    if args.confirmed:
        entry["in_service"] = True
    flags = ("kind", "unit", "patrol", "point", "name", "name_en", "lat", "lon", "profile")
    entry.update({name: value for name in flags if (value := getattr(args, name)) is not None})
    for table in ("patrol", "point"):
        if place := _known(shell, by_id[table], table, getattr(args, table)):
            entry.setdefault("unit", place["unit"])
    if "unit" not in entry:
        zh = f"{args.id} 是新设备:用 --unit 说明它属于哪个单位。"
        raise CliError(
            shell.t(zh, f"Device {args.id} is new: say which unit it belongs to with --unit."), REFUSED
        )
    return entry


_ZH: Final = {"patrol": "巡逻组", "point": "集结点"}


def _known(
    shell: Shell, entries: dict[str, dict[str, Any]], table: str, id_: str | None
) -> dict[str, Any] | None:
    """The entry that a flag names; CliError when there is none."""
    if id_ is not None and id_ not in entries:
        zh = f"您可见的范围内没有{_ZH[table]} {id_}。看 dispatchd site show,或先加入站点。"
        en = (
            f"There is no {table} {id_!r} that you can see. Look with: dispatchd site show; "
            "or add it to the site first."
        )
        raise CliError(shell.t(zh, en), REFUSED)
    return entries.get(id_ or "")


def _write(path: Path, text: str) -> None:
    try:
        write_private(path, text)
    except OSError as error:
        raise CliError(
            f"{path} cannot be written: {error.strerror}. The device has new credentials that nobody knows: "
            "repeat the command with another --out.",
            BAD_FILE,
        ) from None


def add_operator(shell: Shell) -> int:
    """Add an operator, or give him a new token; it is shown once, or written to --out (0600)."""
    args = shell.args
    site = shell.client.get("/site")
    entry = dict(next((e for e in site.get("operator", []) if e["id"] == args.id), {"id": args.id}))
    flags = ("unit", "role", "name", "name_en")
    entry.update({name: value for name in flags if (value := getattr(args, name)) is not None})
    if args.police:
        entry["police"] = True
    missing = [f"--{name}" for name in ("unit", "role") if name not in entry]
    if missing:
        raise CliError(f"Operator {args.id} is new: give {' and '.join(missing)}.")
    token = new_token()
    entry["token_hash"] = token_hash(token)
    answer = shell.client.command("set", {"table": "operator", "entry": entry})
    shown: dict[str, Any] = {"operator": args.id, "answer": answer}
    if args.out:
        _write(Path(args.out), token + "\n")
        shell.say(shell.t(f"令牌已写入 {args.out}。", f"The token is in {args.out}."))
        shown["token_file"] = args.out
    else:
        shell.say(shell.t("令牌(只显示这一次):", "The token (shown this once only):"))
        shell.say(token)
        shown["token"] = token
    shell.give(shown)
    return OK
