"""A program on a terminal of its own, for tests to type into."""
import os
import pty
import re
import select
import shutil
import time

from harness import Failure


class Terminal:
    """A program on a terminal; what it wrote, escapes and all, is in `text`."""

    def __init__(self, world, command):
        environment = dict(
            world.environment, TERM="xterm-256color", LC_ALL="C.UTF-8", LINES="24", COLUMNS="80"
        )
        self.text, self.command = "", command
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(world.folder)
                os.execve(shutil.which(command[0]), command, environment)
            finally:
                os._exit(127)
        world.terminals.append(self)

    def type(self, text):
        os.write(self.fd, text.encode())

    def read(self, seconds=0.05):
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                self.text += os.read(self.fd, 65536).decode("utf-8", "replace")
            except OSError:
                return False
        return True

    def expect(self, pattern, seconds=20):
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.text, re.DOTALL):
            if time.monotonic() > deadline or not self.read():
                raise Failure("no %r on the terminal: %r" % (pattern, self.text[-1500:]))
        return self.text

    def end(self, seconds=10):
        """Waits for the end; the exit status."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
        raise Failure("%s did not end: %r" % (" ".join(self.command), self.text[-500:]))

    def kill(self):
        if self.pid:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
            self.pid = 0
        os.close(self.fd)
