"""`accelerate launch` of the commands that compute, without a traceback of its own.

A process that fails has said why in its line; the launcher adds nothing but its exit status.
"""

import logging
import subprocess
import sys


def main() -> int:
    from accelerate.commands import launch
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        launch.main()
    except ChildFailedError as error:  # several processes on this machine
        _, failure = error.get_first_failure()
        return _status(failure.exitcode)
    except subprocess.CalledProcessError as error:  # one process
        return _status(error.returncode)
    return 0


def _status(code: int) -> int:
    """The exit status of a shell's command that ended so."""
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main())
