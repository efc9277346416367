"""A server as anyone might have one: a REP socket, one request after the other."""

import sys

import zmq


def main():
    endpoint, name = sys.argv[1:]
    server = zmq.Context().socket(zmq.REP)
    server.bind(endpoint)
    count = 0
    while True:
        request = server.recv()
        if request == b"ping":
            # The pair's check of health.
            server.send(b"pong")
            continue
        count += 1
        server.send(b"%s is answer %d of %s" % (request, count, name.encode()))


if __name__ == "__main__":
    main()
