"""Conversations that chat templates are compared on: what applications send, and what they should
not. Each is the template's whole context but the special tokens."""


def message(role, content, **more):
    return {"role": role, "content": content, **more}


SYSTEM = message("system", "You are a careful assistant. Answer in one sentence.")
ASK = message("user", "What is the weather in Oslo?")
ANSWER = message("assistant", "It rains.")
AGAIN = message("user", "And in Malmö?")

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": 'Looks up the weather of a place.\nTakes "metric" units & <tags>.',
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "Town, country"},
                "days": {"type": "integer", "default": 1, "enum": [1, 3, 7]},
                "unit": {"type": ["string", "null"], "enum": ["°C", "°F"]},
                "hours": {"type": "array", "items": {"type": "number"}},
                "options": {
                    "type": "object",
                    "properties": {"wind": {"type": "boolean"}},
                    "required": ["wind"],
                },
            },
            "required": ["place"],
        },
        "return": {"type": "string", "description": "A sentence"},
    },
}
CLOCK = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "What time it is.",
        "parameters": {"type": "object", "properties": {}},
    },
}
TOOLS = [WEATHER, CLOCK]
# Some templates recurse for ever, with transformers too, over the types above; these they can do.
SHORT = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Looks up the weather.",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "Town, country"},
                "days": {"type": "integer", "description": "How many"},
            },
            "required": ["place"],
        },
    },
}


def call(name, arguments, identity="a1B2c3D4e"):
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


OSLO = call("get_weather", {"place": "Oslo, Norway", "days": 3, "options": {"wind": True}})
OSLO_TEXT = call("get_weather", '{"place": "Oslo, Norway", "days": 3}')
TIME = call("get_time", {}, "z9Y8x7W6v")


def calling(*calls, content=""):
    return message("assistant", content, tool_calls=list(calls))


def result(content, name="get_weather", identity="a1B2c3D4e"):
    return message("tool", content, name=name, tool_call_id=identity)


THOUGHT = "<think>\nRain is wet.\nOslo is in Norway.\n</think>\n\nIt rains."
PARTS = [{"type": "text", "text": "What is "}, {"type": "text", "text": "this?"}]
PICTURE = [{"type": "image"}, {"type": "text", "text": "What is this?"}]
UNICODE = message(
    "user", "  Grüße 👩‍🚀 \u200fعربى 漢字 <|im_end|> {{ 7 * 7 }} \"quoted\" \\n 'x' \n\n"
)


def conversation(name, messages, tools=None, add_generation_prompt=True, **arguments):
    context = {
        "messages": messages,
        "tools": tools,
        "documents": None,
        "add_generation_prompt": add_generation_prompt,
        **arguments,
    }
    return name, context


CONVERSATIONS = dict(
    [
        conversation("user", [ASK]),
        conversation("system and user", [SYSTEM, ASK]),
        conversation("several turns", [SYSTEM, ASK, ANSWER, AGAIN]),
        conversation("several turns without system", [ASK, ANSWER, AGAIN, ANSWER, ASK]),
        conversation("no generation prompt", [SYSTEM, ASK, ANSWER, AGAIN], None, False),
        conversation("ends with the assistant", [SYSTEM, ASK, ANSWER], None, False),
        conversation("ends with the assistant, prompted", [ASK, ANSWER]),
        conversation("system alone", [SYSTEM]),
        conversation("empty texts", [message("system", ""), message("user", ""), ANSWER, ASK]),
        conversation("unicode and markup", [UNICODE, message("assistant", "  ok \n"), UNICODE]),
        conversation("tools offered", [ASK], TOOLS),
        conversation("tools offered with system", [SYSTEM, ASK, ANSWER, AGAIN], TOOLS),
        conversation("one tool", [SYSTEM, ASK], [WEATHER]),
        conversation("a short tool", [SYSTEM, ASK], [SHORT]),
        conversation(
            "a short tool called", [ASK, calling(OSLO), result("Rain"), ANSWER, AGAIN], [SHORT]
        ),
        conversation("a short tool, calls open", [ASK, calling(OSLO_TEXT)], [SHORT], False),
        conversation("no tools in the list", [SYSTEM, ASK], []),
        conversation("tool called", [SYSTEM, ASK, calling(OSLO), result("Rain, 7 °C")], TOOLS),
        conversation(
            "tool called with text arguments", [ASK, calling(OSLO_TEXT), result("Rain")], TOOLS
        ),
        conversation(
            "two tools called at once",
            [ASK, calling(OSLO, TIME), result("Rain"), result("12:30", "get_time", "z9Y8x7W6v")],
            TOOLS,
        ),
        conversation(
            "tools in several turns",
            [
                SYSTEM,
                ASK,
                calling(OSLO),
                result("Rain"),
                ANSWER,
                AGAIN,
                calling(TIME, content="Let me see."),
                result("12:30", "get_time", "z9Y8x7W6v"),
                ANSWER,
                ASK,
            ],
            TOOLS,
        ),
        conversation("calls open", [ASK, calling(OSLO)], TOOLS, False),
        conversation(
            "null content beside calls", [ASK, calling(OSLO, content=None), result("Rain")], TOOLS
        ),
        conversation("calls without tools", [ASK, calling(OSLO), result("Rain")]),
        conversation(
            "result as object", [ASK, calling(OSLO), result({"sky": "rain", "degrees": 7.5})], TOOLS
        ),
        conversation("result as JSON text", [ASK, calling(OSLO), result('{"sky": "rain"}')], TOOLS),
        conversation("thoughts in the text", [ASK, message("assistant", THOUGHT), AGAIN]),
        conversation(
            "thoughts apart",
            [ASK, message("assistant", "It rains.", reasoning_content="Rain is wet."), AGAIN],
        ),
        conversation(
            "thoughts apart, last",
            [
                ASK,
                message(
                    "assistant", "It rains.", reasoning_content="Rain is wet.", thinking="Wet."
                ),
            ],
            None,
            False,
        ),
        conversation(
            "thoughts before a call",
            [
                ASK,
                message("assistant", "", reasoning_content="I must look.", tool_calls=[OSLO]),
                result("Rain"),
            ],
            TOOLS,
        ),
        conversation("thinking on", [SYSTEM, ASK], enable_thinking=True, thinking=True),
        conversation("thinking off", [SYSTEM, ASK], enable_thinking=False, thinking=False),
        conversation(
            "thinking off with tools",
            [ASK, calling(OSLO), result("Rain")],
            TOOLS,
            enable_thinking=False,
        ),
        conversation(
            "effort", [SYSTEM, ASK], reasoning_effort="high", model_identity="You are Chorus."
        ),
        conversation("dated", [ASK], date_string="26 Jul 2024", tools_in_user_message=False),
        conversation("tools beside system", [SYSTEM, ASK], TOOLS, tools_in_user_message=False),
        conversation("parts", [message("system", PARTS), message("user", PARTS), ANSWER, AGAIN]),
        conversation("picture", [message("user", PICTURE)]),
        conversation(
            "documents",
            [ASK],
            documents=[
                {"title": "Oslo", "text": "It rains."},
                {"title": "Malmö", "text": "Sun.", "doc_id": 7},
            ],
        ),
        conversation("two users", [ASK, AGAIN]),
        conversation("two assistants", [ASK, ANSWER, ANSWER, ASK]),
        conversation("assistant first", [ANSWER, ASK]),
        conversation("system last", [ASK, ANSWER, SYSTEM]),
        conversation("two systems", [SYSTEM, SYSTEM, ASK]),
        conversation("developer", [message("developer", "Be brief."), ASK]),
        conversation("unknown role", [ASK, message("narrator", "Night falls.")]),
        conversation(
            "names",
            [message("user", "Hi", name="Ada"), message("assistant", "Hello", name="Bot"), ASK],
        ),
        conversation("no content", [{"role": "user"}]),
        conversation("no role", [{"content": "Hi"}]),
        conversation("null content", [message("user", None)]),
        conversation("number as content", [message("user", 7)]),
        conversation(
            "bad tools",
            [ASK],
            [{"name": "bare", "parameters": {"type": "object", "properties": {}}}],
        ),
    ]
)
