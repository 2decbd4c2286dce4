"""P1, P4 and P5: every line of the GPL arrives once and in order while the switch itself is killed with -9
five times, and what has its tick survives."""
import gpl
from harness import check_equal, main, test

TIMES = 100


@test
def every_line_once_while_the_switch_is_killed_five_times(world):
    data = gpl.text(TIMES)
    switch = world.switch(shards=2)
    alice, bob = world.linked(switch, "alice", "bob")
    run = gpl.Run(world, alice, bob, data)

    def die():
        switch.kill()
        switch.restart()

    run.each_death(5, die)
    run.finish()


@test
def what_has_its_tick_survives_the_switch(world):
    switch = world.switch()
    alice, bob = world.linked(switch, "alice", "bob")
    sent = []
    for number in range(4):
        sent.append("message %d" % number)
        alice.run("send", "bob", sent[-1], "--wait", "sent", "--timeout", 20)
        switch.kill()  # at once after the tick
        switch.restart()
    check_equal([one["text"] for one in bob.listen(len(sent))], sent, "what bob got")


main()
