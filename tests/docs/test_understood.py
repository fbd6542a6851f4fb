"""Every `ssat …` line of the README and the pages is a command that the real command line understands."""

import shlex

import click
import pytest

from flows.cli import cli, verbs
from tests.docs.pages import mentioned_commands

# Placeholders of the text, and values that they may stand for.
_PLACEHOLDERS = {"VERB": "collect"}
_COMMANDS = mentioned_commands()


def test_there_are_commands_in_the_pages():
    assert len(_COMMANDS) > 40
    assert {"collect", "train", "plan", "scale", "deploy"} <= {line.split()[1] for _, line in _COMMANDS}


@pytest.mark.parametrize(("page", "line"), _COMMANDS, ids=[f"{page}: {line[:60]}" for page, line in _COMMANDS])
def test_the_command_line_understands(page, line):
    words = [_PLACEHOLDERS.get(word, word) for word in shlex.split(line.split(" | ")[0])][1:]
    # Where a page leaves something out, or offers alternatives, the verb and the options that it names still exist.
    partial = any(word in ("…", "...") or "…" in word for word in words)
    words = [word for word in words if "…" not in word and word != "..."]
    if words and words[0].startswith("-"):
        assert words[0] in ("--help", "--version"), line
        return
    assert words, line
    assert words[0] in verbs(), f"{page}: {line}: no such verb"
    command = cli.get_command(click.Context(cli), words[0])
    while isinstance(command, click.Group) and len(words) > 1 and not words[1].startswith("-"):
        inner = command.get_command(click.Context(command), words[1])
        assert inner is not None, f"{page}: {line}: no {words[1]}"
        command, words = inner, words[1:]
    problem = _problem(command, words)
    # A verb is often named in a sentence without its arguments.
    lacking = isinstance(
        problem, click.MissingParameter | click.exceptions.NoArgsIsHelpError
    ) or "requires an argument" in str(problem and problem.message)
    unknown = isinstance(problem, click.NoSuchOption)
    assert problem is None or (not unknown and (partial or lacking)), f"{page}: {line}: {problem.format_message()}"


def _problem(command: click.Command, words: list[str]) -> click.UsageError | None:
    try:
        command.make_context(words[0], list(words[1:]))
    except click.exceptions.Exit:  # --help
        return None
    except click.UsageError as error:
        return error
    return None
