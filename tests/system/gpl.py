"""A text sent line by line while something dies again and again: what test_gpl.py and test_crash.py share."""
import os
import time

from harness import Failure, check, until

GPL = "/usr/share/common-licenses/GPL-3"


def text(times):
    """Every line of the GPL, several times over: long enough to die in the middle."""
    with open(GPL, "rb") as file:
        return file.read() * times


def size(path):
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0


class Run:
    """alice sends a text, bob's `listen --output` writes it, both as fast as they can; the caller kills."""

    def __init__(self, world, alice, bob, data):
        self.world, self.alice, self.bob, self.data = world, alice, bob, data
        self.output = world.file("received")
        with open(world.file("text", data), "rb") as file:
            self.sending = alice.start("send", "bob", "-", "--wait", "delivered", stdin=file)
        self.listen()

    def listen(self):
        self.listening = self.bob.start("listen", "--output", self.output)

    def each_death(self, count, die):
        """Calls die() `count` times, spread over the run by how much has arrived. Fails unless each falls
        into the middle of it: some of the text came since the one before, and some is still to come."""
        sizes = [0]
        for death in range(1, count + 1):
            least = max(len(self.data) * death // (count + 2), sizes[-1] + 1)
            until(lambda: size(self.output) >= least, 60, lambda: self.where(least), 0.0005)
            check(self.sending.running(), "death %d would come after the run: %s", death, sizes)
            die()
            sizes.append(size(self.output))
        check(
            sizes[-1] < len(self.data), "the last death came after the run: %s of %d", sizes, len(self.data)
        )

    def where(self, least):
        ends = self.sending.err()[-300:], self.listening.err()[-300:]
        return "byte %d of %d; %d arrived\nalice: %s\nbob: %s" % (
            least,
            len(self.data),
            size(self.output),
            *ends,
        )

    def finish(self, seconds=90):
        self.sending.expect_code(0, seconds)
        self.compare(seconds)
        self.listening.stop()

    def compare(self, seconds):
        deadline = time.monotonic() + seconds
        while size(self.output) < len(self.data) and time.monotonic() < deadline:
            time.sleep(0.05)
        with open(self.output, "rb") as file:
            got = file.read()
        if got != self.data:
            ours, theirs = self.data.splitlines(True), got.splitlines(True)
            at = next(
                (index for index, pair in enumerate(zip(ours, theirs)) if pair[0] != pair[1]),
                min(len(ours), len(theirs)),
            )
            raise Failure(
                "%d of %d bytes; line %d is %r, not %r"
                % (len(got), len(self.data), at + 1, theirs[at : at + 1], ours[at : at + 1])
            )
