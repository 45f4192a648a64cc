"""`dispatch-device`: runs one pillar or terminal with keyboard and screen.

Exit codes: 0 switched off (quit, SIGINT, SIGTERM); 2 wrong arguments or credentials; 3 the outbox cannot be used
(in use by another process, no rights, damaged disk); 1 a fault of ours, with a traceback.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from devices import credentials as files
from devices.agent import Agent
from devices.credentials import Credentials, CredentialsError
from devices.keyboard import KeyboardHardware, Quit, Tell, print_line
from devices.log import DeviceLog
from devices.outbox import OutboxError
from devices.outbox_file import FileOutbox
from devices.pillar import PillarAgent
from devices.shell import LogLine, clock_id, run_device
from devices.terminal import TerminalAgent

if TYPE_CHECKING:
    from devices.voice.handset import Handset
    from devices.voice.webrtc import PillarMedia

OK: Final = 0
BAD_INPUT: Final = 2
BAD_OUTBOX: Final = 3
AGENTS: Final[dict[str, type[Agent]]] = {"pillar": PillarAgent, "terminal": TerminalAgent}

MICROPHONES: Final = "pyaudio, pyaudio:NAME_OR_INDEX, file:PATH.wav, loop:PATH.wav, tone:HZ, silence"
SPEAKERS: Final = "pyaudio, pyaudio:NAME_OR_INDEX, file:PATH.wav, null"
"""As devices/voice/specs.py reads them; that room is loaded only when there is to be sound."""

EXAMPLES: Final = """\
examples:
  dispatchd device add p-001 --out p-001.json
  dispatch-device pillar --credentials p-001.json
  dispatch-device terminal --credentials t-001.json --language en
  printf 'press\\n' | dispatch-device pillar --credentials p-001.json --json
  dispatch-device terminal --credentials t-001.json --mic pyaudio --speaker pyaudio
  printf 'wait 2\\ntalk\\nwait 3\\nover\\nwait 1\\nquit\\n' |
    dispatch-device terminal --credentials t-001.json --mic file:hello.wav --speaker null --json
  dispatch-device --list-sound

exit codes: 0 switched off, 2 wrong arguments or credentials, 3 outbox not usable, 1 a fault of ours
"""


class NoSound(Exception):
    """No such microphone or loudspeaker; the text says what there is."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dispatch-device",
        description="Be a pillar or a terminal: lines typed are keys, lines printed are voice, light and screen.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", choices=sorted(AGENTS), nargs="?", help="what this device is")
    parser.add_argument("--credentials", type=Path, metavar="FILE", help="from dispatchd device add")
    parser.add_argument("--dir", type=Path, metavar="STATE", help="folder of the outbox and the log")
    parser.add_argument("--language", choices=("zh", "en"), default="zh", help="of what is said and shown")
    parser.add_argument("--mic", metavar="SPEC", help=f"with sound: hear {MICROPHONES}")
    parser.add_argument("--speaker", metavar="SPEC", help=f"and sound by {SPEAKERS}")
    parser.add_argument("--list-sound", action="store_true", help="print microphones and speakers, and end")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line, for scripts")
    return parser


def main(argv: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(argv)
    if options.list_sound:
        return _list_sound()
    if options.kind is None or options.credentials is None:
        parser.error("the kind of device and --credentials FILE are needed")
    try:
        credentials, warnings = files.load(options.credentials, options.kind)
    except CredentialsError as error:
        return _fail(str(error), BAD_INPUT)
    for warning in warnings:
        _say("warning: " + warning)
    folder = options.dir or _state_folder(credentials.device)
    tell = _print_json if options.json else print_line
    try:
        made = _handset if options.kind == "terminal" else _intercom
        sound = made(options.mic, options.speaker, tell, options.language)
    except NoSound as error:
        return _fail(str(error), BAD_INPUT)
    try:
        return asyncio.run(_run(credentials, folder, options.language, sound, as_json=options.json))
    except OutboxError as error:
        return _fail(str(error), BAD_OUTBOX)
    except KeyboardInterrupt:
        return OK


def _handset(mic: str | None, speaker: str | None, tell: Tell, language: str) -> "Handset | None":
    """What `--mic` and `--speaker` name; one alone leaves the other silent. NoSound."""
    if mic is None and speaker is None:
        return None
    from devices.voice.handset import Handset
    from devices.voice.say import Voice
    from devices.voice.sound import SoundFailed
    from devices.voice.specs import open_sound

    try:
        microphone, loudspeaker = open_sound(mic or "silence", speaker or "null")
        return Handset(microphone, loudspeaker, tell, language=language, speak=Voice().speak)
    except SoundFailed as error:
        raise NoSound(str(error)) from error


def _intercom(mic: str | None, speaker: str | None, tell: Tell, language: str) -> "PillarMedia | None":
    """The same for a pillar: its sound to the control room and back. NoSound."""
    if mic is None and speaker is None:
        return None
    from devices.voice import words
    from devices.voice.say import Voice
    from devices.voice.sound import SoundFailed
    from devices.voice.specs import open_sound
    from devices.voice.webrtc import PillarMedia

    try:
        microphone, loudspeaker = open_sound(mic or "silence", speaker or "null")
    except SoundFailed as error:
        raise NoSound(str(error)) from error

    def log(line: dict[str, object]) -> None:
        zh, en = words.media(str(line.get("state", "")), str(line.get("why", "")))
        tell("carriage" if line.get("state") == "connected" else "sound", en if language == "en" else zh)

    return PillarMedia(microphone, loudspeaker, log, Voice().speak)


def _list_sound() -> int:
    from devices.voice.pyaudio_sound import list_devices
    from devices.voice.sound import SoundFailed

    try:
        devices = list_devices()
    except SoundFailed as error:
        return _fail(str(error), BAD_INPUT)
    for one in devices:
        uses = [use for use, can in (("mic", one.microphone), ("speaker", one.speaker)) if can]
        _print(f"pyaudio:{one.index}  {'+'.join(uses):11}  {one.name}")
    return OK


async def _run(
    credentials: Credentials,
    folder: Path,
    language: str,
    sound: "Handset | PillarMedia | None",
    *,
    as_json: bool,
) -> int:
    outbox = FileOutbox(folder / "outbox", clock=clock_id())
    if outbox.damaged_bytes:
        _say(f"warning: {outbox.damaged_bytes} damaged bytes in {folder / 'outbox'} were skipped.")
    agent = AGENTS[credentials.kind].restore(
        outbox.records, outbox.boot, rng=random.SystemRandom(), language=language
    )
    tell = _print_json if as_json else print_line
    hardware = KeyboardHardware(credentials.kind, tell, language=language)
    handset = hardware.fit(sound, lambda: agent.radio if isinstance(agent, TerminalAgent) else None)
    with DeviceLog(credentials.device, folder / "log.jsonl", _print if as_json else None) as log:
        lines = log if as_json else _telling_the_link(log, language)
        device = asyncio.ensure_future(run_device(agent, credentials, hardware, outbox, lines, handset))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, device.cancel)
        try:
            await device
        except* (Quit, asyncio.CancelledError):
            pass
        finally:
            outbox.close()
    return OK


def _telling_the_link(log: LogLine, language: str) -> LogLine:
    """A person reads of the log only whether the device is connected."""

    def write(fields: dict[str, Any]) -> None:
        log(fields)
        if fields["ev"] == "connection":
            print_line("link", fields["text_en" if language == "en" else "text"])

    return write


def _state_folder(device: str) -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "dispatch-device" / device


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _print_json(what: str, text: str) -> None:
    if what != "help":
        _print(json.dumps({"hardware": what, "text": text}, ensure_ascii=False))


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _fail(text: str, code: int) -> int:
    _say("dispatch-device: " + text)
    return code


if __name__ == "__main__":
    sys.exit(main())
