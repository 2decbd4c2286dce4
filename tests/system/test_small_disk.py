"""Real file systems that are full: nobody crashes, everybody says why, and all goes on when there is room."""
import os
import subprocess

from harness import Process, check, check_equal, main, skip, test


class SmallDisk:
    """A tmpfs of its own size, in the folder of the test."""

    def __init__(self, world, name, kib):
        self.path = os.path.join(world.folder, name)
        self.ballast = os.path.join(self.path, "ballast")
        os.mkdir(self.path)
        options = ["mount", "-t", "tmpfs", "-o", "size=%dk" % kib, "tmpfs", self.path]
        if subprocess.run(options, check=False, capture_output=True).returncode != 0:
            skip("no file system can be mounted here")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], check=True)

    def fill(self, but_kib=0):
        with open(self.ballast, "ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        if but_kib:
            os.truncate(self.ballast, os.path.getsize(self.ballast) - but_kib * 1024)

    def make_room(self):
        os.unlink(self.ballast)


@test
def starting_on_a_full_disk_fails_with_a_sentence(world):
    with SmallDisk(world, "small", 256) as disk:
        switch = world.switch("new", start=False)
        for left_kib in (0, 8, 12):
            switch.data = os.path.join(disk.path, "data-%d" % left_kib)
            disk.fill(left_kib)
            process = Process(world, "ternd-%d" % left_kib, switch.command())
            check_equal(process.wait(20), 1, "exit status with %d KiB left: %s" % (left_kib, process.err()))
            check("No space left" in process.err(), "%d KiB left: %s", left_kib, process.err())


@test
def linking_on_a_full_disk_fails_with_a_sentence(world):
    switch = world.switch()
    with SmallDisk(world, "small", 256) as disk:
        alice = world.client("alice")
        uri = switch.account("alice")
        for left_kib in (0, 8, 12):
            alice.home = os.path.join(disk.path, "home-%d" % left_kib)
            disk.fill(left_kib)
            failed = alice.run("link", uri, code=1)
            check("No space left" in failed.err(), "%d KiB left: %s", left_kib, failed.err())
        disk.make_room()
        alice.run("link", uri)


def long_lines(world):
    return world.file("lines", b"".join(b"%05d%s\n" % (number, b"." * 30000) for number in range(100)))


@test
def a_disk_that_fills_up_under_the_store_is_a_full_store(world):
    with SmallDisk(world, "small", 1024) as disk:
        switch = world.switch("crowded", start=False, spill_ms=50)
        switch.data = os.path.join(disk.path, "data")
        switch.start()
        alice, bob = world.linked(switch, "alice", "bob")
        disk.fill(300)  # LMDB's last write finds room for a part of itself
        with open(long_lines(world), "rb") as file:
            sending = alice.start("send", "bob", "-", "--wait", "sent", "--timeout", 2, stdin=file)
        sending.expect_code(3)
        check("the store is full" in sending.err(), "does not say why: %s", sending.err())
        store = switch.ctl("status")["stores"][0]
        check(not store["closed"], "closed by a full disk: %s", store)
        disk.make_room()
        received = world.file("received")
        listening = bob.start("listen", "--output", received)
        alice.run("send", "bob", "last", "--wait", "delivered", "--timeout", 25)
        listening.stop()
        with open(received, "rb") as got, open(long_lines(world), "rb") as lines:
            check(got.read() == lines.read() + b"last\n", "what bob got is not what was sent")
        switch.stop()


@test
def a_home_on_a_full_disk_says_so(world):
    switch = world.switch()
    with SmallDisk(world, "small", 2048) as disk:
        alice, bob = world.client("alice"), world.linked(switch, "bob")
        alice.home = os.path.join(disk.path, "home")
        alice.run("link", switch.account("alice"))
        for left_kib in (0, 20, 100, 250):
            disk.fill(left_kib)
            with open(long_lines(world), "rb") as file:
                sending = alice.start("send", "bob", "-", "--timeout", 2, stdin=file)
            sending.expect_code(1)
            check("No space left" in sending.err(), "%d KiB left: %s", left_kib, sending.err())
            disk.make_room()
        received = world.file("received")
        bob.start("listen", "--output", received)
        alice.run("send", "bob", "last", "--wait", "delivered", "--timeout", 20)


main()
