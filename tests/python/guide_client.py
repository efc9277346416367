"""A client of a pair as the Guide writes it: REQ, a time-out, a settle delay, the other server.

It sends a running number and insists on having it echoed. Each answer is a line on standard
output, with the server that gave it.
"""

import argparse
import sys
import time

import zmq


class Client:
    def __init__(self, options):
        self.options = options
        self.current = 0
        self.context = zmq.Context.instance()
        self.connect()

    def server(self):
        return self.options.server[self.current]

    def connect(self):
        self.socket = self.context.socket(zmq.REQ)
        self.socket.linger = 0
        self.socket.connect(self.server())

    def change_server(self):
        # A REQ that got no answer cannot ask again: it is thrown away.
        self.socket.close()
        time.sleep(self.options.settle / 1000)
        self.current = 1 - self.current
        print(f"failover server={self.server()}", flush=True)
        self.connect()

    def ask(self, number):
        while True:
            self.socket.send_string(str(number))
            if self.socket.poll(self.options.timeout):
                reply = self.socket.recv_string()
                if reply != str(number):
                    sys.exit(f"asked {number}, was answered {reply!r}")
                print(f"reply={number} server={self.server()}", flush=True)
                return
            self.change_server()

    def run(self):
        number = 0
        while True:
            number += 1
            self.ask(number)
            time.sleep(self.options.interval / 1000)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", action="append", required=True, help="twice")
    parser.add_argument("--timeout", type=int, default=1000, help="milliseconds")
    parser.add_argument("--settle", type=int, default=2000, help="milliseconds")
    parser.add_argument("--interval", type=int, default=100, help="milliseconds")
    options = parser.parse_args()
    if len(options.server) != 2:
        parser.error("a pair has two servers")
    Client(options).run()


if __name__ == "__main__":
    main()
