"""P4 and P5: every line of the GPL arrives byte for byte, once and in order, while bob's tern is killed ten
times."""
import gpl
from harness import check, main, test, until

TIMES = 100


@test
def every_line_once_while_the_recipient_is_killed_ten_times(world):
    data = gpl.text(TIMES)
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    run = gpl.Run(world, alice, bob, data)

    def die():
        run.listening.kill()
        run.listen()

    run.each_death(10, die)
    run.finish()


def read(path):
    with open(path, "rb") as file:
        return file.read()


@test
def what_a_killed_sender_took_arrives_once_and_first(world):
    """A sender that is killed had not taken all of its lines; what it took, the next one sends before
    anything new."""
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    received, lines = world.file("received"), gpl.text(1).splitlines(True)
    listening = bob.start("listen", "--output", received)
    with open(gpl.GPL, "rb") as file:
        sending = alice.start("send", "bob", "-", stdin=file)
    until(lambda: gpl.size(received) > 100, 60, "the first lines", 0.001)
    sending.kill()
    alice.run("send", "bob", "the last line", "--wait", "delivered", "--timeout", 60, seconds=90)
    until(lambda: read(received).endswith(b"the last line\n"), 60, "the last line")
    listening.stop()
    got = read(received).splitlines(True)
    check(got[:-1] == lines[: len(got) - 1], "%d lines, some of them lost, doubled or out of order", len(got))


main()
