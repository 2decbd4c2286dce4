"""A bad network between devices and a switch: the switch notices within the time its settings name, puts on disk what the
device did not get, and the device gets everything when it is back, in order and once."""
import time

import wire
from harness import RELEASE, check, check_equal, main, skip, test, until
from network import Network

PING_S, IDLE_S = 1, 2
SLACK_S = 1.5  # timers, and a busy machine


class Scene:
    """alice is where the switch is, bob is at the other end of the cable."""

    def __init__(self, world, **settings):
        if not wire.THERE:
            skip("python3-cryptography is not there")
        self.network = Network(world)
        settings = dict({"ping_s": PING_S, "idle_s": IDLE_S, "spill_ms": 200, "session_messages_per_s": 0,
                         "session_bytes_per_s": 0, "session_frames_per_s": 0}, **settings)
        self.switch = self.network.switch(build=RELEASE, **settings)
        self.alice = wire.Device(self.switch.account("alice"))
        self.bob = wire.Device(self.switch.account("bob"))
        with self.network.beside():
            self.sending = wire.Session(self.alice, link=True)
        with self.network.far():
            self.receiving = wire.Session(self.bob, link=True)
        self.numbers = []

    def send(self, count, size=300):
        for _ in range(count):
            self.numbers.append(self.sending.send(self.bob.account, b"x" * size))

    def wait_ticks(self, bits, seconds=10):
        ticks = self.alice.ticks
        self.sending.pump(lambda: all(ticks[self.bob.account, number] & bits == bits for number in self.numbers), seconds,
                          "ticks %d of %d messages" % (bits, len(self.numbers)))

    def check_notices(self, began):
        """The connection of the device that is gone is closed in time."""
        self.pump_alice_until(lambda: self.switch.stat("closed_idle") >= 1, began + IDLE_S + SLACK_S - time.monotonic(),
                              lambda: "the switch to notice that the device is gone: %s" % {n: v for n, v in self.switch.stats().items() if n.startswith("closed") and v})
        print("noticed after %.1f s" % (time.monotonic() - began))

    def pump_alice_until(self, condition, seconds, what):
        """alice goes on, so that she is not taken for dead herself."""
        def turn():
            self.sending.ping(1)
            return condition()
        until(turn, seconds, what, 0.1)

    def bob_returns(self):
        with self.network.far():
            self.receiving = wire.Session(self.bob)
        self.receiving.wait_inbox(len(self.numbers))
        check_equal([one.fields["number"] for one in self.bob.inbox], self.numbers, "the numbers bob got")
        self.wait_ticks(wire.SENT | wire.DELIVERED)


@test(build=RELEASE)
def a_cable_is_pulled_during_traffic(world):
    scene = Scene(world)
    scene.send(100)
    scene.receiving.wait_inbox(30)
    scene.network.unplug()
    began = time.monotonic()
    scene.send(200)
    scene.wait_ticks(wire.SENT)
    check(time.monotonic() - began < IDLE_S, "ticks took %.1f s: they waited for the device", time.monotonic() - began)
    scene.check_notices(began)
    scene.network.replug()
    scene.bob_returns()


@test(build=RELEASE)
def a_cable_that_is_soon_back_is_no_end(world):
    scene = Scene(world, idle_s=20, ping_s=10)
    scene.network.unplug()
    scene.send(50)
    scene.wait_ticks(wire.SENT)
    scene.network.replug()
    scene.receiving.wait_inbox(50)
    scene.wait_ticks(wire.SENT | wire.DELIVERED)
    check_equal(scene.switch.stat("logins"), 2, "sessions")
    check_equal(scene.bob.inbox[-1].fields["number"], 50, "last number")


@test(build=RELEASE)
def a_third_of_all_packets_is_lost(world):
    scene = Scene(world, idle_s=60, ping_s=30)
    scene.network.lose(30)
    scene.send(120, 700)
    for number in range(1, 41):
        scene.receiving.send(scene.alice.account, b"y" * number)
    scene.receiving.seconds = scene.sending.seconds = 60
    scene.receiving.wait_inbox(120)
    scene.sending.wait_inbox(40)
    check_equal([one.fields["number"] for one in scene.bob.inbox], scene.numbers, "the numbers bob got")
    check_equal([one.fields["number"] for one in scene.alice.inbox], list(range(1, 41)), "the numbers alice got")
    scene.network.restore()
    scene.wait_ticks(wire.SENT | wire.DELIVERED, 20)


@test(build=RELEASE)
def a_device_vanishes_without_a_word(world):
    """With as much on its way to it as sockets hold: nothing of it may keep the connection, or its memory, for longer."""
    scene = Scene(world)
    scene.network.lose(100)
    began = time.monotonic()
    scene.send(60, 30000)
    scene.wait_ticks(wire.SENT)
    check(any(unacknowledged for _, unacknowledged in scene.network.connections()), "nothing was on its way")
    scene.check_notices(began)
    scene.pump_alice_until(lambda: not scene.network.connections(), IDLE_S + SLACK_S,
                           lambda: "the kernel to let go of the connection: %s" % scene.network.connections())
    scene.network.restore()
    scene.bob_returns()


@test(build=RELEASE)
def the_client_program_comes_back_by_itself(world):
    scene = Scene(world)
    client = world.client("carol", RELEASE)
    far = scene.network.prefix(scene.network.far_holder)
    own = client.command
    client.command = lambda *arguments: far + own(*arguments)
    uri = scene.switch.account("carol")
    client.run("link", uri)
    listening = client.start("listen", "--json", "--count", "40", "--seconds", "40")
    scene.pump_alice_until(lambda: scene.switch.stat("connections") == 3, 10, "carol's client to connect")
    for number in range(40):
        if number == 20:
            scene.network.remove_cable()
            began = time.monotonic()
        scene.sending.send(wire.parse_uri(uri).account, b"message %d" % number)
    scene.pump_alice_until(lambda: scene.switch.stat("closed_idle") >= 2, IDLE_S + SLACK_S, lambda:
                           "both to be taken for gone: %s" % {name: value for name, value in scene.switch.stats().items()
                                                              if value and name.startswith(("conn", "closed", "log"))})
    scene.network.plug_in()
    scene.pump_alice_until(lambda: not listening.running(), 25, "carol's client to come back")
    print("back after %.1f s" % (time.monotonic() - began))
    listening.expect_code(0)
    lines = [line for line in listening.out().decode().splitlines() if line]
    check_equal(len(lines), 40, "messages")
    check(all("message %d\"" % number in line for number, line in enumerate(lines)), "not in order: %s", lines)


main("ternd", "ternctl", "tern")
