"""Errors that a user can act on."""


class SsatError(Exception):
    """Something the user can put right: the message names the thing, what was expected and what to do.

    The command line prints the message without a traceback and exits with code 2.
    """


class InputError(SsatError):
    """A list, video, detection file, checkpoint or setting that cannot be used as it is."""


class WorkspaceError(SsatError):
    """The workspace cannot be used: missing, not writable, or written by something else."""


class ServiceError(SsatError):
    """A server that was named does not answer."""
