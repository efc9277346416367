"""A plain REQ client: it waits a while for each answer, then asks again, and the other server."""

import sys
import time

import zmq

TIMEOUT_MS = 500


def main():
    servers = sys.argv[1:]
    context = zmq.Context()
    turn = 0
    client = connect(context, servers[turn])
    sequence = 0
    while True:
        sequence += 1
        began = time.monotonic()
        tries = 1
        while True:
            client.send_string(f"request {sequence}")
            if client.poll(TIMEOUT_MS):
                answer = client.recv_string()
                break
            # A REQ socket that has asked can do nothing but wait: a new one asks the other server.
            client.close(linger=0)
            turn = (turn + 1) % len(servers)
            client = connect(context, servers[turn])
            tries += 1
        waited_ms = (time.monotonic() - began) * 1000
        print(f"{answer}, try {tries}, after {waited_ms:.0f} ms", flush=True)
        time.sleep(0.05)


def connect(context, server):
    client = context.socket(zmq.REQ)
    client.connect(server)
    return client


if __name__ == "__main__":
    main()
