"""A server of a pair that speaks the bare wire format of the Guide, and nothing more.

It publishes its state as one digit, follows the state table of the Guide's chapter 4, and
echoes requests. A state message that is not exactly one digit ends it: that is how strict the
plain servers of some languages are, and a test wants to know if it ever gets one.
"""

import argparse
import sys
import time

import zmq

PRIMARY, BACKUP, ACTIVE, PASSIVE = b"1", b"2", b"3", b"4"
NAMES = {PRIMARY: "primary", BACKUP: "backup", ACTIVE: "active", PASSIVE: "passive"}

# (own state, what the peer says) -> new state; what is not here changes nothing, except for the
# two below that are errors.
PEER_SAYS = {
    (PRIMARY, BACKUP): ACTIVE,
    (PRIMARY, ACTIVE): PASSIVE,
    (BACKUP, ACTIVE): PASSIVE,
    (PASSIVE, PRIMARY): ACTIVE,
    (PASSIVE, BACKUP): ACTIVE,
}
ERRORS = {(ACTIVE, ACTIVE): "dual active", (PASSIVE, PASSIVE): "dual passive"}


class Server:
    def __init__(self, options):
        self.state = PRIMARY if options.primary else BACKUP
        self.heartbeat = options.heartbeat / 1000
        context = zmq.Context.instance()
        self.publisher = context.socket(zmq.PUB)
        self.publisher.bind(options.local)
        self.peer = context.socket(zmq.SUB)
        self.peer.subscribe(b"")
        self.peer.connect(options.remote)
        self.frontend = context.socket(zmq.ROUTER)
        self.frontend.bind(options.frontend)
        self.next_heartbeat = time.monotonic()
        self.expire_later()
        self.say("start")

    def say(self, cause):
        print(f"state={NAMES[self.state]} row=- epoch=0 cause={cause}", flush=True)

    def expire_later(self):
        self.peer_expires = time.monotonic() + 2 * self.heartbeat

    def become(self, state, cause):
        self.state = state
        self.say(cause)

    def hear(self, frames):
        if len(frames) != 1 or frames[0] not in NAMES:
            sys.exit(f"not a state: {frames!r}")
        said = frames[0]
        error = ERRORS.get((self.state, said))
        if error:
            sys.exit(error)
        state = PEER_SAYS.get((self.state, said))
        if state:
            self.become(state, f"peer-{NAMES[said]}")
        self.expire_later()

    def accepts(self):
        expired = time.monotonic() >= self.peer_expires
        if self.state in (PRIMARY, PASSIVE) and expired:
            self.become(ACTIVE, "vote")
        return self.state == ACTIVE

    def run(self):
        poller = zmq.Poller()
        poller.register(self.peer, zmq.POLLIN)
        poller.register(self.frontend, zmq.POLLIN)
        while True:
            left = max(0, self.next_heartbeat - time.monotonic())
            ready = dict(poller.poll(left * 1000))
            if self.peer in ready:
                self.hear(self.peer.recv_multipart())
            elif self.frontend in ready:
                request = self.frontend.recv_multipart()
                if self.accepts():
                    self.frontend.send_multipart(request)
            if time.monotonic() >= self.next_heartbeat:
                self.publisher.send(self.state)
                self.next_heartbeat = time.monotonic() + self.heartbeat


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    role = parser.add_mutually_exclusive_group(required=True)
    role.add_argument("-p", "--primary", action="store_true")
    role.add_argument("-b", "--backup", action="store_true")
    parser.add_argument("--local", default="tcp://*:5003")
    parser.add_argument("--remote", default="tcp://localhost:5004")
    parser.add_argument("--frontend", default="tcp://*:5001")
    parser.add_argument("--heartbeat", type=int, default=1000, help="milliseconds")
    Server(parser.parse_args()).run()


if __name__ == "__main__":
    main()
