"""The chat view on a terminal: a message shows ✓ when it is sent, ✓✓ when delivered, coloured ✓✓ when read.
"""
import re

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


main()
