"""A client of one of the three models of the Guide's chapter 4 that knows the bare protocol only.

Model 1 asks one server after the other, each with a REQ of its own. Model 2 sends a copy to each
through one DEALER, and takes the first answer. Model 3 is a ROUTER that finds out by PINGs who
lives, and asks the first of those. Control frames and sequences are eight bytes, as a program in C
writes a number.

Bodies are numbered. A reply that does not match ends the client with an error. Each answer is a
line on standard output; the last line counts them.
"""

import argparse
import struct
import sys
import time

import zmq


def body_of(number):
    return f"request {number}".encode()


def sequence_of(number):
    return struct.pack("=Q", number)


def insist(number, got, wanted):
    if got != wanted:
        sys.exit(f"asked {number}, was answered {got!r} and not {wanted!r}")


def receive_before(socket, end):
    """A message, or none when the time is over."""
    left = max(0, end - time.monotonic())
    return socket.recv_multipart() if socket.poll(left * 1000) else None


class Model1:
    def __init__(self, options):
        self.options = options

    def ask(self, number):
        for server in self.options.servers:
            with zmq.Context.instance().socket(zmq.REQ) as socket:
                socket.linger = 0
                socket.connect(server)
                socket.send(body_of(number))
                frames = receive_before(socket, time.monotonic() + self.options.attempt / 1000)
            if frames is not None:
                insist(number, frames, [body_of(number)])
                return True
        return False


class Model2:
    def __init__(self, options):
        self.options = options
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        for server in options.servers:
            self.socket.connect(server)

    def ask(self, number):
        for _ in self.options.servers:
            self.socket.send_multipart([b"", sequence_of(number), body_of(number)])
        end = time.monotonic() + self.options.attempt / 1000
        while frames := receive_before(self.socket, end):
            delimiter, sequence, *reply = frames
            insist(number, delimiter, b"")
            # Whatever is not for this request is a copy's answer to an earlier one.
            if sequence == sequence_of(number):
                insist(number, reply[:1], [b"OK"])
                insist(number, reply[1:] or [body_of(number)], [body_of(number)])
                return True
            if sequence > sequence_of(number) or len(sequence) != 8:
                insist(number, sequence, sequence_of(number))
        return False


class Model3:
    def __init__(self, options):
        self.options = options
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.router_mandatory = True
        for server in options.servers:
            self.socket.connect(server)

    def send(self, server, frames):
        """Whether the server could be sent to at all."""
        try:
            self.socket.send_multipart([server.encode(), *frames], zmq.DONTWAIT)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            return False
        return True

    def lives(self, server):
        if not self.send(server, [b"PING"]):
            return False
        return self.hear(server, [b"PONG"], 1)

    def hear(self, server, wanted, number):
        """Whether the server says what is wanted; what else is said is skipped."""
        end = time.monotonic() + self.options.attempt / 1000
        while frames := receive_before(self.socket, end):
            who, *said = frames
            if who != server.encode():
                continue
            if said == wanted:
                return True
            if said[0] == wanted[0]:
                insist(number, said, wanted)
        return False

    def ask(self, number):
        control = sequence_of(number)
        for server in self.options.servers:
            request = [control, body_of(number)]
            if self.lives(server) and self.send(server, request):
                if self.hear(server, request, number):
                    return True
        return False


MODELS = {1: Model1, 2: Model2, 3: Model3}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=int, choices=MODELS)
    parser.add_argument("servers", nargs="+", metavar="ENDPOINT")
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--attempt", type=int, default=300, help="milliseconds for one server")
    parser.add_argument("--timeout", type=int, default=20000, help="milliseconds for a request")
    options = parser.parse_args()
    client = MODELS[options.model](options)
    for number in range(1, options.requests + 1):
        end = time.monotonic() + options.timeout / 1000
        while not client.ask(number):
            if time.monotonic() > end:
                sys.exit(f"request {number} was not answered")
            # A refused connection fails at once; the next round must not come at once too.
            time.sleep(0.01)
        print(f"reply={number}", flush=True)
    print(f"answered={options.requests}", flush=True)


if __name__ == "__main__":
    main()
