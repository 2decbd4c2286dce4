"""The chat view on a terminal: a message shows ✓ when it is sent, ✓✓ when delivered, coloured ✓✓ when read.
"""
import fcntl
import re
import struct
import termios

from harness import check, check_equal, main, test
from terminal import Terminal

TICK = "✓"
COLOURED = "\033\\[[0-9;]*3[0-9][0-9;]*m" + TICK * 2


@test
def ticks_go_from_one_to_two_to_coloured(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    terminal = Terminal(world, alice.command("chat", "bob"))
    terminal.expect("> ")
    terminal.type("Are you there?\r")
    terminal.expect("Are you there\\? *" + TICK)
    check(TICK * 2 not in terminal.text, "two ticks while bob is away: %r", terminal.text[-500:])
    bob.listen(1)
    terminal.expect(TICK * 2)
    check(not re.search(COLOURED, terminal.text), "coloured before it was read: %r", terminal.text[-500:])
    bob.run("read", "alice")
    terminal.expect(COLOURED)
    # What chat shows is read.
    bob.run("send", "alice", "I am here.", "--wait", "read", "--timeout", 20)
    terminal.expect("I am here\\.")
    terminal.type("\004")
    check_equal(terminal.end(), 0, "exit status of chat")



@test
def a_message_that_failed_shows_in_the_exit_status(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    bob.run("block", "alice")
    with open(world.file("line", b"not for him\n"), "rb") as file:
        failed = alice.run("chat", "bob", stdin=file, code=4)
    check("failed: " in failed.err(), "does not say so: %s", failed.err())
    bob.run("unblock", "alice")
    with open(world.file("line", b"for him\n"), "rb") as file:
        alice.run("chat", "bob", stdin=file)



@test
def a_name_wider_than_its_column_is_cut(world):
    switch = world.switch()
    long, _ = world.linked(switch, "n" * 63, "bob")
    terminal = Terminal(world, long.command("chat", "bob"))
    fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    terminal.expect("> ")
    terminal.type("text\r")
    terminal.expect("(?<!n)n{27} text *" + TICK)
    terminal.type("\004")
    check_equal(terminal.end(), 0, "exit status of chat")


main()
