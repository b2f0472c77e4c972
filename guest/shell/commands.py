# The shell's commands: one table, and how a line becomes one of them. Used by main.py and completion.py. Each command is a function of
# its words in the module named here, which is read when it is first needed; its docstring is its help (module manual, made by the
# builder). Prints what went wrong in one line; of a refusal only that it is one.

import shown

import nexus


# The words are none that this command takes.
class Usage(Exception):
    pass


def _look():
    import look

    return look


def _records():
    import records

    return records


def _secrets():
    import secrets

    return secrets


def _apps():
    import apps

    return apps


def _prompt():
    import prompt

    return prompt


_MODULES = {"look": _look, "records": _records, "secrets": _secrets, "apps": _apps, "prompt": _prompt}

# In the order in which help shows them.
TABLE = (
    ("help", "prompt"),
    ("ps", "look"),
    ("top", "look"),
    ("caps", "look"),
    ("routes", "look"),
    ("policy", "look"),
    ("audit", "records"),
    ("log", "records"),
    ("rng", "secrets"),
    ("key", "secrets"),
    ("sign", "secrets"),
    ("bundles", "apps"),
    ("exec", "apps"),
    ("kill", "apps"),
    ("mem", "look"),
    ("uptime", "look"),
    ("repl", "prompt"),
    ("reboot", "prompt"),
    ("shutdown", "prompt"),
)

_MEANINGS = {
    nexus.NotFound: "there is none",
    nexus.Exists: "there is one already",
    nexus.TooLarge: "more than one request can hold",
    nexus.RateLimited: "too much in a short time; try again",
    nexus.Unavailable: "the service did not answer, or has no room for it",
}


# The name of the module that has this command; None for what is no command.
def module_of(command):
    for name, module in TABLE:
        if name == command:
            return module
    return None


# Carry out one line.
def run(line):
    try:
        words = split(line)
        if words:
            _carry_out(words)
    except nexus.Denied as refusal:
        print(shown.red(refusal.said))
    except nexus.Error as error:
        print("%s: %s" % (error.said, _MEANINGS.get(type(error), "the service did not take the request")))
    except Usage as usage:
        print(usage)
    except MemoryError:
        print("OUT OF MEMORY: ask for less at once")
    except KeyboardInterrupt:
        print("^C")


def _carry_out(words):
    command = words[0]
    module = module_of(command)
    if module is None:
        raise Usage("no command %s: help lists them" % shown.text(command.encode()))
    try:
        getattr(_MODULES[module](), command)(words[1:])
    except Usage as usage:
        raise Usage("%s\n%s" % (usage, usage_of(command)) if usage.args else usage_of(command))


# How a command is written, and an example.
def usage_of(command):
    lines = _text(command)[2:]
    return "usage: " + "\n  e.g. ".join(lines)


# What it is for.
def summary_of(command):
    return _text(command)[0]


def _text(command):
    import manual

    return manual.TEXTS[module_of(command)][command][1].split("\n")


# The words of a line; quotes hold several together.
def split(line):
    words, word, quote = [], None, ""
    for character in line:
        if quote:
            if character == quote:
                quote = ""
            else:
                word += character
        elif character in "'\"":
            quote, word = character, word or ""
        elif character == " ":
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + character
    if quote:
        raise Usage("no second %s" % quote)
    return words + [word] if word is not None else words


# A number that a word states, in these bounds.
def number(word, least, most):
    if not word.isdigit() or len(word) > 9 or not least <= int(word) <= most:
        raise Usage("%s is no number from %d to %d" % (word, least, most))
    return int(word)
