"""The wires, each through the SDK that its provider gives to people.

To add one: a module with a class that has `name`, `error`, `cut`, `say(ask)` and `status(error)`, and a place in `ALL`.
"""

from .chat import Chat
from .gemini import Gemini
from .messages import Messages
from .responses import Responses

ALL = [Chat, Responses, Messages, Gemini]
