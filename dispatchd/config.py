"""The daemon's settings: one TOML file, frozen structs, a description and bounds on every field, unknown keys
refused.

Secrets are never settings: a setting names the file that holds one. docs/settings.md and docs/rules.md are
made from here: `python -m dispatchd.config --docs settings|rules`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from protocols.rules import Rules

MAX_CONFIG_BYTES: Final = 1024 * 1024
MAX_SECRET_BYTES: Final = 4096  # of a file that holds one secret
ANYWHERE: Final = ("0.0.0.0", "::", "*")  # noqa: S104 -- to be refused without an address to tell devices
READY_FILE: Final = "daemon.json"
ADMIN_TOKEN_FILE: Final = "admin.token"  # noqa: S105 -- the name of a file, not a token


class ConfigError(ValueError):
    """What is wrong with the settings, where, and what to write instead."""


class _Section(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Http(_Section, frozen=True):
    """Console and API. Plain HTTP, so on this machine only."""

    address: Annotated[
        str,
        Meta(
            max_length=100,
            description="HOST:PORT to serve; loopback only. Port 0 takes a free one and says it in the ready line",
        ),
    ] = "127.0.0.1:8080"


class Broker(_Section, frozen=True):
    """The MQTT broker: one that dispatchd starts and feeds with access lists, or one that runs already."""

    mode: Annotated[
        Literal["auto", "mosquitto", "amqtt", "url"],
        Meta(
            description="auto: mosquitto as a child if it is found, else amqtt in a child process (up to 200 devices); "
            "url: the broker at `url`, whose access list is the ops' business"
        ),
    ] = "auto"
    listen: Annotated[
        str,
        Meta(
            max_length=100, description="HOST:PORT of a broker that dispatchd starts; port 0 takes a free one"
        ),
    ] = "127.0.0.1:1883"
    url: Annotated[str, Meta(max_length=500, description="mqtt://HOST:PORT of the broker, with mode url")] = (
        ""
    )
    username: Annotated[str, Meta(max_length=100, description="dispatchd's user at that broker")] = ""
    password_file: Annotated[str, Meta(max_length=4096, description="file that holds its password")] = ""


class Store(_Section, frozen=True):
    """Where journal and snapshots are kept."""

    url: Annotated[
        str,
        Meta(
            max_length=4096,
            description='sqlite:PATH, or memory: for tests (lost at the end). "" is sqlite:DIR/dispatch.db',
        ),
    ] = ""


class Log(_Section, frozen=True):
    """What the daemon says on stderr."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="the least important that is shown")
    ] = "info"
    format: Annotated[
        Literal["auto", "console", "json"], Meta(description="auto: console on a terminal, else JSON lines")
    ] = "auto"


class Voice(_Section, frozen=True):
    """Push-to-talk and intercom: where sound comes and goes. Sealed frame by frame, so no TLS is needed here."""

    enabled: Annotated[
        bool, Meta(description="false: no voice; floor requests are still answered, nothing is heard")
    ] = True
    udp: Annotated[
        str,
        Meta(
            max_length=100,
            description="HOST:PORT for datagrams; port 0 takes a free one and says it in the ready line. "
            '"" = no datagrams: all voice goes by MQTT',
        ),
    ] = "127.0.0.1:0"
    advertise: Annotated[
        tuple[str, ...],
        Meta(
            max_length=4,
            description="HOST:PORT where devices reach `udp`, the first that answers is used; none = `udp` itself",
        ),
    ] = ()
    webrtc_ports: Annotated[
        str,
        Meta(max_length=11, description="LOW-HIGH, UDP ports for WebRTC (pillars, operators' browsers)"),
    ] = "40000-40099"


class Limits(_Section, frozen=True):
    """Bounds of the engine."""

    queue_inputs: Annotated[
        int,
        Meta(
            ge=100,
            le=1_000_000,
            description="inputs that may wait; above it links stop reading and commands are answered 503",
        ),
    ] = 10_000
    batch_inputs: Annotated[
        int, Meta(ge=1, le=10_000, description="inputs committed together; more wait for the next batch")
    ] = 256
    snapshot_every_facts: Annotated[
        int,
        Meta(
            ge=100,
            le=1_000_000,
            description="a snapshot is saved after so many facts; it bounds the start-up time",
        ),
    ] = 20_000


class Speech(_Section, frozen=True):
    """The voice of spoken broadcasts. Without one they go as text, and the answer says so."""

    voice: Annotated[
        Literal["espeak", "command", "off"],
        Meta(
            description="espeak: espeak-ng out of its package, as a child process; command: the program of `command`"
        ),
    ] = "espeak"
    command: Annotated[
        tuple[str, ...],
        Meta(
            max_length=50,
            description="with voice command: a program that reads UTF-8 text on stdin and writes a WAV file on stdout, "
            '16 bit, any sample rate, e.g. ["piper", "--model", "/opt/voices/zh.onnx", "--output_file", "-"]; '
            "{lang} in an argument becomes zh or en",
        ),
    ] = ()
    timeout_s: Annotated[
        float, Meta(ge=1, le=120, description="the voice is ended after this, and the broadcast goes as text")
    ] = 15


class Recordings(_Section, frozen=True):
    """Sound that is kept; how long is the site's business (docs/rules.md)."""

    max_gb: Annotated[
        float,
        Meta(
            ge=0,
            le=1_000_000,
            description="above so many GB the oldest recordings of no incident go, none younger than 30 days; "
            "0 = no limit",
        ),
    ] = 0


class Config(_Section, frozen=True):
    """Everything. A section left out has its defaults."""

    dir: Annotated[
        str,
        Meta(
            max_length=4096,
            description="folder of the daemon: store, admin.token, credentials/, daemon.json. Made if missing (0700)",
        ),
    ] = ".state"
    site: Annotated[
        str,
        Meta(
            max_length=4096,
            description="site file applied at the first start, when the store has no site yet",
        ),
    ] = ""
    http: Http = Http()
    broker: Broker = Broker()
    store: Store = Store()
    log: Log = Log()
    voice: Voice = Voice()
    limits: Limits = Limits()
    speech: Speech = Speech()
    recordings: Recordings = Recordings()

    @property
    def directory(self) -> Path:
        return Path(self.dir).expanduser().resolve()

    @property
    def store_url(self) -> str:
        return self.store.url or f"sqlite:{self.directory / 'dispatch.db'}"


class Ready(Struct, frozen=True):
    """What the daemon says once on stdout, and keeps in DIR/daemon.json, when it can take alarms.

    `voice` is HOST:PORT of the datagram carriage, "" = there is none.
    """

    ready: bool
    http: str
    mqtt: str
    root: str
    admin_token_file: str
    voice: str = ""


def load(path: Path | None = None, overlay: dict[str, Any] | None = None) -> Config:
    """The file's settings with `overlay` (nested like the TOML) over them. ConfigError says what is wrong and
    where."""
    raw: dict[str, Any] = {} if path is None else _read(path)
    for section, value in (overlay or {}).items():
        if isinstance(value, dict) and isinstance(raw.get(section), dict):
            raw[section] = {**raw[section], **value}
        else:
            raw[section] = value
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path or 'settings'}: {error}. docs/settings.md lists all settings.") from None
    if faults := list(check(config)):
        raise ConfigError(f"{path or 'settings'}: " + " ".join(faults))
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes()[: MAX_CONFIG_BYTES + 1]
        if len(text) > MAX_CONFIG_BYTES:
            raise ConfigError(
                f"{path} is longer than {MAX_CONFIG_BYTES // 1024} KiB: that is no settings file."
            )
        found = msgspec.toml.decode(text.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Check the path and its owner.") from None
    except (msgspec.DecodeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path} is not readable as TOML: {error}") from None
    return dict(found)


def check(config: Config) -> Iterator[str]:
    """Faults across fields, one sentence each."""
    if config.broker.mode == "url" and not config.broker.url.startswith("mqtt://"):
        yield 'broker.mode is "url": give broker.url as mqtt://HOST:PORT.'
    if config.broker.mode != "url" and (config.broker.url or config.broker.username):
        yield f'broker.url and broker.username are used with broker.mode = "url" only, not {config.broker.mode!r}.'
    if config.broker.username and not config.broker.password_file:
        yield "broker.username needs broker.password_file."
    if config.speech.voice == "command" and not config.speech.command:
        yield 'speech.voice is "command": give speech.command as a list, program first.'
    if config.speech.voice != "command" and config.speech.command:
        yield f'speech.command is used with speech.voice = "command" only, not {config.speech.voice!r}.'
    if not config.store_url.startswith(("sqlite:", "memory:")):
        yield f"store.url {config.store_url!r} must be sqlite:PATH or memory:."

    yield from _check_voice(config.voice)


def _check_voice(voice: Voice) -> Iterator[str]:
    if voice.udp and not _is_address(voice.udp, lowest=0):
        yield f"voice.udp {voice.udp!r} must be HOST:PORT, for example 0.0.0.0:5004."
    if voice.udp.rpartition(":")[0].strip("[]") in ANYWHERE and not voice.advertise:
        yield "voice.udp listens on every address: say in voice.advertise where devices reach it."
    for address in voice.advertise:
        if not _is_address(address, lowest=1):
            yield f"voice.advertise {address!r} must be HOST:PORT, for example voice.example.org:5004."
    low, _, high = voice.webrtc_ports.partition("-")
    if not (low.isdecimal() and high.isdecimal() and 1024 <= int(low) <= int(high) <= 65_535):
        yield f"voice.webrtc_ports {voice.webrtc_ports!r} must be LOW-HIGH within 1024-65535."


def _is_address(text: str, lowest: int) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and not set(host) & set(" /@") and port.isdecimal() and lowest <= int(port) <= 65_535


def broker_overlay(choice: str) -> dict[str, Any]:
    """Of `--broker auto|amqtt|mosquitto|URL`."""
    return {"mode": "url", "url": choice} if "://" in choice else {"mode": choice}


def read_secret(path: str | Path) -> str:
    """One secret out of a file, without the newline at its end. ConfigError says why not."""
    try:
        raw = Path(path).read_bytes()[: MAX_SECRET_BYTES + 1]
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Check the path and its owner.") from None
    secret = raw.decode("utf-8", "replace").strip()
    if not secret or len(raw) > MAX_SECRET_BYTES:
        raise ConfigError(
            f"{path} should hold one secret on one line; it is {'too long' if secret else 'empty'}."
        )
    return secret


# --- documents ---


def settings_markdown() -> str:
    """docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "<!-- made by: python -m dispatchd.config --docs settings -->",
        "",
        "One TOML file, given with `dispatchd run --config FILE`. Every setting has a default, unknown keys are",
        "refused, and `dispatchd check --config FILE` says what is wrong. Secrets stand in files of their own.",
        "The numbers by which the service behaves towards people belong to the site: [rules.md](rules.md).",
    ]
    sections: dict[str, type[Struct]] = {"": Config, **_sections()}
    for name, type_ in sections.items():
        title = f"[{name}]" if name else "Top of the file"
        lines += ["", f"## {title}", "", _first_line(type_), "", *_table(type_)]
    return "\n".join(lines) + "\n"


def rules_markdown() -> str:
    """docs/rules.md."""
    lines = [
        "# Rules",
        "",
        "<!-- made by: python -m dispatchd.config --docs rules -->",
        "",
        "The numbers by which the service behaves towards people. Defaults stand here; a site sets others in its file",
        "under `[rules]` for everybody, or under `[[override]]` with `values`, for a `unit` (and all below it), for a",
        "`duty_level` (勤务等级), or for both. `dispatchd check --site FILE` says what is out of bounds.",
        "",
        *_table(Rules),
    ]
    return "\n".join(lines) + "\n"


def _sections() -> dict[str, type[Struct]]:
    hints = get_type_hints(Config)
    return {
        name: type_ for name, type_ in hints.items() if isinstance(type_, type) and issubclass(type_, Struct)
    }


def _first_line(type_: type[Struct]) -> str:
    return (type_.__doc__ or "").strip().splitlines()[0]


def _table(type_: type[Struct]) -> list[str]:
    lines = ["| setting | default | allowed | what it is |", "|---|---|---|---|"]
    hints = get_type_hints(type_, include_extras=True)
    for field in msgspec.structs.fields(type_):
        meta = _meta(hints[field.name])
        if meta is None:
            continue
        default = msgspec.json.encode(field.default).decode()
        allowed = _allowed(get_args(hints[field.name])[0], meta)
        lines.append(f"| `{field.name}` | `{default}` | {allowed} | {meta.description} |")
    return lines


def _meta(hint: Any) -> Meta | None:
    metas = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Meta)]
    return metas[0] if metas else None


def _allowed(kind: Any, meta: Meta) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if kind is bool:
        return "`true`, `false`"
    if meta.le is not None:
        return f"{meta.ge:g} to {meta.le:g}"
    if get_origin(kind) is tuple:
        return f"up to {meta.max_length} of them"
    return f"up to {meta.max_length} characters"


DOCS: Final = {"settings": settings_markdown, "rules": rules_markdown}


def main(argv: list[str]) -> int:
    if len(argv) != 2 or argv[0] != "--docs" or argv[1] not in DOCS:
        sys.stderr.write("usage: python -m dispatchd.config --docs settings|rules\n")
        return 2
    sys.stdout.write(DOCS[argv[1]]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
