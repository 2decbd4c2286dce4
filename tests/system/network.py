"""Two network namespaces and a cable between them: the switch's and the devices'.

    network = Network(world)          # skips the test aloud where namespaces can't be made
    switch = network.switch(...)      # listens on the switch's end
    with network.far(): ...           # sockets made here are the devices'
    network.unplug(); network.lose(30); network.restore()

Everything is in namespaces of their own, which end with the processes that hold them.
"""
import contextlib
import ctypes
import os
import shutil
import subprocess

from harness import Process, check, skip, until

SWITCH_ADDRESS = "10.98.0.1"  # not the cable's: it stays when that goes
GATEWAY_ADDRESS, DEVICE_ADDRESS = "10.99.0.1", "10.99.0.2"
CLONE_NEWNET = 0x40000000


class Network:
    def __init__(self, world):
        self.world = world
        for program in ("ip", "unshare", "nsenter"):
            if not shutil.which(program):
                skip("%s is not there" % program)
        probe = subprocess.run(["unshare", "-n", "ip", "link", "set", "lo", "up"], check=False, capture_output=True)
        if probe.returncode != 0:
            skip("network namespaces can't be made: %s" % probe.stderr.decode().strip())
        self.near = self.namespace("near")
        self.far_holder = self.namespace("far")
        self.run(self.near, "ip", "address", "add", SWITCH_ADDRESS + "/32", "dev", "lo")
        self.plug_in()

    def namespace(self, name):
        holder = Process(self.world, "namespace-" + name, ["unshare", "-n", "sleep", "600"])
        own = os.readlink("/proc/self/ns/net")

        def entered():
            try:
                return holder.running() and os.readlink("/proc/%d/ns/net" % holder.pid) != own
            except FileNotFoundError:
                return False

        until(entered, 10, "a network namespace")
        self.run(holder, "ip", "link", "set", "lo", "up")
        # Where packets are lost, TCP tries once more after a second at the latest, not after twice as long each time.
        self.run(holder, "sh", "-c", "echo 1000 >/proc/sys/net/ipv4/tcp_rto_max_ms", must=False)
        return holder

    @staticmethod
    def prefix(holder):
        return ["nsenter", "-t", str(holder.pid), "-n"]

    def run(self, holder, *command, must=True):
        done = subprocess.run(self.prefix(holder) + list(command), check=False, capture_output=True)
        check(done.returncode == 0 or not must, "%s: %s", " ".join(command), done.stderr.decode())
        return done

    def plug_in(self):
        """A new cable, with an address at each end."""
        made = self.run(self.near, "ip", "link", "add", "name", "near0", "type", "veth", "peer", "name", "far0", "netns",
                        str(self.far_holder.pid), must=False)
        if made.returncode != 0:
            skip("a veth pair can't be made: %s" % made.stderr.decode().strip())
        for holder, link, address in ((self.near, "near0", GATEWAY_ADDRESS), (self.far_holder, "far0", DEVICE_ADDRESS)):
            self.run(holder, "ip", "address", "add", address + "/24", "dev", link)
            self.run(holder, "ip", "link", "set", link, "up")
        self.route()

    def route(self):
        self.run(self.far_holder, "ip", "route", "replace", SWITCH_ADDRESS, "via", GATEWAY_ADDRESS)

    def switch(self, **settings):
        settings.setdefault("listen", (SWITCH_ADDRESS + ":0",))
        return self.world.switch(command_prefix=self.prefix(self.near), **settings)

    @contextlib.contextmanager
    def inside(self, holder):
        """Sockets that are made within belong to that namespace for good."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/self/ns/net", "rb") as own, open("/proc/%d/ns/net" % holder.pid, "rb") as other:
            check(libc.setns(other.fileno(), CLONE_NEWNET) == 0, "setns: %s", os.strerror(ctypes.get_errno()))
            try:
                yield
            finally:
                check(libc.setns(own.fileno(), CLONE_NEWNET) == 0, "setns: %s", os.strerror(ctypes.get_errno()))

    def far(self):
        return self.inside(self.far_holder)

    def beside(self):
        """Where the switch is: no cable in between."""
        return self.inside(self.near)

    def unplug(self):
        self.run(self.far_holder, "ip", "link", "set", "far0", "down")

    def replug(self):
        self.run(self.far_holder, "ip", "link", "set", "far0", "up")
        self.route()  # went with the link

    def remove_cable(self):
        self.run(self.near, "ip", "link", "delete", "near0")

    def lose(self, percent):
        """Of the packets on the cable, both ways; 100: nothing passes, and nobody is told."""
        if self.with_iptables(percent) or self.with_nft(percent):
            return
        skip("neither iptables' statistic match nor nft's numgen is there")

    def with_iptables(self, percent):
        if not shutil.which("iptables"):
            return False
        for holder, link in ((self.near, "near0"), (self.far_holder, "far0")):
            done = self.run(holder, "iptables", "-A", "INPUT", "-i", link, "-m", "statistic", "--mode", "random",
                            "--probability", "%.2f" % (percent / 100), "-j", "DROP", must=False)
            if done.returncode != 0:
                self.restore()
                return False
        return True

    def with_nft(self, percent):
        if not shutil.which("nft"):
            return False
        for holder, link in ((self.near, "near0"), (self.far_holder, "far0")):
            rules = ("add table inet lossy; add chain inet lossy in { type filter hook input priority 0; }; "
                     "add rule inet lossy in iifname %s numgen random mod 100 < %d drop" % (link, percent))
            if self.run(holder, "nft", rules, must=False).returncode != 0:
                return False
        return True

    def restore(self):
        for holder in (self.near, self.far_holder):
            if shutil.which("iptables"):
                self.run(holder, "iptables", "-F", "INPUT", must=False)
            if shutil.which("nft"):
                self.run(holder, "nft", "delete table inet lossy", must=False)

    def connections(self):
        """TCP connections of the switch's namespace over the cable, dying ones too: (state, bytes not acknowledged)."""
        with open("/proc/%d/net/tcp" % self.near.pid, encoding="ascii") as file:
            rows = [line.split() for line in file.read().splitlines()[1:]]
        peer = "%08X" % int.from_bytes(bytes(map(int, DEVICE_ADDRESS.split("."))), "little")
        return [(row[3], int(row[4].partition(":")[0], 16)) for row in rows if row[2].startswith(peer) and row[3] != "06"]
