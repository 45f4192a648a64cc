"""What a pillar says and shows, in both languages, with a light pattern for each: deaf people use pillars too.

`silent` ends every voice and text at once and leaves the light as it is: nobody at the pillar may notice.
Light patterns blink at 2 Hz at most and differ by rhythm, not by colour.
"""

from typing import Final, NamedTuple

UNCHANGED: Final = "unchanged"
"""As a prompt's light: leave it as it is."""


class PromptText(NamedTuple):
    zh: str
    en: str
    light: str


PROMPTS: Final[dict[str, PromptText]] = {
    "sending": PromptText("正在发送", "Sending", "blink-slow"),
    "delivered": PromptText(
        "报警已送达,正在联系值班人员", "Your alarm has arrived; calling the officer on duty", "double-blink"
    ),
    "accepted": PromptText("已接警", "Your alarm has been taken", "steady"),
    "police-accepted": PromptText("民警已接警", "A police officer has taken your alarm", "steady"),
    "coming": PromptText("巡逻组正在赶来", "A patrol is on its way", "long-blink"),
    "wait": PromptText("请稍候", "Please wait", "double-blink"),
    "not-delivered": PromptText(
        "网络不通,仍在重试,请同时拨打110", "No connection, still trying; please also call 110", "blink-fast"
    ),
    "question": PromptText(
        "请回答:按两下为是,按一下为否", "Please answer: two presses yes, one press no", "triple-blink"
    ),
    "silent": PromptText("", "", UNCHANGED),
    "ended": PromptText("", "", "off"),
}
LIGHT_PATTERNS: Final[dict[str, tuple[int, ...]]] = {
    "off": (),
    "steady": (1000,),
    "blink-slow": (1000, 1000),
    "blink-fast": (250, 250),
    "double-blink": (250, 250, 250, 1250),
    "triple-blink": (250, 250, 250, 250, 250, 1250),
    "long-blink": (2500, 500),
}
"""Milliseconds on, off, on, off …, repeated for ever; nothing = dark, one number = always on."""
LIGHTS: Final = tuple(LIGHT_PATTERNS)
SPOKEN_FOR_MS: Final = 120_000
"""Longer after the press nothing is said any more, only the light changes."""
WAIT_EVERY_MS: Final = 15_000
NOT_DELIVERED_AFTER_MS: Final = 5_000
